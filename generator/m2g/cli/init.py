"""Options of `m2g init`, and what it prints."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import click

from m2g.cli.terminal import CONTEXT, print_


@click.command(context_settings=CONTEXT)
@click.argument("directory", type=click.Path(path_type=Path))
@click.option("--defaults", is_flag=True, help="Ask nothing; take the default of every question.")
@click.option("--data", multiple=True, metavar="KEY=VALUE", help="The answer to one question; repeatable.")
@click.option("--template", metavar="URL", help="A Git URL or folder of the template; default: the one in this m2g.")
@click.pass_obj
def init(folder: Path, directory: Path, defaults: bool, data: Sequence[str], template: str | None) -> None:
    """Make a new GitOps repository in DIRECTORY from the template; `copier update` keeps it current later.

    \b
    m2g init my-models
    m2g init my-models --defaults --data environments=dev,prod --data sync=flux
    """
    from m2g.commands import init as command
    from m2g.report import init

    done = command.init(folder / directory, template=template, data=data, defaults=defaults)
    print_(init.render_text(done.folder, len(done.files), done.in_git))
