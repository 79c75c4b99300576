"""Make m2g's values from what servers and local stores return: sorted, with numbers for JSON, without secrets.

Text that somebody logged enters m2g only here, and passes `core.redact`. So records, reviews and the cache cannot hold
a secret that somebody put into a tag, a parameter, a URI or a file.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable, Mapping
from typing import TypeVar
from urllib.parse import urlsplit

import msgspec

from m2g.core.model import Dataset, ModelVersion, RegisteredModel, Run, VersionFacts
from m2g.core.redact import redact, redact_bytes, redact_named
from m2g.registry.model_files import MLMODEL, ModelFiles

_PROMPT = "mlflow.prompt.is_prompt"
_CONTEXT = "mlflow.data.context"
_T = TypeVar("_T")


def sort_keys(mapping: Mapping[str, _T]) -> dict[str, _T]:
    """Sorted by key. SQLite returns rows alphabetically, PostgreSQL in the order of insertion."""
    return dict(sorted(mapping.items()))


def is_prompt(tags: Mapping[str, str]) -> bool:
    """Whether a registered model or version is a prompt, which MLflow stores in the same table."""
    return tags.get(_PROMPT, "").lower() == "true"


def make_model(name: str, aliases: Mapping[str, str], tags: Mapping[str, str]) -> RegisteredModel:
    """A registered model with sorted aliases and tags."""
    return RegisteredModel(name=name, aliases=sort_keys(aliases), tags=sort_keys(redact_named(tags)))


def make_version(version: ModelVersion) -> ModelVersion:
    """A version with sorted tags."""
    return msgspec.structs.replace(version, source=redact(version.source), tags=sort_keys(redact_named(version.tags)))


def make_run(run: Run, datasets: Iterable[tuple[str, str, Mapping[str, str]]]) -> Run:
    """A run with its datasets (name, digest, tags), all sorted. Raises ValueError for a metric that is not a number."""
    return msgspec.structs.replace(
        run,
        metrics=sort_keys({redact(key): parse_metric(value) for key, value in run.metrics.items()}),
        params=sort_keys(redact_named(run.params)),
        tags=sort_keys(redact_named(run.tags)),
        datasets=make_datasets(datasets),
    )


def make_facts(artifact_uri: str, run: Run | None, found: ModelFiles) -> VersionFacts:
    """The facts of one version."""
    files = {name: redact_bytes(content) for name, content in found.files.items()}
    changed = MLMODEL in files and files[MLMODEL] != found.files[MLMODEL]
    return VersionFacts(
        artifact_uri=redact(artifact_uri),
        run=run,
        files=files,
        unread=found.unread,
        mlmodel_sha256=hashlib.sha256(found.files[MLMODEL]).hexdigest() if changed else "",
    )


def sort_models(models: Iterable[RegisteredModel]) -> list[RegisteredModel]:
    """The models sorted by name, without duplicates."""
    return [model for _, model in sorted({model.name: model for model in models}.items())]


def sort_versions(versions: Iterable[ModelVersion]) -> list[ModelVersion]:
    """The versions sorted by name and number, without duplicates."""
    unique = {(v.name, v.version): v for v in versions}
    return sorted(unique.values(), key=lambda v: (v.name, len(v.version), v.version))


def parse_metric(value: float | str) -> float | str:
    """The value of a metric. NaN and infinities become the text that protobuf uses in JSON. Raises ValueError."""
    exact = float(value)
    if math.isnan(exact):
        return "NaN"
    if math.isinf(exact):
        return "Infinity" if exact > 0 else "-Infinity"
    return exact


def make_datasets(inputs: Iterable[tuple[str, str, Mapping[str, str]]]) -> tuple[Dataset, ...]:
    """Datasets from (name, digest, tags), sorted, without duplicates."""
    unique = {(redact(name), digest, redact(tags.get(_CONTEXT, ""))) for name, digest, tags in inputs}
    return tuple(Dataset(name=name, digest=digest, context=context) for name, digest, context in sorted(unique))


def split_run_uri(uri: str) -> tuple[str, str] | None:
    """(run id, path) of a `runs:/<run id>/<path>` URI; None for any other URI."""
    if not uri.startswith("runs:"):
        return None
    run_id, _, path = urlsplit(uri).path.lstrip("/").partition("/")
    return run_id, path.strip("/")


def join_path(folder: str, path: str) -> str:
    """`path` inside a folder, which is a path or a URI. A query (`…?endpoint=…`) stays at the end."""
    base, mark, query = folder.partition("?")
    return f"{base.rstrip('/')}/{path}{mark}{query}" if base and path else folder or path
