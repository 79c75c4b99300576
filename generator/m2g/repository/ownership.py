"""Find files at m2g's paths that are not as m2g wrote them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import msgspec

from m2g.core.errors import InputError, quote, restore_command
from m2g.core.finding import Finding, Severity
from m2g.core.stamp import StampState, check_stamp
from m2g.repository import layout, model_folder
from m2g.repository.model_folder import ModelFolder

_LINKED_FILE = "is a symlink, but m2g writes a regular file here"


def check_ownership(root: Path, folder: ModelFolder) -> Iterator[Finding]:
    """Findings for files at m2g's paths that are not as m2g wrote them, except records (m2g.repository.records)."""
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
        except InputError as error:  # a symlink to a folder, a device
            message = error.message.removeprefix(f"{path} ")
            yield msgspec.structs.replace(describe_unknown_file(path), message=message)
            continue
        if (root / path).is_symlink():
            yield msgspec.structs.replace(describe_unknown_file(path), message=_LINKED_FILE)
            continue
        if state is StampState.EDITED:
            yield describe_hand_edit(path)
        elif state is StampState.CONFLICTED:
            yield _conflicted(path)
        elif state is StampState.FOREIGN:
            yield describe_unknown_file(path)


def find_symlinked_folders(root: Path) -> list[Finding]:
    """A finding for each symlink at the path of a folder that m2g reads. m2g would miss the models in it."""
    return [_linked(path) for path in model_folder.find_symlinks(root)]


def describe_hand_edit(path: str) -> Finding:
    """The finding for a file that m2g owns and that was edited by hand."""
    slug, custom = _custom_folder(path)
    return Finding(
        rule="hand-edit",
        file=path,
        message="was edited by hand, but m2g owns this file",
        hint=f"move the change to {custom} or model.yaml, then discard it here: "
        f"m2g render --locked --discard-edits --model {slug}",
    )


def describe_foreign_file(path: str) -> Finding:
    """The finding for a file at m2g's paths that m2g did not write."""
    return Finding(
        rule="foreign-file",
        severity=Severity.WARNING,
        file=path,
        message="is in a folder that m2g owns, but m2g did not write it; m2g does not touch it",
        hint=f"move it to {_custom_folder(path)[1]}",
    )


def describe_unknown_file(path: str, *, remove: str = "", others: int = 0) -> Finding:
    """The finding for a file in models/ or fleet/ that neither m2g nor people keep there.

    `remove` is the file or folder to remove, with `others` more files.
    """
    more = f", with {others} more in {remove}" if others else ""
    return Finding(
        rule="unknown-file",
        file=path,
        message=f"is not a file of m2g, but Argo CD and Flux may read and apply what is in this folder{more}",
        hint=f"{_keep_hint(path)}remove it: rm -r -- {quote(remove or path)}",
    )


def _keep_hint(path: str) -> str:
    """How to keep such a file, if there is a place for it."""
    location = layout.parse_path(path)
    if path.casefold().endswith("/.gitattributes"):
        return ""
    if layout.find_top_folder(path) == layout.MODELS and location is not None and location.part:
        return f"if a component uses it, run: {_move_command(path, layout.custom(location.slug))}; else "
    if layout.find_top_folder(path) == layout.FLEET and path.endswith(".yaml"):
        return f"if you wrote it, run: {_move_command(path, layout.namespace_folder(path))}; else "
    return ""


def _move_command(path: str, folder: str) -> str:
    return f"mkdir -p {quote(folder)} && mv {quote(path)} {quote(folder)}/"


def _linked(path: str) -> Finding:
    return Finding(
        rule="linked-folder",
        file=path,
        message="is a symlink, but m2g and the tools that sync from Git need a real folder here",
        hint=f"replace the symlink with the folder, or restore it: {restore_command(path)}",
    )


def _conflicted(path: str) -> Finding:
    return Finding(
        rule="merge-conflict",
        file=path,
        message="contains Git's merge-conflict markers",
        hint="run `m2g render --locked`, which writes the file again",
    )


def _custom_folder(path: str) -> tuple[str, str]:
    """The slug of a file that m2g owns, and the folder where the user may change what it renders to."""
    location = layout.parse_path(path)
    slug = location.slug if location else "<slug>"
    environment = location.environment if location and location.environment else "<env>"
    return slug, f"{layout.component(slug, environment)}/"
