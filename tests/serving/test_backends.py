"""What follows from a serving backend's value is what it says: the kinds that m2g writes, the parts of the scaffold."""

from __future__ import annotations

import runpy
from pathlib import Path

import ryaml

from m2g.core import resources
from m2g.core.manifest import get_at
from m2g.serving.backend import Kind
from m2g.serving.backends import BACKENDS

GOLDEN = Path(__file__).parents[1] / "golden"
_OF_TOOLS = ("kustomize.config.k8s.io", "kustomize.toolkit.fluxcd.io")


def test_the_backends_name_every_kind_that_the_golden_repositories_have() -> None:
    files = [*GOLDEN.glob("*/models/*/base/*.yaml"), *GOLDEN.glob("*/models/*/overlays/**/*.yaml")]
    objects = [found for file in files if isinstance(found := ryaml.loads(file.read_text()), dict)]
    kinds = {
        Kind(group=str(get_at(item, "apiVersion")).rpartition("/")[0], kind=str(get_at(item, "kind")))
        for item in objects
    }
    assert {kind for kind in kinds if kind.group not in _OF_TOOLS} == {
        kind for backend in BACKENDS.values() for kind in (*backend.writes, *backend.beside)
    }


def test_the_parts_of_the_scaffold_are_what_the_backends_say() -> None:
    derive = runpy.run_path(str(resources.find_root() / "schemas/derive/scaffold.py"))
    for path, text in derive["parts"]().items():
        assert path.read_text() == text, f"{path.name} is out of date: run schemas/derive/scaffold.py"
