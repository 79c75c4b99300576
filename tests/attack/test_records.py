"""A committed record that somebody changed: what enters an environment is what the registry says, nothing else."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from m2g.changes.update import RenderOptions
from m2g.commands.image import ImageOptions, list_pending, record
from m2g.commands.validate import ValidateOptions, validate
from m2g.core.finding import Severity
from m2g.core.model import Image, ModelVersion, Release
from m2g.image.pending import find_pending_image
from m2g.repository import records as releases
from m2g.repository.state import Scope
from m2g.validation.base import Against
from tests.support.fleet import CONFIG, FakeRegistry, model, repository, run, tree, write_record
from tests.support.git_repository import commit, git, start

pytestmark = pytest.mark.attack

DIGEST = "@sha256:" + "5f" * 32
PLACE = "ghcr.io/acme/models"
OURS = f"{PLACE}/wine{DIGEST}"
WITH_IMAGES = f"{CONFIG}images: {{registry: {PLACE}}}\n"
Forge = Callable[[Release], Release]


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("M2G_CACHE_DIR", str(tmp_path / "cache"))


def of_mlmodel(**changes: object) -> Forge:
    def forge(record: Release) -> Release:
        assert record.mlmodel is not None
        return msgspec.structs.replace(record, mlmodel=msgspec.structs.replace(record.mlmodel, **changes))

    return forge


def of_record(**changes: object) -> Forge:
    return lambda record: msgspec.structs.replace(record, **changes)


def image(name: str) -> Forge:
    return of_record(image=Image(name=name, profile="mlflow-image"))


def both(*forges: Forge) -> Forge:
    def forge(record: Release) -> Release:
        for one in forges:
            record = one(record)
        return record

    return forge


FORGED: dict[str, Forge] = {
    "another folder": of_record(artifact_uri="s3://mlflow/uploads/mallory/m"),
    "another folder as source": of_record(artifact_uri="s3://mlflow/uploads/m", source="s3://mlflow/uploads/m"),
    "another MLmodel": of_mlmodel(sha256="e" * 64),
    "other packages": of_mlmodel(requirements=("mlflow==2.19.0", "evil==1")),
    "another class": of_mlmodel(loader_module="evil"),
    "no MLmodel": of_record(mlmodel=None),
    "a foreign image": image(f"evil.example/wine{DIGEST}"),
    "an image beside our place": image(f"{PLACE}-evil/wine{DIGEST}"),
    "an image of another model": image(f"{PLACE}/mallory{DIGEST}"),
    "an image of a model whose name starts alike": image(f"{PLACE}/wine-mallory{DIGEST}"),
    "an image of other packages": both(image(OURS), of_mlmodel(requirements=("evil==1",))),
    "an image of another folder": both(image(OURS), of_record(artifact_uri="s3://mlflow/uploads/mallory/m")),
    "other metrics": of_record(run=None),
    "tags": of_record(tags={"replicas": "9"}),
}


def fleet(root: Path, config: str = WITH_IMAGES) -> FakeRegistry:
    repository(root, config)
    (root / "models/wine").mkdir(parents=True)
    (root / "models/wine/model.yaml").write_text("environments: {prod: {settings: {profile: auto}}}\n")
    registry = FakeRegistry([model(champion="1", challenger="2")])
    assert run(root, registry).findings == ()
    return registry


def forge(root: Path, change: Forge, environment: str = "dev") -> None:
    """What a person commits: the record as m2g would have written it, and all that is rendered from it."""
    write_record(root, "wine", change(releases.read_all(root)[0]["wine", environment]))
    run(root, FakeRegistry(), RenderOptions(locked=True))


def of_prod(root: Path) -> dict[str, bytes]:
    return {path: content for path, content in tree(root).items() if "/prod" in path or "/base/" in path}


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


@pytest.mark.parametrize("name", [f"evil.example/backdoor{DIGEST}", OURS])
@pytest.mark.parametrize("environment", ["dev", "prod"])
def test_the_branch_of_the_proposal_chooses_no_image(tmp_path: Path, name: str, environment: str) -> None:
    root = start(tmp_path / "r")
    registry = fleet(root)
    (root / "models/wine/model.yaml").write_text("settings: {profile: mlflow-image}\n")
    main = commit(root)
    forge(root, image(name), environment)
    commit(root, "Render the fleet")
    git(root, "update-ref", "refs/remotes/origin/m2g/render", "HEAD")
    git(root, "reset", "-q", "--hard", main)
    assert {finding.rule for finding in run(root, registry).findings} == {"image-missing"}
    assert DIGEST.encode() not in b"".join(tree(root).values())
    assert len(list_pending(root, Scope(), lambda _config: registry, locked=False)) == 2


def test_an_image_in_old_records_must_fit_too(tmp_path: Path) -> None:
    """A forged record that was merged and reverted is in Git's history."""
    root = start(tmp_path / "r")
    registry = fleet(root)
    main = commit(root)
    for change in (image(f"evil.example/wine{DIGEST}"), FORGED["an image of other packages"]):
        forge(root, change)
        commit(root)
        git(root, "checkout", "-q", main, "--", ".")
        commit(root)
    (root / "models/wine/model.yaml").write_text("settings: {profile: mlflow-image}\n")
    registry.known = [model(champion="2", challenger="2")]
    assert {finding.rule for finding in run(root, registry).findings} == {"image-missing"}
    forge(root, image(OURS))
    commit(root)
    git(root, "checkout", "-q", main, "--", "models/wine/releases")
    commit(root)
    run(root, registry)
    found = releases.read_all(root)[0]["wine", "prod"].image
    assert found is not None
    assert found.name == OURS


