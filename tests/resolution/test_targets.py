"""`plan` row by row: what is followed × what the registry lists × pins × records → targets, removals, findings."""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass, field

import pytest

from m2g.core.model import ModelVersion, RegisteredModel
from m2g.resolution.targets import Plan, find_stale_pins, plan
from tests.support.fleet import model
from tests.support.plans import config, intents, line, records, version, versions

CHAMPION = {"prod": "alias=champion"}
NOTHING: dict[str, str] = {"prod": ""}
WINE = model(champion="2")


@dataclass(frozen=True, kw_only=True)
class Row:
    """The world of one decision, and the decision. `targets` are `wine/prod 2 because`, `findings` start a finding."""

    follow: Mapping[str, str] = field(default_factory=lambda: CHAMPION)
    models: tuple[RegisteredModel, ...] = (WINE,)
    versions: tuple[ModelVersion, ...] = versions("wine")
    pins: Mapping[str, Mapping[str, object]] = field(default_factory=dict)
    records: tuple[str, ...] = ()
    select: Mapping[str, object] = field(default_factory=dict)

    targets: tuple[str, ...] = ()
    removals: tuple[str, ...] = ()
    lost: tuple[str, ...] = ()
    findings: tuple[str, ...] = ()

    def plan(self) -> Plan:
        return plan(
            config(self.follow, self.select), self.models, self.versions, intents(self.pins), records(self.records)
        )


def targets_of(made: Plan) -> tuple[str, ...]:
    return tuple(f"{slug}/{env} {t.version.version} {t.follows}" for (slug, env), t in made.targets.items())


STAGES = (
    version("wine", 2, stage="Production"),
    version("wine", 9, stage="Production"),
    version("wine", 10, stage="Production"),
    version("wine", 11, stage="Staging"),
    version("wine", 12, stage="Archived"),
    version("wine", 13, stage="Production", status="PENDING_REGISTRATION"),
)
TAGS = (
    version("wine", 1, ok="yes"),
    version("wine", 2, ok="no"),
    version("wine", 9, ok="yes"),
    version("wine", 10, ok="yes"),
    version("wine", 11, ok="Yes"),
    version("wine", 12, ok=""),
    version("wine", 13, ok="a=b"),
    version("wine", 14, ok="yes", status="FAILED_REGISTRATION"),
)
TWINS = (model("My Wine", champion="1"), model("my-wine", champion="2"))
TWIN_VERSIONS = versions("My Wine", "my-wine")
TWIN_WORDS = "'My Wine' and 'my-wine' map to the same slug 'my-wine'"

