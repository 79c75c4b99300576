"""What both check: right objects (golden repositories, schema manifests, Kubernetes' own kinds) and faults in them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from enum import StrEnum
from pathlib import Path
from typing import Any, NamedTuple

import ryaml

from m2g import kustomize
from tests.support import manifests
from tests.support.manifests import GONE, Manifest
from tests.support.paths import GOLDEN, ROOT

SCHEMAS = ROOT / "schemas"
_OURS = "kustomize.config.k8s.io/"
_BEYOND = {int: (2**31, 2**63, -1), str: (), bool: ()}
_TEXT = "No such Thing!"
_OTHER: dict[type, object] = {str: [["x"]], bool: "true", int: "1", float: "x", dict: "x", list: "x"}


class Fault(StrEnum):
    """What was done to a right object."""

    NONE = "none"
    MISSPELT = "misspelt"
    MISSING = "missing"
    TYPE = "type"
    RANGE = "range"
    TEXT = "text"
    NULL = "null"
    TWICE = "twice"


class Case(NamedTuple):
    """One object; `where` is the place of the fault, with list positions as `0`."""

    source: str
    fault: Fault
    where: tuple[str, ...]
    manifest: Manifest

    @property
    def builtin(self) -> bool:
        """Whether it is one of Kubernetes' own kinds."""
        group = str(self.manifest.get("apiVersion")).rpartition("/")[0]
        ours = (SCHEMAS / f"{group}.json").is_file() or (SCHEMAS / group).is_dir()
        return not group or not ours

    def __str__(self) -> str:
        return f"{self.source}: {self.fault} {'.'.join(self.where)}"


_GOLDEN_SINCE = {
    "settings-kserve": "0.20",
    "settings-companions": "0.18",
    "canary-spec": "0.20",
    "canary-promoted": "0.20",
}
"""The golden repositories that have a field of a newer KServe (storageContainerName, spec.canary) → its version."""


def right(kserve: str) -> list[Case]:
    """Objects without a fault, for one KServe version."""
    return [*golden(kserve), *written(kserve), *kubernetes()]


def golden(kserve: str) -> Iterator[Case]:
    """Every object of every overlay that this KServe version takes, by the real kustomize."""
    known = (path for path in GOLDEN.iterdir() if path.is_dir())
    for root in sorted(path for path in known if _minor(_GOLDEN_SINCE.get(path.name, kserve)) <= _minor(kserve)):
        folders = sorted(str(path.relative_to(root)) for path in root.glob("models/*/overlays/*"))
        for folder, built in kustomize.build_overlays(root, folders).items():
            assert not built.error, (root.name, folder, built.error)
            for manifest in built.objects:
                yield _right(f"{root.name}/{folder}", dict(manifest))


def written(kserve: str) -> Iterator[Case]:
    """The manifests of tests/validation/schemas that this KServe version takes, but for kustomize's own files."""
    for name in manifests.names():
        if _minor(manifests.since(name)) <= _minor(kserve):
            for manifest in manifests.manifests(name):
                if not manifest["apiVersion"].startswith(_OURS):
                    yield _right(name, manifest)


def kubernetes() -> Iterator[Case]:
    """Kubernetes' own kinds."""
    text = Path(__file__).with_name("kubernetes.yaml").read_text()
    documents: list[Manifest] = ryaml.loads_all(text)
    return (_right("kubernetes", manifest) for manifest in documents)


def faults(objects: Iterable[Case]) -> Iterator[Case]:
    """Each object with one fault, in every place where one can be; of objects with the same fields only the first."""
    seen: set[str] = set()
    for case in objects:
        places = list(_places(case.manifest))
        shape = f"{case.manifest['kind']} {sorted(map(str, places))}"
        if shape not in seen:
            seen.add(shape)
            for path in places:
                where = tuple("0" if isinstance(step, int) else step for step in path)
                for fault, manifest in _changed(case.manifest, path):
                    yield Case(case.source, fault, where, manifest)


def _changed(manifest: Manifest, path: tuple[str | int, ...]) -> Iterator[tuple[Fault, Manifest]]:
    value = _inside(manifest, path)
    for fault, new in _changes(path, value):
        yield fault, manifests.changed(manifest, path, new)
    name = path[-1]
    if isinstance(name, str) and len(name) > 1:
        without = manifests.changed(manifest, path, GONE)
        yield Fault.MISSPELT, manifests.changed(without, [*path[:-1], name + name[-1]], value)


def _changes(path: tuple[str | int, ...], value: object) -> Iterator[tuple[Fault, object]]:
    if isinstance(path[-1], str):
        yield Fault.MISSING, GONE
    if type(value) in _OTHER:
        yield Fault.TYPE, _OTHER[type(value)]
    for beyond in _BEYOND.get(type(value), ()):
        yield Fault.RANGE, beyond
    if isinstance(value, str):
        yield Fault.TEXT, _TEXT
    if isinstance(value, list) and value:
        yield Fault.TWICE, [*value, value[0]]
    yield Fault.NULL, None


def _right(source: str, manifest: Manifest) -> Case:
    name = manifest["metadata"].get("name") or manifest["metadata"]["generateName"]
    return Case(f"{source} {manifest['kind']} {name}", Fault.NONE, (), manifest)


def _minor(version: str) -> int:
    return int(version.partition(".")[2])


def _places(value: Any, path: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in items:
        yield (*path, key)
        yield from _places(inner, (*path, key))


def _inside(manifest: Manifest, path: tuple[str | int, ...]) -> Any:
    value: Any = manifest
    for step in path:
        value = value[step]
    return value
