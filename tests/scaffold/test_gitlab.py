"""The scaffolded GitLab pipeline, in real clones of a remote that takes push options.

Left out is what needs GitLab itself: before_script (pip and kustomize from the network), and the line that points
`git push` to GitLab with a token.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from subprocess import CompletedProcess

import pytest

from tests.support.pipelines import Remote, Store, gitlab, scaffolded
from tests.support.scaffolded import at, commit, documents, git, mapping, sequence

pytestmark = [pytest.mark.usefixtures("kustomize"), pytest.mark.slow]
M2G = "m2g@noreply.localhost"
HOOK = """\
#!/bin/sh
i=0
while [ "$i" -lt "${GIT_PUSH_OPTION_COUNT:-0}" ]; do
  eval "printf '%s\\\\n' \\"\\$GIT_PUSH_OPTION_$i\\"" >> options
  i=$((i + 1))
done
"""


class GitLab:
    """A remote that writes down the push options it gets."""

    def __init__(self, folder: Path, origin: Path) -> None:
        self.remote = Remote(folder, origin)
        git(self.remote.bare, "config", "receive.advertisePushOptions", "true")
        hook = self.remote.bare / "hooks/post-receive"
        hook.parent.mkdir(exist_ok=True)
        hook.write_text(HOOK)
        hook.chmod(0o755)

    @property
    def options(self) -> list[str]:
        path = self.remote.bare / "options"
        return path.read_text().splitlines() if path.exists() else []

    def render(self) -> CompletedProcess[str]:
        return gitlab(self.remote.clone(), "render", "git remote set-url", {})

    def check(self, clone: Path, **environment: str) -> CompletedProcess[str]:
        return gitlab(clone, "check", "", {"CI_MERGE_REQUEST_TARGET_BRANCH_NAME": "main", **environment})


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
    assert done.returncode == 0, done.stdout + done.stderr
    assert service.remote.log("main..m2g/render") == [M2G]
    assert service.options == [
        "merge_request.create", "merge_request.target=main", "merge_request.title=Render the fleet",
    ]  # fmt: skip
    assert "fleet/prod/wine.yaml" in git(service.remote.bare, "ls-tree", "-r", "--name-only", "m2g/render").split()

    first = service.remote.head("m2g/render")
    again = service.render()
    assert again.returncode == 0, again.stderr
    assert "up to date" in again.stdout
    assert service.remote.head("m2g/render") == first

    service.remote.merge("m2g/render")
    merged = service.render()
    assert merged.returncode == 0, merged.stderr
    assert service.remote.head("m2g/render") == "", "GitLab closes a request whose branch is gone"

    store.move("wine", "champion", 2)
    assert service.render().returncode == 0
    assert service.remote.log("main..m2g/render") == [M2G]


def test_a_commit_of_a_person_on_the_branch_is_not_lost(service: GitLab, store: Store) -> None:
    service.render()
    clone = service.remote.clone("m2g/render")
    (clone / "models/wine/model.yaml").write_text("settings: {minReplicas: 1}\n")
    commit(clone, "Settings of ours")
    git(clone, "push", "-q", "origin", "m2g/render")
    theirs = service.remote.head("m2g/render")
    store.move("wine", "champion", 2)
    done = service.render()
    assert done.returncode == 1
    assert "ada@example.com" in done.stdout
    assert service.remote.head("m2g/render") == theirs


@pytest.mark.attack
def test_commits_that_only_look_like_those_of_m2g_do_not_stay(service: GitLab) -> None:
    """A record that is changed and changed back is in the history of main after a rebase: an image of it, too."""
    service.render()
    clone = service.remote.clone("m2g/render")
    author = git(clone, "log", "-1", "--format=user.name=%an%nuser.email=%ae").splitlines()
    record = clone / "models/wine/releases/prod.json"
    ours = record.read_text()
    for text in (ours.replace("wine", "evil"), ours):
        record.write_text(text)
        git(clone, "-c", author[0], "-c", author[1], "commit", "-q", "-a", "-m", "Render the fleet")
    git(clone, "push", "-q", "origin", "m2g/render")
    theirs = service.remote.head("m2g/render")
    done = service.render()
    assert done.returncode == 0, done.stderr
    assert service.remote.head("m2g/render") != theirs
    assert service.remote.log("main..m2g/render") == [M2G]


def test_check_describes_the_change_in_its_artifact(service: GitLab) -> None:
    service.render()
    clone = service.remote.clone("m2g/render")
    done = service.check(clone)
    assert done.returncode == 0, done.stdout + done.stderr
    (pipeline,) = documents(clone / ".gitlab-ci.yml")
    (artifact,) = sequence(pipeline, "check", "artifacts", "paths")
    assert "wine" in (clone / str(artifact)).read_text()
    assert git(clone, "status", "--porcelain") == ""


def test_check_needs_no_token_and_sees_a_hand_edit(service: GitLab) -> None:
    service.render()
    clone = service.remote.clone("m2g/render")
    patch = clone / "models/wine/overlays/prod/patch.yaml"
    patch.write_text(patch.read_text() + "# by hand\n")
    commit(clone, "By hand")
    done = service.check(clone)
    assert done.returncode == 1
    assert "models/wine/overlays/prod/patch.yaml" in done.stdout + done.stderr
    assert (clone / "m2g-diff.md").exists(), "described all the same"


def test_the_pipeline_is_pinned(main: Path) -> None:
    (pipeline,) = documents(main / ".gitlab-ci.yml")
    assert re.fullmatch(r"[0-9a-f]{64}", str(at(pipeline, "variables", "KUSTOMIZE_SHA256")))
    assert at(pipeline, "render", "resource_group")
    assert {"check", "render"} == {str(stage) for stage in sequence(pipeline, "stages")} & set(mapping(pipeline))
    for job in ("check", "render"):
        assert mapping(pipeline, job)["rules"], "no job runs in a pipeline it was not made for"
