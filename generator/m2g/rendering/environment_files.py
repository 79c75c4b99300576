"""Render the files of a serving environment. This is a pure function: the same input gives the same bytes."""

from __future__ import annotations

import msgspec

from m2g.core.config_types import Config, Environment, Flux, Sync
from m2g.core.serving_environment import RecordedEnvironment
from m2g.core.stamp import stamp
from m2g.core.yaml_writer import Plain, dump
from m2g.rendering.gitops import kustomization
from m2g.rendering.gitops.flux import name_environment
from m2g.repository import environments, layout
from m2g.serving.environment_runtime import make_annotations, make_spec, name_runtime

_UP = "../../"


def render_environment(config: Config, recorded: RecordedEnvironment) -> dict[str, bytes]:
    """Path to content: the record, the lock, and with an image the ServingRuntime for every environment of m2g.yaml.

    It does not depend on the releases: a promotion finds its runtime there, and two proposals never conflict.
    """
    files = environments.render_record(recorded.environment, recorded.text)
    if not recorded.environment.image:
        return files
    base, runtime = layout.environment_base(recorded.id), layout.environment_runtime(recorded.id)
    files |= _yaml(f"{base}/kustomization.yaml", kustomization.render_base([runtime.rpartition("/")[2]]))
    files |= _yaml(runtime, render_runtime(recorded))
    for environment, place in config.environments.items():
        files |= _render_overlay(config, recorded.id, environment, place)
    return files


def render_runtime(recorded: RecordedEnvironment) -> dict[str, Plain]:
    """The ServingRuntime, without its namespace."""
    annotations: dict[str, Plain] = {"m2g.dev/serving-environment": recorded.id}
    return {
        "apiVersion": "serving.kserve.io/v1alpha1",
        "kind": "ServingRuntime",
        "metadata": {
            "name": name_runtime(recorded),
            "labels": {"app.kubernetes.io/managed-by": "m2g"},
            "annotations": {**make_annotations(recorded.environment), **annotations},
        },
        "spec": make_spec(recorded),
    }


def _render_overlay(config: Config, name: str, environment: str, place: Environment) -> dict[str, bytes]:
    folder = layout.environment_overlay(name, environment)
    overlay: dict[str, Plain] = {
        "apiVersion": "kustomize.config.k8s.io/v1beta1",
        "kind": "Kustomization",
        "namespace": place.namespace,
        "resources": [f"{_UP}{layout.BASE}"],
    }
    files = _yaml(f"{folder}/kustomization.yaml", overlay)
    if config.sync.argocd is not msgspec.UNSET:
        app = {
            "slug": layout.environment_unit(name),
            "environment": environment,
            "namespace": place.namespace,
            "overlay": folder,
            "paths": ";".join(
                f"/{layout.from_git_root(config.sync.path, path)}" for path in (folder, layout.environment_base(name))
            ),
        }
        text = msgspec.json.format(msgspec.json.encode(app), indent=2).decode() + "\n"
        files[f"{folder}/app.json"] = stamp("app.json", text)
    if config.sync.flux is not msgspec.UNSET:
        child = _render_flux(name, environment, place, config.sync)
        files |= _yaml(layout.environment_flux_file(name, environment), child)
    return files


def _render_flux(name: str, environment: str, place: Environment, sync: Sync) -> dict[str, Plain]:
    flux = Flux() if sync.flux is msgspec.UNSET else sync.flux
    spec: dict[str, Plain] = {
        "interval": flux.interval,
        "retryInterval": "2m",
        "timeout": flux.timeout,
        "path": f"./{layout.from_git_root(sync.path, layout.environment_overlay(name, environment))}",
        "prune": True,
        "deletionPolicy": "Orphan" if place.keep_on_removal else "MirrorPrune",
        "wait": False,
        "sourceRef": {"kind": "GitRepository", "name": flux.source},
    }
    if flux.service_account_name is not msgspec.UNSET:
        spec["serviceAccountName"] = flux.service_account_name
    if flux.depends_on:
        spec["dependsOn"] = [{"name": one} for one in flux.depends_on]
    return {
        "apiVersion": "kustomize.toolkit.fluxcd.io/v1",
        "kind": "Kustomization",
        "metadata": {
            "name": name_environment(name, environment),
            "namespace": flux.namespace,
            "labels": {"app.kubernetes.io/managed-by": "m2g", "m2g.dev/environment": environment},
        },
        "spec": spec,
    }


def _yaml(path: str, value: Plain) -> dict[str, bytes]:
    return {path: stamp(path, dump(value))}
