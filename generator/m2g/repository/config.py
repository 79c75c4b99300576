"""Read m2g.yaml and model.yaml as values. Problems become findings with line numbers."""

from __future__ import annotations

import functools
import glob
import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import msgspec
from msgspec import UNSET

from m2g.core import quantity, safe_files, schema_errors, yaml_reader
from m2g.core.config_types import Bound, Config, EnvironmentModels, Follow, ModelIntent
from m2g.core.errors import InputError
from m2g.core.finding import Finding
from m2g.core.model import Value
from m2g.core.naming import RESERVED
from m2g.core.resources import find_root as find_data
from m2g.core.schema_errors import Violation
from m2g.core.settings import Settings, find_type, has_structures, is_scalar
from m2g.repository.layout import CONFIG, model_yaml
from m2g.repository.model_folder import ModelFolder, list_slugs

if TYPE_CHECKING:
    import jsonschema_rs

_LARGEST = 1 << 63
_SETTINGS_HINT = "use a setting such as minReplicas or resources.limits.memory"
_T = TypeVar("_T", Config, ModelIntent)


class LoadedConfig(Value, frozen=True, kw_only=True):
    """m2g.yaml as a value. `config` is None if the file is invalid; `findings` say why."""

    config: Config | None
    findings: tuple[Finding, ...] = ()


def find_root(start: Path) -> Path:
    """The folder that contains m2g.yaml: `start` or one of its parents. Raises InputError if there is none."""
    for folder in (start, *start.parents):
        if (folder / CONFIG).is_file():
            return folder
    raise InputError(
        f"no {CONFIG} in {start} or a parent folder",
        hint="run m2g in a GitOps repository, pass one with -C DIR, or create one with `m2g init DIR`",
    )


def load(root: Path) -> LoadedConfig:
    """Read m2g.yaml. Every finding has a line. Raises InputError if the file cannot be read or is not YAML."""
    return parse(safe_files.read(root, CONFIG))


def parse(content: bytes) -> LoadedConfig:
    """Like `load`, but from the content of the file."""
    document = yaml_reader.read(CONFIG, content)
    config, findings = _convert(document, Config)
    if config is None:
        return LoadedConfig(config=None, findings=tuple(findings))
    findings = [
        Finding(
            file=CONFIG, line=document.find_line(path), path=".".join(path), rule="config-invalid", message=m, hint=h
        )
        for path, m, h in _find_contradictions(config)
    ]
    return LoadedConfig(config=config, findings=tuple(findings))


def read_intents(root: Path) -> tuple[dict[str, ModelIntent], list[Finding]]:
    """Slug to model.yaml of every model that has one, and findings for invalid files."""
    intents: dict[str, ModelIntent] = {}
    findings: list[Finding] = []
    for slug in list_slugs(root):
        intent, new_findings = read_intent(root, ModelFolder(slug=slug, files={}))
        findings += new_findings
        if intent is not None:
            intents[slug] = intent
    return intents, findings


def read_intent(root: Path, folder: ModelFolder) -> tuple[ModelIntent | None, list[Finding]]:
    """The model.yaml of a model, or None if it has none, and findings for an invalid one."""
    file = model_yaml(folder.slug)
    try:
        return parse_intent(file, folder.read(root, file))
    except FileNotFoundError:
        return None, []
    except InputError as error:
        return None, [Finding(rule="yaml-invalid", file=file, message=error.message, hint=error.hint)]


def parse_intent(file: str, content: bytes) -> tuple[ModelIntent | None, list[Finding]]:
    """Decode a model.yaml, or return None and its findings. Raises InputError if it is not plain YAML."""
    return _convert(yaml_reader.read(file, content), ModelIntent)


def find_unknown_environments(config: Config, intents: Mapping[str, ModelIntent]) -> Iterator[Finding]:
    """A finding for each environment in a model.yaml that is not in m2g.yaml."""
    for slug, intent in intents.items():
        for name in sorted(set(intent.environments) - set(config.environments)):
            yield Finding(
                rule="environment-unknown",
                file=model_yaml(slug),
                path=f"environments.{name}",
                message=f"m2g.yaml has no environment {name!r}",
                hint=f"known environments: {', '.join(config.environments)}",
            )


