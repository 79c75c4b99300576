"""Registered models of one environment each (`staging.team.x`, `prod.team.x`): one folder, and no way across."""

from __future__ import annotations

import json
import shlex
from pathlib import Path

import pytest

from m2g.changes.update import RenderOptions
from m2g.commands.explain_model import explain_model
from m2g.commands.validate import ValidateOptions, validate
from m2g.core.finding import Finding
from m2g.core.model import ModelVersion, RegisteredModel
from m2g.core.results import EnvironmentReason
from m2g.repository.config import parse
from m2g.repository.selection import HeldSlugs, find_shared_name, find_slug
from m2g.repository.state import Scope
from m2g.resolution.targets import plan
from tests.support.fleet import FakeRegistry, model, release, repository, run, tree, write_record
from tests.support.plans import config, line, version

CONFIG = """\
version: 1
registry: {uri: "http://mlflow.test"}
environments:
  staging:
    namespace: models-staging
    models: {name: "staging.{model}"}
    follow: {alias: champion}
  prod:
    namespace: models-prod
    models: {name: "prod.{model}"}
    follow: {alias: champion}
sync: {argocd: {}}
"""
NAMES = ("staging.team.fraud", "prod.team.fraud")
FORMS = {"staging": "staging.{model}", "prod": "prod.{model}"}
FOLLOW = {"staging": "alias=champion", "prod": "alias=champion"}


def fleet(root: Path, text: str = CONFIG) -> tuple[Path, FakeRegistry]:
    """Version 3 in staging and version 1 in prod, each of its own registered model."""
    registry = FakeRegistry([model(NAMES[0], champion="3"), model(NAMES[1], champion="1")])
    return repository(root, text), registry


def record_of(root: Path, environment: str) -> tuple[str, str]:
    record = json.loads((root / f"models/team-fraud/releases/{environment}.json").read_text())
    return record["model"], record["version"]


def check(root: Path) -> list[Finding]:
    return list(validate(root, ValidateOptions()).findings)


def explained(root: Path, registry: FakeRegistry, name: str) -> dict[str, EnvironmentReason]:
    reasons = explain_model(root, name, (), open_registry=lambda _config: registry)
    assert (reasons.model, reasons.slug) == ("team.fraud", "team-fraud")
    return {one.environment: one for one in reasons.environments}


@pytest.mark.usefixtures("kustomize")
def test_one_folder_has_the_registered_model_of_each_environment(tmp_path: Path) -> None:
    root, registry = fleet(tmp_path / "r")
    assert run(root, registry).findings == ()
    assert [path.name for path in (root / "models").iterdir()] == ["team-fraud"]
    assert (record_of(root, "staging"), record_of(root, "prod")) == ((NAMES[0], "3"), (NAMES[1], "1"))
    assert check(root) == []
    base = (root / "models/team-fraud/base/inferenceservice.yaml").read_text()
    assert "m2g.dev/model-name: team.fraud" in base
    for name in ("staging", "prod"):
        assert f"{name}.team.fraud" in (root / f"models/team-fraud/overlays/{name}/patch.yaml").read_text()
    card = (root / "models/team-fraud/README.md").read_text()
    assert "Registered models `staging.team.fraud` in staging, `prod.team.fraud` in prod" in card
    assert run(root, registry).files == ()


@pytest.mark.usefixtures("kustomize")
def test_staging_moves_without_a_byte_of_prod(tmp_path: Path) -> None:
    root, registry = fleet(tmp_path / "r")
    run(root, registry)
    before = tree(root)
    registry.known[0] = model(NAMES[0], champion="2")
    run(root, registry)
    changed = {path for path, content in tree(root).items() if before.get(path) != content}
    assert changed
    assert all("staging" in path or path.endswith("README.md") for path in changed)
    registry.known[:] = [model(NAMES[1], champion="1"), model(NAMES[0])]
    run(root, registry)
    after = tree(root)
    assert {path for path in before if path not in after} >= {"models/team-fraud/releases/staging.json"}
    assert {path: after[path] for path in after if "/base/" in path} == {p: before[p] for p in before if "/base/" in p}


