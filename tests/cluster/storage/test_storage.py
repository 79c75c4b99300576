"""KServe's own storage initializer reads each form of storageUri that m2g writes."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping
from pathlib import Path

import pytest

from m2g.core.config_types import Rewrite
from m2g.core.errors import InputError
from m2g.serving.storage_uri import to_cluster_uri
from tests.cluster.conftest import Note
from tests.support.cluster.stores import stores
from tests.support.machine import seconds
from tests.support.paths import ROOT

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(300)]

PYTHON = ROOT / ".tools/storage-venv/bin/python"
MODEL = {
    "MLmodel": b"flavors: {}\n",
    "model.pkl": bytes(range(256)) * 64,
    "code/wine/model.py": b"x = 1\n",
    "data/a b+\xc3\xbc.json".encode("latin-1").decode(): b"{}\n",
}
EMPTY = {"code/wine/__init__.py": b""}
FILES = {
    **{f"models/m-1/{name}": body for name, body in {**MODEL, **EMPTY}.items()},
    **{f"hub/{name}": body for name, body in {**MODEL, **EMPTY}.items()},
    "models/m-1-old/MLmodel": b"another model\n",
}
NEIGHBOUR = {"-old/MLmodel": b"another model\n"}
"""What KServe copies from Azure's neighbour: it removes the slash at the end of the URI."""
_KEEP_EMPTY = ("Google Cloud Storage", "Hugging Face")
PROXIED = Rewrite(from_="mlflow-artifacts:/", to="s3://mlflow/")
FORMS = {
    "S3": "s3://mlflow/models/m-1",
    "S3, as Hadoop names it": "s3a://mlflow/models/m-1",
    "artifacts behind the tracking server, rewritten to S3": "mlflow-artifacts:/models/m-1",
    "Google Cloud Storage": "gs://mlflow/models/m-1",
    "Azure Blob Storage": "https://acme.blob.core.windows.net/mlflow/models/m-1",
    "Azure Blob Storage, as Hadoop names it": "wasbs://mlflow@acme.blob.core.windows.net/models/m-1",
    "Azure Data Lake": "abfss://mlflow@acme.dfs.core.windows.net/models/m-1",
    "Hugging Face": "hf://acme/wine:0000000000000000000000000000000000000001",
}


def download(uri: str, folder: Path, files: Mapping[str, bytes] = FILES) -> dict[str, bytes]:
    """The files that KServe's storage initializer brings."""
    to = folder / "models"
    with stores(files) as found:
        code = "import sys; from kserve_storage import Storage; Storage.download(*sys.argv[1:])"
        done = subprocess.run(
            [PYTHON, "-P", "-c", code, uri, str(to)],
            env={"PATH": os.environ["PATH"], **found.environment},
            cwd=folder,
            capture_output=True,
            text=True,
            timeout=seconds(120),
            check=False,
        )
        assert done.returncode == 0, done.stderr + "\n".join(found.asked)
    got = {path.relative_to(to).as_posix(): path.read_bytes() for path in to.rglob("*") if path.is_file()}
    return {name: body for name, body in got.items() if not name.startswith(".cache/")}


@pytest.mark.parametrize("form", FORMS)
def test_the_initializer_reads(form: str, tmp_path: Path, note: Note) -> None:
    got = download(to_cluster_uri(FORMS[form], [PROXIED], []), tmp_path)
    azure = "Azure" in form
    # The readers of S3 and Azure skip empty files; docs/how-to/mlflow-server.md says so.
    assert got == {**MODEL, **(NEIGHBOUR if azure else {}), **(EMPTY if form in _KEEP_EMPTY else {})}
    note(
        f"KServe's storage initializer downloads a model: {form}",
        "with a folder beside it whose name begins alike" if azure else "as promised",
    )


def test_a_file_share_is_refused_for_a_reason(tmp_path: Path, note: Note) -> None:
    """m2g refuses a folder of a share; this is what would happen."""
    uri = "https://acme.file.core.windows.net/mlflow/models/m-1/"
    with pytest.raises(InputError, match="Azure file share"):
        to_cluster_uri(uri, [], [])
    files = {f"models/m-1/{name}": body for name, body in MODEL.items()}
    assert download(uri, tmp_path, files) == {f"models/m-1/{name}": body for name, body in MODEL.items()}
    note("KServe's storage initializer copies a folder of an Azure file share below its path: m2g refuses it")
