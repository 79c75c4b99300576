"""Write plain data as YAML that Go's YAML readers (kustomize, kubectl, Argo CD, Flux) parse as the same data.

ruamel.yaml and PyYAML each write 12 of 129 trap scalars in a form that Kubernetes parses as another type (`on`, `1e3`,
`08`). This small emitter quotes when in doubt. It is tested with the trap scalars and the real kustomize.
"""

from __future__ import annotations

import functools
import json
import math
import re
from collections.abc import Mapping, Sequence
from typing import TypeAlias

from m2g.core.errors import InputError
from m2g.core.naming import find_unprintable

Plain: TypeAlias = Mapping[str, "Plain"] | Sequence["Plain"] | str | int | float | bool | None
"""The values that a manifest consists of: JSON values with text keys."""

_PLAIN_WORD = re.compile(r"[A-Za-z_/][A-Za-z0-9_./@+-]*(:[A-Za-z0-9_./@+-]+)*")
_QUANTITY = re.compile(r"[0-9]+(m|[KMGTPE]i)")
_RESERVED = frozenset("y n yes no on off true false null none nan inf ~".split())
_MAPPINGS = (dict, Mapping)
"""isinstance with an abstract class takes ten times as long, and the value is usually a dict."""
_SCALARS = (str, int, float, type(None))
_KEY_MAX = 1000
"""libyaml, and Go's reader, which is based on it, search the colon only within 1,024 characters."""
_JSON = json.JSONEncoder(ensure_ascii=False)
_ESCAPES = re.compile("[\u2028\u2029\ufeff]")


def dump(value: Plain) -> str:
    """One YAML document that ends with a newline. Keys stay in the given order.

    Raises InputError for text that kustomize corrupts (control characters, non-characters), and for numbers that JSON
    does not have.
    """
    lines: list[str] = []
    _block(value, "", lines)
    return "\n".join(lines) + "\n"


def _block(value: Plain, indent: str, lines: list[str]) -> None:
    if isinstance(value, _SCALARS) or not value:
        lines.append(indent + write_scalar(value))
    elif isinstance(value, _MAPPINGS):
        for key, item in value.items():
            _entry(f"{indent}{write_key(key)}:", item, indent, lines)
    else:
        for item in value:
            _item(item, indent, lines)


def _entry(head: str, item: Plain, indent: str, lines: list[str]) -> None:
    if isinstance(item, str):
        lines.append(f"{head} {_text(item)}")
    elif isinstance(item, _SCALARS) or not item:
        lines.append(f"{head} {write_scalar(item)}")
    else:
        lines.append(head)
        _block(item, indent + "  " if isinstance(item, _MAPPINGS) else indent, lines)


def _item(item: Plain, indent: str, lines: list[str]) -> None:
    nested: list[str] = []
    _block(item, indent + "  ", nested)
    nested[0] = f"{indent}- {nested[0][len(indent) + 2 :]}"
    lines.extend(nested)


def write_flow(value: Plain) -> str:
    """Write the value on one line in flow style (`{a: 1}`). Raises InputError as `dump` does."""
    if isinstance(value, str):
        return _in_flow(value, _text(value))
    if isinstance(value, _SCALARS) or not value:
        return write_scalar(value)
    if isinstance(value, _MAPPINGS):
        return f"{{{', '.join(f'{_in_flow(key, write_key(key))}: {write_flow(item)}' for key, item in value.items())}}}"
    return f"[{', '.join(map(write_flow, value))}]"


def _in_flow(text: str, written: str) -> str:
    """Parsers disagree on a colon in a plain word of flow style, so it is quoted."""
    return _JSON.encode(text) if ":" in written and text == written else written


@functools.lru_cache(maxsize=1 << 10)  # manifests repeat most keys
def write_key(key: str) -> str:
    """Write a key. Raises InputError for one that parsers do not accept."""
    text = _text(key)
    if key == "<<":
        raise InputError(
            "the key '<<' cannot be used: kustomize treats it as a merge key, even in quotes, and drops it"
        )
    if len(text) > _KEY_MAX:
        raise InputError(
            f"the key {key[:80]!r}… has {len(key)} characters; YAML parsers accept at most {_KEY_MAX}",
            hint="shorten the name, tag or setting that it comes from",
        )
    return text


def write_scalar(value: Plain) -> str:
    """Write a scalar, `{}` or `[]`. Raises InputError as `dump` does."""
    match value:
        case str():
            return _text(value)
        case bool():
            return "true" if value else "false"
        case None:
            return "null"
        case int():
            return str(value)
        case float():
            if not math.isfinite(value):
                raise InputError(f"the number {value} cannot be used in a manifest: it is not finite")
            return repr(value)
        case Mapping():
            return "{}"
        case _:
            return "[]"


@functools.lru_cache(maxsize=1 << 10)  # manifests repeat most texts; a third of the time of a dump
def _text(text: str) -> str:
    if (_PLAIN_WORD.fullmatch(text) and text.lower() not in _RESERVED) or _QUANTITY.fullmatch(text):
        return text
    bad = find_unprintable(text)
    if bad:
        raise InputError(
            f"the text {text[:80]!r} contains {bad}, which kustomize corrupts",
            hint="remove the character from the name, tag or setting that it comes from",
        )
    return _ESCAPES.sub(lambda m: f"\\u{ord(m[0]):04x}", _JSON.encode(text))
