"""`m2g validate`: check the input files, the records, and every overlay as kustomize builds it, in one run."""

from __future__ import annotations

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
from m2g.repository import environments, fingerprint, layout, ownership, runtimes
from m2g.repository.known_folders import KnownFolders
from m2g.repository.layout import Key
from m2g.repository.locate import add_lines
from m2g.repository.state import Scope, refuse_unknown
from m2g.resolution.holds import find_expired
from m2g.serving import settings
from m2g.validation import cel_checks, secrets, unknown_files
from m2g.validation.attribution import Attribution
from m2g.validation.base import Against, BaseState, read_base
from m2g.validation.bounds import BoundsInForce
from m2g.validation.cel_checks import BuiltOverlay, Policies
from m2g.validation.changed_environments import check_environment_images
from m2g.validation.changed_records import check_records
from m2g.validation.models import ModelChecks, ModelInputs, ModelResult
from m2g.validation.overlays import CheckInputs, OverlayResult, OverlayResults, check_overlays, check_raw_file
from m2g.validation.platform_bounds import check_platform
from m2g.validation.platform_files import Fleet, uses_substitution
from m2g.validation.policies.load import get_today
from m2g.validation.record_decisions import check_decisions
from m2g.validation.schemas import Catalogue, repository_schemas
from m2g.validation.shared_files import check_shared_files, list_runtimes, read_runtimes


class ValidateOptions(Value, frozen=True, kw_only=True):
    """How to validate. `today` decides which overrides of policies and which holds have expired (default: today).

    `cache` is the folder for the results of earlier runs; None turns the cache off.
    """

    scope: Scope = Scope()
    against: Against | None = None
    today: date | None = None
    cache: Path | None = None


def validate(
    root: Path, options: ValidateOptions, *, progress: kustomize.Progress = lambda what, done, total: None
) -> Report:
    """Check the repository at `root`, or the part in the scope. It uses no registry, and Git only for `against`.

    Raises InputError if the scope or the ref matches nothing, OutsideError if kustomize or git is missing.
    """
    with Cache(options.cache) as cache:
        salt = fingerprint.digest_inputs(root, cache)
        known_folders = KnownFolders(cache, salt)
        config, findings = _read_config(root, known_folders)
        described, invalid_runtimes = runtimes.read(root)
        recorded, invalid_environments = environments.read(root)
        scope = options.scope
        model_inputs = ModelInputs(root=root, salt=salt, config=config, runtimes=described, environments=recorded)
        fleet = Fleet(root, ModelChecks(model_inputs, known_folders, cache), scope.shard)
        _check_scope(scope, fleet, config)
        base = BaseState() if options.against is None else read_base(root, options.against.ref, scope, progress)
        if options.against is not None:
            findings += base.check_removals(options.against, config)
        schemas = repository_schemas.read(root)
        policies = cel_checks.load_policies(root, lambda: _list_names(fleet, config), options.today, cache)
        inputs = CheckInputs(
            root=root,
            salt=salt,
            config=config,
            catalogue=Catalogue(repository=schemas),
            policies=policies,
            runtimes=(*described, *list_runtimes(recorded.values())),
            base=base,
            substituted=uses_substitution(root),
        )
        results = _check_overlays(inputs, fleet, scope, cache, progress) | _check_platform_files(
            inputs, [*fleet.platform_files.files, *read_runtimes(root, recorded)]
        )
        findings += (*invalid_runtimes, *invalid_environments, *check_shared_files(root, config, recorded))
        findings += (*fleet.platform_files.findings, *schemas.findings, *policies.findings)
        findings += secrets.find_elsewhere(root, config)
        findings += (*write.find_unfinished(root), *ownership.find_symlinked_folders(root))
        findings += (*_find_unused_overrides(policies, scope, results), *_find_expired_holds(fleet, options))
        unverified = {model.slug for model in fleet if model.unverified}
        findings += unknown_files.find_unverified(unverified, base.changed)
        findings += unknown_files.find_attributes(root, base.changed)
        if config is not None:
            findings += [*check_records(root, config, base), *check_environment_images(root, config, base)]
            findings += check_decisions(root, config, described, base)
            findings += check_platform(config, fleet.platform_files.files)
        return _make_report(fleet, scope, results, findings, inputs.bounds)


def _find_expired_holds(fleet: Fleet, options: ValidateOptions) -> list[Finding]:
    reminders = (reminder for model in fleet for reminder in model.reminders)
    return find_expired(reminders, options.today or get_today())


def _list_names(fleet: Fleet, config: Config | None) -> tuple[Mapping[str, str], list[str]]:
    """The names that an override may use: slug → registered name of all models, and the environments."""
    built = {environment for model in fleet for environment in model.overlays}
    return fleet.names, list(config.environments if config is not None else built)


