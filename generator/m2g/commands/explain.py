"""`m2g explain`: what a rule checks, why, and how to fix a finding; what every other finding means."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec

from m2g.core import manifest, schema_errors
from m2g.core.errors import InputError
from m2g.core.finding import Severity
from m2g.validation import rules
from m2g.validation.rules.page import RulePage

_FOLDER = Path(rules.__file__).parent / "examples"
_FINDINGS = Path(rules.__file__).parent / "findings.yaml"
_LINK = re.compile(r"\[([^]]+)\]\([^)]+\)")
_PART = re.compile(r"^(bad|good|with):\n", re.MULTILINE)


def list_rules() -> list[RulePage]:
    """Every rule, in the order in which m2g checks them. Rules that the schemas enforce come last."""
    return [
        *(_describe_rule(rule) for rule in rules.RULES),
        *(_describe_schema_rule(item) for item in rules.SCHEMA_RULES),
    ]


def list_findings() -> list[RulePage]:
    """Every finding that belongs to no rule, by name: what it means and how to fix it, without an example."""
    return [
        RulePage(
            id=name,
            finding=name,
            severity=Severity(text.get("severity", "error")),
            summary=_remove_links(text["meaning"]),
            fix=_remove_links(text["fix"]),
        )
        for name, text in sorted(read_finding_texts().items())
    ]


def read_finding_texts() -> dict[str, dict[str, str]]:
    """Finding → its texts in Markdown: `meaning`, `fix`, `from` (its group), and `severity` if it is a warning."""
    (document,) = manifest.read_all(_FINDINGS.read_text())
    return msgspec.convert(document, dict[str, dict[str, str]])


def explain(rule: str) -> RulePage:
    """The page of one rule or finding. Raises InputError if there is none with this name."""
    known = {page.id: page for page in (*list_findings(), *list_rules())}
    if rule in known:
        return known[rule]
    near = schema_errors.suggest(rule, list(known))
    hint = f"did you mean this? m2g explain {near}" if near else "list all rules: m2g explain"
    raise InputError(f"there is no rule {rule[:80]!r}", hint=hint)


def read_example(rule: str) -> Mapping[str, str]:
    """The parts of a rule's example as YAML: `bad`, `good`, and `with` (the context). Only the lines that matter."""
    parts = _PART.split((_FOLDER / f"{rule}.yaml").read_text())[1:]
    return {name: textwrap.dedent(text) for name, text in zip(parts[::2], parts[1::2], strict=True)}


def _remove_links(markdown: str) -> str:
    return _LINK.sub(r"\1", markdown)


def _describe_rule(rule: rules.Rule) -> RulePage:
    return RulePage(
        id=rule.id,
        finding=rule.id,
        severity=rule.severity,
        summary=rule.summary,
        why=rule.why,
        fix=rule.fix,
        link=rule.link,
        covers=rule.covers,
        kinds=_kinds(rule.kinds),
        **_format_example(rule.id),
    )


def _describe_schema_rule(item: rules.SchemaRule) -> RulePage:
    return RulePage(
        id=item.id,
        finding="schema",
        severity=Severity.ERROR,
        summary=item.summary,
        why=item.why,
        fix=item.fix,
        link=item.link,
        covers=item.covers,
        kinds=("InferenceService",),
        **_format_example(item.id),
    )


def _kinds(kinds: Sequence[str]) -> tuple[str, ...]:
    return tuple(kinds) or ("every object",)


def _format_example(rule: str) -> dict[str, str]:
    parts = read_example(rule)
    return {"bad": parts["bad"], "good": parts["good"], "given": parts.get("with", "")}
