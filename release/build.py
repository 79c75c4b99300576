"""Build a release into dist/: source distribution, wheel, bill of materials and checksums.

    python release/build.py              build twice in two clean clones, and compare the bytes
    python release/build.py --check      also install the wheel by hash in a clean environment for each Python found

The checkout must be clean. A release has a tag (v1.2.3) on its commit, and the template and the docs install that tag.
Any other commit gives a development version.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from release.sbom import write_sbom
from release.version import ROOT, find_named, find_version

LOCK = "template/ci/requirements.txt"
PYTHONS = ("3.11", "3.12", "3.13", "3.14")
_INSTALLED = re.compile(r"(?:m2g@|rev: )v(\d+\.\d+\.\d+)")
ODD = {"TZ": "Asia/Kathmandu", "LC_ALL": "C", "PYTHONHASHSEED": "7"}
"""The second build has another time zone, locale, hash seed and umask, and another folder."""


def main(arguments: Sequence[str]) -> int:
    """Build, compare, and with --check try the wheel."""
    if _run(["git", "status", "--porcelain"], ROOT).strip():
        print("the checkout has changes: commit them first", file=sys.stderr)
        return 1
    version = find_version()
    stale = [] if "dev" in version else find_stale(ROOT, version)
    if stale:
        print(f"the tag is v{version}; another release is installed by: {', '.join(stale)}", file=sys.stderr)
        return 1
    with tempfile.TemporaryDirectory() as folder:
        first = build(ROOT, Path(folder) / "one", {})
        second = build(ROOT, Path(folder) / "another place", ODD, umask=0o077)
        different = [path.name for path in first if path.read_bytes() != (second[0].parent / path.name).read_bytes()]
        if different or len(first) != len(second):
            print(f"two builds differ: {', '.join(different)}", file=sys.stderr)
            return 1
        dist = ROOT / "dist"
        shutil.rmtree(dist, ignore_errors=True)
        shutil.copytree(first[0].parent, dist)
    for path in sorted(dist.iterdir()):
        print(path.name)
    return check(dist) if "--check" in arguments else 0


def find_stale(root: Path, version: str) -> list[str]:
    """The files that install another release: the template and pages of the docs."""
    pages = [root / "README.md", *sorted((root / "docs").rglob("*.md"))]
    stale = ["copier.yml"] if find_named(root) != version else []
    return stale + [
        page.relative_to(root).as_posix()
        for page in pages
        if any(named != version for named in _INSTALLED.findall(page.read_text()))
    ]


def build(source: Path, folder: Path, variables: Mapping[str, str], umask: int = 0o022) -> list[Path]:
    """Build the committed files of `source` in a clean clone, and return the files of the release, sorted."""
    clone, dist = folder / "source", folder / "dist"
    folder.mkdir(parents=True)
    _run(["git", "clone", "--quiet", "--no-local", str(source), str(clone)], folder)
    commit_time = _run(["git", "log", "-1", "--format=%ct"], clone).strip()
    environment = {**os.environ, **variables, "SOURCE_DATE_EPOCH": commit_time}
    command = [sys.executable, "-m", "build", "--no-isolation", "--outdir", str(dist), str(clone)]
    _run(["sh", "-c", f'umask {umask:03o}; exec "$@"', "sh", *command], folder, environment)
    (wheel,) = dist.glob("*.whl")
    write_sbom(wheel, clone / LOCK, dist / f"{wheel.name.partition('-py3')[0]}.cdx.json")
    sums = [f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.name}" for path in sorted(dist.iterdir())]
    (dist / "SHA256SUMS").write_text("\n".join(sums) + "\n")
    return sorted(dist.iterdir())


def check(dist: Path) -> int:
    """Install the wheel and its locked packages by hash, for each Python that is here, and run it."""
    (wheel,) = dist.glob("*.whl")
    digest = hashlib.sha256(wheel.read_bytes()).hexdigest()
    failed = 0
    for version in PYTHONS:
        python = find_python(version)
        if python is None:
            print(f"Python {version}: not here")
            continue
        with tempfile.TemporaryDirectory() as folder:
            try:
                _try(python, Path(folder), wheel, digest)
                print(f"Python {version}: works")
            except subprocess.CalledProcessError as error:
                failed = 1
                print(f"Python {version}: failed\n{error.stdout}{error.stderr}")
    return failed


def find_python(version: str) -> str | None:
    """A Python of this minor version that starts; None if there is none."""
    found = shutil.which(f"python{version}")
    if found is None:
        return None
    done = subprocess.run([found, "-c", "import sys; print(sys.version_info[:2])"], capture_output=True, check=False)
    return found if done.returncode == 0 else None


def _try(python: str, folder: Path, wheel: Path, digest: str) -> None:
    venv = folder / "venv"
    _run([python, "-m", "venv", str(venv)], folder)
    pip = [str(venv / "bin/python"), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps"]
    _run([*pip, "--only-binary", ":all:", "--require-hashes", "--requirement", str(ROOT / LOCK)], folder)
    (folder / "m2g.txt").write_text(f"mlflow-gitops @ {wheel.as_uri()} --hash=sha256:{digest}\n")
    _run([*pip, "--require-hashes", "--requirement", "m2g.txt"], folder)
    m2g = str(venv / "bin/m2g")
    printed = _run([m2g, "--version"], folder)
    if wheel.name.split("-")[1] not in printed:
        raise subprocess.CalledProcessError(1, [m2g], printed, "prints another version")
    _run([m2g, "init", "models", "--defaults"], folder)
    _run([m2g, "render", "--locked", "--check"], folder / "models")


def _run(command: Sequence[str], folder: Path, environment: Mapping[str, str] | None = None) -> str:
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=True).stdout


if __name__ == "__main__":
    print(f"m2g {find_version()}")
    sys.exit(main(sys.argv[1:]))
