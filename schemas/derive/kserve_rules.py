"""What KServe's Python types lack: sizes, choices, required fields, and types that the SDK does not contain.

Sources: the Go types and their kubebuilder markers (kserve/kserve pkg/apis/serving), the docstrings of the SDK, and the
rules of the admission webhook (inference_service_validation.go).
"""

from __future__ import annotations

from typing import Any

Schema = dict[str, Any]

INT32 = {"minimum": -(2**31), "maximum": 2**31 - 1}
INT64 = {"minimum": -(2**63), "maximum": 2**63 - 1}


def ref(name: str) -> Schema:
    """A reference to a definition of the same file."""
    return {"$ref": f"#/$defs/{name}"}


def record(required: list[str] | None = None, /, **properties: Schema) -> Schema:
    """A mapping with these fields and no others."""
    new: Schema = {"type": "object", "additionalProperties": False, "properties": properties}
    return new | ({"required": required} if required else {})


def listing(items: Schema) -> Schema:
    """A list of such items."""
    return {"type": "array", "items": items}


TEXT: Schema = {"type": "string"}
FLAG: Schema = {"type": "boolean"}
ANYTHING: Schema = {"type": "object"}
COUNT: Schema = {"type": "integer", "minimum": 0, "maximum": 2**31 - 1}
POSITIVE: Schema = {"type": "integer", "minimum": 1, "maximum": 2**31 - 1}
PERCENT: Schema = {"type": "integer", "minimum": 0, "maximum": 100}

_UNITS: Schema = {"enum": ["Utilization", "Value", "AverageValue"]}
_METRIC: Schema = {"enum": ["cpu", "memory", "concurrency", "rps"]}

# Field name → schema, in every type of the SDK (`int` there is int32 or int64 in Go).
EVERYWHERE: dict[str, Schema] = {
    "minReplicas": COUNT,
    "maxReplicas": COUNT,
    "scaleTarget": {"type": "integer", **INT32},
    "scaleMetric": _METRIC,
    "scaleMetricType": _UNITS,
    "containerConcurrency": {"type": "integer", "minimum": 0, "maximum": 2**63 - 1},
    "canaryTrafficPercent": PERCENT,
    "trafficPercent": PERCENT,
    "averageUtilization": {"type": "integer", **INT32},
    "stabilizationWindowSeconds": {"type": "integer", **INT32},
    "pipelineParallelSize": {"type": "integer", **INT32},
    "tensorParallelSize": {"type": "integer", **INT32},
    "labels": ref("Labels"),
    "annotations": ref("Annotations"),
}

# (type, field) → schema.
FIELDS: dict[tuple[str, str], Schema] = {
    ("v1beta1.LoggerSpec", "mode"): {"enum": ["all", "request", "response"]},
    ("v1beta1.MetricsSpec", "type"): {"enum": ["Resource", "External", "PodMetric"]},
    ("v1beta1.MetricTarget", "type"): _UNITS,
    ("v1beta1.ResourceMetricSource", "name"): {"enum": ["cpu", "memory"]},
    ("v1beta1.PodMetrics", "operationOverTime"): {"enum": ["last_one", "avg", "max", "min", "rate", "count"]},
    ("v1beta1.StorageUri", "uri"): {"type": "string", "minLength": 1},
    ("v1beta1.StorageUri", "mountPath"): {
        "type": "string",
        "maxLength": 255,
        "pattern": "^/.*",
        "description": "an absolute path",
    },
    ("v1beta1.PredictorSpec", "name"): {"type": "string", **ref("LetterLabel")},
    ("v1beta1.ConfidentialSpec", "resourceId"): {
        "type": "string",
        "pattern": "^kbs:///[^/]+/[^/]+/[^/]+$",
        "description": "a key of the form kbs:///repository/type/tag",
    },
    ("v1alpha1.SupportedModelFormat", "priority"): POSITIVE,
    ("v1alpha1.ServingRuntimeSpec", "replicas"): {"type": "integer", "minimum": 0, "maximum": 65535},
    ("v1alpha1.InferenceRouter", "routerType"): {"enum": ["Sequence", "Splitter", "Ensemble", "Switch"]},
    ("v1alpha1.InferenceStep", "dependency"): {"enum": ["Soft", "Hard"]},
    ("v1alpha1.InferenceStep", "weight"): PERCENT,
    ("v1alpha1.StorageContainerSpec", "workloadType"): {"enum": ["initContainer", "localModelDownloadJob"]},
}

