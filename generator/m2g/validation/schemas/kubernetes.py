"""Schemas of Kubernetes' own kinds: the data of the package kubernetes-validate, made stricter.

The strict schemas of the package refuse unknown fields, but accept any string as a quantity or label, numbers of any
size, and an object without a name. The additional constraints are in schemas/common.json and in `_CHOICES`.
"""

from __future__ import annotations

import hashlib
import importlib.util
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TypeAlias

import msgspec

from m2g.core.errors import InputError, OutsideError

KUBERNETES = "1.37"
"""The default Kubernetes minor version."""

Json: TypeAlias = dict[str, "object"]

_REF = re.compile(r".*#/\$defs/(.+)")
_SHORT = re.compile(r"^io\.k8s\.(api|apimachinery\.pkg)\.")
_NOISE = frozenset({"description", "default", "format"})
_INT_SIZES = {"int32": 31, "int64": 63}
_META = "io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta"
_COMMON = {
    _META: "Meta",
    "io.k8s.apimachinery.pkg.util.intstr.IntOrString": "IntOrString",
    "io.k8s.apimachinery.pkg.api.resource.Quantity": "Quantity",
}
_CHOICES = {
    ("Container", "imagePullPolicy"): ["Always", "IfNotPresent", "Never"],
    ("HTTPGetAction", "scheme"): ["HTTP", "HTTPS"],
    ("ContainerPort", "protocol"): ["TCP", "UDP", "SCTP"],
    ("ServicePort", "protocol"): ["TCP", "UDP", "SCTP"],
    ("PodSpec", "restartPolicy"): ["Always", "OnFailure", "Never"],
    ("PodSpec", "dnsPolicy"): ["ClusterFirst", "ClusterFirstWithHostNet", "Default", "None"],
    ("DeploymentStrategy", "type"): ["Recreate", "RollingUpdate"],
}
"""Choices that the schemas do not check, but the API server does (k8s.io/kubernetes pkg/apis/*/validation)."""
_TEXTS = {("CronJobSpec", "schedule"): "Schedule", ("CronJobSpec", "timeZone"): "TimeZone"}
"""Strings that the API server parses, and their definitions in schemas/common.json (pkg/apis/batch/validation)."""


def find_folder() -> Path:
    """The schema folder of kubernetes-validate. The package is located, not imported: its import takes 0.3 s.

    Raises OutsideError if it is not installed.
    """
    spec = importlib.util.find_spec("kubernetes_validate")
    if spec is None or spec.origin is None:
        raise OutsideError("the package kubernetes-validate is not installed", hint="reinstall m2g")
    return Path(spec.origin).parent / "kubernetes-json-schema"


def list_versions() -> tuple[str, ...]:
    """The minor versions that the installed kubernetes-validate has, oldest first."""
    matches = (re.fullmatch(r"v(\d+)\.(\d+)\.\d+-local-strict", path.name) for path in find_folder().iterdir())
    return tuple(f"{a}.{b}" for a, b in sorted((int(m[1]), int(m[2])) for m in matches if m))


