"""What m2g remembers in the description of a pull request: an HTML comment that a forge does not show."""

from __future__ import annotations

import json
import re

import msgspec

from m2g.core.model import Value

_MARKER = re.compile(r"<!-- m2g:proposal (\{[^\n]{0,60000}\}) -->")
_ESCAPED = str.maketrans({"<": "\\u003c", ">": "\\u003e", "-": "\\u002d", "&": "\\u0026"})


class Marker(Value, frozen=True, kw_only=True):
    """`identities` are the releases that the pull request proposes (`Moved.identity`); for the upgrade, its digest.

    `files` is the digest of the files that the description is about. `superseded` are identities that it
    proposed before. `edited` is the commit of somebody else that m2g has told about. `closed` tells that m2g itself
    closes it, so that nobody has declined it. `merge` tells whether m2g wants the forge to merge these files by itself
    (`wanted`), and whether it has asked for that (`asked`): then it does not ask again, so that a person can stop it.
    """

    identities: tuple[str, ...] = ()
    files: str = ""
    superseded: tuple[str, ...] = ()
    edited: str = ""
    closed: bool = False
    merge: str = ""


def write_marker(marker: Marker) -> str:
    """One line. Its text cannot end the comment."""
    text = json.dumps(msgspec.to_builtins(marker), ensure_ascii=True, separators=(",", ":"))
    return f"<!-- m2g:proposal {text.translate(_ESCAPED)} -->"


def read_marker(body: str) -> Marker | None:
    """The first marker of a description; None if a person removed it."""
    found = _MARKER.search(body)
    if found is None:
        return None
    try:
        return msgspec.json.decode(found[1], type=Marker)
    except (msgspec.DecodeError, RecursionError):
        return None


def replace_marker(body: str, marker: Marker) -> str:
    """The description with another marker."""
    line = write_marker(marker)
    return _MARKER.sub(lambda _: line, body, count=1) if _MARKER.search(body) else f"{line}\n{body}"