def test_a_foreign_image_does_not_stay(tmp_path: Path) -> None:
    registry = fleet(tmp_path)
    before = tree(tmp_path)
    forge(tmp_path, image(f"evil.example/wine{DIGEST}"))
    run(tmp_path, registry)
    assert tree(tmp_path) == before


def test_packages_of_an_image_are_the_registrys(tmp_path: Path) -> None:
    registry = fleet(tmp_path)
    (tmp_path / "models/wine/model.yaml").write_text("environments: {dev: {settings: {profile: mlflow-image}}}\n")
    forge(tmp_path, of_mlmodel(requirements=("evil==1",)))
    pending = find_pending_image(tmp_path, "wine", "dev", lambda _config: registry, locked=False)
    assert pending.release.mlmodel is not None
    assert pending.release.mlmodel.requirements == ("mlflow==2.19.0", "scikit-learn==1.5.2")
    record(tmp_path, ImageOptions(model="wine", environment="dev"), OURS, "2", lambda _config: registry)
    mlmodel = releases.read_all(tmp_path)[0]["wine", "dev"].mlmodel
    assert mlmodel is not None
    assert mlmodel.requirements == ("mlflow==2.19.0", "scikit-learn==1.5.2")


def test_an_image_that_waits_for_a_merge_is_of_the_cache(tmp_path: Path) -> None:
    root = start(tmp_path / "r")
    registry = fleet(root)
    (root / "models/wine/model.yaml").write_text("settings: {profile: mlflow-image}\n")
    main = commit(root)
    record(root, ImageOptions(model="wine", environment="dev"), OURS, "2", lambda _config: registry)
    git(root, "reset", "-q", "--hard", main)
    pending = list_pending(root, Scope(), lambda _config: registry, locked=False)
    assert [(one.version, one.environments) for one in pending] == [("1", ("prod",))]
    # The same version with other facts is another image.
    text = (root / "m2g.yaml").read_text()
    (root / "m2g.yaml").write_text(text.replace(PLACE, f"{PLACE}-2"))
    assert len(list_pending(root, Scope(), lambda _config: registry, locked=False)) == 2


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
def test_the_image_of_another_model_is_foreign(tmp_path: Path) -> None:
    """Whoever registers a model of their own gets an image in images.registry."""
    root = start(tmp_path / "r")
    registry = fleet(root)
    main = commit(root)
    forge(root, image(f"{PLACE}/mallory{DIGEST}"), "prod")
    commit(root)
    found = validate(root, ValidateOptions(against=Against(ref=main))).findings
    assert [one.file for one in found if one.rule == "image-elsewhere"] == ["models/wine/releases/prod.json"]
    run(root, registry)
    assert releases.read_all(root)[0]["wine", "prod"].image is None


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


@pytest.mark.usefixtures("kustomize")
@pytest.mark.parametrize("widens", [True, False])
def test_a_change_with_a_foreign_image_is_refused(tmp_path: Path, widens: bool) -> None:
    root = start(tmp_path / "r")
    fleet(root)
    main = commit(root)
    if widens:
        (root / "m2g.yaml").write_text(WITH_IMAGES.replace(PLACE, "evil.example"))
    forge(root, image(f"evil.example/wine{DIGEST}"))
    commit(root)
    options = ValidateOptions(against=Against(ref=main))
    found = [one for one in validate(root, options).findings if one.rule == "image-elsewhere"]
    assert [(one.file, one.severity) for one in found] == [("models/wine/releases/dev.json", Severity.ERROR)]
    assert f"is not in {PLACE}" in found[0].message
    command = found[0].hint.partition("restore the record: ")[2].partition(";")[0]
    git(root, *command.split()[1:])
    assert not [one for one in validate(root, options).findings if one.rule == "image-elsewhere"]
    git(root, "checkout", main, "--", "m2g.yaml")
    forge(root, image(OURS))
    assert not [one for one in validate(root, options).findings if one.rule == "image-elsewhere"]
