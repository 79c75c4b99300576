"""environment.tar.gz beside a model: m2g asks whether it exists, and never reads it whole."""

from __future__ import annotations

from pathlib import Path

import pytest

from m2g import mlmodel
from m2g.registry import artifacts, model_files
from m2g.registry.errors import RequestFailed, TooLarge

MLMODEL = b"flavors: {python_function: {loader_module: mlflow.sklearn, python_version: 3.11.7}}\n"


@pytest.mark.parametrize(("size", "packed"), [(None, False), (0, False), (5 << 20, True)])
def test_it_is_asked_for_on_the_disk(tmp_path: Path, size: int | None, packed: bool) -> None:
    (tmp_path / "MLmodel").write_bytes(MLMODEL)
    if size is not None:
        (tmp_path / "environment.tar.gz").write_bytes((b"\x1f\x8b" + b"x" * size)[:size])
    found = model_files.read(lambda name: artifacts.read(tmp_path, name))
    assert found.files.get("environment.tar.gz") == (b"" if packed else None)
    assert mlmodel.read(found.files).packed_environment is packed
    assert found.unread == ()


@pytest.mark.parametrize(
    ("error", "packed"),
    [
        (TooLarge("large", start=b"\x1f\x8b\x08"), True),
        (TooLarge("large", start=b"<html>"), False),
        (RequestFailed("HTTP 500"), False),
    ],
)
def test_a_server_that_does_not_answer_for_it_changes_nothing(error: RequestFailed, packed: bool) -> None:
    def read(name: str) -> bytes | None:
        if name == model_files.ENVIRONMENT:
            raise error
        return MLMODEL if name == "MLmodel" else None

    found = model_files.read(read)
    assert (model_files.ENVIRONMENT in found.files) is packed
    assert found.unread == ()
