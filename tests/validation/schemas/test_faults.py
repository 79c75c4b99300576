"""One fault at a time: it is found where it is, and the words help."""

from __future__ import annotations

from typing import Any

import pytest

from m2g.validation.schemas import Catalogue
from tests.support import manifests
from tests.support.manifests import GONE, Place

CATALOGUE = Catalogue()
PREDICTOR = ["spec", "predictor"]
MODEL = [*PREDICTOR, "model"]
CONTAINER: list[str | int] = ["spec", "template", "spec", "containers", 0]

Fault = tuple[Place, object, str, str, str]
"""(place, value, path that is reported, in the message, in the hint)."""

ISVC: list[Fault] = [
    ([*MODEL, "storageURI"], "x", "spec.predictor.model.storageURI", "not a known field", "did you mean storageUri?"),
    ([*PREDICTOR, "storageUri"], "x", "spec.predictor.storageUri", "not a known", "did you mean storageUris?"),
    ([*PREDICTOR, "protocolVersion"], "v2", "spec.predictor.protocolVersion", "", "to spec.predictor.model.protocol"),
    ([*MODEL, "minReplicas"], 1, "spec.predictor.model.minReplicas", "", "move it to spec.predictor.minReplicas"),
    ([*PREDICTOR, "podSpec"], {}, "spec.predictor.podSpec", "not a known field", ""),
    (["sepc"], {}, "sepc", "not a known field", "did you mean spec?"),
    (["spec"], GONE, "spec", "is required", ""),
    (["metadata"], GONE, "metadata", "is required", ""),
    (PREDICTOR, GONE, "spec.predictor", "is required", ""),
    ([*MODEL, "modelFormat"], GONE, "spec.predictor.model.modelFormat", "is required", ""),
    ([*MODEL, "modelFormat", "name"], GONE, "spec.predictor.model.modelFormat.name", "is required", ""),
    ([*MODEL, "modelFormat"], "mlflow", "spec.predictor.model.modelFormat", 'the text "mlflow"; it must be a map', ""),
    ([*MODEL, "resources"], None, "spec.predictor.model.resources", "is null", "remove the line"),
    (["metadata", "name"], "Churn_2", "metadata.name", "starts with a letter", "lower-case"),
    (["metadata", "name"], "2-churn", "metadata.name", "starts with a letter", ""),
    (["metadata", "name"], "c" * 64, "metadata.name", "a length of 64; the maximum is 63", ""),
    (["metadata", "name"], GONE, "metadata.name", "is required", ""),
    (["metadata", "namespace"], "a.b", "metadata.namespace", "not a DNS label", ""),
    (["metadata", "labels", "a"], "b c", "metadata.labels.a", "not a label value", "letters, digits"),
    (["metadata", "labels", "a"], 7, "metadata.labels.a", "is 7; it must be text", 'quotes: "7"'),
    (["metadata", "labels", "a/b/c"], "d", 'metadata.labels["a/b/c"]', "not a label key", ""),
    (["metadata", "annotations", "a"], True, "metadata.annotations.a", "is true; it must be text", 'quotes: "true"'),
    ([*PREDICTOR, "minReplicas"], "2", "spec.predictor.minReplicas", 'the text "2"', "without quotes: 2"),
    ([*PREDICTOR, "minReplicas"], 2**31, "spec.predictor.minReplicas", "maximum is 2147483647", ""),
    ([*PREDICTOR, "maxReplicas"], -1, "spec.predictor.maxReplicas", "minimum is 0", ""),
    ([*PREDICTOR, "scaleTarget"], 1.5, "spec.predictor.scaleTarget", "is 1.5; it must be a whole number", ""),
    ([*PREDICTOR, "timeout"], 2**63, "spec.predictor.timeout", "9223372036854775807", ""),
    ([*PREDICTOR, "canaryTrafficPercent"], 101, "spec.predictor.canaryTrafficPercent", "maximum is 100", ""),
    ([*PREDICTOR, "scaleMetric"], "cpus", "spec.predictor.scaleMetric", "cpu, memory, concurrency, rps", "mean cpu?"),
    ([*PREDICTOR, "scaleMetricType"], "Percent", "spec.predictor.scaleMetricType", "Utilization, Value, Average", ""),
    ([*PREDICTOR, "logger"], {"url": "x"}, "spec.predictor.logger.mode", "is required", ""),
    ([*PREDICTOR, "logger"], {"mode": "both"}, "spec.predictor.logger.mode", "all, request, response", ""),
    ([*PREDICTOR, "labels", "team"], "a/b", "spec.predictor.labels.team", "not a label value", ""),
    (
        [*MODEL, "resources", "limits", "memory"],
        "1 GB",
        f"{'.'.join(MODEL)}.resources.limits.memory",
        "quantity",
        "1Gi",
    ),
    ([*MODEL, "resources", "limits", "cpu"], 0.5, "spec.predictor.model.resources.limits.cpu", "is 0.5", '"0.5"'),
    ([*MODEL, "env", 0, "value"], False, "spec.predictor.model.env[0].value", "is false", '"false"'),
    ([*MODEL, "env", 0, "name"], GONE, "spec.predictor.model.env[0].name", "is required", ""),
    (
        [*MODEL, "env", 1, "valueFrom", "secretRef"],
        {},
        "spec.predictor.model.env[1].valueFrom.secretRef",
        "",
        "secretKey",
    ),
    (
        [*MODEL, "readinessProbe", "httpGet", "port"],
        [1],
        f"{'.'.join(MODEL)}.readinessProbe.httpGet.port",
        "a list",
        "",
    ),
    (
        [*MODEL, "readinessProbe", "httpGet", "scheme"],
        "http",
        f"{'.'.join(MODEL)}.readinessProbe.httpGet.scheme",
        "",
        "HTTP",
    ),
    ([*PREDICTOR, "tolerations"], {}, "spec.predictor.tolerations", "is a mapping; it must be a list", ""),
    (
        [*PREDICTOR, "deploymentStrategy", "type"],
        "rolling",
        "spec.predictor.deploymentStrategy.type",
        "Recreate",
        "RollingU",
    ),
    ([*PREDICTOR, "storageUris"], [], "spec.predictor.storageUris", "is empty", ""),
    (
        [*PREDICTOR, "storageUris"],
        [{"uri": "a", "mountPath": "b"}],
        "spec.predictor.storageUris[0].mountPath",
        "absolute",
        "",
    ),
]

