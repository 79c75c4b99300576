"""Merge the layers of settings into one complete description of how a model is served, and check the bounds.

Later layers win: m2g.yaml defaults, the environment, the team, model.yaml, model.yaml's environment, registry tags.
"""

from __future__ import annotations

import fnmatch
import functools
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import TypeAlias

import msgspec
from msgspec import UNSET

from m2g.core import quantity
from m2g.core.config_types import Bound, Config, Kserve, ModelIntent
from m2g.core.errors import InputError
from m2g.core.finding import Finding
from m2g.core.interning import canonical
from m2g.core.kserve_fields import KnativeScaling, MlserverSettings
from m2g.core.model import Release, Value
from m2g.core.setting_fields import Batch, Mode, Operation, Resources, ValueFrom
from m2g.core.settings import Settings, list_fields
from m2g.core.teams import list_teams
from m2g.repository import layout
from m2g.serving.backends import BACKENDS
from m2g.serving.batch_run import BatchRun
from m2g.serving.spec import Serving, find_contradictions


class Layer(Value, frozen=True, kw_only=True):
    """Settings and where people can change them: a path in a file, or a registry tag."""

    settings: Settings
    file: str
    place: str
    tag: str = ""
    bounded: bool = False
    of_class: bool = False
    """Whether they are the settings of a class."""

    def __hash__(self) -> int:
        """Hash only what is hashable; equality compares all fields."""
        return hash((self.file, self.place, self.tag))


_NOTHING = Settings()
_PARTS = (Batch, KnativeScaling, MlserverSettings)
_Part: TypeAlias = Settings | Batch | KnativeScaling | MlserverSettings
_DEFAULT_RESOURCES = Resources(requests={"cpu": "500m", "memory": "1Gi"}, limits={"cpu": "1", "memory": "2Gi"})


def collect_layers(
    config: Config, slug: str, environment: str, intent: ModelIntent, release: Release | None
) -> tuple[list[Layer], list[Finding]]:
    """The layers in order, and a finding for each tag with an invalid value.

    An empty `environment` gives the layers that apply to every environment (those of the base). A model.yaml without
    settings adds no layer, so models without settings of their own share one cached result.
    """
    findings: list[Finding] = []
    result = [Layer(settings=config.defaults, file=layout.CONFIG, place="defaults")]
    if environment:
        env = config.environments[environment]
        result.append(Layer(settings=env.settings, file=layout.CONFIG, place=f"environments.{environment}.settings"))
    teams = list_teams(config, slug)
    result += [
        Layer(settings=config.teams[team].settings, file=layout.CONFIG, place=f"teams.{team}.settings")
        for team in teams
    ]
    if len(teams) > 1:
        findings.append(_two_teams(slug, teams))
    file = layout.model_yaml(slug)
    if intent.settings != _NOTHING:
        result.append(Layer(settings=intent.settings, file=file, place="settings", bounded=True))
    pin = intent.environments.get(environment)
    if pin is not None and pin.settings != _NOTHING:
        place = f"environments.{environment}.settings"
        result.append(Layer(settings=pin.settings, file=file, place=place, bounded=True))
    for key, text in sorted(release.tags.items()) if release else ():
        if key not in config.tags:
            continue
        try:
            setting = parse_setting(config.tags[key], text)
        except InputError as error:
            findings.append(_tag_finding(key, text, error.message))
        else:
            result.append(Layer(settings=setting, file="", place=config.tags[key], tag=key, bounded=True))
    return _insert_class(config, result), findings


def _two_teams(slug: str, teams: Sequence[str]) -> Finding:
    return Finding(
        rule="setting-contradiction",
        file=layout.CONFIG,
        path=f"teams.{teams[1]}.models",
        message=f"the model {slug} is matched by the teams {' and '.join(teams)}",
        hint="write narrower patterns, so that each model has one team",
    )


