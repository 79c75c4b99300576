"""An OpenAPI schema of a CRD becomes a strict JSON Schema; rules that JSON Schema has no word for are kept beside it.

Source: kubernetes.io/docs/tasks/extend-kubernetes/custom-resources (structural schemas, pruning, defaulting) and
k8s.io/apiextensions-apiserver pkg/apiserver/schema. Kept under their own names for `m2g.validation.schemas.crd_rules`:
`default`, `x-kubernetes-list-type`, `x-kubernetes-list-map-keys` and `x-kubernetes-validations`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import msgspec

from m2g.core.errors import InputError
from m2g.core.field_path import format_path
from m2g.validation.schemas.kubernetes import Json

MAX_DEPTH = 64
MAX_PARTS = 200_000
"""Argo CD's ApplicationSet, the largest CRD we know, has 25,000 parts."""

_KEPT = frozenset(
    """type enum pattern required minimum maximum minLength maxLength minItems maxItems minProperties maxProperties
    multipleOf default""".split()
)
_TYPES = frozenset(("string", "integer", "number", "boolean", "array", "object"))
_FORMATS = {"date-time": "date-time", "datetime": "date-time", "date": "date", "ipv4": "ipv4", "ipv6": "ipv6"} | {
    name: name for name in ("email", "uuid", "uri", "hostname")
}
"""Formats that the API server checks and JSON Schema has as well."""
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
"""In the pattern that controller-gen writes for every quantity."""
_COMBINED = ("allOf", "anyOf", "oneOf")


class Problem(msgspec.Struct, frozen=True, kw_only=True):
    """A part of a CRD that cannot be checked as it is written, and was left out."""

    path: str
    message: str


class Converter:
    """Makes one schema strict; `left_out` is what could not be taken over."""

    def __init__(self) -> None:
        self.left_out: list[Problem] = []
        self._parts = 0

    def strict(self, raw: object, place: tuple[str, ...] = ()) -> Json:
        """The schema without prose: unknown fields refused, integers of their size, formats checked.

        Raises InputError for what no API server takes.
        """
        schema = self._checked(raw, place)
        new: Json = {key: value for key, value in schema.items() if key in _KEPT}
        self._unions(new, schema, place)
        self._value_rules(new, schema, place)
        if isinstance(schema.get("items"), Mapping):
            new["items"] = self.strict(schema["items"], (*place, "items"))
        self._fields(new, schema, place)
        if schema.get("x-kubernetes-list-type") in ("map", "set"):
            names = ("x-kubernetes-list-type", "x-kubernetes-list-map-keys")
            new |= {key: schema[key] for key in names if key in schema}
        rules = list(_rules(schema))
        if rules:
            new["x-kubernetes-validations"] = rules
        if schema.get("nullable") is True:
            new = _nullable(new)
        return new

    def _checked(self, raw: object, place: tuple[str, ...]) -> Mapping[str, object]:
        self._parts += 1
        if len(place) > MAX_DEPTH or self._parts > MAX_PARTS:
            what = "nested deeper than we follow" if len(place) > MAX_DEPTH else "larger than any CRD should be"
            raise InputError(f"its schema is {what}, at {_short(place)}")
        if not isinstance(raw, Mapping):
            raise InputError(f"its schema has no mapping at {_short(place)}")
        if "$ref" in raw:
            raise InputError(f"its schema has a $ref at {_short(place)}, which no API server takes")
        if raw.get("type") not in (*_TYPES, "", None):
            raise InputError(f"its schema has the type {str(raw['type'])[:40]!r} at {_short(place)}")
        return raw

    def _unions(self, new: Json, schema: Mapping[str, object], place: tuple[str, ...]) -> None:
        """int-or-string and embedded objects, whose schema does not say what they are."""
        if new.get("type") in ("", None):
            new.pop("type", None)
        if schema.get("x-kubernetes-int-or-string"):
            new.pop("type", None)
            quantity = _QUANTITY in str(schema.get("pattern", ""))
            new["$ref"] = "#/$defs/Quantity" if quantity else "#/$defs/IntOrString"
            if quantity:
                del new["pattern"]
        if schema.get("x-kubernetes-embedded-resource"):
            names = {str(name) for name in items(schema.get("required"))}
            new["required"] = sorted(names | {"apiVersion", "kind"})

    def _value_rules(self, new: Json, schema: Mapping[str, object], place: tuple[str, ...]) -> None:
        if new.get("type") == "integer":
            size = 31 if schema.get("format") == "int32" else 63
            new |= {"minimum": -(2**size), "maximum": 2**size - 1} | {k: v for k, v in new.items() if _number(k, v)}
        for bound in ("minimum", "maximum"):
            exclusive = f"exclusive{bound.capitalize()}"
            if schema.get(exclusive) is True and bound in schema:  # a flag in OpenAPI 3.0, a number in JSON Schema
                new[exclusive] = schema[bound]
        kind = str(schema.get("format", ""))
        if kind in _FORMATS:
            new["format"] = _FORMATS[kind]
        elif kind in _PATTERNS and "pattern" not in new:
            new["pattern"], new["description"] = _PATTERNS[kind]
        self._sound(new, place)
        if schema.get("x-kubernetes-int-or-string"):
            return
        self._combine(new, schema, place)

    def _branch(self, raw: object, place: tuple[str, ...]) -> Json:
        """A condition on a value whose fields are declared elsewhere: nothing in it is closed."""
        schema = self._checked(raw, place)
        new: Json = {key: value for key, value in schema.items() if key in _KEPT - {"default"}}
        if new.get("type") in ("", None):
            new.pop("type", None)
        self._sound(new, place)
        if isinstance(schema.get("properties"), Mapping):
            fields = mapping(schema["properties"])
            new["properties"] = {name: self._branch(part, (*place, name)) for name, part in fields.items()}
        for key in ("items", "additionalProperties"):
            if isinstance(schema.get(key), Mapping):
                new[key] = self._branch(schema[key], (*place, key))
        self._combine(new, schema, place)
        return new

    def _combine(self, new: Json, schema: Mapping[str, object], place: tuple[str, ...]) -> None:
        for key in _COMBINED:
            branches = items(schema.get(key))
            if branches:
                new[key] = [self._branch(branch, (*place, key)) for branch in branches]
        if isinstance(schema.get("not"), Mapping):
            new["not"] = self._branch(schema["not"], (*place, "not"))

    def _sound(self, new: Json, place: tuple[str, ...]) -> None:
        """Leave out what no validator can compile, and say so."""
        for key, value in list(new.items()):
            problem = unsound(key, value)
            if problem:
                del new[key]
                self.left_out.append(Problem(path=format_path(place), message=problem))

    def _fields(self, new: Json, schema: Mapping[str, object], place: tuple[str, ...]) -> None:
        fields, others = schema.get("properties"), schema.get("additionalProperties")
        if isinstance(fields, Mapping):
            parts = {str(name): self.strict(part, (*place, str(name))) for name, part in fields.items()}
            new["properties"] = parts
            filled = {name for name, part in parts.items() if "default" in part}  # before the server checks
            required = [name for name in items(new.pop("required", [])) if name not in filled]
            new |= {"required": required} if required else {}
        if isinstance(others, Mapping):
            new["additionalProperties"] = self.strict(others, (*place, "*"))
            return
        is_object = new.get("type") == "object" or "properties" in new
        opened = others is True or any(
            schema.get(f"x-kubernetes-{word}") for word in ("preserve-unknown-fields", "embedded-resource")
        )
        if is_object and not opened:
            new |= {"properties": new.get("properties", {}), "additionalProperties": False}


