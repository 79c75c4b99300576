"""The two annotations by which KServe decides how to deploy; leaving either out means the cluster decides."""

from __future__ import annotations

from collections.abc import Iterator

from m2g.validation.rules.rule import CLASS, KNATIVE, MODE, STANDARD, VALIDATION, Fault, Rule, Subject, issue

_CLASSES = ("hpa", "keda", "external", "none")
_WORDS = {"Standard": STANDARD, "RawDeployment": STANDARD, "Knative": KNATIVE, "Serverless": KNATIVE}
_MODE_PLACE = ("metadata", "annotations", MODE)
_CLASS_PLACE = ("metadata", "annotations", CLASS)


def _mode(subject: Subject) -> Iterator[Fault]:
    words = (STANDARD[subject.kserve], KNATIVE[subject.kserve])
    given = subject.at(*_MODE_PLACE)
    if given is None:
        yield Fault(place=_MODE_PLACE, message=f"is missing; KServe {subject.kserve} knows {' and '.join(words)}")
    elif isinstance(given, str) and given not in words:
        same = _WORDS.get(given)
        hint = f"write {same[subject.kserve]}" if same else ""
        message = f"is {given!r}; KServe {subject.kserve} knows {' and '.join(words)}"
        yield Fault(place=_MODE_PLACE, message=message, hint=hint)


def _class(subject: Subject) -> Iterator[Fault]:
    given = subject.at(*_CLASS_PLACE)
    if given is None:
        if subject.standard:
            yield Fault(place=_CLASS_PLACE, message="is missing, so KServe's webhook checks no scaling at all")
    elif isinstance(given, str) and given not in _CLASSES:
        yield Fault(place=_CLASS_PLACE, message=f"is {given!r}; it must be one of {', '.join(_CLASSES)}")


def _keda(subject: Subject) -> Iterator[Fault]:
    scaled = any(subject.at("spec", name, "autoScaling") for name in subject.components)
    if subject.at(*_CLASS_PLACE) == "keda" and not scaled:
        yield Fault(place=_CLASS_PLACE, message="is keda, but no component has autoScaling")


RULES = (
    Rule(
        id="deployment-mode",
        covers=("L02",),
        summary="The deployment mode is said, in the word of the cluster's KServe version.",
        why="The default differs between installs. Since 0.16 an object with an old word (RawDeployment, Serverless) "
        "can neither be updated nor deleted.",
        fix="set kserve.version and kserve.mode in m2g.yaml to what the cluster has; m2g writes the word",
        link=issue(5885),
        check=_mode,
    ),
    Rule(
        id="autoscaler-class",
        covers=("V2", "V6", "L03"),
        summary="In Standard mode the autoscaler class is said, and is one that KServe has.",
        why="The webhook reads the annotation as it is written. Without it no scaling field is checked at all.",
        fix="set the setting autoscaler to hpa, keda, external or none",
        link=VALIDATION,
        check=_class,
    ),
    Rule(
        id="keda-autoscaling",
        covers=("V3",),
        summary="With the autoscaler class keda at least one component has autoScaling.",
        why="KServe makes a ScaledObject of autoScaling only; without it nothing would scale.",
        fix="add spec.predictor.autoScaling, or use hpa",
        link=VALIDATION,
        check=_keda,
    ),
)