def test_explain_says_which_registered_model_an_environment_has(tmp_path: Path) -> None:
    root, registry = fleet(tmp_path / "r")
    run(root, registry)
    for name in (*NAMES, "team-fraud"):
        found = explained(root, registry, name)
        assert [one.outcome for one in found.values()] == ["version 3 is there", "version 1 is there"]
        assert "its registered model is prod.team.fraud, with 3 versions; the newest that is READY is 3" in (
            found["prod"].reasons
        )
        assert (
            "selected by the form staging.{model} of environments.staging.models.name in m2g.yaml"
            in found["staging"].reasons
        )
    registry.known = registry.known[:1]
    found = explained(root, registry, "team-fraud")
    assert "the registry has no model prod.team.fraud, or you may not read it" in found["prod"].reasons


def test_a_scope_is_a_registered_model_or_the_slug_of_all(tmp_path: Path) -> None:
    root, registry = fleet(tmp_path / "r")
    run(root, registry, RenderOptions(scope=Scope(models=frozenset({NAMES[0]}))))
    assert not (root / "models/team-fraud/releases/prod.json").exists()
    run(root, registry, RenderOptions(scope=Scope(models=frozenset({"team-fraud"}))))
    assert record_of(root, "prod") == (NAMES[1], "1")


def test_patterns_choose_what_an_environment_has(tmp_path: Path) -> None:
    text = CONFIG.replace('name: "prod.{model}"', 'name: "prod.{model}", exclude: ["*.fraud"]')
    root, registry = fleet(tmp_path / "r", text)
    registry.known.append(model("prod.team.churn", champion="1"))
    run(root, registry)
    assert sorted(path.relative_to(root).as_posix() for path in root.glob("models/*/releases/*")) == [
        "models/team-churn/releases/prod.json",
        "models/team-fraud/releases/staging.json",
    ]


@pytest.mark.parametrize(
    ("name", "shared"),
    [
        ("prod.team.fraud", "team.fraud"),
        ("prod.", ""),
        ("prod", ""),
        ("PROD.team.fraud", ""),
        ("staging.team.fraud", ""),
        ("staging.prod.team.fraud", ""),
        ("prod.prod.x", "prod.x"),
        ("prod.{model}", "{model}"),
        ("prod.../../etc", "../../etc"),
        ("prod.-rf", "-rf"),
        ("prod.\nstaging.x", "\nstaging.x"),
        ("prоd.x", ""),  # the second letter is Cyrillic
    ],
)
def test_a_name_has_the_form_or_is_not_there(name: str, shared: str) -> None:
    made = config(FOLLOW, {}, FORMS)
    assert find_shared_name(made, "prod", name) == shared
    decided = plan(made, [RegisteredModel(name=name, aliases={"champion": "1"})], [version(name, 1)], {}, {})
    here = [slug for slug, environment in decided.targets if environment == "prod"]
    assert len(here) == (1 if shared else 0)
    assert all(slug.replace("-", "").isalnum() for slug in here)


def test_a_form_may_have_text_on_both_sides() -> None:
    made = config({"prod": ""}, {}, {"prod": "a.{model}.a"})
    names = {"a.x.a": "x", "a.a": "", "a..a": "", "a.a.a": "a"}
    assert {name: find_shared_name(made, "prod", name) for name in names} == names


@pytest.mark.attack
@pytest.mark.parametrize("own", [True, False])
def test_a_model_of_staging_never_gets_into_prod(tmp_path: Path, own: bool) -> None:
    """Who may register models for staging only tries names, aliases and the record of staging."""
    root, registry = fleet(tmp_path / "r")
    if not own:
        registry.known.pop()
    run(root, registry)
    before = {path: content for path, content in tree(root).items() if "prod" in path}
    for name in ("staging.prod.team.fraud", "staging.Team.Fraud", "staging. prod.team.fraud"):
        registry.known.append(model(name, champion="2"))
    write_record(root, "team-fraud", release("staging.Team.Fraud", "staging", "2"))
    for number in ("1", "2", "3"):
        source = f"s3://mlflow/1/models/m-{number}/artifacts"
        forged = ModelVersion(
            name="staging.Team.Fraud", version=number, source=source, created_at=1_700_000_000_000, run_id=""
        )
        registry.changes["staging.Team.Fraud", number] = forged
    run(root, registry)
    after = {path: content for path, content in tree(root).items() if "prod" in path and "team-fraud/" in path}
    assert after == before


