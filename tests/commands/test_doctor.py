"""`m2g doctor` on this machine: what is missing is said with the step that brings it."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import jsonschema_rs
import msgspec
import pytest

from m2g.commands.doctor import diagnose
from m2g.core.errors import OutsideError
from m2g.core.results import Check
from m2g.report import doctor as report
from tests.support.fleet import FakeRegistry, model, release, repository, write_record
from tests.support.machine import seconds
from tests.support.paths import ROOT
from tests.support.scaffolded import scaffold


def look(folder: Path, registry: FakeRegistry | None = None) -> dict[str, Check]:
    def open_registry(_config: object) -> FakeRegistry:
        if registry is None:
            raise OutsideError("the registry does not answer", hint="start it")
        return registry

    return {one.name: one for one in diagnose(folder, open_registry=open_registry).checks}


def program(folder: Path, name: str, words: str) -> None:
    folder.mkdir(exist_ok=True)
    (folder / name).write_text(f"#!/bin/sh\necho '{words}'\n")
    (folder / name).chmod(0o755)


@pytest.mark.usefixtures("kustomize")
def test_a_machine_and_a_repository_that_are_well(tmp_path: Path) -> None:
    write_record(repository(tmp_path), "wine", release())
    checks = look(tmp_path, FakeRegistry([model()]))
    assert {name: checks[name].state for name in ("kustomize", "git", "repository", "registry")} == {
        "kustomize": "ok",
        "git": "ok",
        "repository": "ok",
        "registry": "ok",
    }
    assert checks["repository"].message == f"{tmp_path}, models: 1"
    assert checks["registry"].message == "http://mlflow.test, registered models: 1"


def test_programs_that_are_missing_or_old(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    checks = look(tmp_path)
    assert (checks["kustomize"].state, checks["git"].state, checks["uv"].state) == ("problem", "problem", "warning")
    assert all(checks[name].step for name in ("kustomize", "git", "uv", "mlflow"))
    program(tmp_path / "bin", "kustomize", "v4.5.7")
    assert "is version v4.5.7; m2g needs 5" in look(tmp_path)["kustomize"].message
    program(tmp_path / "bin", "kustomize", "no version")
    assert "does not say its version" in look(tmp_path)["kustomize"].message
    (tmp_path / "bin/kustomize").unlink()
    program(tmp_path / "bin", "kubectl", "Client Version: v1.36.3\nKustomize Version: v5.8.1")
    assert look(tmp_path)["kustomize"].message == f"v5.8.1, {tmp_path}/bin/kubectl"


def test_what_is_wrong_with_the_repository(tmp_path: Path) -> None:
    assert look(tmp_path)["repository"].step == "create one: m2g init my-models"
    broken = repository(tmp_path / "broken", "version: 1\nenvironments: 3\n")
    assert look(broken)["repository"].step == "see them: m2g validate"
    plain = repository(tmp_path / "plain", "version: 1\nenvironments: {dev: {namespace: models}}\n")
    assert look(plain)["sync"].state == "warning"
    assert look(plain)["registry"] == Check(
        name="registry", state="problem", message="the registry does not answer", step="start it"
    )


def test_the_command(tmp_path: Path) -> None:
    repository(tmp_path, "version: 1\nenvironments: {dev: {namespace: models}}\n")
    command = [sys.executable, "-m", "m2g", "doctor"]
    environment = {name: text for name, text in os.environ.items() if not name.startswith("MLFLOW_")}
    done = subprocess.run(
        [*command, "--format", "json"], cwd=tmp_path, env=environment, capture_output=True, check=False,
        timeout=seconds(60),
    )  # fmt: skip
    schema = (ROOT / "docs/reference/schemas/doctor.schema.json").read_bytes()
    jsonschema_rs.validator_for(msgspec.json.decode(schema)).validate(msgspec.json.decode(done.stdout))
    assert done.returncode == 1, "no registry is named"
    done = subprocess.run([*command, "--env", "dev"], cwd=tmp_path, capture_output=True, check=False)
    assert done.returncode == 2


def test_a_step_stands_on_one_line(tmp_path: Path) -> None:
    text = report.render(diagnose(tmp_path, open_registry=lambda _: FakeRegistry()), "text", 60)
    assert "→ create one: m2g init my-models\n" in text
    assert text.endswith(("warning\n", "warnings\n", "all is well\n"))


@pytest.mark.parametrize("sync", ["argocd", "flux"])
def test_files_of_an_older_scaffold_are_named_with_the_command_that_updates_them(tmp_path: Path, sync: str) -> None:
    """tests/scaffold/test_update.py runs that command."""
    root = scaffold(tmp_path / "models", f"sync={sync}", "environments=prod")
    checks = look(root, FakeRegistry([]))
    assert checks["workflows"].state == "ok"
    assert "platform" not in checks
    workflow, platform = root / ".github/workflows/render.yml", root / f"platform/{sync}/prod.yaml"
    workflow.write_text(workflow.read_text() + "# pushes m2g/render\n")
    platform.write_text(re.sub("(?i)servingruntimes?", "others", platform.read_text()))
    checks = look(root, FakeRegistry([]))
    for name, file in (("workflows", workflow), ("platform", platform)):
        assert checks[name].state == "warning"
        assert checks[name].message.startswith(f"{file.relative_to(root)} ")
        assert checks[name].step == 'pipx run "copier>=9.7" update'
