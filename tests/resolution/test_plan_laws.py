"""What holds for every plan, whatever the registry lists and people have pinned."""

from __future__ import annotations

from hypothesis import assume, given
from hypothesis import strategies as st

from m2g.core import naming
from m2g.core.model import ModelVersion, RegisteredModel
from m2g.repository.layout import Key
from m2g.repository.selection import matches_name
from m2g.resolution.targets import plan
from tests.support.fleet import release
from tests.support.plans import config, intents, version

FOLLOWS = ("", "alias=champion", "alias=challenger", "stage=Production", "tag=ok", "tag=ok=yes")
NAMES = ("wine", "Wine", "my wine", "beer", "dev.wine", "prod.wine", "prod.Wine", "prod.dev.wine")
FORMS = ("dev.{model}", "prod.{model}", "{model}.wine", "{model}")
VERSION = st.builds(
    version,
    st.sampled_from(NAMES),
    st.integers(1, 4),
    status=st.sampled_from(["READY", "READY", "PENDING_REGISTRATION"]),
    stage=st.sampled_from(["None", "Production", "Archived"]),
    ok=st.sampled_from(["yes", "no"]),
)
NUMBER = st.integers(1, 5)
MODELS = st.lists(
    st.builds(
        lambda name, aliases: RegisteredModel(name=name, aliases={k: str(v) for k, v in aliases.items()}),
        st.sampled_from(NAMES),
        st.dictionaries(st.sampled_from(["champion", "challenger"]), NUMBER, max_size=2),
    ),
    unique_by=lambda model: model.name,
    max_size=6,
)
KEYS = st.tuples(
    st.sampled_from(["wine", "my-wine", "beer", "dev-wine", "prod-wine"]), st.sampled_from(["dev", "prod", "lab"])
)


@given(
    follow=st.dictionaries(st.sampled_from(["dev", "prod"]), st.sampled_from(FOLLOWS), min_size=1),
    forms=st.dictionaries(st.sampled_from(["dev", "prod"]), st.sampled_from(FORMS)),
    select=st.sampled_from([{}, {"exclude": ["beer"]}, {"include": ["w*", "W*"]}, {"slugs": {"Wine": "beer"}}]),
    models=MODELS,
    listed=st.lists(VERSION, unique_by=lambda version: (version.name, version.version)),
    pinned=st.dictionaries(KEYS, NUMBER, max_size=3),
    kept=st.dictionaries(KEYS, st.tuples(st.sampled_from(NAMES), NUMBER), max_size=5),
)
def test_laws_of_every_plan(
    follow: dict[str, str],
    forms: dict[str, str],
    select: dict[str, object],
    models: list[RegisteredModel],
    listed: list[ModelVersion],
    pinned: dict[Key, int],
    kept: dict[Key, tuple[str, int]],
) -> None:
    pins: dict[str, dict[str, object]] = {}
    for (slug, environment), number in pinned.items():
        pins.setdefault(slug, {})[environment] = number
    before = {(slug, env): release(name, env, str(number)) for (slug, env), (name, number) in kept.items()}
    fleet = config(follow, select, forms)
    made = plan(fleet, models, listed, intents(pins), before)
    assert set(made.removals) <= before.keys() - made.targets.keys()
    for (slug, environment), target in made.targets.items():
        assert environment in follow
        assert target.version in listed
        assert matches_name(fleet, environment, target.version.name)
        assert target.version.status == "READY"
        if (slug, environment) in pinned:
            assert target.version.version == str(pinned[slug, environment])
    for key in made.removals:
        by_hand = key[1] in follow and (key in pinned or not follow[key[1]])
        assert not (by_hand and matches_name(fleet, key[1], before[key].model))
    stuck = {finding.model for finding in made.findings}
    after = {key: record for key, record in before.items() if key not in made.removals} | {
        key: release(target.version.name, key[1], target.version.version) for key, target in made.targets.items()
    }
    again = plan(fleet, models, listed, intents(pins), after)
    assert again.removals == ()
    assert {key: target for key, target in again.targets.items() if target.version.name not in stuck} == {
        key: target for key, target in made.targets.items() if target.version.name not in stuck
    }


FOREIGN = st.text(alphabet="абвгдеёжзийклмноп日本語客户流失ßüñé -", min_size=1, max_size=40)


@given(
    name=FOREIGN.filter(lambda name: not name.isascii() and any(map(str.isalnum, name))),
    earlier=st.text(alphabet="abcxyz0-", max_size=20),
    moved=st.integers(1, 2),
)
def test_the_slug_of_a_record_wins_over_a_better_transliteration(name: str, earlier: str, moved: int) -> None:
    """Another version of m2g, or of the library that it asks, wrote the record: its service is never renamed."""
    slug = f"m{earlier}{naming.slugify(name)[-9:]}"
    assume(naming.is_slug(slug) and naming.is_slug_of(slug, name))
    models = [RegisteredModel(name=name, aliases={"champion": str(moved)})]
    listed = [version(name, 1), version(name, 2)]
    before = {(slug, "prod"): release(name, "prod", "1")}
    made = plan(config({"dev": "alias=champion", "prod": "alias=champion"}, {}), models, listed, {}, before)
    assert made.targets.keys() == {(slug, "dev"), (slug, "prod")}
    assert (made.removals, made.findings) == ((), ())


@given(name=FOREIGN)
def test_a_slug_in_m2g_yaml_wins_over_all(name: str) -> None:
    models, listed = [RegisteredModel(name=name, aliases={"champion": "1"})], [version(name, 1)]
    before = {(naming.slugify(name), "prod"): release(name, "prod", "1")}
    made = plan(config({"prod": "alias=champion"}, {"slugs": {name: "mine"}}), models, listed, {}, before)
    assert made.targets.keys() == {("mine", "prod")}
