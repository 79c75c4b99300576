"""A CustomResourceDefinition: the kinds that it brings, each version with its strict schema."""

from __future__ import annotations

import re

import msgspec

from m2g.core.errors import InputError
from m2g.validation.schemas.kubernetes import Json, object_meta
from m2g.validation.schemas.openapi import Converter, Problem, items, mapping


class Kind(msgspec.Struct, frozen=True, kw_only=True):
    """One version of a CRD's kind as a strict schema; `left_out` says what was not taken over."""

    group: str
    version: str
    kind: str
    schema: Json
    left_out: tuple[Problem, ...] = ()

    @property
    def name(self) -> str:
        """As `x-kinds` in a schema file has it."""
        return f"{self.group}/{self.version} {self.kind}"


class _Names(msgspec.Struct, frozen=True, kw_only=True):
    kind: str


class _Schema(msgspec.Struct, frozen=True, kw_only=True):
    root: dict[str, object] = msgspec.field(name="openAPIV3Schema")


class _Version(msgspec.Struct, frozen=True, kw_only=True):
    name: str
    schema: _Schema | None = None


class _Spec(msgspec.Struct, frozen=True, kw_only=True):
    group: str
    names: _Names
    versions: list[_Version]


class _Crd(msgspec.Struct, frozen=True, kw_only=True):
    spec: _Spec


_DNS = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)+")
_VERSION = re.compile(r"[a-z]([-a-z0-9]{0,61}[a-z0-9])?")
_KIND = re.compile(r"[A-Za-z][A-Za-z0-9]{0,62}")


def kinds(crd: object) -> list[Kind]:
    """Every version of a CustomResourceDefinition (apiextensions.k8s.io/v1) that has a schema.

    Raises InputError for what is none, and for schemas that no API server takes: `$ref`, too deep, too large.
    """
    try:
        spec = msgspec.convert(crd, _Crd).spec
    except (msgspec.ValidationError, RecursionError) as error:
        raise InputError(f"is no CustomResourceDefinition of apiextensions.k8s.io/v1: {error}") from error
    if not (_DNS.fullmatch(spec.group) and len(spec.group) <= 253 and _KIND.fullmatch(spec.names.kind)):
        raise InputError(
            f"its group {spec.group[:60]!r} or kind {spec.names.kind[:60]!r} is no name that Kubernetes takes"
        )
    found = []
    for version in spec.versions:
        if not _VERSION.fullmatch(version.name):
            raise InputError(f"its version {version.name[:60]!r} is no name that Kubernetes takes")
        if version.schema is not None:
            found.append(_kind(spec, version.name, version.schema.root))
    return found


def _kind(spec: _Spec, version: str, raw: dict[str, object]) -> Kind:
    converter = Converter()
    whole = converter.strict(raw)
    fields = dict(mapping(whole.get("properties")))
    api_version, kind = f"{spec.group}/{version}", spec.names.kind
    fields |= {
        "apiVersion": {"const": api_version},
        "kind": {"const": kind},
        "metadata": object_meta(spec.group, kind),
    }
    if "status" in fields:
        fields["status"] = {"type": "object"}  # the controller's own; nobody writes it into Git
    required = {"apiVersion", "kind", "metadata"} | {str(name) for name in items(whole.get("required"))}
    schema = whole | {"type": "object", "properties": dict(sorted(fields.items())), "required": sorted(required)}
    schema.pop("default", None)
    if not raw.get("x-kubernetes-preserve-unknown-fields"):
        schema["additionalProperties"] = False
    return Kind(group=spec.group, version=version, kind=kind, schema=schema, left_out=tuple(converter.left_out))
