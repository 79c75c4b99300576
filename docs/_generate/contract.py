"""mlflow-versions.md: what real MLflow servers of several releases did in the tests of the registry."""

from __future__ import annotations

from pathlib import Path

import msgspec
from docs._generate.words import table

OUTCOME = Path(__file__).parents[2] / "tests/contract/outcome.json"
_PAGE = """# MLflow releases, proved

For this test (`make contract`), real MLflow servers of these releases were filled with models by their own client, and
m2g read them. Releases between them were not tested.

"""
_NEWEST = """
MLflow 2.9 writes no `serving_input_example.json`, which the test of the files expects; m2g then makes sample requests
from the signature. Both failures of MLflow 3.4 are about a version whose files are gone: m2g reports a problem of this
version there, and no missing files. It is not released in either case.

The last one is the newest that pip could install. Of MLflow 3.18.0, pip said: "ERROR: No matching distribution found
for mlflow-skinny==3.18.0".
"""


class Server(msgspec.Struct, frozen=True):
    """One release, and the names of the tests."""

    mlflow: str
    passed: tuple[str, ...]
    failed: tuple[str, ...]


def page() -> str:
    """The page, from what `make contract` recorded."""
    servers = msgspec.json.decode(OUTCOME.read_bytes(), type=tuple[Server, ...])
    names = dict.fromkeys(name for one in servers for name in sorted((*one.passed, *one.failed)))
    rows = [
        (
            name.removeprefix("test_").replace("_", " "),
            *("as promised" if name in one.passed else "**fails**" if name in one.failed else "–" for one in servers),
        )
        for name in sorted(names)
    ]
    head = ("what was tested", *(f"MLflow {one.mlflow}" for one in servers))
    return f"{_PAGE}{table(head, rows)}{_NEWEST}"
