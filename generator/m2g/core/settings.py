"""All settings of a model, joined from the modules that have their rows, and questions about them."""

from __future__ import annotations

import functools
import typing
from collections.abc import Mapping
from typing import NamedTuple

import msgspec.inspect as mi
from msgspec import UNSET, UnsetType

from m2g.core.companion_fields import NetworkPeer
from m2g.core.kserve_fields import KserveSettings
from m2g.core.setting_fields import Batch, Row, ValueFrom


class Settings(KserveSettings, frozen=True, kw_only=True):
    """How a model is served. Every field is optional. Layers are merged field by field, and maps key by key."""


class Field(NamedTuple):
    """One setting: its attribute, its name in files, and its row."""

    attribute: str
    name: str
    row: Row


@functools.cache
def list_fields(kind: type[Settings | Batch | ValueFrom | NetworkPeer] = Settings) -> Mapping[str, Field]:
    """The settings by their name in files, in order. Raises TypeError for a field without a row."""
    hints = typing.get_type_hints(kind, include_extras=True)
    names = zip(kind.__struct_fields__, kind.__struct_encode_fields__, strict=True)
    return {name: Field(attribute, name, _find_row(hints[attribute])) for attribute, name in names}


def find_type(path: str) -> mi.Type | None:
    """The type of the setting at a path such as `resources.limits.memory`; None if there is none."""
    kind: mi.Type = mi.type_info(Settings)
    parts = path.split(".")
    for index, part in enumerate(parts):
        if isinstance(kind, mi.DictType):  # the rest is one key, such as nvidia.com/gpu
            return _strip(kind.value_type) if ".".join(parts[index:]) else None
        fields = kind.fields if isinstance(kind, mi.StructType) else ()
        found = next((field for field in fields if field.encode_name == part), None)
        if found is None:
            return None
        kind = _strip(found.type)
    return kind


def is_scalar(kind: mi.Type | None) -> bool:
    """Whether values of the type are one text or number, as a registry tag has it."""
    if isinstance(kind, mi.UnionType):
        return any(map(is_scalar, kind.types))
    return isinstance(kind, mi.StrType | mi.IntType | mi.FloatType | mi.LiteralType | mi.EnumType)


def _strip(kind: mi.Type) -> mi.Type:
    """The type without its metadata and without "not set"."""
    while isinstance(kind, mi.Metadata):
        kind = kind.type
    if isinstance(kind, mi.UnionType):
        kinds = [_strip(one) for one in kind.types if one != mi.type_info(UnsetType)]
        return kinds[0] if len(kinds) == 1 else mi.UnionType(types=tuple(kinds))
    return kind


def _find_row(hint: object) -> Row:
    for part in (hint, *typing.get_args(hint)):
        for extra in getattr(part, "__metadata__", ()):
            if isinstance(extra, Row):
                return extra
    raise TypeError(f"{hint} has no row")


def has_structures(settings: Settings) -> bool:
    """Whether a value is set whose form only the schemas of KServe and Kubernetes say."""
    if settings.env is not UNSET and any(isinstance(value, ValueFrom) for value in settings.env.values()):
        return True
    if settings.network_policy is not UNSET:
        return True
    fields = (field for field in list_fields().values() if field.row.definition)
    return any(getattr(settings, field.attribute) is not UNSET for field in fields)