FOLLOWED = {
    "an alias": Row(targets=("wine/prod 2 alias champion",)),
    "an alias that has moved": Row(records=("wine/prod 1",), targets=("wine/prod 2 alias champion",)),
    "an alias that has not moved": Row(records=("wine/prod 2",), targets=("wine/prod 2 alias champion",)),
    "an alias that was taken away": Row(models=(model(),), records=("wine/prod 1",), removals=("wine/prod",)),
    "an alias that went with its deleted version": Row(
        models=(model(),), versions=(version("wine", 2),), records=("wine/prod 1",), lost=("wine/prod",)
    ),
    "an alias that went with a version whose number another one has": Row(
        models=(model(),), versions=(version("wine", 1, created_at=9),), records=("wine/prod 1",), lost=("wine/prod",)
    ),
    "a version that was deleted and its model with it": Row(
        models=(), versions=(), records=("wine/prod 1",), removals=("wine/prod",)
    ),
    "a deleted version in an environment that is gone": Row(
        models=(model(),), versions=(), records=("wine/test 1",), removals=("wine/test",)
    ),
    "an alias that was never there": Row(models=(model(challenger="1"),)),
    "an alias in another case": Row(
        models=(model(Champion="1"),),
        records=("wine/prod 1",),
        removals=("wine/prod",),
        findings=("alias-near wine/prod: prod follows the alias 'champion'; this model has 'Champion'",),
    ),
    "an alias of a deleted version": Row(
        models=(model(champion="9"),),
        records=("wine/prod 1",),
        findings=("version-not-ready wine/prod: version 9 (alias champion) does not exist; prod does not change",),
    ),
    "an alias of another model's version": Row(
        models=(model(champion="9"), model("beer")),
        versions=(*versions("wine"), version("beer", 9)),
        findings=("version-not-ready wine/prod: version 9 (alias champion) does not exist",),
    ),
    "an alias of a pending version": Row(
        versions=(version("wine", 1), version("wine", 2, status="PENDING_REGISTRATION")),
        records=("wine/prod 1",),
        findings=("version-not-ready wine/prod: version 2 (alias champion) is PENDING_REGISTRATION, not READY",),
    ),
    "an alias of a failed version, without a record": Row(
        versions=(version("wine", 2, status="FAILED_REGISTRATION"),),
        findings=("version-not-ready wine/prod: version 2 (alias champion) is FAILED_REGISTRATION, not READY",),
    ),
    "a stage: the highest number that is READY": Row(
        follow={"prod": "stage=Production"}, versions=STAGES, targets=("wine/prod 10 stage Production",)
    ),
    "a stage for each environment": Row(
        follow={"dev": "stage=Staging", "prod": "stage=Production", "old": "stage=Archived"},
        versions=STAGES,
        targets=("wine/dev 11 stage Staging", "wine/prod 10 stage Production", "wine/old 12 stage Archived"),
    ),
    "a stage that nothing is in": Row(
        follow={"prod": "stage=Production"}, records=("wine/prod 1",), removals=("wine/prod",)
    ),
    "a stage from which all were archived": Row(
        follow={"prod": "stage=Production"},
        versions=(version("wine", 1, stage="Archived"), version("wine", 2, stage="Archived")),
        records=("wine/prod 2",),
        removals=("wine/prod",),
    ),
    "a stage in another case": Row(
        follow={"prod": "stage=Production"}, versions=(version("wine", 1, stage="production"),)
    ),
    "a stage with a pending version alone": Row(
        follow={"prod": "stage=Production"},
        versions=(version("wine", 1), *STAGES[-1:]),
        records=("wine/prod 1",),
        removals=("wine/prod",),
    ),
    "a stage says nothing of another model": Row(
        follow={"prod": "stage=Production"},
        models=(WINE, model("beer")),
        versions=(version("wine", 1), version("beer", 7, stage="Production")),
        targets=("beer/prod 7 stage Production",),
    ),
    "a tag with a value, on several versions": Row(
        follow={"prod": "tag=ok=yes"}, versions=TAGS, targets=("wine/prod 10 tag ok=yes",)
    ),
    "a tag with any value": Row(follow={"prod": "tag=ok"}, versions=TAGS, targets=("wine/prod 13 tag ok",)),
    "a tag with an empty value": Row(follow={"prod": "tag=ok="}, versions=TAGS, targets=("wine/prod 12 tag ok=",)),
    "a tag with an equals sign in its value": Row(
        follow={"prod": "tag=ok=a=b"}, versions=TAGS, targets=("wine/prod 13 tag ok=a=b",)
    ),
    "a tag's key in another case": Row(follow={"prod": "tag=OK=yes"}, versions=TAGS),
    "a tag of the registered model": Row(follow={"prod": "tag=ok=yes"}, models=(model(tags={"ok": "yes"}),)),
    "a tag that was taken off": Row(follow={"prod": "tag=ok=yes"}, records=("wine/prod 1",), removals=("wine/prod",)),
    "nothing, without a record": Row(follow=NOTHING),
    "nothing: the record stays": Row(follow=NOTHING, records=("wine/prod 1",)),
    "nothing: the record of a deleted version stays": Row(follow=NOTHING, records=("wine/prod 9",)),
    "each environment its own": Row(
        follow={"dev": "alias=challenger", "live": "stage=Production", "prod": "alias=champion", "lab": ""},
        models=(model(champion="2", challenger="3"),),
        versions=(*versions("wine"), version("wine", 4, stage="Production")),
        records=("wine/lab 1",),
        targets=("wine/dev 3 alias challenger", "wine/live 4 stage Production", "wine/prod 2 alias champion"),
    ),
    "no model at all": Row(
        models=(), versions=(), records=("wine/prod 1", "beer/prod 1"), removals=("beer/prod", "wine/prod")
    ),
}