def _find_unused_overrides(
    policies: Policies, scope: Scope, results: Mapping[Key, OverlayResult]
) -> tuple[Finding, ...]:
    """The overrides that no object needs. A run over a part of the fleet cannot know, and reports none."""
    part = scope.shard is not None and scope.shard.count > 1
    if part or scope.models or scope.environments or any(result.broken for result in results.values()):
        return ()
    return tuple(policies.find_unused_overrides({index for result in results.values() for index in result.used}))


def _make_report(
    fleet: Fleet,
    scope: Scope,
    results: Mapping[Key, OverlayResult],
    findings: Sequence[Finding],
    bounds: BoundsInForce | None,
) -> Report:
    attribution = Attribution(fleet.names)
    overlays = [key for key in results if key[0]]
    of_platform = (finding for key, result in results.items() if not key[0] for finding in result.findings)
    reported = {attribution.attribute(finding) for finding in (*findings, *of_platform)}
    reported = {finding for finding in reported if attribution.is_in_shard(finding, scope.shard)}
    # Only this shard checked these: it reports them, even if they are about the file of another model.
    reported |= {attribution.attribute(finding) for model in fleet for finding in model.findings}
    reported |= {attribution.attribute(finding) for key in overlays for finding in results[key].findings}
    return Report(
        findings=tuple(sorted(finding for finding in reported if attribution.is_in_scope(finding, scope))),
        checked=Checked(
            models=len({slug for slug, _ in overlays}),
            overlays=len(overlays),
            objects=sum(result.objects for result in results.values()),
            files=sum(model.owned for model in fleet.models.values()) + _count_platform_files(fleet, scope),
            undecided=tuple(sorted({rule for result in results.values() for rule in result.undecided})),
            bounds="" if bounds is None else bounds.describe(),
        ),
        built=tuple(layout.overlay(*key) for key in overlays),
        shard="" if scope.shard is None else str(scope.shard),
    )


def _count_platform_files(fleet: Fleet, scope: Scope) -> int:
    """How many files belong to no model; only the first shard counts them."""
    return len(fleet.platform_files.files) if scope.shard is None or scope.shard.index == 1 else 0


def _read_config(root: Path, known_folders: KnownFolders) -> tuple[Config | None, list[Finding]]:
    try:
        loaded = known_folders.read_config(root)
    except InputError as error:
        return None, [configuration.describe_unreadable(error)]
    unused = [] if loaded.config is None else settings.check_config(loaded.config)
    return loaded.config, [*loaded.findings, *add_lines(root, unused)]


def _check_overlays(
    inputs: CheckInputs, fleet: Fleet, scope: Scope, cache: Cache, progress: kustomize.Progress
) -> dict[Key, OverlayResult]:
    """The result for each overlay: cached, or built while the next models are read."""
    cached = OverlayResults(inputs, cache)
    results: dict[Key, OverlayResult] = {}

    def list_unknown() -> Iterator[Key]:
        for model in fleet:
            for key in _list_keys(model, scope):
                result = cached.find(fleet.digests[model.slug], *key)
                if result is None:
                    yield key
                else:
                    results[key] = result

    for checked in check_overlays(inputs, list_unknown(), cached, fleet.models, progress):
        cached.save(fleet.digests, checked)
        results |= checked
    return {key: results[key] for model in fleet for key in _list_keys(model, scope)}


def _list_keys(model: ModelResult, scope: Scope) -> list[Key]:
    keys = ((model.slug, environment) for environment in model.overlays)
    return [key for key in keys if scope.includes(key, model.name)]


def _check_platform_files(inputs: CheckInputs, raw_files: Sequence[kustomize.RawFile]) -> dict[Key, OverlayResult]:
    """The results for files that belong to no overlay, by environment; the environment is empty for platform/."""
    files: dict[str, list[kustomize.RawFile]] = defaultdict(list)
    for file in raw_files:
        location = layout.parse_path(file.file)
        files[location.environment if location is not None else ""].append(file)
    groups = [
        BuiltOverlay(key=("", environment), kserve=inputs.get_kserve(environment).version, raw_files=tuple(group))
        for environment, group in files.items()
    ]
    cel = cel_checks.check_cel(inputs.root, inputs.policies, groups, inputs.catalogue)
    return {
        group.key: OverlayResult(
            findings=(
                *cel[group.key].findings,
                *(finding for file in group.raw_files for finding in check_raw_file(inputs, file, group.kserve)),
            ),
            objects=0,
            undecided=tuple(cel[group.key].undecided),
        )
        for group in groups
    }


def _check_scope(scope: Scope, fleet: Fleet, config: Config | None) -> None:
    """A misspelled --model or --env must not look like success."""
    if not scope.models and not scope.environments:
        return
    names = {*fleet.names, *fleet.names.values()}
    recorded = {environment for model in fleet for environment in model.records}
    environments = set(config.environments) if config else recorded
    refuse_unknown("model", scope.models, names)
    refuse_unknown("environment", scope.environments, environments)
