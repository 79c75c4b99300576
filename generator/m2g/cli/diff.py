"""Options of `m2g diff`, and what it prints."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import click

from m2g.cli.terminal import CONTEXT, ENVIRONMENTS, MODELS, deliver, outputs

FORMS = ("text", "markdown", "json")


@click.command(context_settings=CONTEXT)
@click.option("--against", metavar="REF", default="", help="Branch, tag or commit; default: the remote's main branch.")
@MODELS
@ENVIRONMENTS
@click.option("--format", "form", type=click.Choice(FORMS), default="text", show_default=True)
@outputs(FORMS)
@click.pass_obj
def diff(
    folder: Path,
    against: str,
    models: Sequence[str],
    environments: Sequence[str],
    form: str,
    outputs: Sequence[tuple[str, str]],
) -> None:
    """Show what a reviewer must know: versions, metrics, signature, lineage, and the built objects that change.

    Compares the files as they are now with the merge base of HEAD and REF.

    \b
    m2g diff --against origin/main
    m2g diff --against HEAD                            what is not committed yet
    m2g diff --against origin/main --format markdown   for the pull request
    """
    from m2g.commands import diff as command
    from m2g.report import diff as report
    from m2g.report import progress
    from m2g.repository import config
    from m2g.repository.state import Scope

    scope = Scope(models=frozenset(models), environments=frozenset(environments))
    with progress.show_progress("diff") as tell:
        review = command.diff(config.find_root(folder), against, scope, progress=tell)
    deliver(folder, form, outputs, lambda form: report.render(review, form))
