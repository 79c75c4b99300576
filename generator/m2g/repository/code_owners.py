"""Compare whose approval two files need, by the CODEOWNERS file of GitHub or GitLab."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path

from m2g.core import safe_files
from m2g.core.errors import M2gError

_FILES = ("CODEOWNERS", ".github/CODEOWNERS", ".gitlab/CODEOWNERS", "docs/CODEOWNERS")
_GLOBS = {"/**/": "/(?:.*/)?", "**/": "(?:.*/)?", "**": ".*", "*": "[^/]*", "?": "[^/]"}
_PIECE = re.compile(r"/\*\*/|\*\*/|\*\*|\*|\?|.")


def have_same_owners(root: Path, one: str, other: str) -> bool:
    """Whether every rule that is for one of two paths is for the other, too. Without rules, they have the same.

    The last rule wins for one forge, every section has its own for the other: neither matters here. A rule that cannot
    be read counts as a difference.
    """
    checkout = _find_checkout(root)
    start = os.path.relpath(os.path.realpath(root), checkout)
    paths = [os.path.normpath(f"{start}/{path}") for path in (one, other)]
    forms = list(_read_patterns(checkout))
    return all(form and len({bool(re.fullmatch(form, path)) for path in paths}) == 1 for form in forms)


def _read_patterns(checkout: Path) -> Iterator[str]:
    """The patterns as regular expressions, empty for one that cannot be read.

    A pattern without a leading slash is for any depth on GitLab, and not always on GitHub: both readings count.
    """
    for file in _FILES:
        try:
            text = safe_files.read(checkout, file).decode(errors="replace")
        except FileNotFoundError:
            continue
        except M2gError:
            text = "!"  # a rule that cannot be read
        for line in text.splitlines():
            pattern = line.split(maxsplit=1)[0] if line.strip() else "#"
            if pattern.startswith(("#", "[", "^[")):
                continue
            form = "".join(_GLOBS.get(piece, re.escape(piece)) for piece in _PIECE.findall(pattern.lstrip("/")))
            readable = not re.search(r"[\\!\[\]]", pattern)
            yield form if readable else ""
            if readable and not pattern.startswith("/"):
                yield f"(?:.*/)?{form}"


def _find_checkout(root: Path) -> Path:
    here = Path(os.path.realpath(root))
    return next((folder for folder in (here, *here.parents) if os.path.lexists(folder / ".git")), here)
