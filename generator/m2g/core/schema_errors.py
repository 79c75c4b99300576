"""Turn schema errors into messages for users: the field, what is wrong with it, and the likely fix."""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, TypeAlias

import msgspec

from m2g.core.field_path import FieldPath, format_path

if TYPE_CHECKING:
    from jsonschema_rs import ValidationError

FieldLookup: TypeAlias = Callable[[FieldPath, str], str]
"""(pointer into a schema, field) → where the field exists, such as `KServe 0.20`. Empty if it exists nowhere."""

_NAMES = {
    "string": "text",
    "integer": "a whole number",
    "number": "a number",
    "boolean": "true or false",
    "array": "a list",
    "object": "a mapping",
    "null": "null",
}
_SHOWN = 60
_LISTED = 32


class Violation(msgspec.Struct, frozen=True, kw_only=True):
    """One violation of a schema. `where` is the path of the field from the root of the data."""

    where: tuple[str | int, ...]
    message: str
    hint: str = ""

    @property
    def path(self) -> str:
        """`where` as text, such as `spec.canary[0].predictor.name`."""
        return format_path(self.where)


def find_nowhere(_pointer: FieldPath, _field: str) -> str:
    """The lookup for data that has only one schema."""
    return ""


def sort_violations(found: Iterable[Violation]) -> list[Violation]:
    """The violations sorted by path, without duplicates."""
    return sorted(set(found), key=lambda violation: (violation.path, violation.message, violation.hint))


def explain_error(error: ValidationError, schema: object, elsewhere: FieldLookup = find_nowhere) -> Iterator[Violation]:
    """The violations behind one error. `schema` is the whole schema that the error points into."""
    rules = _at(schema, error.schema_path[:-1])
    value = getattr(error.kind, "value", None)
    match error.kind.name:
        case "additionalProperties":
            yield from (_unknown(error, str(field), schema, elsewhere) for field in _list(value))
        case "required":
            yield Violation(where=(*error.instance_path, str(value)), message="is required but missing")
        case "propertyNames":
            yield _key(error, rules)
        case "anyOf" | "oneOf":
            yield from _closest(error, schema, elsewhere)
        case "type":
            yield _type(error, [str(item) for item in _list(value)])
        case "enum":
            yield _choice(error, _list(value))
        case _:
            yield _limit(error, error.instance_path, rules)


def _unknown(error: ValidationError, field: str, schema: object, elsewhere: FieldLookup) -> Violation:
    known = sorted(_dict(_at(schema, error.schema_path[:-1]).get("properties")))
    hint = ""
    if where := elsewhere(error.schema_path[:-1], field):
        hint = f"{where} has this field"
    elif meant := suggest(field, known):
        hint = f"did you mean {meant}?"
    elif home := _home(error, field, schema):
        hint = f"move it to {home}"
    elif len(known) <= _LISTED:
        hint = f"known fields: {', '.join(known)}" if known else "no fields are allowed here"
    return Violation(where=(*error.instance_path, field), message="is not a known field", hint=hint)


def _home(error: ValidationError, field: str, schema: object) -> str:
    """The path where a misplaced field belongs: in the parent mapping, or in one beside it, which may be missing."""
    parent: FieldPath = error.instance_path[:-1]
    if error.instance_path and field in _dict(_subschema(schema, parent).get("properties")):
        return format_path([*parent, field])
    siblings = [key for key, value in _dict(error.instance).items() if isinstance(value, dict)]
    for key in dict.fromkeys([*siblings, *_dict(_at(schema, error.schema_path[:-1]).get("properties"))]):
        child = [*error.instance_path, key]
        if field in _dict(_subschema(schema, child).get("properties")):
            return format_path([*child, field])
    return ""


def _key(error: ValidationError, rules: dict[str, object]) -> Violation:
    inner: ValidationError = error.kind.error  # type: ignore[attr-defined]  # kind is PropertyNames here
    return _limit(inner, [*error.instance_path, str(inner.instance)], rules)


def _closest(error: ValidationError, schema: object, elsewhere: FieldLookup) -> Iterator[Violation]:
    """Report the branch that fits best: the one whose errors are deepest, then the one with the fewest errors."""
    branches = [list(branch) for branch in getattr(error.kind, "context", []) if branch]
    if not branches:
        message = f"is {_shown(error.instance)}, which matches more than one allowed form"
        yield Violation(where=tuple(error.instance_path), message=message)
        return
    best = min(branches, key=lambda branch: (-max(len(e.instance_path) for e in branch), len(branch)))
    for inner in best:
        yield from explain_error(inner, schema, elsewhere)


