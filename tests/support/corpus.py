"""The corpus: one manifest a file, what m2g must find in it in the comments at its head.

# kserve: "0.21"                       the version it is for
# external: {"secrets": ["registry"]}  what m2g.yaml declares (optional)
# finds: RULE PATH                     once for each finding; right/ has none
# by: WHO                              who finds it where m2g is not used (wrong/ only, see BY)
"""

from __future__ import annotations

import json
import re
from pathlib import Path

import msgspec
import ryaml

from tests.support.paths import ROOT
from tests.support.rule_objects import Answers, Given

FOLDER = ROOT / "tests/corpus"
BY = {
    "schema": "the API server, by the kind's own schema",
    "webhook": "KServe's admission webhook",
    "later": "nobody: the cluster accepts it, and it breaks, drifts or is ignored",
    "m2g": "nobody: it is a rule of m2g, such as no secrets in Git",
}
_HEAD = re.compile(r"# (kserve|external|finds|by): (.+)")


class Case(msgspec.Struct, frozen=True, kw_only=True):
    """One manifest and its answers."""

    name: str
    path: Path
    manifest: dict[str, object]
    given: Given
    expected: Answers
    by: str = ""

    @property
    def right(self) -> bool:
        return not self.expected


def cases() -> list[Case]:
    """Every case, sorted: those with a fault are in wrong/."""
    return [_case(path) for path in sorted(FOLDER.glob("*/*.yaml"))]


def _case(path: Path) -> Case:
    text = path.read_text()
    head: dict[str, list[str]] = {}
    for line in text.splitlines():
        found = _HEAD.fullmatch(line)
        if not line.startswith("#"):
            break
        if found is None:
            raise ValueError(f"{path.name}: what does {line!r} mean?")
        head.setdefault(found[1], []).append(found[2])
    given = {"kserve": json.loads(head["kserve"][0]), "external": json.loads(head.get("external", ["{}"])[0])}
    expected = {(rule, place) for rule, _, place in (answer.partition(" ") for answer in head.get("finds", []))}
    return Case(
        name=f"{path.parent.name}/{path.stem}",
        path=path,
        manifest=ryaml.loads(text),
        given=msgspec.convert(given, Given),
        expected=expected,
        by=head.get("by", [""])[0],
    )
