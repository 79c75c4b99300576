"""m2g.yaml, model.yaml and release records as tables of fields, from the types that read them."""

from __future__ import annotations

import inspect
from collections.abc import Sequence

import msgspec
import msgspec.inspect as mi
from docs._generate.words import Fields, table

from m2g.core import companion_fields, config_types, kserve_fields, model, setting_fields, settings
from m2g.serving.settings import resolve_settings

_CONFIG = """# m2g.yaml

`m2g.yaml` configures m2g. People write it, m2g only reads it, and `m2g validate` names the line of each mistake.
Editors check it with `schemas/m2g.schema.json`, which the scaffold adds to the repository.

"""
_LAYERS = """
## How a setting is found

m2g merges these layers field by field; later layers win. Maps are merged key by key, `resources` by request and limit.

1. m2g's defaults in the table of [Settings](#settings)
2. `defaults`
3. `environments.<environment>.settings`
4. `teams.<team>.settings` of the team that has the model, and then the settings of its `class`
5. `settings` in `models/<slug>/model.yaml`
6. `environments.<environment>.settings` in `models/<slug>/model.yaml`
7. registry tags that `tags` allows, in the order of their keys; a tag of a version wins over a tag of its registered
   model

`bounds` apply to layers 5 to 7. A value outside its bounds is a finding, and that model keeps its files. If nobody
sets a limit of `cpu` or `memory`, m2g raises it to a higher request. If nobody sets a request, m2g lowers it to a
lower limit.
"""
_MODEL_YAML = """# model.yaml

`models/<slug>/model.yaml` configures one model. It is optional. The first line `# yaml-language-server:
$schema=../../schemas/model.schema.json` lets editors check it. `settings` has the same fields as in
[m2g.yaml](m2g-yaml.md#settings). [Layers](m2g-yaml.md#how-a-setting-is-found) decide which value wins.

"""
_RECORD = """# Release record

`models/<slug>/releases/<environment>.json` says which version runs in one environment, and holds everything that
rendering needs to know about it. m2g writes it, people review it. Nothing in it depends on the clock or on the
machine. Empty fields are left out. The first line, `generated`, is m2g's [stamp](repository-layout.md#the-stamp): it
contains a digest of all other lines.

"""
_SHARED = (
    *(settings.Settings, setting_fields.Resources, setting_fields.ValueFrom),
    *(kserve_fields.KnativeScaling, kserve_fields.MlserverSettings, setting_fields.Operation),
    *(companion_fields.RollingUpdate, companion_fields.DisruptionBudget, companion_fields.ModelCache),
    *(companion_fields.NetworkPolicy, companion_fields.NetworkPeer, companion_fields.IpBlock),
)
"""What m2g-yaml.md describes for model-yaml.md, too."""
_NOTHING = (mi.type_info(msgspec.UnsetType), mi.type_info(None))


def struct(kind: type[msgspec.Struct]) -> mi.StructType:
    """What msgspec knows of a type."""
    info = mi.type_info(kind)
    if not isinstance(info, mi.StructType):
        raise TypeError(kind)
    return info


def config(fields: Fields) -> str:
    """m2g-yaml.md"""
    return _CONFIG + _sections(config_types.Config, fields) + _LAYERS


def model_yaml(fields: Fields) -> str:
    """model-yaml.md"""
    return _MODEL_YAML + _sections(
        config_types.ModelIntent,
        fields,
        leave_out=_SHARED,
    )


def record(fields: Fields) -> str:
    """release-record.md"""
    return _RECORD + _sections(model.Release, fields)


def _sections(root: type[msgspec.Struct], fields: Fields, leave_out: Sequence[type[msgspec.Struct]] = ()) -> str:
    """A table for a type, and a heading and a table for each type inside it."""
    parts = []
    for kind in reached(root):
        if kind in leave_out:
            continue
        rows = [
            (
                f"`{field.encode_name}`",
                _type_of(kind, python, field),
                _default(kind, python, field),
                _meaning(kind, python, fields),
            )
            for python, field in zip(kind.__struct_fields__, struct(kind).fields, strict=True)
        ]
        if kind is not root:
            parts.append(f"## {kind.__name__}\n\n{doc(kind)}")
        if rows:
            parts.append(table(("field", "type", "default", "meaning"), rows))
    text = "\n".join(parts)
    for kind in leave_out:
        text = text.replace(f"](#{kind.__name__.lower()})", f"](m2g-yaml.md#{kind.__name__.lower()})")
    return text


