"""The options and the output of `m2g runtimes list|show|import`."""

from __future__ import annotations

from pathlib import Path

import click

from m2g.cli.terminal import CONTEXT, FORMAT, find_repository, find_table_width, print_result


@click.group(context_settings=CONTEXT, short_help="List and describe serving runtimes.")
def runtimes() -> None:
    """List the serving runtimes that m2g knows, and describe your own.

    A description names the packages inside a runtime's image. With it, m2g can tell whether the runtime loads a model.

    \b
    m2g runtimes list
    m2g runtimes show kserve-mlserver --kserve 0.17
    m2g runtimes import freeze.txt --name mlserver-py312 --python 3.12.4
    """


@runtimes.command(name="list", context_settings=CONTEXT)
@FORMAT
@click.pass_obj
def list_(folder: Path, output_format: str) -> None:
    """List the described runtimes with their KServe versions, Python, mlflow and image."""
    from m2g.commands import runtimes as command
    from m2g.report import runtimes as report

    print_result(report.render_list(command.list_runtimes(find_repository(folder)), output_format, find_table_width()))


@runtimes.command(context_settings=CONTEXT)
@click.argument("name")
@click.option("--kserve", default="", metavar="VERSION", help="The KServe version. Default: the newest.")
@FORMAT
@click.pass_obj
def show(folder: Path, name: str, kserve: str, output_format: str) -> None:
    """Print the description of the runtime NAME, such as kserve-mlserver, with all its packages."""
    from m2g.commands import runtimes as command
    from m2g.report import runtimes as report

    print_result(report.render_runtime(command.show_runtime(find_repository(folder), name, kserve), output_format))


@runtimes.command(name="import", context_settings=CONTEXT)
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--name", required=True, metavar="NAME", help="The ServingRuntime's name, as in `runtime` of model.yaml.")
@click.option("--image", default="", metavar="IMAGE", help="The image that FILE describes, best with its digest.")
@click.option("--python", default="", metavar="VERSION", help="The image's Python version, unless the SBOM has it.")
@FORMAT
@click.pass_obj
def import_(folder: Path, file: Path, name: str, image: str, python: str, output_format: str) -> None:
    """Write runtimes/NAME.json from FILE: the output of `pip freeze`, or an SBOM (CycloneDX or SPDX, as JSON).

    \b
    docker run --rm IMAGE pip freeze --all > freeze.txt
    m2g runtimes import freeze.txt --name mlserver-py312 --image IMAGE --python 3.12.4
    """
    from m2g.commands import runtimes as command
    from m2g.compat.runtime import Runtime
    from m2g.report import runtimes as report
    from m2g.repository import config

    described = Runtime(name=name, image=image[:500], python=python)
    print_result(
        report.render_import(command.import_runtime(config.find_root(folder), folder / file, described), output_format)
    )
