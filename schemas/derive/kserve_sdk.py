"""KServe's kinds, from the types of the `kserve` package. Its wheels are read, not imported.

Kubernetes' own types inside them come from the kubernetes-validate package, in the version whose PodSpec and Container
have the same fields as those of the SDK.
"""

from __future__ import annotations

import ast
import hashlib
import re
import subprocess
import sys
import tempfile
import zipfile
from importlib.metadata import version as installed
from pathlib import Path
from typing import NamedTuple

import kserve_rules as rules
from kserve_rules import Schema, listing, ref
from m2g.validation.schemas.kubernetes import Kubernetes, list_versions, make_object_meta
from output import Derived, Source, object_of

GROUP = "serving.kserve.io"
PINS = ("0.15.2", "0.16.0", "0.17.1", "0.18.1", "0.19.0", "0.20.0", "0.21.0")
"""The newest patch release of each minor version (`pip index versions kserve`)."""

_PLAIN = {"str": rules.TEXT, "bool": rules.FLAG, "object": rules.ANYTHING, "int": {"type": "integer", **rules.INT64}}
_SCALED = re.compile(r"Invalid value for `(\w+)`, must not be `None`")
_VERSIONED = re.compile(r"(V\d+(?:alpha\d+|beta\d+)?)(\w+)")


class Type(NamedTuple):
    """A class of the SDK: JSON field → type such as `list[V1EnvVar]`, and the required fields."""

    fields: dict[str, str]
    required: set[str]


def derive(pin: str) -> Derived:
    """The schemas of one KServe version."""
    wheel, digest = download("kserve", pin)
    types = read_types(wheel)
    kubernetes = find_kubernetes(types)
    minor = pin.rpartition(".")[0]
    kinds, defs = _Maker(types, kubernetes).all()
    sources = [
        Source("kserve", pin, digest),
        Source(
            f"kubernetes-validate, Kubernetes {kubernetes.version}",
            installed("kubernetes-validate"),
            kubernetes.compute_digest(),
        ),
    ]
    return Derived(f"{GROUP}/{minor}.json", sources, kinds, defs)


