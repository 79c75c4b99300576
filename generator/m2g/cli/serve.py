"""The options and the log of `m2g serve`."""

from __future__ import annotations

import os
import re
import signal
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from m2g.cli.repository import REPOSITORY, open_repository
from m2g.cli.sync import parse_interval
from m2g.cli.terminal import CONTEXT, ENVIRONMENTS, MODELS, find_width, print_message, print_result
from m2g.core.errors import Exit, InputError

if TYPE_CHECKING:
    from m2g.commands.serve import SyncRun

_ADDRESS = re.compile(r"(?:(?P<host>[A-Za-z0-9.-]+)|\[(?P<six>[0-9A-Fa-f:.]+)\]):(?P<port>[0-9]{1,5})")


@click.command(context_settings=CONTEXT, short_help="Sync on webhooks, and every few minutes.")
@MODELS
@ENVIRONMENTS
@REPOSITORY
@click.option("--interval", metavar="TIME", default="5m", show_default=True, help="Sync this often in any case.")
@click.option(
    "--listen", metavar="HOST:PORT", default="127.0.0.1:8080", show_default=True, help="Where webhooks come in."
)
@click.pass_obj
def serve(
    folder: Path,
    models: Sequence[str],
    environments: Sequence[str],
    repository: str,
    path: str,
    branch: str,
    remote: str,
    interval: str,
    listen: str,
) -> Exit:
    """Run `m2g sync` when MLflow or the forge says that something has changed, and every few minutes in any case.

    A webhook only wakes the loop: m2g reads the registry again, and nothing in the webhook decides. Lost webhooks cost
    time, and nothing else. SIGTERM ends m2g after the running sync.

    \b
    POST /webhooks/mlflow    the secret is in M2G_MLFLOW_WEBHOOK_SECRET
    POST /webhooks/github    the secret is in M2G_GITHUB_WEBHOOK_SECRET
    POST /webhooks/gitlab    the secret token is in M2G_GITLAB_WEBHOOK_TOKEN
    POST /webhooks/gitea     the secret is in M2G_GITEA_WEBHOOK_SECRET
    GET  /healthz, /metrics

    \b
    m2g serve --interval 10m                               in a clone
    m2g serve --repository https://git.example.com/a/b     anywhere
    """
    from m2g.commands import serve as command
    from m2g.webhooks.metrics import Metrics
    from m2g.webhooks.server import Door
    from m2g.webhooks.server import listen as open_server
    from m2g.webhooks.wake import Wake

    seconds = parse_interval(interval)
    if not seconds:
        raise InputError("--interval needs a time", hint="write it like 30s, 5m or 1h30m")
    host, port = _parse_address(listen)
    secrets = command.find_secrets(os.environ)
    wake, metrics = Wake(), Metrics()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda _number, _frame: wake.stop())
    arguments = [
        *(word for name in models for word in ("--model", name)),
        *(word for name in environments for word in ("--env", name)),
        *(("--branch", branch) if branch else ()),
        *(("--remote", remote) if remote else ()),
    ]
    with (
        open_repository(folder, repository, path, branch) as find_root,
        open_server(host, port, Door(secrets, metrics, wake.call)) as bound,
    ):
        names = ", ".join(secrets) or f"none; set {' or '.join(command.SECRETS.values())}"
        print_message(f"m2g serve: listening on {listen.rpartition(':')[0]}:{bound}; webhooks: {names}")
        command.serve(
            command.Schedule(interval=seconds),
            lambda: command.run_sync(find_root(), arguments),
            wake,
            metrics,
            _report,
        )
    print_message("m2g serve: stopped")
    return Exit.DONE


def _report(run: SyncRun) -> None:
    """The log: what one sync did, or why it failed."""
    from m2g.report import findings
    from m2g.report import sync as text

    if run.result is None:
        print_message(f"m2g: {run.error}; the next try is in {run.wait:.0f} s")
        return
    if run.result.findings:
        print_message(findings.render_text(run.result.findings, width=find_width()))
    print_result(text.render_text(run.result))


def _parse_address(text: str) -> tuple[str, int]:
    found = _ADDRESS.fullmatch(text)
    if found is None or int(found["port"]) > 65535:
        raise InputError(f"{text!r} is no address to listen on", hint="write it like 127.0.0.1:8080 or 0.0.0.0:8080")
    return found["host"] or found["six"], int(found["port"])
