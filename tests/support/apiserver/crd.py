"""Our JSON Schemas as CustomResourceDefinitions: structural, nothing referenced, without what a CRD cannot hold."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path
from typing import Any

Schema = dict[str, Any]

_CLUSTER = {
    "ClusterServingRuntime", "ClusterStorageContainer", "LocalModelCache", "LocalModelNode", "LocalModelNodeGroup",
}  # fmt: skip
_KEPT = (
    "default", "format", "maxItems", "maxLength", "maxProperties", "minItems", "minLength", "minProperties", "pattern",
    "required", "x-kubernetes-list-map-keys", "x-kubernetes-list-type", "x-kubernetes-validations",
)  # fmt: skip
_OPEN: Schema = {"x-kubernetes-preserve-unknown-fields": True}
_SIZES = {2**31 - 1: "int32", 2**63 - 1: "int64"}
_PROTECTED = {"api-approved.kubernetes.io": "unapproved, for tests"}
"""What the server wants to see on groups such as gateway.networking.k8s.io."""
_LIST_KEYS: dict[str, Schema] = {
    "containers": {"name": None},
    "initContainers": {"name": None},
    "env": {"name": None},
    "volumes": {"name": None},
    "imagePullSecrets": {"name": ""},
    "ports": {"containerPort": None, "protocol": "TCP"},
    "volumeMounts": {"mountPath": None},
}
"""Field → the keys of its items, with their defaults (k8s.io/api core/v1, the markers of PodSpec and Container)."""


def definitions(file: Path) -> list[Schema]:
    """The CRDs of one schema file, by name."""
    content = json.loads(file.read_text())
    by_kind: dict[tuple[str, str], dict[str, Schema]] = defaultdict(dict)
    for name, definition in content["x-kinds"].items():
        api_version, kind = name.split(" ")
        group, version = api_version.split("/")
        by_kind[group, kind][version] = _Converter(content["$defs"]).whole(definition)
    return [_definition(group, kind, versions) for (group, kind), versions in sorted(by_kind.items())]


def _definition(group: str, kind: str, versions: Mapping[str, Schema]) -> Schema:
    plural = f"{kind.lower()}s"
    newest = max(versions)
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{plural}.{group}", "annotations": _PROTECTED},
        "spec": {
            "group": group,
            "names": {"kind": kind, "listKind": f"{kind}List", "plural": plural, "singular": kind.lower()},
            "scope": "Cluster" if kind in _CLUSTER else "Namespaced",
            "versions": [
                {"name": version, "served": True, "storage": version == newest, "schema": {"openAPIV3Schema": schema}}
                for version, schema in sorted(versions.items())
            ],
        },
    }


class _Converter:
    def __init__(self, defs: Mapping[str, Schema]) -> None:
        self._defs = defs

    def whole(self, name: str) -> Schema:
        """The schema of a kind. A CRD says of its metadata nothing but what a name is."""
        schema = self._schema({"$ref": f"#/$defs/{name}"}, ())
        named = schema["properties"]["metadata"].get("properties", {}).get("name", {})
        own = {"metadata": {"type": "object", "properties": {"name": named}} if named else {"type": "object"}}
        text = {"apiVersion": {"type": "string"}, "kind": {"type": "string"}}
        schema["properties"] = schema["properties"] | text | own
        schema["required"] = sorted(set(schema.get("required", [])) - own.keys() - text.keys())
        return {key: value for key, value in schema.items() if value != []}

    def _schema(self, raw: Schema, above: tuple[str, ...]) -> Schema:
        if "anyOf" in raw:  # a reference that may be null
            (inner,) = (one for one in raw["anyOf"] if one != {"type": "null"})
            return self._schema(inner, above) | {"nullable": True}
        rule, above = self._resolved(raw, above)
        kinds = rule.get("type")
        names = [kinds] if isinstance(kinds, str) else [one for one in kinds or [] if one != "null"]
        new: Schema = {key: rule[key] for key in _KEPT if key in rule}
        if isinstance(kinds, list) and "null" in kinds:
            new["nullable"] = True
        if set(names) == {"integer", "string"}:
            return new | {"x-kubernetes-int-or-string": True}
        choices = [rule["const"]] if "const" in rule else rule.get("enum", [])
        if choices or "pattern" in rule:
            names = names or ["string"]
            new |= {"enum": choices} if choices else {}
        if not names:
            return new | _OPEN
        (new["type"],) = names
        if new["type"] == "object":
            return new | self._mapping(rule, above)
        if new["type"] == "array":
            return new | {"items": self._schema(rule.get("items", {}), above)}
        return new | (_limits(rule) if new["type"] == "integer" else {})

    def _resolved(self, raw: Schema, above: tuple[str, ...]) -> tuple[Schema, tuple[str, ...]]:
        """The rule with what it refers to; a definition that contains itself is left open."""
        rule = dict(raw)
        while "$ref" in rule:
            name = rule.pop("$ref").removeprefix("#/$defs/")
            if name in above:
                return {"type": "object"}, above
            above = (*above, name)
            rule = {**self._defs[name], **rule}
        return rule, above

    def _mapping(self, rule: Schema, above: tuple[str, ...]) -> Schema:
        if isinstance(rule.get("additionalProperties"), dict):
            return {"additionalProperties": self._schema(rule["additionalProperties"], above)}
        fields = {name: self._field(name, field, above) for name, field in rule.get("properties", {}).items()}
        closed = rule.get("additionalProperties") is False
        return ({"properties": fields} if fields else {}) | ({} if closed else _OPEN)

    def _field(self, name: str, raw: Schema, above: tuple[str, ...]) -> Schema:
        schema = self._schema(raw, above)
        keys = _LIST_KEYS.get(name, {})
        items = schema.get("items", {})
        if not keys or "x-kubernetes-list-type" in schema or not keys.keys() <= items.get("properties", {}).keys():
            return schema
        fields = dict(items["properties"])
        for key, default in keys.items():
            if default is not None:
                fields[key] = {**fields[key], "default": default}
        required = {*items.get("required", []), *(key for key, default in keys.items() if default is None)}
        items = {**items, "properties": fields} | ({"required": sorted(required)} if required else {})
        return {**schema, "items": items, "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": [*keys]}


def _limits(rule: Schema) -> Schema:
    """The bounds of a whole number; those of 64 bits are a format, since JSON numbers in Go are not that exact."""
    new: Schema = {key: rule[key] for key in ("minimum", "maximum") if key in rule and abs(rule[key]) < 2**53}
    return new | ({"format": _SIZES[rule["maximum"]]} if rule.get("maximum") in _SIZES else {})
