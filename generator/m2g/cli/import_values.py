"""The options and the output of `m2g import`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import click

from m2g.cli.terminal import CONTEXT, FORMAT, print_message, print_result


@click.group(name="import", context_settings=CONTEXT, short_help="Take over the settings of another tool.")
def import_values() -> None:
    """Take over the settings of another tool as m2g.yaml.

    \b
    m2g import mlflow2seldon values.yaml
    """


@import_values.command(context_settings=CONTEXT)
@click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--artifact-root", default="", metavar="URI", help="Where MLflow's own URIs begin, for example /mlruns.")
@click.option("--storage", default="", metavar="URI", help="The same place as the clusters read it: s3://, gs://.")
@FORMAT
@click.pass_obj
def mlflow2seldon(folder: Path, files: Sequence[Path], artifact_root: str, storage: str, output_format: str) -> None:
    """Print the m2g.yaml that does what the values of MLflow2Seldon's chart do.

    FILES are the chart's values; later ones win. What became of each value goes to stderr, or to --format json.

    \b
    helm get values mlflow2seldon -n mlops-integrations > values.yaml
    m2g import mlflow2seldon values.yaml
    m2g import mlflow2seldon values.yaml --artifact-root /mlruns --storage s3://mlflow > m2g.yaml
    """
    from m2g.commands import import_values as command
    from m2g.report import import_values as report

    result = command.import_mlflow2seldon(folder, files, artifact_root=artifact_root, storage=storage)
    if output_format == "text":
        print_message(report.render_values(result))
    print_result(report.render_config(result, output_format))
