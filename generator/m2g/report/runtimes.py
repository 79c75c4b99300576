"""Runtimes as a table and as JSON, and the result of an import."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from m2g.compat.runtime import Runtime
from m2g.core.results import RuntimeImport, RuntimeList, RuntimeSummary
from m2g.core.sanitize import make_visible
from m2g.report.layout import encode_json, format_table, join_lines

_HEAD = ("runtime", "KServe", "Python", "mlflow", "image")
_WIDE = 60


def render_list(known: Sequence[Runtime], form: str, width: int = 0) -> str:
    """The table of `m2g runtimes list`; with `json` all fields of each runtime except its packages."""
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
        return encode_json({"version": 1, **msgspec.to_builtins(RuntimeList(runtimes=tuple(rows)))})
    return format_table([_HEAD, *(_row(one) for one in known)], width)


def _row(one: Runtime) -> tuple[str, ...]:
    versions = f"{one.kserve[0]}–{one.kserve[-1]}" if len(one.kserve) > 1 else "".join(one.kserve) or "your own"
    cells = (one.name, versions, one.python or "?", one.version("mlflow") or "–", one.image or "–")
    return tuple(make_visible(cell, _WIDE) for cell in cells)


def render_runtime(one: Runtime, form: str) -> str:
    """One runtime as JSON, as its file has it; the format `json` adds `version: 1`."""
    return encode_json({**({"version": 1} if form == "json" else {}), **msgspec.to_builtins(one)})


def render_import(result: RuntimeImport, form: str) -> str:
    """The result of `m2g runtimes import`."""
    if form == "json":
        return encode_json({"version": 1, **msgspec.to_builtins(result)})
    python = f", Python {result.python}" if result.python else "; add --python, or m2g cannot compare Python versions"
    summary = f"{result.change:8} {result.file}  {result.packages} packages{python}"
    return join_lines([summary, f"         to use it, add to model.yaml: settings: {{runtime: {result.runtime}}}"])
