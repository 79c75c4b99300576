"""policies/*.yaml on disk become rules and overrides; what is wrong in them becomes findings with lines."""

from __future__ import annotations

from datetime import UTC, date, datetime
from pathlib import Path

import msgspec

from m2g.core import safe_files, schema_errors, yaml_reader
from m2g.core.errors import M2gError
from m2g.core.finding import Finding
from m2g.repository import shared_files
from m2g.validation.policies.policy import PolicyFile, Rule, Waiver


class Policies(msgspec.Struct, frozen=True, kw_only=True):
    """All rules, all overrides, and what cannot be used."""

    rules: tuple[Rule, ...] = ()
    waivers: tuple[Waiver, ...] = ()
    findings: tuple[Finding, ...] = ()


def read(root: Path) -> Policies:
    """Every file of the folder `policies`; a broken one is a finding and the others count."""
    rules: dict[str, Rule] = {}
    waivers: list[Waiver] = []
    findings: list[Finding] = []
    for path in shared_files.find_policy_files(root):
        name = path.relative_to(root).as_posix()
        try:
            document = yaml_reader.read(name, safe_files.read(root, name))
        except (M2gError, FileNotFoundError) as error:
            message, hint = getattr(error, "message", str(error)), getattr(error, "hint", "")
            findings.append(Finding(rule="yaml-invalid", file=name, message=message, hint=hint))
            continue
        wrong = _wrong(document)
        findings += wrong
        if wrong:
            continue
        file = msgspec.convert(document.data or {}, PolicyFile)
        for index, policy in enumerate(file.policies):
            line = document.find_line(("policies", index, "expression"))
            if policy.id in rules:
                message = f"the policy {policy.id} is there twice, also in {rules[policy.id].place}"
                place = document.find_line(("policies", index, "id"))
                findings.append(
                    _invalid(document, place, f"policies[{index}].id", message, "give each an id of its own")
                )
            else:
                rules[policy.id] = Rule(policy=policy, file=name, line=line)
        waivers += (
            Waiver(override=override, file=name, line=document.find_line(("overrides", index)))
            for index, override in enumerate(file.overrides)
        )
    return Policies(rules=tuple(rules.values()), waivers=tuple(waivers), findings=tuple(findings))


def today() -> date:
    """The day in UTC, by which overrides end."""
    return datetime.now(UTC).date()


def _wrong(document: yaml_reader.Document) -> list[Finding]:
    import jsonschema_rs

    data = {} if document.data is None else document.data
    schema = msgspec.json.schema(PolicyFile)
    errors = jsonschema_rs.validator_for(schema).iter_errors(data)
    found = schema_errors.sort_violations(v for error in errors for v in schema_errors.explain_error(error, schema))
    return [_invalid(document, document.find_line(v.where), v.path, v.message, v.hint) for v in found]


def _invalid(document: yaml_reader.Document, line: int, path: str, message: str, hint: str) -> Finding:
    return Finding(rule="policy-invalid", file=document.file, line=line, path=path, message=message, hint=hint)
