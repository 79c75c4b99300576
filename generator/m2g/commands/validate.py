"""`m2g validate`: what people wrote, the records, every overlay as kustomize builds it; all findings in one run."""

from __future__ import annotations

import difflib
import os
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from datetime import date
from pathlib import Path

import msgspec

from m2g import config as configuration
from m2g import folders, kustomize, runtimes
from m2g.cache import Cache
from m2g.commands import expressions, ownership
from m2g.commands.history import Against, Past, past
from m2g.commands.judgements import Court, Judgement, Judgements, Key, judge, plain
from m2g.commands.resolve import Scope
from m2g.commands.units import Look, Unit, Units
from m2g.errors import InputError
from m2g.finding import Checked, Finding, Report
from m2g.folders import ModelFolder
from m2g.intent import Config
from m2g.manifest import at
from m2g.model import Value
from m2g.schemas import Catalogue
from m2g.schemas import own as own_schemas
from m2g.shard import Shard

_PLATFORM, _FLEET = "platform", "fleet"
_FLUX = "kustomize.toolkit.fluxcd.io/"


class Options(Value, frozen=True, kw_only=True):
    """How to validate. `today` decides which overrides of policies have ended: the current day by default.

    `cache` is the folder of what earlier runs found out; None remembers nothing.
    """

    scope: Scope = Scope()
    against: Against | None = None
    today: date | None = None
    cache: Path | None = None


class _Fleet(msgspec.Struct, kw_only=True):
    """What was read before anything is built. `digests` are of the folders; `plain` belongs to no model."""

    units: dict[str, Unit]
    digests: dict[str, bytes]
    plain: tuple[kustomize.PlainFile, ...]
    findings: list[Finding]
    substituted: bool

    @property
    def names(self) -> dict[str, str]:
        """Slug to registered name."""
        return {slug: unit.name for slug, unit in self.units.items()}


def validate(root: Path, options: Options, *, progress: kustomize.Progress = lambda what, done, total: None) -> Report:
    """Check the repository at `root`, or what the scope is about; no registry is asked, and Git only for `against`.

    Raises InputError for a scope or ref that matches nothing, OutsideError where kustomize or git is missing.
    """
    with Cache(options.cache) as cache:
        config, findings = _config(root)
        described, wrong = runtimes.read(root)
        fleet = _fleet(Look(root=root, config=config, runtimes=described), options.scope.shard, cache)
        scope = options.scope
        _known(scope, fleet, config)
        before = Past() if options.against is None else past(root, options.against.ref, scope, progress)
        if options.against is not None:
            findings += before.removals(options.against, config)
        own = own_schemas.read(root)
        findings += (*wrong, *fleet.findings, *own.findings, *ownership.unfinished(root))
        keys = [(slug, name) for slug, unit in fleet.units.items() for name in unit.overlays]
        places = set(config.environments) if config is not None else {environment for _, environment in keys}
        asked = expressions.asked(root, fleet.names, places, options.today, cache)
        court = Court(
            root=root,
            config=config,
            catalogue=Catalogue(own=own),
            asked=asked,
            runtimes=described,
            past=before,
            substituted=fleet.substituted,
        )
        wanted = [found for found in keys if scope.has(found, fleet.units[found[0]].name)]
        judged = _judged(court, wanted, fleet, cache, progress)
        findings += asked.findings
        judged |= _beside(court, fleet)
        return _report(fleet, scope, judged, findings, asked)


