"""CRD rules that JSON Schema cannot express: list entries that are unique by their keys, and CEL rules.

Source: kubernetes.io/docs/tasks/extend-kubernetes/custom-resources (validation rules, defaulting, list types). A rule
sees the object as the API server does: with defaults, without fields that no schema names, and with escaped field
names where they are not CEL identifiers.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import TypeAlias

import msgspec

from m2g.core.schema_errors import Violation
from m2g.validation.schemas.kubernetes import Json
from m2g.validation.schemas.openapi import is_opaque

_Path: TypeAlias = tuple[str | int, ...]

_RESERVED = frozenset(
    """true false null in as break const continue else for function if import let loop package namespace return var
    void while""".split()
)
_ESCAPES = {"__": "__underscores__", ".": "__dot__", "-": "__dash__", "/": "__slash__"}
_ESCAPED = re.compile(r"__|[./-]")
_HOPS = 32


class CelRule(msgspec.Struct, frozen=True, kw_only=True):
    """One CEL rule at one path of an object; `self_` is the value that the rule calls `self`."""

    path: _Path
    self_: object
    rule: str
    message: str = ""
    message_expression: str = ""


class Examination(msgspec.Struct, frozen=True, kw_only=True):
    """The violations that were found, and the CEL rules that the caller must evaluate."""

    violations: tuple[Violation, ...] = ()
    cel_rules: tuple[CelRule, ...] = ()


def examine(schema: Json, item: Mapping[str, object]) -> Examination:
    """Walk an object along its schema (with `$defs`); the object must be valid by the schema itself."""
    walk = _Walk(schema)
    walk.value(schema, dict(item), ())
    return Examination(violations=tuple(walk.violations), cel_rules=tuple(walk.cel_rules))


class _Walk:
    def __init__(self, root: Json) -> None:
        definitions = root.get("$defs")
        self._definitions: Json = definitions if isinstance(definitions, dict) else {}
        self.violations: list[Violation] = []
        self.cel_rules: list[CelRule] = []

    def value(self, raw: object, value: object, place: _Path) -> object:
        """The value as a rule sees it; collects the duplicates and CEL rules inside it."""
        schema = self._resolved(raw)
        match value:
            case dict() if not is_opaque(schema):
                seen: object = self._mapping(schema, value, place)
            case list():
                seen = [self.value(schema.get("items"), item, (*place, index)) for index, item in enumerate(value)]
                self.violations += _duplicates(schema, value, place)
            case str() if is_opaque(schema):
                seen = {"m2g.dev/opaque": value}  # a time or bytes: a rule that uses it fails, and is reported
            case int() if schema.get("type") == "number" and not isinstance(value, bool):
                seen = float(value)
            case _:
                seen = value
        rules = schema.get("x-kubernetes-validations")
        for rule in rules if isinstance(rules, list) and seen is not None else []:
            self.cel_rules.append(_read_rule(rule, seen, place))
        return seen

    def _mapping(self, schema: Json, value: Mapping[str, object], place: _Path) -> dict[str, object]:
        fields = schema.get("properties")
        fields = fields if isinstance(fields, dict) else {}
        others = schema.get("additionalProperties")
        seen: dict[str, object] = {}
        for name, part in fields.items():
            if name in value:
                seen[escape_name(name)] = self.value(part, value[name], (*place, name))
            elif "default" in (whole := self._resolved(part)):
                seen[escape_name(name)] = self.value(part, whole["default"], (*place, name))
        if isinstance(others, dict) or not fields:
            rest = {name: inner for name, inner in value.items() if name not in fields}
            seen |= {name: self.value(others, inner, (*place, name)) for name, inner in rest.items()}
        return seen

    def _resolved(self, raw: object) -> Json:
        """The schema with its `$ref` resolved; its own keywords win (a default beside a `$ref`)."""
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
        """A nullable reference is written as `anyOf: [reference, null]`."""
        branches = schema.get("anyOf")
        if isinstance(branches, list) and len(branches) == 2 and branches[1] == {"type": "null"}:
            return self._resolved(branches[0])
        return schema


def _duplicates(schema: Json, items: Sequence[object], place: _Path) -> Iterator[Violation]:
    kind, keys = schema.get("x-kubernetes-list-type"), schema.get("x-kubernetes-list-map-keys")
    if kind not in ("map", "set"):
        return
    names = [str(key) for key in keys] if kind == "map" and isinstance(keys, list) else []
    parts = schema.get("items")
    seen: dict[str, int] = {}
    for index, item in enumerate(items):
        identity = msgspec.json.encode(_key(item, names, parts) if kind == "map" else item, order="sorted").decode()
        if identity in seen:
            same = f"has the same {' and '.join(names)} as" if names else "is the same as"
            message = f"{same} entry {seen[identity]}; each entry must be unique"
            yield Violation(where=(*place, index), message=message, hint="remove one of the two")
        seen.setdefault(identity, index)


def _key(item: object, names: Sequence[str], schema: object) -> list[object]:
    """The values that identify an entry of a list of mappings, with the defaults that the API server fills in."""
    fields = schema.get("properties") if isinstance(schema, dict) else None
    defaults = {name: part.get("default") for name, part in fields.items() if isinstance(part, dict)} if fields else {}
    return [item.get(name, defaults.get(name)) if isinstance(item, dict) else item for name in names]


def _read_rule(rule: object, seen: object, place: _Path) -> CelRule:
    fields: Json = rule if isinstance(rule, dict) else {}
    return CelRule(
        path=place,
        self_=seen,
        rule=str(fields.get("rule", "")),
        message=str(fields.get("message", "")),
        message_expression=str(fields.get("messageExpression", "")),
    )


def escape_name(name: str) -> str:
    """The name of a field in CEL (`a-b` is `a__dash__b`, `namespace` is `__namespace__`)."""
    if name in _RESERVED:
        return f"__{name}__"
    return _ESCAPED.sub(lambda found: _ESCAPES[found[0]], name)
