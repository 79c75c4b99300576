"""The two annotations that tell KServe how to deploy. Without them, the cluster's configuration decides."""

from __future__ import annotations

from collections.abc import Iterator

from m2g.core.schema_errors import Violation
from m2g.validation.rules.rule import (
    AUTOSCALER_CLASS,
    DEPLOYMENT_MODE,
    KNATIVE,
    STANDARD,
    WEBHOOK_SOURCE,
    CheckedObject,
    Rule,
    issue_url,
)

_CLASSES = ("hpa", "keda", "external", "none")
_NAMES = {"Standard": STANDARD, "RawDeployment": STANDARD, "Knative": KNATIVE, "Serverless": KNATIVE}
_MODE_PLACE = ("metadata", "annotations", DEPLOYMENT_MODE)
_CLASS_PLACE = ("metadata", "annotations", AUTOSCALER_CLASS)


def _check_mode(obj: CheckedObject) -> Iterator[Violation]:
    modes = (STANDARD[obj.kserve], KNATIVE[obj.kserve])
    given = obj.at(*_MODE_PLACE)
    if given is None:
        if obj.of_repository:
            yield Violation(where=_MODE_PLACE, message=f"is missing; KServe {obj.kserve} accepts {' and '.join(modes)}")
    elif isinstance(given, str) and given not in modes:
        same = _NAMES.get(given)
        hint = f"set it to {same[obj.kserve]}" if same else ""
        message = f"is {given!r}; KServe {obj.kserve} accepts {' and '.join(modes)}"
        yield Violation(where=_MODE_PLACE, message=message, hint=hint)


def _check_class(obj: CheckedObject) -> Iterator[Violation]:
    given = obj.at(*_CLASS_PLACE)
    if given is None:
        if obj.standard and obj.of_repository:
            yield Violation(where=_CLASS_PLACE, message="is missing, so KServe's webhook checks no scaling field")
    elif isinstance(given, str) and given not in _CLASSES:
        yield Violation(where=_CLASS_PLACE, message=f"is {given!r}; it must be one of {', '.join(_CLASSES)}")


def _check_keda(obj: CheckedObject) -> Iterator[Violation]:
    scaled = any(obj.at("spec", name, "autoScaling") for name in obj.components)
    if obj.standard and obj.at(*_CLASS_PLACE) == "keda" and not scaled:
        yield Violation(where=_CLASS_PLACE, message="is keda, but no component has autoScaling")


RULES = (
    Rule(
        id="deployment-mode",
        covers=("L02",),
        summary="The deployment mode is set, by the name that the cluster's KServe version has for it.",
        why="The default differs between clusters. With an old name (RawDeployment, Serverless), KServe 0.16 and "
        "0.17.0 refuse each update, also the one that deletes. Newer versions rewrite the name, so Argo CD always "
        "shows OutOfSync.",
        fix="set kserve.version and kserve.mode in m2g.yaml to what the cluster has, then run `m2g render --locked`",
        link=issue_url(5885),
        check=_check_mode,
    ),
    Rule(
        id="autoscaler-class",
        covers=("V2", "V6", "L03"),
        summary="In Standard mode the autoscaler class is set, to one that KServe has.",
        why="The webhook compares the annotation's exact text. Without the annotation it checks no scaling field.",
        fix="set settings.autoscaler in model.yaml to hpa, keda, external or none",
        link=WEBHOOK_SOURCE,
        check=_check_class,
    ),
    Rule(
        id="keda-autoscaling",
        covers=("V3",),
        summary="In Standard mode, the autoscaler class keda needs a component with autoScaling.",
        why="KServe creates a ScaledObject only from autoScaling; without it nothing scales.",
        fix="add spec.predictor.autoScaling, or use the autoscaler class hpa",
        link=WEBHOOK_SOURCE,
        check=_check_keda,
    ),
)
