"""Read and write the serving runtimes that a repository describes in `runtimes/*.json`."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from m2g.compat.catalogue import HINT, decode, read_stock
from m2g.compat.runtime import Runtime
from m2g.core import safe_files
from m2g.core.errors import M2gError
from m2g.core.finding import Finding
from m2g.repository import layout, shared_files


def read(root: Path | None) -> tuple[tuple[Runtime, ...], list[Finding]]:
    """The repository's own runtimes, then those that ship with m2g, and a finding for each invalid file."""
    own: list[Runtime] = []
    findings: list[Finding] = []
    for path in shared_files.find_runtime_files(root) if root is not None else ():
        file = f"{layout.RUNTIMES}/{path.name}"
        try:
            own.append(decode(safe_files.read(path.parents[1], file)))
        except FileNotFoundError:
            findings.append(Finding(rule="runtime-invalid", file=file, message="is a broken symlink", hint=HINT))
        except M2gError as error:
            message = error.message.removeprefix(f"{file} ")
            findings.append(Finding(rule="runtime-invalid", file=file, message=message, hint=error.hint or HINT))
    return (*own, *read_stock()), findings


def save(root: Path, file: str, content: bytes) -> Literal["added", "changed", "same"]:
    """Write one description atomically, and return how the file changed.

    Raises InputError and OutsideError as `safe_files.read` and `safe_files.write_atomic` do.
    """
    try:
        before = safe_files.read(root, file)
    except FileNotFoundError:
        before = None
    if before == content:
        return "same"
    safe_files.write_atomic(root, file, content)
    return "added" if before is None else "changed"
