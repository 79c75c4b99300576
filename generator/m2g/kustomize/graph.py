"""Read every file of an overlay before kustomize runs, and check that all are inside the repository."""

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
"""Kustomizations to keep. Those of a whole fleet would need much memory, and are reused soon or never."""
FILE_NAMES = ("kustomization.yaml", "kustomization.yml", "Kustomization")

_BATCHED = frozenset(
    (
        *("apiVersion", "kind", "metadata", "resources", "components", "namespace"),
        *("labels", "commonLabels", "commonAnnotations", *PATCHES),
    )
)
_OVERLAY = frozenset(("apiVersion", "kind", "namespace", "resources", "patches"))
_BASE = frozenset(("apiVersion", "kind", "resources"))
_NAMES = re.compile(r"/(apiVersion|kind|metadata(/name(space)?)?)?$")
_SMALL = 2_000
"""Bytes of a file that cannot be nested too deeply for kustomize, which would need minutes. m2g's own are smaller."""
_FETCHES = re.compile(rb"https?:|\\[xuU]|!\S{0,40}(binary|%)|%TAG", re.IGNORECASE)


class Kustomization(msgspec.Struct, frozen=True, kw_only=True):
    """One kustomization file: its `fields`, and `data`, in which each patch has its parsed content as `documents`.

    `text` is the content of the file; empty if the file has patches.
    """

    file: str
    fields: Mapping[str, object]
    data: Mapping[str, object]
    text: str = ""


class Graph(msgspec.Struct, frozen=True, kw_only=True):
    """All files of one overlay. If it must not be built, `error` says why and `at` is the file."""

    folder: str
    kustomizations: tuple[Kustomization, ...] = ()
    files: Mapping[str, FileState] = {}
    """Each file with its state on disk before it was read."""
    linked: bool = False
    """Whether one of them is reached through a symlink, whose target can change."""
    plugins: bool = False
    """Whether it uses plugins. `files` contains their configuration files, but not the files that these refer to."""
    batchable: bool = False
    """Whether the result is the same if other overlays are built by the same process."""
    single_object: Identity | None = None
    """The one object that it builds to, if its files show that."""
    error: str = ""
    hint: str = ""
    at: str = ""


class _Node(msgspec.Struct, frozen=True, kw_only=True):
    kustomization: Kustomization
    folders: tuple[str, ...]
    files: Mapping[str, FileState]
    linked: bool


