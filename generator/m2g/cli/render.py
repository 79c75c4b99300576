"""The options and the output of `m2g render`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import click

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
    say_waiting,
)
from m2g.core.errors import Exit, InputError


@click.command(context_settings=CONTEXT, short_help="Write manifests from the registry.")
@MODELS
@ENVIRONMENTS
@click.option("--locked", is_flag=True, help="Use only the committed records. Do not contact the registry.")
@click.option("--check", is_flag=True, help="Write nothing. Exit 1 with a short diff if files are out of date.")
@click.option("--dry-run", is_flag=True, help="Write nothing. List what would be written.")
@click.option("--allow-removals", type=click.IntRange(min=0), metavar="N", help="Allow this run to remove N releases.")
@click.option("--discard-edits", is_flag=True, help="Overwrite hand edits in the files that m2g owns.")
@click.option("--verify", is_flag=True, help="Compare every record with the registry, also those that do not change.")
@click.option("--redecide", is_flag=True, help="Decide again how the versions are served, also those that run.")
@click.option("--migrate", is_flag=True, help="Write the records of an older m2g in today's form; implies --locked.")
@NO_CACHE
@FORMAT
@click.pass_obj
def render(
    folder: Path,
    models: Sequence[str],
    environments: Sequence[str],
    locked: bool,
    check: bool,
    dry_run: bool,
    allow_removals: int | None,
    discard_edits: bool,
    verify: bool,
    redecide: bool,
    migrate: bool,
    no_cache: bool,
    output_format: str,
) -> Exit:
    """Read the model registry and write release records, bases and overlays.

    m2g.yaml says which alias, stage or tag each environment follows. m2g never changes files that people own, and
    it never removes a model because the registry's answer was incomplete.

    \b
    m2g render                           all models in all environments
    m2g render --model wine --env dev    one model in one environment
    m2g render --dry-run                 list what would be written
    m2g render --locked --check          in CI: do the files match the committed records?
    m2g render --verify --check          do the committed records match the registry?
    """
    from m2g.changes.update import RenderOptions
    from m2g.commands import render as command
    from m2g.report import findings as report
    from m2g.report import progress, render
    from m2g.repository import config, load
    from m2g.repository.state import Scope

    if locked and verify:
        raise InputError("--verify asks the registry, and --locked does not", hint="remove one of them")
    root = config.find_root(folder)
    options = RenderOptions(
        locked=locked or migrate,
        check=check,
        dry_run=dry_run,
        scope=Scope(models=frozenset(models), environments=frozenset(environments)),
        allow_removals=allow_removals,
        discard_edits=discard_edits,
        verify=verify,
        redecide=redecide,
        migrate=migrate,
        cache=cache_folder(root, disabled=no_cache),
    )
    try:
        with progress.show_progress("render") as tell:
            outcome = command.render(
                root,
                options,
                progress=tell,
                waiting=say_waiting,
            )
    except load.InvalidRepository as error:
        print_result(report.render(error.findings, output_format))
        return Exit.INPUT
    if output_format == "json":
        print_result(render.render_json(outcome))
    else:
        if outcome.findings:
            print_message(report.render_text(outcome.findings, width=find_width()))
        print_result(render.render_text(outcome))
    errors = any(finding.severity == "error" for finding in outcome.findings)
    return Exit.NO if errors or (check and outcome.files) else Exit.DONE