def _insert_class(config: Config, layers: list[Layer]) -> list[Layer]:
    """The layers with the settings of the class that the last of them names, before those of the model itself."""
    name = next((layer.settings.class_ for layer in reversed(layers) if layer.settings.class_ is not UNSET), "")
    if name not in config.classes:  # a finding: see `_resolve`
        return layers
    of_class = Layer(settings=config.classes[name], file=layout.CONFIG, place=f"classes.{name}", of_class=True)
    own = next((index for index, layer in enumerate(layers) if layer.bounded), len(layers))
    return [*layers[:own], of_class, *layers[own:]]


def check_config(config: Config) -> list[Finding]:
    """The invalid settings of m2g.yaml, whether a model uses them or not.

    Contradictions are left out: a model's own settings may resolve them.
    """
    layers = [
        layer
        for environment in ("", *config.environments)
        for layer in collect_layers(config, "", environment, ModelIntent(), None)[0]
    ]
    layers += [
        Layer(settings=team.settings, file=layout.CONFIG, place=f"teams.{name}.settings")
        for name, team in config.teams.items()
    ]
    return list(dict.fromkeys(finding for layer in layers for finding in _check_quantities(layer)))


def parse_setting(path: str, text: str) -> Settings:
    """One setting from text, such as `resources.limits.memory` and `2Gi`. Raises InputError if the value is invalid."""
    value: object = text
    for part in reversed(path.split(".")):
        value = {part: value}
    try:
        return msgspec.convert(value, Settings, strict=False)
    except msgspec.ValidationError as error:
        problem = next((text for start, text in _PROBLEMS.items() if str(error).startswith(start)), "has another type")
        raise InputError(f"{path} {problem}", hint=_TAG_HINT) from error


_TAG_HINT = "set the tag to an allowed value in MLflow, or delete it there; m2g.yaml has the bounds"
_PROBLEMS = {
    "Expected `int` <=": "is too large",
    "Expected `int` >=": "is too small",
    "Expected `int`": "must be a whole number",
    "Expected `str` of length": "is too short or too long",
    "Expected `str` matching": "must be a Kubernetes name",
    "Invalid enum value": "has none of the allowed values",
}
"""How msgspec's message begins → what it means for the person who set the tag."""


def resolve_settings(
    layers: Sequence[Layer], bounds: Mapping[str, Bound], kserve: Kserve
) -> tuple[Serving, list[Finding]]:
    """Merge the layers and check the bounds. A Serving with findings must not be rendered."""
    fixed, limits = tuple(layers), tuple(bounds.items())
    serving, findings = _resolve(fixed, limits, kserve, canonical((fixed, limits, kserve)))
    return serving, list(findings)


@functools.lru_cache(maxsize=16)  # many models have no settings of their own
def _resolve(
    layers: tuple[Layer, ...], bounds: tuple[tuple[str, Bound], ...], kserve: Kserve, _canonical: bytes
) -> tuple[Serving, tuple[Finding, ...]]:
    """`_canonical` distinguishes values that are equal but differ: 1e16 equals an integer, but is not a quantity."""
    findings = [f for layer in layers for f in _check_quantities(layer)]
    findings = findings or [f for layer in layers if layer.bounded for f in _check_bounds(layer, bounds)]
    if findings:
        return Serving(kserve=kserve), tuple(findings)
    merged: dict[str, object] = {}
    for layer in layers:
        _merge(merged, layer.settings)
    serving = _complete(merged, kserve)
    if serving.class_ and not any(layer.of_class for layer in layers):
        return serving, (locate(_unknown_class(serving.class_), layers),)
    if serving.backend not in BACKENDS:
        finding = locate(_unknown_backend(serving.backend), layers)
        return msgspec.structs.replace(serving, backend=Serving(kserve=kserve).backend), (finding,)
    contradictions = (
        *_check_gpus(merged, serving),
        *_check_metrics(layers),
        *BACKENDS[serving.backend].contradictions(serving),
        *find_contradictions(serving),
    )
    return serving, tuple(locate(finding, layers) for finding in contradictions)


