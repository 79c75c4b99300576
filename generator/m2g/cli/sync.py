"""The options and the output of `m2g sync`."""

from __future__ import annotations

import re
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from m2g.cli.repository import REPOSITORY, open_repository
from m2g.cli.terminal import (
    CONTEXT,
    ENVIRONMENTS,
    FORMAT,
    MODELS,
    NO_CACHE,
    cache_folder,
    find_width,
    print_message,
    print_result,
)
from m2g.core.errors import Exit, InputError, OutsideError
from m2g.core.sanitize import disarm_commands

if TYPE_CHECKING:
    from m2g.commands.sync import SyncOptions

_INTERVAL = re.compile(r"(?:(\d{1,4})h)?(?:(\d{1,5})m)?(?:(\d{1,6})s)?")


@click.command(context_settings=CONTEXT, short_help="Propose what the registry says as pull requests.")
@MODELS
@ENVIRONMENTS
@click.option("--dry-run", is_flag=True, help="Do nothing. Print what would become of each proposal, and why.")
@click.option("--once", is_flag=True, help="Run once. This is the default.")
@click.option("--interval", metavar="TIME", default="", help="Run again and again, with this time between: 5m, 1h30m.")
@click.option("--resolve-only", is_flag=True, help="Only ask the registry, and write the answer to the file of -o.")
@click.option("-o", "--output", type=click.Path(path_type=Path), metavar="FILE", help="The file of --resolve-only.")
@click.option(
    "--from", "snapshot", type=click.Path(path_type=Path), metavar="FILE", help="Use this file, and no registry."
)
@click.option(
    "--reopen", multiple=True, metavar="MODEL", help="Propose again what was declined for this model. Repeatable."
)
@REPOSITORY
@click.option("--allow-removals", type=click.IntRange(min=0), metavar="N", help="Allow this run to remove N releases.")
@NO_CACHE
@FORMAT
@click.pass_obj
def sync(
    folder: Path,
    models: Sequence[str],
    environments: Sequence[str],
    dry_run: bool,
    once: bool,
    interval: str,
    resolve_only: bool,
    output: Path | None,
    snapshot: Path | None,
    reopen: Sequence[str],
    repository: str,
    path: str,
    branch: str,
    remote: str,
    allow_removals: int | None,
    no_cache: bool,
    output_format: str,
) -> Exit:
    """Read the registry, and propose each change as a branch and a pull request of the remote.

    m2g works in a temporary clone of the remote: your files, index, hooks and branches are not touched. It never
    overwrites a commit that is not its own. A pull request that somebody closed stays closed for that version.
    M2G_TOKEN is the token for the forge; without it, m2g pushes branches and prints where to open a pull request.

    \b
    m2g sync --dry-run                   what would be proposed, and why
    m2g sync                             propose it
    m2g sync --interval 5m               again and again
    m2g sync --model wine --env prod     one model in one environment
    m2g sync --reopen wine               again, although somebody closed the pull request
    m2g sync --repository https://git.example.com/team/models.git

    \b
    In two jobs, so that no job has both credentials:
    m2g sync --resolve-only -o snapshot.json
    m2g sync --from snapshot.json
    """
    from m2g.commands import sync as command
    from m2g.delivery.loop import LoopOptions
    from m2g.delivery.survey import SurveyOptions
    from m2g.repository.state import Scope

    seconds = parse_interval(interval)
    _check_options(resolve_only, output, snapshot, once and interval != "")
    with open_repository(folder, repository, path, branch) as find_root:
        while True:
            try:
                root = find_root()
                options = command.SyncOptions(
                    loop=LoopOptions(
                        survey=SurveyOptions(
                            scope=Scope(models=frozenset(models), environments=frozenset(environments)),
                            allow_removals=allow_removals,
                            cache=cache_folder(root, disabled=no_cache),
                        ),
                        dry_run=dry_run,
                        reopen=frozenset(reopen),
                        branch=branch,
                    ),
                    remote=remote,
                    snapshot=folder / snapshot if snapshot is not None else None,
                )
                if resolve_only and output is not None:
                    return _resolve(root, options, folder / output)
                code = _run(root, options, output_format)
            except (OutsideError, InputError) as error:
                if not seconds:
                    raise
                print_message(f"m2g: {error.message}")
                code = Exit.DONE
            if not seconds:
                return code
            time.sleep(seconds)


def _run(root: Path, options: SyncOptions, output_format: str) -> Exit:
    from m2g.commands import sync as command
    from m2g.commands import validate
    from m2g.report import findings as report
    from m2g.report import progress, review_markdown
    from m2g.report import sync as text
    from m2g.repository import load

    cache = options.loop.survey.cache
    try:
        with progress.show_progress("sync") as tell:
            result = command.sync(
                root,
                options,
                validate=lambda place, scope: validate.validate(
                    place, validate.ValidateOptions(scope=scope, cache=cache), progress=tell
                ),
                describe=review_markdown.render_markdown,
                progress=tell,
            )
    except load.InvalidRepository as error:
        print_result(report.render(error.findings, output_format))
        return Exit.INPUT
    if output_format == "json":
        print_result(text.render_json(result))
    else:
        if result.findings:
            print_message(report.render_text(result.findings, width=find_width()))
        print_result(disarm_commands(text.render_text(result)))
    for problem in result.problems:
        print_message(f"m2g: {problem.message}" + (f"\n  → {problem.hint}" if problem.hint else ""))
    if result.problems:
        return Exit(result.problems[0].exit_code)
    return Exit.NO if any(finding.severity == "error" for finding in result.findings) else Exit.DONE


def _resolve(root: Path, options: SyncOptions, output: Path) -> Exit:
    from m2g.commands import sync as command
    from m2g.report import findings as report
    from m2g.report import progress

    with progress.show_progress("sync") as tell:
        snapshot = command.resolve_only(root, options, output, progress=tell)
    if snapshot.findings:
        print_message(report.render_text(snapshot.findings, width=find_width()))
    print_result(f"{len(snapshot.entries)} releases differ from {snapshot.base[:12]}: {output}\n")
    return Exit.DONE  # the other half ends with 1 for these findings: they must not keep it from running


def parse_interval(text: str) -> int:
    """Seconds; 0 for no interval. Raises InputError."""
    found = _INTERVAL.fullmatch(text)
    hours, minutes, seconds = (int(part or 0) for part in found.groups()) if found else (0, 0, 0)
    total = hours * 3600 + minutes * 60 + seconds
    if text and not 1 <= total <= 7 * 86_400:
        raise InputError(f"{text!r} is not a time between two runs", hint="write it like 30s, 5m or 1h30m")
    return total


def _check_options(resolve_only: bool, output: Path | None, snapshot: Path | None, both: bool) -> None:
    if both:
        raise InputError("--once and --interval exclude each other", hint="leave one of them out")
    if resolve_only and snapshot is not None:
        raise InputError("--resolve-only and --from are the two halves of a run", hint="give one of them to each job")
    if resolve_only != (output is not None):
        hint = "write m2g sync --resolve-only -o snapshot.json"
        raise InputError("--resolve-only and -o need each other", hint=hint)
