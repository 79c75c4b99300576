"""The options of `m2g predict`."""

from __future__ import annotations

from pathlib import Path

import click

from m2g.cli.completion import complete_environment, complete_model
from m2g.cli.smoke import start
from m2g.cli.terminal import CONTEXT, print_message
from m2g.core.errors import Exit, InputError


@click.command(context_settings=CONTEXT, short_help="Predict the rows of a file with a model.")
@click.argument("model", shell_complete=complete_model)
@click.argument("rows", type=click.Path(path_type=Path))
@click.argument("output", type=click.Path(path_type=Path))
@click.option(
    "--env",
    "environment",
    default="",
    metavar="NAME",
    shell_complete=complete_environment,
    help="The environment. Needed where they serve different versions.",
)
@click.option("--version", "number", default="", metavar="N", help="Use this version, not the recorded one.")
@click.option("--model-dir", type=click.Path(path_type=Path), metavar="DIR", help="Use the model files in DIR.")
@click.option("--venv", type=click.Path(path_type=Path), metavar="PATH", help="Use this Python environment instead.")
@click.option(
    "--timeout",
    type=click.FloatRange(1, 86_400),
    default=3600.0,
    show_default=True,
    metavar="SECONDS",
    help="How long the model may take.",
)
@click.option("--require-isolation", is_flag=True, help="Run nothing if this machine cannot isolate the model's code.")
@click.pass_obj
def predict(
    folder: Path,
    model: str,
    rows: Path,
    output: Path,
    environment: str,
    number: str,
    model_dir: Path | None,
    venv: Path | None,
    timeout: float,
    require_isolation: bool,
) -> Exit:
    """Write the predictions of MODEL for the file ROWS to OUTPUT, here and without a server.

    The version runs in the packages that the cluster has, as in `m2g smoke`, and behind the same walls. ROWS is a CSV
    file with a header, or a JSON file as for /invocations; OUTPUT ends in .csv or .json, too.

    Exit code 1: the model does not load, or refuses the rows.

    \b
    m2g predict wine rows.csv predictions.csv --env prod
    m2g predict wine rows.json predictions.json --env prod --version 8
    """
    from m2g.commands import predict as command
    from m2g.commands import smoke
    from m2g.smoke import targets
    from m2g.smoke.stages import ServeOptions

    command.find_form(output)
    selection = targets.TargetOptions(
        model=model,
        environments=(environment,) if environment else (),
        version=number,
        folder=None if model_dir is None else folder / model_dir,
    )
    options = smoke.SmokeOptions(
        serve=ServeOptions(
            seconds=timeout, rows=command.check_rows(folder / rows), output=(folder / output).absolute()
        ),
        environment=None if venv is None else folder / venv,
        require_isolation=require_isolation,
    )
    found = targets.find_targets(selection, folder)
    if len(found) != 1:
        names = " or ".join(f"--env {name}" for target in found for name in target.environments)
        raise InputError(f"{model} is served in several ways", hint=f"choose one environment: {names}")
    return start(smoke.download(found, options, print_message))
