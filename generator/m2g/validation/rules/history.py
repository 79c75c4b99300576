"""What must not change for an object that exists: compared with where the branch left its base (--against)."""

from __future__ import annotations

from collections.abc import Iterator

from m2g.core.manifest import get_at
from m2g.validation.rules.rule import FLEET, MODE, VALIDATION, Fault, Rule, Subject, issue

_RENAMED = {"RawDeployment": "Standard", "Serverless": "Knative"}
_NAME = ("spec", "predictor", "name")
_URI = ("spec", "predictor", "model", "storageUri")


def _mode(subject: Subject) -> Iterator[Fault]:
    place = ("metadata", "annotations", MODE)
    was, now = get_at(subject.before, *place), subject.at(*place)
    if isinstance(was, str) and isinstance(now, str) and now not in (was, _RENAMED.get(was)):
        yield Fault(place=place, message=f"is {now}, but the service exists as {was}: KServe refuses the update")


def _name(subject: Subject) -> Iterator[Fault]:
    if subject.before is None or "predictor" not in subject.mapping("spec"):
        return
    was, now = get_at(subject.before, *_NAME) or "", subject.at(*_NAME) or ""
    if was != now and (get_at(subject.before, *_URI) or "") == (subject.at(*_URI) or ""):
        message = f"is {now or 'gone'}, was {was or 'not there'}, but model.storageUri is the same"
        yield Fault(place=_NAME, message=message)


def _removed(subject: Subject) -> Iterator[Fault]:
    names = [str(name) for name in subject.items("removed")]
    allowed = subject.number("allowed") or 0
    if len(names) > allowed:
        shown = ", ".join(names[:10]) + (f" and {len(names) - 10} more" if len(names) > 10 else "")
        message = f"{len(names)} InferenceServices are removed, more than the {allowed} that are allowed: {shown}"
        yield Fault(place=("removals",), message=message)


RULES = (
    Rule(
        id="history-mode",
        covers=("V21", "L24"),
        summary="The deployment mode of a service that exists does not change, but from an old word to the new.",
        why="The webhook refuses the update. RawDeployment to Standard and Serverless to Knative are accepted: "
        "they are the same modes.",
        fix="give the model another slug in m2g.yaml (models.slugs), and retire the old one when the new one serves",
        link=issue(5885),
        check=_mode,
    ),
    Rule(
        id="history-predictor-name",
        covers=("V22", "L23"),
        summary="spec.predictor.name changes only together with model.storageUri.",
        why="A new name promotes a canary, which is another model; the webhook refuses it for the same one.",
        fix="keep the name, or promote: take the canary's name and its storageUri",
        link=VALIDATION,
        check=_name,
    ),
    Rule(
        id="history-removals",
        covers=("L25",),
        kinds=(FLEET,),
        summary="A change removes no more InferenceServices than m2g.yaml allows (removals).",
        why="A wiped registry, a wrong filter or a lost folder must not take a fleet down by one merge.",
        fix="if it is meant: `m2g validate --allow-removals N`, or raise removals in m2g.yaml; else restore the files",
        link="https://argo-cd.readthedocs.io/en/stable/user-guide/auto_sync/#automatic-pruning",
        check=_removed,
    ),
)
