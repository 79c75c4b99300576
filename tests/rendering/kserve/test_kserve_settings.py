"""Settings of KServe, Knative and MLServer: what is written where, and what contradicts."""

from __future__ import annotations

import msgspec
import pytest

from m2g.core.config_types import Kserve
from m2g.core.finding import Finding
from m2g.core.kserve_fields import MLSERVER_VARIABLES
from m2g.core.manifest import Manifest, get_at
from m2g.core.setting_fields import Mode
from m2g.core.settings import Settings
from m2g.rendering.kserve.objects import render_base
from m2g.serving.settings import Layer, resolve_settings

_NEWEST = Kserve()


def render(*settings: str, kserve: Kserve = _NEWEST) -> tuple[Manifest, list[Finding]]:
    """The object from layers of settings."""
    layers = [
        Layer(settings=msgspec.yaml.decode(text, type=Settings), file="m2g.yaml", place="defaults") for text in settings
    ]
    serving, findings = resolve_settings(layers, {}, kserve)
    (service,) = render_base("wine", "Wine", serving).values()
    return service, findings


QUERY = "{type: PodMetric, podmetric: {metric: {backend: opentelemetry, query: q}, target: {type: Value, value: '4'}}}"
CPU = {"type": "Resource", "resource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 60}}}


def test_metrics_take_the_place_of_one_metric_and_a_behavior_keeps_it() -> None:
    service, findings = render("scaleTarget: 60", f"{{autoscaler: keda, autoScaling: {{metrics: [{QUERY}]}}}}")
    assert findings == []
    assert get_at(service, "spec", "predictor", "scaleMetric") is None
    assert get_at(service, "spec", "predictor", "autoScaling", "metrics", 0, "type") == "PodMetric"
    behavior = "{scaleDown: {stabilizationWindowSeconds: 600}}"
    service, findings = render("scaleTarget: 60", f"autoScaling: {{behavior: {behavior}}}")
    assert findings == []
    assert get_at(service, "spec", "predictor", "autoScaling") == {
        "metrics": [CPU],
        "behavior": {"scaleDown": {"stabilizationWindowSeconds": 600}},
    }


def test_knative_s_autoscaler_is_set_by_annotations_which_people_s_own_replace() -> None:
    own = "annotations: {autoscaling.knative.dev/window: 30s}"
    service, findings = render(
        "knativeScaling: {window: 60s, initialScale: 2}",
        f"{{knativeScaling: {{scaleDownDelay: 10m}}, {own}}}",
        kserve=Kserve(mode=Mode.KNATIVE),
    )
    assert findings == []
    annotations = get_at(service, "metadata", "annotations")
    assert isinstance(annotations, dict)
    assert {key.partition("/")[2]: value for key, value in annotations.items() if key.startswith("autoscaling")} == {
        "window": "30s",
        "initial-scale": "2",
        "scale-down-delay": "10m",
    }


def test_mlserver_is_told_by_variables_that_it_has() -> None:
    service, findings = render("mlserver: {parallelWorkers: 0, maxBatchSize: 16, maxBatchTime: 0.1}")
    assert findings == []
    env = get_at(service, "spec", "predictor", "model", "env")
    assert isinstance(env, list)
    assert {item["name"]: item["value"] for item in env} == {
        "MLSERVER_PARALLEL_WORKERS": "0",
        "MLSERVER_MODEL_MAX_BATCH_SIZE": "16",
        "MLSERVER_MODEL_MAX_BATCH_TIME": "0.1",
    }
    assert set(MLSERVER_VARIABLES.values()) == {item["name"] for item in env}


WRONG = {
    "metrics twice": ("{autoscaler: keda, scaleMetric: cpu, autoScaling: {metrics: []}}", "scaleMetric"),
    "a query for an HPA": (f"autoScaling: {{metrics: [{QUERY}]}}", "autoScaling"),
    "metrics that nobody reads": ("{autoscaler: none, autoScaling: {behavior: {}}}", "autoScaling"),
    "half of a batch": ("mlserver: {maxBatchSize: 9}", "mlserver.maxBatchSize"),
    "MLServer that does not serve": ("{profile: mlflow-image, mlserver: {parallelWorkers: 2}}", "mlserver"),
    "a variable twice": (
        "{mlserver: {parallelWorkers: 2}, env: {MLSERVER_PARALLEL_WORKERS: '3'}}",
        "env.MLSERVER_PARALLEL_WORKERS",
    ),
    "Knative's windows in Standard mode": ("knativeScaling: {window: 60s}", "knativeScaling"),
}


@pytest.mark.parametrize("case", WRONG.values(), ids=WRONG)
def test_a_contradiction_is_named_at_its_setting(case: tuple[str, str]) -> None:
    _, findings = render(case[0])
    assert [(f.rule, f.path) for f in findings] == [("setting-contradiction", f"defaults.{case[1]}")]
    assert findings[0].hint


def test_an_older_kserve_is_named_with_the_version_that_has_it() -> None:
    _, (finding,) = render("storageContainerName: large", kserve=Kserve(version="0.19"))
    assert finding.message == "KServe 0.19 does not have storageContainerName; KServe 0.20 has it"
