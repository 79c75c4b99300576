"""Two teams in one repository: the settings and bounds of one team are not for the models of the other."""

from __future__ import annotations

from pathlib import Path

import pytest
import ryaml

from m2g.changes.update import RenderOptions
from m2g.commands.validate import ValidateOptions, validate
from m2g.core.finding import Finding
from m2g.core.manifest import get_at
from m2g.repository import config
from m2g.review import Risk
from m2g.review.outside import describe_changes
from tests.support.fleet import CONFIG, FakeRegistry, release, repository, run, write_record
from tests.support.handmade_fleet import write

pytestmark = pytest.mark.attack

TEAMS = """\
bounds: {minReplicas: {max: 3}}
classes: {gpu: {gpus: 1}}
teams:
  fraud:
    models: [fraud-*]
    settings: {serviceAccountName: fraud, labels: {team: fraud}}
    bounds: {priorityClassName: {}, minReplicas: {max: 9}, class: {oneOf: [gpu]}}
  wine:
    models: [wine, wine-*]
    settings: {serviceAccountName: wine, labels: {team: wine}}
    bounds: {class: {oneOf: ['']}}
"""


def fleet(root: Path, slug: str, settings: str, teams: str = TEAMS) -> Path:
    repository(root, f"{CONFIG}{teams}")
    write(root, {f"models/{slug}/model.yaml": f"settings: {{{settings}}}\n"})
    write_record(root, slug, release(slug, "prod"))
    return root


def findings(root: Path) -> list[Finding]:
    return list(run(root, FakeRegistry(), RenderOptions(locked=True)).findings)


@pytest.mark.parametrize("setting", ["priorityClassName: high", "minReplicas: 4", "class: gpu"])
def test_a_team_has_no_bounds_of_another_team(tmp_path: Path, setting: str) -> None:
    beside = ", maxReplicas: 9" if "minReplicas" in setting else ""
    assert findings(fleet(tmp_path / "fraud", "fraud-cards", f"{setting}{beside}")) == []
    # Every model may choose a class, unless a bound says no.
    for slug in ("wine", "wine-red", *(("other", "a-fraud-cards", "fraud") if "class" not in setting else ())):
        (found,) = findings(fleet(tmp_path / slug, slug, f"{setting}{beside}"))
        assert (found.rule, found.file) == ("setting-out-of-bounds", f"models/{slug}/model.yaml")


@pytest.mark.parametrize(("slug", "account"), [("fraud-cards", "fraud"), ("wine", "wine"), ("other", None)])
def test_a_team_acts_as_itself(tmp_path: Path, slug: str, account: str | None) -> None:
    root = fleet(tmp_path, slug, "minReplicas: 2")
    assert findings(root) == []
    base = ryaml.loads((root / f"models/{slug}/base/inferenceservice.yaml").read_text())
    assert get_at(base, "spec", "predictor", "serviceAccountName") == account
    assert get_at(base, "metadata", "labels", "team") == account


def test_a_model_yaml_names_no_team(tmp_path: Path) -> None:
    for text in (b"teams: {x: {models: [wine]}}\n", b"settings: {team: fraud}\n", b"team: fraud\n"):
        intent, found = config.parse_intent("models/wine/model.yaml", text)
        assert intent is None
        assert [one.rule for one in found] == ["model-yaml-invalid"]


def test_a_model_that_two_teams_match_keeps_its_files(tmp_path: Path) -> None:
    both = TEAMS.replace("models: [wine, wine-*]", "models: ['*']")
    root = fleet(tmp_path, "fraud-cards", "priorityClassName: high", both)
    found = findings(root)
    assert [(one.rule, one.path) for one in found] == [
        ("setting-contradiction", "teams.wine.models"),
        ("setting-out-of-bounds", "settings.priorityClassName"),
    ]
    assert not (root / "models/fraud-cards/overlays").exists()


def test_a_mistake_in_a_team_is_named_at_its_line(tmp_path: Path) -> None:
    root = fleet(tmp_path, "wine", "minReplicas: 2", TEAMS.replace("fraud, labels: {team: fraud}", "a b"))
    text = (root / "m2g.yaml").read_text().replace("serviceAccountName: a b", "resources: {limits: {cpu: many}}")
    (root / "m2g.yaml").write_text(text)
    line = text.splitlines().index("    settings: {resources: {limits: {cpu: many}}}") + 1
    found = validate(root, ValidateOptions()).findings
    assert ("m2g.yaml", line) in {(one.file, one.line) for one in found}
    wrong = config.parse(TEAMS.replace("minReplicas: {max: 9}", "minReplika: {max: 9}").encode() + CONFIG.encode())
    assert [one.path for one in wrong.findings] == ["teams.fraud.bounds.minReplika"]


def test_a_review_says_what_a_team_gets(tmp_path: Path) -> None:
    old, new = tmp_path / "old", tmp_path / "new"
    repository(old, f"{CONFIG}{TEAMS}")
    wider = TEAMS.replace("models: [wine, wine-*]", "models: [wine, wine-*, fraud-old]").replace(
        "serviceAccountName: wine", "serviceAccountName: fraud"
    )
    repository(new, f"{CONFIG}{wider}")
    found = describe_changes(old, new, {"m2g.yaml": False}, ())
    assert {one.risk for one in found} == {Risk.POWERFUL}
    assert any("teams.wine.models" in one.message for one in found)
    assert any("as whom the pods act" in one.message for one in found)
