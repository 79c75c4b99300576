"""`m2g render`: bring the repository up to date with the registry."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from m2g.changes.update import RenderOptions, update
from m2g.core.results import RenderResult
from m2g.registry import Progress
from m2g.resolution.resolve import open_configured_registry


def render(root: Path, options: RenderOptions, *, progress: Progress, waiting: Callable[[], None]) -> RenderResult:
    """Render from the registry that m2g.yaml names. Raises the errors of `update`.

    `waiting` is called if another run holds the repository's lock.
    """
    return update(
        root, options, open_registry=lambda config: open_configured_registry(config, root, progress), waiting=waiting
    )
