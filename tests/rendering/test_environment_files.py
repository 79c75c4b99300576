"""Serving environments in the tree: a ServingRuntime each, applied by their own unit, never lost under a release."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from m2g.changes.update import RenderOptions
from m2g.commands.validate import ValidateOptions, validate
from m2g.core.errors import InputError
from m2g.core.finding import Severity
from m2g.core.manifest import get_at
from m2g.core.model import Flavor, Mlmodel, ServingDecision
from m2g.kustomize import build_overlays
from m2g.repository.load import read_repository
from m2g.serving.environment_runtime import name_runtime
from tests.support.environments import recorded, write_environment
from tests.support.fleet import FakeRegistry, release, repository, run, tree, write_record
from tests.support.paths import GOLDEN

CASE = GOLDEN / "serving-environment"
LOCKED = RenderOptions(locked=True)
MIGRATE = RenderOptions(locked=True, migrate=True)
MLFLOW = "py311-mlflow-53a0c661225203fe"
MLSERVER = "py311-mlserver-e60743b0b62aeca7"


@pytest.fixture
def root(tmp_path: Path, kustomize: Path) -> Path:
    """The golden repository."""
    assert kustomize.is_file()
    place = tmp_path / "fleet"
    shutil.copytree(CASE, place)
    return place


def wrong(root: Path) -> list[str]:
    found = validate(root, ValidateOptions()).findings
    return sorted({one.rule for one in found if one.severity is Severity.ERROR})


def test_models_use_the_runtime_that_their_environment_builds(root: Path) -> None:
    assert wrong(root) == []
    for environment, namespace in (("dev", "models-dev"), ("prod", "models-prod")):
        folders = [f"environments/{name}/overlays/{environment}" for name in (MLFLOW, MLSERVER)]
        folders += [f"models/{slug}/overlays/{environment}" for slug in ("demand", "wine")]
        built = [item for one in build_overlays(root, folders).values() for item in one.objects]
        runtimes = {get_at(item, "metadata", "name") for item in built if item["kind"] == "ServingRuntime"}
        services = [item for item in built if item["kind"] == "InferenceService"]
        assert {get_at(item, "spec", "predictor", "model", "runtime") for item in services} == runtimes
        assert {get_at(item, "metadata", "namespace") for item in built} == {namespace}
        assert all(get_at(item, "spec", "predictor", "model", "storageUri") for item in services)
        assert not any(get_at(item, "spec", "predictor", "containers") for item in services)


def test_no_two_units_own_one_object(root: Path) -> None:
    """Otherwise, Argo CD and Flux would undo each other's work, and a model's removal would remove the runtime."""
    folders = sorted(str(path.parent.relative_to(root)) for path in root.glob("*/*/overlays/*/kustomization.yaml"))
    seen: set[tuple[object, ...]] = set()
    for one in build_overlays(root, folders).values():
        for item in one.objects:
            key = (item["kind"], get_at(item, "metadata", "namespace"), get_at(item, "metadata", "name"))
            assert key not in seen
            seen.add(key)


def test_an_environment_without_an_image_waits_and_holds_only_its_models(tmp_path: Path) -> None:
    root = repository(tmp_path / "r", (CASE / "m2g.yaml").read_text())
    one = write_environment(root, recorded({"numpy": "2.4.6", "scikit-learn": "1.9.1"}, group="everyone"))
    mlmodel = Mlmodel(
        sha256="0" * 64,
        flavors=(Flavor(name="python_function"), Flavor(name="sklearn")),
        mlflow_version="3.17.2",
        python_version="3.11.7",
        requirements=("mlflow==3.17.2", "numpy==2.4.6", "scikit-learn"),
    )
    for slug, profile in (("wine", "mlserver-image"), ("other", "mlserver")):
        write_record(root, slug, release(slug, "prod", mlmodel=mlmodel))
        (root / f"models/{slug}/model.yaml").write_text(f"settings: {{profile: {profile}}}\n")
    outcome = run(root, FakeRegistry(), LOCKED)
    assert [(item.rule, item.model) for item in outcome.findings if item.rule == "image-missing"] == [
        ("image-missing", "wine")
    ]
    assert f"m2g environments context {one.id} -o DIR" in str(outcome.findings)
    assert (root / "models/other/overlays/prod").is_dir()
    assert not (root / "models/wine/overlays").exists()
    assert not (root / f"environments/{one.id}/base").exists()


@pytest.mark.parametrize("image", ["", "ghcr.io/acme/models/serving.environment@sha256:" + "6f" * 32])
def test_auto_decides_for_an_environment_and_keeps_the_decision(tmp_path: Path, kustomize: Path, image: str) -> None:
    assert kustomize.is_file()
    root = repository(tmp_path / "r", (CASE / "m2g.yaml").read_text())
    packages = {"numpy": "2.4.6", "scikit-learn": "1.9.1", "skops": "0.16.0"}
    one = write_environment(root, recorded(packages, group="everyone", image=image))
    skops = Flavor(name="sklearn", version="1.9.1", serialization_format="skops", file="model.skops")
    mlmodel = Mlmodel(
        sha256="0" * 64,
        flavors=(Flavor(name="python_function"), skops),
        mlflow_version="3.17.2",
        python_version="3.11.7",
        requirements=("mlflow==3.17.2", "numpy==2.4.6", "scikit-learn"),
    )
    write_record(root, "wine", release("wine", "prod", mlmodel=mlmodel))
    outcome = run(root, FakeRegistry(), RenderOptions(locked=True, redecide=True))
    assert {item.rule for item in outcome.findings} == ({"image-missing"} if not image else set())
    if image:
        decided = read_repository(root).records["wine", "prod"].serving
        assert decided is not None
        assert decided.environment == one.id
        assert run(root, FakeRegistry(), LOCKED).findings == ()
        assert wrong(root) == []


def test_a_late_image_changes_no_other_model(root: Path) -> None:
    before = tree(root)
    write_environment(root, recorded({"numpy": "2.4.6", "scikit-learn": "1.9.1"}, group="everyone"))
    outcome = run(root, FakeRegistry(), LOCKED)
    assert (outcome.releases, outcome.files) == ((), ())
    assert {path: text for path, text in tree(root).items() if path in before} == before


@pytest.mark.attack
@pytest.mark.parametrize(
    ("change", "rule"),
    [
        (lambda root: (root / f"environments/{MLFLOW}/base/servingruntime.yaml").unlink(), "stale-file"),
        (lambda root: (root / f"environments/{MLFLOW}/base/job.yaml").write_text("kind: Job\n"), "stale-file"),
        (lambda root: (root / f"environments/{MLFLOW}/evil.yaml").write_text("kind: Job\n"), "unknown-file"),
        (lambda root: (root / f"environments/{MLFLOW}/.gitattributes").write_text("* ident\n"), "unknown-file"),
        (lambda root: (root / "environments/kustomization.yaml").write_text("resources: []\n"), "unknown-file"),
        (lambda root: (root / "fleet/dev/environment.py311-x.yaml").write_text("kind: Job\n"), "stale-file"),
        (
            lambda root: shutil.copy(root / "fleet/dev/wine.yaml", root / f"fleet/prod/environment.{MLFLOW}.yaml"),
            "stale-file",
        ),
    ],
    ids=["gone", "a job in base", "a job", "attributes", "a kustomization", "a unit", "another unit"],
)
def test_nothing_else_is_applied_from_there(root: Path, change: Callable[[Path], object], rule: str) -> None:
    change(root)
    assert rule in wrong(root)


@pytest.mark.attack
def test_a_release_may_not_use_the_environment_of_another_group(root: Path) -> None:
    other = recorded(
        {"numpy": "2.4.6", "prophet": "1.2.1"},
        group="others",
        server="mlflow",
        image="ghcr.io/acme/models/serving.environment@sha256:" + "6f" * 32,
    )
    write_environment(root, other)
    run(root, FakeRegistry(), MIGRATE)
    record = read_repository(root).records["demand", "prod"]
    assert record.serving is not None
    decision = msgspec.structs.replace(record.serving, environment=other.id, runtime=name_runtime(other))
    write_record(root, "demand", msgspec.structs.replace(record, serving=decision))
    assert "environment-forbidden" in wrong(root)


def test_an_environment_that_a_release_uses_is_not_removed(root: Path) -> None:
    run(root, FakeRegistry(), MIGRATE)
    shutil.rmtree(root / f"environments/{MLFLOW}")
    assert "environment-missing" in wrong(root)
    with pytest.raises(InputError, match="releases use the serving environment") as refused:
        run(root, FakeRegistry(), LOCKED)
    assert f"git checkout HEAD -- environments/{MLFLOW}" in (refused.value.hint or "")
    assert (root / f"fleet/prod/environment.{MLFLOW}.yaml").is_file()


def test_an_environment_that_nobody_uses_can_be_removed(root: Path) -> None:
    shutil.rmtree(root / "models/demand")
    shutil.rmtree(root / f"environments/{MLFLOW}")
    run(root, FakeRegistry(), msgspec.structs.replace(LOCKED, allow_removals=2))
    assert not (root / f"fleet/prod/environment.{MLFLOW}.yaml").exists()
    assert (root / f"fleet/prod/environment.{MLSERVER}.yaml").is_file()
    assert wrong(root) == []


def test_a_hand_edit_is_not_lost(root: Path) -> None:
    path = root / f"environments/{MLSERVER}/base/servingruntime.yaml"
    path.write_text(path.read_text().replace("9000", "9001"))
    with pytest.raises(InputError, match="edited by hand"):
        run(root, FakeRegistry(), LOCKED)
    run(root, FakeRegistry(), msgspec.structs.replace(LOCKED, discard_edits=True))
    assert tree(root) == tree(CASE)


def test_an_environment_of_m2g_yaml_that_goes_takes_its_overlays_along(root: Path) -> None:
    config = (root / "m2g.yaml").read_text().splitlines()
    (root / "m2g.yaml").write_text("\n".join(line for line in config if not line.startswith("  dev:")) + "\n")
    run(root, FakeRegistry(), msgspec.structs.replace(LOCKED, allow_removals=2))
    assert not (root / f"environments/{MLSERVER}/overlays/dev").exists()
    assert (root / f"environments/{MLSERVER}/overlays/prod").is_dir()


def test_the_name_of_a_runtime_is_its_spec() -> None:
    image = "ghcr.io/acme/models/serving.environment@sha256:"
    names = {
        name_runtime(recorded({"numpy": version}, group="everyone", image=image + digest * 64))
        for version in ("1", "2")
        for digest in ("0", "1")
    }
    assert len(names) == 4
    assert all(len(name) <= 63 for name in names)


def test_what_people_decided_is_said_in_the_record(root: Path) -> None:
    run(root, FakeRegistry(), MIGRATE)
    record = read_repository(root).records["demand", "prod"]
    assert record.serving == ServingDecision(
        profile="mlflow-image",
        protocol="invocations",
        name="demand",
        namespace="models-prod",
        reason="set by the setting profile",
        runtime=name_runtime(read_repository(root).environments[MLFLOW]),
        environment=MLFLOW,
    )