def _report(
    fleet: _Fleet,
    scope: Scope,
    judged: Mapping[Key, Judgement],
    findings: list[Finding],
    asked: expressions.Asked,
) -> Report:
    findings += (finding for unit in fleet.units.values() for finding in unit.findings)
    findings += (finding for judgement in judged.values() for finding in judgement.findings)
    overlays = [key for key in judged if key[0]]
    if scope == Scope() and not any(judgement.broken for judgement in judged.values()):
        findings += asked.unused({place for judgement in judged.values() for place in judgement.used})
    placed = (_placed(finding, fleet.names) for finding in findings)
    slugs = {name: slug for slug, name in fleet.names.items()}
    return Report(
        findings=tuple(sorted({finding for finding in placed if _concerns(finding, scope, slugs)})),
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


def _plain_files(fleet: _Fleet, scope: Scope) -> int:
    """How many files belong to no model; of several parts of a fleet the first one counts them."""
    return len(fleet.plain) if scope.shard is None or scope.shard.index == 1 else 0


def _config(root: Path) -> tuple[Config | None, list[Finding]]:
    try:
        loaded = configuration.load(root)
    except InputError as error:
        return None, [configuration.unreadable(error)]
    return loaded.config, list(loaded.findings)


def _fleet(look: Look, shard: Shard | None, cache: Cache) -> _Fleet:
    root = look.root
    fleet = _Fleet(units={}, digests={}, plain=(), findings=[], substituted=False)
    beside: set[str] = set()
    for folder, unit in Units(look, cache).read(shard):
        fleet.units[folder.slug] = unit
        fleet.digests[folder.slug] = folder.digest
        applied = {f"{_FLEET}/{environment}/{folder.slug}.yaml" for environment in unit.overlays}
        beside |= applied & folder.files.keys()
        fleet.substituted |= _may_substitute(root, folder, applied)
    strays = folders.strays(root, folders.environments(root), frozenset(fleet.units))
    fleet.findings += ownership.findings(root, strays, set(fleet.units))
    found = [*kustomize.read_plain(root, _PLATFORM)]
    found += kustomize.read_plain(root, _FLEET, lambda file: file not in beside)
    fleet.plain = tuple(found)
    fleet.substituted |= any(_substitutes(item) for file in found for item in file.objects)
    return fleet


def _may_substitute(root: Path, folder: ModelFolder, applied: Collection[str]) -> bool:
    """Whether Flux expands variables in this model's overlays; m2g's own files say nothing of it."""
    files = [file for file in applied if b"postBuild" in folder.files.get(file, b"postBuild") and _is_there(root, file)]
    return any(_substitutes(item) for file in files for item in kustomize.read_file(root, file).objects)


def _is_there(root: Path, file: str) -> bool:
    return os.path.lexists(f"{root}/{file}")


def _substitutes(item: object) -> bool:
    """Whether it is a Flux Kustomization that expands variables."""
    return str(at(item, "apiVersion")).startswith(_FLUX) and bool(at(item, "spec", "postBuild"))


def _judged(
    court: Court, keys: Sequence[Key], fleet: _Fleet, cache: Cache, progress: kustomize.Progress
) -> dict[Key, Judgement]:
    """A judgement on each overlay: what is known already, and the rest."""
    known = Judgements(court, cache)
    found = {key: judgement for key in keys if (judgement := known.known(fleet.digests[key[0]], *key)) is not None}
    rest = [key for key in keys if key not in found]
    for fresh in judge(court, rest, known, fleet.names, progress):
        known.keep(fleet.digests, fresh)
        found |= fresh
    return {key: found[key] for key in keys}


def _beside(court: Court, fleet: _Fleet) -> dict[Key, Judgement]:
    """A judgement on the files that are applied as they are and belong to no overlay, by environment (empty: none)."""
    files: dict[str, list[kustomize.PlainFile]] = defaultdict(list)
    for file in fleet.plain:
        parts = file.file.split("/")
        files[parts[1] if parts[0] == _FLEET and len(parts) == 3 else ""].append(file)
    found = [
        expressions.Overlay(key=("", name), kserve=court.kserve(name).version, plain=tuple(those))
        for name, those in files.items()
    ]
    told = expressions.check(court.root, court.asked, found, court.catalogue)
    return {
        one.key: Judgement(
            findings=(*told[one.key].findings, *(finding for file in one.plain for finding in plain(court, file))),
            objects=0,
            undecided=tuple(told[one.key].undecided),
        )
        for one in found
    }


def _known(scope: Scope, fleet: _Fleet, config: Config | None) -> None:
    """A misspelt --model or --env must not look like success."""
    names = {*fleet.names, *fleet.names.values()}
    recorded = {environment for unit in fleet.units.values() for environment in unit.records}
    places = set(config.environments) if config else recorded
    for word, known, what in (
        *((name, names, "model") for name in sorted(scope.models)),
        *((name, places, "environment") for name in sorted(scope.environments)),
    ):
        if word not in known:
            near = difflib.get_close_matches(word, known, n=1)
            hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(sorted(known)[:20]) or 'none'}"
            raise InputError(f"this repository has no {what} {word!r}", hint=hint)


def _placed(finding: Finding, names: Mapping[str, str]) -> Finding:
    """The finding with the model and environment that its file belongs to."""
    parts = finding.file.split("/")
    if parts[0] == "models" and len(parts) > 1:
        environment = ""
        if len(parts) > 3 and parts[2] in ("overlays", "releases", "requests", "custom"):
            environment = parts[3].removesuffix(".json")
        return msgspec.structs.replace(
            finding,
            model=finding.model or names.get(parts[1], parts[1]),
            environment=finding.environment or environment,
        )
    if parts[0] == _FLEET and len(parts) == 3:
        slug = parts[2].removesuffix(".yaml")
        return msgspec.structs.replace(finding, model=names.get(slug, ""), environment=parts[1])
    return finding


def _concerns(finding: Finding, scope: Scope, slugs: Mapping[str, str]) -> bool:
    """Whether the run is about it; what belongs to no model concerns every run."""
    if finding.model and not scope.about(slugs.get(finding.model, finding.model), finding.model):
        return False
    return not (finding.environment and scope.environments and finding.environment not in scope.environments)