def _check_gpus(merged: Mapping[str, object], serving: Serving) -> Iterator[Finding]:
    resources = merged.get("resources")
    if not serving.gpus or not isinstance(resources, Resources):
        return
    for side, amounts in (("requests", resources.requests), ("limits", resources.limits)):
        if serving.gpu_resource in amounts:
            yield Finding(
                rule="setting-contradiction",
                path=f"resources.{side}.{serving.gpu_resource}",
                message=f"gpus and resources both set {serving.gpu_resource}",
                hint=f"keep gpus: {serving.gpus}, and remove {serving.gpu_resource} from resources",
            )


def _check_metrics(layers: Sequence[Layer]) -> Iterator[Finding]:
    """A later layer may replace the metric of an earlier one by `autoScaling`; one layer says it once."""
    for layer in layers:
        given = layer.settings
        if given.auto_scaling is UNSET or "metrics" not in given.auto_scaling:
            continue
        for name, value in (("scaleMetric", given.scale_metric), ("scaleTarget", given.scale_target)):
            if value is not UNSET:
                yield Finding(
                    rule="setting-contradiction",
                    path=name,
                    message=f"autoScaling.metrics takes the place of {name}",
                    hint=f"remove {name}, or autoScaling",
                )


def _unknown_class(name: str) -> Finding:
    return Finding(
        rule="setting-contradiction",
        path="class",
        message=f"there is no class {name!r}",
        hint=f"use a class that {layout.CONFIG} has, or add it there: classes: {{{name}: {{gpus: 1}}}}",
    )


def _unknown_backend(name: str) -> Finding:
    return Finding(
        rule="setting-contradiction",
        path="backend",
        message=f"there is no serving backend {name!r}",
        hint=f"use one of: {', '.join(BACKENDS)}",
    )


def locate(finding: Finding, layers: Sequence[Layer]) -> Finding:
    """The finding at the last layer that has its setting, or else one around it or any other: there people fix it."""
    parts = finding.path.split(".")
    for length in range(len(parts), 0, -1):
        for layer in reversed(layers):
            value = _get_at(layer.settings, ".".join(parts[:length]))
            if value is None:
                continue
            if layer.tag:
                return _tag_finding(layer.tag, str(value), finding.message)
            return msgspec.structs.replace(finding, file=layer.file, path=f"{layer.place}.{finding.path}")
    written = [layer for layer in layers if layer.settings != _NOTHING and not layer.tag]
    last = written[-1] if written else layers[0]
    return msgspec.structs.replace(finding, file=last.file, path=f"{last.place}.{finding.path}")


def _check_quantities(layer: Layer) -> Iterator[Finding]:
    """A finding for each amount that is not a Kubernetes quantity."""
    batch = layer.settings.batch
    given = [("", layer.settings.resources), ("batch.", UNSET if batch is UNSET else batch.resources)]
    for where, kind, amounts in (
        (where, kind, amounts)
        for where, resources in given
        if isinstance(resources, Resources)
        for kind, amounts in (("requests", resources.requests), ("limits", resources.limits))
    ):
        for name, amount in amounts.items():
            try:
                quantity.parse(str(amount))
            except InputError as error:
                path = f"{where}resources.{kind}.{name}"
                if layer.tag:
                    yield _tag_finding(layer.tag, str(amount), f"{path}: {error.message}")
                else:
                    yield _layer_finding("setting-invalid", layer, path, error.message, error.hint)


def _merge(merged: dict[str, object], settings: _Part) -> None:
    rows = list_fields().values() if isinstance(settings, Settings) else ()
    keys = {field.attribute: field.row.key for field in rows}
    adds = {field.attribute for field in rows if field.row.adds}
    for name in settings.__struct_fields__:
        value = getattr(settings, name)
        if value is UNSET:
            continue
        if isinstance(value, Resources):
            before = merged.get(name)
            old = before if isinstance(before, Resources) else Resources()
            merged[name] = Resources(requests=old.requests | value.requests, limits=old.limits | value.limits)
        elif isinstance(value, _PARTS):
            inner: dict[str, object] = {}
            before = merged.get(name)
            for each in (before, value):
                if isinstance(each, _PARTS):
                    _merge(inner, each)
            merged[name] = msgspec.structs.replace(type(value)(), **inner)
        elif isinstance(value, dict):
            before = merged.get(name)
            merged[name] = {**before, **value} if isinstance(before, dict) else dict(value)
        elif name in adds:
            before = merged.get(name)
            merged[name] = (*(before if isinstance(before, tuple) else ()), *value)
        elif keys.get(name):
            before = merged.get(name)
            items = (*(before if isinstance(before, tuple) else ()), *value)
            merged[name] = tuple({str(item.get(keys[name])): item for item in items}.values())
        else:
            merged[name] = value


