"""The options and the output of `m2g explain`."""

from __future__ import annotations

import click

from m2g.cli.terminal import CONTEXT, FORMAT, print_result


@click.command(context_settings=CONTEXT, short_help="Explain a rule or a finding.")
@click.argument("rule", required=False)
@FORMAT
def explain(rule: str | None, output_format: str) -> None:
    """Explain a rule: what it checks, why, and how to fix a finding. Without RULE, list all rules.

    RULE is the name in brackets at the end of a finding.

    \b
    m2g explain
    m2g explain scale-metric
    m2g explain hand-edit
    """
    from m2g.commands import explain as command
    from m2g.report import rules

    pages = [command.explain(rule)] if rule else command.list_rules()
    print_result(rules.render(pages, output_format, whole=bool(rule)))
