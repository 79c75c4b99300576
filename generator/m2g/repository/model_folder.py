"""Read the folder of a model from disk: every file once, with one digest of all contents."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path

import msgspec

from m2g.core import safe_files
from m2g.repository import layout

_TOPS = (layout.MODELS, layout.FLEET)
_PIECE = 64 << 10
"""Bytes per read. Most files need one read, so their size is not queried first."""


class ModelFolder(msgspec.Struct, frozen=True, kw_only=True):
    """All files of one model: `models/<slug>/**` and `fleet/<environment>/<slug>.yaml`, by path.

    `special_files` are symlinks and everything else that is not a regular file of limited size; safe_files.read raises
    the reason. `digest` covers every path and content; it is empty if there are special files, which must be checked
    each time. `empty_folders` matter because kustomize fails on a folder with the name of a kustomization file.
    """

    slug: str
    files: Mapping[str, bytes]
    special_files: tuple[str, ...] = ()
    empty_folders: tuple[str, ...] = ()
    digest: bytes = b""

    def list_owned(self) -> list[str]:
        """The files at paths that m2g owns, sorted, whoever wrote them."""
        linked = tuple(f"{path}/" for path in self.special_files)
        paths = sorted(path for path in (*self.files, *self.special_files) if layout.is_owned(path))
        return [path for path in paths if not path.startswith(linked)] if linked else paths

    def read(self, root: Path, path: str) -> bytes:
        """The content of a file. Raises the errors of safe_files.read."""
        content = self.files.get(path)
        if content is None and self.digest and not any(file.startswith(f"{path}/") for file in self.files):
            raise FileNotFoundError(path)
        return safe_files.read(root, path) if content is None else content

    def list_files(self, folder: str, suffix: str) -> list[str]:
        """The files directly in a folder of the model (`releases`) with this suffix, sorted."""
        start = f"{layout.model(self.slug)}/{folder}/"
        paths = (path for path in (*self.files, *self.special_files) if path.startswith(start))
        return sorted(path for path in paths if path.endswith(suffix) and "/" not in path[len(start) :])

    def apply_changes(self, tree: Mapping[str, bytes], removals: Collection[str]) -> ModelFolder:
        """The folder after some of its files were written and removed."""
        if not tree and not removals:
            return self
        after = {path: content for path, content in self.files.items() if path not in removals} | dict(tree)
        empty = tuple(path for path in self.empty_folders if not any(file.startswith(f"{path}/") for file in tree))
        digest = b"" if self.special_files else _digest(after, empty)
        return ModelFolder(
            slug=self.slug, files=after, special_files=self.special_files, empty_folders=empty, digest=digest
        )


def list_slugs(root: Path) -> list[str]:
    """The folders in models/, sorted. Symlinks are not followed."""
    return sorted(_folders(root / layout.MODELS))


def list_fleet_environments(root: Path) -> list[str]:
    """The folders in fleet/, sorted."""
    return sorted(_folders(root / layout.FLEET))


def find_symlinks(root: Path) -> list[str]:
    """Symlinks at the path of models/, of fleet/ and of the folders directly in them, sorted."""
    files: list[str] = []
    for top in _TOPS:
        if (root / top).is_symlink():
            files.append(top)
        elif (root / top).is_dir():
            with os.scandir(root / top) as entries:
                linked = [entry for entry in entries if entry.is_symlink()]
            files += [f"{top}/{entry.name}" for entry in linked if not os.path.isfile(entry.path)]
    return sorted(files)


def list_overlays(root: Path) -> frozenset[layout.Key]:
    """The keys of all folders at the path of an overlay."""
    files = (root / layout.MODELS).glob(f"*/{layout.OVERLAYS}/*")
    return frozenset((path.parts[-3], path.name) for path in files if path.is_dir())


def read(root: Path, slug: str, fleet: Sequence[str]) -> ModelFolder:
    """Read one model's folder. `fleet` are the folders in fleet/. Problems in the folder raise no error."""
    files: dict[str, bytes] = {}
    special: list[str] = []
    empty: list[str] = []
    if os.path.lexists(f"{root}/{layout.model(slug)}"):
        empty = _walk(f"{root}/{layout.model(slug)}", len(str(root)) + 1, files, special)
    for environment in fleet:
        path = layout.flux_file(slug, environment)
        _add_file(root, path, files, special)
    return ModelFolder(
        slug=slug,
        files=files,
        special_files=tuple(sorted(special)),
        empty_folders=tuple(sorted(empty)),
        digest=b"" if special else _digest(files, empty),
    )


