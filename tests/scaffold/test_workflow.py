"""The scaffolded GitHub workflows, step by step, in real clones of a real remote.

Left out is what needs GitHub itself: `uses:` steps (a clone stands for checkout, a copy for artifacts), and "Install
m2g". `gh` is a fake that writes down what it is asked. tests/forge runs the same steps against a real forge.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.fake_github import GitHub
from tests.support.paths import ROOT
from tests.support.pipelines import Job, Store, scaffolded
from tests.support.scaffolded import at, commit, documents, git, mapping, scaffold, sequence, strings

pytestmark = [pytest.mark.usefixtures("kustomize"), pytest.mark.slow]
M2G = "m2g@users.noreply.github.com"
BRANCH = "m2g/prod/wine"
LARGE = ("smoke_test=true", "image_registry=ghcr.io/acme/models")


@pytest.fixture(scope="module")
def started(tmp_path_factory: pytest.TempPathFactory) -> Store:
    """One store for all tests: its place is written in the records."""
    made = Store(tmp_path_factory.mktemp("mlflow"))
    made.register("wine", champion=1)
    made.register("churn", champion=1)
    return made


@pytest.fixture
def store(started: Store) -> Iterator[Store]:
    yield started
    started.move("wine", "champion", 1)


@pytest.fixture(scope="module")
def main(started: Store, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A scaffolded repository without models."""
    return scaffolded(tmp_path_factory.mktemp("main") / "models", started)


