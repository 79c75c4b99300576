"""The options and the output of `m2g canary`."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import click

from m2g.cli.terminal import CONTEXT, ENVIRONMENT, FORMAT, MODEL, print_result, say_waiting
from m2g.core.errors import Exit, InputError

_PERCENT = click.IntRange(0, 100)


@click.command(context_settings=CONTEXT, short_help="Give a new version a share of the traffic.")
@MODEL
@click.argument("action", type=click.Choice(["start", "step", "promote", "abort"]))
@ENVIRONMENT
@click.option("--version", default="", metavar="NUMBER", help="start: the candidate.")
@click.option("--alias", default="", metavar="NAME", help="start: the alias of the candidate. Default: challenger.")
@click.option("--percent", type=_PERCENT, metavar="N", help="start, step: the candidate's share of the traffic.")
@click.option("--step", "steps", type=_PERCENT, multiple=True, metavar="N", help="start: a step. Repeatable.")
@click.option("--replicas", type=click.IntRange(1), metavar="N", help="start: the candidate's pods.")
@click.option("--dry-run", is_flag=True, help="Write nothing. Say what would change.")
@FORMAT
@click.pass_obj
def canary(
    folder: Path,
    model: str,
    action: Literal["start", "step", "promote", "abort"],
    environment: str,
    version: str,
    alias: str,
    percent: int | None,
    steps: tuple[int, ...],
    replicas: int | None,
    dry_run: bool,
    output_format: str,
) -> Exit:
    """Begin a canary of MODEL in one environment, give it more traffic, or end it.

    MODEL is a slug or a registered name. Each action edits model.yaml, whose comments stay, and renders the model, so
    that a pull request shows it. Only `start` asks the registry.

    \b
    m2g canary wine --env prod start --version 8
    m2g canary wine --env prod step                    the next of 0, 10, 50 and 100 percent
    m2g canary wine --env prod step --percent 25
    m2g canary wine --env prod promote                 the candidate becomes the stable version
    m2g canary wine --env prod abort                   all traffic goes to the stable version
    """
    from m2g.changes.canary import CanaryWish
    from m2g.commands import canary as command
    from m2g.report import canary as report
    from m2g.report import progress
    from m2g.repository import config
    from m2g.resolution.resolve import open_configured_registry

    _refuse_unused(action, {"--version": version, "--alias": alias, "--step": steps, "--replicas": replicas}, percent)
    if version and not version.isdecimal():
        raise InputError(f"{version!r} is not the number of a version", hint="write it as MLflow shows it: --version 8")
    root = config.find_root(folder)
    wish = CanaryWish(version=version, alias=alias, percent=percent, steps=steps, replicas=replicas)
    options = command.CanaryOptions(model=model, environment=environment, action=action, wish=wish, dry_run=dry_run)
    with progress.show_progress("canary") as tell:
        result = command.canary(
            root,
            options,
            open_registry=lambda settings: open_configured_registry(settings, root, tell),
            waiting=say_waiting,
        )
    print_result(report.render(result, output_format))
    return Exit.NO if any(finding.severity == "error" for finding in result.findings) else Exit.DONE


def _refuse_unused(action: str, start: dict[str, object], percent: int | None) -> None:
    """Raises InputError for an option that this action does not read."""
    given = [name for name, value in start.items() if value] if action != "start" else []
    given += ["--percent"] if percent is not None and action not in ("start", "step") else []
    if given:
        raise InputError(f"{action} takes no {' and no '.join(given)}", hint="remove it")
