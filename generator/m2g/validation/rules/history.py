"""What must not change in an existing object, compared with the merge base (`--against`)."""

from __future__ import annotations

from collections.abc import Iterator

from m2g.core.manifest import get_at
from m2g.core.schema_errors import Violation
from m2g.validation.rules.rule import DEPLOYMENT_MODE, FLEET, WEBHOOK_SOURCE, CheckedObject, Rule, issue_url

_RENAMED = {"RawDeployment": "Standard", "Serverless": "Knative"}
_NAME = ("spec", "predictor", "name")
_URI = ("spec", "predictor", "model", "storageUri")


def _check_mode(obj: CheckedObject) -> Iterator[Violation]:
    place = ("metadata", "annotations", DEPLOYMENT_MODE)
    was, now = get_at(obj.before, *place), obj.at(*place)
    if isinstance(was, str) and isinstance(now, str) and now not in (was, _RENAMED.get(was)):
        yield Violation(where=place, message=f"is {now}, but the existing service has {was}; KServe refuses the change")


def _check_name(obj: CheckedObject) -> Iterator[Violation]:
    if obj.before is None or "predictor" not in obj.mapping("spec"):
        return
    was, now = get_at(obj.before, *_NAME) or "", obj.at(*_NAME) or ""
    if was != now and (get_at(obj.before, *_URI) or "") == (obj.at(*_URI) or ""):
        message = f"changes from {was or 'no name'} to {now or 'no name'}, but model.storageUri stays the same"
        yield Violation(where=_NAME, message=message)


def _check_removed(obj: CheckedObject) -> Iterator[Violation]:
    names = [str(name) for name in obj.items("removed")]
    allowed = obj.number("allowed") or 0
    if len(names) > allowed:
        shown = ", ".join(names[:10]) + (f" and {len(names) - 10} more" if len(names) > 10 else "")
        message = f"this change removes {len(names)} InferenceServices, but at most {allowed} may go: {shown}"
        hint = (
            f"restore the files, or add `--allow-removals {len(names)}` to this command if the removal is intended, "
            "or raise removals in m2g.yaml"
        )
        yield Violation(where=("removals",), message=message, hint=hint)


RULES = (
    Rule(
        id="history-mode",
        covers=("V21", "L24"),
        summary="An existing service keeps its deployment mode; only the mode's name may change.",
        why="The webhook refuses the update. It accepts RawDeployment to Standard and Serverless to Knative, because "
        "these are the same modes.",
        fix="give the model another slug in m2g.yaml (models.slugs), and retire the old one when the new one serves",
        link=issue_url(5885),
        check=_check_mode,
    ),
    Rule(
        id="history-predictor-name",
        covers=("V22", "L23"),
        summary="spec.predictor.name changes only together with model.storageUri.",
        why="A new name promotes a canary, which is another model; the webhook refuses a new name for the same model.",
        fix="keep the name, or promote the canary: use both its name and its storageUri",
        link=WEBHOOK_SOURCE,
        check=_check_name,
    ),
    Rule(
        id="history-removals",
        covers=("L25",),
        kinds=(FLEET,),
        summary="A change removes no more InferenceServices than m2g.yaml allows (removals).",
        why="An emptied registry, a wrong filter or a lost folder must not remove a fleet with one merge.",
        fix="restore the files; if the removal is intended, run `m2g validate --against REF --allow-removals N`, or "
        "raise removals in m2g.yaml",
        link="https://argo-cd.readthedocs.io/en/stable/user-guide/auto_sync/#automatic-pruning",
        check=_check_removed,
    ),
)
