"""Read a CustomResourceDefinition: the kinds that it defines, each version with a strict schema."""

from __future__ import annotations

import re

import msgspec

from m2g.core.errors import InputError
from m2g.validation.schemas.kubernetes import Json, make_object_meta
from m2g.validation.schemas.openapi import Converter, LeftOut, as_list, as_mapping


class Kind(msgspec.Struct, frozen=True, kw_only=True):
    """One version of a CRD's kind as a strict schema; `left_out` lists what the schema does not check."""

    group: str
    version: str
    kind: str
    schema: Json
    left_out: tuple[LeftOut, ...] = ()

    @property
    def name(self) -> str:
        """The name in `x-kinds` of a schema file."""
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


def read_kinds(crd: object) -> list[Kind]:
    """Every version of a CustomResourceDefinition (apiextensions.k8s.io/v1) that has a schema.

    Raises InputError for anything else, and for schemas that an API server refuses: with `$ref`, too deep, too large.
    """
    try:
        spec = msgspec.convert(crd, _Crd).spec
    except (msgspec.ValidationError, RecursionError) as error:
        raise InputError(f"is not a CustomResourceDefinition of apiextensions.k8s.io/v1: {error}") from error
    if not (_DNS.fullmatch(spec.group) and len(spec.group) <= 253 and _KIND.fullmatch(spec.names.kind)):
        raise InputError(
            f"its group {spec.group[:60]!r} or kind {spec.names.kind[:60]!r} is not a valid Kubernetes name"
        )
    kinds = []
    for version in spec.versions:
        if not _VERSION.fullmatch(version.name):
            raise InputError(f"its version {version.name[:60]!r} is not a valid Kubernetes name")
        if version.schema is not None:
            kinds.append(_read_kind(spec, version.name, version.schema.root))
    return kinds


def _read_kind(spec: _Spec, version: str, raw: dict[str, object]) -> Kind:
    converter = Converter()
    whole = converter.convert(raw)
    fields = dict(as_mapping(whole.get("properties")))
    api_version, kind = f"{spec.group}/{version}", spec.names.kind
    fields |= {
        "apiVersion": {"const": api_version},
        "kind": {"const": kind},
        "metadata": make_object_meta(spec.group, kind),
    }
    if "status" in fields:
        fields["status"] = {"type": "object"}  # the controller writes it; it is not in Git
    required = {"apiVersion", "kind", "metadata"} | {str(name) for name in as_list(whole.get("required"))}
    schema = whole | {"type": "object", "properties": dict(sorted(fields.items())), "required": sorted(required)}
    schema.pop("default", None)
    if not raw.get("x-kubernetes-preserve-unknown-fields"):
        schema["additionalProperties"] = False
    return Kind(group=spec.group, version=version, kind=kind, schema=schema, left_out=tuple(converter.left_out))
