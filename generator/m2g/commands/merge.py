"""`m2g merge`: the reports of all parts of a fleet become one."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import msgspec

from m2g.errors import InputError
from m2g.finding import Checked, Finding, Report
from m2g.shard import Shard, parse

MAX_BYTES = 256 << 20
_HINT = "give the files of `m2g validate --shard I/N --output json FILE`, one of each part"


class _Summary(Checked, frozen=True, kw_only=True):
    errors: int = 0
    warnings: int = 0


class _Finding(Finding, frozen=True, kw_only=True, rename=None):
    """As the report prints it."""


class _Report(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    version: int
    shard: str
    built: tuple[str, ...]
    findings: tuple[_Finding, ...]
    summary: _Summary


def merge(files: Sequence[Path]) -> Report:
    """One report of all parts.

    Raises InputError where a part is missing or there twice, or a file is no report of a part.
    """
    parts: dict[Shard, _Report] = {}
    for file in files:
        found = _read(file)
        shard = parse(found.shard) if found.shard else Shard(index=1, count=1)
        if shard in parts:
            raise InputError(f"{file}: part {shard} is there twice", hint=_HINT)
        parts[shard] = found
    counts = {shard.count for shard in parts}
    if len(counts) != 1:
        raise InputError("the files are parts of different splits", hint=_HINT)
    (count,) = counts
    missing = sorted(set(range(1, count + 1)) - {shard.index for shard in parts})
    if missing:
        names = ", ".join(f"{index}/{count}" for index in missing[:20])
        raise InputError(f"part {names} is missing: nobody has looked at its models", hint=_HINT)
    reports = parts.values()
    findings = {
        msgspec.convert(msgspec.structs.asdict(finding), Finding) for report in reports for finding in report.findings
    }
    return Report(
        findings=tuple(sorted(findings)),
        checked=Checked(
            models=sum(report.summary.models for report in reports),
            overlays=sum(report.summary.overlays for report in reports),
            objects=sum(report.summary.objects for report in reports),
            files=sum(report.summary.files for report in reports),
            undecided=tuple(sorted({rule for report in reports for rule in report.summary.undecided})),
        ),
        built=tuple(sorted(folder for report in reports for folder in report.built)),
    )


def _read(file: Path) -> _Report:
    try:
        if file.stat().st_size > MAX_BYTES:
            raise InputError(f"{file} is larger than {MAX_BYTES >> 20} MiB", hint=_HINT)
        report = msgspec.json.decode(file.read_bytes(), type=_Report)
    except OSError as error:
        raise InputError(f"{file} cannot be read: {error.strerror}", hint=_HINT) from error
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise InputError(f"{file} is no report of m2g validate: {str(error)[:200]}", hint=_HINT) from error
    if report.version != 1:
        raise InputError(f"{file} is a report of version {report.version}, which this m2g does not know", hint=_HINT)
    return report
