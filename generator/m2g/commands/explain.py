"""`m2g explain`: what a rule asks, why, and how to do it right; what any other finding means."""

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
from m2g.validation import rules as checks
from m2g.validation.rules.page import RulePage

_FOLDER = Path(checks.__file__).parent / "examples"
_WORDS = Path(checks.__file__).parent / "findings.yaml"
_LINK = re.compile(r"\[([^]]+)\]\([^)]+\)")
_PART = re.compile(r"^(bad|good|with):\n", re.MULTILINE)


def pages() -> list[RulePage]:
    """Every rule, in the order in which they are checked; those that the schemas keep come last."""
    return [*(_of_rule(rule) for rule in checks.RULES), *(_of_schema(item) for item in rules.SCHEMA_RULES)]


def others() -> list[RulePage]:
    """Every finding that is of no rule, by name: what it means and what to do, without an example."""
    return [
        RulePage(
            id=name,
            finding=name,
            severity=Severity(text.get("severity", "error")),
            summary=_plain(text["meaning"]),
            fix=_plain(text["fix"]),
        )
        for name, text in sorted(words().items())
    ]


def words() -> dict[str, dict[str, str]]:
    """Finding to what is said of it in Markdown: `meaning`, `fix`, `from` (its group), `severity` of a warning."""
    (found,) = manifest.read_all(_WORDS.read_text())
    return msgspec.convert(found, dict[str, dict[str, str]])


def explain(rule: str) -> RulePage:
    """The page of one rule or finding. Raises InputError for what is neither."""
    rules = {page.id: page for page in pages()}
    known = {page.id: page for page in others()} | rules
    if rule in {page.finding for page in rules.values()} - set(rules):
        hint = f"the finding says what the field's schema wants; `m2g explain` lists {rule}-… for KServe's own rules"
        raise InputError(f"{rule} is no single rule", hint=hint)
    if rule in known:
        return known[rule]
    near = schema_errors.suggest(rule, list(known))
    hint = f"did you mean {near}?" if near else "`m2g explain` lists all rules"
    raise InputError(f"there is no rule {rule[:80]!r}", hint=hint)


def example(rule: str) -> Mapping[str, str]:
    """The parts of a rule's example as YAML: `bad`, `good`, and `with`, what else is so; only the lines that matter."""
    parts = _PART.split((_FOLDER / f"{rule}.yaml").read_text())[1:]
    return {name: textwrap.dedent(text) for name, text in zip(parts[::2], parts[1::2], strict=True)}


def _plain(markdown: str) -> str:
    return _LINK.sub(r"\1", markdown)


def _of_rule(rule: checks.Rule) -> RulePage:
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
        **_shown(rule.id),
    )


def _of_schema(item: rules.SchemaRule) -> RulePage:
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
        **_shown(item.id),
    )


def _kinds(kinds: Sequence[str]) -> tuple[str, ...]:
    return tuple(kinds) or ("every object",)


def _shown(rule: str) -> dict[str, str]:
    parts = example(rule)
    return {"bad": parts["bad"], "good": parts["good"], "given": parts.get("with", "")}
