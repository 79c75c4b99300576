"""Schema files in a GitOps repository, `schemas/<group>/<kind>_<version>.json`: they come before those of m2g.

`m2g schemas import` writes them; they are read as anything else that a repository holds, as if a stranger had.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path

import msgspec

from m2g.core import resources, safe_files
from m2g.core.errors import InputError, M2gError, OutsideError
from m2g.core.finding import Finding
from m2g.repository import shared_files
from m2g.validation.schemas import dedupe
from m2g.validation.schemas.crd import Kind
from m2g.validation.schemas.kubernetes import Json

FOLDER = "schemas"
MAX_BYTES = 4 << 20
_NAME = re.compile(r"([a-z0-9.-]{1,253}/)[a-z][a-z0-9-]{0,62} [A-Za-z][A-Za-z0-9]{0,62}")
_HINT = "import the CRD again: m2g schemas import FILE"


class Source(msgspec.Struct, frozen=True, kw_only=True):
    """What a schema was made from."""

    name: str = ""
    sha256: str = ""
    left_out: tuple[str, ...] = msgspec.field(name="leftOut", default=())


class Own(msgspec.Struct, frozen=True, kw_only=True):
    """`<apiVersion> <kind>` to its schema with `$defs`, and to the file and what that was made from."""

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


def read(root: Path) -> Own:
    """All schema files of the repository, and a finding for each that cannot be used."""
    schemas: dict[str, Json] = {}
    places: dict[str, str] = {}
    sources: dict[str, Source] = {}
    findings: list[Finding] = []
    for path in shared_files.find_schema_files(root):
        name = path.relative_to(root).as_posix()
        try:
            content = safe_files.read(root, name)
            file = _decoded(content)
        except (M2gError, FileNotFoundError, ValueError, RecursionError) as error:
            message = f"is no schema that m2g can use: {getattr(error, 'message', error)}"
            findings.append(Finding(rule="schema-invalid", file=name, message=message[:500], hint=_HINT))
            continue
        for kind, definition in file.kinds.items():
            schemas[kind] = {"$ref": f"#/$defs/{definition}", "$defs": file.defs}
            places[kind], sources[kind] = name, file.source
    return Own(schemas=schemas, files=places, sources=sources, findings=tuple(findings))


def written(kind: Kind, source: str, sha256: str) -> tuple[str, bytes]:
    """Path and content of the file of one kind; the same CRD gives the same bytes."""
    name = f"{kind.version}.{kind.kind}"
    common = msgspec.json.decode((resources.find_root() / "schemas/common.json").read_bytes(), type=_Common).defs
    defs = dedupe.shared({name: kind.schema}, taken=common)
    used = _used(defs, common)
    content = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$comment": "Made by `m2g schemas import`; import the CRD again to renew it.",
        "x-kinds": {kind.name: name},
        "x-source": Source(name=source, sha256=sha256, left_out=tuple(_said(kind))),
        "$defs": dict(sorted((used | defs).items())),
    }
    path = f"{FOLDER}/{kind.group}/{kind.kind.lower()}_{kind.version}.json"
    return path, msgspec.json.format(msgspec.json.encode(content), indent=1) + b"\n"


def save(root: Path, path: str, content: bytes) -> None:
    """Write one schema file whole or not at all.

    Raises InputError where a symbolic link leads out of the repository, OutsideError where it cannot be written.
    """
    target = root / path
    if not target.parent.resolve().is_relative_to((root / FOLDER).resolve()) or (root / FOLDER).is_symlink():
        raise InputError(f"{path} leads through a symbolic link; m2g writes through none", hint="put a folder there")
    draft = target.with_name(f".{target.name}.m2g")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        draft.unlink(missing_ok=True)
        draft.write_bytes(content)
        os.replace(draft, target)
    except OSError as error:
        raise OutsideError(f"{path} cannot be written: {error.strerror}") from error


def _said(kind: Kind) -> Iterator[str]:
    return (f"{problem.path}: {problem.message}" for problem in kind.left_out)


def _used(defs: Mapping[str, Json], common: Mapping[str, Json]) -> dict[str, Json]:
    """Those common definitions that are referred to, also by one another."""
    found: dict[str, Json] = {}
    waiting: list[Json] = list(defs.values())
    while waiting:
        names = _references(waiting.pop()) & set(common) - set(found)
        found |= {name: common[name] for name in names}
        waiting += [common[name] for name in names]
    return found


def _decoded(content: bytes) -> _File:
    """Raises ValueError for what is no schema file, or one that leads elsewhere."""
    if len(content) > MAX_BYTES:
        raise ValueError(f"it is larger than {MAX_BYTES >> 20} MiB")
    file = msgspec.json.decode(content, type=_File)
    for kind, definition in file.kinds.items():
        if not _NAME.fullmatch(kind):
            raise ValueError(f"x-kinds names {kind[:80]!r}, which is no API version and kind")
        if definition not in file.defs:
            raise ValueError(f"x-kinds names the definition {definition[:80]!r}, which is not there")
    missing = sorted(_references(file.defs) - set(file.defs))
    if missing:
        raise ValueError(f"a $ref leads to {missing[0][:80]!r}, which is no definition of this file")
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
