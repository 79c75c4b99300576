"""The options and the output of `m2g scaffold`."""

from __future__ import annotations

from pathlib import Path

import click

from m2g.cli.terminal import CONTEXT, FORMAT, print_result
from m2g.core.errors import Exit


@click.command(context_settings=CONTEXT, short_help="Bring platform/ in line with m2g.yaml.")
@click.option("--dry-run", is_flag=True, help="Write nothing. Show what would change.")
@FORMAT
@click.pass_obj
def scaffold(folder: Path, dry_run: bool, output_format: str) -> Exit:
    """Bring the template's files in line with m2g.yaml: environments, namespaces, mode, account and tools.

    m2g merges the changes into files that you edited. If an edit is in the way, it writes nothing and names the file.
    m2g.yaml never changes.

    \b
    m2g scaffold --dry-run
    m2g scaffold
    """
    from m2g.commands import scaffold as command
    from m2g.report import scaffold
    from m2g.repository import config

    result = command.align(config.find_root(folder), dry_run=dry_run)
    print_result(scaffold.render(result, output_format))
    return Exit.NO if result.conflicts else Exit.DONE
