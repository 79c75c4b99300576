"""The hooks this repository offers, run by the real pre-commit out of a real git clone; and its own."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

from tests.support.paths import ROOT

CONFIG = """\
repos:
- repo: {clone}
  rev: v0.0.1
  hooks:
  - id: m2g-validate
  - id: m2g-check
"""


@pytest.fixture(scope="module")
def repository(clone: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A GitOps repository as `m2g init` makes it, whose only hooks are those of the clone."""
    to = tmp_path_factory.mktemp("gitops") / "models"
    subprocess.run(["m2g", "init", str(to), "--defaults"], check=True)
    (to / ".pre-commit-config.yaml").write_text(CONFIG.format(clone=clone))
    subprocess.run(["git", "init", "-q"], cwd=to, check=True)
    subprocess.run(["git", "add", "-A"], cwd=to, check=True)
    return to


def pre_commit(*arguments: str, cwd: Path, store: Path) -> subprocess.CompletedProcess[str]:
    """Run pre-commit with a store of its own. pip installs the clone as it would for a person, without dependencies."""
    environment = {
        "PRE_COMMIT_HOME": str(store),
        "PIP_NO_DEPS": "1",
        "PIP_NO_BUILD_ISOLATION": "0",  # pip's spelling of "no isolation"
        "PYTHONPATH": os.pathsep.join([os.environ["PYTHONPATH"], sysconfig.get_path("purelib")]),
    }
    return subprocess.run(
        [sys.executable, "-m", "pre_commit", *arguments],
        cwd=cwd, env=os.environ | environment, capture_output=True, text=True, check=False,
    )  # fmt: skip


@pytest.mark.slow
@pytest.mark.usefixtures("kustomize")
def test_a_repository_runs_the_hooks(repository: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    store = tmp_path_factory.mktemp("store")
    done = pre_commit("install-hooks", cwd=repository, store=store)
    assert done.returncode == 0, done.stdout + done.stderr
    # The dependencies come from here, not from a registry. m2g starts programs that ignore PYTHONPATH.
    (packages,) = store.glob("repo*/py_env-*/lib/python*/site-packages")
    (packages / "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n")
    done = pre_commit("run", "--all-files", "--verbose", cwd=repository, store=store)
    assert done.returncode == 0, done.stdout + done.stderr
    assert re.findall(r"^(m2g \w+)\.+(\w+)$", done.stdout, re.MULTILINE) == [
        ("m2g validate", "Passed"),
        ("m2g check", "Passed"),
    ]

    assert len(list(store.glob("repo*/py_env-*/bin/m2g"))) == 1, "pre-commit installed the clone"

    (repository / "m2g.yaml").write_text("version: 1\nenvironment: {}\n")
    done = pre_commit("run", "m2g-validate", "--all-files", cwd=repository, store=store)
    assert done.returncode == 1
    assert "m2g.yaml:2" in done.stdout


def test_the_hooks_of_this_repository_call_locked_tools() -> None:
    entries = re.findall(r"entry: (\S+)", (ROOT / ".pre-commit-config.yaml").read_text())
    assert entries
    assert all((ROOT / entry).is_file() for entry in entries)


@pytest.mark.parametrize(
    ("command", "file"),
    [("validate-config", ".pre-commit-config.yaml"), ("validate-manifest", ".pre-commit-hooks.yaml")],
)
def test_pre_commit_reads_our_files(command: str, file: str, tmp_path: Path) -> None:
    done = pre_commit(command, file, cwd=ROOT, store=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
