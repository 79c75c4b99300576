"""`m2g scaffold`: what m2g.yaml says gets into the files of the template, and what people wrote there stays."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from m2g.commands.scaffold import align
from m2g.commands.validate import ValidateOptions, validate
from m2g.core.errors import InputError
from m2g.core.finding import Finding
from tests.support.fleet import tree
from tests.support.scaffolded import at, commit, documents, fleet, git, program, scaffold

pytestmark = pytest.mark.slow


@pytest.fixture(params=["argocd", "flux", "both"])
def repository(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    root = scaffold(tmp_path / "r", f"sync={request.param}", "environments=dev, prod")
    fleet(root)
    commit(root, "Scaffold and render")
    return root


def edit(root: Path, old: str, new: str, path: str = "m2g.yaml") -> None:
    text = (root / path).read_text()
    assert old in text
    (root / path).write_text(text.replace(old, new))


def changed(root: Path, before: Mapping[str, bytes]) -> set[str]:
    after = tree(root)
    return {path for path in {**before, **after} if before.get(path) != after.get(path)}


def found(root: Path) -> dict[str, list[Finding]]:
    by_rule: dict[str, list[Finding]] = {}
    for finding in validate(root, ValidateOptions()).findings:
        by_rule.setdefault(finding.rule, []).append(finding)
    return by_rule


@pytest.mark.usefixtures("kustomize")
def test_another_namespace_gets_everywhere(repository: Path) -> None:
    edit(repository, 'namespace: "models-prod"', "namespace: fraud-live")
    fleet(repository)
    rules = found(repository)
    assert "namespace-differs" in rules
    for finding in (*rules["namespace-differs"], *rules.get("project-missing", ())):
        assert "m2g scaffold" in finding.hint
    assert all(finding.line for finding in rules["namespace-differs"])
    before = tree(repository)
    dry = align(repository, dry_run=True)
    assert (dry.answers, dry.written) == ({"namespaces": "prod=fraud-live"}, False)
    assert changed(repository, before) == set()

    done = align(repository, dry_run=False)
    assert done.written
    assert [file.path for file in done.files] == [file.path for file in dry.files]
    assert changed(repository, before) == {file.path for file in done.files}
    assert ".copier-answers.yml" in changed(repository, before)
    assert found(repository) == {}
    for path in (*repository.glob("platform/**/*.yaml"), *repository.glob("fleet/*/namespace/*")):
        if "prod" in path.as_posix().removeprefix(repository.as_posix()):
            text = re.sub(r"(?m)^ *#.*$", "", path.read_text())
            assert not re.search(r"namespace: .?models-prod", text)
            assert "fraud-live" in text
    assert align(repository, dry_run=False).files == ()


@pytest.mark.usefixtures("kustomize")
def test_environments_come_and_go(repository: Path) -> None:
    edit(
        repository, "environments:\n", "environments:\n  canary: {namespace: models-canary, follow: {alias: canary}}\n"
    )
    before = tree(repository)
    done = align(repository, dry_run=False)
    assert done.answers == {"environments": "canary, dev, prod"}
    new = {path for path in changed(repository, before) if path not in before}
    assert new
    assert all("canary" in path for path in new)
    assert found(repository) == {}
    edit(repository, "  canary: {namespace: models-canary, follow: {alias: canary}}\n", "")
    align(repository, dry_run=False)
    assert changed(repository, before) <= {"m2g.yaml"}


def test_edits_of_people_stay(tmp_path: Path) -> None:
    root = scaffold(tmp_path / "r", "environments=dev, prod")
    project = "platform/argocd/prod.yaml"
    edit(root, "  clusterResourceWhitelist: []\n", "  clusterResourceWhitelist: []\n  # ours\n", project)
    (root / "policies/overrides.yaml").unlink()
    edit(root, 'namespace: "models-prod"', "namespace: fraud-live")
    align(root, dry_run=False)
    assert "# ours\n" in (root / project).read_text()
    assert "fraud-live" in (root / project).read_text()
    assert not (root / "policies/overrides.yaml").exists()


def test_an_edit_in_the_way_is_named_and_nothing_is_written(tmp_path: Path) -> None:
    root = scaffold(tmp_path / "r", "environments=dev, prod")
    project = "platform/argocd/prod.yaml"
    edit(root, '      namespace: "models-prod"\n', '      namespace: "mine" # ours\n', project)
    edit(root, 'namespace: "models-prod"', "namespace: fraud-live")
    before = tree(root)
    done = align(root, dry_run=False)
    assert (done.conflicts, done.written) == ((project,), False)
    assert changed(root, before) == set()
    edit(root, '      namespace: "mine" # ours\n', '      namespace: "fraud-live"\n', project)  # as the message says
    assert align(root, dry_run=False).written


def test_without_answers_it_says_what_to_do(tmp_path: Path) -> None:
    root = scaffold(tmp_path / "r", "environments=dev, prod")
    (root / ".copier-answers.yml").unlink()
    with pytest.raises(InputError, match="does not know how it was made") as caught:
        align(root, dry_run=False)
    assert "m2g init" in caught.value.hint


@pytest.mark.attack
@pytest.mark.parametrize(
    "answers",
    [
        "environments: dev, prod\nnamespace_prefix: '[[ 7 * 7 ]]'\n",
        "environments: dev, prod\nnamespace_prefix: ../../x\n",
        "environments: dev, prod\nm2g_source: 'file:///$(touch x)'\n",
        "environments: dev, prod\nnamespaces: 'prod=../x'\nrepository_name: '../../../etc'\n",
    ],
)
def test_answers_of_a_branch_are_data(tmp_path: Path, answers: str) -> None:
    """Whoever changes .copier-answers.yml gets an error or a text, and no file outside of the repository."""
    root = scaffold(tmp_path / "r", "environments=dev, prod")
    (root / ".copier-answers.yml").write_text(answers)
    edit(root, 'namespace: "models-prod"', "namespace: fraud-live")
    try:
        align(root, dry_run=False)
    except InputError as error:
        assert "the answer to" in error.message
    assert [path.name for path in tmp_path.iterdir()] == ["r"]
    assert not any(b"49" in content for path, content in tree(root).items() if path.startswith("platform/"))


@pytest.mark.attack
def test_nothing_is_written_through_a_symlink(tmp_path: Path) -> None:
    root = scaffold(tmp_path / "r", "environments=dev, prod")
    outside = tmp_path / "outside"
    (root / "platform/argocd/prod.yaml").rename(outside)
    (root / "platform/argocd/prod.yaml").symlink_to(outside)
    text = outside.read_text()
    edit(root, 'namespace: "models-prod"', "namespace: fraud-live")
    with pytest.raises(InputError, match="symlink"):
        align(root, dry_run=False)
    assert outside.read_text() == text


def test_the_command_prints_the_change_and_copier_update_keeps_it(tmp_path: Path) -> None:
    root = scaffold(tmp_path / "r", "environments=dev, prod")
    edit(root, 'namespace: "models-prod"', "namespace: fraud-live")
    commit(root, "Scaffold")
    dry = program([sys.executable, "-m", "m2g", "scaffold", "--dry-run"], root)
    assert dry.returncode == 0, dry.stderr
    assert "namespaces: prod=fraud-live\n" in dry.stdout
    assert "~ platform/argocd/prod.yaml\n" in dry.stdout
    assert git(root, "status", "--porcelain") == ""
    done = program([sys.executable, "-m", "m2g", "scaffold", "--format", "json"], root)
    assert json.loads(done.stdout)["written"] is True
    (answers,) = documents(root / ".copier-answers.yml")
    assert at(answers, "namespaces") == "prod=fraud-live"
    again = program([sys.executable, "-m", "m2g", "scaffold"], root)
    assert again.stdout == "up to date: the files of the template say what m2g.yaml says\n"
