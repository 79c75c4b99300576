"""Which schema an object has, compiled once, and what the object breaks in it.

`schemas/<group>.json` holds the kinds of an API group, `schemas/serving.kserve.io/<minor>.json` those of one KServe
version (all derived, see schemas/derive); `x-kinds` in a file maps `<apiVersion> <kind>` to a name under `$defs`.
Schemas of the user's own repository come first (`repository_schemas`). Everything else is Kubernetes' own.
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
from m2g.core.schema_errors import Violation
from m2g.validation.schemas import crd_rules
from m2g.validation.schemas.crd_rules import Demand
from m2g.validation.schemas.kubernetes import KUBERNETES, Kubernetes
from m2g.validation.schemas.repository_schemas import Own

if TYPE_CHECKING:
    import jsonschema_rs

KSERVE_GROUP = "serving.kserve.io"

_DRAFT = "https://json-schema.org/draft/2020-12/schema"
_GROUP = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)+")


class _File(msgspec.Struct, frozen=True, kw_only=True):
    kinds: dict[str, str] = msgspec.field(name="x-kinds", default_factory=dict)
    defs: dict[str, dict[str, object]] = msgspec.field(name="$defs")


class _Compiled(msgspec.Struct, frozen=True, kw_only=True):
    schema: dict[str, object]
    validator: jsonschema_rs.Draft202012Validator
    structural: bool
    """Whether it has rules that JSON Schema has no word for."""


class Catalogue:
    """Schemas by API version and kind. Nothing is read or compiled before it is asked for, and nothing twice."""

    def __init__(self, folder: Path | None = None, *, kubernetes: str = KUBERNETES, own: Own | None = None) -> None:
        """`folder` holds the schema files, ours by default; `kubernetes` is a minor version such as `1.37`.

        A kind in `own` has that schema, whatever KServe version is asked for.

        Raises InputError for a Kubernetes version without schemas.
        """
        self._folder = folder or resources.find_root() / "schemas"
        self._kubernetes = Kubernetes(kubernetes)
        self._own = own or Own()
        stems = (path.stem for path in (self._folder / KSERVE_GROUP).glob("*.json"))
        self._versions = tuple(sorted(stems, key=lambda stem: [int(part) for part in stem.split(".")]))
        self._files: dict[Path, _File] = {}
        self._compiled: dict[tuple[str, str, str], _Compiled | None] = {}

    def kserve_versions(self) -> tuple[str, ...]:
        """The KServe minor versions with schemas, oldest first."""
        return self._versions

    def kinds(self) -> list[tuple[str, str, str]]:
        """(`<apiVersion> <kind>`, KServe version or empty, file) of every kind but Kubernetes' own, ours first."""
        found = [
            (name, path.stem if path.parent.name == KSERVE_GROUP else "", path.relative_to(self._folder).as_posix())
            for path in sorted([*self._folder.glob("*.*.json"), *self._folder.glob(f"{KSERVE_GROUP}/*.json")])
            for name in self._read(path).kinds
        ]
        return sorted(found) + [(name, "", file) for name, file in sorted(self._own.files.items())]

    def schema(self, api_version: str, kind: str, kserve: str) -> dict[str, object] | None:
        """The JSON Schema of a kind, whole; None for what has none. Raises InputError as `knows` does."""
        found = self._find(api_version, kind, self._minor(kserve))
        return None if found is None else {"$schema": _DRAFT, **found}

    def api_versions(self, kind: str, kserve: str) -> list[str]:
        """The API versions in which a kind has a schema, sorted. Raises InputError as `knows` does."""
        minor = self._minor(kserve)
        mine = {
            name.split()[0] for name, version, _ in self.kinds() if name.endswith(f" {kind}") and version in ("", minor)
        }
        return sorted(mine.union(self._kubernetes.api_versions(kind)))

    def knows(self, api_version: str, kind: str, kserve: str) -> bool:
        """Whether there is a schema. Raises InputError for a KServe version without schemas."""
        return self._find(api_version, kind, self._minor(kserve)) is not None

    def violations(self, obj: Mapping[str, object], *, kserve: str) -> list[Violation]:
        """All that is wrong with one Kubernetes object, sorted; an empty list when it is right.

        `kserve` is the version in the cluster (`0.21` or `0.21.0`). A kind without a schema is one violation.
        Raises InputError for a KServe version without schemas.
        """
        minor = self._minor(kserve)
        api_version, kind = obj.get("apiVersion"), obj.get("kind")
        if not isinstance(api_version, str) or not isinstance(kind, str):
            path = "kind" if isinstance(api_version, str) else "apiVersion"
            return [Violation(where=(path,), message="is missing or not text", hint="say what kind of object this is")]
        compiled = self._compile(api_version, kind, minor)
        if compiled is None:
            return [self._unknown(api_version, kind, minor)]

        def elsewhere(pointer: FieldPath, field: str) -> str:
            return self._other_version(api_version, minor, pointer, field)

        try:
            errors = list(compiled.validator.iter_errors(dict(obj)))
        except (TypeError, ValueError) as error:
            hint = "quote every key, and every date or time"
            return [Violation(where=(), message=f"cannot be written as JSON: {error}", hint=hint)]
        found = {one for error in errors for one in schema_errors.explain_error(error, compiled.schema, elsewhere)}
        if compiled.structural and not found:
            found = set(crd_rules.examine(compiled.schema, obj).violations)
        return schema_errors.sort_violations((_unsaid(one) for one in found) if kind == "Secret" else found)

    def demands(self, obj: Mapping[str, object], *, kserve: str) -> tuple[Demand, ...]:
        """The CEL rules for an object that has no violation, to be asked by whoever has CEL at hand."""
        compiled = self._compile(str(obj.get("apiVersion")), str(obj.get("kind")), self._minor(kserve))
        if compiled is None or not compiled.structural:
            return ()
        return crd_rules.examine(compiled.schema, obj).demands

    def _compile(self, api_version: str, kind: str, minor: str) -> _Compiled | None:
        key = (api_version, kind, minor)
        if key not in self._compiled:
            schema = self._find(api_version, kind, minor)
            self._compiled[key] = None if schema is None else _compiled(schema)
        return self._compiled[key]

    def _find(self, api_version: str, kind: str, minor: str) -> dict[str, object] | None:
        own = self._own.schemas.get(f"{api_version} {kind}")
        if own is not None:
            return own
        group = api_version.rpartition("/")[0]
        file = self._file(group, minor)
        if file is None:
            schema = self._kubernetes.schema(api_version, kind)
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
        found = re.fullmatch(r"v?(\d+\.\d+)(\.\d+.*)?", kserve)
        if found is None or found[1] not in self.kserve_versions():
            known = ", ".join(self.kserve_versions())
            raise InputError(f"there are no schemas of KServe {kserve!r}", hint=f"known are {known}")
        return found[1]

    def _other_version(self, api_version: str, minor: str, pointer: FieldPath, field: str) -> str:
        """The first KServe version where the same type has this field."""
        if not api_version.startswith(f"{KSERVE_GROUP}/"):
            return ""
        for version in self.kserve_versions():
            file = self._file(KSERVE_GROUP, version)
            if file and version != minor and len(pointer) == 2 and pointer[0] == "$defs":
                properties = file.defs.get(str(pointer[1]), {}).get("properties")
                if isinstance(properties, dict) and field in properties:
                    return f"KServe {version}"
        return ""

    def _unknown(self, api_version: str, kind: str, minor: str) -> Violation:
        wanted, group = f"{api_version} {kind}", api_version.rpartition("/")[0]
        message = f"no schema is known for {wanted}, so nothing in it was checked"
        for version in self.kserve_versions() if group == KSERVE_GROUP else ():
            file = self._file(group, version)
            if file and wanted in file.kinds:
                return Violation(
                    where=("kind",), message=message, hint=f"KServe {version} has this kind, {minor} has not"
                )
        groups = [path.stem for path in sorted(self._folder.glob("*.*.json"))]
        files = [self._file(name, minor) for name in (KSERVE_GROUP, *groups)]
        known = [name for file in files if file for name in file.kinds]
        same = [name for name in known if name.endswith(f" {kind}")]
        same += [f"{other} {kind}" for other in self._kubernetes.api_versions(kind)]
        near = schema_errors.suggest(wanted, same) or next(iter(same), "") or schema_errors.suggest(wanted, known)
        hint = f"did you mean {near}?" if near else "m2g schemas import adds the CRDs of your own cluster"
        return Violation(where=("kind",), message=message, hint=hint)


def _unsaid(found: Violation) -> Violation:
    """A violation in a Secret, without the value: reports are read in CI logs and pull requests."""
    if not re.match(r"(data|stringData)\b", found.path):
        return found
    hint = "each key needs one text, in quotes where it is a number; the value is not shown here"
    return Violation(where=found.where, message="is not what a Secret holds", hint=hint)


def _compiled(schema: dict[str, object]) -> _Compiled:
    import jsonschema_rs  # 20 ms that a run without checks need not pay

    whole = {"$schema": _DRAFT, **schema}
    validator = jsonschema_rs.Draft202012Validator(
        whole, offline=True, validate_formats=True, pattern_options=jsonschema_rs.RegexOptions()
    )
    marks = (b'"x-kubernetes-validations"', b'"x-kubernetes-list-type"')
    text = msgspec.json.encode(schema)
    return _Compiled(schema=whole, validator=validator, structural=any(mark in text for mark in marks))


def _defs(schema: dict[str, object]) -> dict[str, object]:
    found = schema.get("$defs")
    return found if isinstance(found, dict) else {}