def download(package: str, pin: str) -> tuple[bytes, str]:
    """Download a wheel with pip, and compute its sha256. Nothing is installed."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary=:all:"]
        options = ["--disable-pip-version-check", "--ignore-requires-python", "--dest", folder, f"{package}=={pin}"]
        subprocess.run([*command, *options], check=True, timeout=300)
        (path,) = Path(folder).glob("*.whl")
        content = path.read_bytes()
    return content, hashlib.sha256(content).hexdigest()


def read_types(wheel: bytes) -> dict[str, Type]:
    """Class name → its type in kserve/models/*.py."""
    types: dict[str, Type] = {}
    with tempfile.TemporaryFile() as file:
        file.write(wheel)
        with zipfile.ZipFile(file) as archive:
            names = [name for name in archive.namelist() if re.fullmatch(r"kserve/models/\w+\.py", name)]
            for name in sorted(names):
                types.update(_read_classes(archive.read(name).decode()))
    return types


def _read_classes(source: str) -> dict[str, Type]:
    types: dict[str, Type] = {}
    for node in ast.parse(source).body:
        if not isinstance(node, ast.ClassDef):
            continue
        tables = {
            target.id: ast.literal_eval(item.value)
            for item in node.body
            if isinstance(item, ast.Assign)
            for target in item.targets
            if isinstance(target, ast.Name) and target.id in ("openapi_types", "attribute_map")
        }
        if len(tables) == 2:
            names: dict[str, str] = tables["attribute_map"]
            required = set(_SCALED.findall(source))
            fields = {names[field]: text for field, text in tables["openapi_types"].items()}
            types[node.name] = Type(fields, {names[field] for field in required & names.keys()})
    return types


def find_kubernetes(types: dict[str, Type]) -> Kubernetes:
    """The newest Kubernetes version whose PodSpec and Container have the same fields as this SDK."""
    pod, container = set(types["V1beta1PodSpec"].fields), set(types["V1beta1ModelSpec"].fields)
    for version in reversed(list_versions()):
        kubernetes = Kubernetes(version, nulls=False)
        known = kubernetes.get_definitions(["core.v1.PodSpec"])
        if _fields(known, "core.v1.PodSpec").keys() == pod and _fields(known, "core.v1.Container").keys() <= container:
            return kubernetes
    raise SystemExit("no Kubernetes version has the PodSpec of this kserve package")


class _Maker:
    """Turns the types that the kinds refer to into definitions."""

    def __init__(self, types: dict[str, Type], kubernetes: Kubernetes) -> None:
        self._types = types
        self._core = kubernetes.get_definitions(["core.v1.PodSpec", *rules.FOREIGN.values()])
        self._kubernetes = kubernetes
        self._defs: dict[str, Schema] = {}
        self._pod = _fields(self._core, "core.v1.PodSpec")
        self._container = _fields(self._core, "core.v1.Container")

    def all(self) -> tuple[dict[str, str], dict[str, Schema]]:
        """The kinds and the definitions."""
        kinds: dict[str, str] = {}
        for name, kind in sorted(self._types.items()):
            if kind.fields.get("metadata") == "V1ObjectMeta" and "spec" in kind.fields:
                kinds.update(self._kind(name))
        return kinds, self._closed()

    def _kind(self, name: str) -> dict[str, str]:
        version, kind = _parts(name)
        fields = dict(self._types[name].fields)
        status = {"status": rules.ANYTHING} if fields.pop("status", "") else {}
        for own in ("apiVersion", "kind", "metadata"):
            del fields[own]
        schemas = {field: self._schema(text) for field, text in fields.items()}
        api_version = f"{GROUP}/{version}"
        meta = dict(make_object_meta(GROUP, kind))
        self._defs[f"{version}.{kind}"] = object_of(api_version, kind, meta, schemas | status, ["spec"])
        return {f"{api_version} {kind}": f"{version}.{kind}"}

    def _schema(self, text: str) -> Schema:
        """The schema of a type: `str`, `list[…]`, `dict(str, …)` or a class."""
        if inner := re.fullmatch(r"list\[(.+)\]", text):
            return listing(self._schema(inner[1]))
        if inner := re.fullmatch(r"dict\(str, (.+)\)", text):
            return {"type": "object", "additionalProperties": self._schema(inner[1])}
        if text in _PLAIN:
            return _PLAIN[text]
        if text == "ResourceQuantity" or text in rules.MISSING:
            return rules.MISSING[text] if text.endswith("Quantity") else self._named(text, rules.MISSING[text])
        if text in rules.FOREIGN:
            return self._foreign(rules.FOREIGN[text])
        if text in self._types or text in rules.EXTENDED:
            return self._own(text)
        return self._foreign("core.v1." + text.removeprefix("V1"))

    def _named(self, text: str, schema: Schema) -> Schema:
        name = ".".join(_parts(text))
        self._defs[name] = schema
        if "PodPart" in str(schema):
            part = {key: value for key, value in self._core["core.v1.PodSpec"].items() if key != "required"}
            self._defs["PodPart"] = part
        return ref(name)

    def _foreign(self, name: str) -> Schema:
        if name not in self._core:
            self._core |= self._kubernetes.get_definitions([name])
        if name not in self._core:
            raise SystemExit(f"neither package has {name}; add it to kserve_rules.py")
        return ref(name)

    def _own(self, text: str) -> Schema:
        name = ".".join(_parts(text))
        if name not in self._defs:
            self._defs[name] = {}
            base, more = rules.EXTENDED.get(text, (text, {}))
            fields = {field: self._field(base, name, field) for field in self._types[base].fields} | more
            schema = {"type": "object", "additionalProperties": False, "properties": dict(sorted(fields.items()))}
            self._defs[name] = _required(name, schema, self._types[base].required)
        return ref(name)

    def _field(self, text: str, name: str, field: str) -> Schema:
        whole = self._types[text].fields
        if (name, field) in rules.FIELDS:
            return rules.FIELDS[name, field]
        for inlined in (self._pod, self._container):
            if field in inlined and len(whole.keys() & inlined.keys()) >= len(inlined) - 2:
                return dict(inlined[field])
        schema = rules.EVERYWHERE.get(field) or self._schema(whole[field])
        return schema | {"minItems": 1} if field in rules.NOT_EMPTY else schema

    def _closed(self) -> dict[str, Schema]:
        """The SDK's definitions and those of Kubernetes that they refer to."""
        closed, pending = dict(self._defs), list(self._defs.values())
        while pending:
            for name in set(re.findall(r"#/\$defs/([\w.]+)", str(pending.pop()))) - closed.keys():
                if name in self._core:
                    closed[name] = _required(name, dict(self._core[name]), set())
                    pending.append(closed[name])
        return closed


def _fields(definitions: dict[str, Schema], name: str) -> dict[str, Schema]:
    fields: dict[str, Schema] = definitions[name]["properties"]
    return fields


def _required(name: str, schema: Schema, required: set[str]) -> Schema:
    names = required | set(schema.get("required", []))
    for change in rules.REQUIRED.get(name, []):
        names = names | {change[1:]} if change[0] == "+" else names - {change[1:]}
    rest = {key: value for key, value in schema.items() if key != "required"}
    return {**rest, "required": sorted(names)} if names else rest


def _parts(name: str) -> tuple[str, str]:
    parts = _VERSIONED.fullmatch(name)
    if parts is None:
        raise SystemExit(f"{name} is not a versioned type; add it to kserve_rules.py")
    return parts[1].lower(), parts[2]
