"""Input examples that cannot be sent, said before a caller meets them."""

from __future__ import annotations

from collections.abc import Mapping

from m2g.commands.desired import Key, Repository
from m2g.errors import InputError
from m2g.finding import Finding, Severity
from m2g.model import Release
from m2g.request import request


def findings(repository: Repository, records: Mapping[Key, Release]) -> list[Finding]:
    """A warning for each example that contradicts its signature; its file in requests/ has other values."""
    if repository.config.requests.values != "example":
        return []
    told = []
    for release in records.values():
        if release.mlmodel is None:
            continue
        try:
            request(release.mlmodel, "invocations")
        except InputError as error:
            told.append(
                Finding(
                    rule="example-contradicts",
                    severity=Severity.WARNING,
                    model=release.model,
                    environment=release.environment,
                    message=f"version {release.version}: {error.message}",
                    hint=error.hint,
                )
            )
    return told
