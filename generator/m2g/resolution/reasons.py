"""Findings that say why a release does not follow the registry."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence

from m2g.core.errors import InputError
from m2g.core.finding import Finding, Severity
from m2g.core.model import Release
from m2g.registry.errors import RequestFailed
from m2g.repository import layout
from m2g.repository.layout import Key
from m2g.resolution.removals import Removed
from m2g.resolution.reverts import Reverted
from m2g.resolution.targets import Target


def other_registry(key: Key, record: Release, registry: str) -> Finding:
    """The record came from another registry, which this one cannot speak for."""
    return Finding(
        rule="record-of-another-registry",
        severity=Severity.WARNING,
        file=layout.release(*key),
        model=record.model,
        environment=key[1],
        message=f"the model came from {record.registry}, and {registry} does not have it; m2g keeps it",
        hint=f"if the model is really gone, delete it yourself: git rm -r {shlex.quote(layout.model(key[0]))}",
    )


def record_differs(key: Key, record: Release, different: Sequence[str]) -> Finding:
    """The committed record is not what the registry says of the version."""
    file = layout.release(*key)
    return Finding(
        rule="record-differs",
        severity=Severity.WARNING,
        file=file,
        model=record.model,
        environment=key[1],
        message=f"the record of version {record.version} is not what the registry says: {', '.join(different)}; m2g "
        "writes what the registry says",
        hint=f"find out who changed it: git log -p -- {shlex.quote(file)}",
    )


def held_by_revert(key: Key, record: Release, reverted: Reverted, target: Target) -> Finding:
    """A person moved the release back, so it does not follow the registry."""
    slug, environment = key
    commit = f" in commit {reverted.commit[:12]}" if reverted.commit else " in this working tree"
    hold = f"m2g hold {shlex.quote(slug)} --env {environment}"
    return Finding(
        rule="held-by-revert",
        severity=Severity.WARNING,
        file=layout.release(*key),
        model=record.model,
        environment=environment,
        message=f"somebody went back from version {reverted.left.version} to {record.version}{commit}; m2g leaves it "
        f"there, though the registry says {target.version.version} ({target.follows})",
        hint=f"to follow the registry again: {hold} --end; to keep it and say why: {hold} --reason TEXT",
    )


def held_by_removal(key: Key, removed: Removed, target: Target) -> Finding:
    """A person removed the release, so it does not come back by itself."""
    slug, environment = key
    return Finding(
        rule="held-by-revert",
        severity=Severity.WARNING,
        file=layout.release(*key),
        model=removed.release.model,
        environment=environment,
        message=f"somebody removed {slug}, which ran version {removed.release.version} here, in commit "
        f"{removed.commit[:12]}; m2g does not release it again, though the registry says {target.version.version} "
        f"({target.follows})",
        hint=f"to release it again: git revert --no-edit {'-m 1 ' if removed.is_merge else ''}{removed.commit[:12]}",
    )


def history_short(keys: Sequence[Key]) -> Finding:
    """A shallow clone cannot tell whether a person moved these releases back, so they stay."""
    named = ", ".join(f"{slug} in {environment}" for slug, environment in keys[:5])
    more = f" and {len(keys) - 5} more" if len(keys) > 5 else ""
    return Finding(
        rule="history-short",
        message=f"this clone is shallow: m2g cannot see whether somebody went back on purpose, so these stay: {named}"
        f"{more}",
        hint="get the history: git fetch --unshallow; in CI, set fetch-depth: 0 (GitLab: GIT_DEPTH: 0)",
    )


def run_unreadable(key: Key, target: Target, note: str) -> Finding:
    """The version is released without the facts of its run."""
    return Finding(
        rule="run-unreadable",
        severity=Severity.WARNING,
        model=target.version.name,
        environment=key[1],
        message=f"version {target.version.version} is released without the metrics and parameters of its run: {note}",
        hint="to show them, give m2g READ permission on the run's experiment before it reads the next version",
    )


def version_deleted(key: Key, record: Release) -> Finding:
    """Somebody deleted the version that the environment runs."""
    return Finding(
        rule="version-deleted",
        severity=Severity.WARNING,
        file=layout.release(*key),
        model=record.model,
        environment=key[1],
        message=f"version {record.version} ({record.follows}) is deleted in MLflow; m2g keeps the service, because "
        "deleting a version also drops its aliases",
        hint=f"let {key[1]} follow another version, in MLflow; or remove the service: "
        f"git rm -r {shlex.quote(layout.release(*key))}, then m2g render",
    )


def model_unreadable(key: Key, record: Release, error: RequestFailed) -> Finding:
    """The registry neither lists the model nor says that it does not exist."""
    return Finding(
        rule="model-unreadable",
        file=layout.release(*key),
        model=record.model,
        environment=key[1],
        message=f"the registry does not list this model and does not say whether it exists: {error.message}; "
        f"{key[1]} does not change",
        hint=error.hint or "check in MLflow that m2g may read the model",
    )


def no_route(problems: Mapping[tuple[str, str], str]) -> list[Finding]:
    """One finding for all versions: the server, not one of them, is the cause."""
    if not problems:
        return []
    (name, version), problem = min(problems.items())
    return [
        Finding(
            rule="registry-no-files",
            message=f"the server has no route to the files of models, so {len(problems)} versions cannot be read, such "
            f"as version {version} of {name!r}; their environments do not change: {problem}",
            hint="let the proxy or gateway pass /api/2.0/mlflow-artifacts/ and /model-versions/get-artifact below "
            "registry.uri; with --static-prefix, the server must proxy the artifacts (mlflow-artifacts:)",
        )
    ]


def version_unreadable(key: Key, target: Target, error: InputError) -> Finding:
    """The version that the environment should run cannot be released."""
    return Finding(
        rule="version-unreadable",
        model=target.version.name,
        environment=key[1],
        message=f"version {target.version.version} ({target.follows}): {error.message}; {key[1]} does not change",
        hint=error.hint or "fix the version in MLflow, or move the alias to another version",
    )
