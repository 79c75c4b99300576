"""Lines that a terminal, a CI log and a JSON reader can take as they are."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable

_COMMAND = re.compile(r"^(\s*):(?=:)", re.MULTILINE)


def joined(lines: Iterable[str]) -> str:
    """The lines as one text. None of them is a command to GitHub's runner, which reads every log for `::` and `##[`."""
    text = "\n".join(lines) + "\n"
    return _COMMAND.sub(r"\1: ", text).replace("##[", "## [")


def encoded(data: object) -> str:
    """JSON in ASCII alone: what a terminal obeys (escape, CSI, bidi) is written as `\\uXXXX`."""
    return json.dumps(data, indent=2, ensure_ascii=True).replace("\x7f", "\\u007f") + "\n"
