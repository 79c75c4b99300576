"""`m2g validate`: what people wrote, the records, every overlay as kustomize builds it; all findings in one run."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping
from datetime import date
from pathlib import Path

import msgspec
from msgspec import UNSET

from m2g import checks, kustomize, releases, runtimes, workspace
from m2g import config as configuration
from m2g.commands import expressions, ownership, samples, sources, verdicts
from m2g.commands.desired import Repository, desired, located, unused
from m2g.commands.history import Against, Past, past
from m2g.commands.resolve import Scope
from m2g.errors import InputError
from m2g.finding import Checked, Finding, Report
from m2g.intent import Config, External, Kserve
from m2g.manifest import Manifest, at, place_of
from m2g.model import Release, Value
from m2g.plan import misplaced, stale_pins
from m2g.runtime import Runtime
from m2g.schemas import Catalogue
from m2g.schemas import own as own_schemas

Key = tuple[str, str]
"""(slug, environment)."""

_KUSTOMIZATION = {"apiVersion": "kustomize.config.k8s.io/v1beta1", "kind": "Kustomization"}
_PLAIN = ("platform", "fleet")
_FLUX = "kustomize.toolkit.fluxcd.io/"


class _State(Value, frozen=True, kw_only=True):
    """What was read before anything is built."""

    root: Path
    config: Config | None
    names: Mapping[str, str]
    """Slug to registered name."""
    records: Mapping[Key, Release]
    scope: Scope
    runtimes: tuple[Runtime, ...] = ()
    past: Past = Past()
    substituted: bool = False
    """Whether Flux expands variables in what this repository applies."""

    def kserve(self, environment: str) -> Kserve:
        if self.config is None:
            return Kserve()
        place = self.config.environments.get(environment)
        return self.config.kserve if place is None or place.kserve is UNSET else place.kserve

    def has(self, key: Key) -> bool:
        return self.scope.has(key, self.names.get(key[0], key[0]))


def validate(
    root: Path,
    scope: Scope,
    *,
    against: Against | None = None,
    today: date | None = None,
    progress: kustomize.Progress = lambda what, done, total: None,
) -> Report:
    """Check the repository at `root`, or what `scope` is about; no registry is asked, and Git only for `against`.

    `today` decides which overrides of policies have ended; the current day by default.

    Raises InputError for a scope or ref that matches nothing, OutsideError where kustomize or git is missing.
    """
    plain = [file for folder in _PLAIN for file in kustomize.read_plain(root, folder)]
    state, findings = _read(root, scope)
    state = msgspec.structs.replace(
        state, substituted=any(_substitutes(item) for file in plain for item in file.objects)
    )
    if against is not None:
        state = msgspec.structs.replace(state, past=past(root, against.ref, scope, progress))
        findings += state.past.removals(against, state.config)
    overlays = {key: f"models/{key[0]}/overlays/{key[1]}" for key in _overlays(state)}
    owned = list(workspace.owned_paths(root))
    findings += ownership.unfinished(root)
    findings += ownership.findings(root, owned, set(state.names))
    findings += _unpaired(state, set(overlays))
    own = own_schemas.read(root)
    findings += own.findings
    catalogue = Catalogue(own=own)
    built = kustomize.build(root, list(overlays.values()), progress=progress)
    for key, folder in overlays.items():
        findings += _overlay(state, key, built[folder], catalogue)
    for file in plain:
        findings += _plain(file, catalogue, state)
    asked = expressions.check(
        expressions.Tree(
            root=root,
            config=state.config,
            names=state.names,
            built={key: built[folder] for key, folder in overlays.items()},
            plain=plain,
            kserve=lambda environment: state.kserve(environment).version,
            whole=scope == Scope(),
        ),
        catalogue,
        today,
    )
    findings += asked.findings
    placed = [_placed(finding, state) for finding in findings]
    return Report(
        findings=tuple(sorted({finding for finding in placed if _concerns(finding, state)})),
        checked=Checked(
            models=len({slug for slug, _ in overlays}),
            overlays=len(overlays),
            objects=sum(len(item.objects) for item in built.values()),
            files=len(owned) + len(plain),
            undecided=asked.undecided,
        ),
        built=tuple(overlays.values()),
    )


def _read(root: Path, scope: Scope) -> tuple[_State, list[Finding]]:
    config: Config | None = None
    findings: list[Finding] = []
    try:
        loaded = configuration.load(root)
        config = loaded.config
        findings += loaded.findings
    except InputError as error:
        file = configuration.FILE
        findings.append(Finding(rule="yaml-invalid", file=file, message=error.message, hint=error.hint))
    intents, wrong = configuration.intents(root)
    findings += wrong
    if config is not None:
        findings += configuration.unknown_environments(config, intents)
    records, wrong = releases.read_all(root)
    findings += stale_pins(intents, records)
    known, unknown = runtimes.read(root)
    findings += unknown
    if config is not None:
        findings += misplaced(config, records)
        findings += _settings(
            root,
            Repository(
                config=config,
                records=dict(records),
                intents=dict(intents),
                components=workspace.components(root),
                runtimes=known,
            ),
        )
    names = {path.name: path.name for path in sorted((root / "models").glob("*")) if path.is_dir()}
    names |= {slug: release.model for (slug, _), release in records.items()}
    state = _State(root=root, config=config, names=names, records=records, scope=scope, runtimes=known)
    _known(state)
    return state, findings + wrong


def _settings(root: Path, repository: Repository) -> list[Finding]:
    """What render would refuse: settings that contradict each other or leave their bounds, storage, names."""
    wrong = [*desired(repository, repository.records).findings, *samples.findings(repository, repository.records)]
    return [*located(root, wrong), *unused(repository)]


def _known(state: _State) -> None:
    """A misspelt --model or --env must not look like success."""
    names = {*state.names, *state.names.values()}
    places = set(state.config.environments) if state.config else {environment for _, environment in state.records}
    for word, known, what in (
        *((name, names, "model") for name in sorted(state.scope.models)),
        *((name, places, "environment") for name in sorted(state.scope.environments)),
    ):
        if word not in known:
            near = difflib.get_close_matches(word, known, n=1)
            hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(sorted(known)[:20]) or 'none'}"
            raise InputError(f"this repository has no {what} {word!r}", hint=hint)


def _overlays(state: _State) -> Iterator[Key]:
    for path in sorted((state.root / "models").glob("*/overlays/*")):
        key = (path.parts[-3], path.name)
        if path.is_dir() and state.has(key):
            yield key


def _unpaired(state: _State, overlays: set[Key]) -> Iterator[Finding]:
    for slug, environment in sorted({key for key in state.records if state.has(key)} ^ overlays):
        record, overlay = f"models/{slug}/releases/{environment}.json", f"models/{slug}/overlays/{environment}"
        if (slug, environment) in overlays:
            if (state.root / record).exists():
                continue  # there is one that cannot be read, and that is said already
            message, file = f"has no release record ({record})", overlay
        else:
            message, file = f"has no overlay ({overlay})", record
        yield Finding(rule="record-unpaired", file=file, message=message, hint="run `m2g render --locked`")


def _overlay(state: _State, key: Key, built: kustomize.Built, catalogue: Catalogue) -> Iterator[Finding]:
    version = state.kserve(key[1]).version
    if state.config is not None and key[1] not in state.config.environments:
        message = f"m2g.yaml has no environment {key[1]!r}"
        yield Finding(rule="environment-unknown", file=built.folder, message=message, hint="run `m2g render --locked`")
    if built.error:
        hint = built.hint or "run `kustomize build` on the overlay to see it; m2g builds with no network and no plugins"
        message = f"does not build: {built.error}"
        yield Finding(rule="overlay-build", file=built.at, message=message, hint=hint, environment=key[1])
    elif not any(at(i, "kind") == "InferenceService" and at(i, "metadata", "name") == key[0] for i in built.objects):
        message = f"builds no InferenceService {key[0]!r}: a component deletes or renames it"
        hint = f"mend models/{key[0]}/custom/{key[1]}/, or retire the model"
        yield Finding(rule="service-missing", file=built.folder, message=message, hint=hint, environment=key[1])
    for item in built.objects:
        release = state.records.get(key) if at(item, "metadata", "name") == key[0] else None
        subject = checks.Subject(
            item=item,
            kserve=version,
            overlay=built.objects,
            release=release,
            verdict=verdicts.of_object(item, built.objects, release, version, state.runtimes),
            external=External() if state.config is None else state.config.external,
            before=state.past.before(key[1], item),
            substituted=state.substituted,
        )
        for finding in (*_against_schema(item, catalogue, version), *checks.check(subject)):
            source = sources.of(state.root, key, built.kustomizations, item, place_of(finding.path))
            yield msgspec.structs.replace(finding, file=source.file, line=source.line, environment=key[1])
    for found in built.kustomizations:
        item = {**_KUSTOMIZATION, **found.said}
        subject = checks.Subject(
            item={**item, **found.data}, kserve=version, overlay=None if built.error else built.objects
        )
        for finding in (*_against_schema(item, catalogue, version), *checks.check(subject)):
            line = sources.line(state.root, found.file, place_of(finding.path))
            yield msgspec.structs.replace(finding, file=found.file, line=line)


def _against_schema(item: Manifest, catalogue: Catalogue, version: str) -> Iterator[Finding]:
    for violation in catalogue.violations(item, kserve=version):
        yield Finding(rule="schema", message=violation.message, hint=violation.hint, path=violation.path)


def _substitutes(item: object) -> bool:
    """Whether it is a Flux Kustomization that expands variables."""
    return str(at(item, "apiVersion")).startswith(_FLUX) and bool(at(item, "spec", "postBuild"))


def _plain(file: kustomize.PlainFile, catalogue: Catalogue, state: _State) -> Iterator[Finding]:
    version = state.kserve(_environment_of(file.file)).version
    if file.error:
        yield Finding(rule="yaml-invalid", file=file.file, line=file.line, message=file.error, hint="mend the file")
    for index, item in enumerate(file.objects):
        if not isinstance(item, dict):
            message = "is no Kubernetes object: a mapping is needed"
            yield Finding(rule="schema", file=file.file, line=file.line_of(index, ()), message=message)
            continue
        defaults = _KUSTOMIZATION if Path(file.file).name == "kustomization.yaml" else {}
        subject = checks.Subject(item=item, kserve=version)
        for finding in (*_against_schema({**defaults, **item}, catalogue, version), *checks.check(subject)):
            line = file.line_of(index, place_of(finding.path))
            yield msgspec.structs.replace(finding, file=file.file, line=line)


def _placed(finding: Finding, state: _State) -> Finding:
    """The finding with the model and environment that its file belongs to."""
    parts = finding.file.split("/")
    if parts[0] == "models" and len(parts) > 1:
        environment = ""
        if len(parts) > 3 and parts[2] in ("overlays", "releases", "requests", "custom"):
            environment = parts[3].removesuffix(".json")
        return msgspec.structs.replace(
            finding,
            model=finding.model or state.names.get(parts[1], parts[1]),
            environment=finding.environment or environment,
        )
    if parts[0] == "fleet" and len(parts) == 3:
        slug = parts[2].removesuffix(".yaml")
        return msgspec.structs.replace(finding, model=state.names.get(slug, ""), environment=parts[1])
    return finding


def _concerns(finding: Finding, state: _State) -> bool:
    """Whether the run is about it; what belongs to no model concerns every run."""
    scope = state.scope
    slug = next((slug for slug, name in state.names.items() if name == finding.model), finding.model)
    if finding.model and scope.models and not scope.models & {slug, finding.model}:
        return False
    return not (finding.environment and scope.environments and finding.environment not in scope.environments)


def _environment_of(file: str) -> str:
    parts = file.split("/")
    return parts[1] if parts[0] == "fleet" and len(parts) == 3 else ""
