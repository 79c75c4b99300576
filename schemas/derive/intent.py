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

import msgspec

from m2g.compat import runtime
from m2g.core import config_types, setting_fields
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
        schema = msgspec.json.schema(kind)
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


def _field_texts() -> dict[str, dict[str, str]]:
    """Class → field (by its name in the file) → the text below the field in the source."""
    result: dict[str, dict[str, str]] = {}
    for module in (config_types, setting_fields, policy, runtime):
        for node in ast.parse(inspect.getsource(module)).body:
            kind = getattr(module, getattr(node, "name", ""), None)
            if isinstance(node, ast.ClassDef) and isinstance(kind, type) and issubclass(kind, msgspec.Struct):
                result[node.name] = _texts_under(node, kind)
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
    if kind is setting_fields.Settings:
        rows = {name: field.row for name, field in setting_fields.list_fields().items()}
        found = {name: f"{text} {setting_fields.describe_limits(rows[name])}".rstrip() for name, text in found.items()}
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
