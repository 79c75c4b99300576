"""A derived schema file: its text and its entry in schemas/lock.json."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any, NamedTuple

Schema = dict[str, Any]

FOLDER = Path(__file__).parents[1]
LOCK = FOLDER / "lock.json"
DRAFT = "https://json-schema.org/draft/2020-12/schema"
COMMON: dict[str, Schema] = json.loads((FOLDER / "common.json").read_text())["$defs"]


class Source(NamedTuple):
    """What a file was derived from. `sha256` is the digest of a wheel, or `h1:…` from Go's go.sum."""

    package: str
    version: str
    sha256: str


class Derived(NamedTuple):
    """One file below schemas/. `kinds` maps `<apiVersion> <kind>` to a name in `defs`."""

    name: str
    sources: list[Source]
    kinds: dict[str, str]
    defs: dict[str, Schema]

    def text(self) -> str:
        """The text of the file: sorted, in a stable layout, with only the definitions of common.json that are used."""
        defs = {**{name: COMMON[name] for name in _used(self.defs)}, **self.defs}
        head = {
            "$schema": DRAFT,
            "$comment": "Derived; see lock.json. Change schemas/derive and run `make schemas`.",
            "x-kinds": dict(sorted(self.kinds.items())),
        }
        lines = [f" {json.dumps(key)}: {json.dumps(value)}," for key, value in head.items()]
        rows = [f"  {json.dumps(name)}: {_compact(schema)}" for name, schema in sorted(defs.items())]
        return "\n".join(["{", *lines, ' "$defs": {', ",\n".join(rows), " }", "}", ""])

    def entry(self) -> dict[str, Any]:
        """The entry in the lock."""
        return {
            "name": self.name,
            "sha256": hashlib.sha256(self.text().encode()).hexdigest(),
            "sources": [source._asdict() for source in sorted(self.sources)],
        }


def lock_text(files: list[Derived]) -> str:
    """The text of schemas/lock.json."""
    common = (FOLDER / "common.json").read_bytes()
    own = {"name": "common.json", "sha256": hashlib.sha256(common).hexdigest(), "sources": []}
    entries = sorted([own, *(file.entry() for file in files)], key=lambda entry: entry["name"])
    return json.dumps({"files": entries}, indent=2) + "\n"


def object_of(api_version: str, kind: str, meta: Schema, fields: dict[str, Schema], required: list[str]) -> Schema:
    """The schema of a kind. It allows only these fields, apiVersion, kind and metadata."""
    properties: dict[str, Schema] = {"apiVersion": {"const": api_version}, "kind": {"const": kind}, "metadata": meta}
    return {
        "type": "object",
        "additionalProperties": False,
        "required": sorted({"apiVersion", "kind", "metadata", *required}),
        "properties": dict(sorted({**properties, **fields}.items())),
    }


def _compact(schema: Schema) -> str:
    """Write each field of a definition on a line of its own, so that differences between versions are readable."""
    flat = json.dumps(schema, sort_keys=True)
    if len(flat) <= 160 or not isinstance(schema.get("properties"), dict):
        return flat
    rest = {key: value for key, value in sorted(schema.items()) if key != "properties"}
    head = "".join(f"\n   {json.dumps(key)}: {json.dumps(value, sort_keys=True)}," for key, value in rest.items())
    rows = ",\n".join(
        f"    {json.dumps(key)}: {json.dumps(value, sort_keys=True)}"
        for key, value in sorted(schema["properties"].items())
    )
    return f'{{{head}\n   "properties": {{\n{rows}\n   }}\n  }}'


def _used(defs: dict[str, Schema]) -> list[str]:
    pending, used = list(defs.values()), set[str]()
    while pending:
        text = json.dumps(pending.pop())
        new = {name for name in COMMON if f'"#/$defs/{name}"' in text} - used - set(defs)
        used |= new
        pending.extend(COMMON[name] for name in new)
    return sorted(used)
