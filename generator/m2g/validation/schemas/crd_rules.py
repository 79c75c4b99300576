"""What a CRD asks for and JSON Schema has no word for: list entries that are unique by their keys, and CEL rules.

Source: kubernetes.io/docs/tasks/extend-kubernetes/custom-resources (validation rules, defaulting, list types). A rule
sees the object as the API server does: with defaults filled in, without fields that no schema names, and with field
names that are no CEL identifiers escaped.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import TypeAlias

import msgspec

from m2g.core.schema_errors import Violation
from m2g.validation.schemas.kubernetes import Json
from m2g.validation.schemas.openapi import opaque

Place: TypeAlias = tuple[str | int, ...]

_RESERVED = frozenset(
    """true false null in as break const continue else for function if import let loop package namespace return var
    void while""".split()
)
_ESCAPES = {"__": "__underscores__", ".": "__dot__", "-": "__dash__", "/": "__slash__"}
_ESCAPED = re.compile(r"__|[./-]")
_HOPS = 32


class Demand(msgspec.Struct, frozen=True, kw_only=True):
    """One rule at one place of an object; `self_` is what the rule calls `self`."""

    place: Place
    self_: object
    rule: str
    message: str = ""
    message_expression: str = ""


class Examined(msgspec.Struct, frozen=True, kw_only=True):
    """`demands` are the CEL rules that are still to be asked."""

    violations: tuple[Violation, ...] = ()
    demands: tuple[Demand, ...] = ()


def examine(schema: Json, item: Mapping[str, object]) -> Examined:
    """Walk the object along its schema (with `$defs`); the object has no violation of the schema itself."""
    walk = _Walk(schema)
    walk.value(schema, dict(item), ())
    return Examined(violations=tuple(walk.violations), demands=tuple(walk.demands))


class _Walk:
    def __init__(self, root: Json) -> None:
        definitions = root.get("$defs")
        self._definitions: Json = definitions if isinstance(definitions, dict) else {}
        self.violations: list[Violation] = []
        self.demands: list[Demand] = []

    def value(self, raw: object, value: object, place: Place) -> object:
        """The value as a rule sees it; duplicates and rules in it are noted on the way."""
        schema = self._resolved(raw)
        match value:
            case dict() if not opaque(schema):
                seen: object = self._mapping(schema, value, place)
            case list():
                seen = [self.value(schema.get("items"), item, (*place, index)) for index, item in enumerate(value)]
                self.violations += _duplicates(schema, value, place)
            case str() if opaque(schema):
                seen = {"m2g.dev/opaque": value}  # a time or bytes: whatever a rule does with it fails, and is said
            case int() if schema.get("type") == "number" and not isinstance(value, bool):
                seen = float(value)
            case _:
                seen = value
        rules = schema.get("x-kubernetes-validations")
        for rule in rules if isinstance(rules, list) and seen is not None else []:
            self.demands.append(_demand(rule, seen, place))
        return seen

    def _mapping(self, schema: Json, value: Mapping[str, object], place: Place) -> dict[str, object]:
        fields = schema.get("properties")
        fields = fields if isinstance(fields, dict) else {}
        others = schema.get("additionalProperties")
        seen: dict[str, object] = {}
        for name, part in fields.items():
            if name in value:
                seen[escaped(name)] = self.value(part, value[name], (*place, name))
            elif "default" in (whole := self._resolved(part)):
                seen[escaped(name)] = self.value(part, whole["default"], (*place, name))
        if isinstance(others, dict) or not fields:
            rest = {name: inner for name, inner in value.items() if name not in fields}
            seen |= {name: self.value(others, inner, (*place, name)) for name, inner in rest.items()}
        return seen

    def _resolved(self, raw: object) -> Json:
        """The schema with what its reference leads to; its own keywords win (a default beside a `$ref`)."""
        schema: Json = raw if isinstance(raw, dict) else {}
        for _ in range(_HOPS):
            reference = schema.get("$ref")
            if not isinstance(reference, str):
                return self._nullable(schema)
            own = {key: part for key, part in schema.items() if key != "$ref"}
            target = self._definitions.get(reference.removeprefix("#/$defs/"))
            schema = {**(target if isinstance(target, dict) else {}), **own}
        return {}

    def _nullable(self, schema: Json) -> Json:
        """`anyOf: [what it is, null]` is how a nullable reference is written."""
        branches = schema.get("anyOf")
        if isinstance(branches, list) and len(branches) == 2 and branches[1] == {"type": "null"}:
            return self._resolved(branches[0])
        return schema


def _duplicates(schema: Json, items: Sequence[object], place: Place) -> Iterator[Violation]:
    kind, keys = schema.get("x-kubernetes-list-type"), schema.get("x-kubernetes-list-map-keys")
    if kind not in ("map", "set"):
        return
    names = [str(key) for key in keys] if kind == "map" and isinstance(keys, list) else []
    parts = schema.get("items")
    seen: dict[str, int] = {}
    for index, item in enumerate(items):
        identity = msgspec.json.encode(_key(item, names, parts) if kind == "map" else item, order="sorted").decode()
        if identity in seen:
            what = f"the same {' and '.join(names)} as" if names else "the same as"
            message = f"is {what} entry {seen[identity]}; each entry must differ"
            yield Violation(where=(*place, index), message=message, hint="remove one of the two")
        seen.setdefault(identity, index)


def _key(item: object, names: Sequence[str], schema: object) -> list[object]:
    """The values that tell an entry of a list of mappings; defaults count, as the API server fills them in first."""
    fields = schema.get("properties") if isinstance(schema, dict) else None
    defaults = {name: part.get("default") for name, part in fields.items() if isinstance(part, dict)} if fields else {}
    return [item.get(name, defaults.get(name)) if isinstance(item, dict) else item for name in names]


def _demand(rule: object, seen: object, place: Place) -> Demand:
    said: Json = rule if isinstance(rule, dict) else {}
    return Demand(
        place=place,
        self_=seen,
        rule=str(said.get("rule", "")),
        message=str(said.get("message", "")),
        message_expression=str(said.get("messageExpression", "")),
    )


def escaped(name: str) -> str:
    """A field's name as CEL can write it (`a-b` is `a__dash__b`, `namespace` is `__namespace__`)."""
    if name in _RESERVED:
        return f"__{name}__"
    return _ESCAPED.sub(lambda found: _ESCAPES[found[0]], name)
