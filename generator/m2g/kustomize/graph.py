"""What a kustomization refers to, read before kustomize runs: whatever leaves the repository is refused here.

kustomize has no switch against remote bases: it fetches any http(s) resource itself (a proxy setting does not stop
it for localhost) and starts git for the rest. So every reference must be a path that exists inside the repository.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterator, Mapping
from pathlib import Path

import msgspec

from m2g.errors import InputError
from m2g.manifest import read_all

MAX_BYTES = 1 << 20
FILE_NAMES = ("kustomization.yaml", "kustomization.yml", "Kustomization")

_PLACES = ("resources", "bases", "components", "crds", "configurations")
_PLUGINS = ("generators", "transformers", "validators")
_PATCHES = ("patches", "patchesJson6902", "patchesStrategicMerge")
_SOURCES = ("configMapGenerator", "secretGenerator", "replacements", "openapi")
_PATH_KEYS = frozenset((*_PLACES, *_PLUGINS, "path", "paths", "files", "env", "envs"))
_REMOTE = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:|[^/]*@|(www\.)?github\.com([:/]|$)|.*(\?|//)", re.DOTALL)
_FETCHED = re.compile(r"https?:", re.IGNORECASE)
_BATCHED = frozenset(
    (
        *("apiVersion", "kind", "metadata", "resources", "components", "namespace"),
        *("labels", "commonLabels", "commonAnnotations", *_PATCHES),
    )
)


class Kustomization(msgspec.Struct, frozen=True, kw_only=True):
    """One kustomization file: what it says, and `data` where each patch has its content, parsed, as `documents`."""

    file: str
    said: Mapping[str, object]
    data: Mapping[str, object]


class Graph(msgspec.Struct, frozen=True, kw_only=True):
    """All that one overlay is made of. `problem` is set where it must not be built, and `at` names the file."""

    folder: str
    kustomizations: tuple[Kustomization, ...] = ()
    files: frozenset[str] = frozenset()
    together: bool = False
    """Whether its build is the same when other overlays are built by the same process."""
    problem: str = ""
    hint: str = ""
    at: str = ""


class _Node(msgspec.Struct, frozen=True, kw_only=True):
    kustomization: Kustomization
    folders: tuple[str, ...]
    files: tuple[str, ...]


class Refused(InputError):
    """A reference that must not be followed; `file` is the one that has it."""

    def __init__(self, file: str, message: str, hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.file = file


class Reader:
    """Reads the kustomizations below `root`, each once."""

    def __init__(self, root: Path) -> None:
        self.root = os.path.realpath(root)
        self._nodes: dict[str, _Node | Refused] = {}

    def graph(self, folder: str) -> Graph:
        """What `folder` (relative to the root) is made of; never raises for what is wrong in it."""
        nodes: dict[str, _Node] = {}
        try:
            self._walk(self._inside(folder, "", folder), nodes)
            found = tuple(node.kustomization for node in nodes.values())
            files = frozenset(file for node in nodes.values() for file in (*node.files, node.kustomization.file))
            if any(key in kustomization.data for kustomization in found for key in _PLUGINS):
                self._refuse_fetching(files)
        except Refused as refused:
            return Graph(folder=folder, problem=refused.message, hint=refused.hint, at=refused.file)
        together = all(_together(kustomization.data) for kustomization in found)
        return Graph(folder=folder, kustomizations=found, files=files, together=together)

    def _walk(self, folder: str, nodes: dict[str, _Node]) -> None:
        waiting = [folder]
        while waiting:
            here = waiting.pop()
            if here in nodes:
                continue
            if here not in self._nodes:
                try:
                    self._nodes[here] = self._read(here)
                except Refused as refused:
                    self._nodes[here] = refused
            node = self._nodes[here]
            if isinstance(node, Refused):
                raise node
            nodes[here] = node
            waiting.extend(reversed(node.folders))

    def _read(self, folder: str) -> _Node:
        names = [name for name in FILE_NAMES if os.path.lexists(self._absolute(folder, name))]
        if len(names) != 1:
            raise Refused(folder, f"has {len(names)} kustomization files, needs one: {FILE_NAMES[0]}")
        file = self._inside(names[0], folder, f"{folder}/{names[0]}")
        data = self._yaml(file)
        if len(data) != 1 or not isinstance(data[0], dict):
            raise Refused(file, "is not one YAML mapping")
        said: dict[str, object] = {str(key): value for key, value in data[0].items()}
        folders: list[str] = []
        files: list[str] = []
        for key, text in _references(said, file):
            _refuse_remote(text, file, key)
            where = self._inside(text, folder, file, key)
            (folders if os.path.isdir(self._absolute(where)) else files).append(where)
        patches = {
            key: [self._patch(patch, folder, file) for patch in _list(said[key])] for key in _PATCHES if key in said
        }
        kustomization = Kustomization(file=file, said=said, data={**said, **patches})
        return _Node(kustomization=kustomization, folders=tuple(folders), files=tuple(files))

    def _refuse_fetching(self, files: frozenset[str]) -> None:
        """Where plugins are used any file may be a plugin's configuration, and name what it wants to load."""
        for file in sorted(files):
            for text in _paths(self._yaml(file)):
                if _FETCHED.match(text):
                    _refuse_remote(text, file, "path")

    def _patch(self, patch: object, folder: str, file: str) -> Mapping[str, object]:
        """The patch with `documents`: dicts for a strategic merge, a list of operations for JSON 6902."""
        entry: Mapping[str, object] = patch if isinstance(patch, dict) else {"path": patch}
        text, path = entry.get("patch"), entry.get("path")
        if isinstance(patch, str) and "\n" in patch:
            text, path = patch, None
        if isinstance(text, str):
            return {**entry, "documents": _load(text, file)}
        return {**entry, "documents": self._yaml(self._inside(str(path), folder, file, "patches"))} if path else entry

    def _inside(self, text: str, folder: str, file: str, key: str = "") -> str:
        """`text`, seen from `folder`, as a path relative to the root; refused unless it exists inside the root."""
        where = f"{key}: {text[:200]!r}" if key else "this path"
        try:
            real = os.path.realpath(os.path.join(self.root, folder, text))
            if real != self.root and not real.startswith(self.root.rstrip(os.sep) + os.sep):
                hint = "copy what you need into the repository"
                raise Refused(file, f"{where} leads outside the repository", hint)
            mode = os.stat(real).st_mode
        except (OSError, ValueError) as error:
            raise Refused(file, f"{where} does not exist", "create it, or remove the reference") from error
        if not stat.S_ISREG(mode) and not stat.S_ISDIR(mode):
            raise Refused(file, f"{where} is neither a file nor a folder")
        return os.path.relpath(real, self.root).replace(os.sep, "/") if real != self.root else ""

    def _absolute(self, *parts: str) -> str:
        return os.path.join(self.root, *parts)

    def _yaml(self, file: str) -> list[object]:
        path = self._absolute(file)
        if os.path.isdir(path):
            return []
        try:
            if os.path.getsize(path) > MAX_BYTES:
                raise Refused(file, f"larger than {MAX_BYTES >> 10} KiB")
            content = Path(path).read_bytes()
        except OSError as error:
            raise Refused(file, f"cannot be read: {error.strerror}") from error
        try:
            return _load(content.decode(), file)
        except UnicodeDecodeError as error:
            raise Refused(file, f"not UTF-8 at byte {error.start}") from error