PINNED = {
    "a pin wins over the alias": Row(pins={"wine": {"prod": 1}}, targets=("wine/prod 1 pinned in model.yaml",)),
    "a pin says why": Row(
        pins={"wine": {"prod": {"version": 1, "reason": "2 is slow"}}},
        targets=("wine/prod 1 pinned in model.yaml: 2 is slow",),
    ),
    "a reason alone pins nothing": Row(
        pins={"wine": {"prod": {"reason": "none"}}}, targets=("wine/prod 2 alias champion",)
    ),
    "settings alone pin nothing": Row(
        pins={"wine": {"prod": {"settings": {"minReplicas": 1}}}}, targets=("wine/prod 2 alias champion",)
    ),
    "a pin where there is no alias": Row(
        models=(model(),),
        pins={"wine": {"prod": 1}},
        records=("wine/prod 1",),
        targets=("wine/prod 1 pinned in model.yaml",),
    ),
    "a pin where nothing is followed": Row(
        follow=NOTHING, pins={"wine": {"prod": 3}}, targets=("wine/prod 3 pinned in model.yaml",)
    ),
    "a pin passes over the stage": Row(
        follow={"prod": "stage=Production"},
        versions=STAGES,
        pins={"wine": {"prod": 12}},
        targets=("wine/prod 12 pinned in model.yaml",),
    ),
    "a pin of one environment": Row(
        follow={"dev": "alias=champion", "prod": "alias=champion"},
        pins={"wine": {"dev": 3}},
        targets=("wine/dev 3 pinned in model.yaml", "wine/prod 2 alias champion"),
    ),
    "a pin of another model": Row(pins={"beer": {"prod": 1}}, targets=("wine/prod 2 alias champion",)),
    "a pin of an environment that m2g.yaml has not": Row(
        pins={"wine": {"lab": 1}}, targets=("wine/prod 2 alias champion",)
    ),
    "a pin to a version that does not exist": Row(
        pins={"wine": {"prod": {"version": 9, "reason": "best"}}},
        records=("wine/prod 1",),
        findings=("version-not-ready wine/prod: version 9 (pinned in model.yaml: best) does not exist",),
    ),
    "a pin to a pending version": Row(
        versions=(version("wine", 1, status="PENDING_REGISTRATION"), version("wine", 2)),
        pins={"wine": {"prod": 1}},
        records=("wine/prod 2",),
        findings=("version-not-ready wine/prod: version 1 (pinned in model.yaml) is PENDING_REGISTRATION",),
    ),
    "one environment's finding stops no other": Row(
        follow={"dev": "alias=champion", "live": "alias=none", "prod": "alias=champion"},
        pins={"wine": {"dev": 9}},
        records=("wine/dev 1", "wine/live 1", "wine/prod 1"),
        targets=("wine/prod 2 alias champion",),
        removals=("wine/live",),
        findings=("version-not-ready wine/dev: version 9",),
    ),
}