@pytest.mark.usefixtures("kustomize")
@pytest.mark.attack
def test_the_record_of_another_environments_model_is_refused_and_replaced(tmp_path: Path) -> None:
    root, registry = fleet(tmp_path / "r")
    run(root, registry)
    good = tree(root)
    write_record(root, "team-fraud", release(NAMES[0], "prod", "3"))
    found = next(finding for finding in check(root) if finding.rule == "record-not-selected")
    assert (found.model, found.environment) == (NAMES[0], "prod")
    assert run(root, registry).releases
    assert {path: content for path, content in tree(root).items() if "prod" in path} == {
        path: content for path, content in good.items() if "prod" in path
    }
    write_record(root, "team-fraud", release(NAMES[0], "prod", "3"))
    words = shlex.split(found.hint.rpartition("instead: ")[2])
    assert words == ["m2g", "render", "--locked", "--model", "team-fraud", "--env", "prod"]
    scope = Scope(models=frozenset({words[4]}), environments=frozenset({words[6]}))
    run(root, registry, RenderOptions(locked=True, scope=scope))
    assert not (root / "models/team-fraud/releases/prod.json").exists()
    assert check(root) == []


def test_the_record_of_one_environment_moves_no_slug_of_another() -> None:
    """A slug with the hash of a name of other letters, as another m2g would have chosen it."""
    made = config(FOLLOW, {}, FORMS)
    shared = "модель"
    slug = find_slug(made, "prod", f"prod.{shared}", HeldSlugs(own={}, shared={}))
    evil = f"aaa-{slug[-8:]}"
    models = [RegisteredModel(name=f"{place}.{shared}", aliases={"champion": "1"}) for place in FORMS]
    listed = [version(one.name, 1) for one in models]
    records = {
        (slug, "prod"): release(f"prod.{shared}", "prod", "1"),
        (evil, "staging"): release(f"staging.{shared}", "staging", "1"),
    }
    decided = plan(made, models, listed, {}, records)
    assert decided.targets.keys() == records.keys()
    assert decided.removals == ()


def test_two_shared_names_of_one_slug_are_an_error_for_each_model() -> None:
    models = [model(f"{place}.{name}", champion="1") for place in FORMS for name in ("Team.x", "team.x")]
    decided = plan(config(FOLLOW, {}, FORMS), models, [version(one.name, 1) for one in models], {}, {})
    assert decided.targets == {}
    assert [line(finding) for finding in decided.findings] == [
        f"slug-collision {place}.{name}: 'Team.x' and 'team.x' map to the same slug 'team-x'"
        for name in ("Team.x", "team.x")
        for place in ("prod", "staging")
    ]
    helped = config(FOLLOW, {"slugs": {"Team.x": "another-name"}}, FORMS)
    decided = plan(helped, models, [version(one.name, 1) for one in models], {}, {})
    assert {slug for slug, _ in decided.targets} == {"another-name", "team-x"}
    assert len(decided.targets) == 4


def test_a_form_that_comes_later_renames_no_service() -> None:
    models = [model(name, champion="1") for name in NAMES]
    listed = [version(name, 1) for name in NAMES]
    records = {
        ("staging-team-fraud", "staging"): release(NAMES[0], "staging", "1"),
        ("prod-team-fraud", "prod"): release(NAMES[1], "prod", "1"),
    }
    decided = plan(config(FOLLOW, {}, FORMS), models, listed, {}, records)
    assert decided.targets.keys() == records.keys()
    assert (decided.removals, decided.findings) == ((), ())
    asked = config(FOLLOW, {"slugs": {"team.fraud": "team-fraud"}}, FORMS)
    decided = plan(asked, models, listed, {}, records)
    assert decided.targets.keys() == {("team-fraud", "staging"), ("team-fraud", "prod")}


@pytest.mark.parametrize(
    ("before", "after", "message"),
    [
        ('name: "prod.{model}"', 'name: "prod.*"', "the form of a name"),
        ('name: "prod.{model}"', 'name: "{model}.{model}"', "the form of a name"),
        ('    models: {name: "prod.{model}"}\n', "", "takes the registered models of staging, too (staging.{model})"),
    ],
)
def test_a_form_that_is_none_is_refused_where_it_stands(before: str, after: str, message: str) -> None:
    (finding,) = parse(CONFIG.replace(before, after).encode()).findings
    assert message in f"{finding.message} {finding.hint}"
    assert finding.line


def test_what_the_hint_says_of_an_environment_without_a_form_is_valid() -> None:
    missing = CONFIG.replace('    models: {name: "prod.{model}"}\n', "")
    (finding,) = parse(missing.encode()).findings
    for advice in ("    models: {exclude: ['staging.*']}\n", "    models: {name: 'prod.{model}'}\n"):
        assert advice.strip().removeprefix("models: ") in finding.hint
        assert parse(missing.replace("  prod:\n", f"  prod:\n{advice}").encode()).findings == ()
