"""`m2g serve`: run `m2g sync` when somebody says that something has changed, and again and again in any case."""

from __future__ import annotations

import os
import random
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import msgspec

from m2g.core import process
from m2g.core.errors import Exit, M2gError, OutsideError
from m2g.core.model import Value
from m2g.delivery.values import SyncResult
from m2g.webhooks.metrics import Metrics
from m2g.webhooks.signatures import Source
from m2g.webhooks.wake import Wake

SECRETS = {
    Source.MLFLOW: "M2G_MLFLOW_WEBHOOK_SECRET",
    Source.GITHUB: "M2G_GITHUB_WEBHOOK_SECRET",
    Source.GITLAB: "M2G_GITLAB_WEBHOOK_TOKEN",
    Source.GITEA: "M2G_GITEA_WEBHOOK_SECRET",
}
"""The variables that have the secrets. A sender without one cannot call."""
_SETTLE = 1.0
"""Seconds from an event to the sync: a new version comes with tags and aliases."""
_BACKOFF = 5.0
_LONGEST = 3600.0
"""Seconds that one sync may take."""


class Schedule(Value, frozen=True, kw_only=True):
    """Seconds between two syncs if nothing happens, from an event to its sync, and after a first failure."""

    interval: float
    settle: float = _SETTLE
    backoff: float = _BACKOFF


class SyncRun(msgspec.Struct, frozen=True, kw_only=True):
    """What became of one sync: its result if it was done, or why it failed; and how long the next one waits then."""

    result: SyncResult | None
    error: str = ""
    seconds: float = 0.0
    wait: float = 0.0


def find_secrets(environment: Mapping[str, str]) -> dict[Source, str]:
    """The secret of each sender that may call."""
    found = {source: environment.get(name, "").strip() for source, name in SECRETS.items()}
    return {source: secret for source, secret in found.items() if secret}


def serve(
    schedule: Schedule,
    sync: Callable[[], SyncResult],
    wake: Wake,
    metrics: Metrics,
    report: Callable[[SyncRun], None],
) -> None:
    """Sync until somebody stops `wake`; the running sync is finished first. A failed one is tried again."""
    failures = 0
    for number in ("done", "failed"):
        metrics.add("m2g_syncs_total", 0, result=number)
    while not wake.stopped:
        wake.clear()
        run = _run(sync, metrics)
        failures = 0 if run.result is not None else failures + 1
        metrics.set("m2g_sync_failures", failures)
        wait = min(schedule.backoff * 2 ** min(failures - 1, 20), schedule.interval) if failures else 0.0
        wait *= random.uniform(0.5, 1)  # noqa: S311  # not a secret
        report(msgspec.structs.replace(run, wait=wait))
        if failures:
            wake.pause(wait)
        elif wake.wait(schedule.interval) and not wake.stopped:
            wake.pause(schedule.settle)


def _run(sync: Callable[[], SyncResult], metrics: Metrics) -> SyncRun:
    begun = time.monotonic()
    metrics.set("m2g_sync_running", 1)
    try:
        result = sync()
    except M2gError as error:
        run = SyncRun(result=None, error=error.message, seconds=time.monotonic() - begun)
    else:
        run = SyncRun(result=result, seconds=time.monotonic() - begun)
        _count(result, metrics)
    metrics.set("m2g_sync_running", 0)
    metrics.add("m2g_sync_seconds_total", run.seconds)
    metrics.add("m2g_syncs_total", result="done" if run.result is not None else "failed")
    return run


def _count(result: SyncResult, metrics: Metrics) -> None:
    from m2g.core.finding import Severity
    from m2g.delivery.values import Action

    metrics.set("m2g_last_sync_timestamp_seconds", int(time.time()))
    for action in Action:
        metrics.set("m2g_proposals", sum(one.action is action for one in result.proposals), action=action)
    for severity in Severity:
        metrics.set("m2g_findings", sum(one.severity is severity for one in result.findings), severity=severity)


def run_sync(root: Path, arguments: Sequence[str]) -> SyncResult:
    """Run `m2g sync` as a program of its own, without the secrets of webhooks. Its memory is free when it ends, and no
    fault of it ends the server.

    Raises OutsideError if it fails.
    """
    import sys

    environment = {name: value for name, value in os.environ.items() if name not in SECRETS.values()}
    command = [sys.executable, "-P", "-m", "m2g", "sync", "--format", "json", *arguments]
    done = process.run_apart(command, cwd=root, timeout=_LONGEST, environment=environment)
    if done.code not in (Exit.DONE, Exit.NO):
        raise OutsideError(f"m2g sync ended with exit code {done.code}")
    try:
        data = msgspec.json.decode(done.stdout, type=dict[str, object])
        data.pop("version", None)
        return msgspec.convert(data, SyncResult)
    except msgspec.MsgspecError as error:
        raise OutsideError(f"m2g sync printed no result: {error}") from error
