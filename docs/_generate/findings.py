"""findings.md: every rule id that the package can report, with its words."""

from __future__ import annotations

import ast
import inspect
import re
from collections.abc import Container, Iterator, Mapping
from pathlib import Path

from docs._generate.words import Stale, table

import m2g
from m2g.core import finding
from m2g.core.stamp import StampState
from m2g.validation import rules as checks

PACKAGE = Path(inspect.getfile(m2g)).parent
_GROUPS = {
    "input": "Files that people write (`render` and `validate`)",
    "registry": "Facts from the registry (`render`)",
    "model": "One model's settings and storage (`render`)",
    "tree": "The tree and its records (`render` and `validate`)",
    "validate": "Overlays (`validate`)",
    "rule": "Built objects and components (`validate`); [rules.md](rules.md) has an example of each",
}
_FINDINGS = """# Findings

A finding names a rule, a file, a line if it is known, the place inside the file or object, and what to do. Errors
make the command exit with 1 (with 2 if the input itself is wrong); warnings do not. A model with an error keeps its
files, and the others continue. `m2g explain NAME` prints the same text.
"""


def rule_ids() -> dict[str, finding.Severity]:
    """Every rule id that the package can report, with its severity. Raises Stale for a rule written in a new way."""
    found: dict[str, finding.Severity] = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        tree = ast.parse(path.read_text())
        for call in ast.walk(tree):
            if isinstance(call, ast.Call) and getattr(call.func, "id", "") == "Finding":
                given = {keyword.arg: keyword.value for keyword in call.keywords}
                warns = "severity" in given and ast.unparse(given["severity"]) == "Severity.WARNING"
                severity = finding.Severity.WARNING if warns else finding.Severity.ERROR
                found |= dict.fromkeys(_ids(given["rule"], tree), severity)
    return dict(sorted((found | {rule.id: rule.severity for rule in checks.RULES}).items()))


def _ids(expression: ast.expr, tree: ast.Module) -> Iterator[str]:
    match expression:
        case ast.Constant(value=str(text)):
            yield text
        case ast.IfExp():
            yield from (*_ids(expression.body, tree), *_ids(expression.orelse, tree))
        case ast.JoinedStr(values=[ast.Constant(value=str(prefix)), ast.FormattedValue()]):  # record-<mark>
            yield from (f"{prefix}{mark}" for mark in StampState if mark is not StampState.OURS)
        case ast.Name(id=name):
            found = [*_handed(name, tree), *_tabled(tree)]
            if not found:
                raise Stale(f"docs/_generate/findings.py finds no ids for {name}")
            yield from found
        case ast.Attribute(attr="id"):
            return  # those of checks.RULES
        case _:
            raise Stale(f"docs/_generate/findings.py cannot read the rule in {ast.unparse(expression)}")


def _handed(name: str, tree: ast.Module) -> Iterator[str]:
    """Ids given to a function of the module that has a parameter of this name."""
    places = {
        node.name: [argument.arg for argument in node.args.args].index(name)
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef) and name in [argument.arg for argument in node.args.args]
    }
    for call in ast.walk(tree):
        place = places.get(getattr(call.func, "id", "")) if isinstance(call, ast.Call) else None
        if isinstance(call, ast.Call) and place is not None and place < len(call.args):
            yield from _ids(call.args[place], tree)


def _tabled(tree: ast.Module) -> Iterator[str]:
    """Ids that begin a row (id, message, hint) of a table of the module."""
    for row in ast.walk(tree):
        if isinstance(row, ast.Tuple) and len(row.elts) > 2 and isinstance(row.elts[0], ast.Constant):
            text = row.elts[0].value
            if isinstance(text, str) and re.fullmatch(r"[a-z]+(-[a-z0-9]+)+", text):
                yield text


def page(words: Mapping[str, Mapping[str, str]]) -> str:
    ids, rules = rule_ids(), {rule.id: rule for rule in checks.RULES}
    if missing := sorted(set(ids) - set(words) - set(rules)):
        raise Stale(f"m2g/validation/rules/findings.yaml has no words for {', '.join(missing)}")
    if left := sorted(set(words) - set(ids)):
        raise Stale(f"m2g/validation/rules/findings.yaml has words for nothing: {', '.join(left)}")
    if wrong := sorted(name for name, text in words.items() if text.get("severity", "error") != ids[name]):
        raise Stale(f"m2g/validation/rules/findings.yaml has another severity for {', '.join(wrong)}")
    said = {
        name: words.get(name) or {"from": "rule", "meaning": rules[name].summary, "fix": _sentence(rules[name].fix)}
        for name in ids
    }
    parts = [_FINDINGS]
    for title, about in _GROUPS.items():
        rows = [
            (_name(name, rules), str(ids[name]), text["meaning"], text["fix"])
            for name, text in said.items()
            if text["from"] == title
        ]
        parts += [f"\n## {about}\n", table(("rule", "severity", "meaning", "what to do"), rows)]
    if unknown := {text["from"] for text in said.values()} - set(_GROUPS):
        raise Stale(f"m2g/validation/rules/findings.yaml: no group {unknown}")
    return "\n".join(parts)


def _name(name: str, rules: Container[str]) -> str:
    return f'<a id="{name}"></a>' + (f"[{name}](rules.md#{name})" if name in rules else f"`{name}`")


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:].rstrip(".") + "."
