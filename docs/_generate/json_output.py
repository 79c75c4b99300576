"""json-output.md and its JSON Schemas, from the types that `--format json` prints."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import msgspec
from docs._generate.types import doc, reached, struct, type_
from docs._generate.words import Fields, Stale, table

from m2g.compat.runtime import Runtime
from m2g.core import environment_results, finding, results
from m2g.delivery import values as delivery
from m2g.review import values
from m2g.validation.rules.page import RulePage

_SCHEMA = "https://json-schema.org/draft/2020-12/schema"
_JSON = """# JSON output

`--format json` prints one object on stdout. Messages and progress go to stderr. `version` is 1. New fields may
appear; if a field is removed or changes its meaning, the number changes. The text is ASCII, and other characters are
escaped.

Fields that a schema does not require are left out if they are empty.

If a verb ends with exit code 2 or 3, the object is the one of `failure`, or of `validate` if findings say what is
wrong.
"""


class Summary(finding.Checked, frozen=True, kw_only=True):
    """How many findings of each severity there are, and how much was checked."""

    errors: int
    warnings: int


class Validation(msgspec.Struct, frozen=True, kw_only=True):
    """What `m2g validate --format json` prints; `render` prints the same if it refuses its input (exit code 2)."""

    shard: str
    built: tuple[str, ...]
    findings: tuple[finding.Finding, ...]
    summary: Summary


class Explanation(msgspec.Struct, frozen=True, kw_only=True):
    """What `m2g explain --format json` prints."""

    rules: tuple[RulePage, ...]


_SHAPES: dict[str, tuple[type[msgspec.Struct], Mapping[str, Any]]] = {
    "render": (results.RenderResult, {}),
    "validate": (Validation, {}),
    "failure": (results.Failure, {}),
    "explain": (Explanation, {}),
    "explain-model": (results.ModelReasons, {}),
    "sync": (delivery.SyncResult, {}),
    "assess": (results.Assessment, {}),
    "scaffold": (results.Alignment, {}),
    "doctor": (results.Diagnosis, {}),
    "hold": (results.HoldResult, {}),
    "canary": (results.CanaryResult, {}),
    "image": (results.PreparedImage, {}),
    "image-missing": (results.MissingImages, {}),
    "environments": (environment_results.EnvironmentList, {}),
    "environments-plan": (environment_results.PlanResult, {}),
    "environments-rebase": (environment_results.PlanResult, {}),
    "environments-context": (environment_results.PreparedEnvironment, {}),
    "environments-record": (environment_results.RecordedImage, {}),
    "request": (results.SampleRequest, {}),
    "smoke": (results.SmokeResult, {}),
    "adopt": (results.Adoption, {}),
    "import": (results.ImportedConfig, {}),
    "runtimes-list": (results.RuntimeList, {}),
    "runtimes-show": (Runtime, {}),
    "runtimes-import": (results.RuntimeImport, {}),
    "diff": (values.Review, {"verdict": {"type": "string", "description": "The verdict in one line."}}),
}
_WHOLE = (finding.Checked, Summary, Validation, Explanation)
"""Printed with all their fields, whatever their own settings say."""


def schemas(fields: Fields) -> dict[str, object]:
    """The JSON Schema of what each verb prints."""
    found: dict[str, object] = {}
    for name, (kind, extra) in _SHAPES.items():
        schema = msgspec.json.schema(kind)
        definitions = schema.pop("$defs")
        for part in reached(kind):
            definition = definitions[part.__name__]
            encoded = dict(zip(part.__struct_fields__, part.__struct_encode_fields__, strict=True))
            for python, outside in encoded.items():
                property_ = definition["properties"][outside]
                property_.pop("default", None)
                definition["properties"][outside] = {"description": fields.text(part, python), **property_}
            whole = part in _WHOLE or not part.__struct_config__.omit_defaults
            whole = whole or (name == "validate" and part is finding.Finding)
            definition["required"] = list(encoded.values()) if whole else definition.get("required", [])
            definition["additionalProperties"] = False
        root = definitions.pop(kind.__name__)
        if "version" in root["properties"]:
            raise Stale(f"{kind.__name__}.version would take the place of the output's own version")
        root["properties"] = {"version": {"const": 1}, **extra, **root["properties"]}
        root["required"] = ["version", *extra, *root["required"]]
        found[name] = {"$schema": _SCHEMA, **root, "title": f"m2g {_verb(name)} --format json", "$defs": definitions}
    return found


def page(fields: Fields) -> str:
    parts, shown = [_JSON], set[type[msgspec.Struct]]()
    for name, (kind, extra) in _SHAPES.items():
        rows = [("`version`", "`1`", "The version of this format.")]
        rows += [(f"`{key}`", "text", schema["description"]) for key, schema in extra.items()]
        parts.append(
            f"## m2g {_verb(name)}\n\nJSON Schema: [schemas/{name}.schema.json](schemas/{name}.schema.json).\n"
        )
        for part in reached(kind):
            if part in shown:
                continue
            shown.add(part)
            here = rows if part is kind else []
            for python, field in zip(part.__struct_fields__, struct(part).fields, strict=True):
                here.append((f"`{field.encode_name}`", _plain(type_(field.type)), fields.text(part, python)))
            title = "" if part is kind else f"### {part.__name__}\n\n"
            parts.append(f"{title}{doc(part)}\n{table(('field', 'type', 'meaning'), here)}")
    return "\n".join(parts)


def _verb(name: str) -> str:
    group, _, rest = name.partition("-")
    return f"{group} {rest}".strip() if group in ("runtimes", "environments") else name.replace("-", " --")


def _plain(text: str) -> str:
    """A type without links: a name may stand in the tables of several verbs."""
    return re.sub(r"\[(\w+)\]\([^)]*\)", r"\1", text)
