"""The version of a build. The tag of the commit says it: nobody writes it into a file.

Between two tags it is the next patch release, with the number of commits since the last tag. pyproject.toml runs
`find_version()`, so this file uses nothing but the standard library.
"""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
_DESCRIBED = re.compile(
    r"v(?P<major>\d+)\.(?P<minor>\d+)\.(?P<patch>\d+)(?:-(?P<distance>\d+)-g(?P<commit>[0-9a-f]+))?"
)
_NAMED = re.compile(r'^m2g_version:.*?^  default: "(?P<version>\d+\.\d+\.\d+)"', re.DOTALL | re.MULTILINE)


def find_version(root: Path = ROOT) -> str:
    """The version of a source distribution, of an archive that the forge made, or of a checkout."""
    built = root / "PKG-INFO"
    if built.is_file():
        found = re.search(r"^Version: (\S+)$", built.read_text(), re.MULTILINE)
        if found is not None:
            return found[1]
    parts = _DESCRIBED.fullmatch(_read_archive(root)) or _DESCRIBED.fullmatch(_describe(root))
    if parts is None:
        return f"{find_named(root)}.dev0"
    if not parts["distance"] or parts["distance"] == "0":
        return f"{parts['major']}.{parts['minor']}.{parts['patch']}"
    return f"{parts['major']}.{parts['minor']}.{int(parts['patch']) + 1}.dev{parts['distance']}+g{parts['commit']}"


def find_named(root: Path) -> str:
    """The release that the template installs; what is built before the first tag is on the way to it."""
    found = _NAMED.search((root / "copier.yml").read_text())
    return found["version"] if found else "0.0.0"


def _read_archive(root: Path) -> str:
    """What `git archive` or the builder of an image wrote; in a checkout it is a placeholder."""
    try:
        return (root / "release/archive.txt").read_text().strip()
    except FileNotFoundError:
        return ""


def _describe(root: Path) -> str:
    if not (root / ".git").exists():
        return ""
    command = ["git", "describe", "--tags", "--match", "v[0-9]*.[0-9]*.[0-9]*", "HEAD"]
    try:
        done = subprocess.run(command, cwd=root, capture_output=True, text=True, check=False)
    except OSError:
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""
