"""The versions that environments follow now, and those among them that wait for an image."""

from __future__ import annotations

from collections.abc import Callable, Collection
from pathlib import Path

from m2g.core.cache import Cache
from m2g.core.config_types import Config
from m2g.core.errors import InputError
from m2g.core.finding import Finding
from m2g.core.model import Release, Value
from m2g.core.results import MissingImage
from m2g.registry import Registry
from m2g.rendering.model import render_model
from m2g.repository import cache_location, load, state
from m2g.repository.layout import Key
from m2g.repository.selection import matches_name
from m2g.repository.state import Repository, Scope
from m2g.resolution.resolve import resolve
from m2g.serving.decide import choose_serving
from m2g.serving.profile import IMAGE_MISSING

Open = Callable[[Config], Registry]


class PendingImage(Value, frozen=True, kw_only=True):
    """The version that one environment follows. `others` are the environments that wait for the same image."""

    repository: Repository
    slug: str
    release: Release
    others: frozenset[str] = frozenset()


def find_pending_image(root: Path, model: str, environment: str, open_registry: Open, *, locked: bool) -> PendingImage:
    """The version of a model that `environment` follows. Raises InputError with the reason if there is none."""
    repository = load.read_repository(root)
    state.check_environments(repository.config, Scope(environments=frozenset([environment])))
    scope = Scope(models=frozenset([model]))
    # Packages come from these facts: they are the registry's, also if somebody changed the record.
    all_releases, findings = _find_releases(repository, scope, open_registry, locked=locked, verify=True)
    releases = {key: release for key, release in all_releases.items() if model in (key[0], release.model)}
    for finding in findings:
        if finding.environment in ("", environment) and finding.rule != IMAGE_MISSING and finding.severity == "error":
            raise InputError(f"{finding.model or model}: {finding.message}", hint=finding.hint)
    slug = next((slug for slug, place in releases if place == environment), None)
    if slug is None:
        if locked:
            state.find_records(repository, model, [environment])
        hint = f"compare the model's name in MLflow with environments.{environment}.follow in m2g.yaml"
        raise InputError(f"no version of {model!r} matches what {environment} follows", hint=hint)
    release = releases[slug, environment]
    others = frozenset(
        key[1]
        for key, other in releases.items()
        if (key[0], other.version) == (slug, release.version) and choose_serving(repository, slug, other).waits_for
    )
    return PendingImage(repository=repository, slug=slug, release=release, others=others)


def list_pending(root: Path, scope: Scope, open_registry: Open, *, locked: bool) -> tuple[MissingImage, ...]:
    """Every version that waits for an image, with its environments, sorted by slug.

    Raises InputError for an unknown model.
    """
    repository = load.read_repository(root)
    state.check_environments(repository.config, scope)
    releases, findings = _find_releases(repository, scope, open_registry, locked=locked)
    unknown = next((finding for finding in findings if finding.rule == "model-unknown"), None)
    if unknown is not None:
        raise InputError(f"{unknown.model}: {unknown.message}", hint=unknown.hint)
    waiting: dict[tuple[str, str, str], list[str]] = {}
    for (slug, environment), release in sorted(releases.items()):
        chosen = choose_serving(repository, slug, release)
        if chosen.waits_for and not chosen.environment:  # an environment has a build of its own
            waiting.setdefault((slug, release.version, chosen.waits_for), []).append(environment)
    names = {key[0]: release.model for key, release in releases.items()}
    return tuple(
        MissingImage(model=names[slug], slug=slug, version=version, profile=profile, environments=tuple(environments))
        for (slug, version, profile), environments in waiting.items()
    )


def _find_releases(
    repository: Repository, scope: Scope, open_registry: Open, *, locked: bool, verify: bool = False
) -> tuple[dict[Key, Release], Collection[Finding]]:
    """The version that each environment follows, and the findings about those that cannot be rendered."""
    if locked:
        config = repository.config
        recorded = {
            key: record
            for key, record in repository.records.items()
            if scope.includes(key, record.model) and matches_name(config, key[1], record.model)
        }
        return recorded, ()
    folder = None if repository.root is None else cache_location.find_cache_folder(repository.root)
    with Cache(folder) as cache:
        resolved = resolve(repository, open_registry(repository.config), scope, cache, verify=verify)
    findings = list(resolved.findings)
    records: dict[Key, Release] = {}
    for key, release in resolved.records.items():
        if not scope.includes(key, release.model):
            continue
        errors: Collection[Finding] = ()
        if release != repository.records.get(key):
            errors = render_model(repository, key[0], {release.environment: release}).findings
        findings += errors
        if all(finding.rule == IMAGE_MISSING for finding in errors):
            records[key] = release
        elif key in repository.records:
            records[key] = repository.records[key]
    return records, findings
