"""The database of a local store: looked at before the mlflow package may open it, so that it is never changed."""

from __future__ import annotations

import shutil
import sqlite3
import weakref
from contextlib import closing
from pathlib import Path

from m2g.core import tempdirs
from m2g.core.errors import InputError, OutsideError
from m2g.registry.address import Address
from m2g.registry.errors import to_one_line

_TABLES = frozenset({"alembic_version", "registered_models", "model_versions", "runs"})
_HINT = "write the database that `mlflow server --backend-store-uri` uses, or the server's own address"
_CONNECT = 10
"""Seconds; the mlflow package would try for a minute and a half."""


class Snapshot:
    """A copy of a SQLite database, as it was at one moment; `uri` is for SQLAlchemy. Removed with the object."""

    def __init__(self, place: Address) -> None:
        """Raises InputError where there is no MLflow database, OutsideError where it cannot be read."""
        source = Path(place.identity.partition("://")[2].removeprefix("/"))
        if not source.is_file():
            raise InputError(f"{place.identity}: there is no file {source}", hint=_HINT)
        folder = tempdirs.create_folder()
        weakref.finalize(self, shutil.rmtree, folder, ignore_errors=True)
        copy = folder / "mlflow.db"
        self.uri = f"sqlite:///{copy}"
        try:
            with closing(sqlite3.connect(f"{source.absolute().as_uri()}?mode=ro", uri=True)) as original:
                tables = {str(name) for (name,) in original.execute("SELECT name FROM sqlite_master")}
                if not tables >= _TABLES:
                    raise InputError(f"{place.identity}: {source} is not a database of MLflow", hint=_HINT)
                with closing(sqlite3.connect(copy)) as target:
                    original.backup(target)
        except sqlite3.DatabaseError as error:
            raise OutsideError(f"{place.identity}: {source} cannot be read: {error}", hint=_HINT) from error


def check_schema(place: Address, migrations: Path) -> None:
    """Make sure that a database answers and has the schema of the installed mlflow package.

    `migrations` is that package's folder of Alembic scripts. Raises InputError for another schema, OutsideError
    where there is no connection; neither shows the URI's credentials.
    """
    import sqlalchemy
    from alembic.script import ScriptDirectory

    try:
        engine = sqlalchemy.create_engine(place.uri, pool_timeout=_CONNECT)
        with engine.connect() as connection:
            if not sqlalchemy.inspect(connection).has_table("alembic_version"):
                raise InputError(f"{place.identity}: not a database of MLflow", hint=_HINT)
            found = connection.execute(sqlalchemy.text("SELECT version_num FROM alembic_version")).scalar()
        engine.dispose()
    except sqlalchemy.exc.SQLAlchemyError as error:
        reason = to_one_line(str(error.__cause__ or error).replace(place.uri, place.identity))
        raise OutsideError(f"{place.identity}: no connection: {reason}", hint="see registry.uri") from error
    known = ScriptDirectory(str(migrations)).get_current_head()
    if found != known:
        raise InputError(
            f"{place.identity}: the database has another schema ({found}) than the installed mlflow package ({known})",
            hint="name its MLflow server as registry.uri, or install the mlflow version of that server beside m2g",
        )
