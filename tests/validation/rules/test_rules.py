"""Each rule on an object that it must pass and on objects with one fault that it must name."""

from __future__ import annotations

import copy
from collections.abc import Mapping

import pytest

from m2g.core.field_path import format_path, parse_path
from m2g.core.manifest import get_at
from m2g.core.setting_fields import KserveVersion
from m2g.validation import rules
from m2g.validation.rules import COMPONENT, CheckedObject
from tests.support.rule_objects import service

REMOVED = object()
ANNOTATIONS = "metadata.annotations"
MODE = f'{ANNOTATIONS}["serving.kserve.io/deploymentMode"]'
CLASS = f'{ANNOTATIONS}["serving.kserve.io/autoscalerClass"]'
PREDICTOR = "spec.predictor"
MODEL = f"{PREDICTOR}.model"
METRICS = f"{PREDICTOR}.autoScaling"


def changed(changes: Mapping[str, object]) -> dict[str, object]:
    """The good object with values set at paths; REMOVED removes."""
    item: dict[str, object] = copy.deepcopy(service())
    for path, value in changes.items():
        *head, last = parse_path(path)
        node: object = item
        for step in head:
            if get_at(node, step) is None and isinstance(node, dict):
                node[step] = {}
            node = get_at(node, step)
        assert isinstance(node, dict)
        if value is REMOVED:
            del node[last]
        else:
            node[last] = value
    return item


def found(item: dict[str, object], kserve: KserveVersion = "0.21") -> set[tuple[str, str]]:
    return {(finding.rule, finding.path) for finding in rules.check(CheckedObject(manifest=item, kserve=kserve))}


KNATIVE: dict[str, object] = {
    MODE: "Knative",
    CLASS: REMOVED,
    f"{PREDICTOR}.deploymentStrategy": REMOVED,
    f"{PREDICTOR}.minReplicas": 0,
    f"{PREDICTOR}.scaleMetric": "concurrency",
    f"{PREDICTOR}.scaleTarget": 10,
}
RESOURCES = {side: {"cpu": "1", "memory": "2Gi"} for side in ("requests", "limits")}
CONTAINER: dict[str, object] = {
    MODEL: REMOVED,
    f"{PREDICTOR}.containers": [
        {"name": "kserve-container", "image": "example.com/wine@sha256:0", "resources": RESOURCES}
    ],
}


def keda(metric: dict[str, object]) -> dict[str, object]:
    return {
        CLASS: "keda",
        f"{PREDICTOR}.scaleMetric": REMOVED,
        f"{PREDICTOR}.scaleTarget": REMOVED,
        METRICS: {"metrics": [metric]},
    }


def resource(name: str, **target: object) -> dict[str, object]:
    return {"type": "Resource", "resource": {"name": name, "target": target}}


RIGHT: dict[str, Mapping[str, object]] = {
    "as m2g writes it": {},
    "knative": KNATIVE,
    "knative with rps": KNATIVE | {f"{PREDICTOR}.scaleMetric": "rps"},
    "knative with an hpa": KNATIVE
    | {
        f'{ANNOTATIONS}["autoscaling.knative.dev/class"]': "hpa.autoscaling.knative.dev",
        f"{PREDICTOR}.scaleMetric": "cpu",
    },
    "a container": CONTAINER,
    "a transformer beside the model": {f"{PREDICTOR}.containers": [{"name": "transformer-container", "resources": {}}]},
    "keda by cpu": keda(resource("cpu", type="Utilization", averageUtilization=60)),
    "keda to zero": keda(resource("cpu", type="Utilization", averageUtilization=60)) | {f"{PREDICTOR}.minReplicas": 0},
    "keda by memory": keda(resource("memory", type="AverageValue", averageValue="1Gi")),
    "keda by a query": keda(
        {
            "type": "External",
            "external": {"metric": {"backend": "prometheus", "query": "up"}, "target": {"type": "Value", "value": "5"}},
        }
    ),
    "no upper bound": {f"{PREDICTOR}.maxReplicas": 0},
    "fixed replicas": {CLASS: "none", f"{PREDICTOR}.scaleMetric": "anything"},
    "gs without a slash": {f"{MODEL}.storageUri": "gs://models/wine"},
    "azure": {f"{MODEL}.storageUri": "https://acct.blob.core.windows.net/models/wine/"},
    "a pvc": {f"{MODEL}.storageUri": "pvc://claim/wine"},
    "oci": {f"{MODEL}.storageUri": "oci://example.com/wine@sha256:0"},
    "another format's file": {
        f"{MODEL}.modelFormat.name": "onnx",
        f"{MODEL}.runtime": REMOVED,
        f"{MODEL}.storageUri": "s3://models/model.onnx",
    },
    "a storage container of the cluster's": {
        f"{PREDICTOR}.storageContainerName": "mine",
        f"{MODEL}.storageUri": "mine://x",
    },
    "a served name of its own": CONTAINER
    | {
        f"{PREDICTOR}.containers": [
            {
                "name": "kserve-container",
                "resources": RESOURCES,
                "env": [{"name": "MLSERVER_MODEL_NAME", "value": "other"}],
                "readinessProbe": {"httpGet": {"path": "/v2/models/other/ready", "port": 8080}},
            }
        ]
    },
    "a longest name": {
        "metadata.name": "a" * 20,
        "metadata.namespace": "b" * 32,
        **dict.fromkeys(
            (f"{MODEL}.readinessProbe.httpGet.path", f"{MODEL}.startupProbe.httpGet.path"),
            f"/v2/models/{'a' * 20}/ready",
        ),
    },
}

