"""How the traffic of one model is split between its stable version and a candidate, and what forbids it."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping

import msgspec
from msgspec import UNSET

from m2g.core.canary_types import Canary, CanaryForm
from m2g.core.finding import Finding, Severity
from m2g.core.model import Release, Value
from m2g.core.naming import LABEL_MAX
from m2g.core.setting_fields import KserveVersion, is_older
from m2g.core.variants import find_candidate, name_predictor
from m2g.repository import layout
from m2g.repository.state import Repository
from m2g.serving.backends import BACKENDS
from m2g.serving.decide import choose_with_settings, resolve_serving
from m2g.serving.spec import Serving, ServingChoice

SINCE: KserveVersion = "0.20"
"""The first KServe with `spec.canary`."""
_EXAMPLE = "models.example.com"


class Candidate(Value, frozen=True, kw_only=True):
    """The version beside the stable one. `name` is its predictor's in the form `spec`, else that of its service."""

    release: Release
    serving: Serving
    choice: ServingChoice
    name: str
    percent: int
    replicas: int


class Split(Value, frozen=True, kw_only=True):
    """How the traffic is split. Without a candidate, the stable version gets all of it through the same entry."""

    form: CanaryForm
    candidate: Candidate | None = None


def choose_form(serving: Serving, choice: ServingChoice) -> CanaryForm:
    """The form that people set, otherwise the one that the environment's KServe has for this profile."""
    kserve = serving.kserve
    if kserve.canary != "auto":
        return kserve.canary
    if serving.knative:
        return "graph"
    return "spec" if not is_older(kserve.version, SINCE) and has_model(choice) else "route"


def has_model(choice: ServingChoice) -> bool:
    """Whether the predictor has `model`: KServe refuses a canary, and a new predictor name, for plain containers."""
    return choice.profile != "mlflow-image" or bool(choice.environment)


def name_service(slug: str) -> str:
    """The InferenceService of the candidate in the forms `route` and `graph`."""
    return f"{slug}-canary"


def name_entry(slug: str) -> str:
    """The HTTPRoute or InferenceGraph that splits the traffic. KServe itself has a HTTPRoute with the model's name."""
    return f"{slug}-split"


def find_canary(repository: Repository, slug: str, environment: str) -> Canary | None:
    """What model.yaml says of a canary."""
    canary = repository.find_intent(slug).find_pin(environment).canary
    return None if canary is UNSET else canary


def split_traffic(
    repository: Repository, slug: str, release: Release, serving: Serving, choice: ServingChoice
) -> tuple[Split | None, list[Finding]]:
    """The split that model.yaml asks for, with the candidate of the record, and what forbids it."""
    canary = find_canary(repository, slug, release.environment)
    if canary is None:
        return None, []
    form = choose_form(serving, choice)
    findings = [*_check_form(slug, release, form, serving, choice), *_check_record(slug, release, canary)]
    candidate = find_candidate(release)
    if findings or candidate is None:
        return Split(form=form), findings
    other, problems = resolve_serving(repository, slug, candidate)
    chosen, more = choose_with_settings(repository, candidate, other)
    findings = [*problems, *more] or [*_check_candidate(slug, release, choice, candidate, chosen)]
    replicas = max(1, math.ceil(serving.min_replicas * canary.share / 100))
    if canary.replicas is not UNSET:
        replicas = canary.replicas
    findings += _check_replicas(slug, release, form, serving, replicas)
    findings += () if form == "spec" else _check_name(repository, slug, release, serving)
    name = name_predictor(release, candidate.version) if form == "spec" else name_service(slug)
    found = Candidate(
        release=candidate, serving=other, choice=chosen, name=name, percent=canary.share, replicas=replicas
    )
    return Split(form=form, candidate=found), findings


def list_versions(slug: str, release: Release, split: Split | None) -> dict[str, str]:
    """What serves → its version. KServe names the Deployment or Knative Service `<what serves>-predictor`."""
    found = {f"{slug}-{release.predictor}" if release.predictor else slug: release.version}
    if split is not None and split.candidate is not None:
        one = split.candidate
        found[f"{slug}-{one.name}" if split.form == "spec" else one.name] = one.release.version
    return found


def find_same_version(repository: Repository, records: Mapping[layout.Key, Release]) -> Iterator[Finding]:
    """A warning for each candidate that is the stable version already: its share says nothing any more."""
    for (slug, environment), release in sorted(records.items()):
        canary = find_canary(repository, slug, environment)
        if canary is not None and canary.version is not UNSET and str(canary.version) == release.version:
            message = f"the candidate is version {release.version}, which is the stable version already"
            hint = f"end the canary: m2g canary {slug} --env {environment} promote"
            finding = Finding(rule="canary-same-version", severity=Severity.WARNING, message=message, hint=hint)
            yield locate(finding, slug, release, "version")


def locate(finding: Finding, slug: str, release: Release, field: str = "") -> Finding:
    """The finding at the canary in a model.yaml, or at a field of it."""
    return msgspec.structs.replace(
        finding,
        file=layout.model_yaml(slug),
        path=f"environments.{release.environment}.canary{field and f'.{field}'}",
        model=release.model,
        environment=release.environment,
    )


