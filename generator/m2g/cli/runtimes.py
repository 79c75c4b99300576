"""Options of `m2g runtimes list|show|import`, and what they print."""

from __future__ import annotations

from pathlib import Path

import click

from m2g.cli.terminal import CONTEXT, FORM, print_
from m2g.core.errors import InputError


@click.group(context_settings=CONTEXT)
def runtimes() -> None:
    """Show the serving runtimes whose content m2g knows, and describe your own.

    \b
    m2g runtimes list
    m2g runtimes show kserve-mlserver --kserve 0.17
    m2g runtimes import freeze.txt --name mlserver-py312 --python 3.12.4
    """


@runtimes.command(name="list", context_settings=CONTEXT)
@FORM
@click.pass_obj
def list_(folder: Path, form: str) -> None:
    """List every described runtime: of which KServe it is, its Python, its mlflow, its image."""
    from m2g.commands import runtimes as command
    from m2g.report import runtimes as report

    print_(report.render_list(command.listed(_root(folder)), form))


@runtimes.command(context_settings=CONTEXT)
@click.argument("name")
@click.option("--kserve", default="", metavar="VERSION", help="As this KServe version brings it; default: the newest.")
@FORM
@click.pass_obj
def show(folder: Path, name: str, kserve: str, form: str) -> None:
    """Print the description of the runtime NAME, such as kserve-mlserver, with all its packages: as its file."""
    from m2g.commands import runtimes as command
    from m2g.report import runtimes as report

    print_(report.render_runtime(command.show(_root(folder), name, kserve), form))


@runtimes.command(name="import", context_settings=CONTEXT)
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--name", required=True, metavar="NAME", help="The ServingRuntime's name, as `runtime` in model.yaml.")
@click.option("--image", default="", metavar="IMAGE", help="The image that FILE is of, best with its digest.")
@click.option("--python", default="", metavar="VERSION", help="The image's Python; an SBOM may say it itself.")
@FORM
@click.pass_obj
def import_(folder: Path, file: Path, name: str, image: str, python: str, form: str) -> None:
    """Write runtimes/NAME.json from FILE: the output of `pip freeze`, or an SBOM (CycloneDX or SPDX, JSON).

    \b
    docker run --rm IMAGE pip freeze --all > freeze.txt
    m2g runtimes import freeze.txt --name mlserver-py312 --image IMAGE --python 3.12.4
    """
    from m2g.commands import runtimes as command
    from m2g.compat.runtime import Runtime
    from m2g.report import runtimes as report
    from m2g.repository import config

    described = Runtime(name=name, image=image[:500], python=python)
    print_(report.render_import(command.import_(config.find_root(folder), folder / file, described), form))


def _root(folder: Path) -> Path | None:
    """The repository that the person is in; without one, only KServe's runtimes are there."""
    from m2g.repository import config

    try:
        return config.find_root(folder)
    except InputError:
        return None