WRONG: list[tuple[str, Mapping[str, object], str]] = [
    ("name-budget", {"metadata.name": "a" * 21, "metadata.namespace": "b" * 32}, "metadata.name"),
    (
        "name-budget",
        {"spec.canary": [{"predictor": {"name": "c" * 50, "model": {"modelFormat": {"name": "onnx"}}}}]},
        "spec.canary[0].predictor.name",
    ),
    ("deployment-mode", {MODE: REMOVED}, MODE),
    ("deployment-mode", {MODE: "RawDeployment"}, MODE),
    ("deployment-mode", {MODE: "Serverless"}, MODE),
    ("deployment-mode", {MODE: "ModelMesh"}, MODE),
    ("deployment-mode", {MODE: "standard"}, MODE),
    ("autoscaler-class", {CLASS: REMOVED}, CLASS),
    ("autoscaler-class", {CLASS: "HPA"}, CLASS),
    ("keda-autoscaling", {CLASS: "keda", f"{PREDICTOR}.scaleMetric": REMOVED}, CLASS),
    ("scale-metric", {f"{PREDICTOR}.scaleMetric": "rps"}, f"{PREDICTOR}.scaleMetric"),
    ("scale-metric", {f"{PREDICTOR}.scaleTarget": 0}, f"{PREDICTOR}.scaleTarget"),
    (
        "scale-metric",
        {f"{PREDICTOR}.scaleTarget": 101, f"{PREDICTOR}.scaleMetric": "memory"},
        f"{PREDICTOR}.scaleTarget",
    ),
    ("scale-metric", {METRICS: {"metrics": [{"type": "External"}]}}, f"{METRICS}.metrics[0].type"),
    ("scale-metric", {METRICS: {"metrics": [{"type": "Resource"}]}}, f"{METRICS}.metrics[0].resource"),
    (
        "scale-metric",
        keda(resource("cpu", type="Utilization", averageUtilization=60)) | {f"{PREDICTOR}.scaleMetric": "cpu"},
        f"{PREDICTOR}.scaleMetric",
    ),
    (
        "scale-metric",
        keda(resource("cpu", type="AverageValue", averageValue="1")),
        f"{METRICS}.metrics[0].resource.target.type",
    ),
    (
        "scale-metric",
        keda(resource("cpu", type="Utilization", averageUtilization=101)),
        f"{METRICS}.metrics[0].resource.target.averageUtilization",
    ),
    (
        "scale-metric",
        keda(resource("cpu", type="Utilization")),
        f"{METRICS}.metrics[0].resource.target.averageUtilization",
    ),
    (
        "scale-metric",
        keda(resource("memory", type="AverageValue", averageValue="1Ki")),
        f"{METRICS}.metrics[0].resource.target.averageValue",
    ),
    ("scale-metric", keda({"type": "External", "external": {}}), f"{METRICS}.metrics[0].external"),
    ("scale-metric", keda({"type": "External", "external": {"a": 1}}), f"{METRICS}.metrics[0].external.metric.query"),
    (
        "scale-metric",
        keda({"type": "PodMetric", "podmetric": {"a": 1}}),
        f"{METRICS}.metrics[0].podmetric.target.value",
    ),
    ("scale-metric", KNATIVE | {f"{PREDICTOR}.scaleMetric": "cpu"}, f"{PREDICTOR}.scaleMetric"),
    (
        "scale-metric",
        KNATIVE | {f"{PREDICTOR}.scaleMetric": "rps", f"{PREDICTOR}.scaleTarget": 0},
        f"{PREDICTOR}.scaleTarget",
    ),
    (
        "deployment-strategy",
        KNATIVE | {f"{PREDICTOR}.deploymentStrategy": {"type": "Recreate"}},
        f"{PREDICTOR}.deploymentStrategy",
    ),
    ("replicas-range", {f"{PREDICTOR}.minReplicas": 4}, f"{PREDICTOR}.maxReplicas"),
    ("replicas-range", {"spec.transformer": {"minReplicas": 2, "maxReplicas": 1}}, "spec.transformer.maxReplicas"),
    ("scale-to-zero", {f"{PREDICTOR}.minReplicas": 0}, f"{PREDICTOR}.minReplicas"),
    ("one-implementation", {MODEL: REMOVED}, PREDICTOR),
    ("one-implementation", {f"{PREDICTOR}.containers": [{"name": "kserve-container"}]}, PREDICTOR),
    ("legacy-framework", {MODEL: REMOVED, f"{PREDICTOR}.sklearn": {"storageUri": "gs://m"}}, f"{PREDICTOR}.sklearn"),
    ("one-implementation", {f"{PREDICTOR}.sklearn": {}}, PREDICTOR),
    ("one-implementation", {"spec.canary": [{"trafficPercent": 5, "predictor": {}}]}, "spec.canary[0].predictor"),
    ("model-name-empty", {f"{MODEL}.name": "kserve-container"}, f"{MODEL}.name"),
    ("mlflow-protocol", {f"{MODEL}.protocolVersion": REMOVED, f"{MODEL}.runtime": REMOVED}, f"{MODEL}.protocolVersion"),
    ("mlflow-protocol", {f"{MODEL}.protocolVersion": "v1"}, f"{MODEL}.protocolVersion"),
    (
        "probe-model",
        {f"{MODEL}.readinessProbe.httpGet.path": "/v2/models/beer/ready"},
        f"{MODEL}.readinessProbe.httpGet.path",
    ),
    *(
        ("storage-uri", {f"{MODEL}.storageUri": uri}, f"{MODEL}.storageUri")
        for uri in (
            "s3://models/wine/7",
            "s3:/models/wine/7/",
            "https://acct.blob.core.windows.net/models/wine",
            "models:/wine/7",
            "runs:/abc/model",
            "mlflow-artifacts:/1/models/m-1/artifacts",
            "dbfs:/databricks/x",
            "file:///mlruns/1",
            "wasbs://c@acct.blob.core.windows.net/p",
            "abfss://c@acct.dfs.core.windows.net/p",
            "s3a://models/wine/",
            "S3://models/wine/",
            "/mnt/models",
            "${BUCKET}/wine",
        )
    ),
    ("storage-uri", {f"{PREDICTOR}.storageUris": [{"uri": "ftp://x/y"}]}, f"{PREDICTOR}.storageUris[0].uri"),
]


