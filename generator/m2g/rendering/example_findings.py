"""Warnings about input examples that the deployed model would refuse."""

from __future__ import annotations

from collections.abc import Mapping

from m2g.core.errors import InputError
from m2g.core.finding import Finding, Severity
from m2g.core.interning import canonical
from m2g.core.model import Mlmodel, Release
from m2g.inference import keep_request_facts, make_request
from m2g.repository.layout import Key
from m2g.repository.state import Repository


def check_examples(repository: Repository, records: Mapping[Key, Release]) -> list[Finding]:
    """A warning for each example that contradicts its signature. Its file in requests/ has generated values."""
    if repository.config.requests.values != "example":
        return []
    findings = []
    known: dict[bytes, InputError | None] = {}
    for release in records.values():
        saved = release.mlmodel
        if saved is None or not saved.example:
            continue
        facts = canonical(keep_request_facts(saved))
        if facts not in known:
            known[facts] = _check_example(saved)
        error = known[facts]
        if error is not None:
            findings.append(
                Finding(
                    rule="example-contradicts",
                    severity=Severity.WARNING,
                    model=release.model,
                    environment=release.environment,
                    message=f"version {release.version}: {error.message}",
                    hint=error.hint,
                )
            )
    return findings


def _check_example(mlmodel: Mlmodel) -> InputError | None:
    try:
        make_request(mlmodel, "invocations")
    except InputError as error:
        return error
    return None
