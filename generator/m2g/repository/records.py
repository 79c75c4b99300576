"""Release records on disk: models/<slug>/releases/<environment>.json."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import msgspec

from m2g.core import naming
from m2g.core.config_types import Config
from m2g.core.errors import M2gError
from m2g.core.finding import Finding
from m2g.core.model import Release
from m2g.core.stamp import StampState, check_stamp, strip_stamp
from m2g.repository import layout
from m2g.repository.layout import Key
from m2g.repository.model_folder import ModelFolder, list_slugs
from m2g.repository.model_folder import read_part as folder_of
from m2g.repository.selection import find_slug

_DECODER = msgspec.json.Decoder(Release)
_HINTS = {
    StampState.CONFLICTED: "take either side (git checkout --ours PATH), then run `m2g render`: it writes the rest",
    StampState.EDITED: "records are m2g's; undo the edit (git checkout PATH) and pin the version in model.yaml instead",
    StampState.FOREIGN: "remove the file, or restore it from Git: it does not carry m2g's mark",
}


def read_all(root: Path) -> tuple[dict[tuple[str, str], Release], list[Finding]]:
    """(slug, environment) to record, sorted, and a finding for each file that is no record as m2g wrote it."""
    records: dict[tuple[str, str], Release] = {}
    findings: list[Finding] = []
    for slug in list_slugs(root):
        found, wrong = read_records(root, folder_of(root, slug, layout.RELEASES))
        records |= {(slug, environment): release for environment, release in found.items()}
        findings += wrong
    return records, findings


def read_records(root: Path, folder: ModelFolder, *, sure: bool = False) -> tuple[dict[str, Release], list[Finding]]:
    """Environment to record of one model, sorted, and a finding for each file that is no record as m2g wrote it.

    `sure`: it is known that the files are m2g's own, unchanged.
    """
    if sure:
        return {
            layout.parse_record_path(file): decode(folder.files[file])
            for file in folder.list_files(layout.RELEASES, ".json")
        }, []
    records: dict[str, Release] = {}
    findings: list[Finding] = []
    for file in folder.list_files(layout.RELEASES, ".json"):
        environment = layout.parse_record_path(file)
        found = _read(root, folder, file, environment)
        if isinstance(found, Finding):
            findings.append(found)
        else:
            records[environment] = found
    return records, findings


def decode(content: bytes) -> Release:
    """A record from its bytes. Raises msgspec.DecodeError or ValidationError for anything else."""
    return _DECODER.decode(strip_stamp(content))


def _read(root: Path, folder: ModelFolder, file: str, environment: str) -> Release | Finding:
    try:
        content = folder.read(root, file)
    except (M2gError, FileNotFoundError) as error:
        message = error.message if isinstance(error, M2gError) else "is a link to nothing"
        return Finding(rule="record-unreadable", file=file, message=message, hint="restore it: git checkout PATH")
    state = check_stamp(content)
    if state is not StampState.OURS:
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


def find_misplaced(config: Config, records: Mapping[Key, Release]) -> list[Finding]:
    """A finding for each record that lies in another model's folder: it would be served under that name."""
    return [
        Finding(
            rule="record-misplaced",
            file=layout.release(slug, environment),
            model=record.model,
            environment=environment,
            message=f"is the record of {record.model!r}, which has the slug {find_slug(config, record.model)!r}",
            hint="remove it here; or, if the slug was changed: git mv the model's folder to the new one",
        )
        for (slug, environment), record in sorted(records.items())
        if slug not in (find_slug(config, record.model), naming.slugify(record.model))
    ]