def read_part(root: Path, slug: str, name: str) -> ModelFolder:
    """Read one folder of a model (`releases`), without a digest."""
    files: dict[str, bytes] = {}
    special: list[str] = []
    folder = f"{layout.model(slug)}/{name}"
    place = f"{root}/{folder}"
    if os.path.islink(place):
        special.extend(f"{folder}/{file}" for file in _list(place))
    elif os.path.isdir(place):
        _walk(place, len(str(root)) + 1, files, special)
    return ModelFolder(slug=slug, files=files, special_files=tuple(sorted(special)))


def read_record(root: Path, slug: str, environment: str) -> ModelFolder:
    """Read only the release record of one environment, without a digest."""
    files: dict[str, bytes] = {}
    special: list[str] = []
    path = layout.release(slug, environment)
    if os.path.islink(os.path.dirname(f"{root}/{path}")):
        special.append(path)
    else:
        _add_file(root, path, files, special)
    return ModelFolder(slug=slug, files=files, special_files=tuple(special))


def read_orphans(root: Path, fleet: Sequence[str], known: frozenset[str]) -> ModelFolder:
    """Read the files in fleet/ that belong to no folder in models/. The slug of the result is empty."""
    files: dict[str, bytes] = {}
    special: list[str] = []
    for environment in fleet:
        for name in sorted(os.listdir(root / layout.FLEET / environment)):
            path = f"{layout.FLEET}/{environment}/{name}"
            if not name.endswith(".yaml") or layout.parse_environment_path(path):
                continue
            if name.removesuffix(".yaml") not in known:
                _add_file(root, path, files, special)
    return ModelFolder(slug="", files=files, special_files=tuple(sorted(special)))


def _walk(folder: str, start: int, files: dict[str, bytes], special: list[str]) -> list[str]:
    """Add the files and special files to `files` and `special`; return the empty folders."""
    try:
        with os.scandir(folder) as listing:
            entries = list(listing)
    except OSError:
        special.append(folder[start:])
        return []
    empty: list[str] = [] if entries else [folder[start:]]
    for entry in entries:
        path = entry.path
        if entry.is_dir(follow_symlinks=False):
            empty += _walk(path, start, files, special)
        elif entry.is_file(follow_symlinks=False):
            content = read_plain_file(path)
            if content is None:
                special.append(path[start:])
            else:
                files[path[start:]] = content
        else:
            special.append(path[start:])
            # Files in a symlinked folder are listed, so that each gets a finding.
            special.extend(f"{path[start:]}/{name}" for name in _list(path))
    return empty


def _list(folder: str) -> list[str]:
    try:
        return sorted(os.listdir(folder))
    except OSError:
        return []


def _add_file(root: Path, path: str, files: dict[str, bytes], special: list[str]) -> None:
    whole = f"{root}/{path}"
    if os.path.islink(whole):
        special.append(path)
    elif os.path.isfile(whole):
        content = read_plain_file(whole)
        if content is None:
            special.append(path)
        else:
            files[path] = content


def read_plain_file(path: str) -> bytes | None:
    """The content of a regular file; None for anything else, for which safe_files.read raises the reason."""
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        content = os.read(handle, _PIECE)
        while more := os.read(handle, _PIECE):
            content += more
            if len(content) > safe_files.MAX_BYTES:
                return None
    except OSError:
        return None
    finally:
        os.close(handle)
    return content


def _digest(files: Mapping[str, bytes], empty: Collection[str]) -> bytes:
    paths = sorted(files)
    heads = [*((path, len(files[path])) for path in paths), *((path, -1) for path in sorted(empty))]
    try:
        head = msgspec.msgpack.encode(heads)
    except UnicodeEncodeError:  # a file name that is not UTF-8
        head = repr(heads).encode("ascii", "backslashreplace")
    return hashlib.blake2b(b"".join([head, *map(files.__getitem__, paths)]), digest_size=16).digest()


EMPTY_DIGEST = _digest({}, ())
"""The digest of a model without any files."""


def _folders(folder: Path) -> Iterator[str]:
    if folder.is_dir() and not folder.is_symlink():
        with os.scandir(folder) as entries:
            yield from (entry.name for entry in entries if entry.is_dir(follow_symlinks=False))