CANARY: list[Fault] = [
    (["spec", "canary", 0, "trafficPercent"], 120, "spec.canary[0].trafficPercent", "maximum is 100", ""),
    (["spec", "canary", 0, "trafficPercent"], GONE, "spec.canary[0].trafficPercent", "is required", ""),
    (["spec", "canary", 0, "predictor"], GONE, "spec.canary[0].predictor", "is required", ""),
    (["spec", "canary", 0, "predictor", "name"], "V13", "spec.canary[0].predictor.name", "DNS label", ""),
    (["spec", "canary", 0, "traficPercent"], 1, "spec.canary[0].traficPercent", "", "did you mean trafficPercent?"),
    ([*MODEL, "confidential", "enabled"], "yes", "spec.predictor.model.confidential.enabled", "true or false", ""),
    (
        [*MODEL, "confidential", "resourceId"],
        "kbs://a",
        "spec.predictor.model.confidential.resourceId",
        "of the form",
        "",
    ),
]

RUNTIME: list[Fault] = [
    (["spec", "containers"], GONE, "spec.containers", "is required", ""),
    (["spec", "containers", 0, "name"], GONE, "spec.containers[0].name", "is required", ""),
    (["spec", "containers", 0, "img"], "x", "spec.containers[0].img", "not a known field", ""),
    (
        ["spec", "supportedModelFormats", 0, "autoselect"],
        True,
        "spec.supportedModelFormats[0].autoselect",
        "",
        "autoSelect",
    ),
    (["spec", "supportedModelFormats", 0, "version"], 2, "spec.supportedModelFormats[0].version", "text", '"2"'),
    (["spec", "supportedModelFormats", 0, "priority"], 0, "spec.supportedModelFormats[0].priority", "minimum", ""),
    (["spec", "protocolVersions"], "v2", "spec.protocolVersions", "must be a list", ""),
    (["metadata", "name"], "a_b", "metadata.name", "not a name", ""),
]

