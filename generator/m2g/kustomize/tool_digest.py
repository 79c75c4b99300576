"""Which kustomize it is that builds here, told by its program file: two that build alike are one."""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Sequence

from m2g.core import process
from m2g.core.cache import Cache, key
from m2g.core.errors import OutsideError

_PROGRAMS = (b"\x7fELF", b"\xcf\xfa\xed\xfe", b"\xfe\xed\xfa\xcf", b"\xca\xfe\xba\xbe", b"MZ")
"""How programs begin that are no script: Linux, macOS, Windows."""

_PROGRAM, _SCRIPT = b"program", b"script."


def digest_tool(command: Sequence[str], cache: Cache) -> bytes:
    """A digest of the program; where it is a script, also of what the kustomize that it starts says of its version.

    Whatever else such a script does (options, variables, what it does to the output) is in its own text, or not seen.
    A program file is read once for each of its dates: reading 20 MB costs as much as building five overlays.
    """
    program = os.path.realpath(shutil.which(command[0]) or command[0])
    try:
        state = os.stat(program)
        at = key("program", program, f"{state.st_size} {state.st_mtime_ns} {state.st_ino}")
        found = cache.get(at)
        if found is None or not found.startswith((_PROGRAM, _SCRIPT)):
            with open(program, "rb") as file:
                kind = _PROGRAM if file.read(4).startswith(_PROGRAMS) else _SCRIPT
                file.seek(0)
                found = kind + hashlib.file_digest(file, "sha256").digest()
            cache.put(at, found)
    except OSError as error:
        raise OutsideError(f"{program} cannot be read: {error.strerror}") from error
    if found.startswith(_PROGRAM):
        return found
    verb = "version"
    ran = process.run([command[0], verb, *(["--client"] if command[1] == "kustomize" else [])])
    return key(found, ran.stdout)
