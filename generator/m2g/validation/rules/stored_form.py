"""Git has what the cluster stores: the findings are the differences of `serving.stored`, each with its reason."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec
from msgspec import UNSET

from m2g.core.finding import Severity
from m2g.core.schema_errors import Violation
from m2g.serving.stored import LEGACY_FORMATS, Difference
from m2g.validation.rules.containers import INFERENCE_SERVICE, RUNTIMES
from m2g.validation.rules.rule import DEPLOYMENT_MODE, CheckedObject, Rule, issue_url

_AMOUNTS = ("requests", "limits")


def _check_quantities(obj: CheckedObject) -> Iterator[Violation]:
    for found in obj.differences:
        if _is_quantity(found):
            shown = f"{found.given!r}" if isinstance(found.given, str) else f"the number {found.given}"
            message = f"is {shown}; the cluster stores {found.stored!r}"
            yield Violation(where=found.place, message=message, hint=f'set it to "{found.stored}"')


def _check_empty(obj: CheckedObject) -> Iterator[Violation]:
    for found in obj.differences:
        if _is_empty_variable(found):
            message = f"is empty; the webhook of KServe {obj.kserve} removes it, so Git and the cluster always differ"
            yield Violation(where=found.place, message=message)


def _check_others(obj: CheckedObject) -> Iterator[Violation]:
    for found in obj.differences:
        if not (_is_quantity(found) or _is_empty_variable(found) or _has_own_rule(found)):
            yield _describe(found)


def _describe(found: Difference) -> Violation:
    if found.stored is UNSET:
        message, hint = f"is {_show(found.given)}, which the cluster does not store", "remove it"
    elif found.given is UNSET:
        message = f"is missing in a list; the cluster stores {_show(found.stored)}"
        hint = f"add {found.place[-1]}: {_show(found.stored)}"
    else:
        message = f"is {_show(found.given)}; the cluster stores {_show(found.stored)}"
        hint = f"set it to {_show(found.stored)}"
    return Violation(where=found.place, message=message, hint=hint)


def _show(value: object) -> str:
    text = msgspec.json.encode(value, enc_hook=str).decode()
    return text if len(text) <= 120 else f"{text[:117]}..."


def _is_quantity(found: Difference) -> bool:
    changed = found.given is not UNSET and found.stored is not UNSET
    return changed and (found.place[-2] in _AMOUNTS or found.place[-1] in ("divisor", "sizeLimit"))


def _is_empty_variable(found: Difference) -> bool:
    return found.stored is UNSET and found.place[-1] == "value" and "env" in found.place[-3:]


def _has_own_rule(found: Difference) -> bool:
    """`deployment-mode`, `legacy-framework` and `probe-port` say more about these."""
    return found.place[-1] in (DEPLOYMENT_MODE, *LEGACY_FORMATS) or (
        found.place[-1] == "port" and found.place[-2] in ("httpGet", "tcpSocket")
    )


RULES = (
    Rule(
        id="quantity-canonical",
        covers=("L15",),
        severity=Severity.WARNING,
        summary="Quantities are strings in the form that the cluster stores: 500m, 1, 2Gi.",
        why="The webhook rewrites 0.5, 1000m and 2048Mi. Argo CD compares the text and always shows OutOfSync.",
        fix="write the quantity in the form that the cluster stores",
        link=issue_url(2232),
        check=_check_quantities,
    ),
    Rule(
        id="env-empty",
        covers=("L22",),
        severity=Severity.WARNING,
        summary="For KServe 0.19 and older, no environment variable has an empty value.",
        why="The webhook drops an empty value when it writes the object back, so Argo CD always shows OutOfSync. "
        "KServe 0.20 and newer keep it.",
        fix="remove value: a variable without it is empty",
        link=issue_url(2232),
        check=_check_empty,
    ),
    Rule(
        id="stored-form",
        kinds=(INFERENCE_SERVICE, *RUNTIMES),
        severity=Severity.WARNING,
        summary="Git has what the cluster stores: no value changes, and lists have their defaults.",
        why="The CRD and KServe's webhook set defaults. Argo CD compares a list of a custom resource as a whole, so a "
        "default that is added inside a list always shows OutOfSync. So does a value that the webhook changes.",
        fix="write the value that the cluster stores",
        link=issue_url(2232),
        check=_check_others,
    ),
)
