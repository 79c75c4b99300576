"""Convert the OpenAPI schema of a CRD to a strict JSON Schema.

Source: kubernetes.io/docs/tasks/extend-kubernetes/custom-resources (structural schemas, pruning, defaulting) and
k8s.io/apiextensions-apiserver pkg/apiserver/schema. Keywords that JSON Schema cannot express are kept for
`m2g.validation.schemas.crd_rules`: `default`, `x-kubernetes-list-type`, `x-kubernetes-list-map-keys` and
`x-kubernetes-validations`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import msgspec

from m2g.core.errors import InputError
from m2g.core.field_path import format_path
from m2g.validation.schemas.kubernetes import Json

MAX_DEPTH = 64
MAX_PARTS = 200_000
"""Argo CD's ApplicationSet, the largest known CRD, has 25,000 parts."""

_KEPT = frozenset(
    """type enum pattern required minimum maximum minLength maxLength minItems maxItems minProperties maxProperties
    multipleOf default""".split()
)
_TYPES = frozenset(("string", "integer", "number", "boolean", "array", "object"))
_FORMATS = {"date-time": "date-time", "datetime": "date-time", "date": "date", "ipv4": "ipv4", "ipv6": "ipv6"} | {
    name: name for name in ("email", "uuid", "uri", "hostname")
}
"""Formats that both the API server and JSON Schema check."""
_PATTERNS = {
    "duration": (
        "^([+-]?([0-9]+(\\.[0-9]*)?(ns|us|µs|ms|s|m|h|d|w))+|0)$",
        "a duration; write it like 30s, 10m or 1h30m",
    ),
    "byte": ("^([A-Za-z0-9+/]{4})*([A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$", "base64; encode the value"),
    "cidr": ("^[0-9A-Fa-f:.]+/[0-9]{1,3}$", "a CIDR; write it like 10.0.0.0/8"),
    "mac": ("^([0-9A-Fa-f]{2}[:-]){5}[0-9A-Fa-f]{2}$", "a MAC address"),
}
_QUANTITY = "numkMGTPE"
"""Part of the pattern that controller-gen writes for every quantity."""
_COMBINED = ("allOf", "anyOf", "oneOf")


class LeftOut(msgspec.Struct, frozen=True, kw_only=True):
    """A part of a CRD that m2g cannot check, so the schema leaves it out."""

    path: str
    message: str


class Converter:
    """Converts one schema; `left_out` lists what the result does not check."""

    def __init__(self) -> None:
        self.left_out: list[LeftOut] = []
        self._parts = 0

    def convert(self, raw: object, place: tuple[str, ...] = ()) -> Json:
        """The strict schema, without descriptions: it refuses unknown fields, and checks integer sizes and formats.

        Raises InputError for a schema that every API server refuses.
        """
        schema = self._check(raw, place)
        new: Json = {key: value for key, value in schema.items() if key in _KEPT}
        self._convert_unions(new, schema, place)
        self._convert_values(new, schema, place)
        if isinstance(schema.get("items"), Mapping):
            new["items"] = self.convert(schema["items"], (*place, "items"))
        self._convert_fields(new, schema, place)
        if schema.get("x-kubernetes-list-type") in ("map", "set"):
            names = ("x-kubernetes-list-type", "x-kubernetes-list-map-keys")
            new |= {key: schema[key] for key in names if key in schema}
        rules = list(_read_rules(schema))
        if rules:
            new["x-kubernetes-validations"] = rules
        if schema.get("nullable") is True:
            new = _make_nullable(new)
        return new

    def _check(self, raw: object, place: tuple[str, ...]) -> Mapping[str, object]:
        self._parts += 1
        if len(place) > MAX_DEPTH or self._parts > MAX_PARTS:
            limit = f"deeper than {MAX_DEPTH} levels" if len(place) > MAX_DEPTH else f"larger than {MAX_PARTS:,} parts"
            raise InputError(f"its schema is {limit} at {_shorten(place)}")
        if not isinstance(raw, Mapping):
            raise InputError(f"its schema is not a mapping at {_shorten(place)}")
        if "$ref" in raw:
            raise InputError(f"its schema has a $ref at {_shorten(place)}, which every API server refuses")
        if raw.get("type") not in (*_TYPES, "", None):
            raise InputError(f"its schema has the unknown type {str(raw['type'])[:40]!r} at {_shorten(place)}")
        return raw

    def _convert_unions(self, new: Json, schema: Mapping[str, object], place: tuple[str, ...]) -> None:
        """int-or-string and embedded objects: their schema has no type."""
        if new.get("type") in ("", None):
            new.pop("type", None)
        if schema.get("x-kubernetes-int-or-string"):
            new.pop("type", None)
            quantity = _QUANTITY in str(schema.get("pattern", ""))
            new["$ref"] = "#/$defs/Quantity" if quantity else "#/$defs/IntOrString"
            if quantity:
                del new["pattern"]
        if schema.get("x-kubernetes-embedded-resource"):
            names = {str(name) for name in as_list(schema.get("required"))}
            new["required"] = sorted(names | {"apiVersion", "kind"})

    def _convert_values(self, new: Json, schema: Mapping[str, object], place: tuple[str, ...]) -> None:
        if new.get("type") == "integer":
            size = 31 if schema.get("format") == "int32" else 63
            new |= {"minimum": -(2**size), "maximum": 2**size - 1} | {k: v for k, v in new.items() if _is_bound(k, v)}
        for bound in ("minimum", "maximum"):
            exclusive = f"exclusive{bound.capitalize()}"
            if schema.get(exclusive) is True and bound in schema:  # a flag in OpenAPI 3.0, a number in JSON Schema
                new[exclusive] = schema[bound]
        kind = str(schema.get("format", ""))
        if kind in _FORMATS:
            new["format"] = _FORMATS[kind]
        elif kind in _PATTERNS and "pattern" not in new:
            new["pattern"], new["description"] = _PATTERNS[kind]
        self._drop_unsound(new, place)
        if schema.get("x-kubernetes-int-or-string"):
            return
        self._convert_combined(new, schema, place)

    def _convert_branch(self, raw: object, place: tuple[str, ...]) -> Json:
        """A condition on a value whose fields are declared elsewhere, so unknown fields are allowed in it."""
        schema = self._check(raw, place)
        new: Json = {key: value for key, value in schema.items() if key in _KEPT - {"default"}}
        if new.get("type") in ("", None):
            new.pop("type", None)
        self._drop_unsound(new, place)
        if isinstance(schema.get("properties"), Mapping):
            fields = as_mapping(schema["properties"])
            new["properties"] = {name: self._convert_branch(part, (*place, name)) for name, part in fields.items()}
        for key in ("items", "additionalProperties"):
            if isinstance(schema.get(key), Mapping):
                new[key] = self._convert_branch(schema[key], (*place, key))
        self._convert_combined(new, schema, place)
        return new

    def _convert_combined(self, new: Json, schema: Mapping[str, object], place: tuple[str, ...]) -> None:
        for key in _COMBINED:
            branches = as_list(schema.get(key))
            if branches:
                new[key] = [self._convert_branch(branch, (*place, key)) for branch in branches]
        if isinstance(schema.get("not"), Mapping):
            new["not"] = self._convert_branch(schema["not"], (*place, "not"))

    def _drop_unsound(self, new: Json, place: tuple[str, ...]) -> None:
        """Leave out keywords that the validator cannot compile, and record them."""
        for key, value in list(new.items()):
            problem = explain_unsound(key, value)
            if problem:
                del new[key]
                self.left_out.append(LeftOut(path=format_path(place), message=problem))

    def _convert_fields(self, new: Json, schema: Mapping[str, object], place: tuple[str, ...]) -> None:
        fields, others = schema.get("properties"), schema.get("additionalProperties")
        if isinstance(fields, Mapping):
            parts = {str(name): self.convert(part, (*place, str(name))) for name, part in fields.items()}
            new["properties"] = parts
            filled = {name for name, part in parts.items() if "default" in part}  # before the server checks
            required = [name for name in as_list(new.pop("required", [])) if name not in filled]
            new |= {"required": required} if required else {}
        if isinstance(others, Mapping):
            new["additionalProperties"] = self.convert(others, (*place, "*"))
            return
        is_object = new.get("type") == "object" or "properties" in new
        opened = others is True or any(
            schema.get(f"x-kubernetes-{word}") for word in ("preserve-unknown-fields", "embedded-resource")
        )
        if is_object and not opened:
            new |= {"properties": new.get("properties", {}), "additionalProperties": False}