@pytest.mark.parametrize("changes", RIGHT.values(), ids=RIGHT)
def test_right_objects_pass_every_rule(changes: Mapping[str, object]) -> None:
    assert found(changed(changes)) == set()


@pytest.mark.parametrize(("rule", "changes", "path"), WRONG, ids=[f"{w[0]}-{n}" for n, w in enumerate(WRONG)])
def test_a_fault_is_named_with_its_place(rule: str, changes: Mapping[str, object], path: str) -> None:
    assert (rule, path) in found(changed(changes))


def test_the_old_words_are_right_for_kserve_015() -> None:
    raw = {MODE: "RawDeployment"}
    assert found(changed(raw), "0.15") == set()
    assert found(changed(raw | {CLASS: REMOVED}), "0.15") == {("autoscaler-class", CLASS)}
    assert ("deployment-mode", MODE) in found(changed({}), "0.15")
    (finding,) = rules.check(CheckedObject(manifest=changed(raw), kserve="0.16"))[:1]
    assert finding.hint == "set it to Standard"


@pytest.mark.parametrize("item", [{}, {"kind": "InferenceService"}, {"kind": COMPONENT}, {"kind": ["x"]}])
def test_objects_without_shape_do_not_break_a_rule(item: dict[str, object]) -> None:
    nonsense: list[object] = [None, 5, "x", [], {}, [None, 5, {"predictor": [1]}]]
    for value in nonsense:
        keys = ("metadata", "spec", "patches", "images", "replicas", "namePrefix", "patchesStrategicMerge")
        rules.check(CheckedObject(manifest={**item, **dict.fromkeys(keys, value)}, kserve="0.21"))
        whole = {"predictor": value, "canary": value, "transformer": value}
        rules.check(CheckedObject(manifest={**item, "metadata": {"annotations": value}, "spec": whole}, kserve="0.21"))
        inner = dict.fromkeys(("model", "containers", "autoScaling", "storageUris", "minReplicas"), value)
        rules.check(CheckedObject(manifest={**item, "spec": {"predictor": inner}}, kserve="0.21"))


