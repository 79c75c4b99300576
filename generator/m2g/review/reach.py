"""What a commit's models are made of beyond their own folders: most refer to nothing there, and are not walked."""

from __future__ import annotations

import functools
import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from pathlib import Path

from m2g.git import read
from m2g.kustomize import FILE_NAMES, read_paths

_LINKS = 40
"""On the way to one file; Linux follows no more either."""


def beyond(root: Path, entries: Mapping[str, read.Entry]) -> dict[str, frozenset[str]]:
    """Slug to the files, folders and links outside its folder that its overlays lead to; those with none are left out.

    A folder stands for all that is in it. What leads out of `root`, or is refused before kustomize runs, leads nowhere.
    """
    links = read.read_symlinks(root, entries)
    commit = _Commit(root, entries, links)
    leading = {path.split("/")[1] for path in links if path.startswith("models/")}
    leading |= {path.split("/")[1] for path, text in commit.texts.items() if _leads_out(path, text)}
    folders: dict[str, set[str]] = {slug: set() for slug in leading}
    for path in (*commit.texts, *links):
        parts = path.split("/")
        if parts[0] == "models" and len(parts) > 1 and parts[1] in leading:
            folders[parts[1]].add(path if path in links else path.rpartition("/")[0])
    found = {slug: commit.reached(several, but=f"models/{slug}/") for slug, several in folders.items()}
    return {slug: places for slug, places in found.items() if places}


def touched(led: Mapping[str, Collection[str]], changed: Collection[str]) -> frozenset[str]:
    """The models that are led to a changed file, or to a place that a changed one now is in the way of."""
    ways: dict[str, set[str]] = {}
    """Folders above a place, to who is led there."""
    places: dict[str, set[str]] = {}
    for slug, several in led.items():
        for place in several:
            places.setdefault(place, set()).add(slug)
    for place, slugs in places.items():
        for folder in above(place):
            ways.setdefault(folder, set()).update(slugs)
    return frozenset(
        slug
        for path in changed
        for found in (ways.get(path, ()), *(places.get(part, ()) for part in (path, *above(path))))
        for slug in found
    )


def above(path: str) -> Iterator[str]:
    """The folders that a path lies in, the nearest first; the last is the root, ''."""
    while path:
        path = path.rpartition("/")[0]
        yield path


class _Commit:
    """The kustomizations of a commit, and where they lead; paths are relative to the root."""

    def __init__(self, root: Path, entries: Mapping[str, read.Entry], links: Mapping[str, str]) -> None:
        self._entries = entries
        self._links = links
        self._next: dict[str, tuple[str, ...]] = {}
        said = (path for path in entries if path.rpartition("/")[2] in FILE_NAMES)
        ends = (self._followed("", path)[-1:] for path in said)
        wanted = {path: entries[path] for end in ends for path in end if path in entries}
        self.texts = read.read_files(root, wanted)

    def reached(self, starts: Iterable[str], *, but: str) -> frozenset[str]:
        """All that the kustomizations in these folders, or below these links, lead to; not what lies below `but`."""
        found: set[str] = set()
        waiting = [place for start in starts for place in self._below(start)]
        while waiting:
            here = waiting.pop()
            if here not in found:
                found.add(here)
                waiting += () if here in self._entries else self._led(here)
        return frozenset(place for place in found if not f"{place}/".startswith(but))

    def _below(self, start: str) -> list[str]:
        """The place itself; for a link where it leads, with every kustomization there."""
        if start not in self._links:
            return [start]
        way = self._followed("", start)
        if way[-1] in self._entries:
            return way
        folders = (path.rpartition("/")[0] for path in self.texts)
        return [*way, *(folder for folder in folders if f"{folder}/".startswith(f"{way[-1]}/"))]

    def _led(self, folder: str) -> tuple[str, ...]:
        if folder not in self._next:
            self._next[folder] = tuple(self._named(folder))
        return self._next[folder]

    def _named(self, folder: str) -> Iterator[str]:
        """What the folder's kustomization names, with the links on the way."""
        for name in FILE_NAMES:
            way = self._followed(folder, name)
            text = self.texts.get(way[-1]) if way else None
            if text is not None:
                yield from way
                for path in read_paths(text, folder):
                    yield from self._followed(folder, path)

    def _followed(self, folder: str, text: str) -> list[str]:
        """The links on the way of a path seen from a folder, and at last where it ends, unless that is outside."""
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
                if self._links[place].startswith("/") or len(links) > _LINKS:
                    return links
                done.pop()
                waiting += self._links[place].split("/")[::-1]
        return [*links, "/".join(done)]


def _leads_out(path: str, text: bytes) -> bool:
    """Whether a kustomization of a model may name what is outside its folder; parsing a fleet's would take long.

    It may where a `..` is left after those that are plain to see and too few, or a backslash could hide one.
    """
    if not path.startswith("models/") or path.count("/") < 2 or (b".." not in text and b"\\" not in text):
        return False
    rest = _staying(path.count("/") - 2).sub(b"", text)
    return b".." in rest or b"\\" in rest


@functools.cache
def _staying(depth: int) -> re.Pattern[bytes]:
    """A whole path that goes up `depth` folders at most, and then down by names."""
    return re.compile(
        rb"(?<![^\s\"'\[,])(\.\./){1,%d}[\w-][\w.-]*(/[\w-][\w.-]*)*(?=$|[\"'\],])" % depth if depth else rb"(?!)",
        re.MULTILINE,
    )
