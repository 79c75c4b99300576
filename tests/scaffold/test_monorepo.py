"""A repository in the folder of a real Git monorepo: paths, owners, workflows and updates follow the folder."""

from __future__ import annotations

import fnmatch
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from m2g.commands.scaffold import align
from m2g.commands.validate import ValidateOptions, validate
from m2g.core.errors import InputError
from tests.support.codeowners import owners
from tests.support.fleet import tree
from tests.support.paths import ROOT
from tests.support.scaffolded import at, commit, documents, fleet, git, program, scaffold

pytestmark = pytest.mark.slow
FOLDER = "teams/fraud.models"


@pytest.fixture
def monorepo(tmp_path: Path) -> Path:
    """What others have there, and the scaffold in a folder, rendered and committed."""
    (tmp_path / "mono/app").mkdir(parents=True)
    (tmp_path / "mono/app/main.py").write_text("print('hello')\n")
    commit(tmp_path / "mono", "An application")
    root = scaffold(tmp_path / "mono" / FOLDER, "sync=both", "environments=dev, prod", "owners=@acme/ml")
    fleet(root)
    commit(tmp_path / "mono", "Models")
    return tmp_path / "mono"


@pytest.mark.usefixtures("kustomize")
def test_what_the_engines_read_is_there(monorepo: Path, tmp_path: Path) -> None:
    root = monorepo / FOLDER
    assert list(validate(root, ValidateOptions()).findings) == []
    files = git(monorepo, "ls-files").split()
    (_, applications) = documents(root / "platform/argocd/prod.yaml")
    pattern = str(at(applications, "spec", "generators", 0, "matrix", "generators", 0, "git", "files", 0, "path"))
    found = [path for path in files if fnmatch.fnmatchcase(path, pattern)]
    assert f"{FOLDER}/models/wine/overlays/prod/app.json" in found
    paths = json.loads((monorepo / found[0]).read_text())["paths"].split(";")
    assert all((monorepo / path.removeprefix("/")).is_dir() and path.startswith(f"/{FOLDER}/") for path in paths)
    parent = documents(root / "platform/flux/prod.yaml")[0]
    folder = monorepo / str(at(parent, "spec", "path"))
    (child,) = documents(folder / "wine.yaml")
    assert (monorepo / str(at(child, "spec", "path")) / "kustomization.yaml").is_file()

    (source,) = documents(root / "platform/flux/_source.yaml")
    (tmp_path / "ignore").write_text(str(at(source, "spec", "ignore")))
    asked = subprocess.run(
        ["git", "-c", f"core.excludesFile={tmp_path}/ignore", "check-ignore", "--no-index", "--stdin"],
        cwd=monorepo, input="\n".join(files), capture_output=True, text=True, check=False,
    )  # fmt: skip
    applied = set(files) - set(asked.stdout.split())
    assert applied == {path for path in files if path.startswith((f"{FOLDER}/models/", f"{FOLDER}/fleet/"))}


@pytest.mark.parametrize("forge", ["github", "gitlab"])
def test_owners_own_this_folder_and_nothing_else(monorepo: Path, forge: str) -> None:
    file = monorepo / FOLDER / "CODEOWNERS"
    assert owners(file, f"{FOLDER}/m2g.yaml", forge) == ["@acme/ml"]
    assert owners(file, f"{FOLDER}/models/wine/releases/prod.json", forge) == ["@acme/ml"]
    assert owners(file, f"{FOLDER}/models/wine/releases/dev.json", forge) == []
    assert owners(file, "app/main.py", forge) == []
    assert owners(file, "m2g.yaml", forge) == []


@pytest.mark.usefixtures("kustomize")
def test_a_pull_request_is_checked_in_the_folder(monorepo: Path) -> None:
    """The workflows lie at the root, as README.md says, and run what they run in a repository of its own."""
    root = monorepo / FOLDER
    (copies,) = re.findall(r"```sh\n(mkdir -p .*?)```", (root / "README.md").read_text(), re.DOTALL)
    subprocess.run(["sh", "-ec", copies], cwd=root, check=True)
    commit(monorepo, "Workflows")
    for name, job in (("m2g-check", "check"), ("m2g-render", "render")):
        (workflow,) = documents(monorepo / f".github/workflows/{name}.yml")
        assert at(workflow, "jobs", job, "defaults", "run", "working-directory") == FOLDER
    git(monorepo, "switch", "-q", "-c", "change")
    said = ""
    (root / "models/wine/model.yaml").write_text("settings: {minReplicas: 1, maxReplicas: 3}\n")
    for words, code in (
        (["render", "--locked", "--check"], 1),
        (["render", "--locked"], 0),
        (["render", "--locked", "--check"], 0),
        (["validate", "--format", "github", "--against", "HEAD"], 0),
        (["diff", "--against", "HEAD"], 0),
    ):
        done = program([sys.executable, "-m", "m2g", *words], root)
        assert done.returncode == code, done.stdout + done.stderr
        said = done.stdout
    assert "wine" in said
    (monorepo / "app/main.py").write_text("print('changed')\n")
    commit(monorepo, "Another team's change, too")
    done = program([sys.executable, "-m", "m2g", "diff", "--against", "HEAD~1"], root)
    assert "main.py" not in done.stdout


