"""Check the database of a local store before the mlflow package opens it, so that it is never changed."""

from __future__ import annotations

import shutil
import sqlite3
import weakref
from contextlib import closing
from pathlib import Path

from m2g.core import tempdirs
from m2g.core.errors import InputError, OutsideError
from m2g.core.sanitize import to_one_line
from m2g.registry.address import Address

_TABLES = frozenset({"alembic_version", "registered_models", "model_versions", "runs"})
_HINT = "use the database of `mlflow server --backend-store-uri`, or the address of the server"
_CONNECT = 10
"""Seconds. The mlflow package would try for a minute and a half."""


class Snapshot:
    """A consistent copy of a SQLite database. `uri` is for SQLAlchemy. The copy is removed with this object."""

    def __init__(self, address: Address) -> None:
        """Raises InputError if there is no MLflow database, and OutsideError if it cannot be read."""
        source = Path(address.identity.partition("://")[2].removeprefix("/"))
        if not source.is_file():
            raise InputError(f"{address.identity}: the file {source} does not exist", hint=_HINT)
        folder = tempdirs.create_folder()
        weakref.finalize(self, shutil.rmtree, folder, ignore_errors=True)
        copy = folder / "mlflow.db"
        self.uri = f"sqlite:///{copy}"
        try:
            with closing(sqlite3.connect(f"{source.absolute().as_uri()}?mode=ro", uri=True)) as original:
                tables = {str(name) for (name,) in original.execute("SELECT name FROM sqlite_master")}
                if not tables >= _TABLES:
                    raise InputError(f"{address.identity}: {source} is not an MLflow database", hint=_HINT)
                with closing(sqlite3.connect(copy)) as target:
                    original.backup(target)
        except sqlite3.DatabaseError as error:
            raise OutsideError(f"{address.identity}: {source} cannot be read: {error}", hint=_HINT) from error


def check_schema(address: Address, migrations: Path) -> None:
    """Check that a database is reachable and has the schema of the installed mlflow package.

    `migrations` is the folder of Alembic scripts in that package. Raises InputError for another schema, and
    OutsideError if there is no connection. No message contains the credentials of the URI.
    """
    import sqlalchemy
    from alembic.script import ScriptDirectory

    try:
        engine = sqlalchemy.create_engine(address.uri, pool_timeout=_CONNECT)
        with engine.connect() as connection:
            if not sqlalchemy.inspect(connection).has_table("alembic_version"):
                raise InputError(f"{address.identity}: not an MLflow database", hint=_HINT)
            found = connection.execute(sqlalchemy.text("SELECT version_num FROM alembic_version")).scalar()
        engine.dispose()
    except sqlalchemy.exc.SQLAlchemyError as error:
        reason = to_one_line(str(error.__cause__ or error).replace(address.uri, address.identity))
        raise OutsideError(f"{address.identity}: cannot connect: {reason}", hint="check registry.uri") from error
    known = ScriptDirectory(str(migrations)).get_current_head()
    if found != known:
        raise InputError(
            f"{address.identity}: the database has schema {found}, but the installed mlflow package needs {known}",
            hint="set registry.uri to its MLflow server, or install the mlflow version of that server with m2g",
        )