class GraphReader:
    """Reads the kustomizations in `root`. Recent ones are kept for other overlays of the same model."""

    def __init__(self, root: Path) -> None:
        self.root = os.path.realpath(root)
        self._nodes: dict[str, _Node | InvalidKustomization] = {}
        self._single_objects: dict[str, Identity | None] = {}
        self._paths = PathResolver(self.root)

    def read(self, folder: str) -> Graph:
        """Read all files of the overlay `folder` (relative to the root). Problems become `Graph.error`."""
        nodes: dict[str, _Node] = {}
        if len(self._nodes) > _KEPT:
            self._nodes.clear()
            self._single_objects.clear()
            self._paths = PathResolver(self.root)
        try:
            top = self._paths.resolve(folder, "", folder)
            self._walk(top.path, nodes)
            kustomizations = tuple(node.kustomization for node in nodes.values())
            files = {file: seen for node in nodes.values() for file, seen in node.files.items()}
            self._reject_deep(files)
            plugins = any(key in kustomization.data for kustomization in kustomizations for key in PLUGINS)
            if plugins:
                self._reject_urls(files)
        except InvalidKustomization as error:
            return Graph(folder=folder, error=error.message, hint=error.hint, at=error.file)
        return Graph(
            folder=folder,
            kustomizations=kustomizations,
            files=files,
            linked=top.via_symlink or any(node.linked for node in nodes.values()),
            plugins=plugins,
            batchable=all(_is_batchable(kustomization.data) for kustomization in kustomizations),
            single_object=self._find_single_object(kustomizations),
        )

    def _find_single_object(self, kustomizations: Sequence[Kustomization]) -> Identity | None:
        """The object of an overlay in m2g's form: one object in the base, whose name and namespace no patch changes."""
        if len(kustomizations) != 2:
            return None
        overlay, base = kustomizations
        if not (overlay.fields.keys() <= _OVERLAY and base.fields.keys() <= _BASE):
            return None
        resources = as_list(base.fields.get("resources"))
        patches = [get_at(patch, "documents") for patch in as_list(overlay.data.get("patches"))]
        operations = [one for patch in patches if isinstance(patch, list) for one in patch]
        paths = [str(get_at(one, "path")) for several in operations if isinstance(several, list) for one in several]
        if len(resources) != 1 or any(isinstance(one, dict) for one in operations) or any(map(_NAMES.match, paths)):
            return None
        file = f"{base.file.rpartition('/')[0]}/{resources[0]}"
        if file not in self._single_objects:
            self._single_objects[file] = self._identify(file)
        identity, namespace = self._single_objects[file], overlay.fields.get("namespace")
        if identity is None or not namespace:
            return identity
        return (identity[0], identity[1], str(namespace), identity[3])

    def _identify(self, file: str) -> Identity | None:
        """The identity of the only object in a file; None if there are more or none, or if it is a list."""
        try:
            documents = self._yaml(file)
        except InvalidKustomization:
            return None
        if len(documents) != 1 or not isinstance(documents[0], dict):
            return None
        identity = identify(documents[0])
        return None if identity[1].endswith("List") else identity

    def _walk(self, folder: str, nodes: dict[str, _Node]) -> None:
        waiting = [folder]
        while waiting:
            here = waiting.pop()
            if here in nodes:
                continue
            if here not in self._nodes:
                try:
                    self._nodes[here] = self._read(here)
                except InvalidKustomization as error:
                    self._nodes[here] = error
            node = self._nodes[here]
            if isinstance(node, InvalidKustomization):
                raise node
            nodes[here] = node
            waiting.extend(reversed(node.folders))

    def _read(self, folder: str) -> _Node:
        there = self._list(folder)
        names = [name for name in FILE_NAMES if name in there]
        if len(names) != 1:
            raise InvalidKustomization(
                folder, f"has {len(names)} kustomization files; it needs exactly one, {FILE_NAMES[0]}"
            )
        here = self._paths.resolve(names[0], folder, f"{folder}/{names[0]}")
        file = here.path
        text = self._text(file)
        data = load_yaml(text, file)
        if len(data) != 1 or not isinstance(data[0], dict):
            raise InvalidKustomization(file, "is not one YAML mapping")
        fields: dict[str, object] = {str(key): value for key, value in data[0].items()}
        resolved = {
            path: self._paths.resolve(path, folder, file, field) for field, path in find_references(fields, file, text)
        }
        patches = {
            key: [self._patch(patch, folder, file, resolved) for patch in as_list(fields[key])]
            for key in PATCHES
            if key in fields
        }
        kustomization = Kustomization(
            file=file, fields=fields, data={**fields, **patches}, text="" if patches else text
        )
        return _Node(
            kustomization=kustomization,
            folders=tuple(place.path for place in resolved.values() if place.is_folder),
            files={place.path: read_state(place.state) for place in (*resolved.values(), here) if not place.is_folder},
            linked=any(place.via_symlink for place in (*resolved.values(), here)),
        )

    def _list(self, folder: str) -> list[str]:
        try:
            return os.listdir(self._absolute(folder))
        except OSError:  # kustomize finds nothing there, either
            return []

    def _reject_urls(self, files: Collection[str]) -> None:
        """With plugins, every file can be the configuration of a plugin and refer to something to load."""
        for file in sorted(files):
            try:
                documents = self._yaml(file)
            except InvalidKustomization:  # kustomize may still parse a file that ryaml does not
                if _FETCHES.search(Path(self._absolute(file)).read_bytes()):
                    raise
                continue
            check_plugin(documents, file)

    def _reject_deep(self, files: Collection[str]) -> None:
        """Values in values in values, and aliases: kustomize would follow them for as long as it may run."""
        for file in sorted(files):
            try:
                text = self._text(file)
                if len(text) > _SMALL or "&" in text:
                    load_yaml(text, file)
            except InvalidKustomization as error:  # data of a generator, or what kustomize reports itself
                if "recursion" in error.message:
                    raise

    def _patch(
        self, patch: object, folder: str, file: str, resolved: Mapping[str, ResolvedPath]
    ) -> Mapping[str, object]:
        """The patch with its parsed content as `documents`: dicts for a strategic merge, a list of operations for JSON
        6902."""
        entry: Mapping[str, object] = patch if isinstance(patch, dict) else {"path": patch}
        text, path = entry.get("patch"), entry.get("path")
        if isinstance(patch, str) and "\n" in patch:
            text, path = patch, None
        if isinstance(text, str):
            return {**entry, "documents": load_yaml(text, file)}
        if not path:
            return entry
        place = resolved.get(str(path)) or self._paths.resolve(str(path), folder, file, "patches")
        return {**entry, "documents": self._yaml(place.path)}

    def _absolute(self, file: str) -> str:
        return os.path.join(self.root, file)

    def _yaml(self, file: str) -> list[object]:
        return load_yaml(self._text(file), file)

    def _text(self, file: str) -> str:
        """The content of a file; empty for a folder."""
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
    """The content of a file, up to one byte more than allowed; None for a folder."""
    handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        state = os.fstat(handle)
        return None if stat.S_ISDIR(state.st_mode) else os.read(handle, min(state.st_size, MAX_BYTES) + 1)
    finally:
        os.close(handle)


def _is_batchable(data: Mapping[str, object]) -> bool:
    """Plugins, generators and schemas affect the whole process, and resources of a component may be listed twice."""
    return data.keys() <= _BATCHED and not (data.get("kind") == "Component" and data.get("resources"))