def _complete(merged: Mapping[str, object], kserve: Kserve) -> Serving:
    fields = dict(merged)
    given = fields.pop("resources", None)
    if not isinstance(given, Resources):
        given = Resources()
    requests = _canonicalize(_DEFAULT_RESOURCES.requests | given.requests)
    limits = _canonicalize(_DEFAULT_RESOURCES.limits | given.limits)
    for name, default in _DEFAULT_RESOURCES.limits.items():
        if name not in given.limits and quantity.parse(requests[name]) > quantity.parse(str(default)):
            limits[name] = requests[name]
    for name in _DEFAULT_RESOURCES.requests:
        if name not in given.requests and quantity.parse(requests[name]) > quantity.parse(limits[name]):
            requests[name] = limits[name]
    if gpus := int(str(fields.get("gpus", 0))):
        resource = str(fields.get("gpu_resource", Serving(kserve=kserve).gpu_resource))
        requests[resource] = limits[resource] = str(gpus)
    fields |= {"kserve": kserve, "requests": requests, "limits": limits}
    env = fields.pop("env", {})
    if isinstance(env, dict):
        fields["env"] = {name: value for name, value in env.items() if isinstance(value, str)}
        fields["env_references"] = {
            name: value.value_from for name, value in env.items() if isinstance(value, ValueFrom)
        }
    fields["given"] = {
        field.name: list(value) if isinstance(value := fields.pop(field.attribute), tuple) else value
        for field in list_fields().values()
        if field.attribute in fields and field.attribute not in Serving.__struct_fields__
    }
    if isinstance(batch := fields.get("batch"), Batch):
        fields["batch"] = _complete_batch(batch, requests, limits)
    fields.setdefault("min_replicas", 1)
    fields.setdefault("max_replicas", max(1, int(str(fields["min_replicas"]))))
    if kserve.mode is Mode.KNATIVE:
        fields.setdefault("scale_metric", "concurrency")
        fields.setdefault("scale_target", 10)
    return msgspec.convert({_encoded_name(name): msgspec.to_builtins(value) for name, value in fields.items()}, Serving)


def _complete_batch(batch: Batch, requests: Mapping[str, str], limits: Mapping[str, str]) -> BatchRun:
    given = {name: value for name, value in msgspec.structs.asdict(batch).items() if value is not UNSET}
    given.pop("resources", None)
    own = batch.resources if isinstance(batch.resources, Resources) else Resources()
    return msgspec.structs.replace(
        BatchRun(),
        **given,
        requests={**requests, **_canonicalize(own.requests)},
        limits={**limits, **_canonicalize(own.limits)},
    )


def _encoded_name(name: str) -> str:
    return Serving.__struct_encode_fields__[Serving.__struct_fields__.index(name)]


def _canonicalize(amounts: Mapping[str, object]) -> dict[str, str]:
    return {name: quantity.canonicalize(str(amount)) for name, amount in sorted(amounts.items())}


def _check_bounds(layer: Layer, bounds: Sequence[tuple[str, Bound]]) -> Iterator[Finding]:
    yield from _check_grants(layer, {path for path, _ in bounds})
    for path, bound in bounds:
        given = _get_at(layer.settings, path)
        compared = ((one, _compare(one, bound)) for one in _list_compared(given) if one is not None)
        value, problem = next((pair for pair in compared if pair[1]), (None, ""))
        if problem and layer.tag:
            yield _tag_finding(layer.tag, str(value), f"{path} {problem}")
        elif problem:
            hint = f"use a value inside bounds.{path} of m2g.yaml, or ask the owners of m2g.yaml to change the bounds"
            yield _layer_finding("setting-out-of-bounds", layer, path, f"{str(value)[:80]!r} {problem}", hint)


