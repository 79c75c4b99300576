"""A committed record that somebody changed: what enters an environment is what the registry says, nothing else."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from m2g.changes.update import RenderOptions
from m2g.commands.validate import ValidateOptions, validate
from m2g.core.finding import Severity
from m2g.core.model import ModelVersion
from m2g.rendering.model_files import render_record
from m2g.repository import records as releases
from m2g.repository.state import Scope
from tests.support.fleet import FakeRegistry, model, repository, run, tree
from tests.support.forged_records import FORGED, WITH_IMAGES, Forge, fleet, forge, of_mlmodel, of_prod, of_record
from tests.support.git_repository import commit, start

pytestmark = pytest.mark.attack


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("M2G_CACHE_DIR", str(tmp_path / "cache"))


@pytest.mark.parametrize("commits", [True, False])
@pytest.mark.parametrize("change", FORGED.values(), ids=FORGED)
def test_a_promotion_brings_what_the_registry_says(tmp_path: Path, change: Forge, commits: bool) -> None:
    clean, root = tmp_path / "clean", tmp_path / "r"
    fleet(clean)
    registry = fleet(start(root) if commits else root)
    forge(root, change)
    if commits:
        commit(root)
    registry.known = [model(champion="2", challenger="2")]
    run(clean, registry)
    run(root, registry)
    assert releases.read_all(root)[0]["wine", "prod"] == releases.read_all(clean)[0]["wine", "prod"]
    assert {path: of_prod(root)[path] for path in of_prod(clean)} == of_prod(clean)


@pytest.mark.parametrize("name", ["another folder", "another MLmodel", "other packages", "an image of other packages"])
def test_the_promotion_names_and_repairs_the_record(tmp_path: Path, name: str) -> None:
    clean, root = tmp_path / "clean", tmp_path / "r"
    fleet(clean)
    registry = fleet(root)
    forge(root, FORGED[name])
    registry.known = [model(champion="2", challenger="2")]
    run(clean, registry)
    found = [finding for finding in run(root, registry).findings if finding.rule == "record-differs"]
    assert [(one.environment, one.severity) for one in found] == [("dev", Severity.WARNING)]
    assert tree(root) == tree(clean)


def test_another_folder_is_repaired_without_a_promotion(tmp_path: Path) -> None:
    """The registry's list has the source of each version, so nothing else has to be asked to see it."""
    registry = fleet(tmp_path)
    before = tree(tmp_path)
    forge(tmp_path, FORGED["another folder"])
    registry.asked.clear()
    assert [finding.rule for finding in run(tmp_path, registry).findings] == ["record-differs"]
    assert registry.asked == [("wine", "2")]
    assert tree(tmp_path) == before


def test_a_new_environment_and_a_pin_and_a_rollback_ask_the_registry(tmp_path: Path) -> None:
    registry = fleet(tmp_path)
    forge(tmp_path, of_mlmodel(requirements=("evil==1",)))
    (tmp_path / "models/wine/model.yaml").write_text("environments: {prod: {version: 2}}\n")
    (tmp_path / "m2g.yaml").write_text(
        WITH_IMAGES.replace("  prod:", "  test: {namespace: test, follow: {alias: challenger}}\n  prod:")
    )
    run(tmp_path, registry)
    records = releases.read_all(tmp_path)[0]
    for environment in ("test", "prod"):
        mlmodel = records["wine", environment].mlmodel
        assert mlmodel is not None
        assert mlmodel.requirements == ("mlflow==2.19.0", "scikit-learn==1.5.2")
    (tmp_path / "models/wine/model.yaml").write_text("environments: {prod: {version: 1}}\n")
    run(tmp_path, registry)
    forge(tmp_path, of_record(artifact_uri="s3://mlflow/uploads/mallory/m"))
    (tmp_path / "models/wine/model.yaml").write_text("environments: {prod: {version: 2}}\n")
    run(tmp_path, registry)
    assert b"mallory" not in b"".join(of_prod(tmp_path).values())


