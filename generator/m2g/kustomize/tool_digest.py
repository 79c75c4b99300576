"""Identify the kustomize that builds on this machine by a digest of its program file."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence

from m2g.core import process
from m2g.core.cache import Cache, key
from m2g.core.errors import OutsideError
from m2g.kustomize.build import make_environment

_PROGRAMS = (b"\x7fELF", b"\xcf\xfa\xed\xfe", b"\xfe\xed\xfa\xcf", b"\xca\xfe\xba\xbe", b"MZ")
"""The first bytes of programs that are not scripts: Linux, macOS, Windows."""

_PROGRAM, _SCRIPT = b"program", b"script."


def digest_tool(command: Sequence[str], cache: Cache) -> bytes:
    """A digest of the program. For a script, it includes the version that kustomize prints.

    Other effects of a script (options, variables, filters) are in its text, or are not detected. A program file is read
    again only if its date changes, because reading 20 MB costs as much as building five overlays.
    """
    program = os.path.realpath(process.find_program(command[0]) or command[0])
    try:
        state = os.stat(program)
        at = key("program", program, f"{state.st_size} {state.st_mtime_ns} {state.st_ino}")
        digest = cache.get(at)
        if digest is None or not digest.startswith((_PROGRAM, _SCRIPT)):
            with open(program, "rb") as file:
                kind = _PROGRAM if file.read(4).startswith(_PROGRAMS) else _SCRIPT
                file.seek(0)
                digest = kind + hashlib.file_digest(file, "sha256").digest()
            cache.put(at, digest)
    except OSError as error:
        raise OutsideError(f"{program} cannot be read: {error.strerror}") from error
    if digest.startswith(_PROGRAM):
        return digest
    version = [command[0], "version", *(["--client"] if command[1] == "kustomize" else [])]
    ran = process.run(version, environment=make_environment())
    return key(digest, ran.stdout)
