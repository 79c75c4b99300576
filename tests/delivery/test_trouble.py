"""`m2g sync` where something is in its way: a full disk, a registry that goes away, odd repositories."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from m2g.core.errors import OutsideError
from m2g.core.model import ModelVersion, VersionFacts
from tests.support.fleet import FakeRegistry
from tests.support.git_repository import commit, git
from tests.support.paths import ROOT
from tests.support.sync_world import SyncWorld, actions

pytestmark = [pytest.mark.usefixtures("kustomize"), pytest.mark.slow]
BRANCH = "m2g/prod/wine"


@pytest.fixture
def world(tmp_path: Path) -> SyncWorld:
    return SyncWorld(tmp_path)


_SCRIPT = """
import resource, sys
from pathlib import Path
from tests.support.sync_world import SyncWorld
from m2g.core.errors import M2gError
world = SyncWorld.__new__(SyncWorld)
world.take(Path(sys.argv[1]))
world.move("wine", champion="2")
limit = int(sys.argv[2])
resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
try:
    world.sync()
except M2gError as error:
    print(error.message)
    raise SystemExit(1)
"""


@pytest.mark.parametrize("limit", [0, 100, 1000])
def test_no_room_leaves_nothing_and_the_next_run_is_complete(world: SyncWorld, tmp_path: Path, limit: int) -> None:
    """No file may be larger than the limit, as on a full disk: git, m2g and kustomize all fail somewhere."""
    before = world.tips()
    done = subprocess.run(
        [sys.executable, "-c", _SCRIPT, str(tmp_path), str(limit)],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": f"{ROOT / 'generator'}{os.pathsep}{ROOT}", "TMPDIR": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1, done.stderr
    assert done.stdout.strip()
    assert "Traceback" not in done.stderr
    assert world.tips() == before
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith("m2g-")] == []
    world.move("wine", champion="2")
    assert actions(world.sync()) == {BRANCH: "create"}


class _Leaving(FakeRegistry):
    """A registry that goes away in the middle: it lists, and then answers nothing more."""

    gone = True

    def read_facts(self, versions: Sequence[ModelVersion]) -> dict[tuple[str, str], VersionFacts]:
        if self.gone:
            raise OutsideError("http://mlflow.test does not answer")
        return super().read_facts(versions)


def test_a_registry_that_goes_away_in_the_middle_changes_nothing(world: SyncWorld) -> None:
    world.move("wine", champion="2")
    world.sync()
    tips = world.tips()
    leaving = _Leaving(world.registry.known)
    world.registry = leaving
    world.move("wine", champion="3")
    world.move("churn", champion="3")
    with pytest.raises(OutsideError, match="does not answer"):
        world.sync()
    assert world.tips() == tips
    leaving.gone = False
    assert actions(world.sync()) == {"m2g/prod/churn": "create", BRANCH: "update"}


def test_submodules_and_large_files_stay_as_they_are(world: SyncWorld, tmp_path: Path) -> None:
    """m2g checks out no submodule and runs no filter: the pointers of LFS are files like others."""
    other = tmp_path / "other"
    other.mkdir()
    git(other, "init", "-q", "-b", "main")
    (other / "a").write_text("a\n")
    commit(other)
    git(world.clone, "-c", "protocol.file.allow=always", "submodule", "--quiet", "add", str(other), "vendor/other")
    pointer = f"version https://git-lfs.github.com/spec/v1\noid sha256:{'0' * 64}\nsize 12345\n"
    (world.clone / ".gitattributes").write_text("*.bin filter=lfs diff=lfs merge=lfs -text\n")
    (world.clone / "weights.bin").write_text(pointer)
    commit(world.clone, "odd things")
    git(world.clone, "push", "-q", "origin", "HEAD:main")
    before = set(git(world.clone, "ls-tree", "-r", "HEAD").splitlines())
    world.move("wine", champion="2")
    assert actions(world.sync()) == {BRANCH: "create"}
    git(world.clone, "fetch", "-q", "origin", BRANCH)
    after = set(git(world.clone, "ls-tree", "-r", "FETCH_HEAD").splitlines())
    assert {line.split("\t")[1].split("/")[0] for line in before ^ after} == {"models", "fleet"}
    assert world.read(BRANCH, "weights.bin") == pointer.strip()
    assert actions(world.sync()) == {BRANCH: "leave"}


@pytest.mark.parametrize("kind", [["--depth", "1"], ["--filter=blob:none"], ["--filter=tree:0"]])
def test_from_a_shallow_or_partial_clone(world: SyncWorld, tmp_path: Path, kind: list[str]) -> None:
    part = tmp_path / "part"
    git(Path(world.remote), "config", "uploadpack.allowFilter", "true")
    git(tmp_path, "clone", "-q", *kind, f"file://{world.remote}", str(part))
    world.root = part
    world.move("wine", champion="2")
    assert actions(world.sync()) == {BRANCH: "create"}
    assert actions(world.sync()) == {BRANCH: "leave"}
