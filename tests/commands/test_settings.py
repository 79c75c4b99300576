"""Each setting: a value that works is rendered, valid and stays as it is; one that does not is named at its line."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
import ryaml
from msgspec import UNSET

from m2g.core.config_types import Config, ModelIntent
from m2g.core.manifest import Manifest, get_at
from m2g.core.model import Image, Release
from m2g.core.setting_fields import CONTAINERS, MODEL, Mode
from m2g.core.settings import Field, Settings, list_fields
from m2g.rendering.kserve.common import OF_RUNTIMES
from m2g.rendering.model_files import Deployment, render_objects
from m2g.repository import config
from m2g.repository.state import Repository
from m2g.review import Risk
from m2g.review.outside import describe_changes
from m2g.serving.backend import Place
from m2g.serving.decide import choose_with_settings, resolve_serving
from m2g.serving.knative import FIELD_REFERENCE, POD_FEATURES, VOLUME_FEATURES
from tests.support.fleet import release, repository
from tests.support.rule_objects import Given, answers
from tests.support.setting_cases import CASES

_FLAGS = sorted({FIELD_REFERENCE, *POD_FEATURES.values(), *VOLUME_FEATURES.values()})
_IMAGE = Image(name="r.test/models/tea@sha256:" + "5" * 64, profile="mlflow-image")
FIELDS = list_fields()
_GRANTED = ", ".join(f"{name}: {{}}" for name, field in FIELDS.items() if field.row.granted)
_DERIVED = ("profile", "image", "startupSeconds", "autoscaler")
"""What stands at their place is made from them."""


def make_config(field: Field) -> str:
    """The environments that have a setting: the oldest KServe, the newest one, and Knative."""
    row, environments = field.row, []
    if row.mode is not Mode.KNATIVE:
        environments += [
            f"  old: {{namespace: models-old, kserve: {{version: '{row.since}'}}}}\n",
            "  prod: {namespace: models-prod}\n",
        ]
    if row.mode is not Mode.STANDARD and field.name != "scaleMetric":
        features = f"{{mode: Knative, knative: {{features: [{', '.join(_FLAGS)}]}}}}"
        environments.append(f"  kn: {{namespace: models-kn, kserve: {features}}}\n")
    return (
        'version: 1\nregistry: {uri: "http://mlflow.test"}\nclasses: {gpu-a100: {gpus: 1, nodeSelector: {gpu: a100}}}\n'
        f"bounds: {{{_GRANTED}}}\nenvironments:\n{''.join(environments)}"
    )


def build(given: Config, intent: ModelIntent) -> Iterator[tuple[str, Release, list[Manifest]]]:
    """The objects of each environment: wine is served by a runtime, tea by an image of its own."""
    profile = intent.settings.profile
    for slug, image in (("wine", None), ("tea", _IMAGE)):
        if slug == "tea" and (profile not in (UNSET, "mlflow-image") or intent.settings.runtime is not UNSET):
            continue
        known = given
        if slug == "tea":
            known = msgspec.structs.replace(given, defaults=Settings(profile="mlflow-image"))
        for name, environment in given.environments.items():
            record = release(slug, name, image=image)
            records = {(slug, name): record}
            state = Repository(config=known, records=records, intents={slug: intent}, components=frozenset())
            serving, findings = resolve_serving(state, slug, record)
            choice, more = choose_with_settings(state, record, serving)
            assert [*findings, *(finding for finding in more if finding.path != "batch")] == []
            deployment = Deployment(release=record, serving=serving, choice=choice)
            objects = [
                {**item, "metadata": {**metadata, "namespace": environment.namespace}}
                for item in render_objects(known, slug, deployment).values()
                if isinstance(metadata := item["metadata"], dict)
            ]
            yield slug, record, list(objects)


def load(field: Field, text: str) -> tuple[Config, ModelIntent]:
    loaded = config.parse(make_config(field).encode())
    intent, findings = config.parse_intent("models/wine/model.yaml", text.encode())
    assert (loaded.findings, findings) == ((), [])
    assert loaded.config is not None
    assert intent is not None
    return loaded.config, intent


def test_each_setting_has_a_case() -> None:
    assert CASES.keys() == FIELDS.keys()


@pytest.mark.parametrize("name", [name for name in CASES if name != "storageSecretName"])  # Seldon's
def test_a_setting_is_rendered_valid_and_stays_as_it_is(name: str) -> None:
    """A rule names each difference between Git and what KServe's webhook stores."""
    case, field = CASES[name], FIELDS[name]
    beside = f", {case.beside}" if case.beside else ""
    given, intent = load(field, f"settings: {{{name}: {case.good}{beside}}}\n")
    expected = ryaml.loads(case.object or case.good)
    for slug, record, objects in build(given, intent):
        place = given.environments[record.environment]
        kserve = given.kserve if not isinstance(place.kserve, type(given.kserve)) else place.kserve
        around = Given(kserve=kserve.version, knative={"features": list(kserve.knative.features)}, overlay=objects[1:])  # type: ignore[arg-type]  # built objects are plain
        wrong = {(rule, path) for item in objects for rule, path in answers(item, around)}
        assert {one for one in wrong if one[0] not in ("runtime-unsure", "runtime-unknown")} == set(), (
            slug,
            record.environment,
        )
        if field.row.places and name not in _DERIVED:
            where: Place = field.row.places[0]
            if slug == "tea" and name in OF_RUNTIMES:
                continue
            if slug == "tea" and where[: len(MODEL)] == MODEL:
                where = (*CONTAINERS, 0, *where[len(MODEL) :])
            assert contains(get_at(objects[0], *where), expected), record.environment


def contains(found: object, expected: object) -> bool:
    """Whether all that is expected is there. A list of variables may have more."""
    if isinstance(expected, dict) and isinstance(found, list):  # env: a list of variables
        named = {item["name"]: item for item in found}
        return all(
            contains(named[key], one if isinstance(one, dict) else {"value": one}) for key, one in expected.items()
        )
    if isinstance(expected, dict) and isinstance(found, dict):
        return all(key in found and contains(found[key], value) for key, value in expected.items())
    return str(found) == str(expected)


@pytest.mark.parametrize("name", CASES)
def test_a_value_that_does_not_work_is_named_at_its_line(name: str) -> None:
    case = CASES[name]
    text = f"settings:\n\n  {name}: {case.wrong}\n"
    intent, findings = config.parse_intent("models/wine/model.yaml", text.encode())
    place = f"settings.{name}" + (f"{'' if case.path.startswith('[') else '.'}{case.path}" if case.path else "")
    assert intent is None
    assert [(f.rule, f.line, f.path) for f in findings] == [("model-yaml-invalid", 3, place)]


@pytest.mark.parametrize("name", CASES)
def test_a_review_says_what_a_setting_decides(tmp_path: Path, name: str) -> None:
    case, field = CASES[name], FIELDS[name]
    old = repository(tmp_path / "old", make_config(field))
    new = repository(tmp_path / "new", f"{make_config(field)}defaults: {{{name}: {case.good}}}\n")
    concerns = describe_changes(old, new, {"m2g.yaml": False}, ())
    assert concerns
    if name != "batch":  # its fields have words of their own
        assert all(field.row.decides in one.message for one in concerns)
    risk = Risk.CAUTION if field.row.risk == "caution" or name in ("labels", "annotations") else Risk.POWERFUL
    assert {one.risk for one in concerns} == {risk}