GONE = "the registered model is gone or no longer selected; m2g keeps this release, which is held by hand"
SELECTED = {
    "an excluded model goes": Row(select={"exclude": ["w*"]}, records=("wine/prod 1",), removals=("wine/prod",)),
    "an excluded model goes though it is pinned": Row(
        select={"exclude": ["wine"]},
        pins={"wine": {"prod": 1}},
        records=("wine/prod 1",),
        removals=("wine/prod",),
    ),
    "an excluded model goes where nothing is followed": Row(
        follow=NOTHING, select={"exclude": ["wine"]}, records=("wine/prod 1",), removals=("wine/prod",)
    ),
    "a model that is not included": Row(
        models=(WINE, model("beer", champion="1")),
        versions=versions("wine", "beer"),
        select={"include": ["b*"]},
        targets=("beer/prod 1 alias champion",),
    ),
    "a pattern in another case": Row(select={"include": ["Wine"]}, records=("wine/prod 1",), removals=("wine/prod",)),
    "a model with the tags that are asked for": Row(
        models=(model(tags={"team": "a", "tier": "1"}, champion="1"), model("beer", tags={"team": "A"}, champion="1")),
        versions=versions("wine", "beer"),
        select={"tags": {"team": "a"}},
        targets=("wine/prod 1 alias champion",),
    ),
    "a model that lost its tag goes": Row(
        select={"tags": {"team": "a"}}, records=("wine/prod 1",), removals=("wine/prod",)
    ),
    "a model that lost its tag stays where it is pinned": Row(
        select={"tags": {"team": "a"}},
        pins={"wine": {"prod": 2}},
        records=("wine/prod 2",),
        findings=(f"model-gone wine/prod: {GONE}",),
    ),
    "a model deleted in the registry goes": Row(
        models=(model("beer", champion="1"),),
        versions=versions("beer"),
        records=("beer/prod 1", "wine/prod 1"),
        targets=("beer/prod 1 alias champion",),
        removals=("wine/prod",),
    ),
    "a deleted model stays where it is pinned or moved by hand": Row(
        follow={"dev": "alias=champion", "lab": "", "prod": "alias=champion"},
        models=(),
        versions=(),
        pins={"wine": {"prod": 1}},
        records=("wine/dev 1", "wine/lab 1", "wine/prod 1"),
        removals=("wine/dev",),
        findings=(f"model-gone wine/lab: {GONE}", f"model-gone wine/prod: {GONE}"),
    ),
    "settings do not hold a deleted model": Row(
        models=(),
        versions=(),
        pins={"wine": {"prod": {"reason": "none"}}},
        records=("wine/prod 1",),
        removals=("wine/prod",),
    ),
    "a removed environment goes": Row(
        records=("wine/lab 1", "wine/prod 1"), targets=("wine/prod 2 alias champion",), removals=("wine/lab",)
    ),
    "a removed environment goes though it is pinned": Row(
        pins={"wine": {"lab": 1}},
        records=("wine/lab 1",),
        targets=("wine/prod 2 alias champion",),
        removals=("wine/lab",),
    ),
    "a name that cannot be printed": Row(
        models=(model("wi\x85ne", champion="1"), WINE),
        versions=versions("wi\x85ne", "wine"),
        records=("wi-ne/prod 1 wi\x85ne",),
        targets=("wine/prod 2 alias champion",),
        findings=("model-name-unprintable wi\x85ne: the registered model's name contains U+0085",),
    ),
    "a name that cannot be printed, pinned": Row(
        models=(model("wi\x85ne", champion="1"),),
        pins={"wi-ne": {"prod": 1}},
        records=("wi-ne/prod 1 wi\x85ne",),
        findings=("model-name-unprintable wi\x85ne: ",),
    ),
    "a name that cannot be printed, excluded": Row(
        models=(model("wi\x85ne"),),
        select={"exclude": ["wi?ne"]},
        records=("wi-ne/prod 1 wi\x85ne",),
        removals=("wi-ne/prod",),
    ),
}

