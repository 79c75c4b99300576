"""One model's input becomes its files: a pure function, the same bytes for the same input."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from m2g.emit import Plain, dump
from m2g.errors import InputError
from m2g.finding import Finding
from m2g.intent import Config
from m2g.model import Release, Value
from m2g.render import argocd, card, flux, kserve, kustomize
from m2g.serving import Serving
from m2g.tree import stamp


class Deployment(Value, frozen=True, kw_only=True):
    """One model in one environment: what runs, how, and from where. `custom` says that a person's component exists."""

    release: Release
    serving: Serving
    storage_uri: str
    custom: bool = False


class ModelInput(Value, frozen=True, kw_only=True):
    """All that one model's files depend on. `base` is its serving without any environment."""

    slug: str
    base: Serving
    deployments: dict[str, Deployment]


def render(config: Config, model: ModelInput) -> tuple[dict[str, bytes], list[Finding]]:
    """Path to content of every file of one model, release records included; no files where there are findings."""
    files: dict[str, bytes] = {}
    findings: list[Finding] = []
    try:
        files |= _shared(config, model)
        for environment, deployment in sorted(model.deployments.items()):
            files |= _overlay(config, model, environment, deployment)
    except InputError as error:
        findings.append(Finding(rule="text-unprintable", message=error.message, hint=error.hint))
    return ({}, findings) if findings else (files, findings)


def _shared(config: Config, model: ModelInput) -> dict[str, bytes]:
    folder = f"models/{model.slug}"
    name = next(iter(model.deployments.values())).release.model
    base = kserve.inference_service(model.slug, kserve.Subject(model=name), model.base)
    return {
        **_yaml(f"{folder}/base/kustomization.yaml", kustomize.base()),
        **_yaml(f"{folder}/base/{kustomize.MANIFEST}", base),
        f"{folder}/README.md": stamp("README.md", card.card(model.slug, _rows(config, model))),
    }


def _rows(config: Config, model: ModelInput) -> list[card.Row]:
    return [
        card.Row(
            release=deployment.release,
            namespace=config.environments[environment].namespace,
            source=deployment.serving.image or deployment.storage_uri,
            path=kserve.request_path(model.slug, deployment.serving),
        )
        for environment in config.environments
        if (deployment := model.deployments.get(environment)) is not None
    ]


def _overlay(config: Config, model: ModelInput, environment: str, deployment: Deployment) -> dict[str, bytes]:
    place = config.environments[environment]
    folder = f"models/{model.slug}/overlays/{environment}"
    release = deployment.release
    base = kserve.inference_service(model.slug, kserve.Subject(model=release.model), model.base)
    subject = kserve.Subject(
        model=release.model,
        environment=environment,
        release=release,
        storage_uri=deployment.storage_uri,
        flux=config.sync.flux is not msgspec.UNSET,
    )
    full = kserve.inference_service(model.slug, subject, deployment.serving)
    files = _record(model.slug, release)
    glue = kustomize.overlay(model.slug, environment, place.namespace, custom=deployment.custom)
    for path, body in glue.items():
        files |= _yaml(f"{folder}/{path}", body)
    files |= _yaml(f"{folder}/{kustomize.patch_file(custom=deployment.custom)}", kustomize.patch(base, full))
    if config.sync.argocd is not msgspec.UNSET:
        files |= _json(f"{folder}/app.json", argocd.app(model.slug, environment, place.namespace, deployment.custom))
    if config.sync.flux is not msgspec.UNSET:
        child = flux.kustomization(model.slug, environment, place, config.sync.flux, deployment.serving)
        files |= _yaml(f"fleet/{environment}/{model.slug}.yaml", child)
    return files


def _record(slug: str, release: Release) -> dict[str, bytes]:
    text = msgspec.json.format(msgspec.json.encode(release), indent=2).decode() + "\n"
    path = f"models/{slug}/releases/{release.environment}.json"
    return {path: stamp(path, text)}


def _yaml(path: str, value: Plain) -> dict[str, bytes]:
    return {path: stamp(path, dump(value))}


def _json(path: str, value: Mapping[str, str]) -> dict[str, bytes]:
    text = msgspec.json.format(msgspec.json.encode(value), indent=2).decode() + "\n"
    return {path: stamp(path, text)}
