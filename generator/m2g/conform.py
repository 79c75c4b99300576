"""Plain data against a JSON Schema: every violation, in words for the person who wrote the data."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence

import msgspec


class Violation(msgspec.Struct, frozen=True, kw_only=True):
    """One violation. `place` leads to it from the root of the data; `path` is the same as text."""

    place: tuple[str | int, ...]
    message: str
    hint: str = ""

    @property
    def path(self) -> str:
        text = ""
        for part in self.place:
            text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else part
        return text


class Validator:
    """A compiled schema. Compile once: it costs milliseconds, a check costs microseconds."""

    def __init__(self, schema: Mapping[str, object]) -> None:
        import jsonschema_rs

        self._schema = schema
        self._compiled = jsonschema_rs.validator_for(dict(schema))

    def holds(self, data: object) -> bool:
        """Whether `data` fits."""
        return self._compiled.is_valid(data)

    def violations(self, data: object) -> list[Violation]:
        """Every violation, in the order of the data's places."""
        found: list[Violation] = []
        for error in self._compiled.iter_errors(data):
            steps = list(error.schema_path)
            keyword = str(steps[-1])
            parent = _walk(self._schema, steps[:-1])
            if "propertyNames" in steps:
                keyword, parent = "propertyNames", _walk(self._schema, steps[: steps.index("propertyNames")])
            found.extend(_explain(keyword, parent, tuple(error.instance_path), error.instance, error.message))
        return sorted(set(found), key=lambda v: ([str(part) for part in v.place], v.message))


def validator(schema: Mapping[str, object]) -> Validator:
    """Compile a JSON Schema."""
    return Validator(schema)


def closest(word: str, words: Sequence[str]) -> str:
    """`did you mean …?` for a misspelt word, else the allowed words; empty for none."""
    near = difflib.get_close_matches(word, words, n=1, cutoff=0.6)
    if not near:
        near = [w for w in words if w.lower() == word.lower()]
    if near:
        return f"did you mean {near[0]}?"
    return f"allowed: {', '.join(sorted(words)[:40])}" if words else ""


def _walk(schema: object, steps: Sequence[str | int]) -> Mapping[str, object]:
    node = schema
    for step in steps:
        if isinstance(node, Mapping):
            node = node.get(str(step), {})
        elif isinstance(node, Sequence) and isinstance(step, int) and step < len(node):
            node = node[step]
    return node if isinstance(node, Mapping) else {}


def _explain(
    keyword: str, schema: Mapping[str, object], place: tuple[str | int, ...], data: object, message: str
) -> list[Violation]:
    match keyword:
        case "additionalProperties" if isinstance(data, Mapping):
            known = list(_walk(schema, ["properties"]))
            return [
                Violation(place=(*place, key), message=f"unknown field {key!r}", hint=closest(key, known))
                for key in data
                if key not in known
            ]
        case "required" if isinstance(data, Mapping):
            needed = schema.get("required")
            missing = [key for key in needed if key not in data] if isinstance(needed, list) else []
            return [Violation(place=place, message=f"{key!r} is missing", hint=f"add {key}") for key in missing]
        case "enum":
            values = schema.get("enum")
            words = [str(value) for value in values] if isinstance(values, list) else []
            hint = closest(str(data), words)
            return [Violation(place=place, message=f"{_short(data)} is not one of {', '.join(words)}", hint=hint)]
        case "type":
            return [Violation(place=place, message=f"must be {_kind(schema)}, not {_short(data)}", hint=_quote(schema))]
        case "anyOf":
            return [Violation(place=place, message=f"must be {_kind(schema)}, not {_short(data)}")]
        case "propertyNames" if isinstance(data, Mapping):
            names = _walk(schema, ["propertyNames"])
            bad = [key for key in data if not Validator(names).holds(key)]
            return [
                Violation(place=(*place, key), message=f"{key!r} is no valid name", hint=_rule(names)) for key in bad
            ]
        case "pattern" | "maxLength" | "minLength":
            return [Violation(place=place, message=f"{_short(data)} is not valid here", hint=_rule(schema))]
        case _:
            return [Violation(place=place, message=message)]


def _short(data: object) -> str:
    text = repr(data)
    return text if len(text) <= 80 else f"{text[:79]}…"


_WORDS = {
    "string": "text",
    "integer": "a whole number",
    "number": "a number",
    "boolean": "true or false",
    "object": "a mapping",
    "array": "a list",
    "null": "empty",
}


def _kind(schema: Mapping[str, object]) -> str:
    options = schema.get("anyOf")
    if isinstance(options, list):
        return " or ".join(dict.fromkeys(_kind(option) for option in options if isinstance(option, Mapping)))
    kind = schema.get("type")
    kinds = kind if isinstance(kind, list) else [kind]
    return " or ".join(_WORDS.get(str(k), str(k)) for k in kinds)


def _quote(schema: Mapping[str, object]) -> str:
    return "quote it if text is meant" if schema.get("type") == "string" else ""


def _rule(schema: Mapping[str, object]) -> str:
    parts = []
    if "pattern" in schema:
        parts.append(f"must match {schema['pattern']}")
    if "minLength" in schema or "maxLength" in schema:
        parts.append(f"{schema.get('minLength', 0)} to {schema.get('maxLength', 'any number of')} characters")
    return "; ".join(parts)
