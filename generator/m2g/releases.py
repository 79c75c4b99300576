"""Release records on disk: models/<slug>/releases/<environment>.json."""

from __future__ import annotations

from pathlib import Path

import msgspec

from m2g import files
from m2g.errors import M2gError
from m2g.finding import Finding
from m2g.model import Release
from m2g.tree import Mark, body, mark

_DECODER = msgspec.json.Decoder(Release)
_HINTS = {
    Mark.CONFLICTED: "take either side (git checkout --ours PATH), then run `m2g render`: it writes the right one",
    Mark.EDITED: "records are m2g's; undo the edit (git checkout PATH) and pin the version in model.yaml instead",
    Mark.FOREIGN: "remove the file, or restore it from Git: it does not carry m2g's mark",
}


def read_all(root: Path) -> tuple[dict[tuple[str, str], Release], list[Finding]]:
    """(slug, environment) to record, sorted, and a finding for each file that is no record as m2g wrote it."""
    records: dict[tuple[str, str], Release] = {}
    findings: list[Finding] = []
    for path in sorted(root.glob("models/*/releases/*.json")):
        file = path.relative_to(root).as_posix()
        slug, environment = path.parts[-3], path.stem
        found = _read(root, file, environment)
        if isinstance(found, Finding):
            findings.append(found)
        else:
            records[slug, environment] = found
    return records, findings


def decode(content: bytes) -> Release:
    """A record from its bytes. Raises msgspec.DecodeError or ValidationError for anything else."""
    return _DECODER.decode(body(content))


def _read(root: Path, file: str, environment: str) -> Release | Finding:
    try:
        content = files.read(root, file)
    except (M2gError, FileNotFoundError) as error:
        message = error.message if isinstance(error, M2gError) else "is a link to nothing"
        return Finding(rule="record-unreadable", file=file, message=message, hint="restore it: git checkout PATH")
    state = mark(content)
    if state is not Mark.OURS:
        return Finding(rule=f"record-{state}", file=file, message=f"the record is {state}", hint=_HINTS[state])
    try:
        release = decode(content)
    except (msgspec.DecodeError, RecursionError) as error:
        hint = "a newer m2g may have written it: update m2g, or run `m2g render`"
        return Finding(rule="record-invalid", file=file, message=f"not a release record: {error}", hint=hint)
    if release.environment != environment:
        message = f"is the record of {release.environment!r}, not of {environment!r}"
        return Finding(rule="record-misplaced", file=file, message=message, hint="run `git checkout` on the file")
    return release
