"""Options of `m2g render`, and what it prints."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import click

from m2g.cli.terminal import CONTEXT, ENVIRONMENTS, FORM, MODELS, NO_CACHE, memory, print_, say
from m2g.core.errors import Exit
from m2g.repository import load


@click.command(context_settings=CONTEXT)
@MODELS
@ENVIRONMENTS
@click.option("--locked", is_flag=True, help="From the committed records alone: no registry, no network.")
@click.option("--check", is_flag=True, help="Write nothing; exit 1 with a short diff when the tree is out of date.")
@click.option("--dry-run", is_flag=True, help="Write nothing; list what would be written.")
@click.option("--allow-removals", type=click.IntRange(min=0), metavar="N", help="Remove up to N releases in this run.")
@click.option("--discard-edits", is_flag=True, help="Overwrite hand edits in files that m2g owns.")
@NO_CACHE
@FORM
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
    no_cache: bool,
    form: str,
) -> Exit:
    """Resolve the registry, write release records, bases and overlays.

    What each environment follows (an alias, a stage, a tag, or nothing) is in m2g.yaml. Files that people own are never
    touched, and nothing is removed because a listing was short.

    \b
    m2g render                        everything
    m2g render --model wine --env dev one model in one environment
    m2g render --dry-run              what would be written
    m2g render --locked --check       in CI: is the tree what the records say? (no network)
    """
    from m2g.changes.update import RenderOptions
    from m2g.commands import render as command
    from m2g.report import findings as report
    from m2g.report import progress, render
    from m2g.repository import config
    from m2g.repository.state import Scope

    root = config.find_root(folder)
    options = RenderOptions(
        locked=locked,
        check=check,
        dry_run=dry_run,
        scope=Scope(models=frozenset(models), environments=frozenset(environments)),
        allow_removals=allow_removals,
        discard_edits=discard_edits,
        cache=memory(root, forgets=no_cache),
    )
    try:
        with progress.show_progress("render") as tell:
            outcome = command.render(
                root,
                options,
                progress=tell,
                waiting=lambda: say("another m2g is writing here; waiting for it …"),
            )
    except load.InvalidRepository as wrong:
        print_(report.render(wrong.findings, form))
        return Exit.INPUT
    if form == "json":
        print_(render.render_json(outcome))
    else:
        if outcome.findings:
            say(report.render(outcome.findings, "text"))
        print_(render.render_text(outcome))
    errors = any(finding.severity == "error" for finding in outcome.findings)
    return Exit.NO if errors or (check and outcome.files) else Exit.DONE
