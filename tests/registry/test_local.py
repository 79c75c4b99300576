"""Databases and folders that are not what they should be; the mlflow package missing."""

from __future__ import annotations

import shutil
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from m2g.core.errors import InputError, OutsideError
from m2g.registry import open_registry
from m2g.registry.address import parse_address
from m2g.registry.database import Snapshot, check_schema

TABLES = ("registered_models", "model_versions", "runs")


def database(path: Path, tables: tuple[str, ...] = TABLES, revision: str = "") -> str:
    with closing(sqlite3.connect(path)) as made, made:
        for table in tables:
            made.execute(f"CREATE TABLE {table} (name TEXT)")
        if revision:
            made.execute("CREATE TABLE alembic_version (version_num TEXT)")
            made.execute("INSERT INTO alembic_version VALUES (?)", (revision,))
    return f"sqlite:///{path}"


def test_a_database_that_is_not_there_is_not_made(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="does not exist"):
        open_registry(f"sqlite:///{tmp_path}/none.db").list_models()
    assert list(tmp_path.iterdir()) == []


def test_a_database_of_another_program(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="is not an MLflow database"):
        open_registry(database(tmp_path / "other.db", ("runs",))).list_models()


def test_a_file_that_is_no_database(tmp_path: Path) -> None:
    (tmp_path / "a.db").write_text("not a database, but long enough to look at" * 99)
    with pytest.raises(OutsideError, match="file is not a database"):
        open_registry(f"sqlite:///{tmp_path}/a.db").list_models()


@pytest.mark.slow
def test_a_database_of_a_newer_mlflow(tmp_path: Path) -> None:
    uri = database(tmp_path / "newer.db", revision="ffffffffffff")
    with pytest.raises(OutsideError, match="ffffffffffff") as raised:
        open_registry(uri).list_models()
    assert "newer MLflow" in raised.value.hint


def test_a_snapshot_goes_with_its_owner(tmp_path: Path) -> None:
    snapshot = Snapshot(parse_address(database(tmp_path / "a.db", revision="x")))
    copy = Path(snapshot.uri.removeprefix("sqlite:///"))
    assert copy.is_file()
    del snapshot
    assert not copy.parent.exists()


def test_a_shared_database_is_never_migrated(tmp_path: Path) -> None:
    """What PostgreSQL and MySQL get, tried on SQLite: the schema must be the installed package's own."""
    place = parse_address(database(tmp_path / "a.db", revision="0123"))
    with pytest.raises(InputError, match="has schema 0123") as raised:
        check_schema(place, _migrations())
    assert "MLflow server" in raised.value.hint
    with pytest.raises(InputError, match="not an MLflow database"):
        check_schema(parse_address(database(tmp_path / "b.db")), _migrations())


def test_a_shared_database_without_its_driver_or_server_says_so_without_the_password() -> None:
    for uri in ("postgresql://ada:hush@127.0.0.1:9/mlflow", "mysql+pymysql://ada:hush@127.0.0.1:9/mlflow"):
        with pytest.raises((InputError, OutsideError)) as raised:
            open_registry(uri).list_models()
        assert "hush" not in raised.value.message
        assert "127.0.0.1:9/mlflow" in raised.value.message


def _migrations() -> Path:
    import mlflow

    return Path(mlflow.__file__).parent / "store/db_migrations"


@pytest.mark.parametrize("uri", ["{}/none", "file://{}/none", "{}"])
def test_a_folder_without_models(uri: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no registered models found"):
        open_registry(uri.format(tmp_path)).list_models()
    assert list(tmp_path.iterdir()) == []


def test_a_damaged_folder_is_an_error(tmp_path: Path) -> None:
    model = tmp_path / "mlruns/models/wine"
    model.mkdir(parents=True)
    (model / "meta.yaml").write_text("name: [")
    with pytest.raises((InputError, OutsideError)):
        open_registry(str(tmp_path / "mlruns")).list_models()


def test_a_relative_uri_is_kept_and_resolved_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "mlruns/models").mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    registry = open_registry("./mlruns")
    assert registry.list_models() == []
    assert registry.list_versions() == []
    assert registry.find_model("none") is None
    assert registry.identity == "./mlruns"


WITHOUT = """
import sys
sys.modules["mlflow"] = None
from m2g.core.errors import InputError
from m2g.registry import open_registry
try:
    open_registry(sys.argv[1]).list_models()
except InputError as error:
    print(error.message, error.hint)
"""


def test_the_mlflow_package_is_missing(tmp_path: Path) -> None:
    (tmp_path / "mlruns/models").mkdir(parents=True)
    command = [sys.executable, "-c", WITHOUT, str(tmp_path / "mlruns")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert "the mlflow package is not installed" in done.stdout, done.stderr
    assert "pip install 'mlflow>=2.22,<4'" in done.stdout


def test_reading_a_server_needs_neither_mlflow_nor_its_friends() -> None:
    """A verb that asks a server must not wait three seconds for an import."""
    code = "import sys, m2g.registry.server; print({'mlflow', 'sqlalchemy', 'yaml', 'numpy'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


def test_what_is_left_in_tmp(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    folder = tmp_path / "mlruns"
    (folder / "models").mkdir(parents=True)
    open_registry(str(folder)).list_models()
    shutil.rmtree(folder)
    assert list(tmp_path.iterdir()) == []
