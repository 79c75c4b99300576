"""Rules for built objects and hand-written components. To add rules, write a module with RULES and list it here."""

from __future__ import annotations

import functools

from m2g.core.finding import Finding
from m2g.validation.rules import (
    caches,
    canary,
    credentials,
    env,
    graph,
    history,
    images,
    knative,
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
    selection,
    serving_runtime,
    storage,
    storage_uri,
    stored_form,
    substitution,
    worker,
)
from m2g.validation.rules.containers import INFERENCE_SERVICE
from m2g.validation.rules.rule import COMPONENT, FLEET, CheckedObject, Rule
from m2g.validation.rules.schema_rules import SCHEMA_RULES, SchemaRule

RULES: tuple[Rule, ...] = (
    *names.RULES,
    *mode.RULES,
    *scaling.RULES,
    *mode_fields.RULES,
    *knative.RULES,
    *predictor.RULES,
    *canary.RULES,
    *worker.RULES,
    *storage_uri.RULES,
    *storage.RULES,
    *selection.RULES,
    *runtime.RULES,
    *graph.RULES,
    *serving_runtime.RULES,
    *caches.RULES,
    *scope.RULES,
    *probes.RULES,
    *resources.RULES,
    *stored_form.RULES,
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
    "COMPONENT",
    "FLEET",
    "INFERENCE_SERVICE",
    "RULES",
    "SCHEMA_RULES",
    "CheckedObject",
    "Rule",
    "SchemaRule",
    "check",
]


def check(obj: CheckedObject) -> list[Finding]:
    """The findings of every rule for this kind of object. The caller adds the file."""
    kind = obj.at("kind")
    rules = _rules_for(kind) if isinstance(kind, str) else tuple(rule for rule in RULES if rule.applies_to(kind))
    return [
        Finding(
            rule=rule.id,
            severity=rule.severity,
            message=violation.message,
            hint=violation.hint or rule.fix,
            path=violation.path,
        )
        for rule in rules
        for violation in rule.check(obj)
    ]


@functools.lru_cache(maxsize=256)
def _rules_for(kind: str) -> tuple[Rule, ...]:
    return tuple(rule for rule in RULES if rule.applies_to(kind))
