"""The options and the output of `m2g explain`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import click

from m2g.cli.completion import complete_model, complete_rule
from m2g.cli.terminal import CONTEXT, ENVIRONMENTS, FORMAT, print_result
from m2g.core.errors import InputError


@click.command(context_settings=CONTEXT, short_help="Explain a rule, a finding or a model.")
@click.argument("rule", required=False, shell_complete=complete_rule)
@click.option(
    "--model",
    metavar="NAME",
    shell_complete=complete_model,
    help="Explain why this model (name or slug) is in an environment or not.",
)
@ENVIRONMENTS
@FORMAT
@click.pass_obj
def explain(folder: Path, rule: str | None, model: str | None, environments: Sequence[str], output_format: str) -> None:
    """Explain a rule: what it checks, why, and how to fix a finding. Without RULE, list all rules.

    RULE is the name in brackets at the end of a finding. With --model, explain why a model is or is not in each
    environment: what selects it, which version each environment follows, and what keeps that version out. m2g asks the
    registry and writes nothing.

    \b
    m2g explain
    m2g explain scale-metric
    m2g explain --model fraud-score
    m2g explain --model fraud-score --env prod --format json
    """
    if model is not None:
        if rule is not None:
            raise InputError("RULE and --model exclude each other", hint="remove one of them")
        _explain_model(folder, model, environments, output_format)
        return
    if environments:
        raise InputError("--env works only with --model", hint="add --model NAME, or remove --env")
    from m2g.commands import explain as command
    from m2g.report import rules

    pages = [command.explain(rule)] if rule else command.list_rules()
    print_result(rules.render(pages, output_format, whole=bool(rule)))


def _explain_model(folder: Path, model: str, environments: Sequence[str], output_format: str) -> None:
    from m2g.commands import explain_model as command
    from m2g.report import model_reasons as report
    from m2g.report import progress
    from m2g.repository import config
    from m2g.resolution.resolve import open_configured_registry

    root = config.find_root(folder)
    with progress.show_progress("explain") as tell:
        reasons = command.explain_model(
            root, model, environments, open_registry=lambda settings: open_configured_registry(settings, root, tell)
        )
    print_result(report.render(reasons, output_format))
