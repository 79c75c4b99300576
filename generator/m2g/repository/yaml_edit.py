"""Edit YAML that people wrote, without changing any other character of the file.

An edit is a splice of the text at the positions that ruamel.yaml reports. The result is read again: its data must be
the old data with the edit applied, or the edit is refused. So a wrong edit can never be written.
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
    """Set a field or a list item, and create the mappings on its path that are missing.

    A mapping that replaces a mapping is set field by field, so the comments in it stay. An equal value is not touched.
    """

    path: Path
    value: Plain


class Add(msgspec.Struct, frozen=True, kw_only=True):
    """Add an item at the end of the list at `path`, and create the list if it is missing."""

    path: Path
    value: Plain


class Remove(msgspec.Struct, frozen=True, kw_only=True):
    """Remove a field or a list item, with the comments in it. Comments above it stay. A missing one is not an error.

    Mappings that become empty are removed, too. `prune=False` keeps them as `{}`, for places where an empty mapping has
    a meaning (`sync.flux`). A list that becomes empty always stays as `[]`; a mapping in a list stays as `{}`.
    """

    path: Path
    prune: bool = True


Edit: TypeAlias = Set | Add | Remove


def edit_yaml(file: str, content: bytes, edits: Sequence[Edit]) -> bytes:
    """Apply the edits in order and return the new content. `file` is only used in messages.

    Raises InputError if the content is not one plain YAML document (see `m2g.core.yaml_reader`), if an edit does not
    fit the data (a field of a text, an item that a list does not have), if a value has characters that YAML parsers
    corrupt, or if the place cannot be edited without changing another one. Raises ValueError for an empty path.
    """
    document = yaml_reader.read(file, content)
    for edit in edits:
        if not edit.path:
            raise ValueError("the path of an edit is empty")
        try:
            for step in _split(document.data, edit):
                content, document = _apply(content, document, step)
        except RecursionError as error:
            raise InputError(
                f"{file}: the value for {_format(edit.path)} is nested too deeply", hint=_BY_HAND
            ) from error
    return content


def _split(data: object, edit: Edit) -> Iterator[Edit]:
    """Split an edit into steps that each change one place of the text. An edit that changes nothing has none."""
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
            yield from _split(data, Set(path=(*path, key), value=item))
        for key in [key for key in found if key not in value]:
            yield Remove(path=(*path, key))
    elif not _is_same(found, value):
        yield Set(path=path, value=value)


def _is_alone(data: object, path: Path) -> bool:
    """Whether the field is the only one of its mapping, and this mapping is a field of another one."""
    if len(path) < 2 or isinstance(path[-1], int) or isinstance(path[-2], int):
        return False
    around = _get(data, path[:-1])
    return isinstance(around, dict) and len(around) == 1


def _apply(content: bytes, document: Document, edit: Edit) -> tuple[bytes, Document]:
    file, where = document.file, f"{document.file}:{document.find_line(edit.path)}"
    expected = _expect(document, edit)
    source = yaml_positions.locate(content.decode())
    pieces, done = [], 0
    for start, end, new in sorted(_find_splices(source, edit), key=lambda splice: splice[0]):  # stable
        pieces += [source.text[done:start], new]
        done = end
    content = "".join([*pieces, source.text[done:]]).encode()
    try:
        after = yaml_reader.read(file, content)
    except InputError as error:
        message = f"{where}: m2g cannot edit {_format(edit.path)}; the result would be invalid: {error.message}"
        raise InputError(message, hint=_BY_HAND) from error
    if not _is_same(after.data or {}, expected or {}):
        message = f"{where}: m2g cannot edit {_format(edit.path)} without changing something else in the file"
        raise InputError(message, hint=_BY_HAND)
    return content, after


def _find_splices(source: YamlText, edit: Edit) -> list[yaml_splice.Splice]:
    match edit:
        case Set():
            return yaml_splice.set_value(source, edit.path, edit.value)
        case Add():
            return yaml_splice.add_item(source, edit.path, edit.value)
        case Remove():
            return yaml_splice.remove(source, edit.path)
        case _:
            assert_never(edit)


def _expect(document: Document, edit: Edit) -> object:
    """The data that the edit must give. Raises InputError if the edit does not fit."""
    if isinstance(edit, Remove):
        return _drop(document.data, edit.path)
    around: object = document.data
    for depth, step in enumerate(edit.path):
        listed = isinstance(around, list) and isinstance(step, int) and 0 <= step < len(around)
        if not (listed or (isinstance(around, dict | None) and isinstance(step, str))):
            place = edit.path[:depth]
            what = "not a list" if isinstance(step, int) else "not a mapping"
            if isinstance(around, list) and isinstance(step, int):
                what = f"a list of {len(around)}"
            message = f"{_format(place)} is {what}, so it has no {_format((step,))}"
            raise InputError(f"{document.file}:{document.find_line(place)}: {message}", hint=_BY_HAND)
        around = _get(around, (step,))
        around = None if around is UNSET else around
    if isinstance(edit, Set):
        return _put(document.data, edit.path, edit.value)
    if not isinstance(around, list):
        message = f"{document.file}:{document.find_line(edit.path)}: {_format(edit.path)} is not a list"
        raise InputError(message, hint=_BY_HAND)
    return _put(document.data, edit.path, [*around, edit.value])


def _get(data: object, path: Path) -> object:
    """The value at `path`, or UNSET."""
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


def _drop(data: object, path: Path) -> object:
    step, rest = path[0], path[1:]
    if isinstance(data, list):
        return [
            _drop(item, rest) if index == step else item for index, item in enumerate(data) if rest or index != step
        ]
    fields = data if isinstance(data, dict) else {}
    return {key: _drop(item, rest) if key == step else item for key, item in fields.items() if rest or key != step}


def _is_same(one: object, other: object) -> bool:
    """Compare with types (`1` is not `1.0`); the order of a mapping does not matter."""
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(_is_same(item, other[key]) for key, item in one.items())
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(_is_same, one, other))
    return type(one) is type(other) and one == other


def _format(path: Path) -> str:
    return format_path(path)[:200] or "the file"
