"""Schema files in a GitOps repository, `schemas/<group>/<kind>_<version>.json`: they win over those of m2g.

`m2g schemas import` writes them. They are untrusted input, like any other file of a repository.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

import msgspec

from m2g.core import resources, safe_files
from m2g.core.errors import M2gError
from m2g.core.finding import Finding
from m2g.repository import shared_files
from m2g.validation.schemas import dedupe
from m2g.validation.schemas.crd import Kind
from m2g.validation.schemas.kubernetes import Json

FOLDER = "schemas"
MAX_BYTES = 4 << 20
_NAME = re.compile(r"([a-z0-9.-]{1,253}/)[a-z][a-z0-9-]{0,62} [A-Za-z][A-Za-z0-9]{0,62}")
_HINT = "import the CRD again: `m2g schemas import FILE`"


class Source(msgspec.Struct, frozen=True, kw_only=True):
    """The source of a schema."""

    name: str = ""
    sha256: str = ""
    left_out: tuple[str, ...] = msgspec.field(name="leftOut", default=())


class RepositorySchemas(msgspec.Struct, frozen=True, kw_only=True):
    """By `<apiVersion> <kind>`: the schema with `$defs`, the file and its source."""

    schemas: dict[str, Json] = {}
    files: dict[str, str] = {}
    sources: dict[str, Source] = {}
    findings: tuple[Finding, ...] = ()


class _File(msgspec.Struct, frozen=True, kw_only=True):
    kinds: dict[str, str] = msgspec.field(name="x-kinds")
    source: Source = msgspec.field(name="x-source", default_factory=Source)
    defs: dict[str, dict[str, object]] = msgspec.field(name="$defs")


class _Common(msgspec.Struct, frozen=True, kw_only=True):
    defs: dict[str, dict[str, object]] = msgspec.field(name="$defs")


def read(root: Path) -> RepositorySchemas:
    """All schema files of the repository, and a finding for each invalid one."""
    schemas: dict[str, Json] = {}
    files: dict[str, str] = {}
    sources: dict[str, Source] = {}
    findings: list[Finding] = []
    for path in shared_files.find_schema_files(root):
        name = path.relative_to(root).as_posix()
        try:
            content = safe_files.read(root, name)
            file = _decode(content)
        except (M2gError, FileNotFoundError, ValueError, RecursionError) as error:
            message = f"is not a schema that m2g can use: {getattr(error, 'message', error)}"
            findings.append(Finding(rule="schema-invalid", file=name, message=message[:500], hint=_HINT))
            continue
        for kind, definition in file.kinds.items():
            schemas[kind] = {"$ref": f"#/$defs/{definition}", "$defs": file.defs}
            files[kind], sources[kind] = name, file.source
    return RepositorySchemas(schemas=schemas, files=files, sources=sources, findings=tuple(findings))


def render_file(kind: Kind, source: str, sha256: str) -> tuple[str, bytes]:
    """The path and content of the file of one kind; the same CRD gives the same bytes."""
    name = f"{kind.version}.{kind.kind}"
    common = msgspec.json.decode((resources.find_root() / "schemas/common.json").read_bytes(), type=_Common).defs
    defs = dedupe.share_parts({name: kind.schema}, taken=common)
    used = _find_used(defs, common)
    content = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$comment": "Written by `m2g schemas import`. To update it, import the CRD again.",
        "x-kinds": {kind.name: name},
        "x-source": Source(name=source, sha256=sha256, left_out=format_left_out(kind)),
        "$defs": dict(sorted((used | defs).items())),
    }
    path = f"{FOLDER}/{kind.group}/{kind.kind.lower()}_{kind.version}.json"
    return path, msgspec.json.format(msgspec.json.encode(content), indent=1) + b"\n"


def format_left_out(kind: Kind) -> tuple[str, ...]:
    """What the schema of a kind does not check, as text."""
    return tuple(f"{part.path}: {part.message}" for part in kind.left_out)


def _find_used(defs: Mapping[str, Json], common: Mapping[str, Json]) -> dict[str, Json]:
    """The common definitions that `defs` refer to, directly or through one another."""
    used: dict[str, Json] = {}
    waiting: list[Json] = list(defs.values())
    while waiting:
        names = _references(waiting.pop()) & set(common) - set(used)
        used |= {name: common[name] for name in names}
        waiting += [common[name] for name in names]
    return used


def _decode(content: bytes) -> _File:
    """Raises ValueError for an invalid schema file, or one with references to other files."""
    if len(content) > MAX_BYTES:
        raise ValueError(f"it is larger than {MAX_BYTES >> 20} MiB")
    file = msgspec.json.decode(content, type=_File)
    for kind, definition in file.kinds.items():
        if not _NAME.fullmatch(kind):
            raise ValueError(f"x-kinds has {kind[:80]!r}, which is not an API version and a kind")
        if definition not in file.defs:
            raise ValueError(f"x-kinds names the missing definition {definition[:80]!r}")
    missing = sorted(_references(file.defs) - set(file.defs))
    if missing:
        raise ValueError(f"a $ref names {missing[0][:80]!r}, which is not a definition of this file")
    import jsonschema_rs

    for definition in file.kinds.values():
        whole = {"$ref": f"#/$defs/{definition}", "$defs": file.defs}
        jsonschema_rs.Draft202012Validator(
            whole, offline=True, pattern_options=jsonschema_rs.RegexOptions(size_limit=1 << 20)
        )
    return file


def _references(schema: object) -> set[str]:
    found: set[str] = set()
    waiting: list[object] = [schema]
    while waiting:
        part = waiting.pop()
        if isinstance(part, Mapping):
            reference = part.get("$ref")
            if isinstance(reference, str):
                found.add(reference.removeprefix("#/$defs/"))
            waiting.extend(part.values())
        elif isinstance(part, list):
            waiting.extend(part)
    return found
