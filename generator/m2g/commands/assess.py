"""`m2g assess`: what of a registry can be served, by what, and what the rest needs."""

from __future__ import annotations

import hashlib
import shlex
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from pathlib import Path

import msgspec

from m2g.changes.assessed import write_new_config, write_settings
from m2g.compat.check import explain_no_image
from m2g.compat.requirement import parse_minor
from m2g.compat.signature import explain_no_answer
from m2g.compat.verdict import Verdict
from m2g.core.cache import Cache
from m2g.core.config_types import Config, Environment, Kserve
from m2g.core.errors import InputError
from m2g.core.finding import Finding
from m2g.core.model import Mlmodel, ModelVersion, RegisteredModel, Release, VersionFacts
from m2g.core.results import AssessedProblem, AssessedRewrite, AssessedVersion, Assessment, Outcome, PackageSet
from m2g.core.setting_fields import KserveVersion
from m2g.registry import KnowsArtifactRoot, Registry
from m2g.repository import layout, load, runtimes
from m2g.repository.selection import find_shared_name, find_slug, hold_slugs, is_selected, is_selected_anywhere
from m2g.repository.state import Repository, Scope
from m2g.resolution.decision import decide
from m2g.resolution.release_record import build_record
from m2g.resolution.resolve import find_unknown_models
from m2g.resolution.targets import plan
from m2g.resolution.version_facts import read_version_facts
from m2g.serving import gate
from m2g.serving.decide import choose_with_settings, resolve_serving
from m2g.serving.gate import describe_verdict
from m2g.serving.profile import STOCK_RUNTIME
from m2g.serving.spec import Serving, ServingChoice

_ROUNDS = 3
"""How often to write: what a new rewrite or slug shows may need a profile."""
_ALONE = "prod"
"""The environment that stands for all where there is no repository yet."""


class _Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """One version to look at, the environment whose settings count, and who wants it."""

    version: ModelVersion
    slug: str
    environment: str
    by: tuple[str, ...]


class _Place(msgspec.Struct, frozen=True, kw_only=True):
    """An environment that a registered model may run in. `shared` is its name without what is of the environment."""

    model: str
    environment: str
    slug: str
    shared: str


def assess(
    root: Path | None,
    models: Collection[str],
    *,
    kserve: KserveVersion = "0.21",
    open_registry: Callable[[Config], Registry],
    cache: Path | None = None,
) -> Assessment:
    """Look at every version that an alias or an environment wants, and at the newest one of each other model.

    With a repository at `root`, its m2g.yaml and its models' settings count; without one, the defaults and `kserve`.
    `models` limits the assessment to these registered names or slugs.

    Raises InputError if a name in `models` is unknown, InvalidRepository, and OutsideError if the registry fails.
    """
    repository = _read(root, kserve)
    registry = open_registry(repository.config)
    listed = [model for model in registry.list_models() if is_selected_anywhere(repository.config, model)]
    unknown = find_unknown_models(repository, listed, Scope(models=frozenset(models)))
    if unknown:
        raise InputError(f"{unknown[0].model!r}: {unknown[0].message}", hint=unknown[0].hint)
    places = list(_find_places(repository, listed))
    slugs = {place.model: place.slug for place in reversed(places)}
    chosen = [model for model in listed if not models or {model.name, slugs[model.name]} & set(models)]
    versions = registry.list_versions() if len(chosen) != 1 else registry.list_versions(chosen[0].name)
    wanted = list(_list_wanted(repository, chosen, versions, places))
    with Cache(cache) as memory:
        facts = {
            (version.name, version.version): known
            for version, known in read_version_facts(registry, [one.version for one in wanted], memory)
        }
    shared = _find_shared(places)
    judged = [
        _assess(repository, registry.identity, one, facts[one.version.name, one.version.version], shared)
        for one in wanted
    ]
    if root is None:
        judged = [(_place_steps(one), mlmodel) for one, mlmodel in judged]
    seen = {one.version.name for one in wanted}
    uris = [
        facts[one.model, one.version].artifact_uri
        for one, _ in judged
        if any(problem.kind == "storage" for problem in one.problems)
    ]
    return Assessment(
        registry=registry.identity,
        kserve=repository.config.kserve.version,
        models=len(chosen),
        idle=tuple(sorted(model.name for model in chosen if model.name not in seen)),
        versions=tuple(one for one, _ in judged),
        packages=tuple(_group(judged)),
        rewrites=tuple(_find_rewrites(registry, uris)),
        next="create a repository: m2g init my-models" if root is None else "write what can be served: m2g render",
    )


