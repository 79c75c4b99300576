"""Find and compile the schema of an object, and check the object against it.

`schemas/<group>.json` has the kinds of an API group, `schemas/serving.kserve.io/<minor>.json` those of one KServe
version (all derived, see schemas/derive); `x-kinds` in a file maps `<apiVersion> <kind>` to a name in `$defs`.
Schemas of the user's repository win (`repository_schemas`). All other kinds are Kubernetes' own.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from m2g.core import resources, schema_errors
from m2g.core.errors import InputError
from m2g.core.field_path import FieldPath
from m2g.core.sanitize import make_visible
from m2g.core.schema_errors import Violation
from m2g.validation.schemas import crd_rules
from m2g.validation.schemas.crd_rules import CelRule
from m2g.validation.schemas.kubernetes import KUBERNETES, Kubernetes
from m2g.validation.schemas.repository_schemas import RepositorySchemas

if TYPE_CHECKING:
    import jsonschema_rs

KSERVE_GROUP = "serving.kserve.io"

_DRAFT = "https://json-schema.org/draft/2020-12/schema"
_GROUP = re.compile(r"(?=.{3,200}\Z)[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)+")
"""An API group that may have a file: a longer name is no file, and asking for it is an error of the system."""
_MOST = 200
"""Characters of an API version or kind in a message."""


class _File(msgspec.Struct, frozen=True, kw_only=True):
    kinds: dict[str, str] = msgspec.field(name="x-kinds", default_factory=dict)
    defs: dict[str, dict[str, object]] = msgspec.field(name="$defs")


class _Compiled(msgspec.Struct, frozen=True, kw_only=True):
    schema: dict[str, object]
    validator: jsonschema_rs.Draft202012Validator
    structural: bool
    """Whether it has CRD rules that JSON Schema cannot express."""


class Catalogue:
    """Schemas by API version and kind, each read and compiled at its first use."""

    def __init__(
        self, folder: Path | None = None, *, kubernetes: str = KUBERNETES, repository: RepositorySchemas | None = None
    ) -> None:
        """`folder` has the schema files (default: those of m2g); `kubernetes` is a minor version such as `1.37`.

        A kind in `repository` has that schema for every KServe version.

        Raises InputError for a Kubernetes version without schemas.
        """
        self._folder = folder or resources.find_root() / "schemas"
        self._kubernetes = Kubernetes(kubernetes)
        self._repository = repository or RepositorySchemas()
        stems = (path.stem for path in (self._folder / KSERVE_GROUP).glob("*.json"))
        self._versions = tuple(sorted(stems, key=lambda stem: [int(part) for part in stem.split(".")]))
        self._files: dict[Path, _File] = {}
        self._compiled: dict[tuple[str, str, str], _Compiled | None] = {}

    def list_kserve_versions(self) -> tuple[str, ...]:
        """The KServe minor versions with schemas, oldest first."""
        return self._versions

    def list_kinds(self) -> list[tuple[str, str, str]]:
        """(`<apiVersion> <kind>`, KServe version or empty, file) of every kind except Kubernetes' own, m2g's first."""
        kinds = [
            (name, path.stem if path.parent.name == KSERVE_GROUP else "", path.relative_to(self._folder).as_posix())
            for path in sorted([*self._folder.glob("*.*.json"), *self._folder.glob(f"{KSERVE_GROUP}/*.json")])
            for name in self._read(path).kinds
        ]
        return sorted(kinds) + [(name, "", file) for name, file in sorted(self._repository.files.items())]

    def get_schema(self, api_version: str, kind: str, kserve: str) -> dict[str, object] | None:
        """The complete JSON Schema of a kind; None if there is none. Raises InputError as `has_schema` does."""
        schema = self._find(api_version, kind, self._minor(kserve))
        return None if schema is None else {"$schema": _DRAFT, **schema}

    def list_api_versions(self, kind: str, kserve: str) -> list[str]:
        """The API versions in which a kind has a schema, sorted. Raises InputError as `has_schema` does."""
        minor = self._minor(kserve)
        mine = {
            name.split()[0]
            for name, version, _ in self.list_kinds()
            if name.endswith(f" {kind}") and version in ("", minor)
        }
        return sorted(mine.union(self._kubernetes.list_api_versions(kind)))

    def has_schema(self, api_version: str, kind: str, kserve: str) -> bool:
        """Whether there is a schema. Raises InputError for a KServe version without schemas."""
        return self._find(api_version, kind, self._minor(kserve)) is not None

    def find_violations(self, obj: Mapping[str, object], *, kserve: str) -> list[Violation]:
        """The violations of one Kubernetes object, sorted; empty if it is valid.

        `kserve` is the version in the cluster (`0.21` or `0.21.0`). A kind without a schema is a violation.
        Raises InputError for a KServe version without schemas.
        """
        minor = self._minor(kserve)
        api_version, kind = obj.get("apiVersion"), obj.get("kind")
        if not isinstance(api_version, str) or not isinstance(kind, str):
            path = "kind" if isinstance(api_version, str) else "apiVersion"
            return [Violation(where=(path,), message="is missing or not a string", hint=f"set {path}")]
        compiled = self._compile(api_version, kind, minor)
        if compiled is None:
            return [self._unknown(api_version, kind, minor)]

        def find_elsewhere(pointer: FieldPath, field: str) -> str:
            return self._find_other_version(api_version, minor, pointer, field)

        try:
            errors = list(compiled.validator.iter_errors(dict(obj)))
        except (TypeError, ValueError) as error:
            hint = "put every key, date and time in quotes"
            return [Violation(where=(), message=f"cannot be converted to JSON: {error}", hint=hint)]
        violations = {
            violation
            for error in errors
            for violation in schema_errors.explain_error(error, compiled.schema, find_elsewhere)
        }
        if compiled.structural and not violations:
            violations = set(crd_rules.examine(compiled.schema, obj).violations)
        return schema_errors.sort_violations(map(_hide_value, violations) if kind == "Secret" else violations)

    def find_cel_rules(self, obj: Mapping[str, object], *, kserve: str) -> tuple[CelRule, ...]:
        """The CEL rules of the CRD for an object without violations; the caller evaluates them."""
        compiled = self._compile(str(obj.get("apiVersion")), str(obj.get("kind")), self._minor(kserve))
        if compiled is None or not compiled.structural:
            return ()
        return crd_rules.examine(compiled.schema, obj).cel_rules

    def _compile(self, api_version: str, kind: str, minor: str) -> _Compiled | None:
        key = (api_version, kind, minor)
        if key not in self._compiled:
            schema = self._find(api_version, kind, minor)
            self._compiled[key] = None if schema is None else _compile_schema(schema)
        return self._compiled[key]

    def _find(self, api_version: str, kind: str, minor: str) -> dict[str, object] | None:
        schema = self._repository.schemas.get(f"{api_version} {kind}")
        if schema is not None:
            return schema
        group = api_version.rpartition("/")[0]
        file = self._file(group, minor)
        if file is None:
            schema = self._kubernetes.get_schema(api_version, kind)
            return None if schema is None else {**schema, "$defs": {**self._common(), **_defs(schema)}}
        name = file.kinds.get(f"{api_version} {kind}")
        return None if name is None else {"$ref": f"#/$defs/{name}", "$defs": file.defs}

    def _file(self, group: str, minor: str) -> _File | None:
        if not _GROUP.fullmatch(group):
            return None
        path = self._folder / (f"{group}/{minor}.json" if group == KSERVE_GROUP else f"{group}.json")
        return self._read(path) if path.is_file() else None

    def _read(self, path: Path) -> _File:
        if path not in self._files:
            self._files[path] = msgspec.json.decode(path.read_bytes(), type=_File)
        return self._files[path]

    def _common(self) -> dict[str, dict[str, object]]:
        defs = dict(self._read(self._folder / "common.json").defs)
        return defs | {"Quantity": {**defs["Quantity"], "type": ["string", "number", "null"]}}

    def _minor(self, kserve: str) -> str:
        match = re.fullmatch(r"v?(\d+\.\d+)(\.\d+.*)?", kserve)
        if match is None or match[1] not in self.list_kserve_versions():
            known = ", ".join(self.list_kserve_versions())
            raise InputError(f"m2g has no schemas for KServe {kserve!r}", hint=f"use one of: {known}")
        return match[1]

    def _find_other_version(self, api_version: str, minor: str, pointer: FieldPath, field: str) -> str:
        """The first KServe version where the same type has this field."""
        if not api_version.startswith(f"{KSERVE_GROUP}/"):
            return ""
        for version in self.list_kserve_versions():
            file = self._file(KSERVE_GROUP, version)
            if file and version != minor and len(pointer) == 2 and pointer[0] == "$defs":
                properties = file.defs.get(str(pointer[1]), {}).get("properties")
                if isinstance(properties, dict) and field in properties:
                    return f"KServe {version}"
        return ""

    def _unknown(self, api_version: str, kind: str, minor: str) -> Violation:
        wanted, group = f"{api_version} {kind}", api_version.rpartition("/")[0]
        message = f"m2g has no schema for {make_visible(wanted, _MOST)}, so its fields were not checked"
        for version in self.list_kserve_versions() if group == KSERVE_GROUP else ():
            file = self._file(group, version)
            if file and wanted in file.kinds:
                return Violation(
                    where=("kind",), message=message, hint=f"KServe {version} has this kind, KServe {minor} does not"
                )
        groups = [path.stem for path in sorted(self._folder.glob("*.*.json"))]
        files = [self._file(name, minor) for name in (KSERVE_GROUP, *groups)]
        known = [name for file in files if file for name in file.kinds]
        same = [name for name in known if name.endswith(f" {kind}")]
        same += [f"{other} {kind}" for other in self._kubernetes.list_api_versions(kind)]
        wanted = wanted[:_MOST]
        near = schema_errors.suggest(wanted, same) or next(iter(same), "") or schema_errors.suggest(wanted, known)
        hint = f"did you mean {near}?" if near else "import the CRD: `m2g schemas import FILE`"
        return Violation(where=("kind",), message=message, hint=hint)


def _hide_value(violation: Violation) -> Violation:
    """The violation in a Secret without the value: reports are public in CI logs and pull requests."""
    if not re.match(r"(data|stringData)\b", violation.path):
        return violation
    hint = "set each key to one string, with quotes around a number (the value is hidden)"
    return Violation(where=violation.where, message="is not valid in a Secret", hint=hint)


def _compile_schema(schema: dict[str, object]) -> _Compiled:
    import jsonschema_rs  # 20 ms that a run without checks does not need

    whole = {"$schema": _DRAFT, **schema}
    validator = jsonschema_rs.Draft202012Validator(
        whole, offline=True, validate_formats=True, pattern_options=jsonschema_rs.RegexOptions()
    )
    marks = (b'"x-kubernetes-validations"', b'"x-kubernetes-list-type"')
    text = msgspec.json.encode(schema)
    return _Compiled(schema=whole, validator=validator, structural=any(mark in text for mark in marks))


def _defs(schema: dict[str, object]) -> dict[str, object]:
    defs = schema.get("$defs")
    return defs if isinstance(defs, dict) else {}
