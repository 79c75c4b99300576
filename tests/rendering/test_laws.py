"""The generator's laws: same input same bytes, names that Kubernetes takes, and what is rendered builds."""

from __future__ import annotations

import copy
import random
import re
import string
import tempfile
from pathlib import Path

import msgspec
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from m2g.core import manifest, naming, process, quantity
from m2g.core.config_types import Config, Kserve, ModelIntent
from m2g.core.errors import InputError
from m2g.core.model import Flavor, Mlmodel, Release, Run
from m2g.core.setting_fields import Mode, Resources
from m2g.core.settings import Settings
from m2g.core.stamp import StampState, check_stamp, stamp
from m2g.rendering.gitops.kustomization import make_patch
from m2g.rendering.kserve import inference_service
from m2g.rendering.model import render_model, render_models
from m2g.repository.state import Repository
from m2g.serving.kserve import KSERVE
from m2g.serving.spec import Serving, find_contradictions
from m2g.validation import rules
from m2g.validation.schemas import Catalogue
from tests.support.fleet import CONFIG, release

_CONFIG = msgspec.yaml.decode(CONFIG, type=Config)
_CATALOGUE = Catalogue()
_NAMES = st.text(min_size=1, max_size=300).filter(lambda name: "/" not in name and ":" not in name)


@given(_NAMES)
def test_a_slug_is_a_dns_1035_label_whatever_the_name(name: str) -> None:
    made = naming.slugify(name)
    assert re.fullmatch(r"[a-z]([-a-z0-9]*[a-z0-9])?", made)
    assert len(made) <= naming.SLUG_MAX
    assert naming.slugify(made) == made


def test_slugs_that_people_expect() -> None:
    assert naming.slugify("wine") == "wine"
    assert naming.slugify("kustomization").startswith("kustomization-")  # to Flux an index
    assert naming.slugify("Wine Quality") == naming.slugify("wine_quality") == "wine-quality"
    long = [naming.slugify("a" * 50 + tail) for tail in "xy"]
    assert len(set(long)) == 2
    assert naming.slugify("модель") != naming.slugify("моделъ")
    assert naming.slugify("модель оттока").startswith("model-ottoka-")
    assert naming.slugify("客户流失").startswith("kehuliushi-")
    assert naming.slugify("Größe") == "grosse-" + naming.slugify("Größe")[-8:]
    assert naming.slugify("fraud 😀") == "fraud"  # as before there were transliterations: no letter is lost


@given(_NAMES, st.text(alphabet="abcxyz-", max_size=20))
def test_a_slug_of_another_transliteration_is_known_as_the_models_own(name: str, other: str) -> None:
    made = naming.slugify(name)
    assert naming.is_slug_of(made, name)
    assume(not name.isascii() and made[-9:-8] == "-")
    earlier = f"m{other}{made[-9:]}"
    assert naming.is_slug_of(earlier, name) is naming.is_slug(earlier)
    assert not naming.is_slug_of(earlier, f"{name}x")


@given(st.text(alphabet=string.printable, max_size=400), st.sampled_from(["a.yaml", "a.md"]))
def test_a_stamp_is_known_again_and_an_edit_is_seen(text: str, path: str) -> None:
    data = stamp(path, text.replace("\r", ""))
    if check_stamp(data) is StampState.CONFLICTED:
        return
    assert check_stamp(data) is StampState.OURS
    assert check_stamp(data + b"x") is StampState.EDITED


_REGISTRY_TEXT = st.text(max_size=40).filter(lambda text: not naming.find_unprintable(text))


@given(model=_REGISTRY_TEXT, run=_REGISTRY_TEXT, follows=_REGISTRY_TEXT, seed=st.randoms(use_true_random=False))
def test_the_same_bytes_from_shuffled_input(model: str, run: str, follows: str, seed: random.Random) -> None:
    records = {
        (slug, env): release(model, env, run=Run(id=run), follows=follows)
        for slug in ("a", "b", "c")
        for env in ("dev", "prod")
    }
    repository = Repository(config=_CONFIG, records=records, intents={}, components=frozenset())
    expected = render_models(repository, records)
    assert expected.findings == ()
    shuffled = list(records.items())
    seed.shuffle(shuffled)
    assert render_models(repository, dict(shuffled)).files == expected.files


