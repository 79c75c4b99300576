"""Remove repetition from schemas: each long part that occurs more than once becomes a definition."""

from __future__ import annotations

import hashlib
import json
import re
from collections import Counter
from collections.abc import Collection, Mapping

from m2g.validation.schemas.kubernetes import Json

_WORTH = 200
"""A part that is at least this long and occurs twice is moved to `$defs`."""


def share_parts(kinds: Mapping[str, Json], taken: Collection[str] = ()) -> dict[str, Json]:
    """The kinds, with every long part that occurs more than once moved to a definition.

    `taken` are the names of existing definitions.
    """
    counts: Counter[str] = Counter()
    for schema in kinds.values():
        _count(schema, counts)
    writer = _Writer(counts, set(kinds) | set(taken))
    whole = {name: writer.inlined(schema) for name, schema in kinds.items()}
    return whole | writer.defs


def _count(schema: Json, counts: Counter[str]) -> None:
    counts[_text(schema)] += 1
    for part in (*_fields(schema).values(), *_below(schema).values()):
        _count(part, counts)


def _fields(schema: Json) -> dict[str, Json]:
    fields = schema.get("properties")
    return fields if isinstance(fields, dict) else {}


def _below(schema: Json) -> dict[str, Json]:
    """The schemas of items and of unnamed fields."""
    parts = {key: schema.get(key) for key in ("items", "additionalProperties")}
    return {key: part for key, part in parts.items() if isinstance(part, dict)}


def _text(schema: Json) -> str:
    return json.dumps(schema, sort_keys=True)


class _Writer:
    def __init__(self, counts: Counter[str], taken: set[str]) -> None:
        self._counts = counts
        self._taken = taken
        self._names: dict[str, str] = {}
        self.defs: dict[str, Json] = {}

    def part(self, schema: Json, hint: str) -> Json:
        text = _text(schema)
        if self._counts[text] < 2 or len(text) < _WORTH:
            return self.inlined(schema, hint)
        if text not in self._names:
            self._names[text] = self._name(text, hint)
            self.defs[self._names[text]] = self.inlined(schema, hint)
        return {"$ref": f"#/$defs/{self._names[text]}"}

    def inlined(self, schema: Json, hint: str = "") -> Json:
        new = dict(schema)
        if "properties" in schema:
            new["properties"] = {name: self.part(part, name) for name, part in _fields(schema).items()}
        for key, part in _below(schema).items():
            new[key] = self.part(part, hint)
        return new

    def _name(self, text: str, hint: str) -> str:
        """A name that is valid in a JSON pointer: of the field's name, only letters, digits and hyphens are kept."""
        digest = hashlib.sha256(text.encode()).hexdigest()
        plain = re.sub(r"[^A-Za-z0-9-]", "-", hint)
        name = plain if plain and plain not in self._taken else f"{plain}-{digest[:6]}"
        self._taken.add(name)
        return name
