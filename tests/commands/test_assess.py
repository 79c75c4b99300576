"""`m2g assess`: what it says of a registry is what render does with it, and what it advises leads on."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import jsonschema_rs
import msgspec
import pytest

from m2g.commands.assess import assess
from m2g.commands.explain_model import explain_model
from m2g.core.errors import InputError
from m2g.core.model import ModelVersion, VersionFacts
from m2g.core.results import AssessedVersion, Assessment
from m2g.report import assess as report
from tests.support.fleet import CONFIG, FILES, MLMODEL, FakeRegistry, model, repository, run, tree
from tests.support.machine import seconds
from tests.support.paths import ROOT

SKOPS = MLMODEL.replace(b"cloudpickle", b"skops").replace(b"2.19.0", b"3.12.0")
PROPHET = b"""\
flavors:
  prophet: {data: model.pr, prophet_version: 1.1.6}
  python_function: {loader_module: mlflow.prophet, python_version: 3.10.12}
mlflow_version: 2.19.0
"""
UNSIGNED = MLMODEL.partition(b"signature:")[0]
LARGE = MLMODEL.replace(b"1204", b"3000000000")
NEWER = MLMODEL.replace(b"sklearn_version: 1.5.2", b"sklearn_version: 1.6.1")
KINDS: Mapping[str, Mapping[str, bytes]] = {
    "plain": FILES,
    "newer": {"MLmodel": NEWER, "requirements.txt": b"mlflow==2.19.0\nscikit-learn==1.6.1\n"},
    "skops": {"MLmodel": SKOPS, "requirements.txt": b"mlflow==3.12.0\nscikit-learn==1.5.2\n"},
    "skops-again": {"MLmodel": SKOPS, "requirements.txt": b"scikit-learn==1.5.2\nmlflow==3.12.0\n"},
    "no-requirements": {"MLmodel": SKOPS, "requirements.txt": b""},
    "prophet": {"MLmodel": PROPHET, "requirements.txt": b"mlflow==2.19.0\nprophet==1.1.6\n"},
    "large": {**FILES, "MLmodel": LARGE},
    "unsigned": {"MLmodel": UNSIGNED, "requirements.txt": FILES["requirements.txt"]},
}
OUTCOMES = {
    "plain": "serves",
    "newer": "unsure",
    "skops": "mlserver-image",
    "skops-again": "mlserver-image",
    "no-requirements": "log-again",
    "prophet": "mlflow-image",
    "large": "needs-memory",
    "unsigned": "serves",
    "gone": "unreadable",
}
SHARED = "; or plan images that models share: m2g environments plan --write"


class Kinds(FakeRegistry):
    """A registry with one model of each kind, whose version 2 is champion."""

    def __init__(self) -> None:
        super().__init__([model(name, champion="2") for name in (*KINDS, "gone")])
        self.problems["gone", "2"] = "the files are gone"

    def read_facts(self, versions: Sequence[ModelVersion]) -> dict[tuple[str, str], VersionFacts]:
        found = super().read_facts(versions)
        return {
            (name, number): msgspec.structs.replace(facts, files=KINDS.get(name, FILES))
            for (name, number), facts in found.items()
        }


def look(registry: FakeRegistry, root: Path | None = None, *models: str) -> Assessment:
    return assess(root, models, open_registry=lambda config: registry)


def by_model(result: Assessment) -> dict[str, AssessedVersion]:
    return {one.model: one for one in result.versions}


def test_each_kind_has_its_outcome_and_its_next_step() -> None:
    found = by_model(look(Kinds()))
    assert {name: one.outcome for name, one in found.items()} == OUTCOMES
    assert all(bool(one.step) == (one.outcome != "serves") for one in found.values())
    assert found["plain"].server == "kserve-mlserver"
    assert found["skops"].log_again == "log it with serialization_format='cloudpickle'"
    there = "create a repository (m2g init my-models), and there "
    assert found["prophet"].step == f"{there}build its image: m2g image prophet --env prod -o DIR{SHARED}"
    memory = "settings: {resources: {limits: {memory: 6Gi}}}"
    assert found["large"].step == f"{there}write to models/large/model.yaml: {memory}"
    assert [problem.kind for problem in found["unsigned"].problems] == ["signature"]


def test_without_a_repository_no_step_is_a_command_that_needs_one(tmp_path: Path) -> None:
    outside = by_model(look(Kinds()))
    inside = by_model(look(Kinds(), repository(tmp_path / "r")))
    for name, one in outside.items():
        first, _, there = one.step.partition(", and there ")
        needs = any(word in one.step for word in ("m2g smoke", "m2g image", "m2g.yaml", "model.yaml"))
        assert (first == "create a repository (m2g init my-models)") is needs
        if needs:
            assert there == inside[name].step.replace("--env dev", "--env prod")


def test_a_version_whose_files_are_readable_again_is_served() -> None:
    registry = Kinds()
    assert "make its files readable for m2g, or register the model again" in by_model(look(registry))["gone"].step
    registry.problems.clear()
    assert by_model(look(registry))["gone"].outcome == "serves"


def test_versions_of_one_package_set_stand_together() -> None:
    result = look(Kinds())
    assert [(one.versions, one.python) for one in result.packages] == [
        (("skops/2", "skops-again/2"), "3.10.12"),
        (("prophet/2",), "3.10.12"),
    ]
    assert {one.packages for one in result.versions if one.model.startswith("skops")} == {result.packages[0].id}


def test_what_it_says_is_what_render_does(tmp_path: Path) -> None:
    root, registry = repository(tmp_path / "r"), Kinds()
    before = tree(root)
    said = by_model(look(registry, root))
    assert tree(root) == before
    run(root, registry)
    served = {one for one in OUTCOMES if (root / f"models/{one}/releases/prod.json").is_file()}
    assert served == {name for name, one in said.items() if one.outcome in ("serves", "unsure")}


@pytest.mark.parametrize("name", ["skops", "prophet"])
def test_a_version_that_needs_an_image_waits_for_it_without_a_setting(tmp_path: Path, name: str) -> None:
    root, registry = repository(tmp_path / "r"), Kinds()
    one = by_model(look(registry, root))[name]
    assert one.step == f"build its image: m2g image {name} --env prod -o DIR{SHARED}"
    (found,) = [finding for finding in run(root, registry).findings if finding.model == name]
    assert found.rule == "image-missing"
    assert found.hint.startswith(one.step.removesuffix(SHARED).replace("build its image", "build one"))
    assert one.why in found.message


def test_explain_says_the_same_of_a_model(tmp_path: Path) -> None:
    root, registry = repository(tmp_path / "r"), Kinds()
    said = by_model(look(registry, root))
    for name in ("skops", "prophet", "large", "no-requirements"):
        (reasons,) = explain_model(root, name, ["prod"], open_registry=lambda config: registry).environments
        assert any(said[name].why.partition(";")[0] in reason for reason in reasons.reasons)
        assert said[name].step.removeprefix("build its image: ").partition(";")[0] in reasons.next


def test_the_memory_that_it_advises_is_enough(tmp_path: Path) -> None:
    root, registry = repository(tmp_path / "r"), Kinds()
    one = by_model(look(registry, root))["large"]
    (found,) = [finding for finding in run(root, registry).findings if finding.model == "large"]
    assert found.hint.startswith(one.step)
    file, _, setting = one.step.removeprefix("write to ").partition(": ")
    (root / file).parent.mkdir(parents=True)
    (root / file).write_text(f"{setting}\n")
    run(root, registry)
    assert (root / "models/large/releases/prod.json").is_file()


def test_it_says_who_decides_about_the_protocol_of_a_service(tmp_path: Path) -> None:
    root, registry = repository(tmp_path / "r"), Kinds()
    plain = FakeRegistry([model("prophet", champion="1")])
    run(root, plain)
    one = by_model(look(registry, root, "prophet"))["prophet"]
    assert one.outcome == "mlflow-image"
    (found,) = [one for one in run(root, registry).findings if one.rule == "protocol-changes"]
    assert (one.why, one.step) == (found.message, found.hint)


def test_who_wants_a_version(tmp_path: Path) -> None:
    registry = FakeRegistry([model("wine", champion="1", other="3"), model("beer"), model("rum", champion="9")])
    assert {(one.model, one.version): one.wanted for one in look(registry).versions} == {
        ("wine", "1"): ("alias champion",),
        ("wine", "3"): ("alias other",),
        ("beer", "3"): ("newest",),
    }
    assert look(registry).idle == ("rum",)
    root = repository(tmp_path / "r", CONFIG)
    assert [one.wanted for one in look(registry, root, "wine").versions] == [
        ("prod", "alias champion"),
        ("alias other",),
    ]
    with pytest.raises(InputError, match="wien"):
        look(registry, root, "wien")


def test_storage_and_slugs_are_problems_whatever_serves_the_model() -> None:
    registry = FakeRegistry([model("A b", champion="1"), model("a-b", champion="1")])
    source = "mlflow-artifacts:/1/models/m/artifacts"
    registry.changes["A b", "1"] = ModelVersion(name="A b", version="1", source=source, created_at=1)
    found = by_model(look(registry))
    assert {problem.kind for problem in found["A b"].problems} == {"storage", "slug"}
    assert [problem.step for problem in found["a-b"].problems] == [
        "create a repository (m2g init my-models), and there write to m2g.yaml: models: {slugs: {'a-b': another-name}}"
    ]


def test_text_and_json() -> None:
    result = look(Kinds())
    data = json.loads(report.render(result, "json", 80))
    schema = json.loads((ROOT / "docs/reference/schemas/assess.schema.json").read_text())
    jsonschema_rs.validator_for(schema).validate(data)
    text = report.render(result, "text", 80)
    assert all(len(line) <= 80 for line in text.splitlines())
    assert "     2  a runtime loads these as they are\n" in text
    assert "     2  these need an image with their own packages and MLServer (1 package set)\n" in text
    assert "     1  these need an image with their own packages and MLflow's server (1\n        package set)\n" in text
    assert text.endswith("next: create a repository: m2g init my-models\n")
    assert all(f"  {name} 2" in text for name in OUTCOMES)


@pytest.mark.slow
def test_a_real_registry_without_a_repository(tmp_path: Path) -> None:
    import mlflow

    uri = f"sqlite:///{tmp_path}/mlflow.db"
    client = mlflow.MlflowClient(uri, uri)
    client.create_registered_model("empty")
    client.create_registered_model("lost")
    client.create_model_version("lost", f"{tmp_path}/nowhere")
    command = [sys.executable, "-m", "m2g", "assess", "--kserve", "0.19", "--format", "json"]
    done = subprocess.run(
        command, cwd=tmp_path, capture_output=True, text=True, timeout=seconds(60), check=True,
        env={"PATH": "/usr/bin:/bin", "MLFLOW_TRACKING_URI": uri, "HOME": str(tmp_path)},
    )  # fmt: skip
    data = json.loads(done.stdout)
    assert (data["kserve"], data["idle"], data["models"]) == ("0.19", ["empty"], 2)
    assert [one["outcome"] for one in data["versions"]] == ["unreadable"]
    assert sorted(path.name for path in tmp_path.iterdir() if path.name != ".cache") == ["mlflow.db"]