class Kubernetes:
    """The kinds of one Kubernetes minor version. Raises InputError for a version that the package does not have."""

    def __init__(self, version: str = KUBERNETES, *, nulls: bool = True) -> None:
        """`nulls`: an optional field may be `null`, which the API server accepts in its own kinds."""
        self.version = version
        self._folder = find_folder() / f"v{version}.0-local-strict"
        self._nulls = nulls
        self._raw: dict[str, Json] = {}
        if not self._folder.is_dir():
            hint = f"use one of: {', '.join(list_versions())}"
            raise InputError(f"m2g has no schemas for Kubernetes {version}", hint=hint)

    def get_schema(self, api_version: str, kind: str) -> Json | None:
        """The schema of a kind with everything that it refers to in `$defs`, except m2g's own definitions; None for an
        unknown kind.
        """
        group, _, version = api_version.rpartition("/")
        stem = "-".join(part for part in (kind.lower(), group.partition(".")[0], version) if part)
        path = self._folder / f"{stem}.json"
        if not _STEM.fullmatch(stem) or not path.is_file():
            return None
        raw = msgspec.json.decode(path.read_bytes(), type=dict[str, object])
        if _Kind(group, version, kind) not in _kinds(path):
            return None
        root = _mapping(self._tighten(raw, ""))
        properties = _mapping(root["properties"]) | {"apiVersion": {"const": api_version}, "kind": {"const": kind}}
        required = {"apiVersion", "kind", *_texts(root.get("required"))}
        if _mapping(properties.get("metadata")).get("$ref") == "#/$defs/Meta":
            properties["metadata"] = make_object_meta(group, kind)
            required.add("metadata")
        return {
            "type": "object",
            "additionalProperties": False,
            "required": sorted(required),
            "properties": properties,
            "$defs": self._reached(_references(properties)),
        }

    def list_api_versions(self, kind: str) -> list[str]:
        """The API versions that have this kind, sorted."""
        if not _STEM.fullmatch(kind.lower()):
            return []
        files = [self._folder / f"{kind.lower()}.json", *self._folder.glob(f"{kind.lower()}-*.json")]
        kinds = [known for path in files if path.is_file() for known in _kinds(path)]
        return sorted(f"{known.group}/{known.version}".lstrip("/") for known in kinds if known.kind == kind)

    def compute_digest(self) -> str:
        """The sha256 of the package's definitions."""
        return hashlib.sha256((self._folder / "_definitions.json").read_bytes()).hexdigest()

    def get_definitions(self, names: Iterable[str]) -> dict[str, Json]:
        """The definitions with these short names (`core.v1.Container`) and everything that they refer to."""
        return self._reached(names)

    def _reached(self, names: Iterable[str]) -> dict[str, Json]:
        found: dict[str, Json] = {}
        waiting = sorted(set(names) - set(_COMMON.values()))
        while waiting:
            name = waiting.pop()
            if name in found or name not in self._definitions():
                continue
            found[name] = _mapping(self._tighten(self._definitions()[name], name.rpartition(".")[2]))
            waiting.extend(_references(found[name]))
        return dict(sorted(found.items()))

    def _definitions(self) -> dict[str, Json]:
        if not self._raw:
            raw = msgspec.json.decode((self._folder / "_definitions.json").read_bytes())["$defs"]
            self._raw = {_SHORT.sub("", name): schema for name, schema in raw.items()}
        return self._raw

    def _tighten(self, schema: object, owner: str) -> object:
        if isinstance(schema, list):
            return [self._tighten(item, "") for item in schema]
        if not isinstance(schema, dict):
            return schema
        if isinstance(schema.get("$ref"), str):
            return {"$ref": self._pointer(schema["$ref"])}
        new: Json = {k: v for k, v in schema.items() if k not in _NOISE and not k.startswith(("$", "x-"))}
        for key in new.keys() & {"items", "additionalProperties"}:
            new[key] = self._tighten(new[key], "")
        if isinstance(new.get("properties"), dict):
            properties = {k: self._tighten(v, "") for k, v in _mapping(new["properties"]).items()}
            new["properties"] = {k: _chosen(owner, k, v) for k, v in properties.items()}
        size = _INT_SIZES.get(str(schema.get("format")))
        if size:
            new |= {"minimum": -(2**size), "maximum": 2**size - 1}
        if not self._nulls and isinstance(new.get("type"), list):
            kept = [item for item in _items(new["type"]) if item != "null"]
            new["type"] = kept[0] if len(kept) == 1 else kept
        return new

    def _pointer(self, reference: str) -> str:
        found = _REF.fullmatch(reference)
        name = found[1] if found else reference
        return f"#/$defs/{_COMMON.get(name) or _SHORT.sub('', name)}"


_STEM = re.compile(r"[a-z0-9-]{1,200}")
"""The name of a file without its suffix: a longer name is no file, and asking for it is an error of the system."""


class _Kind(msgspec.Struct, frozen=True):
    group: str
    version: str
    kind: str


class _Named(msgspec.Struct, frozen=True):
    kinds: list[_Kind] = msgspec.field(name="x-kubernetes-group-version-kind", default_factory=list)


def _kinds(path: Path) -> list[_Kind]:
    return msgspec.json.decode(path.read_bytes(), type=_Named).kinds


def make_object_meta(group: str, kind: str) -> Json:
    """The schema of the metadata of an object in Git, with the name rule of its kind (KServe, k8s.io/kubernetes)."""
    match group, kind:
        case "rbac.authorization.k8s.io", _:
            rule = "PathName"
        case ("serving.kserve.io", "InferenceService" | "InferenceGraph") | ("", "Service"):
            rule = "LetterLabel"
        case ("serving.kserve.io", "LLMInferenceService") | ("", "Namespace"):
            rule = "Label"
        case _:
            rule = "Subdomain"
    return {"$ref": "#/$defs/ObjectMeta", "properties": {"name": {"$ref": f"#/$defs/{rule}"}}}


def _chosen(owner: str, field: str, schema: object) -> object:
    if (owner, field) in _TEXTS:
        return {**_mapping(schema), "$ref": f"#/$defs/{_TEXTS[owner, field]}"}
    choices = _CHOICES.get((owner, field))
    if choices is None:
        return schema
    kinds = _mapping(schema).get("type")
    return {"enum": [*choices, None] if isinstance(kinds, list) else choices}


def _references(schema: object) -> list[str]:
    if isinstance(schema, list):
        return [name for item in schema for name in _references(item)]
    if not isinstance(schema, dict):
        return []
    found = _REF.fullmatch(schema["$ref"]) if isinstance(schema.get("$ref"), str) else None
    return [*([found[1]] if found else []), *(name for item in schema.values() for name in _references(item))]


def _mapping(value: object) -> Json:
    return dict(value) if isinstance(value, Mapping) else {}


def _items(value: object) -> list[object]:
    return list(value) if isinstance(value, list) else []


def _texts(value: object) -> list[str]:
    return [item for item in _items(value) if isinstance(item, str)]
