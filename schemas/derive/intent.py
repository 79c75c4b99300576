"""JSON Schemas for editors, from the types of the files that people write: `python schemas/derive/intent.py`.

With --check it writes nothing, and the exit code tells whether the files are up to date.
"""

from __future__ import annotations

import ast
import inspect
import itertools
import json
import sys
from pathlib import Path
from typing import Any

import msgspec

from m2g.compat import runtime
from m2g.core import (
    companion_fields,
    config_types,
    kserve_fields,
    platform_types,
    pod_fields,
    proposal_types,
    setting_fields,
    settings,
)
from m2g.validation.policies import policy

FOLDER = Path(__file__).parents[1] / "m2g"
KINDS: dict[str, type[msgspec.Struct]] = {
    "m2g": config_types.Config,
    "model": config_types.ModelIntent,
    "policy": policy.PolicyFile,
    "runtime": runtime.Runtime,
}


def documents() -> dict[Path, str]:
    """Path → text of every schema file."""
    texts = _field_texts()
    found = {}
    for name, kind in KINDS.items():
        schema = msgspec.json.schema(kind, schema_hook=lambda _: {"description": "see _refer"})
        schema["$defs"] |= _refer(schema["$defs"])
        for title, definition in schema["$defs"].items():
            for field, text in texts.get(title, {}).items():
                if field in definition.get("properties", {}):
                    definition["properties"][field] = {"description": text, **definition["properties"][field]}
        schema = {
            "$schema": "https://json-schema.org/draft/2020-12/schema",
            "title": f"{name}.{'json' if name == 'runtime' else 'yaml'}",
            **schema,
        }
        found[FOLDER / f"{name}.schema.json"] = json.dumps(schema, indent=1, sort_keys=True) + "\n"
    return found


def _refer(definitions: dict[str, Any]) -> dict[str, Any]:
    """Give each value whose form KServe or Kubernetes says its definition; return what these refer to."""
    wanted: dict[str, Any] = {}
    known = json.loads(_newest().read_text())["$defs"]
    for kind in (settings.Settings, setting_fields.ValueFrom, companion_fields.NetworkPeer):
        fields = definitions.get(kind.__name__, {}).get("properties", {})
        for name, field in settings.list_fields(kind).items():
            row = field.row
            if not row.definition or name not in fields:
                continue
            target = {"$ref": f"#/$defs/{row.definition}"}
            if row.only:
                whole = known[row.definition]
                target = whole | {"properties": {key: whole["properties"][key] for key in row.only}}
            items = fields[name].get("type") == "array"
            fields[name] = {"type": "array", "items": target} if items else target
            _collect(known, target, wanted)
    return wanted


def _collect(known: dict[str, Any], schema: object, found: dict[str, Any]) -> None:
    """Every definition that a schema refers to, and those that they refer to."""
    if isinstance(schema, list):
        for item in schema:
            _collect(known, item, found)
    elif isinstance(schema, dict):
        name = str(schema.get("$ref", "")).removeprefix("#/$defs/")
        if name in known and name not in found:
            found[name] = known[name]
            _collect(known, known[name], found)
        for item in schema.values():
            _collect(known, item, found)


def _newest() -> Path:
    """The schemas of the newest KServe."""
    return max((FOLDER.parent / "serving.kserve.io").glob("*.json"), key=lambda path: path.stem)


def _field_texts() -> dict[str, dict[str, str]]:
    """Class → field (by its name in the file) → the text below the field in the source."""
    result: dict[str, dict[str, str]] = {}
    for module in (
        *(config_types, platform_types, proposal_types, setting_fields, pod_fields, companion_fields, kserve_fields),
        *(settings, policy, runtime),
    ):
        for node in ast.parse(inspect.getsource(module)).body:
            kind = getattr(module, getattr(node, "name", ""), None)
            if isinstance(node, ast.ClassDef) and isinstance(kind, type) and issubclass(kind, msgspec.Struct):
                result[node.name] = _texts_under(node, kind)
    rows = {name: field.row for name, field in settings.list_fields().items()}
    inherited = (result[base.__name__] for base in settings.Settings.__mro__ if base.__name__ in result)
    result["Settings"] = {
        name: f"{text} {setting_fields.describe_limits(rows[name])}".rstrip()
        for texts in inherited
        for name, text in texts.items()
    }
    return result


def _texts_under(node: ast.ClassDef, kind: type[msgspec.Struct]) -> dict[str, str]:
    names = dict(zip(kind.__struct_fields__, kind.__struct_encode_fields__, strict=True))
    found = {}
    for field, text in itertools.pairwise(node.body):
        if (
            isinstance(field, ast.AnnAssign)
            and isinstance(field.target, ast.Name)
            and isinstance(text, ast.Expr)
            and isinstance(text.value, ast.Constant)
        ):
            found[names[field.target.id]] = " ".join(str(text.value.value).split())
    return found


def main() -> int:
    """Write the files, or compare them."""
    stale = [path for path, text in documents().items() if not path.exists() or path.read_text() != text]
    if "--check" not in sys.argv:
        FOLDER.mkdir(exist_ok=True)
        for path, text in documents().items():
            path.write_text(text)
        return 0
    for path in stale:
        sys.stderr.write(f"{path.name} is out of date; run: make schemas\n")
    return 1 if stale else 0


if __name__ == "__main__":
    sys.exit(main())