def assess_and_write(
    root: Path | None,
    folder: Path,
    look: Callable[[Path | None], Assessment],
    *,
    waiting: Callable[[], None] = lambda: None,
) -> Assessment:
    """Write what makes the most of the registry work, and assess it once more: render does what this result says.

    `look` assesses a repository, or the registry alone. Without a repository, m2g.yaml is written to `folder`.
    Raises the errors of `assess`, and of the edits.
    """
    found, written = look(root), []
    if root is None:
        write_new_config(folder, found)
        root, written, found = folder, [layout.CONFIG], look(folder)
    for _ in range(_ROUNDS):
        repository = load.read_repository(root)
        recorded = {record.model for record in repository.records.values()}
        environments = list(repository.config.environments)
        changed = write_settings(root, found, environments=environments, recorded=recorded, waiting=waiting)
        if not changed:
            break
        written += changed
        found = look(root)
    return msgspec.structs.replace(found, written=tuple(dict.fromkeys(written)))


def _find_rewrites(registry: Registry, uris: Iterable[str]) -> Iterator[AssessedRewrite]:
    """What the server says of the place of its files, if a cluster cannot read them as they are named."""
    proxied = next((uri for uri in uris if uri.startswith("mlflow-artifacts:")), "")
    root = registry.find_artifact_root(proxied) if proxied and isinstance(registry, KnowsArtifactRoot) else ""
    if root:
        yield AssessedRewrite(from_="mlflow-artifacts:/", to=root)


def _read(root: Path | None, kserve: KserveVersion) -> Repository:
    if root is not None:
        return load.read_repository(root)
    config = Config(version=1, kserve=Kserve(version=kserve), environments={_ALONE: Environment(namespace="models")})
    known, _ = runtimes.read(None)
    return Repository(config=config, records={}, intents={}, components=frozenset(), runtimes=known)


def _list_wanted(
    repository: Repository,
    models: Iterable[RegisteredModel],
    versions: Iterable[ModelVersion],
    places: Iterable[_Place],
) -> Iterator[_Wanted]:
    """The versions to look at, by model. A model that nobody follows is looked at by its newest version."""
    by_model: dict[str, dict[str, ModelVersion]] = defaultdict(dict)
    for version in versions:
        by_model[version.name][version.version] = version
    every = [version for known in by_model.values() for version in known.values()]
    models = sorted(models, key=lambda model: model.name)
    decided = plan(repository.config, models, every, repository.intents, repository.records)
    slugs = {(place.model, place.environment): place.slug for place in places}
    firsts = dict(reversed(slugs))
    for model in models:
        ready = {number: one for number, one in by_model[model.name].items() if one.status == "READY"}
        by: dict[str, list[str]] = defaultdict(list)
        place: dict[str, str] = {}
        for (_, environment), target in decided.targets.items():
            if target.version.name == model.name:
                by[target.version.version].append(environment)
                place.setdefault(target.version.version, environment)
        for alias, number in sorted(model.aliases.items()):
            by[number].append(f"alias {alias}")
        if not by and ready:
            by[max(ready, key=lambda number: (len(number), number))].append("newest")
        for number in sorted(by, key=lambda number: (len(number), number)):
            if number in ready:
                environment = place.get(number, firsts[model.name])
                yield _Wanted(
                    version=ready[number],
                    slug=slugs[model.name, environment],
                    environment=environment,
                    by=tuple(by[number]),
                )