def describe_unreadable(error: InputError) -> Finding:
    """The finding for an m2g.yaml that cannot be read or is not YAML."""
    return Finding(rule="yaml-invalid", file=CONFIG, message=error.message, hint=error.hint)


def find_registry_uri(config: Config) -> str:
    """The URI in m2g.yaml, else MLFLOW_REGISTRY_URI or MLFLOW_TRACKING_URI. Raises InputError if none is set."""
    if config.registry.uri is not UNSET:
        return config.registry.uri
    uri = os.environ.get("MLFLOW_REGISTRY_URI") or os.environ.get("MLFLOW_TRACKING_URI")
    if not uri:
        raise InputError(
            "no MLflow registry is configured",
            hint=f"set registry.uri in {CONFIG}, or the environment variable MLFLOW_TRACKING_URI",
        )
    return uri


def _convert(document: yaml_reader.Document, kind: type[_T]) -> tuple[_T | None, list[Finding]]:
    """The value of a file, or findings. The types decide whether it is valid; their JSON Schema explains what is
    wrong."""
    data = {} if document.data is None and kind is ModelIntent else document.data
    try:
        value = msgspec.convert(data, kind)
        violations = _find_violations(data, kind) if any(map(has_structures, _list_settings(value))) else []
        if not violations:
            return value, []
    except msgspec.ValidationError:
        violations = _find_violations(data, kind)
    if not violations:
        return msgspec.convert(_to_integers(data), kind), []
    return None, [
        Finding(
            rule="config-invalid" if kind is Config else "model-yaml-invalid",
            file=document.file,
            line=document.find_line(violation.where),
            path=violation.path,
            message=violation.message,
            hint=violation.hint,
        )
        for violation in violations
    ]


def _list_settings(value: Config | ModelIntent) -> Iterator[Settings]:
    """All settings in a file."""
    if isinstance(value, ModelIntent):
        yield value.settings
        yield from (pin.settings for pin in value.environments.values())
        return
    yield from (value.defaults, *value.classes.values(), *(team.settings for team in value.teams.values()))
    yield from (environment.settings for environment in value.environments.values())


def _to_integers(data: object) -> object:
    """`1.0` and `1e3` are integers to JSON Schema, and so to editors."""
    if isinstance(data, dict):
        return {key: _to_integers(value) for key, value in data.items()}
    if isinstance(data, list):
        return [_to_integers(value) for value in data]
    return int(data) if isinstance(data, float) and data.is_integer() and abs(data) < _LARGEST else data


def _find_violations(data: object, kind: type[Config] | type[ModelIntent]) -> list[Violation]:
    schema, validator = _compile(kind)
    return schema_errors.sort_violations(
        v for error in validator.iter_errors(data) for v in schema_errors.explain_error(error, schema)
    )


@functools.cache  # compiling takes as long as reading a file, and every model may have one
def _compile(kind: type[Config] | type[ModelIntent]) -> tuple[dict[str, object], jsonschema_rs.Validator]:
    import jsonschema_rs

    name = "m2g" if kind is Config else "model"
    schema = msgspec.json.decode((find_data() / f"schemas/m2g/{name}.schema.json").read_bytes(), type=dict[str, object])
    return schema, jsonschema_rs.validator_for(schema)


_Contradiction = tuple[tuple[str, ...], str, str]


def _find_contradictions(config: Config) -> Iterator[_Contradiction]:
    if not config.environments:
        yield ("environments",), "no environments are defined", "add one, such as prod: {namespace: models-prod}"
    if config.registry.uri is not UNSET and "@" in config.registry.uri.partition("://")[2].partition("/")[0]:
        hint = "remove them; set MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD where m2g runs"
        yield ("registry", "uri"), "contains a user or password, but this file is in Git", hint
    for name, environment in config.environments.items():
        yield from _check_follow(("environments", name, "follow"), environment.follow)
        chosen = [f for f in ("alias", "stage", "tag") if getattr(environment.follow, f) is not UNSET]
        if len(chosen) > 1:
            message = f"sets {' and '.join(chosen)}, but only one is allowed"
            yield ("environments", name, "follow"), message, "keep one of them"
    yield from _check_models(config)
    yield from _check_proposals(config)
    for key, path in config.tags.items():
        if not is_scalar(find_type(path)):
            yield ("tags", key), f"{path!r} is not a setting with one value", _SETTINGS_HINT
        elif path not in config.bounds:
            hint = f"add bounds.{path}, because everyone who may tag a model may set it"
            yield ("tags", key), f"{path} has no bounds", hint
    for path, bound in config.bounds.items():
        yield from _check_bound(path, bound)
    for name, team in config.teams.items():
        for path, bound in team.bounds.items():
            yield from ((("teams", name, *place), text, hint) for place, text, hint in _check_bound(path, bound))
    for name, settings in config.classes.items():
        if settings.class_ is not UNSET:
            yield ("classes", name, "class"), "a class cannot choose a class", "remove it"
    yield from _check_slugs(config.models.slugs)


