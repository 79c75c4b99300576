"""Argo CD's and Flux's kinds from the CRDs that their Go modules carry, made strict and written without repetition.

`go mod download` fetches a module and checks it against Go's checksum database; nothing of it is built or run.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import subprocess
import zipfile
from collections import Counter
from typing import Any

from ruamel.yaml import YAML

from m2g.schemas.kubernetes import object_meta
from output import COMMON, Derived, Schema, Source, object_of

MODULES = {
    "argoproj.io": ("github.com/argoproj/argo-cd/v3", "v3.6.1", r"manifests/crds/[a-z]+-crd\.yaml"),
    "source.toolkit.fluxcd.io": ("github.com/fluxcd/source-controller", "v1.10.1", r"config/crd/bases/.+\.yaml"),
    "kustomize.toolkit.fluxcd.io": ("github.com/fluxcd/kustomize-controller", "v1.10.1", r"config/crd/bases/.+\.yaml"),
}
"""API group → (module, newest version, its CRDs). Newer versions add fields and take none away."""

_KEPT = {"type", "enum", "pattern", "required", "minimum", "maximum", "minLength", "maxLength", "minItems", "maxItems"}
_WORTH = 200
"""A part is written once, under `$defs`, when it is this long and occurs twice."""


def derive() -> list[Derived]:
    """One file for each API group."""
    return [_group(group, *module) for group, module in MODULES.items()]


def _group(group: str, module: str, version: str, crds: str) -> Derived:
    archive, digest = download(module, version)
    parts: dict[str, Schema] = {}
    with zipfile.ZipFile(archive) as files:
        for name in sorted(files.namelist()):
            if re.fullmatch(crds, name.partition("@")[2].partition("/")[2]):
                parts |= _kinds(YAML(typ="safe", pure=False).load(files.read(name)))
    kinds = {key: key.rpartition("/")[2].replace(" ", ".") for key in parts}
    defs = shared({kinds[key]: schema for key, schema in parts.items()})
    return Derived(f"{group}.json", [Source(module, version, digest)], kinds, defs)


def download(module: str, version: str) -> tuple[str, str]:
    """The zip file of a Go module and its `h1:` sum; a module that asks for a newer Go than ours is still fetched."""
    command = ["go", "mod", "download", "-json", f"{module}@{version}"]
    environment = {**os.environ, "GOTOOLCHAIN": "local"}
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=600, env=environment)
    answer = json.loads(done.stdout or "{}")
    if "Zip" not in answer or "Sum" not in answer:
        raise SystemExit(f"{module}@{version}: {answer.get('Error') or done.stderr}")
    return answer["Zip"], answer["Sum"]


def _kinds(crd: dict[str, Any]) -> dict[str, Schema]:
    spec = crd["spec"]
    group, kind = spec["group"], spec["names"]["kind"]
    found = {}
    for version in spec["versions"]:
        api_version = f"{group}/{version['name']}"
        raw = version["schema"]["openAPIV3Schema"]
        fields = {name: strict(field) for name, field in raw["properties"].items()}
        for own in ("apiVersion", "kind", "metadata"):
            del fields[own]
        if "status" in fields:
            fields["status"] = {"type": "object"}
        required = [name for name in {*raw.get("required", []), "spec"} if name in fields]
        found[f"{api_version} {kind}"] = object_of(api_version, kind, dict(object_meta(group, kind)), fields, required)
    return found


def strict(raw: dict[str, Any]) -> Schema:
    """The schema without prose and defaults, with unknown fields refused and integers of their size."""
    if raw.get("x-kubernetes-int-or-string"):
        return {"$ref": "#/$defs/Quantity" if "pattern" in raw else "#/$defs/IntOrString"}
    new: Schema = {key: value for key, value in raw.items() if key in _KEPT}
    if "items" in raw:
        new["items"] = strict(raw["items"])
    if isinstance(raw.get("additionalProperties"), dict):
        new["additionalProperties"] = strict(raw["additionalProperties"])
    if "properties" in raw:
        new["properties"] = {name: strict(field) for name, field in raw["properties"].items()}
        if not raw.get("x-kubernetes-preserve-unknown-fields"):
            new["additionalProperties"] = False
    if raw.get("type") == "integer":
        size = 31 if raw.get("format") == "int32" else 63
        new = {"minimum": -(2**size), "maximum": 2**size - 1} | new
    return new


def shared(kinds: dict[str, Schema]) -> dict[str, Schema]:
    """The kinds with every long part that occurs more than once moved to a definition of its own."""
    counts: Counter[str] = Counter()
    for schema in kinds.values():
        _count(schema, counts)
    writer = _Writer(counts, set(kinds) | set(COMMON))
    whole = {name: writer.inlined(schema) for name, schema in kinds.items()}
    return whole | writer.defs


def _count(schema: Schema, counts: Counter[str]) -> None:
    counts[json.dumps(schema, sort_keys=True)] += 1
    for _, part in _parts(schema):
        _count(part, counts)


def _parts(schema: Schema) -> list[tuple[str, Schema]]:
    """(field name, schema) of what is directly below."""
    found = list(schema.get("properties", {}).items())
    return found + [("", schema[key]) for key in ("items", "additionalProperties") if isinstance(schema.get(key), dict)]


class _Writer:
    def __init__(self, counts: Counter[str], taken: set[str]) -> None:
        self._counts = counts
        self._taken = taken
        self._names: dict[str, str] = {}
        self.defs: dict[str, Schema] = {}

    def part(self, schema: Schema, hint: str) -> Schema:
        text = json.dumps(schema, sort_keys=True)
        if self._counts[text] < 2 or len(text) < _WORTH:
            return self.inlined(schema, hint)
        if text not in self._names:
            self._names[text] = self._name(text, hint)
            self.defs[self._names[text]] = self.inlined(schema, hint)
        return {"$ref": f"#/$defs/{self._names[text]}"}

    def inlined(self, schema: Schema, hint: str = "") -> Schema:
        new = dict(schema)
        if "properties" in schema:
            new["properties"] = {name: self.part(part, name) for name, part in schema["properties"].items()}
        for key in ("items", "additionalProperties"):
            if isinstance(schema.get(key), dict):
                new[key] = self.part(schema[key], hint)
        return new

    def _name(self, text: str, hint: str) -> str:
        digest = hashlib.sha256(text.encode()).hexdigest()
        name = hint if hint and hint not in self._taken else f"{hint}-{digest[:6]}"
        self._taken.add(name)
        return name
