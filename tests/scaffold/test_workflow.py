"""The scaffolded GitHub workflows, step by step, in real clones of a real remote.

Left out is what needs GitHub itself: `uses:` steps (a clone stands for checkout), and "Install m2g". `gh` is a fake
that writes down what it is asked.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.fake_github import GitHub
from tests.support.paths import ROOT
from tests.support.pipelines import Store, scaffolded
from tests.support.scaffolded import at, commit, documents, git, mapping, scaffold, sequence, strings

pytestmark = [pytest.mark.usefixtures("kustomize"), pytest.mark.slow]
M2G = "m2g@users.noreply.github.com"
ADA = "ada@example.com"


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
    """The same after the first run of the workflow: m2g/render is pushed, main is as it was."""
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
    assert fresh.remote.log("main..m2g/render") == [M2G]
    assert any(call.startswith("pr create --head m2g/render --base main") for call in fresh.calls)
    assert "wine" in fresh.body

    check = fresh.check(fresh.remote.clone("m2g/render"))
    assert not check.failed, check.said
    assert "wine" in check.summary
    assert fresh.body.startswith("<!-- m2g diff -->\n")

    fresh.remote.merge("m2g/render")
    merged = fresh.remote.head("m2g/render")
    fresh.answer()
    again = fresh.render()
    assert not again.failed, again.said
    assert "Push" in again.skipped
    assert fresh.remote.head("m2g/render") == merged
    assert not [call for call in fresh.calls if not call.startswith(("auth", "pr list"))]

    store.move("wine", "champion", 2)
    moved = fresh.render()
    assert not moved.failed, moved.said
    assert fresh.remote.log("main..m2g/render") == [M2G]
    assert git(fresh.remote.bare, "diff", "--name-only", "main", "m2g/render").split() == [
        "models/wine/README.md", "models/wine/overlays/prod/patch.yaml", "models/wine/releases/prod.json",
    ]  # fmt: skip


def test_a_second_run_updates_the_request_and_pushes_only_what_is_new(github: GitHub, store: Store) -> None:
    first = github.remote.head("m2g/render")
    github.answer(opened="12")
    again = github.render()
    assert not again.failed, again.said
    assert github.remote.head("m2g/render") == first
    assert any(call.startswith("pr edit 12 --body-file") for call in github.calls)

    store.move("wine", "champion", 2)
    assert not github.render().failed
    assert github.remote.head("m2g/render") != first
    assert github.remote.log("main..m2g/render") == [M2G], "one commit, not one more a run"


def test_a_closed_request_stays_closed_until_something_moves(github: GitHub, store: Store) -> None:
    github.answer(closed=github.remote.head("m2g/render"))
    assert not github.render().failed
    assert not any("create" in call for call in github.calls)
    store.move("wine", "champion", 2)
    assert not github.render().failed
    assert any("pr create" in call for call in github.calls)


def test_a_request_without_a_change_is_closed(github: GitHub) -> None:
    github.remote.merge("m2g/render")
    github.answer(opened="12")
    assert not github.render().failed
    assert any(call.startswith("pr close 12 --comment") for call in github.calls)


def test_a_commit_of_a_person_on_the_branch_is_not_lost(github: GitHub, store: Store) -> None:
    clone = github.remote.clone("m2g/render")
    (clone / "models/wine/model.yaml").write_text("settings: {minReplicas: 1}\n")
    commit(clone, "Settings of ours")
    git(clone, "push", "-q", "origin", "m2g/render")
    theirs = github.remote.head("m2g/render")
    store.move("wine", "champion", 2)
    job = github.render()
    assert job.failed == ["Push"]
    assert ADA in job.said
    assert "::error::" in job.said
    assert github.remote.head("m2g/render") == theirs


@pytest.mark.attack
def test_commits_that_only_look_like_those_of_m2g_do_not_stay(github: GitHub) -> None:
    """A record that is changed and changed back is in the history of main after a rebase: an image of it, too."""
    clone = github.remote.clone("m2g/render")
    author = git(clone, "log", "-1", "--format=user.name=%an%nuser.email=%ae").splitlines()
    record = clone / "models/wine/releases/prod.json"
    ours = record.read_text()
    for text in (ours.replace("wine", "evil"), ours):
        record.write_text(text)
        git(clone, "-c", author[0], "-c", author[1], "commit", "-q", "-a", "-m", "Render the fleet")
    git(clone, "push", "-q", "origin", "m2g/render")
    theirs = github.remote.head("m2g/render")
    done = github.render()
    assert not done.failed, done.said
    assert github.remote.head("m2g/render") != theirs
    assert github.remote.log("main..m2g/render") == [M2G]


def test_one_bad_model_does_not_stop_the_others_and_is_not_forgotten(fresh: GitHub, store: Store) -> None:
    store.register("broken", champion=1)
    shutil.rmtree(store.artifacts / "broken")
    job = fresh.render()
    store.remove("broken")
    assert job.failed == ["Report models that were left out"]
    assert "broken" in job.said
    for told in (job.summary, fresh.body):
        assert told.startswith("What m2g render found:\n\n    broken\n")
    assert "models/wine/overlays/prod/kustomization.yaml" in git(
        fresh.remote.bare, "ls-tree", "-r", "--name-only", "m2g/render"
    )


def test_a_registry_that_is_down_changes_nothing(github: GitHub, store: Store) -> None:
    database, before = Path(store.uri.removeprefix("sqlite:///")), github.remote.head("m2g/render")
    away = database.rename(database.with_suffix(".away"))
    job = github.render()
    away.rename(database)
    assert job.failed == ["Render"]
    assert github.remote.head("m2g/render") == before
    assert github.calls == []


def test_a_hand_edit_fails_the_check_and_is_described_all_the_same(github: GitHub) -> None:
    github.remote.merge("m2g/render")
    clone = github.remote.clone()
    patch = clone / "models/wine/overlays/prod/patch.yaml"
    patch.write_text(patch.read_text().replace("wine/1/", "wine/2/"))
    commit(clone, "By hand")
    job = github.check(clone)
    assert "Compare the tree with its records" in job.failed
    assert "models/wine/overlays/prod/patch.yaml" in job.said
    assert job.ran[-2:] == ["Describe the change", "Comment on the pull request"]


def test_one_comment_is_updated_in_place(github: GitHub) -> None:
    clone = github.remote.clone("m2g/render")
    github.check(clone)
    assert "api --method POST repos/acme/models/issues/7/comments" in "\n".join(github.calls)
    shutil.rmtree(clone.with_name(f"{clone.name}-check-temp"))
    github.answer(comments="41\n42")
    github.check(clone)
    assert "api --method PATCH repos/acme/models/issues/comments/41" in "\n".join(github.calls)
    assert "POST" not in "\n".join(github.calls)


def test_a_request_that_changes_nothing_here_passes(github: GitHub) -> None:
    clone = github.remote.clone()
    (clone / "NOTES.md").write_text("ours\n")
    commit(clone, "Notes")
    assert not github.check(clone).failed


def test_size_never_fails_a_check(github: GitHub, tmp_path: Path) -> None:
    """A description larger than a comment and a summary may be: cut at a line, said so, still UTF-8."""
    line = "| wine | prod | 🍷 élan " + "x" * 90 + " |"
    (tmp_path / "bin/m2g").write_text(f"#!/bin/sh\n[ $1 != diff ] || yes '{line}' | head -n 20000\n")
    (tmp_path / "bin/m2g").chmod(0o755)
    job = github.check(github.remote.clone())
    assert not job.failed, job.said
    for text, limit in ((github.body.removeprefix("<!-- m2g diff -->\n"), 65_536), (job.summary, 1_048_576)):
        assert len(text.encode()) < limit
        assert text.startswith("> Too long to show in full")
        assert set(text.splitlines()[2:]) == {line}


@pytest.mark.attack
@pytest.mark.parametrize("file", ["check", "render"])
def test_a_workflow_has_few_rights_and_pinned_actions(tmp_path: Path, file: str) -> None:
    (workflow,) = documents(scaffold(tmp_path / "r") / f".github/workflows/{file}.yml")
    assert at(workflow, "permissions") == {"contents": "read"}
    assert at(workflow, "concurrency", "group")
    job = mapping(workflow, "jobs", file)
    rights = {"contents": "write", "pull-requests": "write"} if file == "render" else {"contents": "read"}
    assert job["permissions"] == rights
    if file == "check":
        assert at(workflow, "jobs", "comment", "permissions") == {"pull-requests": "write"}
        assert "secrets." not in str(workflow), "a job that runs what a branch contains has no secret"
    else:
        assert job["environment"] == "m2g"
    text = (tmp_path / f"r/.github/workflows/{file}.yml").read_text()
    for action in re.findall(r"uses: (.*)", text):
        assert re.fullmatch(r"actions/[a-z/-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+", action)
    for step in sequence(job, "steps"):
        found = mapping(step)
        assert "${{" not in str(found.get("run", "")), "an expression in a script is an injection"
        if "GH_TOKEN" in mapping(found.get("env", {})):
            assert "m2g " not in str(found["run"]).replace("m2g diff -->", ""), "no token where registry text is read"
    assert "pull_request_target" not in set(strings(workflow))
    assert sorted(path.name for path in (tmp_path / "r/.github/workflows").iterdir()) == ["check.yml", "render.yml"]
    assert str(ROOT) not in text


def test_the_authority_and_the_workspace_reach_m2g(fresh: GitHub) -> None:
    (workflow,) = documents(fresh.remote.clone() / ".github/workflows/render.yml")
    assert at(workflow, "jobs", "render", "env", "MLFLOW_WORKSPACE") == "${{ vars.MLFLOW_WORKSPACE }}"
    assert at(workflow, "on", "repository_dispatch", "types") == ["m2g-render"]
    job = fresh.render({"vars.MLFLOW_CA_CERTIFICATE": "-----BEGIN CERTIFICATE-----\nAAAA"})
    assert not job.failed, job.said
    assert (job.temp / "mlflow-ca.pem").read_text() == "-----BEGIN CERTIFICATE-----\nAAAA\n"
    assert (job.temp / "variables").read_text() == f"MLFLOW_TRACKING_SERVER_CERT_PATH={job.temp}/mlflow-ca.pem\n"


@pytest.mark.parametrize(("ci", "file"), [("github", ".github/workflows/render.yml"), ("gitlab", ".gitlab-ci.yml")])
def test_a_runner_of_ones_own(tmp_path: Path, ci: str, file: str) -> None:
    (pipeline,) = documents(scaffold(tmp_path / "r", f"ci={ci}", "runner=our-runner") / file)
    if ci == "github":
        assert at(pipeline, "jobs", "render", "runs-on") == "our-runner"
    else:
        assert at(pipeline, "default", "tags") == ["our-runner"]