@pytest.mark.parametrize("ci", ["github", "gitlab"])
def test_gitlab_and_pre_commit_run_in_the_folder(tmp_path: Path, ci: str) -> None:
    git(tmp_path, "init", "-q")
    root = scaffold(tmp_path / FOLDER, f"ci={ci}", "environments=dev, prod")
    (hooks,) = documents(root / ".pre-commit-config.yaml")
    assert at(hooks, "repos", 0, "hooks", 0, "entry") == f"m2g -C {FOLDER} validate"
    assert re.search(str(at(hooks, "repos", 0, "hooks", 1, "files")), f"{FOLDER}/models/wine/model.yaml")
    assert not re.search(str(at(hooks, "repos", 0, "hooks", 1, "files")), "teams/fraud-models/x")
    if ci == "gitlab":
        (pipeline,) = documents(root / ".gitlab-ci.yml")
        assert at(pipeline, "default", "before_script", 0) == f"cd {FOLDER}"
        assert at(pipeline, "check", "artifacts", "paths", 0) == f"{FOLDER}/m2g-diff.md"


def test_a_repository_of_its_own_has_no_folder(tmp_path: Path) -> None:
    git(tmp_path, "init", "-q")
    with pytest.raises(InputError, match="subfolder"):
        scaffold(tmp_path / "x", "subfolder=../outside")
    root = scaffold(tmp_path / "own", "subfolder=")
    plain = scaffold(tmp_path.parent / f"{tmp_path.name}-plain")
    assert tree(root) == tree(plain)


def test_a_folder_that_moves_is_one_line_of_m2g_yaml(monorepo: Path) -> None:
    moved = monorepo / "ml"
    (monorepo / FOLDER).rename(moved)
    text = (moved / "m2g.yaml").read_text()
    (moved / "m2g.yaml").write_text(text.replace(f'path: "{FOLDER}"', 'path: "ml"'))
    assert align(moved, dry_run=False).answers == {"subfolder": "ml"}
    assert "./ml/fleet/prod" in (moved / "platform/flux/prod.yaml").read_text()
    assert FOLDER not in (moved / "CODEOWNERS").read_text()


def test_copier_updates_the_folder(tmp_path: Path) -> None:
    template, mono = tmp_path / "template", tmp_path / "mono"
    shutil.copytree(ROOT / "template", template / "template")
    shutil.copytree(ROOT / "schemas/m2g", template / "schemas/m2g")
    shutil.copy(ROOT / "copier.yml", template)
    commit(template, "First")
    git(template, "tag", "v0.1.0")
    mono.mkdir()
    git(mono, "init", "-q")
    copy = [sys.executable, "-m", "copier", "copy", "--defaults", f"--data=subfolder={FOLDER}", str(template)]
    assert program([*copy, str(mono / FOLDER)], mono).returncode == 0
    (mono / FOLDER / "README.md").write_text("Ours.\n" + (mono / FOLDER / "README.md").read_text())
    commit(mono, "Models")
    readme = template / "template/README.md.jinja"
    readme.write_text(readme.read_text().replace("## Deploy a version\n", "## Deploy a version (news)\n"))
    commit(template, "Second")
    git(template, "tag", "v0.2.0")
    done = program([sys.executable, "-m", "copier", "update", "--defaults"], mono / FOLDER)
    assert done.returncode == 0, done.stderr
    text = (mono / FOLDER / "README.md").read_text()
    assert text.startswith("Ours.\n")
    assert "(news)" in text
    assert FOLDER in (mono / FOLDER / "CODEOWNERS").read_text()
    assert not list(mono.rglob("*.rej"))