SLUGS = {
    "a slug of its own": Row(
        select={"slugs": {"wine": "red"}}, pins={"red": {"prod": 1}}, targets=("red/prod 1 pinned in model.yaml",)
    ),
    "a slug that was changed: what was there goes": Row(
        select={"slugs": {"wine": "red"}},
        records=("wine/prod 2",),
        targets=("red/prod 2 alias champion",),
        removals=("wine/prod",),
    ),
    "two names want one slug: nobody has it": Row(
        models=TWINS,
        versions=TWIN_VERSIONS,
        findings=(f"slug-collision My Wine: {TWIN_WORDS}", f"slug-collision my-wine: {TWIN_WORDS}"),
    ),
    "two names want one slug: who has a record keeps it": Row(
        models=TWINS,
        versions=TWIN_VERSIONS,
        records=("my-wine/prod 1 My Wine",),
        targets=("my-wine/prod 1 alias champion",),
        findings=(f"slug-collision my-wine: {TWIN_WORDS}",),
    ),
    "two names want one slug: nothing of it is removed": Row(
        follow={"dev": "alias=challenger", "prod": "alias=champion"},
        models=TWINS,
        versions=TWIN_VERSIONS,
        records=("my-wine/dev 1 my-wine", "my-wine/prod 1 my-wine"),
        targets=("my-wine/prod 2 alias champion",),
        findings=(f"slug-collision My Wine: {TWIN_WORDS}",),
    ),
    "three names want one slug": Row(
        models=(*TWINS, model("MY WINE", champion="3")),
        versions=(*TWIN_VERSIONS, *versions("MY WINE")),
        records=("my-wine/prod 1 MY WINE",),
        targets=("my-wine/prod 3 alias champion",),
        findings=("slug-collision My Wine: 'MY WINE' and 'My Wine' and 'my-wine'", "slug-collision my-wine: "),
    ),
    "a slug of its own ends it": Row(
        models=TWINS,
        versions=TWIN_VERSIONS,
        select={"slugs": {"My Wine": "other"}},
        targets=("my-wine/prod 2 alias champion", "other/prod 1 alias champion"),
    ),
    "a slug of its own begins it": Row(
        models=(WINE, model("beer", champion="1")),
        versions=versions("wine", "beer"),
        select={"slugs": {"beer": "wine"}},
        records=("wine/prod 1",),
        targets=("wine/prod 2 alias champion",),
        findings=("slug-collision beer: 'beer' and 'wine' map to the same slug 'wine'",),
    ),
    "an excluded twin does not count": Row(
        models=TWINS,
        versions=TWIN_VERSIONS,
        select={"exclude": ["My *"]},
        targets=("my-wine/prod 2 alias champion",),
    ),
    "a renamed model is known by its versions": Row(
        models=(model("My Wine", champion="2"),),
        versions=versions("My Wine"),
        records=("my-wine/prod 1 my-wine",),
        targets=("my-wine/prod 2 alias champion",),
    ),
    "a renamed model without its alias goes": Row(
        models=(model("My Wine"),),
        versions=versions("My Wine"),
        records=("my-wine/prod 1 my-wine",),
        removals=("my-wine/prod",),
    ),
    "another model in a deleted one's place": Row(
        models=(model("My Wine", champion="2"),),
        versions=(version("My Wine", 1, created_at=1_800_000_000_000), version("My Wine", 2)),
        records=("my-wine/prod 1 my-wine",),
        findings=(f"slug-collision My Wine: {TWIN_WORDS}", f"slug-collision my-wine: {TWIN_WORDS}"),
    ),
    "another model in a pinned one's place": Row(
        models=(model("My Wine", champion="2"),),
        versions=(version("My Wine", 2),),
        pins={"my-wine": {"prod": 1}},
        records=("my-wine/prod 1 my-wine",),
        findings=(f"slug-collision My Wine: {TWIN_WORDS}", f"slug-collision my-wine: {TWIN_WORDS}"),
    ),
    "a model that nobody asks for, in another one's place": Row(
        models=(model("My Wine"), model("my-wine", champion="2")),
        versions=versions("my-wine"),
        targets=("my-wine/prod 2 alias champion",),
        findings=("slug-collision My Wine: 'My Wine' maps to the slug 'my-wine' of another model",),
    ),
    "a model that nobody asks for, beside one with a record": Row(
        models=(model("My Wine"), model("my-wine")),
        versions=versions("my-wine"),
        records=("my-wine/prod 1 my-wine",),
        removals=("my-wine/prod",),
        findings=("slug-collision My Wine: 'My Wine' maps to",),
    ),
    "two models that nobody asks for": Row(
        models=(model("My Wine"), model("my-wine")),
        findings=("slug-collision My Wine: 'My Wine' maps to", "slug-collision my-wine: 'my-wine' maps to"),
    ),
    "a model that is asked for in vain, beside another": Row(
        models=(model("My Wine", champion="9"), model("my-wine", champion="2")),
        versions=versions("my-wine"),
        findings=(f"slug-collision My Wine: {TWIN_WORDS}", f"slug-collision my-wine: {TWIN_WORDS}"),
    ),
    "a renamed model, and another that wants its slug": Row(
        models=(model("My Wine", champion="2"), model("MY WINE", champion="1")),
        versions=(*versions("My Wine"), version("MY WINE", 9)),
        records=("my-wine/prod 1 my-wine",),
        findings=("slug-collision MY WINE: ", "slug-collision My Wine: ", "slug-collision my-wine: "),
    ),
}
ROWS = {**FOLLOWED, **PINNED, **SELECTED, **SLUGS}


