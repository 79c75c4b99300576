"""`m2g render`: the repository brought to what the registry says."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from m2g.changes.update import RenderOptions, update
from m2g.core.results import RenderResult
from m2g.registry import Progress
from m2g.resolution.resolve import registry_of


def render(root: Path, options: RenderOptions, *, progress: Progress, waiting: Callable[[], None]) -> RenderResult:
    """Render what `options` ask for, from the registry that m2g.yaml names. Raises what `update` raises.

    `waiting` is called when another run holds the repository.
    """
    return update(root, options, open_registry=lambda config: registry_of(config, root, progress), waiting=waiting)
