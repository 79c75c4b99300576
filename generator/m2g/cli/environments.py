"""The options and the output of `m2g environments [plan|context|record]`."""

from __future__ import annotations

import os
from pathlib import Path

import click

from m2g.cli.terminal import CONTEXT, FORMAT, find_table_width, print_result


@click.group(
    context_settings=CONTEXT, invoke_without_command=True, short_help="List and plan the images that models share."
)
@click.option("--missing", is_flag=True, help="Only those that wait for an image.")
@FORMAT
@click.pass_context
def environments(context: click.Context, missing: bool, output_format: str) -> None:
    """List the serving environments: Python, locked packages and a server in an image that models share.

    A model that the cluster's runtimes do not load gets such an environment. The model's files stay outside, so a new
    version with the same packages needs no build.

    \b
    m2g environments                      which releases use each, and whether it has an image
    m2g environments plan --write         add what is needed
    m2g environments rebase --write       the same packages on another base image
    m2g environments context ID -o DIR    write the build context of its image
    m2g environments record ID IMAGE      record the image that was pushed
    """
    if context.invoked_subcommand is not None:
        return
    from m2g.commands import environments as command
    from m2g.report import environments as report
    from m2g.repository import config

    root = config.find_root(context.obj)
    rows = command.list_environments(root, missing=missing)
    print_result(report.render_list(rows, output_format, find_table_width()))


@environments.command(context_settings=CONTEXT)
@click.option("--write", is_flag=True, help="Add the new environments to the repository.")
@click.option("--repack", is_flag=True, help="Plan from the beginning, as if no environment was recorded.")
@click.option("--locked", is_flag=True, help="Use the committed records. Do not contact the registry.")
@click.option(
    "--before", default="", metavar="DATE", help="Use no package that was uploaded after DATE, such as 2026-11-25."
)
@FORMAT
@click.pass_obj
def plan(folder: Path, write: bool, repack: bool, locked: bool, before: str, output_format: str) -> None:
    """Find few environments for many models, and say what keeps models apart.

    A model joins a recorded environment if its pins are a subset of that lock. New ones are locked by uv. Which models
    may share is set by images.sharing in m2g.yaml. Without --write, nothing changes.
    """
    from m2g.commands import environments as command
    from m2g.report import environments as report
    from m2g.report import progress
    from m2g.repository import config

    root = config.find_root(folder)
    options = command.PlanOptions(locked=locked, write=write, repack=repack, before=before)
    with progress.show_progress("environments") as tell:
        planned = command.plan(root, options, command.registry_opener(root, tell))
    print_result(report.render_plan(planned, output_format))


@environments.command(context_settings=CONTEXT)
@click.argument("names", metavar="[ID]...", nargs=-1)
@click.option("--write", is_flag=True, help="Add the new environments to the repository.")
@FORMAT
@click.pass_obj
def rebase(folder: Path, names: tuple[str, ...], write: bool, output_format: str) -> None:
    """Put environments on the base image that images.bases in m2g.yaml names: the same packages, another identity.

    Without ID, all environments that a release uses. The old ones stay, and no release moves by itself. Without
    --write, nothing changes.
    """
    from m2g.commands import environments as command
    from m2g.report import environments as report
    from m2g.repository import config

    made = command.rebase(config.find_root(folder), names, write_files=write)
    print_result(report.render_rebased(made, output_format))


@environments.command(context_settings=CONTEXT)
@click.argument("name", metavar="ID")
@click.option(
    "-o", "--output", "output", required=True, type=click.Path(path_type=Path), metavar="DIR", help="Where to write."
)
@click.option("--dry-run", is_flag=True, help="Write nothing. List what would be written.")
@FORMAT
@click.pass_obj
def context(folder: Path, name: str, output: Path, dry_run: bool, output_format: str) -> None:
    """Write the build context of the image of environment ID: a Dockerfile and locked requirements with hashes."""
    from m2g.commands import environments as command
    from m2g.report import environments as report
    from m2g.repository import config

    to = Path(os.path.normpath(folder / output))
    made = command.prepare(config.find_root(folder), name, to, dry_run=dry_run)
    print_result(report.render_prepared(made, output_format))


@environments.command(context_settings=CONTEXT)
@click.argument("name", metavar="ID")
@click.argument("image")
@FORMAT
@click.pass_obj
def record(folder: Path, name: str, image: str, output_format: str) -> None:
    """Record the IMAGE of environment ID with its digest. The first one counts: an environment never changes."""
    from m2g.commands import environments as command
    from m2g.report import environments as report
    from m2g.repository import config

    print_result(report.render_recorded(command.record(config.find_root(folder), name, image), output_format))
