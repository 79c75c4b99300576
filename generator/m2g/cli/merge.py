"""Options of `m2g merge`, and what it prints."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import click

from m2g.cli.terminal import CONTEXT, deliver, outputs
from m2g.cli.validate import FORMS
from m2g.core.errors import Exit


@click.command(context_settings=CONTEXT)
@click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--format", "form", type=click.Choice(FORMS), default="text", show_default=True)
@outputs(FORMS)
@click.pass_obj
def merge(folder: Path, files: Sequence[Path], form: str, outputs: Sequence[tuple[str, str]]) -> Exit:
    """Put the JSON reports of `m2g validate --shard I/N` together; a part that is missing is an error.

    \b
    m2g validate --shard 2/8 --output json part-2.json    in the second of eight CI jobs
    m2g merge part-*.json --format github                 in the job that waits for all of them

    Exit codes: as `m2g validate`; 2 for a missing part, or a file that is no such report.
    """
    from m2g.commands import merge as command
    from m2g.report import findings

    report = command.merge([folder / file for file in files])
    deliver(folder, form, outputs, lambda form: findings.whole(report, form))
    return Exit.NO if any(finding.severity == "error" for finding in report.findings) else Exit.DONE