def component(data: dict[str, object], *built: dict[str, object]) -> set[tuple[str, str]]:
    subject = CheckedObject(manifest={"kind": COMPONENT, **data}, kserve="0.21", overlay=built or None)
    return {(finding.rule, finding.path) for finding in rules.check(subject)}


def test_replicas_of_an_inference_service() -> None:
    wrong = {("kustomize-replicas", "replicas[0]")}
    assert component({"replicas": [{"name": "wine", "count": 2}]}, service()) == wrong
    assert component({"replicas": [{"name": "wine", "count": 2}]}) == wrong
    assert component({"replicas": [{"name": "redis", "count": 2}]}, service()) == set()


def test_images_that_do_not_reach_the_model() -> None:
    item = changed({f"{MODEL}.image": "registry.example.com:5000/team/server:1"})
    images = [{"name": "registry.example.com:5000/team/server", "newTag": "2"}]
    assert component({"images": images}, item) == {("kustomize-images", "images[0]")}
    assert component({"images": images}, changed(CONTAINER)) == set()


def test_a_name_prefix_where_there_is_a_service() -> None:
    assert component({"namePrefix": "x-"}, service()) == {("kustomize-name-affix", "namePrefix")}
    assert component({"nameSuffix": "-x"}) == {("kustomize-name-affix", "nameSuffix")}
    assert component({"namePrefix": "x-"}, {"kind": "ConfigMap", "metadata": {"name": "x"}}) == set()


def test_a_list_in_a_strategic_merge_patch() -> None:
    patch = {"kind": "InferenceService", "spec": {"predictor": {"maxReplicas": 5, "model": {"env": [{"name": "A"}]}}}}
    wrong = {("kustomize-list-patch", "patches[0]")}
    assert component({"patches": [{"documents": [patch]}]}, service()) == wrong
    assert component({"patchesStrategicMerge": [{"documents": [patch]}]}, service()) == {
        ("kustomize-list-patch", "patchesStrategicMerge[0]")
    }
    del patch["kind"]
    assert component({"patches": [{"documents": [patch], "target": {"kind": "InferenceService"}}]}) == wrong
    scalar = {"kind": "InferenceService", "spec": {"predictor": {"maxReplicas": 5}}}
    operations = [{"op": "add", "path": "/spec/predictor/model/env/-", "value": {"name": "A"}}]
    deployment = {"kind": "Deployment", "spec": {"template": {"spec": {"containers": [{"name": "a"}]}}}}
    assert component({"patches": [{"documents": [scalar, operations, deployment]}]}, service()) == set()


@pytest.mark.parametrize(
    "place", [(), ("spec", "canary", 0, "predictor"), ("metadata", "annotations", "a.b/c"), ('q"uo\\te', 3, "ünï")]
)
def test_paths_are_read_back(place: tuple[str | int, ...]) -> None:
    assert parse_path(format_path(place)) == place