_QUANTITY = st.sampled_from(["100m", "0.5", "1", "2", "512Mi", "2048Mi", "4Gi", "1e3", "3G"])
_TEXT = st.text(alphabet=string.ascii_letters + string.digits, min_size=1, max_size=20)
# kustomize reads a key such as "0" or "true" in a patch as no text, and fails; nobody names an annotation so.
_KEY = _TEXT.filter(lambda text: text[:1].isalpha() and text.lower() not in ("true", "false", "null"))
_SETTINGS = st.builds(
    Settings,
    min_replicas=st.integers(0, 3),
    max_replicas=st.integers(1, 9),
    autoscaler=st.sampled_from(["hpa", "keda", "external", "none"]),
    scale_metric=st.sampled_from(["cpu", "memory", "concurrency", "rps"]),
    scale_target=st.integers(1, 120),
    image=st.sampled_from([msgspec.UNSET, "ghcr.io/acme/wine@sha256:" + "0" * 64]),
    image_server=st.sampled_from(["mlflow", "mlserver"]),
    profile=st.sampled_from(["auto", "mlserver", "mlserver-image", "mlflow-image", "native"]),
    timeout_seconds=st.sampled_from([msgspec.UNSET, 30]),
    resources=st.builds(
        Resources,
        requests=st.dictionaries(st.sampled_from(["cpu", "memory"]), _QUANTITY),
        limits=st.dictionaries(st.sampled_from(["cpu", "memory", "nvidia.com/gpu"]), _QUANTITY),
    ),
    env=st.dictionaries(_TEXT, _REGISTRY_TEXT, max_size=3),
    labels=st.dictionaries(_KEY, _TEXT, max_size=3),
    annotations=st.dictionaries(_KEY, _REGISTRY_TEXT, max_size=3),
    visibility=st.sampled_from(["public", "cluster-local"]),
)


@settings(max_examples=40)
@given(
    given_settings=st.lists(_SETTINGS, min_size=3, max_size=3),
    version=st.builds(Kserve, mode=st.sampled_from(Mode), version=st.sampled_from(["0.15", "0.16", "0.20", "0.21"])),
    name=_REGISTRY_TEXT.filter(bool),
)
def test_what_is_rendered_builds_to_the_object_that_was_meant(
    kustomize: Path, given_settings: list[Settings], version: Kserve, name: str
) -> None:
    defaults, environment, own = given_settings
    config = msgspec.structs.replace(
        _CONFIG,
        kserve=version,
        defaults=defaults,
        environments={"prod": msgspec.structs.replace(_CONFIG.environments["prod"], settings=environment)},
    )
    saved = Mlmodel(sha256="0" * 64, flavors=(Flavor(name="sklearn", version="1.5.2", file="model.pkl"),))
    record: Release = release(name, mlmodel=saved)
    repository = Repository(
        config=config,
        records={("wine", "prod"): record},
        intents={"wine": ModelIntent(settings=own)},
        components=frozenset(),
    )
    made = render_model(repository, "wine", {"prod": record})
    files, findings = made.files, made.findings
    if findings:
        assert files == {}
        return
    with tempfile.TemporaryDirectory() as folder:
        for path, content in files.items():
            target = Path(folder, path)
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(content)
        built = process.run([str(kustomize), "build", f"{folder}/models/wine/overlays/prod"])
    assert built.code == 0, built.stderr
    objects = [item for item in manifest.read_all(built.stdout.decode()) if isinstance(item, dict)]
    (item,) = (found for found in objects if found["kind"] == "InferenceService")
    assert manifest.get_at(item, "metadata", "namespace") == "models-prod"
    assert manifest.get_at(item, "metadata", "annotations", "m2g.dev/model-name") == name
    word = inference_service.name_mode(config.kserve)
    assert manifest.get_at(item, "metadata", "annotations", "serving.kserve.io/deploymentMode") == word
    limits = manifest.get_at(item, "spec", "predictor", "model", "resources", "limits") or manifest.get_at(
        item, "spec", "predictor", "containers", 0, "resources", "limits"
    )
    assert isinstance(limits, dict)
    assert all(quantity.canonicalize(text) == text for text in limits.values())
    for found in objects:
        assert _CATALOGUE.find_violations(found, kserve=version.version) == []
        assert rules.check(rules.CheckedObject(manifest=found, kserve=version.version, overlay=tuple(objects))) == []


