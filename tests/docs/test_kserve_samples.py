"""Each form of KServe's own samples: the settings give an object that has its fields and meets all rules."""

from __future__ import annotations

import re

import msgspec
import pytest
from docs._generate.samples import Sample, read

from m2g.core.config_types import Bound, Config, Environment, Kserve, ModelIntent
from m2g.core.manifest import Manifest
from m2g.core.model import Flavor, Image, Mlmodel
from m2g.core.setting_fields import Mode
from m2g.core.settings import list_fields
from m2g.core.yaml_writer import dump
from m2g.rendering.model_files import Deployment, find_problems, render_objects
from m2g.repository import config
from m2g.repository.state import Repository
from m2g.serving.decide import choose_with_settings, resolve_serving
from m2g.serving.knative import POD_FEATURES
from tests.support.fleet import release
from tests.support.rule_objects import Given, answers

_IMAGE = Image(name="r.test/models/wine@sha256:" + "5" * 64, profile="mlflow-image")
_BOOSTER = Mlmodel(
    sha256="0" * 64,
    flavors=(
        Flavor(name="python_function"),
        Flavor(name="xgboost", version="3.2.0", file="model.ubj", model_class="xgboost.core.Booster"),
    ),
    mlflow_version="2.19.0",
    python_version="3.10.12",
    requirements=("mlflow==2.19.0", "xgboost==3.2.0"),
)
_BOUNDS: dict[str, dict[str, object]] = {name: {} for name, field in list_fields().items() if field.row.granted}
SAMPLES = read()
SAID = [one for one in SAMPLES if not one.cannot]
IDS = [f"{number}-{one.samples[0]}" for number, one in enumerate(SAID)]
VERSIONS = ("0.15", "0.21")


def make_state(sample: Sample, version: str) -> Repository:
    profile = "mlflow-image" if sample.image else sample.profile
    settings = {**sample.settings, "profile": profile}
    text = dump({"settings": settings}).encode()  # type: ignore[dict-item]  # YAML has plain data
    intent, findings = config.parse_intent("models/wine/model.yaml", text)
    assert findings == []
    assert isinstance(intent, ModelIntent)
    kserve = msgspec.convert(
        {"version": version, "mode": Mode(sample.mode), "knative": {"features": sorted(set(POD_FEATURES.values()))}},
        Kserve,
    )
    given = msgspec.structs.replace(
        Config(version=1, environments={"prod": Environment(namespace="models-prod", kserve=kserve)}),
        bounds=msgspec.convert(_BOUNDS, dict[str, Bound]),
    )
    record = release("wine", "prod", image=_IMAGE if sample.image else None)
    if profile == "native":
        record = msgspec.structs.replace(record, mlmodel=_BOOSTER)
    return Repository(
        config=given, records={("wine", "prod"): record}, intents={"wine": intent}, components=frozenset()
    )


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("sample", SAID, ids=IDS)
def test_a_sample_can_be_said(sample: Sample, version: str) -> None:
    state = make_state(sample, version)
    record = state.records["wine", "prod"]
    serving, findings = resolve_serving(state, "wine", record)
    choice, more = choose_with_settings(state, record, serving)
    deployment = Deployment(release=record, serving=serving, choice=choice)
    assert [*findings, *more, *find_problems("wine", deployment)] == []
    objects: list[Manifest] = [
        {**item, "metadata": {**metadata, "namespace": "models-prod"}}
        for item in render_objects(state.config, "wine", deployment).values()
        if isinstance(metadata := item["metadata"], dict)
    ]
    features = list(serving.kserve.knative.features)
    around = Given(kserve=serving.kserve.version, knative={"features": features}, overlay=[])
    wrong = {one for item in objects for one in answers(item, around)}
    assert {one for one in wrong if one[0] not in ("runtime-unsure", "runtime-unknown")} == set()
    for place in sample.has or sample.shape:
        assert find(objects[0], place), place


@pytest.mark.parametrize("sample", SAID, ids=IDS)
def test_no_sample_needs_a_patch(sample: Sample) -> None:
    assert "patch" not in sample.settings


def test_each_form_is_there_once() -> None:
    forms = [(one.shape, one.image, one.cannot) for one in SAMPLES]
    assert len(forms) == len(set(forms))
    assert len({name for one in SAMPLES for name in one.samples}) >= 90


def find(item: Manifest, place: str) -> bool:
    """Whether a field is there. `a.b[].c`, `a[key]`; the keys of maps that people choose may have dots."""
    node: object = item if place.startswith("metadata") else item["spec"]
    match = re.fullmatch(r"metadata\.(annotations|labels)\[(.+)\]", place)
    steps = ["metadata", match[1], match[2]] if match else split(place)
    for step in steps:
        node = node[0] if isinstance(node, list) else node
        if not isinstance(node, dict) or step not in node:
            return False
        node = node[step]
    return True


def split(place: str) -> list[str]:
    """The keys of a place: `limits`, `requests`, `nodeSelector` and `annotations` have keys with dots."""
    head, found, rest = re.fullmatch(r"(.*?)(?:(limits|requests|nodeSelector|annotations)\.(.*))?", place).groups()  # type: ignore[union-attr]  # it matches any text
    return [step for step in head.replace("[]", "").split(".") if step] + ([found, rest] if found else [])
