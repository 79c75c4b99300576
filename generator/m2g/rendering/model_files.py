"""Render the files of one model. This is a pure function: the same input gives the same bytes."""

from __future__ import annotations

import functools
from collections.abc import Iterator, Mapping

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
from m2g.rendering.kserve.canary import CanaryInput, render_canary
from m2g.rendering.objects import Object, ServedModel
from m2g.rendering.sample_request import Sample, make_sample
from m2g.repository import layout
from m2g.repository.selection import find_shared_name
from m2g.serving.backends import BACKENDS
from m2g.serving.canary import Split, list_versions
from m2g.serving.spec import Serving, ServingChoice


class Deployment(Value, frozen=True, kw_only=True):
    """One model in one environment.

    `custom` tells that people wrote a Kustomize component for it, and `outward` that it refers to files outside of the
    model's folder. `split` is None without a canary in model.yaml.
    """

    release: Release
    serving: Serving
    choice: ServingChoice
    custom: bool = False
    outward: bool = False
    split: Split | None = None


class ModelInput(Value, frozen=True, kw_only=True):
    """Everything that one model's files depend on. `base` are the settings that do not depend on an environment."""

    slug: str
    base: Serving
    deployments: dict[str, Deployment]


def render_files(config: Config, model: ModelInput) -> tuple[dict[str, bytes], list[Finding]]:
    """Path → content of every file of one model, with its release records. With findings, there are no files."""
    files: dict[str, bytes] = {}
    findings: list[Finding] = []
    samples = _make_samples(config, model)
    try:
        first = next(iter(model.deployments.values())).release
        name = find_shared_name(config, first.environment, first.model) or first.model
        base = RENDERERS[model.base.backend].base(model.slug, name, model.base)
        files |= _render_shared(config, model, base, samples)
        for environment in sorted(model.deployments):
            files |= _render_environment(config, model, base, environment)
            files |= _render_sample(model.slug, environment, samples[environment])
    except InputError as error:
        findings.append(Finding(rule="text-unprintable", message=error.message, hint=error.hint))
    return ({}, findings) if findings else (files, findings)


def _render_shared(
    config: Config, model: ModelInput, base: Mapping[str, Object], samples: Mapping[str, Sample]
) -> dict[str, bytes]:
    folder = layout.base(model.slug)
    files = {
        f"{folder}/kustomization.yaml": _render_base_kustomization(tuple(base)),
        layout.card(model.slug): stamp(layout.CARD, card.render_card(model.slug, _make_rows(config, model, samples))),
    }
    for name, item in base.items():
        files |= _yaml(f"{folder}/{name}", item)
    return files


@functools.cache  # all models of a backend have the same
def _render_base_kustomization(resources: tuple[str, ...]) -> bytes:
    return stamp("kustomization.yaml", dump(kustomization.render_base(resources)))


def _make_rows(config: Config, model: ModelInput, samples: Mapping[str, Sample]) -> list[card.CardRow]:
    return [
        card.CardRow(
            release=deployment.release,
            namespace=config.environments[environment].namespace,
            source=" with ".join(filter(None, (deployment.choice.storage_uri, deployment.choice.image))),
            protocol=deployment.choice.protocol,
            sample=_sample_name(environment, samples[environment]),
            notes=samples[environment].notes,
            call=_make_call(config, model, environment, samples[environment]),
            profile=deployment.choice.profile,
            reason=deployment.choice.reason,
        )
        for environment in config.environments
        if (deployment := model.deployments.get(environment)) is not None
    ]


def _make_call(config: Config, model: ModelInput, environment: str, sample: Sample) -> tuple[str, ...]:
    """The commands that send the sample, for the model's folder. Without a file, `m2g request` prints the body."""
    deployment = model.deployments[environment]
    target = Endpoint(
        slug=model.slug,
        namespace=config.environments[environment].namespace,
        path=request_path(model.slug, deployment.choice.protocol),
        knative=deployment.serving.knative,
        local=deployment.serving.visibility == "cluster-local",
    )
    body: str | tuple[str, ...] = "request.json"
    if sample.text:
        body = f"{layout.REQUESTS}/{_sample_name(environment, sample)}"
    elif sample.known:
        body = ("m2g", "request", model.slug, "--env", environment, "--body")
    backend = BACKENDS[deployment.serving.backend]
    return backend.ingress(target, body) or backend.port_forward(target, body)


def _make_samples(config: Config, model: ModelInput) -> dict[str, Sample]:
    """The sample request of each environment."""
    return {
        environment: make_sample(deployment.release.mlmodel, deployment.choice.protocol, config.requests)
        for environment, deployment in model.deployments.items()
    }


def _sample_name(environment: str, sample: Sample) -> str:
    """The name of the file in requests/; empty if there is none."""
    return f"{environment}.json" if sample.text else ""


