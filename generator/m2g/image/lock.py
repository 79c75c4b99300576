"""The one door to uv: requirement lines → every package with its version and hashes, wheels only."""

from __future__ import annotations

import os
import re
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

from m2g.core import process, tempdirs
from m2g.core.errors import InputError, OutsideError

_SECONDS = 900.0
_PIN = re.compile(r"[A-Za-z0-9._-]+(\[[^\]]*\])?==\S+( ;[^\\]*)?( \\\n    --hash=sha256:[0-9a-f]{64})+\n")
_UNREACHABLE = re.compile(
    r"(Failed to fetch|error sending request|Connection refused|dns error|timed out|401|403)", re.IGNORECASE
)


def lock(lines: Sequence[str], indexes: Sequence[str], *, python: str, before: str = "") -> str:
    """requirements.txt for Linux on x86-64 and a minor version of Python, sorted, without the time or place.

    `before` is a date: packages that were uploaded later are not taken. An index may need a password: uv reads it from
    UV_INDEX or ~/.netrc, and it is never written. No package is built or run.

    Raises InputError for requirements that cannot hold together, by name; OutsideError for uv and the index.
    """
    with tempdirs.open_folder() as folder:
        source = folder / "requirements.in"
        source.write_text("".join(f"{line}\n" for line in (*indexes, *lines)), encoding="utf-8")
        ran = process.run(
            [
                *(find(), "pip", "compile", "--quiet", "--no-header", "--no-annotate", "--generate-hashes"),
                *("--only-binary", ":all:", "--python-version", python, "--python-platform", "x86_64-manylinux_2_28"),
                *("--no-emit-index-url", "--no-emit-find-links", "--no-progress", "--color", "never"),
                *(("--exclude-newer", before) if before else ()),
                source.name,
            ],
            cwd=folder,
            timeout=_SECONDS,
            environment={"UV_PYTHON_DOWNLOADS": "never", "UV_NO_PROGRESS": "1"},
        )
    if ran.code != 0:
        raise _refusal(ran.stderr, before)
    text = ran.stdout.decode()
    if not text or not re.fullmatch(f"({_PIN.pattern})+", text):
        odd = next((line for line in text.splitlines() if "==" not in line and "--hash" not in line), "a package")
        raise InputError(f"the index gives no hash for {odd[:120]!r}", hint="use an index that does, such as PyPI")
    return text


def find() -> str:
    """uv: M2G_UV, else the one on PATH or beside this Python. Raises OutsideError where there is none."""
    named = os.environ.get("M2G_UV", "")
    beside = Path(sys.executable).parent / "uv"
    path = shutil.which(named or "uv") or (str(beside) if not named and beside.is_file() else None)
    if path is None:
        what = f"M2G_UV names {named}, which is no program" if named else "uv is not installed; it locks requirements"
        raise OutsideError(what, hint="python -m pip install uv")
    return os.path.abspath(path)


def _refusal(stderr: str, before: str) -> InputError | OutsideError:
    """uv's own words in one paragraph: they name the package."""
    words = re.sub(r"\s+", " ", re.sub(r"[×╰─▶│├]|^warning:.*$", " ", stderr, flags=re.MULTILINE)).strip()
    words = re.sub(r"(?<=//)[^/\s@]*@", "", words)[:900]
    if "No solution found" not in words and _UNREACHABLE.search(words):
        hint = "check the network and UV_INDEX_URL or UV_INDEX; a password belongs there or into ~/.netrc"
        return OutsideError(f"uv cannot ask the index: {words}", hint=hint)
    more = f", or leave out --before {before}" if before else ""
    return InputError(
        f"the model's requirements cannot be installed together: {words or 'uv did not say why'}",
        hint="log the model again with pip_requirements that exist as wheels for Linux, in PyPI or the index that "
        f"UV_INDEX_URL names, and fit each other{more}",
    )
