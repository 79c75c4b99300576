"""What the shell offers after a tab: the models and environments of the repository. It reads no registry."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import click
from click.shell_completion import CompletionItem

from m2g.core.errors import M2gError


def complete_model(context: click.Context, parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """The slugs of the models in this repository."""
    from m2g.repository import model_folder

    return _complete(context, incomplete, model_folder.list_slugs)


def complete_environment(context: click.Context, parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """The environments of m2g.yaml."""
    from m2g.repository import config

    def list_environments(root: Path) -> list[str]:
        loaded = config.load(root).config
        return [] if loaded is None else list(loaded.environments)

    return _complete(context, incomplete, list_environments)


def complete_rule(context: click.Context, parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """The rules and findings that `m2g explain` knows."""
    from m2g.commands.explain import list_findings, list_rules

    pages = [page for page in (*list_findings(), *list_rules()) if page.id.startswith(incomplete)]
    return [CompletionItem(page.id, help=page.summary) for page in sorted(pages, key=lambda page: page.id)]


def _complete(context: click.Context, incomplete: str, list_names: Callable[[Path], list[str]]) -> list[CompletionItem]:
    """The names that begin like the word. Names that a shell would read as something else are left out."""
    from m2g.repository import config

    given = context.find_root().params.get("folder")
    try:
        names = list_names(config.find_root(Path.cwd() / given if given else Path.cwd()))
    except (M2gError, OSError):
        return []
    plain = [name for name in names if name.isascii() and name.replace("-", "").isalnum()]
    return [CompletionItem(name) for name in sorted(plain) if name.startswith(incomplete)]