def _type(error: ValidationError, wanted: list[str]) -> Violation:
    value = error.instance
    names = " or ".join(_NAMES[name] for name in wanted if name != "null")
    if value is None:
        message, hint = f"is null; it must be {names}", "set a value, or remove the line"
    else:
        message, hint = f"is {_described(value)}; it must be {names}", ""
    if isinstance(value, bool | int | float) and "string" in wanted:
        hint = f'write it in quotes: "{json.dumps(value)}"'
    elif isinstance(value, str) and _reads_as(value, wanted):
        hint = f"write it without quotes: {value}"
    return Violation(where=tuple(error.instance_path), message=message, hint=hint)


def _choice(error: ValidationError, options: list[object]) -> Violation:
    words = [str(option) for option in options if option is not None]
    meant = suggest(str(error.instance), words)
    return Violation(
        where=tuple(error.instance_path),
        message=f"is {_shown(error.instance)}; it must be one of: {', '.join(words)}",
        hint=_quoted(error.instance, words) or (f"did you mean {meant}?" if meant else ""),
    )


def _quoted(value: object, words: Sequence[str]) -> str:
    """YAML parses 0.20 as the number 0.2, so the intended value is lost."""
    return f'write it in quotes, such as "{words[-1]}"' if isinstance(value, int | float) and words else ""


def _limit(error: ValidationError, path: FieldPath, rules: dict[str, object]) -> Violation:
    shown, limit, hint = _shown(error.instance), getattr(error.kind, "value", None), ""
    length = len(error.instance) if isinstance(error.instance, str | list | dict) else 0
    match error.kind.name:
        case "pattern":
            words, _, hint = str(rules.get("description") or f"of the form {limit}").partition("; ")
            message = f"is {shown}, which is not {words}"
        case "const":
            message = f"is {shown}; it must be {_shown(getattr(error.kind, 'expected_value', limit))}"
        case "minimum" | "exclusiveMinimum":
            message = f"is {shown}; the minimum is {limit}"
        case "maximum" | "exclusiveMaximum":
            message = f"is {shown}; the maximum is {limit}"
        case "minLength" | "minItems" | "minProperties":
            message = "is empty" if length == 0 else f"has a length of {length}; the minimum is {limit}"
        case "maxLength" | "maxItems" | "maxProperties":
            message = f"has a length of {length}; the maximum is {limit}"
        case _:
            message = error.message
    return Violation(where=tuple(path), message=message, hint=hint)


def suggest(word: str, known: Sequence[str]) -> str:
    """The known word that the user probably meant: one that differs in case or punctuation, else the closest
    spelling."""
    folded = {_folded(item): item for item in known}
    close = difflib.get_close_matches(_folded(word), folded, n=1, cutoff=0.7)
    return folded[close[0]] if close else ""


def _folded(word: str) -> str:
    return re.sub(r"[-_./ ]", "", word.lower())


def _reads_as(text: str, wanted: list[str]) -> bool:
    try:
        value = json.loads(text)
    except ValueError:
        return False
    kind = {bool: "boolean", int: "integer", float: "number"}.get(type(value))
    return kind in wanted


def _described(value: object) -> str:
    match value:
        case bool() | int() | float():
            return _shown(value)
        case str():
            return f"the text {_shown(value)}"
        case list():
            return "a list"
        case _:
            return "a mapping"


def _shown(value: object) -> str:
    text = json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= _SHOWN else f"{text[: _SHOWN - 1]}…"


def _at(schema: object, pointer: FieldPath) -> dict[str, object]:
    for step in pointer:
        if isinstance(schema, dict):
            schema = schema.get(str(step))
        elif isinstance(schema, list) and isinstance(step, int) and step < len(schema):
            schema = schema[step]
    return _dict(schema)


def _subschema(schema: object, path: FieldPath) -> dict[str, object]:
    """The schema of the value at a path of the object; empty if the schema does not restrict it."""
    root, here = schema, _resolved(schema, _dict(schema))
    for step in path:
        inner = here.get("items") if isinstance(step, int) else _dict(here.get("properties")).get(step)
        here = _resolved(root, _dict(inner if inner is not None else here.get("additionalProperties")))
    return here


def _resolved(root: object, schema: dict[str, object]) -> dict[str, object]:
    reference = schema.get("$ref")
    return _at(root, reference.removeprefix("#/").split("/")) if isinstance(reference, str) else schema


def _dict(value: object) -> dict[str, object]:
    return value if isinstance(value, dict) else {}


def _list(value: object) -> list[object]:
    return value if isinstance(value, list) else [value]
