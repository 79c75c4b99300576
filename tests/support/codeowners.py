"""Who owns a path by a CODEOWNERS file, as GitHub and as GitLab read it.

GitHub: docs.github.com, about code owners (gitignore's rules, but `docs/*` does not match nested files).
GitLab: docs.gitlab.com, code owners reference (fnmatch with FNM_PATHNAME and FNM_DOTMATCH; the last match counts; an
entry without owners needs no approval).
"""

from __future__ import annotations

import re
from pathlib import Path


def owners(file: Path, path: str, forge: str) -> list[str]:
    """The owners of the last rule that matches."""
    found: list[str] = []
    for line in file.read_text().splitlines():
        if line and not line.startswith("#"):
            pattern, *who = line.split()
            if _translate(pattern, forge).fullmatch(path):
                found = who
    return found


def _translate(pattern: str, forge: str) -> re.Pattern[str]:
    anchored = "/" in pattern[:-1]
    text = pattern.removeprefix("/")
    if text.endswith("/"):
        text += "**"
    elif forge == "github" and "*" not in text.rpartition("/")[2]:
        text += "{,/**}"  # a name without a wildcard also matches a folder
    if not anchored:
        text = f"**/{text}"
    expression = ""
    for piece in re.findall(r"\{,/\*\*\}|\*\*/|\*\*|\*|\?|.", text):
        match piece:
            case "{,/**}":
                expression += "(/.*)?"
            case "**/":
                expression += "(.*/)?"
            case "**":
                expression += ".*"
            case "*":
                # A folder without a slash at its end is a match, too, if only `*` stands for it.
                expression += "[^/]*(/.*)?" if text in ("*", "**/*") else "[^/]*"
            case "?":
                expression += "[^/]"
            case _:
                expression += re.escape(piece)
    return re.compile(expression, re.DOTALL)
