"""The scaffolded GitLab pipeline, in real clones of a real remote. tests/forge runs it against a real forge.

Left out is what needs GitLab itself: before_script (pip and kustomize from the network). A copy stands for artifacts.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from subprocess import CompletedProcess

import pytest

from tests.support.pipelines import Remote, Run, Store, gitlab, render, scaffolded
from tests.support.scaffolded import at, commit, documents, git, mapping, scaffold, sequence

pytestmark = [pytest.mark.usefixtures("kustomize"), pytest.mark.slow]
BRANCH = "m2g/prod/wine"


class GitLab:
    """A remote, and the pipeline's jobs."""

    def __init__(self, folder: Path, origin: Path) -> None:
        self.remote = Remote(folder, origin)

    def render(self) -> Run:
        return render(self.remote.clone)

    def check(self, clone: Path) -> CompletedProcess[str]:
        return gitlab(clone, "check", {"CI_MERGE_REQUEST_TARGET_BRANCH_NAME": "main"})


@pytest.fixture(scope="module")
def started(tmp_path_factory: pytest.TempPathFactory) -> Store:
    made = Store(tmp_path_factory.mktemp("mlflow"))
    made.register("wine", champion=1)
    return made


@pytest.fixture
def store(started: Store) -> Iterator[Store]:
    yield started
    started.move("wine", "champion", 1)


@pytest.fixture(scope="module")
def main(started: Store, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return scaffolded(tmp_path_factory.mktemp("main") / "models", started, "ci=gitlab", "sync=flux")


@pytest.fixture
def service(tmp_path: Path, main: Path) -> GitLab:
    return GitLab(tmp_path, main)


def test_render_proposes_and_goes_quiet_when_merged(service: GitLab, store: Store) -> None:
    done = service.render()
    assert not done.failed, done.said
    assert service.remote.tips() == {BRANCH, "main"}
    assert "fleet/prod/wine.yaml" in git(service.remote.bare, "ls-tree", "-r", "--name-only", BRANCH).split()
    first = service.remote.head(BRANCH)
    assert not service.render().failed
    assert service.remote.head(BRANCH) == first

    service.remote.merge(BRANCH)
    merged = service.render()
    assert not merged.failed, merged.said
    assert service.remote.tips() == {"main"}


def test_check_describes_the_change_in_its_artifact(service: GitLab) -> None:
    service.render()
    clone = service.remote.clone(BRANCH)
    done = service.check(clone)
    assert done.returncode == 0, done.stdout + done.stderr
    (pipeline,) = documents(clone / ".gitlab-ci.yml")
    (artifact,) = sequence(pipeline, "check", "artifacts", "paths")
    assert "wine" in (clone / str(artifact)).read_text()
    assert git(clone, "status", "--porcelain") == ""


def test_check_needs_no_token_and_sees_a_hand_edit(service: GitLab) -> None:
    service.render()
    clone = service.remote.clone(BRANCH)
    patch = clone / "models/wine/overlays/prod/patch.yaml"
    patch.write_text(patch.read_text() + "# by hand\n")
    commit(clone, "By hand")
    done = service.check(clone)
    assert done.returncode == 1
    assert "models/wine/overlays/prod/patch.yaml" in done.stdout + done.stderr
    assert (clone / "m2g-diff.md").exists(), "described all the same"


def test_the_pipeline_is_pinned(main: Path) -> None:
    (pipeline,) = documents(main / ".gitlab-ci.yml")
    assert re.search(r'echo "[0-9a-f]{64}  \$to/kustomize', str(at(pipeline, "default", "before_script")))
    assert {"check", "render", "propose"} == {str(stage) for stage in sequence(pipeline, "stages")} & set(
        mapping(pipeline)
    )
    for job in ("check", "render", "propose"):
        assert mapping(pipeline, job)["rules"], "no job runs in a pipeline it was not made for"


@pytest.mark.attack
def test_no_job_can_read_the_registry_and_write_to_the_forge(tmp_path: Path) -> None:
    root = scaffold(tmp_path / "r", "ci=gitlab", "smoke_test=true", "image_registry=ghcr.io/acme/models")
    (pipeline,) = documents(root / ".gitlab-ci.yml")
    environments = {job: at(pipeline, job, "environment", "name") for job in ("render", "propose")}
    assert environments == {"render": "m2g", "propose": "m2g-propose"}
    assert sequence(pipeline, "propose", "script") == ["m2g sync --from m2g-snapshot.json --branch main"]
    assert not re.search(r"TOKEN|PASSWORD|MLFLOW", str(mapping(pipeline, "check")))
    for job in ("render", "propose"):
        assert at(pipeline, job, "resource_group")
        assert "merge_request_event" not in str(mapping(pipeline, job)["rules"])