@pytest.fixture(scope="module")
def proposed(main: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same after the first run of the workflow: the branches are pushed, main is as it was."""
    folder = tmp_path_factory.mktemp("proposed")
    with pytest.MonkeyPatch.context() as patch:
        made = GitHub(folder, main)
        made.use(patch)
        job = made.render()
    assert not job.failed, job.said
    return made.remote.bare


@pytest.fixture
def github(tmp_path: Path, proposed: Path, monkeypatch: pytest.MonkeyPatch) -> GitHub:
    """GitHub after the first run."""
    made = GitHub(tmp_path, proposed)
    made.use(monkeypatch)
    return made


@pytest.fixture
def fresh(tmp_path: Path, main: Path, monkeypatch: pytest.MonkeyPatch) -> GitHub:
    """GitHub before the first run."""
    made = GitHub(tmp_path, main)
    made.use(monkeypatch)
    return made


def test_render_proposes_checks_pass_merging_ends_it(fresh: GitHub, store: Store) -> None:
    job = fresh.render()
    assert not job.failed, job.said
    assert fresh.remote.tips() == {BRANCH, "m2g/prod/churn", "main"}
    assert fresh.remote.log(f"main..{BRANCH}") == [M2G]

    check = fresh.check(fresh.remote.clone(BRANCH))
    assert not check.failed, check.said
    assert "wine" in check.summary
    assert fresh.body.startswith("<!-- m2g diff -->\n")

    fresh.remote.merge(BRANCH)
    fresh.remote.merge("m2g/prod/churn")
    again = fresh.render()
    assert not again.failed, again.said
    assert fresh.remote.tips() == {"main"}
    assert "nothing to do" in fresh.render().said

    store.move("wine", "champion", 2)
    moved = fresh.render()
    assert not moved.failed, moved.said
    assert fresh.remote.log(f"main..{BRANCH}") == [M2G]
    assert git(fresh.remote.bare, "diff", "--name-only", "main", BRANCH).split() == [
        "models/wine/README.md", "models/wine/overlays/prod/patch.yaml", "models/wine/releases/prod.json",
    ]  # fmt: skip


def test_a_second_run_pushes_only_what_is_new(github: GitHub, store: Store) -> None:
    first, other = github.remote.head(BRANCH), github.remote.head("m2g/prod/churn")
    again = github.render()
    assert not again.failed, again.said
    assert (github.remote.head(BRANCH), github.remote.head("m2g/prod/churn")) == (first, other)

    store.move("wine", "champion", 2)
    assert not github.render().failed
    assert github.remote.head(BRANCH) != first
    assert github.remote.head("m2g/prod/churn") == other
    assert github.remote.log(f"main..{BRANCH}") == [M2G], "one commit, not one more a run"


def test_a_commit_of_a_person_on_the_branch_is_not_lost(github: GitHub, store: Store) -> None:
    clone = github.remote.clone(BRANCH)
    (clone / "models/wine/model.yaml").write_text("settings: {minReplicas: 1}\n")
    commit(clone, "Settings of ours")
    git(clone, "push", "-q", "origin", BRANCH)
    theirs = github.remote.head(BRANCH)
    store.move("wine", "champion", 2)
    job = github.render()
    assert not job.failed, job.said
    assert github.remote.head(BRANCH) == theirs


@pytest.mark.attack
def test_commits_that_only_look_like_those_of_m2g_are_named(github: GitHub) -> None:
    """A record that is changed and changed back is in the history of main after a rebase: an image of it, too."""
    clone = github.remote.clone(BRANCH)
    author = git(clone, "log", "-1", "--format=user.name=%an%nuser.email=%ae").splitlines()
    record = clone / "models/wine/releases/prod.json"
    ours = record.read_text()
    for text in (ours.replace("wine", "evil"), ours):
        record.write_text(text)
        git(clone, "-c", author[0], "-c", author[1], "commit", "-q", "-a", "-m", "wine (prod): version 1, new")
    git(clone, "push", "-q", "origin", BRANCH)
    theirs = github.remote.head(BRANCH)
    done = github.render()
    assert not done.failed, done.said
    assert "the branch has a commit that is not m2g's" in done.said
    assert github.remote.head(BRANCH) == theirs


def test_one_bad_model_does_not_stop_the_others_and_is_not_forgotten(fresh: GitHub, store: Store) -> None:
    store.register("broken", champion=1)
    shutil.rmtree(store.artifacts / "broken")
    job = fresh.render()
    store.remove("broken")
    assert job.failed == ("Propose",), "after it proposed the others"
    assert "broken" in job.said
    assert fresh.remote.tips() == {BRANCH, "m2g/prod/churn", "main"}


def test_a_registry_that_is_down_changes_nothing(github: GitHub, store: Store) -> None:
    database, before = Path(store.uri.removeprefix("sqlite:///")), github.remote.head(BRANCH)
    away = database.rename(database.with_suffix(".away"))
    job = github.render()
    away.rename(database)
    assert job.failed == ("Ask the registry", "Propose")
    assert github.remote.head(BRANCH) == before


def test_a_hand_edit_fails_the_check_and_is_described_all_the_same(github: GitHub) -> None:
    github.remote.merge(BRANCH)
    clone = github.remote.clone()
    patch = clone / "models/wine/overlays/prod/patch.yaml"
    patch.write_text(patch.read_text().replace("wine/1/", "wine/2/"))
    commit(clone, "By hand")
    job = github.check(clone)
    assert "Compare the tree with its records" in job.failed
    assert "models/wine/overlays/prod/patch.yaml" in job.said
    assert job.ran[-2:] == ["Describe the change", "Comment on the pull request"]


def test_one_comment_is_updated_in_place(github: GitHub) -> None:
    clone = github.remote.clone(BRANCH)
    github.check(clone)
    assert "api --method POST repos/acme/models/issues/7/comments" in "\n".join(github.calls)
    github.answer(comments="41\n42")
    github.check(clone)
    assert "api --method PATCH repos/acme/models/issues/comments/41" in "\n".join(github.calls)
    assert "POST" not in "\n".join(github.calls)


def test_a_request_that_changes_nothing_here_passes(github: GitHub) -> None:
    clone = github.remote.clone()
    (clone / "NOTES.md").write_text("ours\n")
    commit(clone, "Notes")
    assert not github.check(clone).failed


@pytest.mark.attack
@pytest.mark.parametrize("ci", ["github", "gitea"])
def test_a_workflow_has_few_rights_and_pinned_actions(tmp_path: Path, ci: str) -> None:
    root = scaffold(tmp_path / "r", f"ci={ci}", *LARGE)
    assert sorted(path.name for path in (root / f".{ci}/workflows").iterdir()) == ["check.yml", "render.yml"]
    for path in (root / f".{ci}/workflows").iterdir():
        (workflow,) = documents(path)
        assert at(workflow, "permissions") == {"contents": "read"}
        assert at(workflow, "concurrency", "group")
        assert "pull_request_target" not in set(strings(workflow))
        assert str(ROOT) not in path.read_text()
        for action in re.findall(r"uses: (.*)", path.read_text()):
            assert re.fullmatch(r"actions/[a-z/-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+", action)
        for job in mapping(workflow, "jobs").values():
            for step in sequence(job, "steps"):
                assert "${{" not in str(mapping(step).get("run", "")), "an expression in a script is an injection"
    (check,) = documents(root / f".{ci}/workflows/check.yml")
    assert "secrets." not in str(check), "a job that runs what a branch contains has no secret"
    assert at(check, "jobs", "check", "permissions") == {"contents": "read"}
    if ci == "github":
        assert at(check, "jobs", "comment", "permissions") == {"pull-requests": "write"}


@pytest.mark.attack
@pytest.mark.parametrize("ci", ["github", "gitea"])
def test_no_job_can_read_the_registry_and_write_to_the_forge(tmp_path: Path, ci: str) -> None:
    (workflow,) = documents(scaffold(tmp_path / "r", f"ci={ci}", *LARGE) / f".{ci}/workflows/render.yml")
    reads, writes = mapping(workflow, "jobs", "render"), mapping(workflow, "jobs", "propose")
    assert [reads["environment"], writes["environment"]] == ["m2g", "m2g-propose"]
    assert mapping(reads["permissions"]).get("contents") == "read"
    assert mapping(reads["permissions"]).get("pull-requests") is None
    assert writes["permissions"] == {"contents": "write", "pull-requests": "write"}
    assert "M2G_TOKEN" not in str(reads)
    assert not re.search(r"MLFLOW|IMAGE_REGISTRY", str(writes))
    assert set(re.findall(r"secrets\.(\w+)", str(writes))) == {"M2G_TOKEN"}


def test_the_authority_and_the_workspace_reach_m2g(fresh: GitHub) -> None:
    clone = fresh.remote.clone()
    (workflow,) = documents(clone / ".github/workflows/render.yml")
    assert at(workflow, "jobs", "render", "env", "MLFLOW_WORKSPACE") == "${{ vars.MLFLOW_WORKSPACE }}"
    assert at(workflow, "on", "repository_dispatch", "types") == ["m2g-render"]
    job = Job(clone, "render", {"vars.MLFLOW_CA_CERTIFICATE": "-----BEGIN CERTIFICATE-----\nAAAA"}, "render").run()
    assert not job.failed, job.said
    assert (job.temp / "mlflow-ca.pem").read_text() == "-----BEGIN CERTIFICATE-----\nAAAA\n"
    assert (job.temp / "variables").read_text() == f"MLFLOW_TRACKING_SERVER_CERT_PATH={job.temp}/mlflow-ca.pem\n"


@pytest.mark.parametrize(
    ("ci", "file"),
    [
        ("github", ".github/workflows/render.yml"),
        ("gitea", ".gitea/workflows/render.yml"),
        ("gitlab", ".gitlab-ci.yml"),
    ],
)
def test_a_runner_of_ones_own(tmp_path: Path, ci: str, file: str) -> None:
    (pipeline,) = documents(scaffold(tmp_path / "r", f"ci={ci}", "runner=our-runner") / file)
    if ci != "gitlab":
        assert at(pipeline, "jobs", "render", "runs-on") == "our-runner"
    else:
        assert at(pipeline, "default", "tags") == ["our-runner"]
