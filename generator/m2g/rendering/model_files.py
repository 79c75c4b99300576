"""One model's input becomes its files: a pure function, the same bytes for the same input."""

from __future__ import annotations

import functools
from collections.abc import Mapping

import msgspec

from m2g.core.config_types import Config
from m2g.core.errors import InputError
from m2g.core.finding import Finding
from m2g.core.model import Release, Value
from m2g.core.stamp import stamp
from m2g.core.yaml_writer import Plain, dump
from m2g.inference import find_path as request_path
from m2g.inference.curl import Endpoint
from m2g.rendering import card
from m2g.rendering.backends import RENDERERS
from m2g.rendering.gitops import argocd, flux, kustomization
from m2g.rendering.objects import Object, Subject
from m2g.rendering.sample_request import Sample, sample
from m2g.repository import layout
from m2g.serving.backends import BACKENDS
from m2g.serving.spec import Chosen, Serving


class Deployment(Value, frozen=True, kw_only=True):
    """One model in one environment: what runs, how, and from where. `custom` says that a person's component exists."""

    release: Release
    serving: Serving
    chosen: Chosen
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
    samples = _samples(config, model)
    try:
        name = next(iter(model.deployments.values())).release.model
        base = RENDERERS[model.base.backend].base(model.slug, name, model.base)
        files |= _shared(config, model, base, samples)
        for environment in sorted(model.deployments):
            files |= _overlay(config, model, base, environment)
            files |= _sample(model.slug, environment, samples[environment])
    except InputError as error:
        findings.append(Finding(rule="text-unprintable", message=error.message, hint=error.hint))
    return ({}, findings) if findings else (files, findings)


def _shared(
    config: Config, model: ModelInput, base: Mapping[str, Object], samples: Mapping[str, Sample]
) -> dict[str, bytes]:
    folder = layout.base(model.slug)
    files = {
        f"{folder}/kustomization.yaml": _kustomization(tuple(base)),
        layout.card(model.slug): stamp(layout.CARD, card.card(model.slug, _rows(config, model, samples))),
    }
    for name, item in base.items():
        files |= _yaml(f"{folder}/{name}", item)
    return files


@functools.cache  # the models of one backend have the same
def _kustomization(resources: tuple[str, ...]) -> bytes:
    return stamp("kustomization.yaml", dump(kustomization.base(resources)))


def _rows(config: Config, model: ModelInput, samples: Mapping[str, Sample]) -> list[card.Row]:
    return [
        card.Row(
            release=deployment.release,
            namespace=config.environments[environment].namespace,
            source=" with ".join(filter(None, (deployment.chosen.storage_uri, deployment.chosen.image))),
            protocol=deployment.chosen.protocol,
            sample=_name(environment, samples[environment]),
            notes=samples[environment].notes,
            call=_call(config, model, environment, samples[environment]),
            profile=deployment.chosen.profile,
            reason=deployment.chosen.reason,
        )
        for environment in config.environments
        if (deployment := model.deployments.get(environment)) is not None
    ]


def _call(config: Config, model: ModelInput, environment: str, made: Sample) -> tuple[str, ...]:
    """How to send the sample from the model's folder; without a file, the way that prints the body."""
    deployment = model.deployments[environment]
    target = Endpoint(
        slug=model.slug,
        namespace=config.environments[environment].namespace,
        path=request_path(model.slug, deployment.chosen.protocol),
        knative=deployment.serving.knative,
        local=deployment.serving.visibility == "cluster-local",
    )
    body: str | tuple[str, ...] = f"{layout.REQUESTS}/{_name(environment, made)}" if made.text else "request.json"
    if made.known and not made.text:
        body = ("m2g", "request", model.slug, "--env", environment, "--body")
    backend = BACKENDS[deployment.serving.backend]
    return backend.ingress(target, body) or backend.port_forward(target, body)


def _samples(config: Config, model: ModelInput) -> dict[str, Sample]:
    """The sample of each environment."""
    return {
        environment: sample(deployment.release.mlmodel, deployment.chosen.protocol, config.requests)
        for environment, deployment in model.deployments.items()
    }


def _name(environment: str, made: Sample) -> str:
    """The name of the file in requests/; empty where there is none."""
    return f"{environment}.json" if made.text else ""


def _sample(slug: str, environment: str, made: Sample) -> dict[str, bytes]:
    path = layout.request(slug, environment)
    return {path: stamp(path, made.text)} if made.text else {}


def _overlay(config: Config, model: ModelInput, base: Mapping[str, Object], environment: str) -> dict[str, bytes]:
    deployment = model.deployments[environment]
    serving = deployment.serving
    place = config.environments[environment]
    subject = _subject(environment, deployment, flux=config.sync.flux is not msgspec.UNSET)
    objects = RENDERERS[serving.backend].overlay(model.slug, subject, serving)
    shared = base if serving.backend == model.base.backend else {}
    overlay = kustomization.overlay(shared, objects, place.namespace, environment, custom=deployment.custom)
    folder = layout.overlay(model.slug, environment)
    files = record(model.slug, deployment.release)
    for name, content in overlay.items():
        files |= _yaml(f"{folder}/{name}", content)
    if config.sync.argocd is not msgspec.UNSET:
        files |= _json(f"{folder}/app.json", argocd.app(model.slug, environment, place.namespace, deployment.custom))
    if config.sync.flux is not msgspec.UNSET:
        child = flux.kustomization(model.slug, environment, place, config.sync.flux, serving)
        files |= _yaml(layout.flux_file(model.slug, environment), child)
    return files


def _subject(environment: str, deployment: Deployment, *, flux: bool) -> Subject:
    chosen = deployment.chosen
    return Subject(
        model=deployment.release.model,
        profile=chosen.profile,
        environment=environment,
        release=deployment.release,
        model_format=chosen.model_format,
        runtime=chosen.runtime,
        image=chosen.image,
        storage_uri=chosen.storage_uri,
        batch_image=chosen.batch_image,
        batch_model=chosen.batch_model,
        flux=flux,
    )


def record(slug: str, release: Release) -> dict[str, bytes]:
    """The release record as a file."""
    text = msgspec.json.format(msgspec.json.encode(release), indent=2).decode() + "\n"
    path = layout.release(slug, release.environment)
    return {path: stamp(path, text)}


def _yaml(path: str, value: Plain) -> dict[str, bytes]:
    return {path: stamp(path, dump(value))}


def _json(path: str, value: Mapping[str, str]) -> dict[str, bytes]:
    text = msgspec.json.format(msgspec.json.encode(value), indent=2).decode() + "\n"
    return {path: stamp(path, text)}
