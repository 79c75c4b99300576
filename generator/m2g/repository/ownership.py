"""Files in m2g's places that are not as m2g wrote them."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from pathlib import Path

import msgspec

from m2g.core.errors import InputError
from m2g.core.finding import Finding, Severity
from m2g.core.stamp import StampState, check_stamp
from m2g.repository import layout, model_folder
from m2g.repository.model_folder import ModelFolder

_ELSEWHERE = "move it to models/<slug>/custom/<env>/"


def check_ownership(root: Path, folder: ModelFolder, slugs: Collection[str]) -> Iterator[Finding]:
    """Files in m2g's places that are not as m2g wrote them; records are told apart by m2g.repository.records."""
    yield from (
        _linked(path)
        for name in layout.OWNED_FOLDERS
        if (path := f"{layout.model(folder.slug)}/{name}") in folder.special_files
    )
    for path in (path for path in folder.list_owned() if f"/{layout.RELEASES}/" not in path):
        try:
            state = check_stamp(folder.read(root, path))
        except FileNotFoundError:
            continue
        except InputError as error:  # a link to a folder, a device
            yield msgspec.structs.replace(describe_foreign_file(path), message=error.message)
            continue
        if state is StampState.EDITED:
            yield describe_hand_edit(path)
        elif state is StampState.CONFLICTED:
            yield _conflicted(path)
        elif state is StampState.FOREIGN and (layout.find_top_folder(path) != layout.FLEET or Path(path).stem in slugs):
            yield describe_foreign_file(path)


def find_symlinked_folders(root: Path) -> list[Finding]:
    """A finding for each link in the place of a folder that m2g reads: it would look as if there were no model."""
    return [_linked(path) for path in model_folder.find_symlinks(root)]


def describe_hand_edit(path: str) -> Finding:
    """A file of m2g that a person changed."""
    return Finding(
        rule="hand-edit",
        file=path,
        message="was edited by hand, and m2g owns this file",
        hint="move the change to models/<slug>/custom/<env>/ or model.yaml, and undo it here (git checkout)",
    )


def describe_foreign_file(path: str) -> Finding:
    """A person's file where m2g writes."""
    return Finding(
        rule="foreign-file",
        severity=Severity.WARNING,
        file=path,
        message="is not m2g's, but lies where m2g writes; it is left alone",
        hint=_ELSEWHERE,
    )


def _linked(path: str) -> Finding:
    return Finding(
        rule="linked-folder",
        file=path,
        message="is a link; m2g and what syncs from Git take only a folder for one of this fleet",
        hint="put the folder itself there (git mv), or restore it: git checkout PATH",
    )


def _conflicted(path: str) -> Finding:
    return Finding(
        rule="merge-conflict",
        file=path,
        message="contains Git's merge-conflict markers",
        hint="run `m2g render --locked`: it writes the right one",
    )
