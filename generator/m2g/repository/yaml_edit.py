"""Edits of YAML that people wrote: the text is cut only where the edit is, and every other character stays.

An edit is spliced into the text by the positions that ruamel.yaml gives. Then the text is read again: its data must be
the old data with the edit applied, and nothing else, or the edit is refused. So no edit can go wrong silently.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TypeAlias, assert_never

import msgspec
from msgspec import UNSET

from m2g.core import yaml_reader
from m2g.core.errors import InputError
from m2g.core.field_path import format_path
from m2g.core.yaml_reader import Document
from m2g.core.yaml_writer import Plain
from m2g.repository import yaml_positions, yaml_splice
from m2g.repository.yaml_positions import YamlText

Path: TypeAlias = tuple[str | int, ...]
"""Keys of mappings and indexes of lists, such as `("environments", "prod", "version")`."""
_BY_HAND = "edit the file by hand, then run the command again"


class Set(msgspec.Struct, frozen=True, kw_only=True):
    """Give a field this value. Missing mappings around it are made.

    A mapping in the place of a mapping is set field by field, so that the comments in it stay. An equal value is not
    touched.
    """

    path: Path
    value: Plain


class Add(msgspec.Struct, frozen=True, kw_only=True):
    """Add an item at the end of the list at `path`. A missing list is made."""

    path: Path
    value: Plain


class Remove(msgspec.Struct, frozen=True, kw_only=True):
    """Remove a field or an item, with the comments in it; those above it stay. A missing one is fine.

    Mappings that hold nothing else go, too. With `prune=False` the one around it stays as `{}`: where an empty mapping
    says something (`sync.flux`). A list always stays, as `[]`, and so does an item of a list.
    """

    path: Path
    prune: bool = True


Edit: TypeAlias = Set | Add | Remove


def edit_yaml(file: str, content: bytes, edits: Sequence[Edit]) -> bytes:
    """The content after the edits, one after the other. `file` is only used in messages.

    Raises InputError where the content is not one plain YAML document (`m2g.core.yaml_reader`), where an edit does not
    fit (a field of a text, an item that the list does not have), for a value that YAML readers do not agree on (control
    characters), and for a place that m2g cannot edit without a change elsewhere. Raises ValueError for an empty path.
    """
    document = yaml_reader.read(file, content)
    for edit in edits:
        if not edit.path:
            raise ValueError("an edit names a field; its path is empty")
        try:
            for step in _steps(document.data, edit):
                content, document = _applied(content, document, step)
        except RecursionError as error:
            raise InputError(f"{file}: the value for {_said(edit.path)} is nested too deeply", hint=_BY_HAND) from error
    return content


def _steps(data: object, edit: Edit) -> Iterator[Edit]:
    """The edit in steps that each change one place of the text; none where nothing changes."""
    path, found = edit.path, _get(data, edit.path)
    if isinstance(edit, Remove):
        if found is not UNSET:
            while edit.prune and _is_alone(data, path):
                path = path[:-1]
            yield Remove(path=path)
        return
    value = msgspec.to_builtins(edit.value)
    if isinstance(edit, Add):
        yield Set(path=path, value=[value]) if found in (UNSET, None, []) else Add(path=path, value=value)
    elif isinstance(found, dict) and isinstance(value, dict) and found.keys() & value.keys():
        for key, item in value.items():
            yield from _steps(data, Set(path=(*path, key), value=item))
        for key in [key for key in found if key not in value]:
            yield Remove(path=(*path, key))
    elif not _is_same(found, value):
        yield Set(path=path, value=value)


def _is_alone(data: object, path: Path) -> bool:
    """Whether the field is all that a mapping has, and that mapping is a field itself."""
    if len(path) < 2 or isinstance(path[-1], int) or isinstance(path[-2], int):
        return False
    around = _get(data, path[:-1])
    return isinstance(around, dict) and len(around) == 1


def _applied(content: bytes, document: Document, edit: Edit) -> tuple[bytes, Document]:
    file, where = document.file, f"{document.file}:{document.find_line(edit.path)}"
    expected = _changed(document, edit)
    source = yaml_positions.locate(content.decode())
    pieces, done = [], 0
    for start, end, new in sorted(_splices(source, edit), key=lambda splice: splice[0]):  # in order where they touch
        pieces += [source.text[done:start], new]
        done = end
    content = "".join([*pieces, source.text[done:]]).encode()
    try:
        after = yaml_reader.read(file, content)
    except InputError as error:
        message = f"{where}: m2g cannot edit {_said(edit.path)}; the result would be invalid: {error.message}"
        raise InputError(message, hint=_BY_HAND) from error
    if not _is_same(after.data or {}, expected or {}):
        message = f"{where}: m2g cannot edit {_said(edit.path)} without changing something else in the file"
        raise InputError(message, hint=_BY_HAND)
    return content, after


def _splices(source: YamlText, edit: Edit) -> list[yaml_splice.Splice]:
    match edit:
        case Set():
            return yaml_splice.set_value(source, edit.path, edit.value)
        case Add():
            return yaml_splice.add_item(source, edit.path, edit.value)
        case Remove():
            return yaml_splice.remove(source, edit.path)
        case _:
            assert_never(edit)


def _changed(document: Document, edit: Edit) -> object:
    """The data that the edit is to give. Raises InputError where it does not fit."""
    if isinstance(edit, Remove):
        return _without(document.data, edit.path)
    around: object = document.data
    for depth, step in enumerate(edit.path):
        listed = isinstance(around, list) and isinstance(step, int) and 0 <= step < len(around)
        if not (listed or (isinstance(around, dict | None) and isinstance(step, str))):
            place = edit.path[:depth]
            what = "not a list" if isinstance(step, int) else "not a mapping"
            if isinstance(around, list) and isinstance(step, int):
                what = f"a list of {len(around)}"
            message = f"{_said(place)} is {what}, so it has no {_said((step,))}"
            raise InputError(f"{document.file}:{document.find_line(place)}: {message}", hint=_BY_HAND)
        around = _get(around, (step,))
        around = None if around is UNSET else around
    if isinstance(edit, Set):
        return _put(document.data, edit.path, edit.value)
    if not isinstance(around, list):
        message = f"{document.file}:{document.find_line(edit.path)}: {_said(edit.path)} is not a list"
        raise InputError(message, hint=_BY_HAND)
    return _put(document.data, edit.path, [*around, edit.value])


def _get(data: object, path: Path) -> object:
    """The value at `path`, UNSET where there is none."""
    for step in path:
        if isinstance(data, dict) and isinstance(step, str):
            data = data.get(step, UNSET)
        elif isinstance(data, list) and isinstance(step, int) and 0 <= step < len(data):
            data = data[step]
        else:
            return UNSET
    return data


def _put(data: object, path: Path, value: object) -> object:
    if not path:
        return value
    step, rest = path[0], path[1:]
    if isinstance(data, list):
        return [_put(item, rest, value) if index == step else item for index, item in enumerate(data)]
    fields = data if isinstance(data, dict) else {}
    return {**fields, step: _put(fields.get(step), rest, value)}


def _without(data: object, path: Path) -> object:
    step, rest = path[0], path[1:]
    if isinstance(data, list):
        return [
            _without(item, rest) if index == step else item for index, item in enumerate(data) if rest or index != step
        ]
    fields = data if isinstance(data, dict) else {}
    return {key: _without(item, rest) if key == step else item for key, item in fields.items() if rest or key != step}


def _is_same(one: object, other: object) -> bool:
    """Whether the data is the same: of the same types (`1` is not `1.0`), mappings in any order."""
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(_is_same(item, other[key]) for key, item in one.items())
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(_is_same, one, other))
    return type(one) is type(other) and one == other


def _said(path: Path) -> str:
    return format_path(path)[:200] or "the file"
