"""Runtimes as a table, as JSON, and what an import did."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from m2g.compat.runtime import Runtime
from m2g.core.results import RuntimeImport, RuntimeList, RuntimeSummary
from m2g.core.sanitize import make_visible
from m2g.report.layout import encoded, joined

_HEAD = ("runtime", "KServe", "Python", "mlflow", "image")
_WIDE = 60


def listing(known: Sequence[Runtime], form: str) -> str:
    """The rows of `m2g runtimes list`; with `json` all that is known of each but its packages."""
    if form == "json":
        rows = (
            RuntimeSummary(
                name=one.name,
                kserve=one.kserve,
                python=one.python,
                loads=one.loads,
                image=one.image,
                packages=len(one.packages),
            )
            for one in known
        )
        return encoded({"version": 1, **msgspec.to_builtins(RuntimeList(runtimes=tuple(rows)))})
    table = [_HEAD, *(_row(one) for one in known)]
    widths = [max(len(row[column]) for row in table) for column in range(len(_HEAD))]
    return joined(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in table
    )


def _row(one: Runtime) -> tuple[str, ...]:
    versions = f"{one.kserve[0]}–{one.kserve[-1]}" if len(one.kserve) > 1 else "".join(one.kserve) or "your own"
    cells = (one.name, versions, one.python or "?", one.version("mlflow") or "–", one.image or "–")
    return tuple(make_visible(cell, _WIDE) for cell in cells)


def whole(one: Runtime, form: str) -> str:
    """One runtime, as its file; with `json` beside the version of that shape."""
    return encoded({**({"version": 1} if form == "json" else {}), **msgspec.to_builtins(one)})


def imported(told: RuntimeImport, form: str) -> str:
    """What an import did."""
    if form == "json":
        return encoded({"version": 1, **msgspec.to_builtins(told)})
    python = f", Python {told.python}" if told.python else "; add --python: without it half of the gate is blind"
    words = f"{told.change:8} {told.file}  {told.packages} packages{python}"
    return joined([words, f"         name it in model.yaml: settings: {{runtime: {told.runtime}}}"])
