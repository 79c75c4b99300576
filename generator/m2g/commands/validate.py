"""`m2g validate`: what people wrote, the records, every overlay as kustomize builds it; all findings in one run."""

from __future__ import annotations

import difflib
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from datetime import date
from pathlib import Path

from m2g import kustomize
from m2g.changes import write
from m2g.core.cache import Cache
from m2g.core.config_types import Config
from m2g.core.errors import InputError
from m2g.core.finding import Checked, Finding, Report
from m2g.core.model import Value
from m2g.repository import config as configuration
from m2g.repository import fingerprint, ownership, runtimes
from m2g.repository.known_folders import KnownFolders
from m2g.repository.layout import FLEET, Key
from m2g.repository.state import Scope
from m2g.validation import cel_checks
from m2g.validation.attribution import Belonging
from m2g.validation.base import Against, Past, past
from m2g.validation.models import Look, Unit, Units
from m2g.validation.overlays import Court, Judgement, Judgements, judge, plain
from m2g.validation.platform_files import Fleet, substituted
from m2g.validation.schemas import Catalogue
from m2g.validation.schemas import repository_schemas as own_schemas


class ValidateOptions(Value, frozen=True, kw_only=True):
    """How to validate. `today` decides which overrides of policies have ended: the current day by default.

    `cache` is the folder of what earlier runs found out; None remembers nothing.
    """

    scope: Scope = Scope()
    against: Against | None = None
    today: date | None = None
    cache: Path | None = None


def validate(
    root: Path, options: ValidateOptions, *, progress: kustomize.Progress = lambda what, done, total: None
) -> Report:
    """Check the repository at `root`, or what the scope is about; no registry is asked, and Git only for `against`.

    Raises InputError for a scope or ref that matches nothing, OutsideError where kustomize or git is missing.
    """
    with Cache(options.cache) as cache:
        ground = fingerprint.digest_inputs(root, cache)
        remembered = KnownFolders(cache, ground)
        config, findings = _config(root, remembered)
        described, wrong = runtimes.read(root)
        scope = options.scope
        look = Look(root=root, salt=ground, config=config, runtimes=described)
        fleet = Fleet(root, Units(look, remembered, cache), scope.shard)
        _known(scope, fleet, config)
        before = Past() if options.against is None else past(root, options.against.ref, scope, progress)
        if options.against is not None:
            findings += before.removals(options.against, config)
        own = own_schemas.read(root)
        asked = cel_checks.asked(root, lambda: _places(fleet, config), options.today, cache)
        court = Court(
            root=root,
            salt=ground,
            config=config,
            catalogue=Catalogue(repository=own),
            asked=asked,
            runtimes=described,
            past=before,
            substituted=substituted(root),
        )
        judged = _judged(court, fleet, scope, cache, progress)
        judged |= _beside(court, fleet.beside.files)
        findings += (*wrong, *fleet.beside.findings, *own.findings, *asked.findings)
        findings += (*write.find_unfinished(root), *ownership.find_symlinked_folders(root))
        findings += _unused(asked, scope, judged)
        return _report(fleet, scope, judged, findings)


def _places(fleet: Fleet, config: Config | None) -> tuple[Mapping[str, str], list[str]]:
    """What an override may speak of: slug to registered name of all models, and the environments."""
    built = {environment for unit in fleet for environment in unit.overlays}
    return fleet.names, list(config.environments if config is not None else built)


def _unused(asked: cel_checks.Asked, scope: Scope, judged: Mapping[Key, Judgement]) -> tuple[Finding, ...]:
    """The overrides that nothing needs; none where that cannot be told, as one part of several cannot."""
    part = scope.shard is not None and scope.shard.count > 1
    if part or scope.models or scope.environments or any(judgement.broken for judgement in judged.values()):
        return ()
    return tuple(asked.unused({place for judgement in judged.values() for place in judgement.used}))


