"""Lock requirement lines with uv: every package with its version and hashes, wheels only."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Sequence
from pathlib import Path

from m2g.core import process, tempdirs
from m2g.core.errors import InputError, OutsideError
from m2g.image.package_index import installer_environment

_SECONDS = 900.0
_PIN = re.compile(r"[A-Za-z0-9._-]+(\[[^\]]*\])?==\S+( ;[^\\]*)?( \\\n    --hash=sha256:[0-9a-f]{64})+\n")
_UNREACHABLE = re.compile(
    r"(Failed to fetch|error sending request|Connection refused|dns error|timed out|401|403)", re.IGNORECASE
)


def lock_requirements(lines: Sequence[str], *, python: str, before: str = "") -> str:
    """requirements.txt for Linux on x86-64 and a minor version of Python, sorted, without time stamps or paths.

    `before` is a date: uv ignores packages that were uploaded later. If an index needs a password, uv reads it from
    UV_INDEX or ~/.netrc; it is never written to the lock. No package is built or run, and no settings file is read.

    Raises InputError if the requirements conflict, OutsideError if uv or the index fails.
    """
    with tempdirs.open_folder() as folder:
        source = folder / "requirements.in"
        source.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
        ran = process.run(
            [
                *(
                    find_uv(),
                    "--no-config",
                    "pip",
                    "compile",
                    "--quiet",
                    "--no-header",
                    "--no-annotate",
                    "--generate-hashes",
                ),
                *("--only-binary", ":all:", "--python-version", python, "--python-platform", "x86_64-manylinux_2_28"),
                *("--no-emit-index-url", "--no-emit-find-links", "--no-progress", "--color", "never"),
                *(("--exclude-newer", before) if before else ()),
                source.name,
            ],
            cwd=folder,
            timeout=_SECONDS,
            environment=installer_environment(),
        )
    if ran.code != 0:
        raise _lock_error(ran.stderr, before)
    text = ran.stdout.decode()
    if not text or not re.fullmatch(f"({_PIN.pattern})+", text):
        line = next((line for line in text.splitlines() if "==" not in line and "--hash" not in line), "a package")
        hint = "use an index with hashes, such as PyPI: set UV_INDEX_URL"
        raise InputError(f"the package index gives no hash for {line[:120]!r}", hint=hint)
    return text


def find_uv() -> str:
    """The path of uv: M2G_UV, else the one on PATH or beside this Python. Raises OutsideError if there is none."""
    named = os.environ.get("M2G_UV", "")
    beside = Path(sys.executable).parent / "uv"
    path = process.find_program(named or "uv") or (str(beside) if not named and beside.is_file() else "")
    if not path:
        if named:
            raise OutsideError(f"M2G_UV is {named}, which is not a program", hint="set M2G_UV to the path of uv")
        raise OutsideError("uv is not installed; m2g locks requirements with it", hint="python -m pip install uv")
    return os.path.abspath(path)


def _lock_error(stderr: str, before: str) -> InputError | OutsideError:
    """An error with uv's own message in one paragraph; it names the package."""
    words = re.sub(r"\s+", " ", re.sub(r"[×╰─▶│├]|^warning:.*$", " ", stderr, flags=re.MULTILINE)).strip()
    words = re.sub(r"(?<=//)[^/\s@]*@", "", words)[:900]
    if "No solution found" not in words and _UNREACHABLE.search(words):
        hint = "check the network, and UV_INDEX_URL or UV_INDEX; put a password there or into ~/.netrc"
        return OutsideError(f"uv cannot reach the package index: {words}", hint=hint)
    more = f", or remove --before {before}" if before else ""
    return InputError(
        f"the model's requirements cannot be installed together: {words or 'uv gave no reason'}",
        hint="log the model again with pip_requirements that fit each other and exist as wheels for Linux, in PyPI or "
        f"in the index that UV_INDEX_URL names{more}",
    )
