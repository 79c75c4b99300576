"""Merge one file with Git: what two sides made of the same text."""

from __future__ import annotations

from m2g.core import process, tempdirs
from m2g.core.errors import OutsideError


def merge_file(ours: bytes, base: bytes, theirs: bytes) -> bytes | None:
    """The text with the changes of both sides, or None if they change the same lines differently."""
    with tempdirs.open_folder("m2g-merge-") as folder:
        for name, content in (("ours", ours), ("base", base), ("theirs", theirs)):
            (folder / name).write_bytes(content)
        ran = process.run(["git", "merge-file", "--stdout", "ours", "base", "theirs"], cwd=folder)
    if 0 < ran.code < 128:
        return None
    if ran.code:
        raise OutsideError(f"git merge-file failed: {ran.stderr[:300] or f'exit code {ran.code}'}")
    return ran.stdout
