"""The options and the output of `m2g hold`."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from m2g.cli.terminal import CONTEXT, ENVIRONMENT, FORMAT, HOLD_NOTES, MODEL, PROPOSE, print_result, say_waiting
from m2g.core.errors import Exit, InputError

if TYPE_CHECKING:
    from m2g.core.results import HoldResult


@click.command(context_settings=CONTEXT, short_help="Keep the version that runs, or follow again.")
@MODEL
@ENVIRONMENT
@HOLD_NOTES
@click.option("--end", is_flag=True, help="End the hold: the environment follows the registry again.")
@click.option("--dry-run", is_flag=True, help="Write nothing. Say what would change.")
@PROPOSE
@FORMAT
@click.pass_obj
def hold(
    folder: Path,
    model: str,
    environment: str,
    reason: str,
    owner: str,
    until: datetime | None,
    end: bool,
    dry_run: bool,
    propose: bool,
    output_format: str,
) -> Exit:
    """Hold MODEL in one environment at the version that it runs now, whatever the registry says.

    MODEL is a slug or a registered name. The hold is written into model.yaml, whose comments stay. It lasts until
    somebody ends it, also after --until: then m2g only reminds you. The registry is not asked.

    \b
    m2g hold wine --env prod --reason "version 3 is too slow" --owner anna --until 2026-12-31
    m2g hold wine --env prod --end            follow the registry again, also after a `git revert`
    m2g hold wine --env prod --propose        as a pull request; the files here stay as they are
    m2g rollback wine --env prod              go back to the last good version, and hold it
    """
    from m2g.changes.hold import HoldNote
    from m2g.commands import hold as command
    from m2g.commands import validate
    from m2g.commands.propose_edit import propose_hold
    from m2g.report import hold as report
    from m2g.report import progress
    from m2g.report.review_markdown import render_markdown
    from m2g.repository import config
    from m2g.resolution.resolve import open_configured_registry

    if end and (reason or owner or until):
        raise InputError("--end takes no --reason, --owner or --until: what they say is removed", hint="remove them")
    root = config.find_root(folder)
    note = HoldNote(reason=reason, owner=owner, until=None if until is None else until.date())
    options = command.HoldOptions(model=model, environment=environment, note=note, end=end, dry_run=dry_run)
    if propose and dry_run:
        raise InputError("--propose and --dry-run exclude each other", hint="leave one of them out")
    with progress.show_progress("hold") as tell:

        def change(place: Path) -> HoldResult:
            return command.hold(
                place,
                options,
                open_registry=lambda settings: open_configured_registry(settings, place, tell, paths=root),
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
