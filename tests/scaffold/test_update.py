"""copier copy and copier update, as a person types them: real Git, real tags, a fleet and hand edits in between."""

from __future__ import annotations

import re
import shutil
import sys
from pathlib import Path

import pytest

from m2g.commands.doctor import check_scaffold
from m2g.commands.validate import ValidateOptions, validate
from m2g.core.finding import Severity
from tests.support.fleet import tree
from tests.support.paths import ROOT
from tests.support.scaffolded import at, commit, documents, fleet, git, program, scaffold

pytestmark = pytest.mark.slow
ANSWERS = {"environments": "dev, prod", "sync": "both", "repository_name": "ml"}
COMPONENT = "apiVersion: kustomize.config.k8s.io/v1alpha1\nkind: Component\n"


def copier(folder: Path, *arguments: str) -> None:
    done = program([sys.executable, "-m", "copier", *arguments], folder)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.fixture
def template(tmp_path: Path) -> Path:
    """This template as a repository of its own with one release, v0.1.0."""
    to = tmp_path / "template"
    shutil.copytree(ROOT / "template", to / "template")
    shutil.copytree(ROOT / "schemas/m2g", to / "schemas/m2g")
    shutil.copy(ROOT / "copier.yml", to)
    commit(to, "First")
    git(to, "tag", "v0.1.0")
    return to


@pytest.fixture
def repository(template: Path, tmp_path: Path) -> Path:
    """A repository from v0.1.0 with three models and what people do to one within a year."""
    to = tmp_path / "repository"
    data = [f"--data={name}={answer}" for name, answer in ANSWERS.items()]
    copier(tmp_path, "copy", "--defaults", *data, str(template), str(to))
    commit(to, "Scaffold")
    commit(fleet(to), "Render")
    edit(to / "m2g.yaml", "  maxReplicas: 1\n", "  maxReplicas: 3 # by hand\n  env: {TEAM: wine}\n")
    edit(to / "m2g.yaml", 'include: ["*"]', 'include: ["*"]\n  # a remark of ours')
    edit(to / "README.md", "# ml\n", "# ml\n\nAsk Ada first.\n")
    edit(
        to / "fleet/prod/namespace/namespace.yaml",
        "    m2g.dev/environment:",
        "    team: wine\n    m2g.dev/environment:",
    )
    (to / "models/wine/custom/prod").mkdir(parents=True)
    (to / "models/wine/custom/prod/kustomization.yaml").write_text(COMPONENT)
    (to / "models/wine/model.yaml").write_text("settings: {minReplicas: 1} # ours\n")
    (to / "docs").mkdir()
    (to / "docs/on-call.md").write_text("Ours.\n")
    (to / ".pre-commit-config.yaml").unlink()  # this team does not want it
    commit(fleet(to), "A year of edits")
    return to


