"""What an environment follows now and would be released, were it not for its image."""

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
from m2g.rendering.model import model_files
from m2g.repository import cache_location, load, state
from m2g.repository.layout import Key
from m2g.repository.selection import matches_name
from m2g.repository.state import Repository, Scope
from m2g.resolution.resolve import resolve
from m2g.serving.decide import choose
from m2g.serving.profile import WAITS

Open = Callable[[Config], Registry]


class Subject(Value, frozen=True, kw_only=True):
    """One model's version in one environment, as it would be recorded; `beside` are others that wait for its image."""

    repository: Repository
    slug: str
    release: Release
    beside: frozenset[str] = frozenset()


def subject(root: Path, model: str, environment: str, open_registry: Open, *, locked: bool) -> Subject:
    """What `environment` follows of one model. Raises InputError where that is nothing, with the reason."""
    repository = load.read_repository(root)
    state.check_environments(repository.config, Scope(environments=frozenset([environment])))
    releases, findings = _releases(root, repository, Scope(models=frozenset([model])), open_registry, locked=locked)
    called = {key: release for key, release in releases.items() if model in (key[0], release.model)}
    found = [(key, release) for key, release in called.items() if key[1] == environment]
    here = [finding for finding in findings if finding.environment in ("", environment)]
    serious = [finding for finding in here if finding.rule != WAITS and finding.severity == "error"]
    if serious:
        raise InputError(f"{serious[0].model or model}: {serious[0].message}", hint=serious[0].hint)
    if not found:
        where = "no record" if locked else "nothing to follow"
        raise InputError(
            f"{model!r} has {where} in {environment}", hint="see follow in m2g.yaml, and the names in MLflow"
        )
    (slug, _), release = found[0]
    beside = frozenset(
        key[1]
        for key, other in called.items()
        if (key[0], other.version) == (slug, release.version) and choose(repository, slug, other).waits_for
    )
    return Subject(repository=repository, slug=slug, release=release, beside=beside)


def waiting(root: Path, scope: Scope, open_registry: Open, *, locked: bool) -> tuple[MissingImage, ...]:
    """Every version that waits, once for all its environments, in the order of the slugs.

    Raises InputError for a model that nobody knows.
    """
    repository = load.read_repository(root)
    state.check_environments(repository.config, scope)
    releases, findings = _releases(root, repository, scope, open_registry, locked=locked)
    unknown = next((finding for finding in findings if finding.rule == "model-unknown"), None)
    if unknown is not None:
        raise InputError(f"{unknown.model}: {unknown.message}", hint=unknown.hint)
    found: dict[tuple[str, str, str], list[str]] = {}
    for (slug, environment), release in sorted(releases.items()):
        chosen = choose(repository, slug, release)
        if chosen.waits_for:
            found.setdefault((slug, release.version, chosen.waits_for), []).append(environment)
    names = {key[0]: release.model for key, release in releases.items()}
    return tuple(
        MissingImage(model=names[slug], slug=slug, version=version, profile=profile, environments=tuple(environments))
        for (slug, version, profile), environments in found.items()
    )


def _releases(
    root: Path, repository: Repository, scope: Scope, open_registry: Open, *, locked: bool
) -> tuple[dict[Key, Release], Collection[Finding]]:
    """What each environment follows, whether or not it can be rendered, and what is wrong with it."""
    if locked:
        config = repository.config
        kept = {
            key: record
            for key, record in repository.records.items()
            if scope.includes(key, record.model)
            and key[1] in config.environments
            and matches_name(config, record.model)
        }
        return kept, ()
    with Cache(cache_location.find_cache_folder(root)) as cache:
        resolved = resolve(repository, open_registry(repository.config), scope, cache)
    findings = list(resolved.findings)
    records: dict[Key, Release] = {}
    for key, release in resolved.records.items():
        if not scope.includes(key, release.model):
            continue
        wrong = () if release == repository.records.get(key) else _wrong(repository, key[0], release)
        findings += wrong
        if all(finding.rule == WAITS for finding in wrong):
            records[key] = release
        elif key in repository.records:
            records[key] = repository.records[key]
    return records, findings


def _wrong(repository: Repository, slug: str, release: Release) -> Collection[Finding]:
    """Why a release that moves cannot be rendered."""
    return model_files(repository, slug, {release.environment: release}).findings
