"""SIGTERM, as CI sends it to cancel: the run ends at once, says so, and leaves neither a file nor a process."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from m2g.changes.update import RenderOptions
from m2g.core.errors import Exit
from tests.support.fleet import FakeRegistry, release, repository, run, tree, write_record
from tests.support.machine import seconds


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = repository(tmp_path / "repository")
    for slug in ("wine", "beer"):
        write_record(root, slug, release(slug, "prod"))
    run(root, FakeRegistry(), RenderOptions(locked=True))
    return root


@pytest.fixture
def started(tmp_path: Path, root: Path) -> subprocess.Popen[str]:
    """`m2g validate`, in the middle of a build: kustomize does not begin before `go` is there."""
    slow = tmp_path / "slow/kustomize"
    slow.parent.mkdir()
    waits = f'touch "{tmp_path}/building"\nwhile [ ! -e "{tmp_path}/go" ]; do sleep 0.1; done'
    slow.write_text(f'#!/bin/sh\n{waits}\nexec "{shutil.which("kustomize")}" "$@"\n')
    slow.chmod(0o755)
    (tmp_path / "tmp").mkdir()
    child = subprocess.Popen(
        [sys.executable, "-m", "m2g", "validate", "--no-cache"],
        cwd=root,
        env={**os.environ, "M2G_KUSTOMIZE": str(slow), "TMPDIR": str(tmp_path / "tmp")},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    deadline = time.monotonic() + seconds(60)
    while not (tmp_path / "building").exists() and time.monotonic() < deadline:
        time.sleep(0.02)
    assert [path.name[:4] for path in (tmp_path / "tmp").iterdir()] == ["m2g-"]
    return child


@pytest.mark.parametrize("times", [1, 3])
def test_nothing_is_left_behind(started: subprocess.Popen[str], tmp_path: Path, root: Path, times: int) -> None:
    before = tree(root)
    for _ in range(times):
        started.send_signal(signal.SIGTERM)
        time.sleep(0.1)
    (tmp_path / "go").touch()
    stdout, stderr = started.communicate(timeout=seconds(20))
    assert (started.returncode, stdout) == (Exit.TERMINATED, "")
    assert stderr.splitlines()[-1] == "m2g: terminated"
    assert "Traceback" not in stderr
    assert list((tmp_path / "tmp").iterdir()) == []
    assert tree(root) == before


def test_where_it_is_ignored_it_stays_so(root: Path) -> None:
    script = "trap '' TERM; (sleep 0.3; kill -TERM $$) & exec \"$0\" -m m2g render --locked --check"
    done = subprocess.run(["bash", "-c", script, sys.executable], cwd=root, capture_output=True, text=True, check=False)
    assert done.returncode == Exit.DONE, done.stderr
