"""The options and the output of `m2g diff`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import click

from m2g.cli.terminal import CONTEXT, ENVIRONMENTS, MODELS, outputs, write_report

FORMATS = ("text", "markdown", "json")


@click.command(context_settings=CONTEXT, short_help="Show what changes, for a reviewer.")
@click.option(
    "--against", metavar="REF", default="", help="The branch, tag or commit. Default: the remote's main branch."
)
@MODELS
@ENVIRONMENTS
@click.option("--format", "output_format", type=click.Choice(FORMATS), default="text", show_default=True)
@outputs(FORMATS)
@click.pass_obj
def diff(
    folder: Path,
    against: str,
    models: Sequence[str],
    environments: Sequence[str],
    output_format: str,
    outputs: Sequence[tuple[str, str]],
) -> None:
    """Show what changes: model versions, metrics, signatures, lineage, and the objects that kustomize builds.

    m2g compares the files on disk with the merge base of HEAD and REF.

    \b
    m2g diff --against origin/main
    m2g diff --against HEAD                            changes that are not committed yet
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
    write_report(folder, output_format, outputs, lambda chosen: report.render(review, chosen))
