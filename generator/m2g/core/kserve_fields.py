"""The rows of KServe's own fields, and of the autoscalers and servers under it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Annotated

from msgspec import UNSET, Meta, UnsetType

from m2g.core.companion_fields import CompanionSettings
from m2g.core.model import Value
from m2g.core.setting_fields import ClassName, Count, Mode, Operation, Row, Structure, in_predictor

Span = Annotated[
    str,
    Meta(
        pattern=r"^([0-9]+(\.[0-9]+)?(s|m|h))+$",
        description="a duration; write it like 30s, 10m or 1h30m",
        max_length=20,
    ),
]
KNATIVE_PREFIX = "autoscaling.knative.dev/"
"""The prefix of Knative's annotations."""


class KnativeScaling(Value, frozen=True, kw_only=True):
    """How Knative's autoscaler decides. Each field is the annotation `autoscaling.knative.dev/…` of the same name."""

    window: Span | UnsetType = UNSET
    """The time over which requests are averaged."""
    initial_scale: Count | UnsetType = UNSET
    """The pods of a new version before it has had a request."""
    activation_scale: Annotated[int, Meta(ge=1, le=1000)] | UnsetType = UNSET
    """The pods that are started when a model wakes up from zero."""
    target_utilization_percentage: Annotated[int, Meta(ge=1, le=100)] | UnsetType = UNSET
    """The share of `scaleTarget` that the autoscaler aims at."""
    scale_down_delay: Span | UnsetType = UNSET
    """The time that fewer requests must last before pods are removed."""
    scale_to_zero_pod_retention_period: Span | UnsetType = UNSET
    """The time that the last pod stays after the last request."""
    target_burst_capacity: Annotated[int, Meta(ge=-1, le=2**31 - 1)] | UnsetType = UNSET
    """The requests that may arrive at once without waiting in a queue."""
    panic_window_percentage: Annotated[int, Meta(ge=1, le=100)] | UnsetType = UNSET
    """The share of the window that counts in a burst."""
    panic_threshold_percentage: Annotated[int, Meta(ge=110, le=1000)] | UnsetType = UNSET
    """The share of the pods' capacity from which on it is a burst."""


class MlserverSettings(Value, frozen=True, kw_only=True):
    """Settings of MLServer, as variables of its container."""

    parallel_workers: Annotated[int, Meta(ge=0, le=256)] | UnsetType = UNSET
    """The processes that serve the model in one pod, each with a copy of it. `0` serves it in the main process."""
    max_batch_size: Annotated[int, Meta(ge=2, le=100_000)] | UnsetType = UNSET
    """Adaptive batching: the most requests that become one. It needs `maxBatchTime`."""
    max_batch_time: Annotated[float, Meta(gt=0, le=60)] | UnsetType = UNSET
    """Adaptive batching: the seconds that a request waits for others."""


MLSERVER_VARIABLES: Mapping[str, str] = {
    "parallelWorkers": "MLSERVER_PARALLEL_WORKERS",
    "maxBatchSize": "MLSERVER_MODEL_MAX_BATCH_SIZE",
    "maxBatchTime": "MLSERVER_MODEL_MAX_BATCH_TIME",
}
"""Setting → variable. Source: MLServer 1.7.1, mlserver/settings.py."""


class KserveSettings(CompanionSettings, frozen=True, kw_only=True):
    """What KServe adds to the service."""

    auto_scaling: (
        Annotated[
            Structure,
            Row(
                decides="when pods are added, and whom the autoscaler asks",
                mode=Mode.STANDARD,
                places=in_predictor("autoScaling"),
                definition="v1beta1.AutoScalingSpec",
                granted=True,
            ),
        ]
        | UnsetType
    ) = UNSET
    """The metrics and the behavior of the autoscaler, in place of `scaleMetric` and `scaleTarget`. `autoscaler: hpa`
    takes metrics of the type Resource, `autoscaler: keda` also External and PodMetric."""
    knative_scaling: (
        Annotated[KnativeScaling, Row(decides="when pods are added", risk="caution", mode=Mode.KNATIVE)] | UnsetType
    ) = UNSET
    """How Knative's autoscaler decides."""
    mlserver: (
        Annotated[MlserverSettings, Row(decides="how many processes and requests MLServer joins", risk="caution")]
        | UnsetType
    ) = UNSET
    """Parallel workers and adaptive batching, for models that MLServer serves."""
    logger: (
        Annotated[
            Structure,
            Row(
                decides="who else gets the requests and answers",
                places=in_predictor("logger"),
                definition="v1beta1.LoggerSpec",
                granted=True,
            ),
        ]
        | UnsetType
    ) = UNSET
    """Where KServe sends a copy of requests and answers: `mode`, `url` and more."""
    batcher: (
        Annotated[
            Structure,
            Row(
                decides="how many requests become one",
                risk="caution",
                places=in_predictor("batcher"),
                definition="v1beta1.Batcher",
            ),
        ]
        | UnsetType
    ) = UNSET
    """KServe's batcher before the server: `maxBatchSize`, `maxLatency` and `timeout` in milliseconds. It joins
    only requests to `:predict`, which is protocol v1; `mlserver` has one for v2."""
    storage_container_name: (
        Annotated[
            ClassName,
            Row(
                decides="which program reads the model's files",
                since="0.20",
                places=in_predictor("storageContainerName"),
                granted=True,
            ),
        ]
        | UnsetType
    ) = UNSET
    """The ClusterStorageContainer that downloads the model, such as one with more memory for large models."""
    transformer: (
        Annotated[
            Structure,
            Row(
                decides="which code changes requests and answers",
                places=(("spec", "transformer"),),
                definition="v1beta1.TransformerSpec",
                granted=True,
            ),
        ]
        | UnsetType
    ) = UNSET
    """A transformer before the model, as KServe has it: its `containers`, `minReplicas` and more."""
    explainer: (
        Annotated[
            Structure,
            Row(
                decides="which code explains answers",
                places=(("spec", "explainer"),),
                definition="v1beta1.ExplainerSpec",
                granted=True,
            ),
        ]
        | UnsetType
    ) = UNSET
    """An explainer beside the model, as KServe has it."""
    patch: (
        Annotated[
            tuple[Operation, ...],
            Row(decides="what the InferenceService says beside its settings", granted=True, adds=True),
        ]
        | UnsetType
    ) = UNSET
    """Fields of the InferenceService that no setting has, as operations of a JSON patch. It cannot change what a
    setting or the release record decides. `bounds: {patch: {oneOf: [/spec/predictor/hostAliases*]}}` names the paths
    that a model may patch."""


def list_annotations(scaling: Mapping[str, object]) -> Iterator[tuple[str, str]]:
    """The annotations of `knativeScaling`, by its names in files."""
    names = zip(KnativeScaling.__struct_encode_fields__, KnativeScaling.__struct_fields__, strict=True)
    for name, attribute in names:
        if name in scaling:
            yield f"{KNATIVE_PREFIX}{attribute.replace('_', '-')}", str(scaling[name])