GRAPH: list[Fault] = [
    (["spec", "nodes", "root", "routerType"], "Split", "spec.nodes.root.routerType", "Sequence, Splitter", "Splitter"),
    (["spec", "nodes", "root", "routerType"], GONE, "spec.nodes.root.routerType", "is required", ""),
    (["spec", "nodes", "root", "steps", 0, "weight"], "80", "spec.nodes.root.steps[0].weight", "", "quotes: 80"),
    (["spec", "nodes", "root", "steps", 0, "service"], "a", "spec.nodes.root.steps[0].service", "", "mean service"),
    (["spec", "nodes"], [], "spec.nodes", "must be a mapping", ""),
]

APPLICATIONSET: list[Fault] = [
    (["spec", "goTemplat"], True, "spec.goTemplat", "", "did you mean goTemplate?"),
    (["spec", "goTemplate"], "true", "spec.goTemplate", "true or false", "without quotes: true"),
    (["spec", "generators"], GONE, "spec.generators", "is required", ""),
    (["spec", "generators", 0, "matrx"], {}, "spec.generators[0].matrx", "", "did you mean matrix?"),
    (["spec", "strategy", "rollingSync", "step"], [], "spec.strategy.rollingSync.step", "", "steps"),
    (["spec", "template", "spec", "project"], GONE, "spec.template.spec.project", "is required", ""),
    (["spec", "template", "spec", "source", "repoUrl"], "x", "spec.template.spec.source.repoUrl", "", "repoURL"),
    (
        ["spec", "template", "spec", "syncPolicy", "automated", "prune"],
        "{{ .p }}",
        "spec.template.spec.syncPolicy.automated.prune",
        "true or false",
        "",
    ),
    (["spec", "template", "metadata", "labels", "a"], 1, "spec.template.metadata.labels.a", "text", '"1"'),
    (["spec", "templatePatch"], {}, "spec.templatePatch", "must be text", ""),
    (["templates"], {}, "templates", "not a known field", ""),
    (["metadata", "name"], "Fleet", "metadata.name", "not a name", ""),
]

PROJECT: list[Fault] = [
    (["spec", "sourceRepo"], [], "spec.sourceRepo", "", "sourceRepos"),
    (["spec", "destinations", 0, "namespaces"], "x", "spec.destinations[0].namespaces", "", "namespace"),
    (["spec", "namespaceResourceWhitelist", 0, "kind"], GONE, "spec.namespaceResourceWhitelist[0].kind", "missing", ""),
    (["spec", "orphanedResources", "warn"], "yes", "spec.orphanedResources.warn", "true or false", ""),
    (["spec", "syncWindows", 0, "manualSync"], 1, "spec.syncWindows[0].manualSync", "is 1", ""),
]

FLUX: list[Fault] = [
    (["spec", "interval"], "30 minutes", "spec.interval", "", ""),
    (["spec", "interval"], GONE, "spec.interval", "is required", ""),
    (["spec", "interval"], 30, "spec.interval", "must be text", '"30"'),
    (["spec", "prune"], GONE, "spec.prune", "is required", ""),
    (["spec", "sourceRef", "kind"], "GitRepo", "spec.sourceRef.kind", "GitRepository", "GitRepository"),
    (["spec", "deletionPolicy"], "Keep", "spec.deletionPolicy", "Orphan", ""),
    (["spec", "dependson"], [], "spec.dependson", "", "dependsOn"),
    (["spec", "healthChecks", 0, "name"], GONE, "spec.healthChecks[0].name", "is required", ""),
    (["spec", "healthCheckExprs", 0, "fail"], "x", "spec.healthCheckExprs[0].fail", "", "failed"),
    (["spec", "wait"], "false", "spec.wait", "true or false", "without quotes: false"),
    (["status"], [], "status", "must be a mapping", ""),
]