def _find_places(repository: Repository, models: Iterable[RegisteredModel]) -> Iterator[_Place]:
    """Where each model may run, in the order of the environments."""
    config, held = repository.config, hold_slugs(repository.config, repository.records)
    for model in models:
        for environment in config.environments:
            if is_selected(config, environment, model):
                slug = find_slug(config, environment, model.name, held)
                shared = find_shared_name(config, environment, model.name)
                yield _Place(model=model.name, environment=environment, slug=slug, shared=shared)


def _find_shared(places: Iterable[_Place]) -> Mapping[str, list[str]]:
    """Slug → the registered names that map to it, where environments do not share one name."""
    names: dict[str, dict[str, str]] = defaultdict(dict)
    for place in sorted(places, key=lambda place: place.model):
        names[place.slug].setdefault(place.shared, place.model)
    return {slug: list(known.values()) for slug, known in names.items() if len(known) > 1}


def _assess(
    repository: Repository, registry: str, wanted: _Wanted, facts: VersionFacts, shared: Mapping[str, list[str]]
) -> tuple[AssessedVersion, Mlmodel | None]:
    version = wanted.version
    result = AssessedVersion(
        model=version.name, slug=wanted.slug, version=version.version, wanted=wanted.by, outcome="unreadable"
    )
    problems = list(_check_slug(wanted, shared))
    try:
        record = build_record(version, facts, registry)
    except InputError as error:
        step = error.hint or "make its files readable for m2g, or register the model again"
        return msgspec.structs.replace(result, why=error.message, step=step, problems=tuple(problems)), None
    record = msgspec.structs.replace(record, environment=wanted.environment)
    serving, _ = resolve_serving(repository, wanted.slug, record)
    choice, findings = choose_with_settings(repository, record, serving)
    mlmodel = record.mlmodel
    problems += _check_storage(findings)
    problems += _check_mlmodel(mlmodel)
    outcome, server, why = _conclude(choice, record, serving)
    refused = decide(repository, wanted.slug, record)
    stock = choice.verdict or gate.check_runtimes(record, serving, repository.runtimes).get(STOCK_RUNTIME)
    needs_image = outcome in ("mlserver-image", "mlflow-image")
    result = msgspec.structs.replace(
        result,
        outcome=outcome,
        server=server,
        python=mlmodel.python_version if mlmodel else "",
        flavor=_name_flavor(mlmodel),
        packages=_identify(mlmodel) if needs_image and mlmodel else "",
        why=refused.message if isinstance(refused, Finding) else why,
        step=refused.hint if isinstance(refused, Finding) else _advise(outcome, wanted, choice, record, serving),
        log_again=_find_change(stock),
        profile=outcome if needs_image and not choice.waits_for else "",
        problems=tuple(problems),
    )
    return result, mlmodel


def _conclude(choice: ServingChoice, record: Release, serving: Serving) -> tuple[Outcome, str, str]:
    """The outcome, what serves the version, and why."""
    verdict, mlmodel = choice.verdict, record.mlmodel
    if choice.waits_for:
        waits: Outcome = "mlserver-image" if choice.waits_for == "mlserver-image" else "mlflow-image"
        return waits, waits, choice.reason
    if verdict is None or verdict.answer == "serves":
        return "serves", choice.runtime or choice.profile, choice.reason
    why = describe_verdict(verdict)
    if verdict.answer == "unknown":
        return "unsure", choice.runtime, why
    no_image = None if mlmodel is None else explain_no_image(mlmodel, serving.limits)
    if mlmodel is None or no_image is not None:
        outcome: Outcome = "needs-memory" if no_image is not None and "memory:" in no_image.fix else "log-again"
        return outcome, "", why if no_image is None or no_image.text in why else f"{why}; and {no_image.text}"
    no_answer = explain_no_answer(mlmodel)
    if no_answer is None:
        return "mlserver-image", "mlserver-image", why
    return "mlflow-image", "mlflow-image", no_answer.text


