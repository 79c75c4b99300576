"""The options and the output of `m2g validate`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import click

from m2g.cli.terminal import CONTEXT, ENVIRONMENTS, MODELS, NO_CACHE, cache_folder, outputs, write_report
from m2g.core.errors import Exit

FORMATS = ("text", "json", "github", "gitlab", "sarif", "junit")


@click.command(context_settings=CONTEXT, short_help="Check all files and objects.")
@MODELS
@ENVIRONMENTS
@click.option("--shard", metavar="I/N", help="Only part I of N of the models, for parallel CI jobs.")
@click.option(
    "--against", metavar="REF", help="Also check what must not change since the merge base with REF (see below)."
)
@click.option(
    "--allow-removals", type=click.IntRange(min=0), metavar="N", help="With --against: allow N services to be removed."
)
@NO_CACHE
@click.option("--format", "output_format", type=click.Choice(FORMATS), default="text", show_default=True)
@outputs(FORMATS)
@click.pass_obj
def validate(
    folder: Path,
    models: Sequence[str],
    environments: Sequence[str],
    shard: str | None,
    against: str | None,
    allow_removals: int | None,
    no_cache: bool,
    output_format: str,
    outputs: Sequence[tuple[str, str]],
) -> Exit:
    """Build every overlay with kustomize and check every object, the release records and the files of people.

    One run shows all findings. Errors end it with exit code 1, warnings do not. m2g validate contacts neither the
    registry nor a cluster. With --against, it also checks changes that break a running service: another deployment
    mode, a renamed service, too many removals.

    \b
    m2g validate
    m2g validate --model wine --env prod
    m2g validate --against main
    m2g validate --format github      annotations on the pull request
    m2g validate --shard 2/8          the second of eight CI jobs
    m2g validate --output gitlab gl-code-quality-report.json --output junit junit.xml
    """
    from m2g.commands import validate as command
    from m2g.core import shard as shards
    from m2g.report import findings, progress
    from m2g.repository import config
    from m2g.repository.state import Scope
    from m2g.validation.base import Against

    part = None if shard is None else shards.parse(shard)
    scope = Scope(models=frozenset(models), environments=frozenset(environments), shard=part)
    base = None if against is None else Against(ref=against, removals=allow_removals)
    root = config.find_root(folder)
    with progress.show_progress("validate") as tell:
        options = command.ValidateOptions(scope=scope, against=base, cache=cache_folder(root, disabled=no_cache))
        report = command.validate(root, options, progress=tell)
    write_report(folder, output_format, outputs, lambda chosen: findings.render_report(report, chosen))
    return Exit.NO if any(finding.severity == "error" for finding in report.findings) else Exit.DONE
