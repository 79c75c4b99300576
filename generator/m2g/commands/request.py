"""`m2g request`: how a deployed model is asked, from the committed record alone."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from m2g.core import schema_errors
from m2g.core.config_types import Profile, Protocol
from m2g.core.errors import InputError
from m2g.core.model import Mlmodel, Release, Value
from m2g.core.results import SampleRequest
from m2g.inference import Request, drop_example, find_path, make_request
from m2g.inference.curl import Endpoint
from m2g.repository import config as configuration
from m2g.repository import load, state
from m2g.repository.state import Repository, Scope
from m2g.serving.backends import BACKENDS
from m2g.serving.decide import choose, serving_of

_SPEAKS: Mapping[Profile, tuple[Protocol, ...]] = {
    "mlserver": ("v2", "invocations"),
    "mlserver-image": ("v2", "invocations"),
    "oci": ("v2", "invocations"),
    "mlflow-image": ("invocations",),
    "native": ("v2", "v1"),
    "huggingface": ("v2", "v1"),
}
"""Protocols by profile: MLServer has MLflow's path beside its own; KServe's servers have both of KServe's."""


class Wish(Value, frozen=True, kw_only=True):
    """What a person asks for. `protocol` empty: the one of the profile; `again` is the command line that asks it."""

    model: str
    environment: str = ""
    protocol: Protocol | None = None
    again: tuple[str, ...] = ("m2g", "request")


def call(wish: Wish, here: Path) -> SampleRequest:
    """How the model is asked. Without an environment, in the first that has it, which is the furthest from production.

    Raises InputError where nothing fits, and for an example that contradicts its signature.
    """
    repository = load.read_repository(configuration.find_root(here))
    slug, release = _release(repository, wish)
    chosen = choose(repository, slug, release)
    serving, _ = serving_of(repository, slug, release)
    protocol = wish.protocol or chosen.protocol
    if release.mlmodel is None:
        hint = "register what mlflow.<flavor>.log_model made; then `m2g render`"
        raise InputError(f"{release.model} version {release.version} has no MLmodel file, so nobody knows", hint=hint)
    mlmodel = release.mlmodel if repository.config.requests.values == "example" else drop_example(release.mlmodel)
    made = _request(mlmodel, protocol, release)
    notes = list(made.notes)
    if protocol not in _SPEAKS[chosen.profile]:
        spoken = " and ".join(_SPEAKS[chosen.profile])
        notes.insert(0, f"{release.environment} is served by the profile {chosen.profile}, which speaks {spoken} alone")
    if chosen.profile == "huggingface":
        notes.append("a model that generates text is asked at /openai/v1/chat/completions or /openai/v1/completions")
    backend = BACKENDS[serving.backend]
    target = Endpoint(
        slug=slug,
        namespace=repository.config.environments[release.environment].namespace,
        path=find_path(slug, protocol),
        knative=serving.knative,
        local=serving.visibility == "cluster-local",
    )
    again = (*wish.again, slug, "--env", release.environment)
    body = (*again, *(("--protocol", protocol) if wish.protocol else ()), "--body") if made.body else "request.json"
    return SampleRequest(
        model=release.model,
        slug=slug,
        environment=release.environment,
        model_version=release.version,
        profile=chosen.profile,
        protocol=protocol,
        path=target.path,
        body=made.body,
        origin=made.origin,
        notes=tuple(notes),
        ingress=backend.ingress(target, body),
        port_forward=backend.port_forward(target, body),
    )


def _request(mlmodel: Mlmodel, protocol: Protocol, release: Release) -> Request:
    try:
        return make_request(mlmodel, protocol)
    except InputError as error:
        raise InputError(f"{release.model} version {release.version}: {error.message}", hint=error.hint) from error


def _release(repository: Repository, wish: Wish) -> tuple[str, Release]:
    """The record of the model that is asked for by slug or name. Raises InputError where there is none."""
    places = list(repository.config.environments)
    if wish.environment:
        state.check_environments(repository.config, Scope(environments=frozenset((wish.environment,))))
        places = [wish.environment]
    found = {
        environment: (slug, release)
        for (slug, environment), release in repository.records.items()
        if wish.model in (slug, release.model) and environment in repository.config.environments
    }
    for place in places:
        if place in found:
            return found[place]
    if found:
        hint = f"it has one in {', '.join(sorted(found))}"
        raise InputError(f"{wish.model} has no release record in {wish.environment}", hint=hint)
    known = sorted({name for (slug, _), release in repository.records.items() for name in (slug, release.model)})
    close = schema_errors.suggest(wish.model, known)
    hint = f"did you mean {close}?" if close else "`m2g render` makes records"
    raise InputError(f"this repository has no release record of {wish.model!r}", hint=hint)
