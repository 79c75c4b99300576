"""B: a registered model whose name a shell would run, in a command that `mlflow deployments` tells people to paste."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from m2g.commands.deployments import Change, Deployment, propose
from m2g.core.errors import InputError
from m2g.core.finding import Report
from tests.support.fleet import CONFIG, FakeRegistry, model, run
from tests.support.git_repository import commit, git, start

pytestmark = pytest.mark.attack


@pytest.mark.parametrize(
    "name", ["wine$(touch here)", "wine`touch here`", 'wine";touch here;"', "wine'; touch here; '"]
)
def test_no_name_of_a_model_runs_in_a_command_that_people_paste(tmp_path: Path, name: str) -> None:
    root = start(tmp_path / "clone")
    (root / "m2g.yaml").write_text(CONFIG)
    run(root, FakeRegistry([model(name, champion="1", challenger="1")]))
    commit(root)
    (folder,) = (root / "models").iterdir()
    git(tmp_path, "clone", "-q", "--bare", str(root), str(tmp_path / "remote.git"))
    git(root, "remote", "add", "origin", str(tmp_path / "remote.git"))
    change = Change(deployment=Deployment(environment="prod", slug=folder.name), wanted=None, new=False)
    with pytest.raises(InputError) as refused:
        propose(root, change, validate=lambda place, scope: Report(), describe=lambda review, size: "")
    command = refused.value.hint.removeprefix("move it in the registry: ")
    code = subprocess.run(
        ["bash", "-c", f'python() {{ printf %s "$2"; }}; {command}'],
        cwd=tmp_path, capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip
    assert not (tmp_path / "here").exists()
    assert code.endswith(f"delete_registered_model_alias({name!r}, 'champion')")