def test_a_record_is_no_evidence_when_the_registry_cannot_tell(tmp_path: Path) -> None:
    registry = fleet(tmp_path)
    before = of_prod(tmp_path)
    registry.problems["wine", "2"] = "the files are deleted"
    registry.known = [model(champion="2", challenger="2")]
    outcome = run(tmp_path, registry)
    assert [(finding.rule, finding.environment) for finding in outcome.findings] == [("version-unreadable", "prod")]
    assert of_prod(tmp_path) == before


def test_a_render_of_what_is_there_asks_for_lists_only_and_a_promotion_asks_once(tmp_path: Path) -> None:
    root = repository(tmp_path / "r", WITH_IMAGES)
    names = [f"model-{number}" for number in range(40)]
    registry = FakeRegistry([model(name, champion="1", challenger="2") for name in names])
    options = RenderOptions(cache=tmp_path / "cache")
    run(root, registry, options)
    registry.asked.clear()
    run(root, registry, options)
    run(root, registry)
    assert registry.asked == []
    # What m2g read for dev is in the cache, which no branch can write.
    registry.known = [model(name, champion="2", challenger="2") for name in names]
    assert len(run(root, registry, options).releases) == len(names)
    assert registry.asked == []


@pytest.mark.parametrize("has_prod", [True, False])
def test_a_record_of_one_environment_gives_no_other_model_the_name(tmp_path: Path, has_prod: bool) -> None:
    """`Wine` has the slug of `wine`. Whoever may edit the record of dev must not bring it to prod."""
    root = repository(tmp_path / "r", WITH_IMAGES)
    registry = FakeRegistry([model(challenger="2", champion="1") if has_prod else model(challenger="2")])
    run(root, registry)
    registry.known.append(model("Wine", champion="3", challenger="3"))
    for number in ("1", "2", "3"):
        source = f"s3://mlflow/b/m-{number}"
        registry.changes["Wine", number] = ModelVersion(name="Wine", version=number, source=source, created_at=9)
    forge(root, of_record(model="Wine"))
    before = of_prod(root)
    found = run(root, registry).findings
    assert {one.model for one in found if one.rule == "slug-collision"} >= {"Wine"}
    assert of_prod(root) == before


@pytest.mark.usefixtures("kustomize")
@pytest.mark.parametrize("change", ["another folder", "another MLmodel", "other packages"])
def test_records_of_one_version_that_differ_are_an_error_and_the_hint_repairs_them(tmp_path: Path, change: str) -> None:
    root = repository(tmp_path / "r", WITH_IMAGES)
    registry = FakeRegistry([model(champion="2", challenger="2")])
    run(root, registry)
    before = tree(root)
    forge(root, FORGED[change], "prod")
    (found,) = (one for one in validate(root, ValidateOptions()).findings if one.rule == "records-differ")
    assert (found.severity, found.file) == (Severity.ERROR, "models/wine/releases/prod.json")
    remove, render = found.hint.partition(": ")[2].split(" && ")
    assert render == "m2g render --model wine"
    for path in remove.split()[1:]:
        (root / path).unlink()
    run(root, registry, RenderOptions(scope=Scope(models=frozenset({"wine"}))))
    assert tree(root) == before


@pytest.mark.parametrize("name", ["x", "v2-x", "V2", "v2\n", "2", "v2-again-again"])
def test_a_record_gives_a_predictor_no_name_of_another_model(tmp_path: Path, name: str) -> None:
    """KServe names the Deployment of `wine` with this name `wine-x-predictor`, like that of the model `wine-x`."""
    root = start(tmp_path)
    registry = FakeRegistry([model("wine-x", champion="1", challenger="1")])
    repository(root)
    run(root, registry)
    commit(root)
    registry.known.append(model("wine", champion="1", challenger="1"))
    run(root, registry)
    record = releases.read_all(root)[0]["wine", "prod"]
    forged = msgspec.structs.replace(record, predictor=name)
    for path, content in render_record("wine", forged).items():
        (root / path).write_bytes(content)
    found = [finding.rule for finding in validate(root, ValidateOptions()).findings]
    assert "record-invalid" in found
    for path, content in render_record("wine", msgspec.structs.replace(record, predictor="v2-again")).items():
        (root / path).write_bytes(content)
    assert "record-invalid" not in [finding.rule for finding in validate(root, ValidateOptions()).findings]