def _check_grants(layer: Layer, bounded: Collection[str]) -> Iterator[Finding]:
    """Settings that only m2g.yaml may set, unless its bounds name them."""
    found = {
        field.name: field.name
        for field in list_fields().values()
        if field.row.granted and getattr(layer.settings, field.attribute) is not UNSET
    }
    env = {} if layer.settings.env is UNSET else layer.settings.env
    found |= {f"env.{name}": "envFrom" for name, value in env.items() if isinstance(value, ValueFrom)}
    words = {path: f"set {name}" if path == name else "use valueFrom" for path, name in found.items()}
    for path, key, name in _list_internal(layer.settings):
        found[path], words[path] = name, f"set {key}, which is KServe's own form of {name}"
    for path, name in found.items():
        if name not in bounded:
            message = f"only {layout.CONFIG} may {words[path]}"
            hint = f"move it to {layout.CONFIG}, or ask its owners to allow it there: bounds: {{{name}: {{}}}}"
            yield _layer_finding("setting-out-of-bounds", layer, path, message, hint)


def _list_internal(settings: Settings) -> Iterator[tuple[str, str, str]]:
    """The labels and annotations by which KServe tells its own webhook what the pods get: the path, the key, and the
    setting whose bound it needs. KServe copies those of people to the pods, and obeys them."""
    for place, given in (
        ("annotations", settings.annotations),
        ("podAnnotations", settings.pod_annotations),
        ("labels", settings.labels),
        ("podLabels", settings.pod_labels),
    ):
        for key in () if given is UNSET else given:
            if key.startswith(_INTERNAL):
                names = (name for start, name in _INTERNALS.items() if key.startswith(f"{_INTERNAL}{start}"))
                yield f"{place}.{key}", key, next(names, "patch")


_INTERNAL = "internal.serving.kserve.io/"
_INTERNALS = {"logger": "logger", "storage-": "storage"}
"""How the rest of such a key begins → the setting that decides the same."""


def _get_at(settings: Settings, path: str) -> object:
    value: object = settings
    parts = path.split(".")
    for index, part in enumerate(parts):
        if isinstance(value, msgspec.Struct):
            names = dict(zip(value.__struct_encode_fields__, value.__struct_fields__, strict=True))
            value = getattr(value, names[part], None) if part in names else None
        elif isinstance(value, dict):  # the rest is one key, such as nvidia.com/gpu
            return value.get(".".join(parts[index:]))
        if value is None or value is UNSET:
            return None
    return value


def _list_compared(value: object) -> Iterator[object]:
    """What a bound compares: the paths of a patch, or the value."""
    if isinstance(value, tuple) and all(isinstance(one, Operation) for one in value):
        yield from (one.path for one in value)
    else:
        yield value


def _compare(value: object, bound: Bound) -> str:
    """Why `value` is outside `bound`; empty if it is inside."""
    if bound.one_of is not UNSET and not any(fnmatch.fnmatchcase(str(value), allowed) for allowed in bound.one_of):
        return f"is not one of {', '.join(bound.one_of)}"
    try:
        if bound.min is not UNSET and quantity.parse(str(value)) < quantity.parse(str(bound.min)):
            return f"is below the minimum {bound.min}"
        if bound.max is not UNSET and quantity.parse(str(value)) > quantity.parse(str(bound.max)):
            return f"is above the maximum {bound.max}"
    except InputError as error:
        return error.message if bound.min is not UNSET or bound.max is not UNSET else ""
    return ""


def _layer_finding(rule: str, layer: Layer, path: str, message: str, hint: str) -> Finding:
    return Finding(rule=rule, file=layer.file, path=f"{layer.place}.{path}", message=message, hint=hint)


def _tag_finding(key: str, text: str, problem: str) -> Finding:
    return Finding(
        rule="tag-out-of-bounds",
        path=f"tags.{key}",
        message=f"the registry tag {key!r} is {text[:80]!r}: {problem}",
        hint=_TAG_HINT,
    )
