"""Find what the models of a commit use outside their own folders. Most use nothing, and are not walked."""

from __future__ import annotations

import functools
import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from pathlib import Path

from m2g.git import read
from m2g.kustomize import FILE_NAMES, read_paths
from m2g.repository import layout

_MAX_SYMLINKS = 40
"""Symlinks on the path to one file; Linux has the same limit."""


def find_outside_paths(root: Path, entries: Mapping[str, read.Entry]) -> dict[str, frozenset[str]]:
    """Slug to the files, folders and symlinks outside its folder that its overlays use; models with none are left out.

    A folder includes everything in it. Paths outside `root`, or that m2g refuses to build, are ignored.
    """
    links = read.read_symlinks(root, entries)
    commit = _Commit(root, entries, links)
    slugs = {_find_slug(path) for path in links} | {
        _find_slug(path) for path, text in commit.texts.items() if _may_leave_folder(path, text)
    }
    starts: dict[str, set[str]] = {slug: set() for slug in slugs if slug}
    for path in (*commit.texts, *links):
        slug = _find_slug(path)
        if slug in starts:
            starts[slug].add(path if path in links else path.rpartition("/")[0])
    outside = {slug: commit.walk(paths, without=f"{layout.model(slug)}/") for slug, paths in starts.items()}
    return {slug: paths for slug, paths in outside.items() if paths}


def find_affected(outside: Mapping[str, Collection[str]], changed: Collection[str]) -> frozenset[str]:
    """The models that use a changed file outside their folders, or a path that a changed file now replaces."""
    users: dict[str, set[str]] = {}
    """Path to the slugs that use it."""
    users_below: dict[str, set[str]] = {}
    """Folder to the slugs that use something in it."""
    for slug, paths in outside.items():
        for path in paths:
            users.setdefault(path, set()).add(slug)
    for path, slugs in users.items():
        for folder in list_parents(path):
            users_below.setdefault(folder, set()).update(slugs)
    return frozenset(
        slug
        for path in changed
        for slugs in (users_below.get(path, ()), *(users.get(part, ()) for part in (path, *list_parents(path))))
        for slug in slugs
    )


def list_parents(path: str) -> Iterator[str]:
    """The folders that contain a path, the nearest first; the last is the root, ''."""
    while path:
        path = path.rpartition("/")[0]
        yield path


def _find_slug(path: str) -> str:
    """The slug of the model's folder that contains a path, or that the path is; empty for none."""
    location = layout.parse_path(path)
    return location.slug if location is not None and layout.find_top_folder(path) == layout.MODELS else ""


class _Commit:
    """The kustomizations of a commit and the paths that they use, relative to the root."""

    def __init__(self, root: Path, entries: Mapping[str, read.Entry], links: Mapping[str, str]) -> None:
        self._entries = entries
        self._links = links
        self._used: dict[str, tuple[str, ...]] = {}
        kustomizations = (path for path in entries if path.rpartition("/")[2] in FILE_NAMES)
        targets = (self._follow("", path)[-1:] for path in kustomizations)
        wanted = {path: entries[path] for target in targets for path in target if path in entries}
        self.texts = read.read_files(root, wanted)

    def walk(self, starts: Iterable[str], *, without: str) -> frozenset[str]:
        """Everything that the kustomizations in these folders, or below these symlinks, use, except below `without`."""
        paths: set[str] = set()
        waiting = [path for start in starts for path in self._expand(start)]
        while waiting:
            path = waiting.pop()
            if path not in paths:
                paths.add(path)
                waiting += () if path in self._entries else self._list_used(path)
        return frozenset(path for path in paths if not f"{path}/".startswith(without))

    def _expand(self, start: str) -> list[str]:
        """The path itself; for a symlink, its target and every kustomization below it."""
        if start not in self._links:
            return [start]
        steps = self._follow("", start)
        if steps[-1] in self._entries:
            return steps
        folders = (path.rpartition("/")[0] for path in self.texts)
        return [*steps, *(folder for folder in folders if f"{folder}/".startswith(f"{steps[-1]}/"))]

    def _list_used(self, folder: str) -> tuple[str, ...]:
        if folder not in self._used:
            self._used[folder] = tuple(self._read_used(folder))
        return self._used[folder]

    def _read_used(self, folder: str) -> Iterator[str]:
        """The paths that the folder's kustomization names, with the symlinks on the way."""
        for name in FILE_NAMES:
            steps = self._follow(folder, name)
            text = self.texts.get(steps[-1]) if steps else None
            if text is not None:
                yield from steps
                for path in read_paths(text, folder):
                    yield from self._follow(folder, path)

    def _follow(self, folder: str, text: str) -> list[str]:
        """The symlinks on the way of a path relative to a folder, and last its target, unless that is outside."""
        links: list[str] = []
        done = folder.split("/") if folder else []
        waiting = text.split("/")[::-1]
        while waiting:
            step = waiting.pop()
            if step == ".." and not done:
                return links
            if step == "..":
                done.pop()
            elif step not in ("", "."):
                done.append(step)
            place = "/".join(done)
            if place in self._links:
                links.append(place)
                if self._links[place].startswith("/") or len(links) > _MAX_SYMLINKS:
                    return links
                done.pop()
                waiting += self._links[place].split("/")[::-1]
        return [*links, "/".join(done)]


def _may_leave_folder(path: str, text: bytes) -> bool:
    """Whether a model's kustomization may name a path outside the model's folder, without parsing it.

    It may if a `..` is left after removing plain paths that stay inside, or a backslash could encode one.
    """
    if not path.startswith(f"{layout.MODELS}/") or path.count("/") < 2 or (b".." not in text and b"\\" not in text):
        return False
    rest = _inside_path(path.count("/") - 2).sub(b"", text)
    return b".." in rest or b"\\" in rest


@functools.cache
def _inside_path(depth: int) -> re.Pattern[bytes]:
    """A whole path that goes up at most `depth` folders, and then down by names."""
    return re.compile(
        rb"(?<![^\s\"'\[,])(\.\./){1,%d}[\w-][\w.-]*(/[\w-][\w.-]*)*(?=$|[\"'\],])" % depth if depth else rb"(?!)",
        re.MULTILINE,
    )