def _report(fleet: Fleet, scope: Scope, judged: Mapping[Key, Judgement], findings: Sequence[Finding]) -> Report:
    belonging = Belonging(fleet.names)
    overlays = [key for key in judged if key[0]]
    beside = (finding for key, judgement in judged.items() if not key[0] for finding in judgement.findings)
    found = {belonging.placed(finding) for finding in (*findings, *beside)}
    found = {finding for finding in found if belonging.is_here(finding, scope.shard)}
    # These were looked for in this part alone: it says them, even where they are in another model's file.
    found |= {belonging.placed(finding) for unit in fleet for finding in unit.findings}
    found |= {belonging.placed(finding) for key in overlays for finding in judged[key].findings}
    return Report(
        findings=tuple(sorted(finding for finding in found if belonging.concerns(finding, scope))),
        checked=Checked(
            models=len({slug for slug, _ in overlays}),
            overlays=len(overlays),
            objects=sum(judgement.objects for judgement in judged.values()),
            files=sum(unit.owned for unit in fleet.units.values()) + _plain_files(fleet, scope),
            undecided=tuple(sorted({rule for judgement in judged.values() for rule in judgement.undecided})),
        ),
        built=tuple(f"models/{slug}/overlays/{environment}" for slug, environment in overlays),
        shard="" if scope.shard is None else str(scope.shard),
    )


def _plain_files(fleet: Fleet, scope: Scope) -> int:
    """How many files belong to no model; of several parts of a fleet the first one counts them."""
    return len(fleet.beside.files) if scope.shard is None or scope.shard.index == 1 else 0


def _config(root: Path, remembered: KnownFolders) -> tuple[Config | None, list[Finding]]:
    try:
        loaded = remembered.read_config(root)
    except InputError as error:
        return None, [configuration.describe_unreadable(error)]
    return loaded.config, list(loaded.findings)


def _judged(
    court: Court, fleet: Fleet, scope: Scope, cache: Cache, progress: kustomize.Progress
) -> dict[Key, Judgement]:
    """A judgement on each overlay: what is known already, and the rest, built while the next models are read."""
    known = Judgements(court, cache)
    found: dict[Key, Judgement] = {}

    def unknown() -> Iterator[Key]:
        for unit in fleet:
            for key in _keys(unit, scope):
                judgement = known.known(fleet.digests[unit.slug], *key)
                if judgement is None:
                    yield key
                else:
                    found[key] = judgement

    for fresh in judge(court, unknown(), known, fleet.units, progress):
        known.keep(fleet.digests, fresh)
        found |= fresh
    return {key: found[key] for unit in fleet for key in _keys(unit, scope)}


def _keys(unit: Unit, scope: Scope) -> list[Key]:
    keys = ((unit.slug, environment) for environment in unit.overlays)
    return [key for key in keys if scope.includes(key, unit.name)]


def _beside(court: Court, beside: Sequence[kustomize.RawFile]) -> dict[Key, Judgement]:
    """A judgement on the files that are applied as they are and belong to no overlay, by environment (empty: none)."""
    files: dict[str, list[kustomize.RawFile]] = defaultdict(list)
    for file in beside:
        parts = file.file.split("/")
        files[parts[1] if parts[0] == FLEET and len(parts) == 3 else ""].append(file)
    found = [
        cel_checks.Overlay(key=("", name), kserve=court.kserve(name).version, plain=tuple(those))
        for name, those in files.items()
    ]
    told = cel_checks.check(court.root, court.asked, found, court.catalogue)
    return {
        one.key: Judgement(
            findings=(*told[one.key].findings, *(finding for file in one.plain for finding in plain(court, file))),
            objects=0,
            undecided=tuple(told[one.key].undecided),
        )
        for one in found
    }


def _known(scope: Scope, fleet: Fleet, config: Config | None) -> None:
    """A misspelt --model or --env must not look like success."""
    if not scope.models and not scope.environments:
        return
    names = {*fleet.names, *fleet.names.values()}
    recorded = {environment for unit in fleet for environment in unit.records}
    places = set(config.environments) if config else recorded
    for word, known, what in (
        *((name, names, "model") for name in sorted(scope.models)),
        *((name, places, "environment") for name in sorted(scope.environments)),
    ):
        if word not in known:
            near = difflib.get_close_matches(word, known, n=1)
            hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(sorted(known)[:20]) or 'none'}"
            raise InputError(f"this repository has no {what} {word!r}", hint=hint)
