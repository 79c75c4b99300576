"""Read policies/*.yaml: policies, overrides, and findings with lines for what is invalid."""

from __future__ import annotations

from datetime import UTC, date, datetime
from pathlib import Path

import msgspec

from m2g.core import safe_files, schema_errors, yaml_reader
from m2g.core.errors import M2gError
from m2g.core.finding import Finding
from m2g.repository import shared_files
from m2g.validation.policies.policy import LocatedOverride, LocatedPolicy, PolicyFile


class PolicyFiles(msgspec.Struct, frozen=True, kw_only=True):
    """All policies and overrides of a repository, and the findings about invalid ones."""

    policies: tuple[LocatedPolicy, ...] = ()
    overrides: tuple[LocatedOverride, ...] = ()
    findings: tuple[Finding, ...] = ()


def read_policies(root: Path) -> PolicyFiles:
    """Every file of the folder `policies`; an invalid file is a finding, and the others are used."""
    policies: dict[str, LocatedPolicy] = {}
    overrides: list[LocatedOverride] = []
    findings: list[Finding] = []
    for path in shared_files.find_policy_files(root):
        name = path.relative_to(root).as_posix()
        try:
            document = yaml_reader.read(name, safe_files.read(root, name))
        except (M2gError, FileNotFoundError) as error:
            message, hint = getattr(error, "message", str(error)), getattr(error, "hint", "")
            findings.append(Finding(rule="yaml-invalid", file=name, message=message, hint=hint))
            continue
        if violations := _check_schema(document):
            findings += violations
            continue
        file = msgspec.convert(document.data or {}, PolicyFile)
        for index, policy in enumerate(file.policies):
            if policy.id in policies:
                message = f"the policy {policy.id} also exists in {policies[policy.id].location}"
                line = document.find_line(("policies", index, "id"))
                findings.append(_invalid(document, line, f"policies[{index}].id", message, "set another id"))
            else:
                line = document.find_line(("policies", index, "expression"))
                policies[policy.id] = LocatedPolicy(policy=policy, file=name, line=line)
        overrides += (
            LocatedOverride(override=override, file=name, line=document.find_line(("overrides", index)))
            for index, override in enumerate(file.overrides)
        )
    return PolicyFiles(policies=tuple(policies.values()), overrides=tuple(overrides), findings=tuple(findings))


def get_today() -> date:
    """The current day in UTC: overrides expire by it."""
    return datetime.now(UTC).date()


def _check_schema(document: yaml_reader.Document) -> list[Finding]:
    import jsonschema_rs

    data = {} if document.data is None else document.data
    schema = msgspec.json.schema(PolicyFile)
    errors = jsonschema_rs.validator_for(schema).iter_errors(data)
    violations = schema_errors.sort_violations(
        violation for error in errors for violation in schema_errors.explain_error(error, schema)
    )
    return [_invalid(document, document.find_line(v.where), v.path, v.message, v.hint) for v in violations]


def _invalid(document: yaml_reader.Document, line: int, path: str, message: str, hint: str) -> Finding:
    return Finding(rule="policy-invalid", file=document.file, line=line, path=path, message=message, hint=hint)
