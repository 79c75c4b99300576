"""The folders of models as they lie on disk: every file read once, and one digest of it all."""

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
"""Bytes of a read: most files are one, and are not asked for their size first."""


class ModelFolder(msgspec.Struct, frozen=True, kw_only=True):
    """All files of one model: `models/<slug>/**` and `fleet/<environment>/<slug>.yaml`, by path.

    `odd` are symlinks and whatever else is not a plain file of bounded size: safe_files.read says why.
    `digest` is of every path and content; empty where something is odd, so that nothing is known without a look.
    `hollow` are folders with nothing in them: one of a kustomization's name is in kustomize's way.
    """

    slug: str
    files: Mapping[str, bytes]
    special_files: tuple[str, ...] = ()
    empty_folders: tuple[str, ...] = ()
    digest: bytes = b""

    def list_owned(self) -> list[str]:
        """The files in the places where m2g writes, sorted; people's files that lie there are among them."""
        linked = tuple(f"{path}/" for path in self.special_files)
        found = sorted(path for path in (*self.files, *self.special_files) if layout.is_owned(path))
        return [path for path in found if not path.startswith(linked)] if linked else found

    def read(self, root: Path, path: str) -> bytes:
        """The content of a file. Raises what safe_files.read raises."""
        found = self.files.get(path)
        if found is None and self.digest and not any(file.startswith(f"{path}/") for file in self.files):
            raise FileNotFoundError(path)
        return safe_files.read(root, path) if found is None else found

    def list_files(self, folder: str, ending: str) -> list[str]:
        """The files right in a folder of the model (`releases`) with this ending, sorted."""
        start = f"{layout.model(self.slug)}/{folder}/"
        found = (
            path for path in (*self.files, *self.special_files) if path.startswith(start) and path.endswith(ending)
        )
        return sorted(path for path in found if "/" not in path[len(start) :])

    def apply_changes(self, tree: Mapping[str, bytes], removals: Collection[str]) -> ModelFolder:
        """The folder after these files of it were written and removed."""
        if not tree and not removals:
            return self
        after = {path: content for path, content in self.files.items() if path not in removals} | dict(tree)
        hollow = tuple(path for path in self.empty_folders if not any(file.startswith(f"{path}/") for file in tree))
        digest = b"" if self.special_files else _digest(after, hollow)
        return ModelFolder(
            slug=self.slug, files=after, special_files=self.special_files, empty_folders=hollow, digest=digest
        )


def list_slugs(root: Path) -> list[str]:
    """The folders below models/, sorted; links are not followed."""
    return sorted(_folders(root / layout.MODELS))


def list_fleet_environments(root: Path) -> list[str]:
    """The folders below fleet/, sorted."""
    return sorted(_folders(root / layout.FLEET))


def find_symlinks(root: Path) -> list[str]:
    """Links in the place of models/, of fleet/ and of the folders right below these, wherever they lead, sorted."""
    found: list[str] = []
    for top in _TOPS:
        if (root / top).is_symlink():
            found.append(top)
        elif (root / top).is_dir():
            with os.scandir(root / top) as entries:
                linked = [entry for entry in entries if entry.is_symlink()]
            found += [f"{top}/{entry.name}" for entry in linked if not os.path.isfile(entry.path)]
    return sorted(found)


def list_overlays(root: Path) -> frozenset[layout.Key]:
    """(slug, environment) of every folder in an overlay's place."""
    found = (root / layout.MODELS).glob(f"*/{layout.OVERLAYS}/*")
    return frozenset((path.parts[-3], path.name) for path in found if path.is_dir())


def read(root: Path, slug: str, fleet: Sequence[str]) -> ModelFolder:
    """Read one model's folder; `fleet` are the folders of `environments`. Never raises for what is wrong in it."""
    found: dict[str, bytes] = {}
    odd: list[str] = []
    hollow: list[str] = []
    if os.path.lexists(f"{root}/{layout.model(slug)}"):
        hollow = _walk(f"{root}/{layout.model(slug)}", len(str(root)) + 1, found, odd)
    for environment in fleet:
        path = layout.flux_file(slug, environment)
        _take(root, path, found, odd)
    return ModelFolder(
        slug=slug,
        files=found,
        special_files=tuple(sorted(odd)),
        empty_folders=tuple(sorted(hollow)),
        digest=b"" if odd else _digest(found, hollow),
    )


