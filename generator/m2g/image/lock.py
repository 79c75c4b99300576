"""Lock requirement lines with uv: every package with its version and hashes, wheels only."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from m2g.core import process, tempdirs
from m2g.core.config_types import Platform
from m2g.core.errors import InputError, OutsideError
from m2g.core.serving_environment import parse_lock
from m2g.image.package_index import installer_environment

_SECONDS = 900.0
MACHINES: Mapping[Platform, str] = {"linux/amd64": "x86_64", "linux/arm64": "aarch64"}
_UNREACHABLE = re.compile(
    r"(Failed to fetch|error sending request|Connection refused|dns error|timed out|401|403)", re.IGNORECASE
)


def lock_for_platforms(lines: Sequence[str], *, python: str, platforms: Sequence[Platform], before: str = "") -> str:
    """One requirements.txt for all platforms: the same versions, and markers for what only one of them needs.

    Raises InputError if the requirements conflict or need other versions on another platform, and OutsideError.
    """
    refused: InputError | None = None
    for leader in platforms:  # its newest versions may have no wheel for another platform, whose newest all have
        try:
            locks = _lock_after(leader, lines, python=python, platforms=platforms, before=before)
        except InputError as error:
            refused = refused or error
            continue
        return locks[leader] if len(set(locks.values())) == 1 else "".join(_merge(locks))
    raise refused or InputError("no platform is named", hint="set images.platforms in m2g.yaml")


def _lock_after(
    leader: Platform, lines: Sequence[str], *, python: str, platforms: Sequence[Platform], before: str
) -> Mapping[Platform, str]:
    """The lock of each platform, with the versions of the leader's."""
    text = lock_requirements(lines, python=python, platform=leader, before=before)
    constraints = [f"{name}=={version}" for name, version in (parse_lock(text) or {}).items()]
    return {
        platform: text
        if platform == leader
        else lock_requirements(lines, python=python, platform=platform, before=before, constraints=constraints)
        for platform in platforms
    }


def _merge(locks: Mapping[Platform, str]) -> list[str]:
    """The pins of all locks, sorted. The versions are the same; the hashes of the platforms are joined."""
    pins: dict[str, dict[Platform, list[str]]] = {}
    for platform, text in locks.items():
        for pin in re.split(r"\n(?=\S)", text.strip()):
            name, *hashes = pin.split(" \\\n    ")
            pins.setdefault(name, {})[platform] = hashes
    merged = []
    for name, found in sorted(pins.items()):
        machines = [f"platform_machine == '{MACHINES[platform]}'" for platform in found]
        head = name if len(found) == len(locks) else f"{name} ; {' or '.join(machines)}"
        hashes = sorted({one for some in found.values() for one in some})
        merged.append(" \\\n    ".join([head, *hashes]) + "\n")
    return merged


def lock_requirements(
    lines: Sequence[str],
    *,
    python: str,
    before: str = "",
    platform: Platform = "linux/amd64",
    constraints: Sequence[str] = (),
) -> str:
    """requirements.txt for a minor version of Python on a platform, sorted, without time stamps or paths.

    `constraints` limit versions and install nothing. `before` is a date: uv ignores packages that were uploaded later.
    If an index needs a password, uv reads it from UV_INDEX or ~/.netrc; it is never written to the lock. No package is
    built or run, and no settings file is read.

    Raises InputError if the requirements conflict, OutsideError if uv or the index fails.
    """
    with tempdirs.open_folder() as folder:
        source = folder / "requirements.in"
        source.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
        limits = folder / "constraints.txt"
        limits.write_text("".join(f"{line}\n" for line in constraints), encoding="utf-8")
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
                *("--only-binary", ":all:", "--python-version", python),
                *("--python-platform", f"{MACHINES[platform]}-manylinux_2_28"),
                *(("--constraint", limits.name) if constraints else ()),
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
    if parse_lock(text) is None:
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
