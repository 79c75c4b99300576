"""Real manifests, and faults put into them one at a time."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

import ryaml

from tests.support.paths import ROOT

Manifest = dict[str, Any]
Place = Sequence[str | int]

GONE = object()
"""As a value: the field is taken away."""

_FOLDER = ROOT / "tests/validation/schemas/manifests"


def manifests(name: str) -> list[Manifest]:
    """The documents of one file."""
    documents: list[Manifest] = ryaml.loads_all((_FOLDER / f"{name}.yaml").read_text())
    return documents


def names() -> list[str]:
    """The files, sorted."""
    return sorted(path.stem for path in _FOLDER.glob("*.yaml"))


def since(name: str) -> str:
    """The first KServe version that takes a file: `since-0.20` says it itself."""
    return name.removeprefix("since-") if name.startswith("since-") else "0.15"


def of_kind(name: str, kind: str) -> Manifest:
    """The first document of that kind."""
    return next(document for document in manifests(name) if document["kind"] == kind)


def changed(manifest: Manifest, place: Place, value: object) -> Manifest:
    """A copy with one place set, or taken away."""
    new = copy.deepcopy(manifest)
    inner: Any = new
    for step in place[:-1]:
        inner = inner[step]
    if value is GONE:
        del inner[place[-1]]
    else:
        inner[place[-1]] = value
    return new
