"""Every file that an overlay is made of, read before kustomize runs: all must lie inside the repository."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

import msgspec

from m2g.core.manifest import Identity, get_at, identify
from m2g.kustomize.paths import FileState, PathResolver, ResolvedPath, read_state
from m2g.kustomize.references import (
    MAX_BYTES,
    PATCHES,
    PLUGINS,
    InvalidKustomization,
    as_list,
    check_plugin,
    find_references,
    load_yaml,
)

_KEPT = 500
"""Kustomizations: all of a fleet's would be much memory for what is asked once more at once or not at all."""
FILE_NAMES = ("kustomization.yaml", "kustomization.yml", "Kustomization")

_BATCHED = frozenset(
    (
        *("apiVersion", "kind", "metadata", "resources", "components", "namespace"),
        *("labels", "commonLabels", "commonAnnotations", *PATCHES),
    )
)
_OVER = frozenset(("apiVersion", "kind", "namespace", "resources", "patches"))
_BASE = frozenset(("apiVersion", "kind", "resources"))
_NAMES = re.compile(r"/(apiVersion|kind|metadata(/name(space)?)?)?$")
_FETCHES = re.compile(rb"https?:|\\[xuU]|!\S{0,40}(binary|%)|%TAG", re.IGNORECASE)


class Kustomization(msgspec.Struct, frozen=True, kw_only=True):
    """One kustomization file: what it says, and `data` where each patch has its content, parsed, as `documents`.

    `text` is the file's where that is all there is to it; empty where it has patches.
    """

    file: str
    fields: Mapping[str, object]
    data: Mapping[str, object]
    text: str = ""


class Graph(msgspec.Struct, frozen=True, kw_only=True):
    """All that one overlay is made of. `problem` is set where it must not be built, and `at` names the file."""

    folder: str
    kustomizations: tuple[Kustomization, ...] = ()
    files: Mapping[str, FileState] = {}
    """Each with what the disk said of it before it was read."""
    linked: bool = False
    """Whether a link leads to one of them: it may come to lead elsewhere."""
    plugins: bool = False
    """Whether there are plugins: `files` has what their configuration lies in, not what that names."""
    batchable: bool = False
    """Whether its build is the same when other overlays are built by the same process."""
    single_object: Identity | None = None
    """The one object that it builds to, where its files leave no doubt."""
    problem: str = ""
    hint: str = ""
    at: str = ""


class _Node(msgspec.Struct, frozen=True, kw_only=True):
    kustomization: Kustomization
    folders: tuple[str, ...]
    files: Mapping[str, FileState]
    linked: bool


