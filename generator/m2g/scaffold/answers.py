"""The answers of a scaffolded repository: what they were, and what m2g.yaml says now."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from msgspec import UNSET

from m2g.core import safe_files, yaml_reader
from m2g.core.config_types import Config
from m2g.core.errors import InputError
from m2g.core.setting_fields import Mode
from m2g.scaffold.create import ANSWERS


def read_answers(root: Path) -> dict[str, str]:
    """The answers in .copier-answers.yml, as text. Raises InputError if there are none."""
    try:
        data = yaml_reader.read(ANSWERS, safe_files.read(root, ANSWERS)).data
    except FileNotFoundError:
        data = None
    if not isinstance(data, dict):
        raise InputError(
            f"{root} has no {ANSWERS}, so m2g does not know how it was made",
            hint="make a repository with `m2g init DIR`, or change the files of platform/ by hand",
        )
    return {
        name: value if isinstance(value, str) else str(value).lower() if isinstance(value, bool) else str(value)
        for name, value in data.items()
        if not name.startswith("_")
    }


def derive_answers(config: Config, before: Mapping[str, str]) -> dict[str, str]:
    """The answers that m2g.yaml contradicts, as it says them: environments, namespaces, mode, account and tools."""
    prefix = before.get("namespace_prefix", "models")
    knative = any(
        (config.kserve if place.kserve is UNSET else place.kserve).mode is Mode.KNATIVE
        for place in config.environments.values()
    )
    account = config.defaults.service_account_name
    tools = [name for name in ("argocd", "flux") if getattr(config.sync, name) is not UNSET]
    said = {
        "environments": ", ".join(config.environments),
        "namespaces": ", ".join(
            f"{name}={place.namespace}"
            for name, place in config.environments.items()
            if place.namespace != f"{prefix}-{name}"
        ),
        "subfolder": "" if config.sync.path is UNSET else config.sync.path,
        "deployment_mode": (Mode.KNATIVE if knative else Mode.STANDARD).value,
        "service_account": "" if account is UNSET else account,
        "sync": "both" if len(tools) > 1 else "".join(tools),
    }
    may_be_empty = {"namespaces", "subfolder"}
    return {
        name: text
        for name, text in said.items()
        if _normalize(text) != _normalize(before.get(name, "")) and (text or name in may_be_empty)
    }


def _normalize(text: str) -> list[str]:
    """The parts of an answer that is a list; copier accepts brackets and any spaces."""
    return [part.strip() for part in text.strip("[] ").split(",") if part.strip()]
