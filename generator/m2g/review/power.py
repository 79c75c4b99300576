"""What is only a matter of size, schedule or words. Everything else is powerful.

It can decide what runs, as whom, on what data or for whom. So the lists here are of what is not.
"""

from __future__ import annotations

from collections.abc import Iterable

from m2g.core.manifest import Manifest, name_kind
from m2g.core.node_access import find_node_access
from m2g.core.setting_fields import PREDICTOR, Batch
from m2g.core.settings import list_fields
from m2g.review.fields import FieldSteps, Named
from m2g.review.values import Risk

_QUIET_KINDS = frozenset(
    (
        *("HorizontalPodAutoscaler.autoscaling", "PodDisruptionBudget.policy", "PrometheusRule.monitoring.coreos.com"),
        *("LimitRange", "ResourceQuota"),
    )
)
_KUSTOMIZATIONS = frozenset({"Kustomization.kustomize.config.k8s.io", "Component.kustomize.config.k8s.io"})
_QUIET_KEYS = frozenset({"apiVersion", "kind", "metadata"})
_QUIET_TO_REMOVE = frozenset(
    "ConfigMap Secret ServiceAccount CronJob.batch Job.batch Deployment.apps StatefulSet.apps".split()
)
_QUIET_PREFIXES = ("app.kubernetes.io", "prometheus.io", "prometheus.kserve.io")
_QUIET_NAMES = frozenset({"serving.kserve.io/deploymentMode", "serving.kserve.io/autoscalerClass"})
_QUIET = tuple(field for field in list_fields().values() if field.row.risk == "caution")
_SCALING = frozenset(
    [place[2] for field in _QUIET for place in field.row.places if place[:2] == PREDICTOR and len(place) == 3]
    + "scaleMetricType canaryTrafficPercent batcher".split()
)
_POD = frozenset([field.row.places[0][-1] for field in _QUIET if field.row.pod])
_RUNS = frozenset(
    "backoffLimit activeDeadlineSeconds schedule timeZone startingDeadlineSeconds concurrencyPolicy suspend "
    "successfulJobsHistoryLimit failedJobsHistoryLimit".split()
)
_PROBES = frozenset({"readinessProbe", "livenessProbe", "startupProbe"})
_TIMES = frozenset({"initialDelaySeconds", "periodSeconds", "timeoutSeconds", "successThreshold", "failureThreshold"})
_SETTINGS = frozenset(field.name for field in _QUIET)
_BATCH = frozenset(field.name for field in list_fields(Batch).values() if field.row.risk == "caution")
_CONFIG = frozenset({"version", "kserve", "models", "requests"})
_ENVIRONMENT = frozenset({"kserve", "keepOnRemoval"})
_PIN = frozenset({"version", "reason", "knownBad"})


def judge_kind(item: Manifest, *, removed: bool = False) -> Risk:
    """The risk of an object that m2g did not write itself, or of its removal: a policy may be what keeps others out."""
    kind = name_kind(item)
    if removed:
        return Risk.CAUTION if kind in _QUIET_KINDS | _QUIET_TO_REMOVE else Risk.POWERFUL
    if kind in _KUSTOMIZATIONS:
        words = {key: value for key, value in item.items() if key not in _QUIET_KEYS}
        pairs = [words.pop("commonAnnotations", None)]
        labels = words.pop("labels", None)
        pairs += [entry.get("pairs") for entry in labels if isinstance(entry, dict)] if isinstance(labels, list) else []
        quiet = all(is_quiet_name(str(name)) for each in pairs if isinstance(each, dict) for name in each)
        return Risk.CAUTION if quiet and not words else Risk.POWERFUL
    quiet = kind in _QUIET_KINDS and not any(True for _ in find_node_access(item))
    return Risk.CAUTION if quiet else Risk.POWERFUL


def judge_field(path: FieldSteps) -> Risk:
    """The risk of a field of an object that serves a model or runs its batch, if people set it."""
    inner = ("spec", *path[3:]) if path[:3] == ("spec", "jobTemplate", "spec") else path
    quiet = is_quiet_label(inner)
    match inner:
        case ("spec", "template", "spec", *rest):
            quiet |= _is_sizing(rest) or _starts(rest, _POD)
        case ("spec", "predictor" | "transformer" | "explainer", *rest):
            quiet |= _is_sizing(rest) or _starts(rest, _SCALING)
        case ("spec", *rest):
            quiet |= _is_sizing(rest) or _starts(rest, _RUNS)
        case _:
            pass
    return Risk.CAUTION if quiet else Risk.POWERFUL


def find_words(path: FieldSteps) -> str:
    """What a setting decides, by its path in m2g.yaml or model.yaml; empty for other fields."""
    match path:
        case (
            ("defaults" | "settings", name, *rest)
            | ("environments" | "teams", _, "settings", name, *rest)
            | ("classes", _, name, *rest)
        ):
            inner = list_fields(Batch).get(str(rest[0])) if name == "batch" and rest else None
            field = inner or list_fields().get(str(name))
            return field.row.decides if field is not None else ""
        case _:
            return ""


def find_patch(path: FieldSteps) -> FieldSteps:
    """The path of the setting `patch` that a field is in; empty for other fields."""
    match path:
        case ("defaults" | "settings", "patch", *_):
            return path[:2]
        case ("classes", _, "patch", *_):
            return path[:3]
        case ("environments" | "teams", _, "settings", "patch", *_):
            return path[:4]
        case _:
            return ()


def judge_config(path: FieldSteps) -> Risk:
    """The risk of a field of m2g.yaml."""
    match path:
        case ("defaults", *rest) | ("environments" | "teams", _, "settings", *rest):
            return _judge_setting(tuple(rest))
        case ("environments", _, *rest):
            return Risk.CAUTION if _starts(rest, _ENVIRONMENT) else Risk.POWERFUL
        case _:
            return Risk.CAUTION if _starts(path, _CONFIG) else Risk.POWERFUL


def judge_intent(path: FieldSteps) -> Risk:
    """The risk of a field of model.yaml."""
    match path:
        case ("settings", *rest) | ("environments", _, "settings", *rest):
            return _judge_setting(tuple(rest))
        case ("environments", _, *rest):
            return Risk.CAUTION if _starts(rest, _PIN) else Risk.POWERFUL
        case _:
            return Risk.POWERFUL


def _judge_setting(path: FieldSteps) -> Risk:
    quiet = _starts(path, _SETTINGS) or is_quiet_label(path) or (path[:1] == ("batch",) and _starts(path[1:], _BATCH))
    return Risk.CAUTION if quiet else Risk.POWERFUL


def is_quiet_label(path: FieldSteps) -> bool:
    """Whether it is a label or an annotation that is only for people, or that m2g itself reports."""
    return len(path) > 1 and path[-2] in ("labels", "annotations") and is_quiet_name(str(path[-1]))


def is_quiet_name(name: str) -> bool:
    """A name without a prefix is for people. Programs of the cluster may obey all others."""
    return "/" not in name or name.partition("/")[0] in _QUIET_PREFIXES or name in _QUIET_NAMES


def _is_sizing(path: Iterable[str | int | Named]) -> bool:
    """Whether it is about the resources, or the patience of a probe, of the model or of a container."""
    match tuple(path):
        case ("model", *rest) | ("containers", Named(), *rest):
            return _starts(rest, frozenset({"resources"})) or (
                len(rest) == 2 and rest[0] in _PROBES and rest[1] in _TIMES
            )
        case _:
            return False


def _starts(path: Iterable[str | int | Named], names: frozenset[str]) -> bool:
    return next(iter(path), None) in names
