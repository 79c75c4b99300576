"""Options of `m2g request`, and what it prints."""

from __future__ import annotations

from pathlib import Path
from typing import cast, get_args

import click

from m2g.cli.terminal import CONTEXT, FORM, print_, say

PROTOCOLS = ("v2", "invocations", "v1")


@click.command(context_settings=CONTEXT)
@click.argument("model")
@click.option("--env", "environment", default="", metavar="NAME", help="In this environment; default: the first.")
@click.option("--protocol", type=click.Choice(PROTOCOLS), help="Default: what the model's server speaks.")
@click.option("--body", "body_alone", is_flag=True, help="Print the body alone, for `| curl -d @-`.")
@FORM
@click.pass_context
def request(
    context: click.Context,
    model: str,
    environment: str,
    protocol: str | None,
    body_alone: bool,
    form: str,
) -> None:
    """Print a request that MODEL answers, and the curl commands that send it.

    MODEL is a slug or a registered name. The request is made of signature and input example in the committed record;
    nobody is asked.

    \b
    m2g request wine
    m2g request wine --env prod --format json
    m2g request wine --body | curl -H 'Content-Type: application/json' -d @- "$URL/v2/models/wine/infer"
    m2g request wine --protocol invocations        for MLflow's own scoring server
    """
    from m2g.commands import request as command
    from m2g.core.config_types import Protocol
    from m2g.core.errors import InputError
    from m2g.report import request as report

    given = context.find_root().params.get("folder")
    again = ("m2g", "-C", str(given), "request") if given else ("m2g", "request")
    folder: Path = context.obj
    wished = cast(Protocol | None, protocol) if protocol in get_args(Protocol) else None
    made = command.call(
        command.Wish(model=model, environment=environment, protocol=wished, again=again),
        folder,
    )
    if not body_alone:
        print_(report.render_call(made, form))
        return
    if not made.body:
        raise InputError(f"{made.model} has no request: {made.notes[0]}", hint="`m2g request` without --body says more")
    for note in made.notes:
        say(f"note: {report.format_note(note)}")
    print_(report.escape_body(made.body))