DEPLOYMENT: list[Fault] = [
    (["spec", "replica"], 1, "spec.replica", "", "replicas"),
    (["spec", "replicas"], 2**31, "spec.replicas", "2147483647", ""),
    (["spec", "selector"], GONE, "spec.selector", "is required", ""),
    (["spec", "template", "metadata", "labels", "app"], "a b", "spec.template.metadata.labels.app", "label value", ""),
    (
        [*CONTAINER, "resources", "requests", "memory"],
        "1GB",
        "spec.template.spec.containers[0].resources.requests.memory",
        "not a quantity",
        "1Gi",
    ),
    ([*CONTAINER, "imagePullPolicy"], "always", "spec.template.spec.containers[0].imagePullPolicy", "", "Always"),
    ([*CONTAINER, "env"], [{"name": "A", "value": 1}], "spec.template.spec.containers[0].env[0].value", "text", '"1"'),
    (
        [*CONTAINER, "ports", 0, "containerPort"],
        "8080",
        "spec.template.spec.containers[0].ports[0].containerPort",
        "",
        "8080",
    ),
    (
        [*CONTAINER, "livenessProbe", "httpGet", "port"],
        GONE,
        "spec.template.spec.containers[0].livenessProbe.httpGet.port",
        "",
        "",
    ),
    (["metadata", "name"], "A", "metadata.name", "not a name", ""),
    (["sepc"], {}, "sepc", "", "spec"),
]

CRONJOB: list[Fault] = [
    (["spec", "schedule"], "0 3 * *", "spec.schedule", "not a schedule", "0 3 * * *"),
    (["spec", "schedule"], "@nightly", "spec.schedule", "not a schedule", ""),
    (["spec", "schedule"], 3, "spec.schedule", "text", ""),
    (["spec", "timeZone"], "Central Europe", "spec.timeZone", "not a time zone", "Europe/Berlin"),
    (["spec", "jobTemplate", "metadata"], {"labels": {"a": "b c"}}, "spec.jobTemplate.metadata.labels.a", "label", ""),
]

KUSTOMIZATION: list[Fault] = [
    (["resource"], [], "resource", "", "resources"),
    (["resources"], "base", "resources", "must be a list", ""),
    (["patches", 0, "target", "labels"], "a", "patches[0].target.labels", "", "labelSelector"),
    (["labels", 0, "pairs", "a"], True, "labels[0].pairs.a", "text", '"true"'),
    (["images", 0, "newtag"], "1", "images[0].newtag", "", "newTag"),
    (["replicas", 0, "count"], "3", "replicas[0].count", "whole number", "3"),
    (["configMapGenerator", 0, "literal"], [], "configMapGenerator[0].literal", "", "literals"),
    (["namespace"], 1, "namespace", "text", ""),
]


def _all() -> list[Any]:
    tables = [
        ("standard", "InferenceService", ISVC),
        ("since-0.20", "InferenceService", CANARY),
        ("runtimes", "ServingRuntime", RUNTIME),
        ("runtimes", "InferenceGraph", GRAPH),
        ("argocd", "ApplicationSet", APPLICATIONSET),
        ("argocd", "AppProject", PROJECT),
        ("flux", "Kustomization", FLUX),
        ("kubernetes", "Deployment", DEPLOYMENT),
        ("kubernetes", "CronJob", CRONJOB),
        ("kustomize", "Kustomization", KUSTOMIZATION),
    ]
    return [pytest.param(f, k, fault, id=f"{k}-{fault[2]}-{n}") for f, k, t in tables for n, fault in enumerate(t)]


@pytest.mark.parametrize(("file", "kind", "fault"), _all())
def test_a_fault_is_found_in_its_place(file: str, kind: str, fault: Fault) -> None:
    place, value, path, message, hint = fault
    manifest = manifests.changed(manifests.of_kind(file, kind), place, value)
    (found,) = CATALOGUE.find_violations(manifest, kserve="0.21")
    assert found.path == path
    assert message in found.message
    assert hint in found.hint