def _apply(document: object, operations: list[object]) -> object:
    """RFC 6902 on plain data, as the judge of our own patch."""
    document = copy.deepcopy(document)
    for operation in operations:
        assert isinstance(operation, dict)
        *parents, last = [p.replace("~1", "/").replace("~0", "~") for p in operation["path"].split("/")[1:]]
        node = document
        for part in parents:
            assert isinstance(node, dict)
            node = node[part]
        assert isinstance(node, dict)
        assert (operation["op"] == "add") == (last not in node)
        if operation["op"] == "remove":
            del node[last]
        else:
            node[last] = operation["value"]
    return document


_VALUES = st.recursive(
    st.none() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=4),
    max_leaves=12,
)
_OBJECTS = st.dictionaries(st.text(max_size=4), _VALUES, max_size=5)


@given(_OBJECTS, _OBJECTS)
def test_a_patch_makes_the_second_of_the_first(before: dict[str, object], after: dict[str, object]) -> None:
    operations = make_patch(before, after)  # type: ignore[arg-type] # hypothesis makes exactly this shape
    assert _apply(before, list(operations)) == after
    assert make_patch(after, after) == []  # type: ignore[arg-type] # as above


@given(
    st.sampled_from(["", "+"]), st.decimals(0, 10**12, places=3), st.sampled_from(["", "m", "k", "Ki", "Mi", "Gi", "G"])
)
def test_a_canonical_quantity_is_the_same_amount_and_stays(sign: str, number: object, suffix: str) -> None:
    text = f"{sign}{number}{suffix}"
    made = quantity.canonicalize(text)
    assert quantity.canonicalize(made) == made
    assert 0 <= quantity.parse(made) - quantity.parse(text) < quantity.parse("1m")


def test_quantities_as_kubernetes_spells_them() -> None:
    pairs = {
        "1000m": "1",
        "0.5": "500m",
        "2048Mi": "2Gi",
        "1.5Gi": "1536Mi",
        "1500m": "1500m",
        "1000k": "1M",
        "0": "0",
        "0.0001": "1m",
        "1024": "1024",
        "2.0": "2",
    }
    assert {text: quantity.canonicalize(text) for text in pairs} == pairs


@pytest.mark.parametrize("text", ["", "1 Gi", "Gi", "1g", "-1", "1e999999999", "٣", "1" * 99, "NaN"])
def test_what_is_no_quantity_is_refused(text: str) -> None:
    with pytest.raises(InputError) as caught:
        quantity.canonicalize(text)
    assert caught.value.hint


def test_contradictions_are_named_by_their_setting() -> None:
    standard, knative = Kserve(mode=Mode.STANDARD), Kserve(mode=Mode.KNATIVE)
    cases = {
        "minReplicas": [
            Serving(kserve=standard, min_replicas=0),
            Serving(kserve=standard, min_replicas=5, max_replicas=2),
        ],
        "scaleMetric": [
            Serving(kserve=standard, scale_metric="rps"),
            Serving(kserve=knative, scale_metric="cpu"),
        ],
        "scaleTarget": [Serving(kserve=standard, scale_target=101, scale_metric="memory")],
        "containerConcurrency": [Serving(kserve=standard, container_concurrency=5)],
        "deploymentStrategy": [Serving(kserve=knative, scale_metric="rps", deployment_strategy="Recreate")],
        "resources.requests.cpu": [Serving(kserve=standard, requests={"cpu": "2"}, limits={"cpu": "1500m"})],
        "resources.gpu": [Serving(kserve=standard, limits={"gpu": "1"})],
        "env.PYTHONPATH": [Serving(kserve=standard, env={"PYTHONPATH": "/x"})],
        "env.EMPTY": [Serving(kserve=Kserve(version="0.19"), env={"EMPTY": ""})],
        "labels.a": [Serving(kserve=standard, labels={"a": "-x-"})],
        "annotations.m2g.dev/run-id": [Serving(kserve=standard, annotations={"m2g.dev/run-id": "x"})],
    }
    for path, servings in cases.items():
        for serving in servings:
            found = [*KSERVE.contradictions(serving), *find_contradictions(serving)]
            assert [finding.path for finding in found] == [path]
            assert all(finding.hint for finding in found)
    assert list(find_contradictions(Serving(kserve=standard, env={"EMPTY": ""}))) == []
    assert list(find_contradictions(Serving(kserve=knative, min_replicas=0, scale_metric="rps"))) == []
