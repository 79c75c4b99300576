"""The options and the output of `m2g rollback`."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from m2g.cli.terminal import CONTEXT, ENVIRONMENT, FORMAT, HOLD_NOTES, MODEL, PROPOSE, print_result, say_waiting
from m2g.core.errors import Exit, InputError

_PATIENCE = 10
"""Seconds to wait for a registry that does not answer. The check of the files is worth no more at 3 a.m."""

if TYPE_CHECKING:
    from m2g.core.results import HoldResult


@click.command(context_settings=CONTEXT, short_help="Go back to the last good version.")
@MODEL
@ENVIRONMENT
@click.option("--to", metavar="VERSION", default="", help="Go back to this version. Default: the one that ran before.")
@HOLD_NOTES
@click.option("--offline", is_flag=True, help="Do not ask the registry whether the version's files still exist.")
@click.option("--dry-run", is_flag=True, help="Write nothing. Say what would change.")
@PROPOSE
@FORMAT
@click.pass_obj
def rollback(
    folder: Path,
    model: str,
    environment: str,
    to: str,
    reason: str,
    owner: str,
    until: datetime | None,
    offline: bool,
    dry_run: bool,
    propose: bool,
    output_format: str,
) -> Exit:
    """Restore the last good release record of MODEL from Git's history, and hold that version.

    MODEL is a slug or a registered name. Git's history is enough: m2g restores the record to the byte, renders the
    model from it, and pins the version in model.yaml. If the registry answers, m2g asks it whether the version's files
    still exist.

    \b
    m2g rollback wine --env prod
    m2g rollback wine --env prod --to 7 --reason "versions 8 and 9 answer too slowly"
    m2g rollback wine --env prod --propose    as a pull request; the files here stay as they are
    m2g rollback wine --env prod --offline --dry-run
    m2g hold wine --env prod --end            later: follow the registry again
    """
    from m2g.changes.hold import HoldNote
    from m2g.commands import rollback as command
    from m2g.commands import validate
    from m2g.commands.propose_edit import propose_hold
    from m2g.report import hold as report
    from m2g.report import progress
    from m2g.report.review_markdown import render_markdown
    from m2g.repository import config
    from m2g.resolution.resolve import open_configured_registry

    root = config.find_root(folder)
    options = command.RollbackOptions(
        model=model,
        environment=environment,
        to=to,
        note=HoldNote(reason=reason, owner=owner, until=None if until is None else until.date()),
        offline=offline,
        dry_run=dry_run,
    )
    if propose and dry_run:
        raise InputError("--propose and --dry-run exclude each other", hint="leave one of them out")
    with progress.show_progress("rollback") as tell:

        def change(place: Path) -> HoldResult:
            return command.rollback(
                place,
                options,
                open_registry=lambda settings: open_configured_registry(
                    settings, place, tell, paths=root, patience=_PATIENCE
                ),
                waiting=say_waiting,
            )

        result = (
            change(root)
            if not propose
            else propose_hold(
                root,
                change,
                validate=lambda place, scope: validate.validate(place, validate.ValidateOptions(scope=scope)),
                describe=render_markdown,
            )
        )
    print_result(report.render(result, output_format))
    return Exit.NO if any(finding.severity == "error" for finding in result.findings) else Exit.DONE
