"""The built wheel, in an environment of its own: what a person gets from `pip install mlflow-gitops`."""

from __future__ import annotations

import subprocess
import sys
import sysconfig
import tarfile
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest
from release.version import find_version

pytestmark = pytest.mark.slow


def run(arguments: Sequence[str | Path], *, cwd: Path, env: Mapping[str, str] | None = None) -> str:
    """Standard output of a program that must succeed."""
    done = subprocess.run(arguments, cwd=cwd, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{arguments}\n{done.stdout}\n{done.stderr}"
    return done.stdout


@pytest.fixture(scope="module")
def dist(clone: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the sdist, and the wheel that was built from it."""
    to = tmp_path_factory.mktemp("dist")
    run([sys.executable, "-m", "build", "--no-isolation", "--outdir", to, clone], cwd=to)
    return to


@pytest.fixture(scope="module")
def m2g(dist: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The command `m2g` of an environment that has the wheel; its dependencies come from this one, m2g does not."""
    venv = tmp_path_factory.mktemp("wheel") / "venv"
    run([sys.executable, "-m", "venv", "--without-pip", venv], cwd=venv.parent)
    run([sys.executable, "-m", "pip", "--python", venv, "install", "-q", "--no-deps", *dist.glob("*.whl")], cwd=dist)
    site = Path(sysconfig.get_path("purelib", vars={"base": str(venv)}))
    # A path in a .pth file is laid behind the environment's own; .pth files there (our editable m2g) are not read.
    (site / "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n")
    return venv / "bin/m2g"


def test_the_wheel_holds_package_schemas_and_template(dist: Path, clone: Path) -> None:
    (wheel,) = dist.glob("*.whl")
    names = set(zipfile.ZipFile(wheel).namelist())
    assert {name.split("/")[0] for name in names} == {"m2g", f"mlflow_gitops-{_version(clone)}.dist-info"}
    assert "m2g/py.typed" in names
    assert "m2g/_data/copier.yml" in names
    for folder in ("schemas", "template"):
        shipped = {name.removeprefix("m2g/_data/") for name in names if name.startswith(f"m2g/_data/{folder}/")}
        kept = {str(path.relative_to(clone)) for path in (clone / folder).rglob("*") if path.is_file()}
        assert shipped == {name for name in kept if not name.startswith("schemas/derive")}
        assert shipped


def test_the_sdist_builds_and_tests_but_holds_nothing_else(dist: Path, clone: Path) -> None:
    (sdist,) = dist.glob("*.tar.gz")
    with tarfile.open(sdist) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    assert {"generator/m2g/__main__.py", "copier.yml", "pyproject.toml", "README.md", "LICENSE", "Makefile"} <= names
    assert "tests/conftest.py" in names
    tracked = {str(path.relative_to(clone)) for path in clone.rglob("*") if path.is_file()}
    assert names - tracked == {"PKG-INFO"}


def test_the_command_runs_where_nothing_else_is(m2g: Path, clone: Path, tmp_path: Path) -> None:
    assert _version(clone) in run([m2g, "--version"], cwd=tmp_path)
    assert "render" in run([m2g, "--help"], cwd=tmp_path)
    where = run(
        [m2g.parent / "python", "-c", "import m2g.core.resources; print(m2g.core.resources.find_root())"], cwd=tmp_path
    ).strip()
    assert Path(where).is_relative_to(m2g.parents[1])


@pytest.mark.usefixtures("kustomize")
def test_a_repository_is_made_and_valid(m2g: Path, tmp_path: Path) -> None:
    run([m2g, "init", "models", "--defaults"], cwd=tmp_path)
    assert (tmp_path / "models/m2g.yaml").is_file()
    run([m2g, "validate"], cwd=tmp_path / "models")


def _version(clone: Path) -> str:
    return find_version(clone)
