"""Layers, classes and contradictions of what pods have."""

from __future__ import annotations

import pytest

from m2g.core.finding import Finding
from m2g.repository import config
from m2g.serving.settings import collect_layers, resolve_settings
from m2g.serving.spec import Serving
from tests.support.fleet import CONFIG, release

_CLASSES = "classes: {gpu-a100: {gpus: 1, nodeSelector: {gpu: a100}}, large: {resources: {limits: {memory: 64Gi}}}}\n"
_GRANTED = ("volumes", "volumeMounts", "envFrom", "livenessProbe", "readinessProbe", "runtimeClassName")
_BOUNDS = f"bounds: {{{', '.join(f'{name}: {{}}' for name in _GRANTED)}}}\n"


def settled(model: str, extra: str = "") -> tuple[Serving, list[Finding]]:
    loaded = config.parse(f"{CONFIG}{_BOUNDS}{_CLASSES}{extra}".encode())
    intent, findings = config.parse_intent("models/wine/model.yaml", model.encode())
    assert loaded.config is not None
    assert intent is not None
    layers, more = collect_layers(loaded.config, "wine", "prod", intent, release())
    environment = loaded.config.environments["prod"]
    kserve = (
        loaded.config.kserve if not isinstance(environment.kserve, type(loaded.config.kserve)) else environment.kserve
    )
    serving, wrong = resolve_settings(layers, loaded.config.bounds, kserve)
    return serving, [*loaded.findings, *findings, *more, *wrong]


def test_a_class_is_below_the_model_and_above_the_environment() -> None:
    serving, findings = settled(
        "settings: {class: gpu-a100, nodeSelector: {zone: a}}\n", "defaults: {gpus: 4, nodeSelector: {gpu: none}}\n"
    )
    assert findings == []
    assert serving.node_selector == {"gpu": "a100", "zone": "a"}
    assert serving.limits["nvidia.com/gpu"] == serving.requests["nvidia.com/gpu"] == "1"


def test_the_last_layer_chooses_the_class_and_zero_gpus_are_none() -> None:
    serving, findings = settled("settings: {class: gpu-a100}\nenvironments: {prod: {settings: {class: large}}}\n")
    assert findings == []
    assert (serving.gpus, serving.limits["memory"]) == (0, "64Gi")
    serving, findings = settled("settings: {class: gpu-a100, gpus: 0}\n")
    assert findings == []
    assert "nvidia.com/gpu" not in serving.limits


def test_named_items_are_merged_and_an_empty_list_removes() -> None:
    """Like the lists of Kubernetes that have a merge key."""
    volume = "volumes: [{name: a, emptyDir: {}}, {name: b, emptyDir: {}}]"
    serving, findings = settled(
        "settings: {volumes: [{name: b, configMap: {name: c}}], tolerations: []}\n",
        f"defaults: {{{volume}, tolerations: [{{operator: Exists}}]}}\n",
    )
    assert findings == []
    assert serving.given == {
        "volumes": [{"name": "a", "emptyDir": {}}, {"name": "b", "configMap": {"name": "c"}}],
        "tolerations": [],
    }


_MOUNT = "volumeMounts: [{name: c, mountPath: /c}]"
WRONG = {
    "a mount without its volume": (_MOUNT, "volumeMounts", "there is no volume 'c'"),
    "a mount over the model": (
        "volumes: [{name: c, emptyDir: {}}], volumeMounts: [{name: c, mountPath: /mnt/models/x}]",
        "volumeMounts",
        "/mnt/models/x is where KServe puts the model",
    ),
    "a volume with two sources": (
        "volumes: [{name: c, emptyDir: {}, secret: {secretName: s}}]",
        "volumes",
        "the volume 'c' has emptyDir and secret",
    ),
    "a volume without a source": ("volumes: [{name: c}]", "volumes", "the volume 'c' has no source"),
    "two sources of variables": (
        "envFrom: [{secretRef: {name: a}, configMapRef: {name: b}}]",
        "envFrom",
        "an entry names no source, or two",
    ),
    "a variable with two sources": (
        "env: {A: {valueFrom: {secretKeyRef: {name: a, key: b}, configMapKeyRef: {name: a, key: b}}}}",
        "env.A",
        "valueFrom names no source, or two",
    ),
    "a probe of nothing": ("livenessProbe: {periodSeconds: 3}", "livenessProbe", "the probe checks nothing"),
    "a probe of two things": (
        "readinessProbe: {exec: {command: [a]}, tcpSocket: {port: 1}}",
        "readinessProbe",
        "the probe has exec and tcpSocket",
    ),
    "GPUs twice": (
        "gpus: 1, resources: {limits: {nvidia.com/gpu: 1}}",
        "resources.limits.nvidia.com/gpu",
        "gpus and resources both set nvidia.com/gpu",
    ),
    "a GPU without a limit": (
        "resources: {requests: {nvidia.com/gpu: 1}}",
        "resources.requests.nvidia.com/gpu",
        "the request of nvidia.com/gpu is 1, but nvidia.com/gpu has no limit",
    ),
    "a class that is none": ("class: gpu-h100", "class", "there is no class 'gpu-h100'"),
}


@pytest.mark.parametrize("case", WRONG.values(), ids=WRONG)
def test_a_contradiction_is_named_at_its_setting(case: tuple[str, str, str]) -> None:
    settings, path, message = case
    _, findings = settled(f"settings: {{{settings}}}\n")
    assert [(f.rule, f.path, f.message) for f in findings] == [("setting-contradiction", f"settings.{path}", message)]
    assert findings[0].hint


@pytest.mark.parametrize(
    ("settings", "mode", "words"),
    [
        ("terminationGracePeriodSeconds: 60", "Knative", "works only in Standard mode"),
        ("containerConcurrency: 3", "Standard", "works only in Knative mode"),
        ("tolerations: [{operator: Exists}]", "Knative", "feature flag kubernetes.podspec-tolerations"),
        ("runtimeClassName: gvisor", "Knative", "feature flag kubernetes.podspec-runtimeclassname"),
    ],
)
def test_what_the_mode_does_not_have_is_named(settings: str, mode: str, words: str) -> None:
    _, findings = settled(f"settings: {{{settings}}}\n", f"kserve: {{mode: {mode}}}\ndefaults: {{scaleTarget: 9}}\n")
    assert [finding.path for finding in findings] == [f"settings.{settings.partition(':')[0]}"]
    assert words in findings[0].message
    assert findings[0].hint


def test_a_class_chooses_no_class_and_a_bound_compares_one_value() -> None:
    loaded = config.parse(f"{CONFIG}classes: {{a: {{class: b}}}}\nbounds: {{volumes: {{max: 1}}}}\n".encode())
    assert [(f.line, f.path) for f in loaded.findings] == [(8, "bounds.volumes"), (7, "classes.a.class")]


@pytest.mark.parametrize("backend", ["seldon-core-1", "seldon-core-2"])
def test_another_backend_refuses_what_it_does_not_write(backend: str) -> None:
    settings = "volumes: [{name: c, emptyDir: {}}], env: {A: {valueFrom: {secretKeyRef: {name: a, key: b}}}}"
    _, findings = settled(f"settings: {{backend: {backend}, {settings}, tolerations: [{{operator: Exists}}]}}\n")
    assert {finding.path for finding in findings} == {
        f"settings.{name}" for name in ("volumes", "env.A", "tolerations")
    }