def read_part(root: Path, slug: str, name: str) -> ModelFolder:
    """One folder of a model (`releases`), without a digest."""
    found: dict[str, bytes] = {}
    odd: list[str] = []
    folder = f"{layout.model(slug)}/{name}"
    place = f"{root}/{folder}"
    if os.path.islink(place):
        odd.extend(f"{folder}/{file}" for file in _listed(place))
    elif os.path.isdir(place):
        _walk(place, len(str(root)) + 1, found, odd)
    return ModelFolder(slug=slug, files=found, special_files=tuple(sorted(odd)))


def read_single(root: Path, slug: str, name: str) -> ModelFolder:
    """One file of a folder of a model (`releases/dev.json`), without a digest."""
    found: dict[str, bytes] = {}
    odd: list[str] = []
    path = f"{layout.model(slug)}/{name}"
    if os.path.islink(os.path.dirname(f"{root}/{path}")):
        odd.append(path)
    else:
        _take(root, path, found, odd)
    return ModelFolder(slug=slug, files=found, special_files=tuple(odd))


def read_orphans(root: Path, fleet: Sequence[str], known: frozenset[str]) -> ModelFolder:
    """The files of fleet/ that belong to no folder below models/; the slug is empty."""
    found: dict[str, bytes] = {}
    odd: list[str] = []
    for environment in fleet:
        for name in sorted(os.listdir(root / layout.FLEET / environment)):
            if name.endswith(".yaml") and name.removesuffix(".yaml") not in known:
                _take(root, f"{layout.FLEET}/{environment}/{name}", found, odd)
    return ModelFolder(slug="", files=found, special_files=tuple(sorted(odd)))


def _walk(folder: str, start: int, found: dict[str, bytes], odd: list[str]) -> list[str]:
    """Adds the files and whatever is odd to these; gives the folders with nothing in them."""
    try:
        with os.scandir(folder) as listing:
            entries = list(listing)
    except OSError:
        odd.append(folder[start:])
        return []
    hollow: list[str] = [] if entries else [folder[start:]]
    for entry in entries:
        path = entry.path
        if entry.is_dir(follow_symlinks=False):
            hollow += _walk(path, start, found, odd)
        elif entry.is_file(follow_symlinks=False):
            content = read_plain_file(path)
            if content is None:
                odd.append(path[start:])
            else:
                found[path[start:]] = content
        else:
            odd.append(path[start:])
            # What is in a linked folder is seen, and refused by name.
            odd.extend(f"{path[start:]}/{name}" for name in _listed(path))
    return hollow


def _listed(folder: str) -> list[str]:
    try:
        return sorted(os.listdir(folder))
    except OSError:
        return []


def _take(root: Path, path: str, found: dict[str, bytes], odd: list[str]) -> None:
    whole = f"{root}/{path}"
    if os.path.islink(whole):
        odd.append(path)
    elif os.path.isfile(whole):
        content = read_plain_file(whole)
        if content is None:
            odd.append(path)
        else:
            found[path] = content


def read_plain_file(path: str) -> bytes | None:
    """The bytes of a plain file; None for what only safe_files.read can speak of."""
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


def _digest(found: Mapping[str, bytes], hollow: Collection[str]) -> bytes:
    paths = sorted(found)
    heads = [*((path, len(found[path])) for path in paths), *((path, -1) for path in sorted(hollow))]
    try:
        head = msgspec.msgpack.encode(heads)
    except UnicodeEncodeError:  # a name on disk that is no UTF-8
        head = repr(heads).encode("ascii", "backslashreplace")
    return hashlib.blake2b(b"".join([head, *map(found.__getitem__, paths)]), digest_size=16).digest()


EMPTY_DIGEST = _digest({}, ())
"""The digest of a model of which there is nothing."""


def _folders(folder: Path) -> Iterator[str]:
    if folder.is_dir() and not folder.is_symlink():
        with os.scandir(folder) as entries:
            yield from (entry.name for entry in entries if entry.is_dir(follow_symlinks=False))
