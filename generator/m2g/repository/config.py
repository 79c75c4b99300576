"""m2g.yaml and model.yaml on disk become values; what is wrong in them becomes findings with lines."""

from __future__ import annotations

import functools
import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import msgspec
from msgspec import UNSET

from m2g.core import quantity, safe_files, schema_errors, yaml_reader
from m2g.core.config_types import Bound, Config, Follow, ModelIntent, Settings
from m2g.core.errors import InputError
from m2g.core.finding import Finding
from m2g.core.model import Value
from m2g.core.naming import RESERVED
from m2g.core.schema_errors import Violation
from m2g.repository.layout import CONFIG, model_yaml
from m2g.repository.model_folder import ModelFolder, list_slugs

if TYPE_CHECKING:
    import jsonschema_rs

_LARGEST = 1 << 63
_T = TypeVar("_T", Config, ModelIntent)


class LoadedConfig(Value, frozen=True, kw_only=True):
    """m2g.yaml as a value, None where it cannot be one; `findings` say why."""

    config: Config | None
    findings: tuple[Finding, ...] = ()


def find_root(start: Path) -> Path:
    """The folder at or above `start` that has m2g.yaml. Raises InputError where there is none."""
    for folder in (start, *start.parents):
        if (folder / CONFIG).is_file():
            return folder
    raise InputError(
        f"no {CONFIG} in {start} or above",
        hint="run m2g inside a GitOps repository, name one with -C, or make one with `m2g init DIR`",
    )


def load(root: Path) -> LoadedConfig:
    """Read m2g.yaml; every finding has its line. Raises InputError where it is no YAML or cannot be read."""
    return parse(safe_files.read(root, CONFIG))


def parse(content: bytes) -> LoadedConfig:
    """As `load`, from the file's bytes."""
    document = yaml_reader.read(CONFIG, content)
    config, findings = _converted(document, Config)
    if config is None:
        return LoadedConfig(config=None, findings=tuple(findings))
    findings = [
        Finding(
            file=CONFIG, line=document.find_line(place), path=".".join(place), rule="config-invalid", message=m, hint=h
        )
        for place, m, h in _contradictions(config)
    ]
    return LoadedConfig(config=config, findings=tuple(findings))


def read_intents(root: Path) -> tuple[dict[str, ModelIntent], list[Finding]]:
    """Slug to model.yaml of every model that has one, and the findings of those that cannot be used."""
    found: dict[str, ModelIntent] = {}
    findings: list[Finding] = []
    for slug in list_slugs(root):
        intent, wrong = read_intent(root, ModelFolder(slug=slug, files={}))
        findings += wrong
        if intent is not None:
            found[slug] = intent
    return found, findings


def read_intent(root: Path, folder: ModelFolder) -> tuple[ModelIntent | None, list[Finding]]:
    """model.yaml of a model, None where it has none, and the findings of one that cannot be used."""
    file = model_yaml(folder.slug)
    try:
        document = yaml_reader.read(file, folder.read(root, file))
    except FileNotFoundError:
        return None, []
    except InputError as error:
        return None, [Finding(rule="yaml-invalid", file=file, message=error.message, hint=error.hint)]
    return _converted(document, ModelIntent)


def find_unknown_environments(config: Config, found: Mapping[str, ModelIntent]) -> Iterator[Finding]:
    """A finding for each environment in a model.yaml that m2g.yaml does not have."""
    for slug, intent in found.items():
        for name in sorted(set(intent.environments) - set(config.environments)):
            yield Finding(
                rule="environment-unknown",
                file=model_yaml(slug),
                path=f"environments.{name}",
                message=f"m2g.yaml has no environment {name!r}",
                hint=f"it has {', '.join(config.environments)}",
            )


def describe_unreadable(error: InputError) -> Finding:
    """What a script reads where m2g.yaml is no YAML."""
    return Finding(rule="yaml-invalid", file=CONFIG, message=error.message, hint=error.hint)


def find_registry_uri(config: Config) -> str:
    """The tracking URI: m2g.yaml's, else MLFLOW_REGISTRY_URI or MLFLOW_TRACKING_URI. Raises InputError for none."""
    if config.registry.uri is not UNSET:
        return config.registry.uri
    uri = os.environ.get("MLFLOW_REGISTRY_URI") or os.environ.get("MLFLOW_TRACKING_URI")
    if not uri:
        raise InputError(
            "no MLflow registry is named",
            hint=f"set registry.uri in {CONFIG}, or MLFLOW_TRACKING_URI in the environment",
        )
    return uri


def _converted(document: yaml_reader.Document, kind: type[_T]) -> tuple[_T | None, list[Finding]]:
    """What a file says, or what is wrong in it. The types say whether it is right; the schema of them has the words."""
    data = {} if document.data is None and kind is ModelIntent else document.data
    try:
        return msgspec.convert(data, kind), []
    except msgspec.ValidationError:
        violations = _violations(data, kind)
    if not violations:
        return msgspec.convert(_whole(data), kind), []
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


