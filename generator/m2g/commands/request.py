"""`m2g request`: a request for a deployed model, made from the committed record alone."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from m2g.core.errors import InputError
from m2g.core.model import Mlmodel, Profile, Protocol, Release, Value
from m2g.core.results import SampleRequest
from m2g.inference import Request, drop_example, find_path, forms, make_request
from m2g.inference.curl import Endpoint
from m2g.repository import config as configuration
from m2g.repository import load
from m2g.repository.state import find_records
from m2g.serving.backends import BACKENDS
from m2g.serving.decide import choose_serving, resolve_serving

_PROTOCOLS: Mapping[Profile, tuple[Protocol, ...]] = {
    "mlserver": ("v2", "invocations"),
    "mlserver-image": ("v2", "invocations"),
    "oci": ("v2", "invocations"),
    "mlflow-image": ("invocations",),
    "native": ("v2", "v1"),
    "huggingface": ("v2", "v1"),
}
"""The protocols that each profile's server has. MLServer also serves MLflow's /invocations; KServe's servers serve v1
and v2."""


class CallOptions(Value, frozen=True, kw_only=True):
    """The options of `m2g request`.

    Without `protocol`, the profile decides; the forms csv and grpc have their own. `command` starts the `m2g request`
    command lines in the result.
    """

    model: str
    environment: str = ""
    protocol: Protocol | None = None
    form: forms.Form = "json"
    command: tuple[str, ...] = ("m2g", "request")


def prepare_call(options: CallOptions, folder: Path) -> SampleRequest:
    """A request for the model and the commands that send it.

    The default environment is the first one that has the model, which is the furthest from production.
    Raises InputError if there is no record, or if the input example contradicts the signature.
    """
    repository = load.read_repository(configuration.find_root(folder))
    environments = (options.environment,) if options.environment else ()
    (slug, _), release = next(iter(find_records(repository, options.model, environments).items()))
    choice = choose_serving(repository, slug, release)
    serving, _ = resolve_serving(repository, slug, release)
    protocol = _choose_protocol(options, choice.protocol)
    if release.mlmodel is None:
        hint = "log the model with mlflow.<flavor>.log_model, register that version, and run: m2g render"
        raise InputError(
            f"{release.model} version {release.version} has no MLmodel file, so its inputs are not known", hint=hint
        )
    mlmodel = release.mlmodel if repository.config.requests.values == "example" else drop_example(release.mlmodel)
    request = _make_request(mlmodel, protocol, release)
    notes = list(request.notes)
    if protocol not in _PROTOCOLS[choice.profile]:
        supported = " and ".join(_PROTOCOLS[choice.profile])
        notes.insert(
            0, f"{release.environment} uses the profile {choice.profile}, whose server supports only {supported}"
        )
    if choice.profile == "huggingface":
        notes.append("a model that generates text answers at /openai/v1/chat/completions and /openai/v1/completions")
    backend = BACKENDS[serving.backend]
    endpoint = Endpoint(
        slug=slug,
        namespace=repository.config.environments[release.environment].namespace,
        path=find_path(slug, protocol),
        knative=serving.knative,
        local=serving.visibility == "cluster-local",
        content="text/csv" if options.form == "csv" else "application/json",
    )
    command = (*options.command, slug, "--env", release.environment)
    if options.protocol:
        command = (*command, "--protocol", protocol)
    if options.form != "json":
        command = (*command, "--form", options.form)
    body = (*command, "--body") if request.body else "request.json"
    is_program = options.form in ("python", "grpc")
    return SampleRequest(
        model=release.model,
        slug=slug,
        environment=release.environment,
        model_version=release.version,
        profile=choice.profile,
        protocol=protocol,
        path=endpoint.path,
        body=_give_form(request.body, options.form, slug, endpoint.path) if request.body else "",
        origin=request.origin,
        notes=tuple(notes),
        ingress=() if is_program else backend.ingress(endpoint, body),
        port_forward=() if is_program else backend.port_forward(endpoint, body),
    )


def _choose_protocol(options: CallOptions, default: Protocol) -> Protocol:
    """Raises InputError if the form has another protocol than the wanted one."""
    own: dict[forms.Form, Protocol] = {"csv": "invocations", "grpc": "v2"}
    needed = own.get(options.form)
    if needed is not None and options.protocol not in (None, needed):
        hint = f"remove --protocol: the form {options.form} is {needed}"
        raise InputError(f"the protocol {options.protocol} has no form {options.form}", hint=hint)
    return needed or options.protocol or default


def _give_form(body: str, form: forms.Form, slug: str, path: str) -> str:
    match form:
        case "json":
            return body
        case "csv":
            return forms.make_csv(body)
        case "python":
            return forms.make_script(slug, path, body)
        case "grpc":
            return forms.make_grpc_script(slug, body)


def _make_request(mlmodel: Mlmodel, protocol: Protocol, release: Release) -> Request:
    try:
        return make_request(mlmodel, protocol)
    except InputError as error:
        raise InputError(f"{release.model} version {release.version}: {error.message}", hint=error.hint) from error