@pytest.mark.parametrize("row", ROWS.values(), ids=ROWS)
def test_a_row(row: Row) -> None:
    made = row.plan()
    assert targets_of(made) == row.targets
    assert tuple("/".join(key) for key in made.removals) == row.removals
    assert tuple("/".join(key) for key in made.lost) == row.lost
    lines = [line(finding) for finding in made.findings]
    assert len(lines) == len(row.findings), lines
    for found, expected in zip(lines, row.findings, strict=True):
        assert found.startswith(expected)
    assert all(finding.hint for finding in made.findings)


@pytest.mark.parametrize("row", ROWS.values(), ids=ROWS)
def test_the_order_of_the_input_does_not_matter(row: Row) -> None:
    chance = random.Random(0)
    made = row.plan()
    for _ in range(5):
        models, listed, known = list(row.models), list(row.versions), list(records(row.records).items())
        for one in (models, listed, known):
            chance.shuffle(one)
        again = plan(config(row.follow, row.select), models, listed, intents(row.pins), dict(known))
        assert again == made


STALE = {
    "nothing is pinned": ({}, (), ()),
    "the record is of the pin": ({"wine": {"prod": 1}}, ("wine/prod 1",), ()),
    "the record is of another version": (
        {"wine": {"prod": 2}},
        ("wine/prod 1 Wine",),
        ("pin-not-rendered Wine/prod: the pin is version 2, but the release record has version 1",),
    ),
    "there is no record": (
        {"wine": {"prod": 2}},
        ("wine/dev 2",),
        ("pin-not-rendered wine/prod: the pin is version 2, but the release record does not exist",),
    ),
    "a pin without a version": ({"wine": {"prod": {"reason": "none"}}}, ("wine/prod 1",), ()),
    "several, by slug": (
        {"wine": {"prod": 2, "dev": 1}, "beer": {"prod": 3}},
        ("wine/dev 1", "wine/prod 1"),
        (
            "pin-not-rendered beer/prod: the pin is version 3, but the release record does not exist",
            "pin-not-rendered wine/prod: the pin is version 2, but the release record has version 1",
        ),
    ),
}


@pytest.mark.parametrize(("pins", "kept", "expected"), STALE.values(), ids=STALE)
def test_pins_that_were_not_rendered(
    pins: Mapping[str, Mapping[str, object]], kept: tuple[str, ...], expected: tuple[str, ...]
) -> None:
    findings = find_stale_pins(intents(pins), records(kept))
    assert tuple(line(finding) for finding in findings) == expected
    for finding in findings:
        slug = finding.file.split("/")[1]
        assert finding.path == f"environments.{finding.environment}.version"
        assert finding.hint.endswith(f"m2g render --model {slug} --env {finding.environment}")
