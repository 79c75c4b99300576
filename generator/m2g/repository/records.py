"""Read release records: models/<slug>/releases/<environment>.json."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping
from pathlib import Path

import msgspec

from m2g.core.config_types import Config
from m2g.core.errors import M2gError, restore_command
from m2g.core.finding import Finding
from m2g.core.model import Release
from m2g.core.stamp import StampState, check_stamp, strip_stamp
from m2g.repository import layout
from m2g.repository.layout import Key
from m2g.repository.model_folder import ModelFolder, list_slugs, read_part
from m2g.repository.selection import find_slug, hold_slugs, is_of_environment, is_slug_of_record

_DECODER = msgspec.json.Decoder(Release)


def read_all(root: Path) -> tuple[dict[Key, Release], list[Finding]]:
    """The records of all models, sorted, and a finding for each file that is not a record as m2g wrote it."""
    records: dict[Key, Release] = {}
    findings: list[Finding] = []
    for slug in list_slugs(root):
        releases, new_findings = read_records(root, read_part(root, slug, layout.RELEASES))
        records |= {(slug, environment): release for environment, release in releases.items()}
        findings += new_findings
    return records, findings


def read_records(root: Path, folder: ModelFolder, *, trusted: bool = False) -> tuple[dict[str, Release], list[Finding]]:
    """The records of one model by environment, sorted, and a finding for each file that is not as m2g wrote it.

    With `trusted`, the files are known to be as m2g wrote them, and are not checked.
    """
    if trusted:
        return {
            layout.parse_record_path(file): decode(folder.files[file])
            for file in folder.list_files(layout.RELEASES, ".json")
        }, []
    records: dict[str, Release] = {}
    findings: list[Finding] = []
    for file in folder.list_files(layout.RELEASES, ".json"):
        environment = layout.parse_record_path(file)
        result = _read(root, folder, file, environment)
        if isinstance(result, Finding):
            findings.append(result)
        else:
            records[environment] = result
    return records, findings


def decode(content: bytes) -> Release:
    """Decode a record. Raises msgspec.DecodeError or msgspec.ValidationError."""
    return _DECODER.decode(strip_stamp(content))


def _read(root: Path, folder: ModelFolder, file: str, environment: str) -> Release | Finding:
    try:
        content = folder.read(root, file)
    except (M2gError, FileNotFoundError) as error:
        message = error.message.removeprefix(f"{file} ") if isinstance(error, M2gError) else "is a broken symlink"
        return Finding(
            rule="record-unreadable", file=file, message=message, hint=f"restore it: {restore_command(file)}"
        )
    state = check_stamp(content)
    if state is not StampState.OURS:
        message, hint = _explain(state, file, folder.slug)
        return Finding(rule=f"record-{state}", file=file, message=message, hint=hint)
    try:
        release = decode(content)
    except (msgspec.DecodeError, RecursionError) as error:
        hint = f"update m2g if a newer version wrote the record, or restore it: {restore_command(file)}"
        return Finding(rule="record-invalid", file=file, message=f"is not a release record: {error}", hint=hint)
    if (release.schema == 1) != (release.serving is None):
        message = f"is not a release record: schema {release.schema} has {'no' if release.serving else 'a'} `serving`"
        return Finding(rule="record-invalid", file=file, message=message, hint=f"restore it: {restore_command(file)}")
    if release.environment != environment:
        message = f"is the record of {release.environment!r}, not of {environment!r}"
        hint = f"remove it, or restore it: {restore_command(file)}"
        return Finding(rule="record-misplaced", file=file, message=message, hint=hint)
    return release


def _explain(state: StampState, file: str, slug: str) -> tuple[str, str]:
    """Message and hint for a record that is not as m2g wrote it."""
    match state:
        case StampState.CONFLICTED:
            keep = f"git checkout --ours -- {shlex.quote(file)} && m2g render"
            return "contains Git's merge-conflict markers", f"keep one side, then render again: {keep}"
        case StampState.EDITED:
            undo = f"{restore_command(file)} (`git revert` if it is committed)"
            pin = f"to run another version, pin it in {layout.model_yaml(slug)}"
            return "was edited by hand, but m2g owns release records", f"undo the edit: {undo}; {pin}"
        case _:
            hint = f"remove it, or restore it: {restore_command(file)}"
            return "has no stamp of m2g, so m2g did not write it", hint


def find_misplaced(config: Config, records: Mapping[Key, Release]) -> Iterator[Finding]:
    """A finding for each record in another model's folder. It would be served under the name of that model."""
    held = hold_slugs(config, records)
    for (slug, environment), record in sorted(records.items()):
        right = find_slug(config, environment, record.model, held)
        if not _is_selected(config, environment, record):
            continue  # the next render replaces or removes it
        if slug != right and not is_slug_of_record(config, slug, environment, record):
            yield Finding(
                rule="record-misplaced",
                file=layout.release(slug, environment),
                model=record.model,
                environment=environment,
                message=f"is the record of {record.model!r}, which has the slug {right!r}",
                hint="remove it; or, if the slug was changed, move the folder: "
                f"git mv {layout.model(slug)} {layout.model(right)}",
            )


def find_not_selected(config: Config, records: Mapping[Key, Release]) -> Iterator[Finding]:
    """A finding for each record of a registered model that `environments.<environment>.models` does not allow."""
    for (slug, environment), record in sorted(records.items()):
        if _is_selected(config, environment, record):
            continue
        file = layout.release(slug, environment)
        remove = f"m2g render --locked --model {slug} --env {environment}"
        yield Finding(
            rule="record-not-selected",
            file=file,
            model=record.model,
            environment=environment,
            message=f"is the record of {record.model!r}, which is no model of {environment} by "
            f"environments.{environment}.models in {layout.CONFIG}",
            hint=f"restore the record: {restore_command(file)}; to remove the service instead: {remove}",
        )


def _is_selected(config: Config, environment: str, record: Release) -> bool:
    return environment not in config.environments or is_of_environment(config, environment, record.model)