def test_all_faults_of_an_object_are_reported_in_order() -> None:
    manifest = manifests.of_kind("standard", "InferenceService")
    for place, value in ((["metadata", "name"], "A"), ([*PREDICTOR, "minReplicas"], "x"), (["top"], 1)):
        manifest = manifests.changed(manifest, place, value)
    paths = [found.path for found in CATALOGUE.find_violations(manifest, kserve="0.21")]
    assert paths == ["metadata.name", "spec.predictor.minReplicas", "top"]


@pytest.mark.parametrize(
    ("api_version", "kind", "hint"),
    [
        ("serving.kserve.io/v1", "InferenceService", "did you mean serving.kserve.io/v1beta1 InferenceService?"),
        ("serving.kserve.io/v1beta1", "InferenceServices", "mean serving.kserve.io/v1beta1 InferenceService?"),
        ("kserve.io/v1beta1", "InferenceService", "mean serving.kserve.io/v1beta1 InferenceService?"),
        ("v1", "Deployment", "did you mean apps/v1 Deployment?"),
        ("apps.example.com/v1", "Deployment", "did you mean apps/v1 Deployment?"),
        ("v1", "Affinity", "m2g schemas import"),
        ("monitoring.example.com/v1", "PodMonitor", "mean monitoring.coreos.com/v1 PodMonitor?"),
        ("probes.example.com/v1", "Prober", "m2g schemas import"),
        ("lock/v1", "Lock", "m2g schemas import"),
        ("../x/v1", "../Lock", "m2g schemas import"),
        ("", "", "m2g schemas import"),
    ],
)
def test_an_object_without_schema_is_one_violation_that_says_so(api_version: str, kind: str, hint: str) -> None:
    manifest = {"apiVersion": api_version, "kind": kind, "metadata": {"name": "a"}}
    assert not CATALOGUE.has_schema(api_version, kind, "0.21")
    (found,) = CATALOGUE.find_violations(manifest, kserve="0.21")
    assert found.path == "kind"
    assert "its fields were not checked" in found.message
    assert hint in found.hint


@pytest.mark.parametrize(
    ("manifest", "path"),
    [
        ({}, "apiVersion"),
        ({"kind": "A"}, "apiVersion"),
        ({"apiVersion": "v1"}, "kind"),
        ({"apiVersion": 1}, "apiVersion"),
    ],
)
def test_what_says_not_what_it_is_is_refused(manifest: dict[str, object], path: str) -> None:
    assert [found.path for found in CATALOGUE.find_violations(manifest, kserve="0.21")] == [path]


def test_a_long_key_is_named_in_full() -> None:
    manifest = manifests.of_kind("standard", "InferenceService")
    key = "example.org/" + "a" * 70
    (found,) = CATALOGUE.find_violations(
        manifests.changed(manifest, ["metadata", "annotations", key], "x"), kserve="0.21"
    )
    assert found.path == f'metadata.annotations["{key}"]'


def test_what_the_api_server_takes_beside_a_name_is_taken() -> None:
    nothing = {"name": "a", "creationTimestamp": None, "labels": None, "annotations": None}
    right: list[dict[str, object]] = [
        {"apiVersion": "v1", "kind": "ConfigMap", "metadata": nothing},
        {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"generateName": "a-"}},
        {"apiVersion": "v1", "kind": "ConfigMapList", "items": []},
        {"apiVersion": "v1", "kind": "Secret", "metadata": nothing, "stringData": {"a": "b"}},
    ]
    for manifest in right:
        assert CATALOGUE.find_violations(manifest, kserve="0.21") == []


def test_the_value_of_a_secret_is_not_repeated() -> None:
    secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "a"}, "stringData": {"pin": 4711, "x y": 4712}}
    found = CATALOGUE.find_violations(secret, kserve="0.21")
    assert [one.path for one in found] == ["stringData.pin", 'stringData["x y"]']
    assert "471" not in str(found)


def test_keys_that_are_not_text_are_refused() -> None:
    manifest: dict[Any, Any] = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}, "data": {1: "x"}}
    (found,) = CATALOGUE.find_violations(manifest, kserve="0.21")
    assert "in quotes" in found.hint