def _check_slugs(slugs: Mapping[str, str]) -> Iterator[_Contradiction]:
    by_slug: dict[str, str] = {}
    for name, slug in slugs.items():
        if slug in RESERVED:
            yield ("models", "slugs", name), f"the slug {slug!r} has a special meaning in Flux", "choose another slug"
        if slug in by_slug:
            other = by_slug[slug]
            yield ("models", "slugs", name), f"{name!r} and {other!r} have the same slug, {slug}", "choose two slugs"
        by_slug[slug] = name


def _check_models(config: Config) -> Iterator[_Contradiction]:
    """Where one environment has registered models of its own, another takes them, too, unless it chooses."""
    own = [name for name, one in config.environments.items() if one.models.name != "{model}"]
    for name, environment in config.environments.items():
        if own and environment.models == EnvironmentModels():
            form = config.environments[own[0]].models.name
            pattern = glob.escape(form).replace("{model}", "*")
            leave = f"environments.{name}.models: {{exclude: [{pattern!r}]}}"
            yield (
                ("environments", name),
                f"takes the registered models of {own[0]}, too ({form})",
                f"leave them out: {leave}; or give {name} models of its own: {{name: '{name}.{{model}}'}}",
            )


def _check_proposals(config: Config) -> Iterator[_Contradiction]:
    rules = config.proposals
    for field, names in (("direct", rules.direct), ("autoMerge", rules.auto_merge)):
        for number, name in enumerate(names):
            if name not in config.environments:
                hint = f"known environments: {', '.join(config.environments)}"
                yield ("proposals", field, str(number)), f"there is no environment {name!r}", hint


def _check_follow(path: tuple[str, ...], follow: Follow) -> Iterator[_Contradiction]:
    """MLflow's rules for aliases: `[\\w-]+`, but `latest` and versions such as `v1` are reserved."""
    if follow.alias is not UNSET and not re.fullmatch(r"[\w-]+", follow.alias):
        yield (*path, "alias"), f"{follow.alias!r} is not a valid alias", "use letters, digits, '_' and '-'"
    elif follow.alias is not UNSET and re.fullmatch(r"latest|v\d+", follow.alias, re.IGNORECASE):
        yield (*path, "alias"), f"{follow.alias!r} is reserved by MLflow", "follow another alias, such as champion"
    if follow.tag is not UNSET and not follow.tag.partition("=")[0].strip():
        yield (*path, "tag"), f"{follow.tag!r} has no tag key", "write key or key=value"


def _check_bound(path: str, bound: Bound) -> Iterator[_Contradiction]:
    kind = find_type(path)
    if kind is None:
        yield ("bounds", path), f"{path!r} is not a setting", _SETTINGS_HINT
    elif bound not in (Bound(), *([Bound(one_of=bound.one_of)] if path == "patch" else [])) and not is_scalar(kind):
        yield ("bounds", path), f"{path} is no single value to compare", f"write {path}: {{}} to allow any value"
    for limit in (bound.min, bound.max):
        if limit is not UNSET:
            try:
                quantity.parse(str(limit))
            except InputError as error:
                yield ("bounds", path), error.message, error.hint
                return
    both = bound.min is not UNSET and bound.max is not UNSET
    if both and quantity.parse(str(bound.min)) > quantity.parse(str(bound.max)):
        yield ("bounds", path), f"the minimum {bound.min} is larger than the maximum {bound.max}", "swap them"
