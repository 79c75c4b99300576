"""How a version is served is decided when it is resolved, and the record keeps it until something asks again."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from m2g.changes.update import RenderOptions
from m2g.commands.validate import ValidateOptions, validate
from m2g.core import process
from m2g.core.finding import Severity
from m2g.core.model import DecidedFrom, Image, ModelVersion, Release, ServingDecision, VersionFacts
from m2g.core.results import RenderResult
from m2g.repository import records as releases
from m2g.validation.base import Against
from tests.rendering.test_golden import CASES, copy_inputs
from tests.support import git_repository
from tests.support.fleet import CONFIG, MLMODEL, FakeRegistry, model, release, repository, run, tree, write_record
from tests.support.git_repository import commit
from tests.support.paths import GOLDEN

DIGEST = "@sha256:" + "5f" * 32
IMAGE = {("wine", "3"): Image(name="r.test/x" + DIGEST, profile="mlflow-image")}
LOCKED, REDECIDE = RenderOptions(locked=True), RenderOptions(locked=True, redecide=True)
OLDER = CONFIG.replace("version: 1\n", 'version: 1\nkserve: {version: "0.20"}\n')
WITHOUT_SKLEARN = '{"name": "kserve-mlserver", "python": "3.10.12", "packages": {"mlflow": "2.19.0"}, "complete": true}'
Forge = Callable[[ServingDecision], object]


class Prophets(FakeRegistry):
    """From the third version on, a model is one of Prophet, for which no MLServer answers."""

    def _facts(self, version: ModelVersion) -> VersionFacts:
        facts = super()._facts(version)
        if int(version.version) < 3:
            return facts
        prophet = MLMODEL.replace(b"mlflow.sklearn", b"mlflow.prophet").replace(
            b"sklearn: {sklearn_version: 1.5.2, serialization_format: cloudpickle, pickled_model: model.pkl}",
            b"prophet: {prophet_version: 1.1.5}",
        )
        return msgspec.structs.replace(facts, files={**facts.files, "MLmodel": prophet})


def start(root: Path, config: str = CONFIG) -> FakeRegistry:
    repository(root, config)
    registry = FakeRegistry([model(champion="1")])
    assert run(root, registry).findings == ()
    return registry


def read(root: Path, environment: str = "prod") -> Release:
    return releases.read_all(root)[0]["wine", environment]


def decision(root: Path) -> ServingDecision:
    found = read(root).serving
    assert found is not None
    return found


def rules(outcome: RenderResult) -> list[str]:
    return [finding.rule for finding in outcome.findings]


def check(root: Path) -> list[str]:
    return [finding.rule for finding in validate(root, ValidateOptions()).findings]


def write_settings(root: Path, text: str) -> None:
    (root / "models/wine/model.yaml").write_text(f"settings: {text}\n")


def another_table(root: Path) -> None:
    """What a newer m2g may know of the stock runtime: it does not load the model."""
    (root / "runtimes").mkdir()
    (root / "runtimes/kserve-mlserver.json").write_text(WITHOUT_SKLEARN)


def test_a_new_record_says_how_it_is_served_and_why(tmp_path: Path) -> None:
    start(tmp_path)
    assert read(tmp_path).schema == 2
    assert decision(tmp_path) == ServingDecision(
        profile="mlserver",
        protocol="v2",
        runtime="kserve-mlserver",
        name="wine",
        namespace="models-prod",
        reason="kserve-mlserver loads it",
        decided_from=DecidedFrom(kserve="0.21"),
    )
    assert check(tmp_path) == []


@pytest.mark.parametrize("options", [RenderOptions(), LOCKED], ids=["render", "locked"])
def test_another_table_of_runtimes_changes_no_record_by_itself(tmp_path: Path, options: RenderOptions) -> None:
    registry = start(tmp_path)
    before = tree(tmp_path)
    another_table(tmp_path)
    assert run(tmp_path, registry, options).files == ()
    assert {path: tree(tmp_path)[path] for path in before} == before
    # A new version is decided with it, and so is an old one if a person asks.
    registry.known = [model(champion="2")]
    for asked in (RenderOptions(), REDECIDE):
        (found,) = [one for one in run(tmp_path, registry, asked).findings if one.rule == "image-missing"]
        assert "waits for an image for the profile mlserver-image" in found.message
        assert "kserve-mlserver does not load it" in found.message
    assert read(tmp_path).version == "1"


def test_to_decide_again_is_shown_before_it_is_written(tmp_path: Path) -> None:
    repository(tmp_path)
    another_table(tmp_path)
    run(tmp_path, FakeRegistry([model(champion="1")]))
    write_record(tmp_path, "wine", release(image=Image(name="r.test/x" + DIGEST, profile="mlserver-image")))
    run(tmp_path, FakeRegistry(), RenderOptions(locked=True, migrate=True))
    shutil.rmtree(tmp_path / "runtimes")
    write_record(tmp_path, "wine", msgspec.structs.replace(read(tmp_path), image=None))
    before = tree(tmp_path)
    shown = run(tmp_path, FakeRegistry(), msgspec.structs.replace(REDECIDE, dry_run=True))
    assert [(one.profile, one.reason) for one in shown.served] == [("mlserver", "kserve-mlserver loads it")]
    assert tree(tmp_path) == before
    run(tmp_path, FakeRegistry(), REDECIDE)
    assert decision(tmp_path).profile == "mlserver"
    assert run(tmp_path, FakeRegistry(), REDECIDE).files == ()


def test_what_people_write_counts_at_once_and_the_record_repeats_it(tmp_path: Path) -> None:
    registry = start(tmp_path)
    before = tree(tmp_path)
    write_settings(tmp_path, "{profile: native}")
    assert run(tmp_path, registry, LOCKED).findings == ()
    assert (decision(tmp_path).profile, decision(tmp_path).decided_from) == ("native", None)
    assert b"kserve-sklearnserver" in tree(tmp_path)["models/wine/overlays/prod/patch.yaml"]
    assert check(tmp_path) == ["runtime-unsure"]
    after = tree(tmp_path)
    assert run(tmp_path, registry).files == ()
    # Without the setting, nothing is decided. The next render decides, and so does the command of the hint.
    (tmp_path / "models/wine/model.yaml").unlink()
    (found,) = run(tmp_path, registry, LOCKED).findings
    assert (found.rule, found.severity) == ("serving-undecided", Severity.ERROR)
    assert {path: tree(tmp_path)[path] for path in before} == {path: after[path] for path in before}
    assert "serving-undecided" in check(tmp_path)
    command = found.hint.removeprefix("decide it: ").split()
    assert process.run([sys.executable, "-m", *command], cwd=tmp_path).code == 0
    assert tree(tmp_path) == before
    assert check(tmp_path) == []


def test_another_kserve_asks_for_another_decision(tmp_path: Path) -> None:
    registry = start(tmp_path, OLDER)
    (tmp_path / "m2g.yaml").write_text(CONFIG)
    outcome = run(tmp_path, registry, LOCKED)
    assert [(one.rule, one.severity) for one in outcome.findings] == [("serving-outdated", Severity.WARNING)]
    assert decision(tmp_path).decided_from == DecidedFrom(kserve="0.20")
    assert check(tmp_path) == ["serving-outdated"]
    run(tmp_path, registry)
    assert decision(tmp_path).decided_from == DecidedFrom(kserve="0.21")
    assert check(tmp_path) == []


@pytest.mark.attack
def test_the_record_has_the_namespace_of_m2g_yaml(tmp_path: Path) -> None:
    registry = start(tmp_path)
    (tmp_path / "m2g.yaml").write_text(CONFIG.replace("models-prod", "wines"))
    assert run(tmp_path, registry, LOCKED).findings == ()
    assert decision(tmp_path).namespace == "wines"
    assert check(tmp_path) == []
    forged = msgspec.structs.replace(decision(tmp_path), namespace="kube-system", name="other")
    write_record(tmp_path, "wine", msgspec.structs.replace(read(tmp_path), serving=forged))
    assert check(tmp_path) == ["stale-file"]
    run(tmp_path, registry, LOCKED)
    assert (decision(tmp_path).name, decision(tmp_path).namespace) == ("wine", "wines")


def test_a_record_of_schema_1_stays_until_there_is_another_version(tmp_path: Path) -> None:
    registry = start(tmp_path)
    old = msgspec.structs.replace(read(tmp_path), schema=1, serving=None)
    content = write_record(tmp_path, "wine", old).read_bytes()
    for options in (LOCKED, RenderOptions()):
        assert run(tmp_path, registry, options).files == ()
    assert (tmp_path / "models/wine/releases/prod.json").read_bytes() == content
    registry.known = [model(champion="2")]
    run(tmp_path, registry)
    assert (read(tmp_path).schema, decision(tmp_path).profile) == (2, "mlserver")


@pytest.mark.parametrize("case", CASES)
def test_a_migration_changes_nothing_but_records(case: str, tmp_path: Path) -> None:
    root = copy_inputs(GOLDEN / case, tmp_path / case)
    run(root, FakeRegistry(), LOCKED)
    before = tree(root)
    outcome = run(root, FakeRegistry(), RenderOptions(locked=True, migrate=True))
    after = tree(root)
    assert all(finding.severity is Severity.WARNING for finding in outcome.findings)
    assert before.keys() == after.keys()
    old = {path for path, text in before.items() if "/releases/" in path and b'"schema": 1' in text}
    assert {path for path in before if before[path] != after[path]} == old
    assert all(record.schema == 2 and record.serving for record in releases.read_all(root)[0].values())
    for options in (LOCKED, RenderOptions(locked=True, migrate=True)):
        assert run(root, FakeRegistry(), options).files == ()


def test_another_protocol_for_callers_is_a_decision_of_people(tmp_path: Path) -> None:
    repository(tmp_path)
    registry = Prophets([model(champion="1")])
    run(tmp_path, registry)
    before = tree(tmp_path)
    registry.known = [model(champion="3")]
    (found,) = run(tmp_path, registry).findings
    assert (found.rule, found.severity, found.environment) == ("protocol-changes", Severity.ERROR, "prod")
    assert "invocations in place of v2" in found.message
    assert tree(tmp_path) == before
    # What the hint says.
    place, _, text = found.hint.removeprefix("when they can, write to ").partition(": ")
    (tmp_path / place).write_text(f"{text}\n")
    assert set(rules(run(tmp_path, registry))) == {"image-missing"}
    run(tmp_path, registry, RenderOptions(images=IMAGE))
    assert (read(tmp_path).version, decision(tmp_path).protocol) == ("3", "invocations")
    # From then on, auto may keep what callers use.
    (tmp_path / place).unlink()
    registry.known = [model(champion="3")]
    assert run(tmp_path, registry).findings == ()
    assert decision(tmp_path).decided_from == DecidedFrom(kserve="0.21")


def test_a_version_that_is_known_to_be_bad_is_only_a_warning(tmp_path: Path) -> None:
    repository(tmp_path)
    registry = Prophets([model(champion="1")])
    run(tmp_path, registry)
    registry.known = [model(champion="3")]
    (tmp_path / "models/wine/model.yaml").write_text("environments: {prod: {knownBad: [3]}}\n")
    (found,) = run(tmp_path, registry).findings
    assert (found.rule, found.severity) == ("protocol-changes", Severity.WARNING)


def test_a_new_model_that_no_mlserver_answers_for_waits_for_mlflows_own_server(tmp_path: Path) -> None:
    repository(tmp_path)
    registry = Prophets([model(champion="3")])
    (found,) = run(tmp_path, registry).findings
    assert (found.rule, found.severity) == ("image-missing", Severity.WARNING)
    assert "for the profile mlflow-image: no MLServer answers for it (prophet returns data frames" in found.message
    run(
        tmp_path,
        registry,
        RenderOptions(images={("wine", "3"): Image(name="r.test/x" + DIGEST, profile="mlflow-image")}),
    )
    assert (decision(tmp_path).profile, decision(tmp_path).protocol) == ("mlflow-image", "invocations")


@pytest.mark.parametrize("options", [RenderOptions(), LOCKED], ids=["render", "locked"])
def test_an_image_that_a_person_records_is_used(tmp_path: Path, options: RenderOptions) -> None:
    registry = start(tmp_path)
    images = {("wine", "1"): Image(name="r.test/x" + DIGEST, profile="mlserver-image")}
    run(tmp_path, registry, msgspec.structs.replace(options, images=images))
    assert (decision(tmp_path).profile, decision(tmp_path).reason) == (
        "mlserver-image",
        "an image was built for this version",
    )


FORGED: dict[str, Forge] = {
    "another protocol": lambda one: msgspec.structs.replace(one, protocol="invocations"),
    "another runtime": lambda one: msgspec.structs.replace(one, runtime="mallory"),
    "an environment": lambda one: msgspec.structs.replace(one, environment="mallory"),
    "a native server": lambda one: msgspec.structs.replace(one, profile="native", runtime="kserve-xgbserver"),
    "the hub": lambda one: msgspec.structs.replace(one, profile="huggingface", runtime="kserve-huggingfaceserver"),
    "an image": lambda one: msgspec.structs.replace(one, profile="mlserver-image", runtime=""),
    "people": lambda one: msgspec.structs.replace(one, decided_from=None),
    "a backend": lambda one: msgspec.structs.replace(one, decided_from=DecidedFrom(kserve="0.21", backend="evil")),
    "a long reason": lambda one: msgspec.structs.replace(one, reason="x" * 2000),
    "nothing": lambda one: None,
}


@pytest.mark.attack
@pytest.mark.parametrize("forge", FORGED.values(), ids=FORGED)
def test_what_auto_never_decides_is_a_finding(tmp_path: Path, forge: Forge) -> None:
    start(tmp_path)
    write_record(tmp_path, "wine", msgspec.structs.replace(read(tmp_path), serving=forge(decision(tmp_path))))
    found = set(check(tmp_path))
    assert found & {
        "serving-forbidden",
        "serving-undecided",
        "profile-unfit",
        "image-missing",
        "record-invalid",
        "stale-file",
    }


@pytest.mark.attack
def test_a_change_that_brings_another_decision_than_auto_makes_is_named(tmp_path: Path) -> None:
    registry = start(git_repository.start(tmp_path / "r"))
    root = tmp_path / "r"
    commit(root)
    image = Image(name="r.test/x" + DIGEST, profile="mlserver-image")
    forged = msgspec.structs.replace(decision(root), profile="mlserver-image", runtime="")
    write_record(root, "wine", msgspec.structs.replace(read(root), image=image, serving=forged))
    run(root, registry, LOCKED)
    assert compare(root) == []  # the image is why auto chooses it
    forged = msgspec.structs.replace(decision(root), profile="native", runtime="kserve-sklearnserver")
    write_record(root, "wine", msgspec.structs.replace(read(root), image=None, serving=forged))
    run(root, registry, LOCKED)
    assert compare(root) == ["serving-differs"]
    commit(root)
    write_record(root, "wine", msgspec.structs.replace(read(root), follows="by hand"))
    run(root, registry, LOCKED)
    assert compare(root) == [], "an older m2g may have decided it, and it is there already"


def compare(root: Path) -> list[str]:
    found = validate(root, ValidateOptions(against=Against(ref="HEAD"))).findings
    return [finding.rule for finding in found if finding.rule.startswith("serving-")]
