"""Find files that Argo CD or Flux may read and that are not what m2g writes or people keep there."""

from __future__ import annotations

import os
import re
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path

from m2g.core import safe_files
from m2g.core.errors import M2gError
from m2g.core.finding import Finding
from m2g.core.naming import is_slug
from m2g.core.stamp import StampState, check_stamp, is_same
from m2g.repository import layout, model_folder, ownership
from m2g.repository.layout import FLEET, MODELS, PLATFORM
from m2g.repository.model_folder import ModelFolder

ATTRIBUTES = ".gitattributes"
_CONVERTING = frozenset({"ident", "filter", "working-tree-encoding"})
_HARMLESS = re.compile(r"\*\.(?!(?:ya?ml|json)$)[A-Za-z0-9]+")
"""A pattern of files that are no manifests."""


def find_in_model(folder: ModelFolder) -> Iterator[Finding]:
    """Findings for the files of a model at paths that are unknown, and for a folder that is not a slug."""
    paths = (*folder.files, *folder.special_files)
    if paths and not is_slug(folder.slug):
        yield ownership.describe_unknown_file(min(paths), remove=layout.model(folder.slug), others=len(paths) - 1)
        return
    known = {path for path in paths if layout.is_known(path)}
    yield from _describe(set(paths) - known, known)


def find_elsewhere(root: Path, slugs: Collection[str]) -> Iterator[Finding]:
    """Findings for the other files in models/ and fleet/, and for those that engines read beside the two folders."""
    unknown = {name for name in os.listdir(root) if not layout.is_known(name)}
    unknown |= {path for path, is_folder in _list(root, MODELS) if not is_folder}
    unknown |= {path for path in _list_files(root, PLATFORM) if not layout.is_known(path)}
    known: set[str] = set()
    for path in _list_files(root, FLEET):
        if layout.parse_environment_path(path) and layout.is_owned(path):
            continue  # a check of its own compares them
        location = layout.parse_path(path)
        of_no_model = location is not None and location.slug not in slugs
        (known if layout.is_known(path) and not of_no_model and not (root / path).is_symlink() else unknown).add(path)
    linked = set(model_folder.find_symlinks(root))  # each is a finding already
    yield from _describe(unknown - linked, known)


def find_attributes(root: Path, changed: Collection[str]) -> Iterator[Finding]:
    """Findings for Git attributes that change files on checkout: in .gitattributes, and in one that a change adds.

    Git applies them, and Flux's own Git does not: it would apply other bytes than those that were checked.
    """
    for path in sorted(changed):
        known = layout.find_top_folder(path) in (MODELS, FLEET, PLATFORM)  # a finding already
        if not known and path.casefold().endswith(f"/{ATTRIBUTES}") and os.path.lexists(root / path):
            yield ownership.describe_unknown_file(path, remove=path, others=0)
    try:
        text = safe_files.read(root, ATTRIBUTES).decode(errors="replace")
    except FileNotFoundError:
        return
    except (M2gError, OSError) as error:
        why = error.message.removeprefix(f"{ATTRIBUTES} ") if isinstance(error, M2gError) else f"{error.strerror}"
        hint = "make it a small file; large files may use Git LFS by their suffix: *.png filter=lfs"
        yield Finding(rule="git-attributes", file=ATTRIBUTES, message=f"cannot be read: {why}", hint=hint)
        return
    for number, line in enumerate(text.split("\n"), 1):
        pattern, *attributes = line.split() or [""]
        found = {name for one in attributes if not one.startswith(("-", "!")) for name in [one.partition("=")[0]]}
        powerful = sorted(found & _CONVERTING)
        if not powerful or pattern.startswith("#"):
            continue
        stored = ""
        if powerful == ["filter"] and _HARMLESS.fullmatch(pattern):
            stored = _find_buildable(root, pattern.removeprefix("*"))
            if not stored:
                continue
        what = f" for {stored}, which an overlay may build" if stored else ""
        yield Finding(
            rule="git-attributes",
            file=ATTRIBUTES,
            line=number,
            message=f"sets {', '.join(powerful)}{what}, so Git checks out other bytes than Flux applies",
            hint="remove the line; Git LFS may have files of the root and of docs/, by suffix: *.png filter=lfs",
        )


def _find_buildable(root: Path, suffix: str) -> str:
    """A file with this suffix at a place from which a component may take it; empty if there is none."""
    for place, folders, names in os.walk(root):
        here = Path(place)
        folders[:] = sorted(name for name in folders if not (here == root and name in (".git", ".m2g", "docs")))
        if here != root and (name := next((name for name in sorted(names) if name.endswith(suffix)), "")):
            return (here / name).relative_to(root).as_posix()
    return ""


def find_stale(folder: ModelFolder, rendered: Mapping[str, bytes]) -> Iterator[Finding]:
    """Findings for files with m2g's stamp that are not what the model's records and settings render to."""
    for path in folder.list_owned():
        content = folder.files.get(path)
        if content is None or check_stamp(content) is not StampState.OURS or is_same(content, rendered.get(path, b"")):
            continue
        what = "is not what" if path in rendered else "is not among the files that"
        yield Finding(
            rule="stale-file",
            file=path,
            message=f"{what} the model's records and settings render to",
            hint=f"run `m2g render --locked --model {folder.slug}`",
        )


def find_unverified(slugs: Collection[str], changed: Collection[str]) -> Iterator[Finding]:
    """Findings for changed files of models whose records do not render, so that no state of the files is right."""
    for path in sorted(changed):
        location = layout.parse_path(path)
        if location is not None and location.slug in slugs and layout.is_owned(path) and not layout.is_record(path):
            yield Finding(
                rule="stale-file",
                file=path,
                message="changed, but the model's records and settings do not render, so nothing should change",
                hint="fix the model's other findings and run `m2g render --locked`, or restore the file",
            )


def _describe(unknown: Collection[str], known: Collection[str]) -> Iterator[Finding]:
    """One finding for each file, or for a whole folder without known files."""
    groups: dict[str, list[str]] = {}
    for path in sorted(unknown):
        parts = path.split("/")
        folders = ("/".join(parts[:length]) for length in range(3, len(parts)))
        whole = (folder for folder in folders if not any(other.startswith(f"{folder}/") for other in known))
        groups.setdefault(next(whole, path), []).append(path)
    for remove, paths in groups.items():
        yield ownership.describe_unknown_file(paths[0], remove=remove, others=len(paths) - 1)


def _list_files(root: Path, folder: str) -> Iterator[str]:
    """Everything below a folder that is not a real folder."""
    for path, is_folder in _list(root, folder):
        if is_folder:
            yield from _list_files(root, path)
        else:
            yield path


def _list(root: Path, folder: str) -> Iterator[tuple[str, bool]]:
    """The paths in a real folder, and whether each is a real folder, too."""
    if (root / folder).is_symlink() or not (root / folder).is_dir():
        return
    with os.scandir(root / folder) as entries:
        yield from ((f"{folder}/{entry.name}", entry.is_dir(follow_symlinks=False)) for entry in entries)