def edit(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert text.count(old) >= 1, old
    path.write_text(text.replace(old, new, 1))


def release(template: Path) -> None:
    """v0.2.0: news in many files, beside the places that people edited and in them."""
    source = template / "template"
    edit(template / "copier.yml", 'default: "0.1.0"', 'default: "0.2.0"')
    edit(source / "m2g.yaml.jinja", "  maxReplicas: 1\n", "  maxReplicas: 2 # a better default\n")
    edit(source / "README.md.jinja", "## Deploy a version\n", "## Deploy a version (news)\n")
    edit(next(source.glob("*/workflows/check.yml.jinja")), "name: check\n", "name: check m2g\n")
    for path in [*source.glob("platform/*argocd*/*yield*"), *source.glob("platform/*flux*/*yield*")]:
        edit(path, "# ", "# (news) ")
    edit(template / "schemas/m2g/m2g.schema.json", "{", '{\n  "$comment": "news",')
    (source / "SECURITY.md.jinja").write_text("New in [[ m2g_version ]].\n")
    commit(template, "Second")
    git(template, "tag", "v0.2.0")


def test_an_update_brings_the_news_and_loses_nothing(template: Path, repository: Path) -> None:
    before = tree(repository)
    release(template)
    copier(repository, "update", "--defaults")

    after = tree(repository)
    changed = {path for path in before | after if before.get(path) != after.get(path)}
    assert changed == {
        ".copier-answers.yml", ".github/workflows/check.yml", ".github/workflows/render.yml", "README.md",
        "SECURITY.md", "platform/argocd/dev.yaml", "platform/argocd/prod.yaml", "platform/flux/dev.yaml",
        "platform/flux/prod.yaml", "schemas/m2g.schema.json",
    }  # fmt: skip
    assert not [path for path in after if path.endswith((".rej", ".orig"))]
    for path, content in after.items():
        assert not any(line.startswith((b"<<<<<<<", b">>>>>>>")) for line in content.splitlines()), path
    assert git(repository, "diff", "--name-only", "--diff-filter=U") == ""

    readme = after["README.md"].decode()
    assert "Ask Ada first." in readme
    assert "## Deploy a version (news)" in readme
    assert after["SECURITY.md"] == b"New in 0.2.0.\n"
    assert f"@{git(template, 'rev-parse', 'v0.2.0').strip()}" in after[".github/workflows/render.yml"].decode()
    (answers,) = documents(repository / ".copier-answers.yml")
    assert at(answers, "_commit") == "v0.2.0"
    assert {name: at(answers, name) for name in ANSWERS} == ANSWERS


def test_a_second_update_changes_nothing(template: Path, repository: Path) -> None:
    release(template)
    copier(repository, "update", "--defaults")
    commit(repository, "Update")
    copier(repository, "update", "--defaults")
    assert git(repository, "status", "--porcelain") == ""


def test_another_environment_later(template: Path, repository: Path) -> None:
    """The new environment gets its platform files; m2g.yaml, which is the people's, stays as it is."""
    before = tree(repository)
    copier(repository, "update", "--defaults", "--data=environments=dev, staging, prod")
    after = tree(repository)
    assert {path for path in after if path not in before} == {
        "fleet/staging/namespace/namespace.yaml", "platform/argocd/staging.yaml", "platform/flux/staging.yaml",
    }  # fmt: skip
    assert after["m2g.yaml"] == before["m2g.yaml"]
    assert {path: after[path] for path in before if path.startswith(("models/", "fleet/"))} == {
        path: content for path, content in before.items() if path.startswith(("models/", "fleet/"))
    }


def test_m2g_init_leads_to_copier_update(template: Path, tmp_path: Path) -> None:
    """A repository from the packaged template updates from the repository of the same release."""
    to = scaffold(tmp_path / "made", f"m2g_source=file://{template}")
    commit(to, "Scaffold")
    release(template)
    copier(to, "update", "--defaults")
    assert (to / "SECURITY.md").read_text() == "New in 0.2.0.\n"
    assert not list(to.rglob("*.rej"))


def test_a_template_without_trust(template: Path, tmp_path: Path) -> None:
    """No tasks, no migrations, no extensions: nothing that would ask for --trust."""
    (questions,) = documents(template / "copier.yml")
    assert isinstance(questions, dict)
    assert not {"_tasks", "_migrations", "_jinja_extensions"} & set(questions)


def weaken(source: Path) -> None:
    """The template as it was before the walls of tests/attack/test_walls.py stood."""
    (source / "CODEOWNERS.jinja").write_text(
        "/models/*/overlays/[[ protected ]]/ [[ owners ]]\n/m2g.yaml [[ owners ]]\n"
    )
    shutil.rmtree(source / "ci")
    for path in (
        *source.glob("*/workflows/*"), *source.glob("platform/*/*yield*"), *source.glob("*gitlab-ci*"),
        *source.glob(".parts/*"),
    ):  # fmt: skip
        text = re.sub(r"@[0-9a-f]{40} # (v[0-9.]+)", r"@\1", path.read_text())
        text = re.sub(r"(?m)^( *)(merge_group:|serviceAccountName: ).*\n", "", text)
        text = text.replace("clusterResourceWhitelist: []", "clusterResourceWhitelist: [{group: '*', kind: '*'}]")
        path.write_text(text.replace("--require-hashes", "--quiet"))


@pytest.mark.attack
@pytest.mark.parametrize("ci", ["github", "gitlab"])
def test_an_older_repository_gets_the_walls(template: Path, tmp_path: Path, ci: str) -> None:
    """CODEOWNERS of every path, impersonation, the project, installs by hash, the merge queue: as in a new one."""
    walls = git(template, "rev-parse", "HEAD").strip()
    weaken(template / "template")
    commit(template, "Without walls")
    git(template, "tag", "--force", "v0.1.0")
    git(template, "checkout", "-q", walls, "--", ".")
    edit(template / "copier.yml", 'default: "0.1.0"', 'default: "0.2.0"')
    commit(template, "With walls")
    git(template, "tag", "v0.2.0")
    data = [f"--data={name}={answer}" for name, answer in {**ANSWERS, "owners": "@acme/ml", "ci": ci}.items()]
    root, new = tmp_path / "root", tmp_path / "new"
    copier(tmp_path, "copy", "--defaults", "--vcs-ref=v0.1.0", *data, str(template), str(root))
    commit(fleet(root), "Scaffold and render")
    assert "platform-bounds" in validated(root)

    copier(root, "update", "--defaults")
    copier(tmp_path, "copy", "--defaults", *data, str(template), str(new))
    after, fresh = tree(root), tree(new)
    assert {path for path, content in fresh.items() if after.get(path) != content} <= {".copier-answers.yml"}
    assert validated(root) == set()
    for wall in ("* @acme/ml", "/** @acme/ml"):
        assert wall in after["CODEOWNERS"].decode()
    commands = "".join(after[path].decode() for path in after if path.startswith((".github/", ".gitlab-ci.yml")))
    assert "--require-hashes" in commands
    assert ("merge_group:" in commands) is (ci == "github")
    (account, *_) = {at(item, "spec", "serviceAccountName") for item in documents(root / "platform/flux/prod.yaml")
                     if at(item, "kind") == "Kustomization"}  # fmt: skip
    assert account == "fleet-prod"
    assert b"clusterResourceWhitelist: []" in after["platform/argocd/prod.yaml"]


LAST_FORM = Path(__file__).parent / "last_form"
"""The CI files before `m2g sync`: one job rendered, pushed and proposed with bash."""


@pytest.mark.parametrize("ci", ["github", "gitlab"])
def test_a_repository_with_the_old_job_gets_the_new_ones(template: Path, tmp_path: Path, ci: str) -> None:
    """Old answers are enough, and nothing conflicts."""
    new_form = git(template, "rev-parse", "HEAD").strip()
    source, old = template / "template", LAST_FORM
    shutil.rmtree(next(source.glob("*ci != *")))
    workflows = source / "[% if ci == 'github' %].github[% endif %]/workflows"
    workflows.mkdir(parents=True)
    for name in ("render.yml.jinja", "check.yml.jinja"):
        shutil.copy(old / name, workflows)
    shutil.copy(old / "gitlab-ci.yml.jinja", next(source.glob("*gitlab-ci*")))
    questions = (template / "copier.yml").read_text()
    start, end = questions.index("m2g_install:\n"), questions.index("m2g_source:\n")
    old_questions = (questions[:start] + questions[end:]).replace("    Gitea or Forgejo: gitea\n", "")
    computed = re.sub(r"m2g_way:\n(  .*\n)+\nm2g_requirement:\n(  .*\n)+\n", "", old_questions)
    computed = computed.replace("m2g_install if m2g_install | length == 40 else ", "")
    assert "m2g_install" not in computed
    (template / "copier.yml").write_text(computed)
    for name in (".pre-commit-config.yaml.jinja", "README.md.jinja"):  # they were of another form, too
        text = (source / name).read_text().replace("m2g_way", "'commit'")
        text = text.replace(
            "m2g_requirement.partition(' --hash')[0]", "'mlflow-gitops @ git+' ~ m2g_source ~ '@' ~ m2g_ref"
        )
        (source / name).write_text(text)
    commit(template, "The old job")
    git(template, "tag", "--force", "v0.1.0")
    git(template, "checkout", "-q", new_form, "--", ".")
    shutil.rmtree(source / "[% if ci == 'github' %].github[% endif %]")
    edit(template / "copier.yml", 'default: "0.1.0"', 'default: "0.2.0"')
    commit(template, "The new jobs")
    git(template, "tag", "v0.2.0")
    more = {"smoke_test": "true", "image_registry": "ghcr.io/acme/models"}
    data = [f"--data={name}={answer}" for name, answer in {**ANSWERS, **more, "ci": ci}.items()]
    root, fresh = tmp_path / "root", tmp_path / "fresh"
    copier(tmp_path, "copy", "--defaults", "--vcs-ref=v0.1.0", *data, str(template), str(root))
    edit(root / "README.md", "# ml\n", "# ml\n\nAsk Ada first.\n")
    commit(fleet(root), "Scaffold and render")
    (before,) = [one for one in check_scaffold(root) if one.name == "workflows"]
    assert before.state == "warning"
    assert 'pipx run "copier>=9.7" update' in before.step

    copier(root, "update", "--defaults")
    copier(tmp_path, "copy", "--defaults", *data, str(template), str(fresh))
    after, expected = tree(root), tree(fresh)
    assert {path for path, content in expected.items() if after.get(path) != content} <= {
        ".copier-answers.yml", "README.md",
    }  # fmt: skip
    assert not [path for path in after if path.endswith((".rej", ".orig"))]
    assert git(root, "diff", "--name-only", "--diff-filter=U") == ""
    commands = "".join(after[path].decode() for path in after if path.startswith((".github/", ".gitlab-ci.yml")))
    assert "m2g sync --from" in commands
    assert "m2g/render" not in commands
    assert [one.state for one in check_scaffold(root) if one.name == "workflows"] == ["ok"]
    commit(root, "Update")
    copier(root, "update", "--defaults")
    assert git(root, "status", "--porcelain") == "", "a second update changes nothing"


def validated(root: Path) -> set[str]:
    """The rules of the errors that m2g finds."""
    return {item.rule for item in validate(root, ValidateOptions()).findings if item.severity is Severity.ERROR}
