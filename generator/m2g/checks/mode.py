"""The two annotations by which KServe decides how to deploy; leaving either out means the cluster decides."""

from __future__ import annotations

from collections.abc import Iterator

from m2g.checks.rule import CLASS, KNATIVE, MODE, STANDARD, Fault, Rule, Subject

_CLASSES = ("hpa", "keda", "external", "none")
_WORDS = {"Standard": STANDARD, "RawDeployment": STANDARD, "Knative": KNATIVE, "Serverless": KNATIVE}
_MODE_PLACE = ("metadata", "annotations", MODE)
_CLASS_PLACE = ("metadata", "annotations", CLASS)


def _mode(subject: Subject) -> Iterator[Fault]:
    words = (STANDARD[subject.kserve], KNATIVE[subject.kserve])
    given = subject.at(*_MODE_PLACE)
    if given is None:
        yield Fault(place=_MODE_PLACE, message=f"is missing; KServe {subject.kserve} knows {' and '.join(words)}")
    elif given not in words:
        same = _WORDS.get(str(given))
        hint = f"write {same[subject.kserve]}" if same else ""
        message = f"is {given!r}; KServe {subject.kserve} knows {' and '.join(words)}"
        yield Fault(place=_MODE_PLACE, message=message, hint=hint)


def _class(subject: Subject) -> Iterator[Fault]:
    given = subject.at(*_CLASS_PLACE)
    if given is None:
        if subject.standard:
            yield Fault(place=_CLASS_PLACE, message="is missing, so KServe's webhook checks no scaling at all")
    elif given not in _CLASSES:
        yield Fault(place=_CLASS_PLACE, message=f"is {given!r}; it must be one of {', '.join(_CLASSES)}")
    elif given == "keda" and not any(subject.at("spec", name, "autoScaling") for name in subject.components()):
        message = "is keda, but no component has autoScaling"
        yield Fault(place=_CLASS_PLACE, message=message, hint="add spec.predictor.autoScaling, or use hpa")


RULES = (
    Rule(
        id="deployment-mode",
        summary="The deployment mode is said, in the word of the cluster's KServe version.",
        fix="set kserve.version and kserve.mode in m2g.yaml to what the cluster has; m2g writes the word",
        check=_mode,
        why="the default differs between installs; old words break updates since 0.16 (kserve#5885)",
    ),
    Rule(
        id="autoscaler-class",
        summary="In Standard mode the autoscaler class is said, and is one that KServe has.",
        fix="set the setting autoscaler to hpa, keda, external or none",
        check=_class,
        why="KServe's webhook reads the literal annotation",
    ),
)