class GraphReader:
    """Reads the kustomizations below `root`; those of some models are kept for their other overlays."""

    def __init__(self, root: Path) -> None:
        self.root = os.path.realpath(root)
        self._nodes: dict[str, _Node | InvalidKustomization] = {}
        self._alone: dict[str, Identity | None] = {}
        self._places = PathResolver(self.root)

    def read(self, folder: str) -> Graph:
        """What `folder` (relative to the root) is made of; never raises for what is wrong in it."""
        nodes: dict[str, _Node] = {}
        if len(self._nodes) > _KEPT:
            self._nodes.clear()
            self._alone.clear()
            self._places = PathResolver(self.root)
        try:
            top = self._places.resolve(folder, "", folder)
            self._walk(top.path, nodes)
            found = tuple(node.kustomization for node in nodes.values())
            files = {file: seen for node in nodes.values() for file, seen in node.files.items()}
            plugins = any(key in kustomization.data for kustomization in found for key in PLUGINS)
            if plugins:
                self._refuse_fetching(files)
        except InvalidKustomization as refused:
            return Graph(folder=folder, problem=refused.message, hint=refused.hint, at=refused.file)
        return Graph(
            folder=folder,
            kustomizations=found,
            files=files,
            linked=top.via_symlink or any(node.linked for node in nodes.values()),
            plugins=plugins,
            batchable=all(_together(kustomization.data) for kustomization in found),
            single_object=self._only(found),
        )

    def _only(self, found: Sequence[Kustomization]) -> Identity | None:
        """What an overlay of m2g's shape builds to: one object of a base, whose name and namespace no patch touches."""
        if len(found) != 2 or not (found[0].fields.keys() <= _OVER and found[1].fields.keys() <= _BASE):
            return None
        resources = as_list(found[1].fields.get("resources"))
        patches = [get_at(patch, "documents") for patch in as_list(found[0].data.get("patches"))]
        operations = [one for patch in patches if isinstance(patch, list) for one in patch]
        touched = [str(get_at(one, "path")) for several in operations if isinstance(several, list) for one in several]
        if len(resources) != 1 or any(isinstance(one, dict) for one in operations) or any(map(_NAMES.match, touched)):
            return None
        file = f"{found[1].file.rpartition('/')[0]}/{resources[0]}"
        if file not in self._alone:
            self._alone[file] = self._identity(file)
        alone, namespace = self._alone[file], found[0].fields.get("namespace")
        return alone if alone is None or not namespace else (alone[0], alone[1], str(namespace), alone[3])

    def _identity(self, file: str) -> Identity | None:
        """What the one object in a file is; None for another number of them, and for a list."""
        try:
            documents = self._yaml(file)
        except InvalidKustomization:
            return None
        if len(documents) != 1 or not isinstance(documents[0], dict):
            return None
        found = identify(documents[0])
        return None if found[1].endswith("List") else found

    def _walk(self, folder: str, nodes: dict[str, _Node]) -> None:
        waiting = [folder]
        while waiting:
            here = waiting.pop()
            if here in nodes:
                continue
            if here not in self._nodes:
                try:
                    self._nodes[here] = self._read(here)
                except InvalidKustomization as refused:
                    self._nodes[here] = refused
            node = self._nodes[here]
            if isinstance(node, InvalidKustomization):
                raise node
            nodes[here] = node
            waiting.extend(reversed(node.folders))

    def _read(self, folder: str) -> _Node:
        there = self._listed(folder)
        names = [name for name in FILE_NAMES if name in there]
        if len(names) != 1:
            raise InvalidKustomization(folder, f"has {len(names)} kustomization files, needs one: {FILE_NAMES[0]}")
        here = self._places.resolve(names[0], folder, f"{folder}/{names[0]}")
        file = here.path
        text = self._text(file)
        data = load_yaml(text, file)
        if len(data) != 1 or not isinstance(data[0], dict):
            raise InvalidKustomization(file, "is not one YAML mapping")
        said: dict[str, object] = {str(key): value for key, value in data[0].items()}
        found = {
            path: self._places.resolve(path, folder, file, place) for place, path in find_references(said, file, text)
        }
        patches = {
            key: [self._patch(patch, folder, file, found) for patch in as_list(said[key])]
            for key in PATCHES
            if key in said
        }
        kustomization = Kustomization(file=file, fields=said, data={**said, **patches}, text="" if patches else text)
        return _Node(
            kustomization=kustomization,
            folders=tuple(place.path for place in found.values() if place.is_folder),
            files={place.path: read_state(place.state) for place in (*found.values(), here) if not place.is_folder},
            linked=any(place.via_symlink for place in (*found.values(), here)),
        )

    def _listed(self, folder: str) -> list[str]:
        try:
            return os.listdir(self._absolute(folder))
        except OSError:  # as kustomize, which finds nothing there either
            return []

    def _refuse_fetching(self, files: Collection[str]) -> None:
        """Where plugins are used any file may be a plugin's configuration, and name what it wants to load."""
        for file in sorted(files):
            try:
                documents = self._yaml(file)
            except InvalidKustomization:  # perhaps no YAML at all; kustomize may still read it where ryaml does not
                if _FETCHES.search(Path(self._absolute(file)).read_bytes()):
                    raise
                continue
            check_plugin(documents, file)

    def _patch(self, patch: object, folder: str, file: str, found: Mapping[str, ResolvedPath]) -> Mapping[str, object]:
        """The patch with `documents`: dicts for a strategic merge, a list of operations for JSON 6902."""
        entry: Mapping[str, object] = patch if isinstance(patch, dict) else {"path": patch}
        text, path = entry.get("patch"), entry.get("path")
        if isinstance(patch, str) and "\n" in patch:
            text, path = patch, None
        if isinstance(text, str):
            return {**entry, "documents": load_yaml(text, file)}
        if not path:
            return entry
        place = found.get(str(path)) or self._places.resolve(str(path), folder, file, "patches")
        return {**entry, "documents": self._yaml(place.path)}

    def _absolute(self, file: str) -> str:
        return os.path.join(self.root, file)

    def _yaml(self, file: str) -> list[object]:
        return load_yaml(self._text(file), file)

    def _text(self, file: str) -> str:
        """What is in a file; nothing for a folder."""
        try:
            content = _content(self._absolute(file))
        except OSError as error:
            raise InvalidKustomization(file, f"cannot be read: {error.strerror}") from error
        if content is None:
            return ""
        if len(content) > MAX_BYTES:
            raise InvalidKustomization(file, f"larger than {MAX_BYTES >> 10} KiB")
        try:
            return content.decode()
        except UnicodeDecodeError as error:
            raise InvalidKustomization(file, f"not UTF-8 at byte {error.start}") from error


def _content(path: str) -> bytes | None:
    """What is in a file, up to one byte more than is allowed; None for a folder."""
    handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        state = os.fstat(handle)
        return None if stat.S_ISDIR(state.st_mode) else os.read(handle, min(state.st_size, MAX_BYTES) + 1)
    finally:
        os.close(handle)


def _together(data: Mapping[str, object]) -> bool:
    """Plugins, generators and schemas act on the whole process; a component's resources may be named twice."""
    return data.keys() <= _BATCHED and not (data.get("kind") == "Component" and data.get("resources"))
