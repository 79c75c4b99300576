"""The options and the output of `m2g init`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import click

from m2g.cli.terminal import CONTEXT, print_result


@click.command(context_settings=CONTEXT, short_help="Create a GitOps repository.")
@click.argument("directory", type=click.Path(path_type=Path))
@click.option("--defaults", is_flag=True, help="Ask no questions. Use the default answer of each.")
@click.option("--data", multiple=True, metavar="QUESTION=ANSWER", help="The answer to one question. Repeatable.")
@click.option(
    "--template", metavar="URL", help="The template's Git URL or directory. Default: the template inside m2g."
)
@click.pass_obj
def init(folder: Path, directory: Path, defaults: bool, data: Sequence[str], template: str | None) -> None:
    """Create a GitOps repository in DIRECTORY from a template.

    Later, `copier update` brings the repository up to date with the template.

    \b
    m2g init my-models
    m2g init my-models --defaults --data environments=dev,prod --data sync=flux
    """
    from m2g.commands import init as command
    from m2g.report import init

    done = command.init(folder / directory, template=template, data=data, defaults=defaults)
    print_result(init.render_text(done.folder, len(done.files), done.in_git, done.replaced))
