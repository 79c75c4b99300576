"""Descriptions of runtimes on disk: m2g's own, and `runtimes/*.json` of a repository, which come first."""

from __future__ import annotations

import functools
import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Literal

import msgspec

from m2g.compat.runtime import Runtime, normal
from m2g.core import resources, safe_files
from m2g.core.errors import InputError, M2gError, OutsideError
from m2g.core.finding import Finding

FOLDER = "runtimes"
MAX_BYTES = 1 << 20
_DECODER = msgspec.json.Decoder(Runtime)
_HINT = "see docs/how-to/describe-a-runtime.md, or describe it again: m2g runtimes import"


@functools.cache
def stock() -> tuple[Runtime, ...]:
    """Those of KServe, as they ship with m2g."""
    found = sorted((resources.root() / "schemas/runtimes").glob("*.json"))
    return tuple(_DECODER.decode(path.read_bytes()) for path in found)


def paths(root: Path) -> list[Path]:
    """The files that may describe runtimes of a repository."""
    return sorted((root / FOLDER).glob("*.json"))


def read(root: Path | None) -> tuple[tuple[Runtime, ...], list[Finding]]:
    """The repository's own, then m2g's; and a finding for each file that describes none."""
    own: list[Runtime] = []
    findings: list[Finding] = []
    for path in paths(root) if root is not None else ():
        file = f"{FOLDER}/{path.name}"
        try:
            own.append(decode(safe_files.read(path.parents[1], file)))
        except FileNotFoundError:
            findings.append(Finding(rule="runtime-invalid", file=file, message="is a link to nothing", hint=_HINT))
        except M2gError as error:
            findings.append(Finding(rule="runtime-invalid", file=file, message=error.message, hint=error.hint or _HINT))
    return (*own, *stock()), findings


def decode(content: bytes) -> Runtime:
    """One description. Raises InputError for anything else."""
    if len(content) > MAX_BYTES:
        raise InputError(f"is larger than {MAX_BYTES >> 10} KiB", hint=_HINT)
    try:
        found = _DECODER.decode(content)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
        raise InputError(f"describes no runtime: {str(error)[:300]}", hint=_HINT) from error
    if not found.name:
        raise InputError("describes a runtime without a name", hint=_HINT)
    return msgspec.structs.replace(found, packages={normal(key): text for key, text in found.packages.items()})


def find(known: Iterable[Runtime], name: str, kserve: str) -> Runtime | None:
    """The runtime of this name under this KServe version; None where nobody described it."""
    return next((one for one in known if one.name == name and (not one.kserve or kserve in one.kserve)), None)


def by_image(known: Sequence[Runtime], image: str) -> Runtime | None:
    """The description of an image: with its tag and digest, or with the digest alone."""
    digest = image.partition("@")[2]
    return next(
        (one for one in known if one.image and (one.image == image or (digest and one.image.endswith(digest)))), None
    )


def save(root: Path, file: str, content: bytes) -> Literal["added", "changed", "same"]:
    """Write one description whole or not at all; says whether it is added, changed or same.

    Raises InputError where a symbolic link leads out of the repository, OutsideError where it cannot be written.
    """
    target = root / file
    if target.parent.is_symlink() or target.is_symlink():
        raise InputError(f"{file} leads through a symbolic link; m2g writes through none", hint="put a folder there")
    draft = target.with_name(f".{target.name}.m2g")
    try:
        before = target.read_bytes() if target.is_file() else None
        if before != content:
            target.parent.mkdir(parents=True, exist_ok=True)
            draft.unlink(missing_ok=True)
            draft.write_bytes(content)
            os.replace(draft, target)
    except OSError as error:
        raise OutsideError(f"{file} cannot be written: {error.strerror}") from error
    return "added" if before is None else "same" if before == content else "changed"
