"""The options and the output of `m2g request`."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Literal, cast, get_args

import click

from m2g.cli.completion import complete_environment, complete_model
from m2g.cli.terminal import CONTEXT, FORMAT, print_message, print_result

PROTOCOLS = ("v2", "invocations", "v1")
FORMS = ("json", "csv", "python", "grpc")


@click.command(context_settings=CONTEXT, short_help="Print a request for a model.")
@click.argument("model", shell_complete=complete_model)
@click.option(
    "--env",
    "environment",
    default="",
    metavar="NAME",
    shell_complete=complete_environment,
    help="The environment. Default: the first one.",
)
@click.option("--protocol", type=click.Choice(PROTOCOLS), help="Default: the protocol of the model's server.")
@click.option(
    "--form",
    type=click.Choice(FORMS),
    default="json",
    show_default=True,
    help="csv: rows for /invocations. python, grpc: a program that asks by REST or gRPC.",
)
@click.option("--body", "body_only", is_flag=True, help="Print only the body (or the program), for `| curl -d @-`.")
@FORMAT
@click.pass_context
def request(
    context: click.Context,
    model: str,
    environment: str,
    protocol: str | None,
    form: Literal["json", "csv", "python", "grpc"],
    body_only: bool,
    output_format: str,
) -> None:
    """Print a request for MODEL and the curl commands that send it.

    MODEL is a slug or a registered name. m2g makes the request from the signature and the input example in the
    committed record. It contacts neither the registry nor the cluster.

    \b
    m2g request wine
    m2g request wine --env prod --format json
    m2g request wine --body | curl -H 'Content-Type: application/json' -d @- "$URL/v2/models/wine/infer"
    m2g request wine --protocol invocations        for MLflow's own scoring server
    m2g request wine --form csv                    a table for /invocations
    m2g request wine --form python --body > ask.py
    """
    from m2g.commands import request as command
    from m2g.core.errors import InputError
    from m2g.core.model import Protocol
    from m2g.report import request as report

    given = context.find_root().params.get("folder")
    command_line = ("m2g", "-C", str(given), "request") if given else ("m2g", "request")
    folder: Path = context.obj
    chosen = cast(Protocol | None, protocol) if protocol in get_args(Protocol) else None
    call = command.prepare_call(
        command.CallOptions(model=model, environment=environment, protocol=chosen, form=form, command=command_line),
        folder,
    )
    if not body_only:
        print_result(report.render_call(call, output_format))
        return
    if not call.body:
        raise InputError(
            f"{call.model} has no request body: {call.notes[0]}", hint=f"run: {shlex.join([*command_line, call.slug])}"
        )
    for note in call.notes:
        print_message(f"note: {report.format_note(note)}")
    print_result(report.escape_body(call.body))