def explain_unsound(key: str, value: object) -> str:
    """Why a keyword with this value cannot be checked; empty if it can."""
    if key == "pattern":
        valid = isinstance(value, str) and can_compile(value)
        return "" if valid else f"its pattern {str(value)[:60]!r} is invalid"
    if key.startswith(("min", "max")) and not _is_bound(key, value):
        return f"its {key} is not a number"
    if key == "enum" and not isinstance(value, list):
        return "its enum is not a list"
    if key == "required" and not _unique_names(value):
        return "its required is not a list of unique names"
    return ""


def _unique_names(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(name, str) for name in value) and len(set(value)) == len(value)


def can_compile(pattern: str) -> bool:
    """Whether the linear-time engine accepts the pattern, as Go's does: no lookaround, no back reference, bounded."""
    import jsonschema_rs

    try:
        jsonschema_rs.Draft202012Validator(
            {"pattern": pattern}, pattern_options=jsonschema_rs.RegexOptions(size_limit=1 << 20)
        )
    except ValueError:
        return False
    return True


def _read_rules(schema: Mapping[str, object]) -> Iterator[Json]:
    for rule in as_list(schema.get("x-kubernetes-validations")):
        if isinstance(rule, Mapping) and isinstance(rule.get("rule"), str):
            wanted = ("rule", "message", "messageExpression", "fieldPath")
            yield {key: rule[key] for key in wanted if isinstance(rule.get(key), str)}


def _make_nullable(schema: Json) -> Json:
    kind = schema.get("type")
    if "$ref" in schema:
        return {"anyOf": [schema, {"type": "null"}]}
    if isinstance(kind, str | list):
        schema = schema | {"type": [*([kind] if isinstance(kind, str) else kind), "null"]}
    if isinstance(schema.get("enum"), list):
        schema = schema | {"enum": [*as_list(schema["enum"]), None]}
    return schema


def _is_bound(key: str, value: object) -> bool:
    return key.startswith(("min", "max")) and isinstance(value, int | float) and not isinstance(value, bool)


def _shorten(place: tuple[str, ...]) -> str:
    text = format_path(place)
    return text if len(text) < 120 else f"{text[:119]}…"


def as_mapping(value: object) -> Json:
    return {str(key): item for key, item in value.items()} if isinstance(value, Mapping) else {}


def as_list(value: object) -> list[object]:
    return list(value) if isinstance(value, list) else []


def is_opaque(schema: Mapping[str, object]) -> bool:
    """Whether CEL has a type of its own for this string (a time, a duration, bytes)."""
    patterns = (_PATTERNS["duration"][0], _PATTERNS["byte"][0])
    return schema.get("format") in ("date-time", "date") or schema.get("pattern") in patterns
