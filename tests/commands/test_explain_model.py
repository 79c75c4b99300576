"""`m2g explain --model`: each reason for which a model is not there is said, and what it advises brings it there."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import jsonschema_rs
import pytest

from m2g.commands.explain_model import explain_model
from m2g.core.errors import InputError
from m2g.core.model import ModelVersion, RegisteredModel
from m2g.core.results import EnvironmentReason, ModelReasons
from m2g.report import model_reasons
from tests.support.fleet import CONFIG, FakeRegistry, model, repository, run, tree
from tests.support.handmade_fleet import write
from tests.support.machine import seconds
from tests.support.paths import ROOT

SET_ALIAS = re.compile(r"set_registered_model_alias\('([^']+)', '([^']+)', '([^']+)'\)")


def ask(root: Path, registry: FakeRegistry, name: str = "wine", *environments: str) -> ModelReasons:
    return explain_model(root, name, environments, open_registry=lambda config: registry)


def registered(aliases: Mapping[str, str]) -> RegisteredModel:
    return RegisteredModel(name="wine", aliases=dict(aliases), tags={})


def of(reasons: ModelReasons, environment: str = "prod") -> EnvironmentReason:
    return next(one for one in reasons.environments if one.environment == environment)


def test_a_model_that_is_there_and_what_moves_next(tmp_path: Path) -> None:
    root, registry = repository(tmp_path / "r"), FakeRegistry([model(champion="1")])
    run(root, registry)
    before = tree(root)
    reasons = ask(root, registry)
    assert of(reasons).outcome == "version 1 is there"
    assert of(reasons).reasons[0] == "prod follows the alias champion, which is at version 1"
    assert of(reasons).reasons[1].startswith("served by mlserver: ")
    assert of(reasons).next == ""
    assert "registered, with 3 versions; the newest that is READY is 3" in reasons.reasons
    assert "selected by the pattern * of models.include in m2g.yaml" in reasons.reasons
    registry.known = [model(champion="2")]
    assert of(ask(root, registry)).outcome == "version 1 is there, 2 is next"
    assert tree(root) == before
    registry.known = [model(Champion="2")]
    assert of(ask(root, registry)).outcome == "version 1 is there, and the next render removes it"
    assert SET_ALIAS.search(of(ask(root, registry)).next)


@pytest.mark.parametrize(
    ("aliases", "near"),
    [({"Champion": "2"}, "Champion"), ({"champoin": "2"}, "champoin"), ({"best": "2"}, ""), ({}, "")],
)
def test_a_missing_alias_names_its_near_miss_and_the_advice_releases(
    tmp_path: Path, aliases: Mapping[str, str], near: str
) -> None:
    root, registry = repository(tmp_path / "r"), FakeRegistry([registered(aliases)])
    found = of(ask(root, registry))
    assert found.outcome == "it is not there"
    assert "follows the alias champion, which this model does not have" in found.reasons[0]
    assert (f"{near} is another one" in found.reasons[0]) == bool(near)
    notes = [one for one in run(root, registry).findings if one.rule == "alias-near"]
    assert [SET_ALIAS.search(one.hint) is not None for one in notes] == [True] * bool(near)
    advice = SET_ALIAS.search(found.next)
    assert advice is not None
    registry.known = [registered({**aliases, advice[2]: advice[3]})]
    run(root, registry)
    assert of(ask(root, registry)).outcome == f"version {advice[3]} is there"


def test_an_alias_that_another_environment_follows_is_no_near_miss(tmp_path: Path) -> None:
    settings = CONFIG.replace("alias: challenger", "alias: champions")
    result = run(repository(tmp_path / "r", settings), FakeRegistry([model(champion="1")]))
    assert [one.rule for one in result.findings] == []


@pytest.mark.parametrize(
    ("models", "words"),
    [
        ("include: ['fraud-*']", "no pattern of models.include in m2g.yaml matches (fraud-*)"),
        ("exclude: ['w*']", "the pattern w* of models.exclude in m2g.yaml matches"),
        ("tags: {deploy: 'yes'}", "models.tags in m2g.yaml requires deploy=yes"),
    ],
)
def test_a_model_that_m2g_yaml_does_not_select(tmp_path: Path, models: str, words: str) -> None:
    root = repository(tmp_path / "r", f"{CONFIG}models: {{{models}}}\n")
    reasons = ask(root, FakeRegistry([model(champion="1")]))
    assert any(words in reason for reason in reasons.reasons), reasons.reasons


@pytest.mark.parametrize(
    ("follow", "words", "advice"),
    [
        ("stage: Production", "prod follows the stage Production (it has the stage Staging)", "transition_model"),
        (
            "tag: ready=yes",
            "prod follows the tag ready=yes (it has no versions with that key)",
            "set_model_version_tag",
        ),
    ],
)
def test_stages_and_tags(tmp_path: Path, follow: str, words: str, advice: str) -> None:
    registry = FakeRegistry([model()])
    staged = ModelVersion(name="wine", version="1", source="s3://mlflow/1/m", created_at=1, run_id="r", stage="Staging")
    registry.changes["wine", "1"] = staged
    found = of(ask(repository(tmp_path / "r", CONFIG.replace("alias: champion", follow)), registry))
    assert found.reasons[0] == words
    assert advice in found.next


def test_a_pin_and_an_environment_of_people(tmp_path: Path) -> None:
    root, registry = repository(tmp_path / "r", CONFIG.replace("{alias: champion}", "{}")), FakeRegistry([model()])
    found = of(ask(root, registry))
    assert found.reasons == ("prod follows nothing: people choose its versions",)
    advice = re.fullmatch(r"write to (\S+): (.+)", found.next)
    assert advice is not None
    write(root, {advice[1]: f"{advice[2]}\n"})
    run(root, registry)
    found = of(ask(root, registry))
    assert found.outcome == "version 3 is there"
    assert found.reasons[0] == "models/wine/model.yaml pins version 3 (first release)"


def test_what_keeps_a_version_out_is_said_with_its_way_out(tmp_path: Path) -> None:
    root, registry = repository(tmp_path / "r"), FakeRegistry([model(champion="1", challenger="2")])
    registry.changes["wine", "1"] = ModelVersion(
        name="wine", version="1", source="mlflow-artifacts:/1/m", created_at=1, run_id="r"
    )
    found = of(ask(root, registry))
    assert found.outcome == "it is not there"
    assert any("[version-unreadable]" in one or "[storage-refused]" in one for one in found.reasons), found
    assert found.next
    assert of(ask(root, registry), "dev").outcome == "version 2 is not there yet"


def test_a_model_that_nobody_knows(tmp_path: Path) -> None:
    root, registry = repository(tmp_path / "r"), FakeRegistry([model(champion="1")])
    with pytest.raises(InputError, match="has no model 'wien'") as caught:
        ask(root, registry, "wien")
    assert caught.value.hint == "did you mean wine?"
    with pytest.raises(InputError, match="no environment 'nowhere'"):
        ask(root, registry, "wine", "nowhere")


def test_a_model_that_was_deleted_in_mlflow(tmp_path: Path) -> None:
    root, registry = repository(tmp_path / "r"), FakeRegistry([model(champion="1"), model("beer", champion="1")])
    run(root, registry)
    registry.known = [model("beer", champion="1")]
    reasons = ask(root, registry)
    assert "the registry has no model with this name any more" in reasons.reasons[0]
    assert of(reasons).outcome == "version 1 is there, and the next render removes it"


def test_a_slug_is_as_good_as_the_name(tmp_path: Path) -> None:
    root, registry = (
        repository(tmp_path / "r"),
        FakeRegistry([RegisteredModel(name="Fraud Score", aliases={}, tags={})]),
    )
    assert ask(root, registry, "fraud-score") == ask(root, registry, "Fraud Score")


def test_text_and_json(tmp_path: Path) -> None:
    root, registry = repository(tmp_path / "r"), FakeRegistry([model(Champion="2")])
    reasons = ask(root, registry, "wine", "prod")
    text = model_reasons.render(reasons, "text").splitlines()
    assert text[0] == "wine"
    assert "prod: it is not there" in text
    assert max(map(len, text)) <= 80
    whole = json.loads(model_reasons.render(reasons, "json"))
    schema = json.loads((ROOT / "docs/reference/schemas/explain-model.schema.json").read_text())
    jsonschema_rs.validator_for(schema).validate(whole)
    assert (whole["version"], whole["model"], whole["environments"][0]["environment"]) == (1, "wine", "prod")


@pytest.mark.parametrize("arguments", [("schema", "--model", "wine"), ("--env", "prod")])
def test_options_that_do_not_fit_are_refused(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    command = [sys.executable, "-m", "m2g", "explain", *arguments]
    done = subprocess.run(command, cwd=repository(tmp_path / "r"), capture_output=True, text=True, timeout=seconds(60))
    assert done.returncode == 2
    assert "→" in done.stderr
