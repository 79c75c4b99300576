"""`m2g merge`: the reports of all parts of a fleet become one."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, TypeAlias

import msgspec

from m2g.core.errors import InputError
from m2g.core.finding import Checked, Finding, Part, Report, Severity, Since
from m2g.core.shard import Shard, parse
from m2g.validation.base import REMOVALS, removals

MAX_BYTES = 256 << 20
_HINT = "give the files of `m2g validate --shard I/N --output json FILE`, one of each part"
_SAME = "let all jobs check out one commit, with the same m2g and the same options, and give each another --shard"

_Count: TypeAlias = Annotated[int, msgspec.Meta(ge=0)]
_Service: TypeAlias = Annotated[str, msgspec.Meta(pattern="^[^/]*/[^/]*/")]


class _Summary(Checked, frozen=True, kw_only=True):
    errors: _Count = 0
    warnings: _Count = 0
    models: _Count = 0
    overlays: _Count = 0
    objects: _Count = 0
    files: _Count = 0


class _Since(Since, frozen=True, kw_only=True, forbid_unknown_fields=True):
    allowed: _Count
    before: tuple[_Service, ...] = ()
    after: tuple[_Service, ...] = ()


class _Part(Part, frozen=True, kw_only=True, forbid_unknown_fields=True):
    unused: tuple[_Finding, ...] = ()
    since: _Since | None = None


class _Finding(Finding, frozen=True, kw_only=True, rename=None, forbid_unknown_fields=True):
    """As the report prints it."""


class _OfRender(msgspec.Struct, frozen=True):
    """What tells a report of `m2g render` from one of `m2g validate`."""

    releases: msgspec.Raw
    files: msgspec.Raw


class _Report(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    version: int
    shard: str
    part: _Part | None
    built: tuple[str, ...]
    findings: tuple[_Finding, ...]
    summary: _Summary


_Parts: TypeAlias = Mapping[Path, _Report]


def merge(files: Sequence[Path]) -> Report:
    """One report of all parts: what one run says of the whole fleet.

    Raises InputError where a part is missing or there twice, does not belong to the others, or is no report of a part.
    """
    parts = {file: _read(file) for file in files}
    _all_there([(file, _shard(file, parts[file])) for file in files])
    for file, report in parts.items():
        _sound(file, report)
    _alike(parts)
    reports = parts.values()
    said = {_finding(finding) for report in reports for finding in report.findings if finding.rule != REMOVALS}
    return Report(
        findings=tuple(sorted(said | _unused(reports) | _gone(reports))),
        checked=Checked(
            models=sum(report.summary.models for report in reports),
            overlays=sum(report.summary.overlays for report in reports),
            objects=sum(report.summary.objects for report in reports),
            files=sum(report.summary.files for report in reports),
            undecided=tuple(sorted({rule for report in reports for rule in report.summary.undecided})),
        ),
        built=tuple(
            sorted((folder for report in reports for folder in report.built), key=lambda path: path.split("/"))
        ),
    )


def _all_there(shards: Sequence[tuple[Path, Shard]]) -> None:
    seen: set[Shard] = set()
    for file, shard in shards:
        if shard in seen:
            raise InputError(f"{file}: part {shard} is there twice", hint=_HINT)
        seen.add(shard)
    counts = {shard.count for shard in seen}
    if len(counts) != 1:
        raise InputError("the files are parts of different splits", hint=_HINT)
    (count,) = counts
    missing = sorted(set(range(1, count + 1)) - {shard.index for shard in seen})
    if missing:
        names = ", ".join(f"{index}/{count}" for index in missing[:20])
        raise InputError(f"part {names} is missing: nobody has looked at its models", hint=_HINT)


def _alike(parts: _Parts) -> None:
    """Raises InputError where two parts are not about one fleet, or were not judged alike."""
    (first, one), *others = parts.items()
    for file, report in others:
        for what, this, other in zip(_ABOUT, _about(one), _about(report), strict=True):
            if this != other:
                raise InputError(f"{file} does not belong to {first}: they are of {what}", hint=_SAME)


_ABOUT = (
    "different versions of m2g",
    "different commits or files",
    "different --model",
    "different --env",
    "different --against",
    "different --allow-removals",
)


def _about(report: _Report) -> tuple[object, ...]:
    part = report.part
    if part is None:  # the only one, or _shard has refused it
        return (None,) * len(_ABOUT)
    base, allowed = (None, None) if part.since is None else (part.since.base, part.since.allowed)
    return part.m2g, part.tree, part.models, part.environments, base, allowed


def _unused(reports: Iterable[_Report]) -> set[Finding]:
    """What holds where every part says so."""
    parts = [{_finding(finding) for finding in report.part.unused} for report in reports if report.part is not None]
    return set.intersection(*parts) if parts else set()


def _gone(reports: Iterable[_Report]) -> set[Finding]:
    """What is wrong with the change to the fleet as a whole."""
    found = [report.part.since for report in reports if report.part is not None and report.part.since is not None]
    if not found:
        return {_finding(finding) for report in reports for finding in report.findings if finding.rule == REMOVALS}
    before = {service for since in found for service in since.before}
    after = {service for since in found for service in since.after}
    return set(removals(before - after, found[0].allowed))


def _finding(finding: Finding) -> Finding:
    return msgspec.convert(msgspec.structs.asdict(finding), Finding)


def _shard(file: Path, report: _Report) -> Shard:
    """Which part a report is of."""
    try:
        shard = parse(report.shard) if report.shard else Shard(index=1, count=1)
    except InputError as error:
        raise InputError(f"{file}: {error.message}", hint=_HINT) from error
    if report.shard and report.part is None:
        raise InputError(f"{file} does not say what it is a part of", hint=_HINT)
    return shard


def _sound(file: Path, report: _Report) -> None:
    """Raises InputError for a report that contradicts itself."""
    shard = _shard(file, report)
    keys = [folder.split("/") for folder in report.built]
    summary = report.summary
    if any(len(key) != 4 or (key[0], key[2]) != ("models", "overlays") or not shard.contains(key[1]) for key in keys):
        raise InputError(f"{file} tells of overlays that are not in part {shard}", hint=_HINT)
    told = summary.overlays, summary.models, summary.errors, summary.warnings
    counts = [sum(finding.severity is severity for finding in report.findings) for severity in Severity]
    if told != (len(keys), len({key[1] for key in keys}), *counts):
        raise InputError(f"{file} counts what it does not tell", hint=_HINT)


def _read(file: Path) -> _Report:
    try:
        if file.stat().st_size > MAX_BYTES:
            raise InputError(f"{file} is larger than {MAX_BYTES >> 20} MiB", hint=_HINT)
        content = file.read_bytes()
        _refuse_render(file, content)
        report = msgspec.json.decode(content, type=_Report)
    except OSError as error:
        raise InputError(f"{file} cannot be read: {error.strerror}", hint=_HINT) from error
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise InputError(f"{file} is no report of m2g validate: {str(error)[:200]}", hint=_HINT) from error
    if report.version != 1:
        raise InputError(f"{file} is a report of version {report.version}, which this m2g does not know", hint=_HINT)
    return report


def _refuse_render(file: Path, content: bytes) -> None:
    try:
        msgspec.json.decode(content, type=_OfRender)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return
    hint = "the parts of a render are files of different models: commit them together; docs/how-to/large-fleets.md"
    raise InputError(f"{file} is a report of m2g render, and only those of m2g validate are merged", hint=hint)
