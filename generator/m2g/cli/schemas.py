"""Options of `m2g schemas list|show|import`, and what they print."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import click

from m2g.cli.terminal import CONTEXT, FORM, print_
from m2g.core.errors import Exit, InputError


@click.group(context_settings=CONTEXT)
def schemas() -> None:
    """Show the schemas that objects are checked against, and import those of your own CRDs.

    \b
    m2g schemas list
    m2g schemas show HTTPRoute
    m2g schemas import crds.yaml
    m2g schemas import --from-cluster
    """


@schemas.command(name="list", context_settings=CONTEXT)
@FORM
@click.pass_obj
def list_(folder: Path, form: str) -> None:
    """List every kind with a schema: its versions, where it is from, how strict it is."""
    from m2g.commands import schemas as command
    from m2g.report import schemas as report

    print_(report.render_list(command.listed(_root(folder)), form))


@schemas.command(context_settings=CONTEXT)
@click.argument("kind")
@click.option("--kserve", default="", metavar="VERSION", help="KServe's kinds as of this version; default: newest.")
@click.pass_obj
def show(folder: Path, kind: str, kserve: str) -> None:
    """Print the JSON Schema of KIND, such as HTTPRoute or keda.sh/v1alpha1/ScaledObject."""
    from m2g.commands import schemas as command
    from m2g.report import schemas as report

    print_(report.render_schema(command.show(_root(folder), kind, kserve)))


@schemas.command(name="import", context_settings=CONTEXT)
@click.argument("files", nargs=-1, type=click.Path(path_type=Path))
@click.option("--from-cluster", is_flag=True, help="Ask kubectl for all CRDs of the cluster that it points to.")
@click.option("--context", default="", metavar="NAME", help="kubectl's context, for --from-cluster.")
@click.option("--only", multiple=True, metavar="GLOB", help="Only these kinds, as group/Kind; repeatable.")
@FORM
@click.pass_obj
def import_(
    folder: Path, files: Sequence[Path], from_cluster: bool, context: str, only: Sequence[str], form: str
) -> Exit:
    """Write the schemas of CRDs to schemas/<group>/, where they come before m2g's own.

    \b
    m2g schemas import crds.yaml
    m2g schemas import --from-cluster --only 'keda.sh/*'
    """
    from m2g.commands import schemas as command
    from m2g.report import schemas as report
    from m2g.repository import config

    if bool(files) == from_cluster:
        raise InputError("name files with CRDs, or --from-cluster", hint="m2g schemas import crds.yaml")
    if context and not from_cluster:
        raise InputError("--context is for --from-cluster")
    root = config.find_root(folder)
    if from_cluster:
        done = command.import_cluster(root, context, only)
    else:
        done = command.import_files(root, folder, files, only)
    print_(report.render_import(done, form))
    return Exit.NO if done.refused else Exit.DONE


def _root(folder: Path) -> Path | None:
    """The repository that the person is in; without one, only m2g's own schemas are there."""
    from m2g.repository import config

    try:
        return config.find_root(folder)
    except InputError:
        return None
