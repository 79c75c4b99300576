"""Check one model without building its overlays. Results are cached by a digest of the model's folder."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import msgspec

from m2g import kustomize
from m2g.compat.runtime import Runtime
from m2g.core.cache import Cache, key
from m2g.core.config_types import Config
from m2g.core.errors import restore_command
from m2g.core.finding import Finding
from m2g.core.model import Release, Value
from m2g.core.naming import is_slug
from m2g.core.serving_environment import RecordedEnvironment
from m2g.core.shard import Shard
from m2g.rendering import example_findings
from m2g.rendering.model import RenderedTree, render_models
from m2g.repository import config as configuration
from m2g.repository import layout, load, model_folder, ownership
from m2g.repository import records as releases
from m2g.repository.known_folders import KnownFolders
from m2g.repository.locate import add_lines
from m2g.repository.model_folder import ModelFolder
from m2g.repository.records import find_misplaced, find_not_selected
from m2g.repository.state import Repository
from m2g.repository.unused_files import find_unused
from m2g.resolution.decision import find_outdated
from m2g.resolution.holds import Reminder, list_reminders
from m2g.resolution.release_record import find_differences
from m2g.resolution.targets import find_stale_pins
from m2g.serving.canary import find_same_version
from m2g.validation import secrets, unknown_files


class ModelResult(msgspec.Struct, frozen=True, kw_only=True):
    """The result of checking one model.

    `name` is the registered model's, or the slug if the model has no record. `overlays` and `records` are environments.
    `owned` is the number of files in folders that m2g owns. `unverified`: the records do not render, so nobody knows
    what these files should be.
    """

    slug: str
    name: str
    overlays: tuple[str, ...]
    records: tuple[str, ...]
    findings: tuple[Finding, ...]
    owned: int
    unverified: bool = False
    reminders: tuple[Reminder, ...] = ()
    """Of holds, whether their last day is over or not: a result in the cache is good for every day."""


class ModelInputs(Value, frozen=True, kw_only=True):
    """What every model is checked with. `salt` is its digest for the cache; `config` is None if m2g.yaml is invalid."""

    root: Path
    salt: bytes
    config: Config | None
    runtimes: tuple[Runtime, ...]
    environments: dict[str, RecordedEnvironment] = {}


_DECODER = msgspec.msgpack.Decoder(ModelResult)


class ModelChecks:
    """Checks the models of a repository, with a cache."""

    def __init__(self, inputs: ModelInputs, known_folders: KnownFolders, cache: Cache) -> None:
        self._inputs = inputs
        self._known_folders = known_folders
        self._cache = cache
        self._salt = key("model-result", inputs.salt)

    def check_models(self, shard: Shard | None) -> Iterator[tuple[ModelFolder, ModelResult]]:
        """Every model by slug, with its folder. Nothing here keeps the content of a folder in memory.

        Models of other shards are not checked; their names are read, because overrides of policies may name them.
        """
        root = self._inputs.root
        fleet = model_folder.list_fleet_environments(root)
        for slug in model_folder.list_slugs(root):
            folder = model_folder.read(root, slug, fleet)
            checked = shard is None or shard.contains(slug)
            yield folder, self._check(folder, fleet) if checked else _read_names(root, folder)

    def _check(self, folder: ModelFolder, fleet: Sequence[str]) -> ModelResult:
        place = key(self._salt, folder.digest)
        if folder.digest and (cached := self._cache.read(place, _DECODER)) is not None:
            return cached
        result = check_model(self._inputs, folder, self._known_folders)
        # The lines of findings are read from disk, where a file may have changed in the meantime.
        unchanged = (
            not result.findings or model_folder.read(self._inputs.root, folder.slug, fleet).digest == folder.digest
        )
        if folder.digest and unchanged:
            self._cache.put(place, msgspec.msgpack.encode(result))
        return result


def _read_names(root: Path, folder: ModelFolder) -> ModelResult:
    records, _ = releases.read_records(root, folder)
    return ModelResult(
        slug=folder.slug,
        name=_find_name(folder, records),
        overlays=_list_overlays(folder),
        records=tuple(records),
        findings=(),
        owned=0,
    )


def _find_name(folder: ModelFolder, records: Mapping[str, Release]) -> str:
    return next((release.model for release in reversed(list(records.values()))), folder.slug)


def check_model(inputs: ModelInputs, folder: ModelFolder, known_folders: KnownFolders) -> ModelResult:
    """Check one model; every finding has its file and line.

    A folder that is known to be up to date is neither rendered again nor checked for ownership.
    """
    root, slug = inputs.root, folder.slug
    if not is_slug(slug):
        strange = tuple(unknown_files.find_in_model(folder))
        return ModelResult(slug=slug, name=slug, overlays=(), records=(), findings=strange, owned=0)
    up_to_date = known_folders.is_up_to_date(folder)
    model = load.read_model(root, folder, known_folders, up_to_date=up_to_date)
    records, findings = model.records, model.findings
    intents = {} if model.intent is None else {slug: model.intent}
    keyed = {(slug, environment): release for environment, release in records.items()}
    findings += find_stale_pins(intents, keyed)
    unverified = False
    if inputs.config is not None:
        repository = Repository(
            config=inputs.config,
            records=keyed,
            intents=intents,
            components=model.components,
            outward=frozenset({folder.slug}) if model.outward else frozenset(),
            runtimes=inputs.runtimes,
            environments=inputs.environments,
        )
        rendered = None if up_to_date else render_models(repository, repository.records)
        findings += _check_config(root, repository, folder, rendered)
        unverified = rendered is not None and bool(rendered.findings)
    overlays = _list_overlays(folder)
    findings += () if up_to_date else _check_ownership(root, folder)
    findings += unknown_files.find_in_model(folder)
    findings += secrets.find_in_model(root, folder, model.intent, inputs.config)
    findings += _find_unpaired(folder, set(records), set(overlays))
    return ModelResult(
        slug=slug,
        name=_find_name(folder, records),
        overlays=overlays,
        records=tuple(records),
        findings=tuple(findings),
        owned=len(folder.list_owned()),
        unverified=unverified,
        reminders=tuple(_add_line(root, reminder) for reminder in list_reminders(intents)),
    )


def _check_ownership(root: Path, folder: ModelFolder) -> Iterator[Finding]:
    """The findings about files of m2g. Files at paths that m2g does not know are findings already."""
    for finding in ownership.check_ownership(root, folder):
        if finding.rule != "unknown-file" or layout.is_known(finding.file):
            yield finding


def _add_line(root: Path, reminder: Reminder) -> Reminder:
    return msgspec.structs.replace(reminder, finding=add_lines(root, [reminder.finding])[0])


def _check_config(
    root: Path, repository: Repository, folder: ModelFolder, rendered: RenderedTree | None
) -> Iterator[Finding]:
    """Check the model against m2g.yaml: what render would refuse (settings, storage, names), stale and unused files.

    `rendered` is None for a folder that is known to be up to date.
    """
    yield from configuration.find_unknown_environments(repository.config, repository.intents)
    yield from find_misplaced(repository.config, repository.records)
    yield from find_not_selected(repository.config, repository.records)
    yield from _find_contradictions(repository.records)
    yield from find_outdated(repository, repository.records)
    yield from add_lines(root, find_same_version(repository, repository.records))
    wrong = () if rendered is None else rendered.findings
    yield from add_lines(root, (*wrong, *example_findings.check_examples(repository, repository.records)))
    recorded = {environment for _, environment in repository.records}
    if rendered is not None and not wrong and recorded == set(_list_overlays(folder)):
        yield from unknown_files.find_stale(folder, rendered.files)
    yield from find_unused(repository, repository.records)


def _find_contradictions(records: Mapping[layout.Key, Release]) -> Iterator[Finding]:
    """A finding for each record that says something else of its version than the record of another environment."""
    first: dict[tuple[object, ...], layout.Key] = {}
    for place, record in sorted(records.items()):
        other = first.setdefault(record.identity, place)
        names = find_differences(record, records[other])
        if names:
            files = layout.release(*place), layout.release(*other)
            yield Finding(
                rule="records-differ",
                file=files[0],
                model=record.model,
                environment=record.environment,
                message=f"{' and '.join(names)} of version {record.version} differ from those in {files[1]}",
                hint=f"read both from the registry again: rm {files[0]} {files[1]} && m2g render --model {place[0]}",
            )


def _list_overlays(folder: ModelFolder) -> tuple[str, ...]:
    start = f"{layout.model(folder.slug)}/{layout.OVERLAYS}/"
    below = (path[len(start) :] for path in (*folder.files, *folder.special_files) if path.startswith(start))
    return tuple(sorted({rest.partition("/")[0] for rest in below if "/" in rest}))


def _find_unpaired(folder: ModelFolder, records: set[str], overlays: set[str]) -> Iterator[Finding]:
    for environment in sorted(records ^ overlays):
        record = layout.release(folder.slug, environment)
        overlay = layout.overlay(folder.slug, environment)
        if environment in overlays:
            if record in folder.files or record in folder.special_files:
                continue  # the record exists but cannot be read, which is already a finding
            message, file = f"has no release record ({record})", overlay
            remove = f"m2g render --locked --model {folder.slug} --env {environment}"
            hint = f"restore the record: {restore_command(record)}; to remove the service instead: {remove}"
        else:
            message, file, hint = f"has no overlay ({overlay})", record, "run `m2g render --locked`"
        yield Finding(rule="record-unpaired", file=file, message=message, hint=hint)


def read_flux_file(root: Path, slug: str, environment: str) -> tuple[kustomize.RawFile, ...]:
    """The Flux file that applies this overlay, if there is one."""
    file = layout.flux_file(slug, environment)
    whole = f"{root}/{file}"
    return (kustomize.read_file(root, file),) if os.path.isfile(whole) or os.path.islink(whole) else ()
