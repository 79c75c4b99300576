"""Find the file that sets a field of a built object: component, record, model.yaml or m2g.yaml."""

from __future__ import annotations

import fnmatch
import posixpath
from collections.abc import Iterator, Sequence
from pathlib import Path

from m2g.core.json_patch import parse_pointer
from m2g.core.manifest import Manifest, get_at
from m2g.core.model import Value
from m2g.kustomize import Kustomization
from m2g.repository import layout, locate
from m2g.repository.layout import CONFIG, Key
from m2g.serving import backends
from m2g.serving.backend import Backend, Place

_FROM_CONFIG: dict[Place, Place] = {
    ("metadata", "namespace"): ("environments",),
    ("metadata", "name"): ("models", "slugs"),
}


class Source(Value, frozen=True, kw_only=True):
    """A file and a line, from 1; 0 if the line is unknown."""

    file: str
    line: int = 0


def find_source(root: Path, key: Key, kustomizations: Sequence[Kustomization], item: Manifest, place: Place) -> Source:
    """Where a user can change the field at `place` of an object that the overlay builds."""
    slug, environment = key
    custom = [kustomization for kustomization in kustomizations if kustomization.data.get("kind") == "Component"]
    for file, where, patched in _find_patches(custom):
        if patched[: len(place)] == place or place[: len(patched)] == patched:
            return Source(file=file, line=locate.find_line(root, file, where))
    if custom and not (backends.find_backend(item) and get_at(item, "metadata", "name") == slug):
        return Source(file=custom[0].file)
    backend = backends.find_writer(item)
    if backend is not None and any(place[: len(known)] == known for known in backend.recorded):
        return Source(file=layout.release(slug, environment))
    return _find_setting(root, (slug, environment), backend, place)


def _find_patches(custom: Sequence[Kustomization]) -> Iterator[tuple[str, Place, Place]]:
    """(file, place in the file, place in the object) of every field that components patch."""
    for kustomization in custom:
        for key in ("patches", "patchesJson6902", "patchesStrategicMerge"):
            entries = kustomization.data.get(key)
            for index, entry in enumerate(entries if isinstance(entries, list) else []):
                path = get_at(entry, "path")
                here: Place = (key, index)
                file = kustomization.file
                if isinstance(path, str):
                    file, here = posixpath.normpath(posixpath.join(posixpath.dirname(file), path)), ()
                for patched, where in _find_places(get_at(entry, "documents")):
                    yield file, here or where, patched


def _find_places(patch: object) -> Iterator[tuple[Place, Place]]:
    """(place in the object, place in the patch) of every operation and of every leaf of a strategic merge."""
    for document in patch if isinstance(patch, list) else []:
        if isinstance(document, list):
            for index, operation in enumerate(document):
                pointer = get_at(operation, "path")
                if isinstance(pointer, str):
                    yield _parse_pointer(pointer), (index,)
        elif isinstance(document, dict):
            yield from ((leaf, leaf) for leaf in _list_leaves(document, ()) if leaf[0] not in ("apiVersion", "kind"))


def _list_leaves(node: object, place: Place) -> Iterator[Place]:
    if isinstance(node, dict) and node:
        for key, value in node.items():
            yield from _list_leaves(value, (*place, str(key)))
    elif place[:2] != ("metadata", "name"):
        yield place


def _parse_pointer(text: str) -> Place:
    return tuple(int(step) if step.isdigit() else step for step in parse_pointer(text) if step != "-")


def _list_teams(root: Path, slug: str) -> list[str]:
    document = locate.read_document(root, CONFIG)
    teams = get_at(document.data, "teams") if document is not None else None
    found: list[str] = []
    for name, team in teams.items() if isinstance(teams, dict) else ():
        patterns = get_at(team, "models")
        if isinstance(patterns, list) and any(fnmatch.fnmatchcase(slug, str(pattern)) for pattern in patterns):
            found.append(str(name))
    return found


def _find_operation(data: object, patch: Place, place: Place) -> Place:
    """The operation of the setting `patch` that decides the place; the empty place if none does."""
    operations = get_at(data, *patch)
    for index, operation in enumerate(operations if isinstance(operations, list) else []):
        pointer = get_at(operation, "path")
        patched = _parse_pointer(pointer) if isinstance(pointer, str) else ()
        if patched and patched == place[: len(patched)]:
            return (*patch, index)
    return ()


def _find_setting(root: Path, key: Key, backend: Backend | None, place: Place) -> Source:
    """The file that sets it: model.yaml before m2g.yaml, an environment's settings first; or else where to set it."""
    slug, environment = key
    own = layout.model_yaml(slug)
    configured = _FROM_CONFIG if backend is None else {**backend.configured, **_FROM_CONFIG}
    for known, where in configured.items():
        if place[: len(known)] == known:
            return Source(file=CONFIG, line=locate.find_line(root, CONFIG, where))
    settings = {} if backend is None else backend.settings
    name = next((name for known, name in settings.items() if place[: len(known)] == known), "")
    layers: list[tuple[str, Place]] = [
        (own, ("environments", environment, "settings")),
        (own, ("settings",)),
        *((CONFIG, ("teams", team, "settings")) for team in _list_teams(root, slug)),
        (CONFIG, ("environments", environment, "settings")),
        (CONFIG, ("defaults",)),
    ]
    for file, layer in layers:
        document = locate.read_document(root, file)
        if document is None:
            continue
        where = (*layer, name) if name else _find_operation(document.data, (*layer, "patch"), place)
        if where and where in document.lines:
            return Source(file=file, line=document.find_line(where))
    return Source(file=own if (root / own).is_file() else layout.overlay(slug, environment))
