"""`m2g adopt`: hand-written or live services become models of the fleet, with no field lost.

Everything is tried in a copy of the repository. Only what is built there as it was is written.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Literal, TypeAlias

import msgspec

from m2g import kustomize
from m2g.changes.update import RenderOptions, update
from m2g.cluster.kubectl import Kubectl
from m2g.core import safe_files, tempdirs
from m2g.core.cache import Cache
from m2g.core.config_types import Config, ModelIntent, Pin
from m2g.core.errors import InputError, M2gError
from m2g.core.finding import Finding, Severity
from m2g.core.manifest import Manifest, get_at
from m2g.core.model import ModelVersion, Value, VersionFacts
from m2g.core.naming import is_slug
from m2g.core.results import AdoptedObject, Adoption
from m2g.core.settings import Settings
from m2g.core.teams import find_bounds
from m2g.core.yaml_writer import Plain, dump
from m2g.registry import Registry
from m2g.rendering.adopt import Loss, derive_settings, find_losses, normalize
from m2g.repository import layout, load
from m2g.repository.edit import edit_file
from m2g.repository.layout import Key
from m2g.repository.selection import find_slug, hold_slugs, is_selected
from m2g.repository.state import Repository, Scope, check_environments
from m2g.repository.yaml_edit import Set
from m2g.resolution.version_facts import read_version_facts
from m2g.serving import settings as serving_settings
from m2g.serving import storage_uri
from m2g.serving.backend import Backend
from m2g.serving.backends import BACKENDS, find_backend
from m2g.validation.manifests import read_manifests

Outcome: TypeAlias = Literal["adopted", "kept", "refused"]
_LIVE = "cluster"
_PIN = "adopted as it was; remove the pin to follow the registry"


class _Service(Value, frozen=True, kw_only=True):
    """An object that serves a model, and the version that it serves."""

    file: str
    item: Manifest
    backend: Backend
    environment: str
    version: ModelVersion
    slug: str


class _Match(msgspec.Struct, frozen=True, kw_only=True):
    """The versions of the registry by environment and the URI that a cluster reads."""

    by_uri: Mapping[tuple[str, str], ModelVersion]
    slugs: Mapping[tuple[str, str], str]


class AdoptOptions(Value, frozen=True, kw_only=True):
    """What to adopt: `paths` relative to `folder`, and the cluster `context` unless it is None.

    `environment` is that of objects that name no namespace. Without `write`, nothing is written.
    """

    folder: Path
    paths: tuple[str, ...] = ()
    context: str | None = None
    environment: str = ""
    write: bool = False
    cache: Path | None = None


def adopt(root: Path, options: AdoptOptions, open_registry: Callable[[Config], Registry]) -> Adoption:
    """Adopt what a registered version serves, and say of everything else why it stays.

    Raises InputError for a path that does not exist or an unknown environment, OutsideError if the registry, kustomize
    or the cluster fails.
    """
    repository = load.read_repository(root)
    check_environments(repository.config, Scope(environments=frozenset(filter(None, [options.environment]))))
    found = list(_read_files(options.folder, options.paths))
    if options.context is not None:
        found += _read_cluster(Kubectl(options.context))
    if not found:
        hint = "name a file or a folder with Kubernetes manifests, or add --from-cluster"
        raise InputError("there is no Kubernetes object to adopt", hint=hint)
    registry = open_registry(repository.config)
    match = _match_versions(repository, registry, options.cache)
    services, results = _sort(repository, match, found, options.environment)
    with tempdirs.open_folder() as place:
        copy = place / "repository"
        shutil.copytree(root, copy, symlinks=True, ignore=shutil.ignore_patterns(".git", ".m2g"))
        tried = [(service, _try(copy, service, lambda _config: registry, match)) for service in services]
        adopted = [service for service, result in tried if result.outcome == "adopted"]
        results += [result for _, result in tried]
        if options.write and adopted:
            _copy_edits(copy, root, adopted)
            scope = Scope(models=frozenset(service.slug for service in adopted))
            update(root, RenderOptions(scope=scope, cache=options.cache), open_registry=lambda _config: registry)
    order = {"adopted": 0, "refused": 1, "kept": 2}
    results.sort(key=lambda one: (order[one.outcome], one.namespace, one.name))
    return Adoption(objects=tuple(results), written=options.write and bool(adopted))


def _sort(
    repository: Repository, match: _Match, found: Iterable[tuple[str, Manifest]], environment: str
) -> tuple[list[_Service], list[AdoptedObject]]:
    """The objects that a registered version serves, and what is said of all others."""
    services: dict[Key, _Service] = {}
    results: list[AdoptedObject] = []
    for file, item in found:
        one = _classify(repository, match, file, item, environment)
        if not isinstance(one, _Service):
            results.append(one)
        elif services.setdefault((one.version.name, one.environment), one) is not one:
            reason = f"another object is {one.version.name} in {one.environment} already; m2g renders one of them"
            results.append(_describe_service(one, "kept", reason))
    return list(services.values()), results


def _read_files(folder: Path, paths: Iterable[str]) -> Iterator[tuple[str, Manifest]]:
    for path in paths:
        for file in read_manifests(folder, path):
            if file.error:
                raise InputError(f"{file.file}: {file.error}", hint=f"check it: m2g validate {file.file}")
            for item in file.objects:
                if isinstance(item, dict) and item.get("kind") != "Kustomization":
                    yield file.file, item


def _read_cluster(cluster: Kubectl) -> Iterator[tuple[str, Manifest]]:
    for backend in BACKENDS.values():
        plural = f"{backend.main.kind.lower()}s.{backend.main.group}"
        yield from ((_LIVE, item) for item in cluster.list(plural))


def _match_versions(repository: Repository, registry: Registry, cache: Path | None) -> _Match:
    """Every ready version of the selected models, by the URI from which a cluster reads it."""
    config, held = repository.config, hold_slugs(repository.config, repository.records)
    models = {
        (environment, model.name): find_slug(config, environment, model.name, held)
        for model in registry.list_models()
        for environment in config.environments
        if is_selected(config, environment, model)
    }
    names = {name for _, name in models}
    versions = [one for one in registry.list_versions() if one.name in names and one.status == "READY"]
    by_uri: dict[tuple[str, str], ModelVersion] = {}
    with Cache(cache) as memory:
        for version, facts in read_version_facts(registry, versions, memory):
            for environment in config.environments:
                if (environment, version.name) in models and (uri := _find_uri(config, environment, registry, facts)):
                    by_uri[environment, uri.rstrip("/")] = version
    return _Match(by_uri=by_uri, slugs=models)


def _find_uri(config: Config, environment: str, registry: Registry, facts: VersionFacts) -> str:
    storage = config.environments[environment].storage
    try:
        return storage_uri.to_cluster_uri(
            facts.artifact_uri,
            (*storage.rewrites, *config.storage.rewrites),
            storage.allow or config.storage.allow,
            registry.identity,
        )
    except InputError:
        return ""


def _classify(
    repository: Repository, match: _Match, file: str, item: Manifest, environment: str
) -> _Service | AdoptedObject:
    backend = find_backend(item)
    if backend is None:
        return _describe(file, item, "kept", "it serves no model; it stays your own file")
    owner = _find_owner(item)
    if owner:
        return _describe(file, item, "refused", f"{owner} owns it and would write it back: remove it there first")
    config = repository.config
    namespace = str(get_at(item, "metadata", "namespace") or "")
    places = [name for name, one in config.environments.items() if one.namespace == namespace]
    place = places[0] if places else "" if namespace else environment
    if not place:
        hint = f"give an environment of {layout.CONFIG} this namespace" if namespace else "add --env NAME"
        return _describe(file, item, "kept", f"no environment has the namespace {namespace or '(none)'}: {hint}")
    if backend.name not in config.sync.bounds.backends:
        reason = f"write to {layout.CONFIG}: sync: {{bounds: {{backends: [{backend.name}]}}}}"
        return _describe(file, item, "kept", f"{backend.name} is outside the bounds: {reason}")
    meant = normalize(item)
    uri = str(next((found for found in (get_at(meant, *path) for path in backend.recorded) if found), "") or "")
    version = match.by_uri.get((place, uri.rstrip("/")))
    if version is None:
        where = uri[:200] or "no storage URI"
        return _describe(file, item, "kept", f"no registered version is at {where}; it stays your own file")
    name = str(get_at(item, "metadata", "name") or "")
    if not is_slug(name):
        return _describe(
            file, item, "kept", f"{name[:80]!r} cannot be a slug: lower-case letters, digits and '-', at most 36"
        )
    return _Service(file=file, item=meant, backend=backend, environment=place, version=version, slug=name)


def _find_owner(item: Manifest) -> str:
    """Who applies the object, if it is not its author."""
    annotations, labels = get_at(item, "metadata", "annotations"), get_at(item, "metadata", "labels")
    named = {**(annotations if isinstance(annotations, dict) else {}), **(labels if isinstance(labels, dict) else {})}
    if named.get("app.kubernetes.io/managed-by") == "Helm" or "meta.helm.sh/release-name" in named:
        return "a Helm release"
    if named.get("app.kubernetes.io/managed-by") == "m2g":
        return "m2g (another repository)"
    if any(str(key).startswith("kustomize.toolkit.fluxcd.io/name") for key in named):
        return "a Flux Kustomization"
    return "an Argo CD Application" if any(str(key).startswith("argocd.argoproj.io/") for key in named) else ""


def _try(root: Path, service: _Service, open_registry: Callable[[Config], Registry], match: _Match) -> AdoptedObject:
    """Adopt one service in the copy at `root`; what fails leaves no trace there."""
    try:
        before = {file: _read(root, file) for file in _list_edited(service)}
    except M2gError as error:  # a symlink, for example
        return _describe_service(service, "refused", f"{error.message}; {error.hint}".rstrip("; "))
    result = _adopt(root, service, open_registry, match)
    if result.outcome != "adopted":
        for file, content in before.items():
            (root / file).unlink(missing_ok=True)
            if content is not None:
                safe_files.write_atomic(root, file, content)
    return result


def _adopt(root: Path, service: _Service, open_registry: Callable[[Config], Registry], match: _Match) -> AdoptedObject:
    slug, environment, version = service.slug, service.environment, service.version
    component = layout.component(slug, environment)
    if (root / layout.release(slug, environment)).exists() or (root / component).exists():
        return _describe_service(service, "refused", f"the fleet has {layout.model(slug)} in {environment} already")
    backend = service.backend
    settings = _choose_settings(root, service, {"backend": backend.name, **derive_settings(service.item, backend)})
    try:
        _edit(root, service, settings, renamed=match.slugs[environment, version.name] != slug)
        problem = _render(root, service, open_registry)
        if _read_version(root, service) != version.version and not problem:
            pin: dict[str, Plain] = {"version": int(version.version), "reason": _PIN}
            place = ("environments", environment)
            edits = [Set(path=(*place, name), value=value) for name, value in pin.items()]
            edit_file(root, layout.model_yaml(slug), edits)
            problem = _render(root, service, open_registry)
        if problem or _read_version(root, service) != version.version:
            return _describe_service(service, "refused", problem or f"m2g does not release version {version.version}")
        losses = find_losses(service.item, _build(root, service), backend)
        if losses:
            file = f"{component}/kustomization.yaml"
            safe_files.write_atomic(root, file, _make_component(backend, losses).encode(), before=None)
            problem = _render(root, service, open_registry, locked=True)
            if problem:
                return _describe_service(service, "refused", problem)
        lost = find_losses(service.item, _build(root, service), backend)
    except M2gError as error:
        return _describe_service(service, "refused", f"{error.message}; {error.hint}".rstrip("; "))
    named = tuple(f"{name}: {msgspec.json.encode(value).decode()}" for name, value in sorted(settings.items()))
    result = _describe_service(service, "refused" if lost else "adopted", "")
    return msgspec.structs.replace(
        result,
        reason="m2g cannot render it as it is: see the lost fields" if lost else "m2g renders it with no field lost",
        settings=named,
        patched=tuple(dict.fromkeys(_format(loss) for loss in losses)),
        lost=tuple(dict.fromkeys(_format(loss) for loss in lost)),
    )


def _choose_settings(root: Path, service: _Service, found: Mapping[str, Plain]) -> dict[str, Plain]:
    """The settings that m2g.yaml allows here and that change something."""
    repository = load.read_repository(root)
    config = repository.config
    place = config.environments[service.environment]
    kserve = config.kserve if isinstance(place.kserve, msgspec.UnsetType) else place.kserve

    def resolve(settings: Mapping[str, Plain]) -> tuple[object, list[Finding]]:
        pin = Pin(settings=msgspec.convert(dict(settings), Settings))
        intent = ModelIntent(environments={service.environment: pin})
        layers, findings = serving_settings.collect_layers(config, service.slug, service.environment, intent, None)
        serving, more = serving_settings.resolve_settings(layers, find_bounds(config, service.slug), kserve)
        return serving, findings + more

    plain, _ = resolve({})
    chosen = {name: value for name, value in found.items() if resolve({name: value})[0] != plain}
    while chosen:
        _, findings = resolve(chosen)
        wrong = {name for name in chosen for one in findings if name in one.path.split(".")}
        if not findings:
            break
        chosen = {name: value for name, value in chosen.items() if name not in wrong} if wrong else {}
    return chosen


def _edit(root: Path, service: _Service, settings: Mapping[str, Plain], *, renamed: bool) -> None:
    if renamed:
        edit_file(root, layout.CONFIG, [Set(path=("models", "slugs", service.version.name), value=service.slug)])
    if settings:
        path = ("environments", service.environment, "settings")
        edit_file(root, layout.model_yaml(service.slug), [Set(path=path, value=dict(settings))])


def _render(root: Path, service: _Service, open_registry: Callable[[Config], Registry], *, locked: bool = False) -> str:
    """Render the model in one environment; why that fails, or nothing."""
    scope = Scope(models=frozenset({service.slug, service.version.name}), environments=frozenset({service.environment}))
    result = update(root, RenderOptions(locked=locked, scope=scope), open_registry=open_registry)
    wrong = [finding for finding in result.findings if finding.severity is Severity.ERROR]
    return f"{wrong[0].message}; {wrong[0].hint}".rstrip("; ") if wrong else ""


def _read_version(root: Path, service: _Service) -> str:
    record = load.read_repository(root).records.get((service.slug, service.environment))
    return "" if record is None else record.version


def _build(root: Path, service: _Service) -> Manifest:
    """The object that the overlay builds. Raises OutsideError if kustomize fails."""
    (built,) = kustomize.build_overlays(root, [layout.overlay(service.slug, service.environment)]).values()
    if built.error:
        raise InputError(f"the overlay does not build: {built.error}", hint=built.hint)
    items = (item for item in built.objects if find_backend(item) is service.backend)
    return next(item for item in items if get_at(item, "metadata", "name") == service.slug)


def _make_component(backend: Backend, losses: Sequence[Loss]) -> str:
    """A Kustomize component with one patch. `add` to the end of a list comes last, so that no index moves."""
    operations = [loss.operation for loss in sorted(losses, key=lambda loss: loss.where[-1:] == ("-",))]
    target = {"group": backend.main.group, "kind": backend.main.kind}
    patch: Plain = operations
    body: Plain = {
        "apiVersion": "kustomize.config.k8s.io/v1alpha1",
        "kind": "Component",
        "patches": [{"target": target, "patch": dump(patch)}],
    }
    return "# What m2g has no setting for, as it was when this model was adopted.\n" + dump(body)


def _list_edited(service: _Service) -> tuple[str, ...]:
    """The files of people that an adoption edits."""
    component = f"{layout.component(service.slug, service.environment)}/kustomization.yaml"
    return layout.CONFIG, layout.model_yaml(service.slug), component


def _copy_edits(copy: Path, root: Path, services: Iterable[_Service]) -> None:
    for file in dict.fromkeys(file for service in services for file in _list_edited(service)):
        content, before = _read(copy, file), _read(root, file)
        if content is not None and content != before:
            safe_files.write_atomic(root, file, content, before=before)


def _read(root: Path, file: str) -> bytes | None:
    try:
        return safe_files.read(root, file)
    except FileNotFoundError:
        return None


def _format(loss: Loss) -> str:
    return ".".join(str(step) for step in loss.where)


def _describe(file: str, item: Manifest, outcome: Outcome, reason: str) -> AdoptedObject:
    return AdoptedObject(
        file=file,
        kind=str(item.get("kind")),
        namespace=str(get_at(item, "metadata", "namespace") or ""),
        name=str(get_at(item, "metadata", "name") or ""),
        outcome=outcome,
        reason=reason,
    )


def _describe_service(service: _Service, outcome: Outcome, reason: str) -> AdoptedObject:
    described = _describe(service.file, service.item, outcome, reason)
    return msgspec.structs.replace(
        described, model=service.version.name, version=service.version.version, environment=service.environment
    )
