"""Options of `m2g validate`, and what it prints."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import click

from m2g.cli.terminal import CONTEXT, ENVIRONMENTS, MODELS, NO_CACHE, deliver, memory, outputs
from m2g.core.errors import Exit

FORMS = ("text", "json", "github", "gitlab", "sarif", "junit")


@click.command(context_settings=CONTEXT)
@MODELS
@ENVIRONMENTS
@click.option("--shard", metavar="I/N", help="Only part I of N of the fleet, by model: for parallel CI jobs.")
@click.option("--against", metavar="REF", help="Compare with where the branch left REF, too (modes, names, removals).")
@click.option("--allow-removals", type=click.IntRange(min=0), metavar="N", help="With --against: N services may go.")
@NO_CACHE
@click.option("--format", "form", type=click.Choice(FORMS), default="text", show_default=True)
@outputs(FORMS)
@click.pass_obj
def validate(
    folder: Path,
    models: Sequence[str],
    environments: Sequence[str],
    shard: str | None,
    against: str | None,
    allow_removals: int | None,
    no_cache: bool,
    form: str,
    outputs: Sequence[tuple[str, str]],
) -> Exit:
    """Build every overlay with kustomize and check each object, the records and what people wrote.

    All findings are shown in one run; warnings alone do not fail it. Asks neither the registry nor a cluster.

    \b
    m2g validate
    m2g validate --model wine --env prod
    m2g validate --against main       also what must not change for a service that exists
    m2g validate --format github      annotations on the pull request
    m2g validate --shard 2/8          in the second of eight CI jobs
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
        options = command.Options(scope=scope, against=base, cache=memory(root, forgets=no_cache))
        report = command.validate(root, options, progress=tell)
    deliver(folder, form, outputs, lambda form: findings.render_report(report, form))
    return Exit.NO if any(finding.severity == "error" for finding in report.findings) else Exit.DONE