def _load(text: str, file: str) -> list[object]:
    try:
        return read_all(text)
    except ValueError as error:
        raise Refused(file, f"not valid YAML: {error}") from error


def _together(data: Mapping[str, object]) -> bool:
    """Plugins, generators and schemas act on the whole process; a component's resources may be named twice."""
    return data.keys() <= _BATCHED and not (data.get("kind") == "Component" and data.get("resources"))


def _references(content: Mapping[str, object], file: str) -> Iterator[tuple[str, str]]:
    """Every path that a kustomization names, with the place that names it."""
    for key in ("helmCharts", "helmChartInflationGenerator"):
        if key in content:
            raise Refused(file, f"{key}: m2g runs no Helm", "render the chart yourself and commit the result")
    for key in (*_PLACES, *_PLUGINS, *_PATCHES, *_SOURCES):
        for index, entry in enumerate(_list(content.get(key))):
            place = f"{key}[{index}]"
            if isinstance(entry, str):
                if "\n" not in entry or key in _PLACES:
                    yield place, entry
                elif key in _PLUGINS:
                    for text in _paths(_load(entry, file)):
                        _refuse_remote(text, file, place)
            elif isinstance(entry, dict):
                for text in _files(entry):
                    yield place, text


def _files(entry: Mapping[str, object]) -> Iterator[str]:
    """The paths of one patch, generator, replacement or openapi entry; `key=path` names a path."""
    for key in ("path", "env"):
        text = entry.get(key)
        if isinstance(text, str):
            yield text
    for key in ("files", "envs"):
        for text in _list(entry.get(key)):
            if isinstance(text, str):
                yield text.partition("=")[2] or text


def _paths(node: object) -> Iterator[str]:
    """Every text below a key that can hold a path, at any depth."""
    if isinstance(node, dict):
        for key, value in node.items():
            for item in _list(value):
                if isinstance(item, str) and key in _PATH_KEYS:
                    yield item.partition("=")[2] or item
                else:
                    yield from _paths(item)
    elif isinstance(node, list):
        for item in node:
            yield from _paths(item)


def _list(value: object) -> list[object]:
    return value if isinstance(value, list) else [] if value is None else [value]


def _refuse_remote(text: str, file: str, key: str) -> None:
    if text.startswith("/") or _REMOTE.match(text):
        raise Refused(
            file,
            f"{key}: {text[:200]} is not a path inside the repository",
            "m2g builds without a network: commit the files and refer to them by a relative path",
        )