def _meaning(kind: type[msgspec.Struct], python: str, fields: Fields) -> str:
    """The text of a field, and which mode and version have a setting."""
    text = fields.text(kind, python)
    row = _find_row(kind, python)
    if row is None:
        return text
    bound = "In model.yaml only if `bounds` names it." if row.granted else ""
    return " ".join(filter(None, (text, setting_fields.describe_limits(row), bound)))


def _find_row(kind: type[msgspec.Struct], python: str) -> setting_fields.Row | None:
    if kind not in (settings.Settings, setting_fields.ValueFrom):
        return None
    fields = settings.list_fields(kind)
    return next((field.row for field in fields.values() if field.attribute == python), None)


def _type_of(kind: type[msgspec.Struct], python: str, field: mi.Field) -> str:
    """The type of a field; of a structure, its name in Kubernetes or KServe."""
    row = _find_row(kind, python)
    if row is None or not row.definition:
        return type_(field.type)
    group, _, name = row.definition.rpartition(".")
    link = f"KServe's {name}" if group == "v1beta1" else f"Kubernetes' {name}"
    return f"list of {link}" if "list" in type_(field.type) else link


def reached(root: type[msgspec.Struct]) -> list[type[msgspec.Struct]]:
    """A type and those inside it, nearest first."""
    found = [root]
    for kind in found:
        for field in struct(kind).fields:
            found += [part for part in structs(field.type) if part not in found]
    return found


def doc(kind: type) -> str:
    return "\n".join(line.strip() for line in (inspect.getdoc(kind) or "").splitlines()) + "\n"


def structs(kind: mi.Type) -> list[type[msgspec.Struct]]:
    match kind:
        case mi.StructType():
            return [kind.cls]
        case mi.UnionType():
            return [found for inner in kind.types for found in structs(inner)]
        case mi.DictType():
            return structs(kind.value_type)
        case mi.VarTupleType():
            return structs(kind.item_type)
        case mi.Metadata():
            return structs(kind.type)
        case _:
            return []


def type_(kind: mi.Type) -> str:
    match kind:
        case mi.Metadata():
            words = str((kind.extra_json_schema or {}).get("description", "")).partition(";")[0]
            return words.removeprefix("a ").removeprefix("an ") or type_(kind.type)
        case mi.StructType():
            return f"[{kind.cls.__name__}](#{kind.cls.__name__.lower()})"
        case mi.UnionType():
            inner = [type_(item) for item in kind.types if item not in _NOTHING]
            return " or ".join(inner)
        case mi.LiteralType():
            return ", ".join(f"`{value}`" for value in kind.values)
        case mi.EnumType():
            return ", ".join(f"`{value.value}`" for value in kind.cls)
        case mi.DictType():
            return f"map of {type_(kind.key_type)} to {type_(kind.value_type)}"
        case mi.VarTupleType():
            return f"list of {type_(kind.item_type)}"
        case mi.IntType():
            return f"whole number{_range(kind)}"
        case mi.FloatType():
            return "number"
        case mi.BoolType():
            return "true or false"
        case mi.StrType():
            return "text"
        case _:
            return "any"


def _range(kind: mi.IntType) -> str:
    low, high = kind.ge, kind.le
    if high is not None and high < 2**31 - 1:
        return f", {low} to {high}"
    return "" if low is None else f", {low} or more"


def _default(kind: type[msgspec.Struct], python: str, field: mi.Field) -> str:
    if kind is settings.Settings:
        return _served(python)
    if field.required:
        return "required"
    value = field.default
    if value is msgspec.NODEFAULT and field.default_factory is not msgspec.NODEFAULT:
        value = field.default_factory()
    return "" if value in (msgspec.NODEFAULT, msgspec.UNSET, None, "") else _code(value)


def _served(python: str) -> str:
    """What a model is served with where no layer of settings says anything, in both modes."""
    names = {"resources": ("requests", "limits")}.get(python, (python,))
    found = []
    for mode in setting_fields.Mode:
        serving, _ = resolve_settings([], {}, config_types.Kserve(mode=mode))
        given = {name: msgspec.to_builtins(getattr(serving, name, None)) for name in names}
        found.append(
            _code(given if len(names) > 1 else given[python])
            if any(v not in ("", None, {}) for v in given.values())
            else ""
        )
    return found[0] if found[0] == found[1] else f"{found[0]}; Knative: {found[1]}"


def _code(value: object) -> str:
    text = msgspec.json.encode(value).decode()
    return f"`{text[1:-1] if text.startswith(chr(34)) else text}`".replace("|", "\\|")