# Lists that must not be empty, wherever the field occurs.
NOT_EMPTY = {"storageUris"}

# Type → fields that are required in addition to those of the SDK (`+`), or not required despite the SDK (`-`).
REQUIRED: dict[str, list[str]] = {
    "v1beta1.ModelFormat": ["+name"],
    "v1beta1.LoggerSpec": ["+mode"],
    "v1beta1.ARTExplainerSpec": ["-name"],
    "v1alpha1.SupportedModelFormat": ["+name"],
    "v1beta1.AuthenticationRef": ["+name"],
    # In Knative mode a probe has no port, and the CRD does not require one (Makefile of kserve/kserve, `yq del`).
    "core.v1.HTTPGetAction": ["-port"],
    "core.v1.TCPSocketAction": ["-port"],
}

# The SDK's names of Kubernetes' own types.
FOREIGN = {
    "K8sIoApiAppsV1DeploymentStrategy": "apps.v1.DeploymentStrategy",
    "K8sIoApiAutoscalingV2HorizontalPodAutoscalerBehavior": "autoscaling.v2.HorizontalPodAutoscalerBehavior",
}

_LLM_MODEL = record(
    ["uri"],
    uri={"type": "string", "minLength": 1},
    name=TEXT,
    criticality={"enum": ["Critical", "Standard", "Sheddable"]},
    lora=record(adapters=listing(ANYTHING), maxRank=POSITIVE, maxAdapters=POSITIVE, maxCpuAdapters=POSITIVE),
    confidential=record(["enabled"], enabled=FLAG, resourceId=TEXT),
)

_LLM_WORKLOAD: dict[str, Schema] = {
    "replicas": COUNT,
    "scaling": record(
        ["maxReplicas"],
        minReplicas=POSITIVE,
        maxReplicas=POSITIVE,
        wva=ANYTHING,
    ),
    "parallelism": record(
        tensor=POSITIVE,
        pipeline=POSITIVE,
        data=POSITIVE,
        dataLocal=POSITIVE,
        dataRPCPort={"type": "integer", "minimum": 1, "maximum": 65535},
        expert=FLAG,
    ),
    "labels": ref("Labels"),
    "annotations": ref("Annotations"),
    "template": ref("PodPart"),
    "worker": ref("PodPart"),
    "kvCacheOffloading": ANYTHING,
}

_LLM_SPEC = record(
    model=_LLM_MODEL,
    storageInitializer=record(enabled=FLAG),
    router=record(route=ANYTHING, gateway=ANYTHING, ingress=ANYTHING, scheduler=ANYTHING),
    prefill=record(**_LLM_WORKLOAD),
    baseRefs=listing(record(["name"], name=TEXT)),
    tracing=ANYTHING,
    **_LLM_WORKLOAD,
)

# Types that the SDK refers to but does not contain. `PodPart` is a PodSpec that is merged with another one.
# The Gateway API, KEDA and scheduler parts of an LLMInferenceService accept any field.
MISSING: dict[str, Schema] = {
    "ResourceQuantity": ref("Quantity"),
    "V1beta1MetricQuantity": ref("Quantity"),
    "V1alpha1LocalModelInfo": record(["modelName", "sourceModelUri"], modelName=TEXT, sourceModelUri=TEXT),
    "V1alpha1LLMInferenceServiceSpec": _LLM_SPEC,
    "V1alpha2LLMInferenceServiceSpec": _LLM_SPEC,
}

# Types that the SDK refers to but does not contain, and that extend one of its types.
EXTENDED: dict[str, tuple[str, dict[str, Schema]]] = {
    "V1alpha1WorkerSpec": (
        "V1alpha1ServingRuntimePodSpec",
        {"pipelineParallelSize": POSITIVE, "tensorParallelSize": POSITIVE},
    ),
}
