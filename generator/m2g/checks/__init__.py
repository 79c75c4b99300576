"""Rules about built objects and about people's components. To add rules: a file with RULES, and its name here."""

from __future__ import annotations

from m2g.checks import implementation, kustomization, mode, names, scaling, storage_uri
from m2g.checks.rule import COMPONENT, Fault, Rule, Subject
from m2g.finding import Finding
from m2g.manifest import path_text

RULES: tuple[Rule, ...] = (
    *names.RULES,
    *mode.RULES,
    *scaling.RULES,
    *implementation.RULES,
    *storage_uri.RULES,
    *kustomization.RULES,
)

__all__ = ["COMPONENT", "RULES", "Fault", "Rule", "Subject", "check"]


def check(subject: Subject) -> list[Finding]:
    """Every finding of every rule about this kind of object; who asks says which file it is."""
    kind = subject.at("kind")
    return [
        Finding(
            rule=rule.id,
            severity=rule.severity,
            message=fault.message,
            hint=fault.hint or rule.fix,
            path=path_text(fault.place),
        )
        for rule in RULES
        if rule.kind == kind
        for fault in rule.check(subject)
    ]