def _check_form(
    slug: str, release: Release, form: CanaryForm, serving: Serving, choice: ServingChoice
) -> Iterator[Finding]:
    """What the cluster must have, or must not be, for this form."""
    kserve, environment = serving.kserve, release.environment
    if serving.backend != "kserve":
        message = f"the backend {serving.backend} has no canary in m2g"
        hint = f"remove the canary from {layout.model_yaml(slug)}, or set backend: kserve"
        yield locate(Finding(rule="canary-form", message=message, hint=hint), slug, release)
        return
    problem = _find_misfit(form, serving, choice)
    if problem:
        fix = "graph" if serving.knative else "route"
        hint = f"write to {layout.CONFIG}: environments: {{{environment}: {{kserve: {{canary: {fix}}}}}}}"
        if form == "graph":
            hint = "serve the model with MLServer: set profile: mlserver-image; or use kserve.mode: Standard"
        yield locate(Finding(rule="canary-form", message=problem, hint=hint), slug, release)
        return
    host = UNSET if kserve.gateway is UNSET else kserve.gateway.host
    missing = ""
    if form != "graph" and kserve.gateway is UNSET:
        missing = f"{layout.CONFIG} does not say that the cluster of {environment} has it: kserve.gateway is not set"
    elif form == "route" and host is UNSET:
        missing = "the HTTPRoute needs a host name of its own: kserve.gateway.host is not set"
    if missing:
        message = f"only the Gateway API splits the traffic, and {missing}"
        given = f"{{host: '{{model}}.{{namespace}}.{_EXAMPLE}'}}" if form == "route" else "{}"
        write = f"write to {layout.CONFIG}: environments: {{{environment}: {{kserve: {{version: '{kserve.version}'"
        hint = f"if KServe's ConfigMap has enableGatewayApi: true, {write}, gateway: {given}}}}}}}; if not, {write}, "
        hint += "canary: graph}}}"
        yield locate(Finding(rule="canary-gateway", message=message, hint=hint), slug, release)


def _find_misfit(form: CanaryForm, serving: Serving, choice: ServingChoice) -> str:
    """Why this cluster or profile cannot have the form; empty if it can."""
    kserve = serving.kserve
    if form == "spec" and serving.knative:
        return "KServe has spec.canary in Standard mode only"
    if form == "spec" and is_older(kserve.version, SINCE):
        return f"KServe {kserve.version} has no spec.canary; KServe {SINCE} has it"
    if form == "spec" and not has_model(choice):
        return f"spec.canary needs a predictor with model, and the profile {choice.profile} has a container"
    if form == "route" and serving.knative:
        return "a HTTPRoute cannot reach a Knative Service, whose traffic goes through Knative's own gateway"
    if form == "graph" and choice.protocol == "invocations":
        return "an InferenceGraph calls the V2 protocol, and MLflow's server has none"
    return ""


def _check_record(slug: str, release: Release, canary: Canary) -> Iterator[Finding]:
    """The share in model.yaml is that of a version, so it must be the one that the record has."""
    wanted = "" if canary.version is UNSET else str(canary.version)
    variant = find_candidate(release)
    has = "" if variant is None else variant.version
    if wanted in ("", has, release.version):
        return
    message = f"the candidate is version {wanted}, but the release record has {f'version {has}' if has else 'none'}"
    hint = f"render it where the registry can be reached: m2g render --model {slug} --env {release.environment}"
    yield locate(Finding(rule="canary-not-rendered", message=message, hint=hint), slug, release, "version")


def _check_candidate(
    slug: str, release: Release, choice: ServingChoice, candidate: Release, other: ServingChoice
) -> Iterator[Finding]:
    if (choice.protocol, choice.profile) == (other.protocol, other.profile):
        return
    what = "protocol" if choice.protocol != other.protocol else "profile"
    one, two = (choice.protocol, other.protocol) if what == "protocol" else (choice.profile, other.profile)
    environment = release.environment
    message = (
        f"the candidate, version {candidate.version}, has the {what} {two} ({other.reason}), and the stable version "
        f"{release.version} has {one}: a part of the callers would meet another service"
    )
    hint = (
        f"serve both alike: write to {layout.model_yaml(slug)}: environments: {{{environment}: {{settings: "
        f"{{profile: {other.profile}}}}}}}; or end the canary: m2g canary {slug} --env {environment} abort"
    )
    yield locate(Finding(rule="canary-profile", message=message, hint=hint), slug, release)


def _check_replicas(
    slug: str, release: Release, form: CanaryForm, serving: Serving, replicas: int
) -> Iterator[Finding]:
    """A candidate has no more pods than the stable version, whose number is bounded. KServe refuses more, too."""
    most = serving.min_replicas if form == "spec" else max(1, serving.min_replicas)
    if replicas > most:
        message = f"the candidate has {replicas} pods, and the stable version's minReplicas allow {most}"
        hint = f"set minReplicas to {replicas}, or replicas of the canary to {max(1, most)}"
        yield locate(Finding(rule="canary-replicas", message=message, hint=hint), slug, release, "replicas")


def _check_name(repository: Repository, slug: str, release: Release, serving: Serving) -> Iterator[Finding]:
    """The second service must not have the name of another model's."""
    name, environment = name_service(slug), release.environment
    namespace = repository.config.environments[environment].namespace
    label = BACKENDS[serving.backend].host_label(name, namespace)
    others = [
        place
        for place, one in repository.config.environments.items()
        if one.namespace == namespace and (name, place) in repository.records
    ]
    if others or len(label) > LABEL_MAX:
        problem = f"the host label {label} has {len(label)} characters; Kubernetes allows {LABEL_MAX}"
        if others:
            problem = f"the candidate's service {name} has the name of another model in {namespace}"
        hint = f"give this model another slug in {layout.CONFIG} (models.slugs)"
        yield locate(Finding(rule="canary-name", message=problem, hint=hint), slug, release)
