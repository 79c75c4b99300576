"""Findings as SARIF 2.1.0 (OASIS), which GitHub code scanning, Azure DevOps and editors read."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from importlib.metadata import version
from urllib.parse import quote

import msgspec

from m2g.core.finding import Checked, Finding
from m2g.core.sanitize import make_visible
from m2g.report.gitlab import DEFAULT_FILE
from m2g.report.layout import encode_json, format_message, make_fingerprints
from m2g.validation.rules import RULES, Rule

_LONG = 2000
_PROJECT = "https://github.com/m2g-dev/m2g"
_SCHEMA = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"
_FINGERPRINT = "m2g/v1"


def render(findings: Sequence[Finding], checked: Checked) -> str:
    """One log with one run; it describes each rule that a finding names."""
    rules = sorted({item.rule for item in findings})
    known = {rule.id: rule for rule in RULES}
    run = {
        "tool": {
            "driver": {
                "name": "m2g",
                "version": version("mlflow-gitops"),
                "informationUri": _PROJECT,
                "rules": [_described(rule, known.get(rule)) for rule in rules],
            }
        },
        "automationDetails": {"id": "m2g/validate/"},
        "columnKind": "unicodeCodePoints",
        "invocations": [{"executionSuccessful": True}],
        "properties": {"checked": msgspec.to_builtins(checked)},
        "results": [
            _result(item, rules.index(item.rule), fingerprint)
            for item, fingerprint in zip(findings, make_fingerprints(findings), strict=True)
        ],
    }
    return encode_json({"$schema": _SCHEMA, "version": "2.1.0", "runs": [run]})


def _described(name: str, rule: Rule | None) -> dict[str, object]:
    if rule is None:
        return {"id": make_visible(name), "helpUri": f"{_PROJECT}/blob/main/docs/reference/findings.md"}
    markdown = f"{rule.why}\n\n**Fix:** {rule.fix}\n\n[Source]({rule.link})"
    text = f"{rule.why}\n\nFix: {rule.fix}\n\nRun `m2g explain {rule.id}` to see an example."
    return {
        "id": rule.id,
        "shortDescription": {"text": rule.summary},
        "fullDescription": {"text": rule.why},
        "help": {"text": text, "markdown": markdown},
        "helpUri": rule.link,
        "defaultConfiguration": {"level": str(rule.severity)},
        "properties": {"tags": ["kserve", *rule.covers]},
    }


def _result(item: Finding, index: int, fingerprint: str) -> dict[str, object]:
    path = make_visible(item.file, _LONG).lstrip("/")
    return {
        "ruleId": make_visible(item.rule),
        "ruleIndex": index,
        "level": str(item.severity),
        "message": {"text": _message(item)},
        "locations": [
            {
                "physicalLocation": {
                    "artifactLocation": {"uri": quote(path or DEFAULT_FILE)},
                    "region": {"startLine": max(item.line, 1)},
                },
                "logicalLocations": list(_logical(item)),
            }
        ],
        "partialFingerprints": {_FINGERPRINT: fingerprint},
    }


def _message(item: Finding) -> str:
    """Plain text; a SARIF reader would turn `[words](target)` into a link, and the text may be from a third party."""
    environment = f" [{item.environment}]" if item.environment else ""
    message = make_visible(f"{format_message(item)}{environment}", _LONG)
    hint = f"\n→ {make_visible(item.hint, _LONG)}" if item.hint else ""
    return f"{message}{hint}".replace("](", "] (")


def _logical(item: Finding) -> Iterator[dict[str, object]]:
    """The model, the environment and the path in the object, each with its full name."""
    parts = [("model", item.model), ("environment", item.environment), ("property", item.path)]
    whole: list[str] = []
    for kind, name in parts:
        if name:
            whole.append(make_visible(name, _LONG))
            yield {"kind": kind, "name": whole[-1], "fullyQualifiedName": "/".join(whole)}
