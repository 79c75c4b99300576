"""What `plan` is given, in few words: versions, m2g.yaml, pins and records."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType

import msgspec

from m2g.core.config_types import Config, ModelIntent
from m2g.core.finding import Finding
from m2g.core.model import ModelVersion, Release
from m2g.repository.layout import Key
from tests.support.fleet import release


def version(
    name: str,
    number: int,
    *,
    status: str = "READY",
    stage: str = "None",
    created_at: int = 1_700_000_000_000,
    **tags: str,
) -> ModelVersion:
    """As the registry lists it; `release` of the same number is a record of it."""
    source = f"s3://mlflow/1/models/m-{number}/artifacts"
    return ModelVersion(
        name=name,
        version=str(number),
        source=source,
        created_at=created_at,
        status=status,
        stage=stage,
        tags=tags,
    )


def versions(*names: str, last: int = 3) -> tuple[ModelVersion, ...]:
    """Versions 1 to `last` of each model, READY."""
    return tuple(version(name, number) for name in names for number in range(1, last + 1))


def config(
    follow: Mapping[str, str], models: Mapping[str, object], forms: Mapping[str, str] = MappingProxyType({})
) -> Config:
    """m2g.yaml with these environments: `alias=champion`, `stage=Production`, `tag=ok=yes`, or empty for nothing.

    `forms` are the forms of names by environment: `prod.{model}`.
    """
    environments = {}
    for name, what in follow.items():
        kind, _, value = what.partition("=")
        environments[name] = {"namespace": f"models-{name}", "follow": {kind: value} if what else {}}
        environments[name] |= {"models": {"name": forms[name]}} if name in forms else {}
    return msgspec.convert({"version": 1, "environments": environments, "models": models}, Config)


def intents(pins: Mapping[str, Mapping[str, object]]) -> dict[str, ModelIntent]:
    """model.yaml by slug: environment to a version, or to the fields of the environment."""
    return {
        slug: msgspec.convert(
            {"environments": {env: pin if isinstance(pin, dict) else {"version": pin} for env, pin in of.items()}},
            ModelIntent,
        )
        for slug, of in pins.items()
    }


def records(lines: Sequence[str]) -> dict[Key, Release]:
    """`wine/prod 1`, or `wine/prod 1 Old Name` where the record is of another registered name."""
    made = {}
    for line in lines:
        place, number, *name = line.split(" ", 2)
        slug, _, environment = place.partition("/")
        made[slug, environment] = release(name[0] if name else slug, environment, number)
    return made


def line(finding: Finding) -> str:
    """The rule, whom it is about, and its message."""
    where = f"{finding.model}/{finding.environment}" if finding.environment else finding.model
    return f"{finding.rule} {where}: {finding.message}"
