"""The options and the output of `m2g schemas list|show|import`."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path

import click

from m2g.cli.terminal import CONTEXT, FORMAT, find_repository, find_table_width, print_result
from m2g.core.errors import Exit, InputError


@click.group(context_settings=CONTEXT, short_help="List and import schemas.")
def schemas() -> None:
    """List the schemas that m2g checks objects against, and import those of your own CRDs.

    \b
    m2g schemas list
    m2g schemas show HTTPRoute
    m2g schemas import crds.yaml
    m2g schemas import --from-cluster
    """


@schemas.command(name="list", context_settings=CONTEXT)
@FORMAT
@click.pass_obj
def list_(folder: Path, output_format: str) -> None:
    """List the kinds that have a schema, with its versions, its source and how strict it is."""
    from m2g.commands import schemas as command
    from m2g.report import schemas as report

    print_result(report.render_list(command.list_schemas(find_repository(folder)), output_format, find_table_width()))


@schemas.command(context_settings=CONTEXT)
@click.argument("kind")
@click.option("--kserve", default="", metavar="VERSION", help="The KServe version. Default: the newest.")
@click.pass_obj
def show(folder: Path, kind: str, kserve: str) -> None:
    """Print the JSON Schema of KIND.

    \b
    m2g schemas show HTTPRoute
    m2g schemas show keda.sh/v1alpha1/ScaledObject
    """
    from m2g.commands import schemas as command
    from m2g.report import schemas as report

    print_result(report.render_schema(command.show_schema(find_repository(folder), kind, kserve)))


@schemas.command(name="import", context_settings=CONTEXT)
@click.argument("files", nargs=-1, type=click.Path(path_type=Path))
@click.option("--from-cluster", is_flag=True, help="Read all CRDs of the cluster that kubectl points to.")
@click.option("--context", default="", metavar="NAME", help="The kubectl context, with --from-cluster.")
@click.option("--only", multiple=True, metavar="GLOB", help="Only these kinds, as group/Kind. Repeatable.")
@FORMAT
@click.pass_obj
def import_(
    folder: Path, files: Sequence[Path], from_cluster: bool, context: str, only: Sequence[str], output_format: str
) -> Exit:
    """Write the schemas of CRDs to schemas/<group>/. They take precedence over m2g's own schemas.

    \b
    m2g schemas import crds.yaml
    m2g schemas import --from-cluster --only 'keda.sh/*'
    """
    from m2g.commands import schemas as command
    from m2g.report import schemas as report
    from m2g.repository import config

    if bool(files) == from_cluster:
        hint = "run: m2g schemas import crds.yaml (or m2g schemas import --from-cluster)"
        raise InputError("either files with CRDs or --from-cluster is required", hint=hint)
    if context and not from_cluster:
        hint = f"run: m2g schemas import --from-cluster --context {shlex.quote(context)}"
        raise InputError("--context works only with --from-cluster", hint=hint)
    root = config.find_root(folder)
    if from_cluster:
        done = command.import_cluster(root, context, only)
    else:
        done = command.import_files(root, folder, files, only)
    print_result(report.render_import(done, output_format))
    return Exit.NO if done.refused else Exit.DONE