def _whole(data: object) -> object:
    """`1.0` and `1e3` are whole numbers to a JSON Schema, and so to editors."""
    if isinstance(data, dict):
        return {key: _whole(value) for key, value in data.items()}
    if isinstance(data, list):
        return [_whole(value) for value in data]
    return int(data) if isinstance(data, float) and data.is_integer() and abs(data) < _LARGEST else data


def _violations(data: object, kind: type[Config] | type[ModelIntent]) -> list[Violation]:
    schema, validator = _compiled(kind)
    return schema_errors.sort_violations(
        v for error in validator.iter_errors(data) for v in schema_errors.explain_error(error, schema)
    )


@functools.cache  # making it takes as long as reading a file, and every model may have one
def _compiled(kind: type[Config] | type[ModelIntent]) -> tuple[dict[str, object], jsonschema_rs.Validator]:
    import jsonschema_rs

    schema = msgspec.json.schema(kind)
    return schema, jsonschema_rs.validator_for(schema)


_Problem = tuple[tuple[str, ...], str, str]


def _contradictions(config: Config) -> Iterator[_Problem]:
    if not config.environments:
        yield ("environments",), "no environment is named", "add one, such as prod: {namespace: models-prod}"
    if config.registry.uri is not UNSET and "@" in config.registry.uri.partition("://")[2].partition("/")[0]:
        hint = "set MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD where m2g runs"
        yield ("registry", "uri"), "carries a user or password; this file is in Git", hint
    for name, environment in config.environments.items():
        yield from _unfollowable(("environments", name, "follow"), environment.follow)
        chosen = [f for f in ("alias", "stage", "tag") if getattr(environment.follow, f) is not UNSET]
        if len(chosen) > 1:
            what = " and ".join(chosen)
            yield ("environments", name, "follow"), f"follows {what} at once", "keep one of them"
    for key, path in config.tags.items():
        if not _is_setting(path):
            yield ("tags", key), f"{path!r} is no setting", "a setting such as minReplicas or resources.limits.memory"
        elif path not in config.bounds:
            yield ("tags", key), f"{path} has no bounds", f"add bounds.{path}: whoever may tag a model may set it"
    for path, bound in config.bounds.items():
        yield from _unbounded(path, bound)
        if not _is_setting(path):
            yield ("bounds", path), f"{path!r} is no setting", "a setting such as minReplicas or resources.limits.cpu"
    by_slug: dict[str, str] = {}
    for name, slug in config.models.slugs.items():
        if slug in RESERVED:
            yield ("models", "slugs", name), f"{slug} is a name that Flux reads otherwise", "choose another slug"
        if slug in by_slug:
            other = by_slug[slug]
            yield ("models", "slugs", name), f"{name!r} and {other!r} have one slug, {slug}", "give each its own"
        by_slug[slug] = name


def _unfollowable(place: tuple[str, ...], follow: Follow) -> Iterator[_Problem]:
    """MLflow's own words for aliases: `[\\w-]+`, and `latest` and `v1` mean something else."""
    if follow.alias is not UNSET and not re.fullmatch(r"[\w-]+", follow.alias):
        yield (*place, "alias"), f"{follow.alias!r} is no alias", "MLflow's aliases have letters, digits, '_' and '-'"
    elif follow.alias is not UNSET and re.fullmatch(r"latest|v\d+", follow.alias, re.IGNORECASE):
        yield (*place, "alias"), f"{follow.alias!r} is reserved by MLflow", "follow an alias that people set"
    if follow.tag is not UNSET and not follow.tag.partition("=")[0].strip():
        yield (*place, "tag"), f"{follow.tag!r} names no tag", "write key or key=value"


def _unbounded(path: str, bound: Bound) -> Iterator[_Problem]:
    for limit in (bound.min, bound.max):
        if limit is not UNSET:
            try:
                quantity.parse(str(limit))
            except InputError as error:
                yield ("bounds", path), error.message, error.hint
                return
    both = bound.min is not UNSET and bound.max is not UNSET
    if both and quantity.parse(str(bound.min)) > quantity.parse(str(bound.max)):
        yield ("bounds", path), f"the minimum {bound.min} is above the maximum {bound.max}", "nothing fits; swap them"


def _is_setting(path: str) -> bool:
    """Whether `path` names one scalar setting."""
    head, _, rest = path.partition(".")
    if head == "resources":
        kind, _, name = rest.partition(".")
        return kind in ("requests", "limits") and name != ""
    if head in ("env", "labels", "annotations", "nodeSelector"):
        return rest != ""
    return rest == "" and head in Settings.__struct_encode_fields__
