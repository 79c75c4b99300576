"""What `m2g import` made of another tool's settings."""

from __future__ import annotations

import shlex

import msgspec

from m2g.core.results import ImportedConfig
from m2g.core.sanitize import make_visible
from m2g.report.layout import encode_json, format_table, join_lines


def render_config(result: ImportedConfig, form: str) -> str:
    """m2g.yaml itself, or everything as JSON."""
    if form == "json":
        return encode_json({"version": 1, **msgspec.to_builtins(result)})
    return result.config


def render_values(result: ImportedConfig) -> str:
    """What became of each value, and the command that makes a repository around the m2g.yaml."""
    rows = [("value", "in m2g.yaml", "remark")]
    rows += [(make_visible(one.name, 60), one.becomes or "–", one.remark) for one in result.values]
    answers = " ".join(f"--data {shlex.quote(answer)}" for answer in result.answers)
    return join_lines([format_table(rows), "", f"the repository around it: m2g init DIR --defaults {answers}"])
