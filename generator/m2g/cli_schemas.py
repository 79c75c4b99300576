"""Options of `m2g schemas list|show|import`; as in `m2g.cli`, whose group they join."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import click

from m2g.errors import Exit, InputError

_FORM = click.option("--format", "form", type=click.Choice(["text", "json"]), default="text", show_default=True)


def register(group: click.Group, tell: Callable[[str], None]) -> None:
    """Add the verbs to `group`; `tell` prints their answers."""
    schemas = click.Group(name="schemas", help=_HELP, context_settings=group.context_settings)
    for verb in (_list(tell), _show(tell), _import(tell)):
        verb.context_settings = group.context_settings
        schemas.add_command(verb)
    group.add_command(schemas)


_HELP = """Show the schemas that objects are checked against, and import those of your own CRDs.

\b
m2g schemas list
m2g schemas show HTTPRoute
m2g schemas import crds.yaml
m2g schemas import --from-cluster
"""


def _list(tell: Callable[[str], None]) -> click.Command:
    @click.command(name="list", help="List every kind with a schema: its versions, where it is from, how strict it is.")
    @_FORM
    @click.pass_obj
    def list_(folder: Path, form: str) -> None:
        from m2g.commands import schemas as command
        from m2g.report import schemas as report

        tell(report.listing(command.listed(_root(folder)), form))

    return list_


def _show(tell: Callable[[str], None]) -> click.Command:
    @click.command(
        name="show", help="Print the JSON Schema of KIND, such as HTTPRoute or keda.sh/v1alpha1/ScaledObject."
    )
    @click.argument("kind")
    @click.option("--kserve", default="", metavar="VERSION", help="KServe's kinds as of this version; default: newest.")
    @click.pass_obj
    def show(folder: Path, kind: str, kserve: str) -> None:
        from m2g.commands import schemas as command
        from m2g.report import schemas as report

        tell(report.schema(command.show(_root(folder), kind, kserve)))

    return show


def _import(tell: Callable[[str], None]) -> click.Command:
    @click.command(name="import", help=_IMPORT)
    @click.argument("files", nargs=-1, type=click.Path(path_type=Path))
    @click.option("--from-cluster", is_flag=True, help="Ask kubectl for all CRDs of the cluster that it points to.")
    @click.option("--context", default="", metavar="NAME", help="kubectl's context, for --from-cluster.")
    @click.option("--only", multiple=True, metavar="GLOB", help="Only these kinds, as group/Kind; repeatable.")
    @_FORM
    @click.pass_obj
    def import_(
        folder: Path, files: Sequence[Path], from_cluster: bool, context: str, only: Sequence[str], form: str
    ) -> Exit:
        from m2g import config
        from m2g.commands import schemas as command
        from m2g.report import schemas as report

        if bool(files) == from_cluster:
            raise InputError("name files with CRDs, or --from-cluster", hint="m2g schemas import crds.yaml")
        if context and not from_cluster:
            raise InputError("--context is for --from-cluster")
        root = config.find_root(folder)
        if from_cluster:
            done = command.import_cluster(root, context, only)
        else:
            done = command.import_files(root, folder, files, only)
        tell(report.imported(done, form))
        return Exit.NO if done.refused else Exit.DONE

    return import_


_IMPORT = """Write the schemas of CRDs to schemas/<group>/, where they come before m2g's own.

\b
m2g schemas import crds.yaml
m2g schemas import --from-cluster --only 'keda.sh/*'
"""


def _root(folder: Path) -> Path | None:
    """The repository that the person is in; without one, only m2g's own schemas are there."""
    from m2g import config

    try:
        return config.find_root(folder)
    except InputError:
        return None
