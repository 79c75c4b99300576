"""Rules about built objects and about people's components. To add rules: a file with RULES, and its name here."""

from __future__ import annotations

import functools

from m2g.core.field_path import format_path
from m2g.core.finding import Finding
from m2g.validation.rules import (
    canary,
    credentials,
    env,
    graph,
    history,
    images,
    kustomization,
    metadata,
    mode,
    mode_fields,
    names,
    predictor,
    probes,
    references,
    resources,
    runtime,
    scaling,
    scope,
    storage,
    storage_uri,
    substitution,
    worker,
)
from m2g.validation.rules.containers import INFERENCE_SERVICE
from m2g.validation.rules.rule import COMPONENT, FLEET, Fault, Rule, Subject
from m2g.validation.rules.schema_rules import BY_SCHEMA, Covered

RULES: tuple[Rule, ...] = (
    *names.RULES,
    *mode.RULES,
    *scaling.RULES,
    *mode_fields.RULES,
    *predictor.RULES,
    *canary.RULES,
    *worker.RULES,
    *storage_uri.RULES,
    *storage.RULES,
    *runtime.RULES,
    *graph.RULES,
    *scope.RULES,
    *probes.RULES,
    *resources.RULES,
    *images.RULES,
    *env.RULES,
    *metadata.RULES,
    *references.RULES,
    *substitution.RULES,
    *credentials.RULES,
    *history.RULES,
    *kustomization.RULES,
)

__all__ = [
    "BY_SCHEMA",
    "COMPONENT",
    "FLEET",
    "INFERENCE_SERVICE",
    "RULES",
    "Covered",
    "Fault",
    "Rule",
    "Subject",
    "check",
]


def check(subject: Subject) -> list[Finding]:
    """Every finding of every rule about this kind of object; who asks says which file it is."""
    kind = subject.at("kind")
    rules = _concerning(kind) if isinstance(kind, str) else tuple(rule for rule in RULES if rule.concerns(kind))
    return [
        Finding(
            rule=rule.id,
            severity=rule.severity,
            message=fault.message,
            hint=fault.hint or rule.fix,
            path=format_path(fault.place),
        )
        for rule in rules
        for fault in rule.check(subject)
    ]


@functools.lru_cache(maxsize=256)
def _concerning(kind: str) -> tuple[Rule, ...]:
    return tuple(rule for rule in RULES if rule.concerns(kind))