def unsound(key: str, value: object) -> str:
    """Why a keyword with this value cannot be checked; empty where it can."""
    if key == "pattern":
        return "" if isinstance(value, str) and compiles(value) else f"its pattern {str(value)[:60]!r} cannot be read"
    if key.startswith(("min", "max")) and not _number(key, value):
        return f"its {key} is no number"
    if key in ("enum", "required") and not isinstance(value, list):
        return f"its {key} is no list"
    return ""


def compiles(pattern: str) -> bool:
    """Whether the linear-time engine reads it (no lookaround, no back reference, a bounded size), as Go's does."""
    import jsonschema_rs

    try:
        jsonschema_rs.Draft202012Validator(
            {"pattern": pattern}, pattern_options=jsonschema_rs.RegexOptions(size_limit=1 << 20)
        )
    except ValueError:
        return False
    return True


def _rules(schema: Mapping[str, object]) -> Iterator[Json]:
    for rule in items(schema.get("x-kubernetes-validations")):
        if isinstance(rule, Mapping) and isinstance(rule.get("rule"), str):
            wanted = ("rule", "message", "messageExpression", "fieldPath")
            yield {key: rule[key] for key in wanted if isinstance(rule.get(key), str)}


def _nullable(schema: Json) -> Json:
    kind = schema.get("type")
    if "$ref" in schema:
        return {"anyOf": [schema, {"type": "null"}]}
    if isinstance(kind, str | list):
        schema = schema | {"type": [*([kind] if isinstance(kind, str) else kind), "null"]}
    if isinstance(schema.get("enum"), list):
        schema = schema | {"enum": [*items(schema["enum"]), None]}
    return schema


def _number(key: str, value: object) -> bool:
    return key.startswith(("min", "max")) and isinstance(value, int | float) and not isinstance(value, bool)


def _short(place: tuple[str, ...]) -> str:
    text = format_path(place)
    return text if len(text) < 120 else f"{text[:119]}…"


def mapping(value: object) -> Json:
    return {str(key): item for key, item in value.items()} if isinstance(value, Mapping) else {}


def items(value: object) -> list[object]:
    return list(value) if isinstance(value, list) else []


def opaque(schema: Mapping[str, object]) -> bool:
    """Whether CEL has a type of its own for this text (a time, a duration, bytes)."""
    words = (_PATTERNS["duration"][0], _PATTERNS["byte"][0])
    return schema.get("format") in ("date-time", "date") or schema.get("pattern") in words
