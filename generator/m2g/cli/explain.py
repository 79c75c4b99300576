"""Options of `m2g explain`, and what it prints."""

from __future__ import annotations

import click

from m2g.cli.terminal import CONTEXT, FORM, print_


@click.command(context_settings=CONTEXT)
@click.argument("rule", required=False)
@FORM
def explain(rule: str | None, form: str) -> None:
    """Show what RULE asks, why, and how to do it right; without RULE, list all.

    RULE is the word in brackets below any finding.

    \b
    m2g explain
    m2g explain scale-metric
    m2g explain hand-edit
    """
    from m2g.commands import explain as command
    from m2g.report import rules

    pages = [command.explain(rule)] if rule else command.pages()
    print_(rules.render(pages, form, whole=bool(rule)))