def _advise(outcome: Outcome, wanted: _Wanted, choice: ServingChoice, record: Release, serving: Serving) -> str:
    name, environment = shlex.quote(wanted.version.name), wanted.environment
    if outcome == "serves":
        return ""
    if outcome == "unsure":
        return f"try it before you release it: m2g smoke {name} --env {environment} --version {wanted.version.version}"
    if outcome in ("log-again", "needs-memory"):
        no_image = None if record.mlmodel is None else explain_no_image(record.mlmodel, serving.limits)
        fix = no_image.fix if no_image is not None and outcome == "needs-memory" else _find_change(choice.verdict)
        fix = fix or (no_image.fix if no_image is not None else "log it with MLflow, and register that version")
        return fix.replace("write to model.yaml:", f"write to {layout.model_yaml(wanted.slug)}:")
    if choice.environment:
        return f"build the image of its environment: m2g environments context {choice.environment} -o DIR"
    image = f"m2g image {name} --env {environment} -o DIR"
    if choice.waits_for:
        return f"build its image: {image}; or plan images that models share: m2g environments plan --write"
    return f"write to {layout.model_yaml(wanted.slug)}: settings: {{profile: {outcome}}}, then build its image: {image}"


def _place_steps(one: AssessedVersion) -> AssessedVersion:
    """The next steps of somebody who has no repository yet: files of one and commands that need one come later."""
    return msgspec.structs.replace(
        one,
        step=_place_step(one.step),
        problems=tuple(msgspec.structs.replace(problem, step=_place_step(problem.step)) for problem in one.problems),
    )


def _place_step(step: str) -> str:
    needs = f"{layout.CONFIG}" in step or f"{layout.MODELS}/" in step or "m2g " in step
    return f"create a repository (m2g init my-models), and there {step}" if needs else step


def _find_change(verdict: Verdict | None) -> str:
    """What to change in the training code so that the runtime loads the model; empty if nothing is known."""
    if verdict is None or verdict.answer == "serves":
        return ""
    fix = verdict.reasons[0].fix  # the reasons begin with the one that decides
    return fix if fix.startswith(("log it", "return ")) else ""


def _check_slug(wanted: _Wanted, shared: Mapping[str, list[str]]) -> Iterator[AssessedProblem]:
    others = [name for name in shared.get(wanted.slug, ()) if name != wanted.version.name]
    if others:
        yield AssessedProblem(
            kind="slug",
            message=f"{others[0]!r} has the slug {wanted.slug}, too",
            step=f"write to {layout.CONFIG}: models: {{slugs: {{{wanted.version.name!r}: another-name}}}}",
        )


def _check_storage(findings: Iterable[Finding]) -> Iterator[AssessedProblem]:
    for finding in findings:
        if finding.rule == "storage-refused":
            yield AssessedProblem(kind="storage", message=finding.message, step=finding.hint)


def _check_mlmodel(mlmodel: Mlmodel | None) -> Iterator[AssessedProblem]:
    if mlmodel is not None and (mlmodel.signature is None or mlmodel.signature.inputs is None):
        yield AssessedProblem(
            kind="signature",
            message="it has no signature: callers must know the types, and nothing checks their requests",
            step="log it with a signature: mlflow.models.infer_signature(inputs, outputs)",
        )


def _name_flavor(mlmodel: Mlmodel | None) -> str:
    if mlmodel is None:
        return ""
    return next((one.name for one in mlmodel.flavors if one.name != "python_function"), "python_function")


def _identify(mlmodel: Mlmodel) -> str:
    python = ".".join(map(str, parse_minor(mlmodel.python_version)))
    text = "\n".join((python, *sorted(mlmodel.requirements or ())))
    return hashlib.sha256(text.encode()).hexdigest()[:8]


def _group(judged: Iterable[tuple[AssessedVersion, Mlmodel | None]]) -> Iterator[PackageSet]:
    """The package sets that images need, those of most versions first."""
    sets: dict[str, tuple[Mlmodel, list[str]]] = {}
    for one, mlmodel in judged:
        if one.packages and mlmodel is not None:
            sets.setdefault(one.packages, (mlmodel, []))[1].append(f"{one.model}/{one.version}")
    for identity, (mlmodel, versions) in sorted(sets.items(), key=lambda item: (-len(item[1][1]), item[0])):
        yield PackageSet(
            id=identity,
            python=mlmodel.python_version,
            requirements=tuple(sorted(mlmodel.requirements or ())),
            versions=tuple(versions),
        )