def _render_sample(slug: str, environment: str, sample: Sample) -> dict[str, bytes]:
    path = layout.request(slug, environment)
    return {path: stamp(path, sample.text)} if sample.text else {}


def _render_environment(
    config: Config, model: ModelInput, base: Mapping[str, Object], environment: str
) -> dict[str, bytes]:
    deployment = model.deployments[environment]
    namespace = config.environments[environment].namespace
    objects = render_objects(config, model.slug, deployment)
    shared = base if deployment.serving.backend == model.base.backend else {}
    overlay = kustomization.render_overlay(shared, objects, namespace, environment, custom=deployment.custom)
    folder = layout.overlay(model.slug, environment)
    files = render_record(model.slug, deployment.release)
    for name, content in overlay.items():
        files |= _yaml(f"{folder}/{name}", content)
    if config.sync.argocd is not msgspec.UNSET:
        paths = [layout.from_git_root(config.sync.path, path) for path in _source_paths(model.slug, deployment)]
        app = argocd.render_app(model.slug, environment, namespace, paths)
        files |= _json(f"{folder}/app.json", app)
    for path, child in render_flux_file(config, model.slug, deployment).items():
        files |= _yaml(path, child)
    return files


def render_objects(config: Config, slug: str, deployment: Deployment) -> dict[str, Object]:
    """The objects of one release by file, without their namespace."""
    in_flux = config.sync.flux is not msgspec.UNSET
    served = _served_model(deployment.release, deployment.choice, flux=in_flux)
    objects = RENDERERS[deployment.serving.backend].overlay(slug, served, deployment.serving)
    split = deployment.split
    if split is None:
        return objects
    one = split.candidate
    return render_canary(
        objects,
        CanaryInput(
            slug=slug,
            namespace=config.environments[deployment.release.environment].namespace,
            stable=served,
            serving=deployment.serving,
            split=split,
            candidate=None if one is None else _served_model(one.release, one.choice, flux=in_flux),
        ),
    )


def find_problems(slug: str, deployment: Deployment) -> Iterator[Finding]:
    """The settings that do not fit the objects of this release. The path of a finding is the setting's."""
    served = _served_model(deployment.release, deployment.choice, flux=False)
    for path, message, hint in RENDERERS[deployment.serving.backend].problems(slug, served, deployment.serving):
        yield Finding(rule="setting-contradiction", path=path, message=message, hint=hint)


def render_flux_file(config: Config, slug: str, deployment: Deployment) -> dict[str, Object]:
    """The Flux Kustomization that applies the overlay, by file, if Flux is used."""
    release, sync = deployment.release, config.sync
    if sync.flux is msgspec.UNSET:
        return {}
    if shared := deployment.choice.environment:
        # The ServingRuntime must exist before the InferenceService, whose state is InvalidSpec without it.
        waits_for = (*sync.flux.depends_on, flux.name_environment(shared, release.environment))
        sync = msgspec.structs.replace(sync, flux=msgspec.structs.replace(sync.flux, depends_on=waits_for))
    place = config.environments[release.environment]
    versions = list_versions(slug, release, deployment.split)
    child = flux.render_kustomization(sync, (slug, release.environment), place, deployment.serving, versions)
    return {layout.flux_file(slug, release.environment): child}


def _source_paths(slug: str, deployment: Deployment) -> list[str]:
    """What the overlay is built from; the empty path is the whole repository."""
    if deployment.outward:
        return [""]
    paths = [layout.overlay(slug, deployment.release.environment), layout.base(slug)]
    return [*paths, layout.custom(slug)] if deployment.custom else paths


def _served_model(release: Release, choice: ServingChoice, *, flux: bool) -> ServedModel:
    return ServedModel(
        model=release.model,
        profile=choice.profile,
        environment=release.environment,
        release=release,
        model_format=choice.model_format,
        runtime=choice.runtime,
        image=choice.image,
        storage_uri=choice.storage_uri,
        batch_image=choice.batch_image,
        batch_model=choice.batch_model,
        flux=flux,
        predictor=release.predictor,
    )


def render_record(slug: str, release: Release) -> dict[str, bytes]:
    """The release record as a file."""
    text = msgspec.json.format(msgspec.json.encode(release), indent=2).decode() + "\n"
    path = layout.release(slug, release.environment)
    return {path: stamp(path, text)}


def _yaml(path: str, value: Plain) -> dict[str, bytes]:
    return {path: stamp(path, dump(value))}


def _json(path: str, value: Mapping[str, str]) -> dict[str, bytes]:
    text = msgspec.json.format(msgspec.json.encode(value), indent=2).decode() + "\n"
    return {path: stamp(path, text)}
