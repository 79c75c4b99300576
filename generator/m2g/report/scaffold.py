"""The result of `m2g scaffold` as text and as JSON."""

from __future__ import annotations

import msgspec

from m2g.core.results import Alignment, ChangeKind
from m2g.core.sanitize import make_visible
from m2g.report.layout import count, encode_json, join_lines

_SIGNS = {ChangeKind.ADDED: "+", ChangeKind.CHANGED: "~", ChangeKind.REMOVED: "-"}
_LONG = 300


def render(result: Alignment, form: str) -> str:
    """What m2g.yaml says otherwise than the answers, and the files that follow, as `text` or `json`."""
    if form == "json":
        return encode_json({"version": 1, **msgspec.to_builtins(result)})
    if not result.answers:
        return "up to date: the files of the template say what m2g.yaml says\n"
    lines = [f"{name}: {make_visible(text, _LONG) or 'none'}" for name, text in result.answers.items()]
    for file in result.files:
        lines.append(f"{_SIGNS[file.kind]} {make_visible(file.path, _LONG)}")
        lines += [f"    {make_visible(line, _LONG)}" for line in file.diff]
    if result.conflicts:
        lines += [f"! {make_visible(path, _LONG)}: you have edited the same lines" for path in result.conflicts]
        lines += ["nothing was written: undo these edits or make the change yourself, then run m2g scaffold again"]
    else:
        files = count(len(result.files), "file")
        lines += [
            f"written: {files}; apply them to the clusters as README.md says"
            if result.written
            else f"would write {files}"
        ]
    return join_lines(lines)
