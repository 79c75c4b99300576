"""Find passwords, keys and tokens in the files of the repository, by the rules that clean what a registry sends."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path

from msgspec import UNSET

from m2g.core.config_types import Config, ModelIntent
from m2g.core.finding import Finding
from m2g.core.redact import find_secrets, is_secret_value
from m2g.core.settings import Settings, list_fields
from m2g.git import read
from m2g.repository import layout
from m2g.repository.locate import add_lines
from m2g.repository.model_folder import ModelFolder, read_plain_file

_MAX_BYTES = 1 << 20
"""Files that people write are smaller; a larger one is data."""
_OF_MODELS = (layout.MODELS, layout.SCHEMAS)
"""Folders that are searched model by model, and those that hold what a vendor wrote."""
_APPLIED = (layout.PLATFORM, layout.FLEET, layout.ENVIRONMENTS, layout.POLICIES, layout.RUNTIMES)


def list_public(config: Config | None) -> tuple[str, ...]:
    """The texts that m2g.yaml declares to be no secrets."""
    return () if config is None else tuple(entry.text for entry in config.secrets.allow)


def is_public(text: str, public: Collection[str]) -> bool:
    """Whether a text that looks like a secret is part of one that m2g.yaml allows."""
    return any(text in allowed for allowed in public)


def find_in_model(root: Path, folder: ModelFolder, intent: ModelIntent | None, config: Config | None) -> list[Finding]:
    """Findings for a model's records and for what people wrote beside them. Other files follow from these."""
    public = list_public(config)
    found: list[Finding] = []
    for path, content in folder.files.items():
        if not layout.is_owned(path) or (path.endswith(".json") and f"/{layout.RELEASES}/" in path):
            found += _find_in_text(path, content, public)
    if intent is not None:
        file = layout.model_yaml(folder.slug)
        found += _find_in_settings(root, file, "settings", intent.settings, public)
        for name, pin in intent.environments.items():
            found += _find_in_settings(root, file, f"environments.{name}.settings", pin.settings, public)
    return _drop_repeated(found)


def find_elsewhere(root: Path, config: Config | None) -> list[Finding]:
    """Findings for m2g.yaml and for the files that belong to no model."""
    public = list_public(config)
    found: list[Finding] = []
    for path in sorted(_list_files(root)):
        content = read_plain_file(f"{root}/{path}")
        if content is not None:
            found += _find_in_text(path, content, public)
    if config is not None:
        found += _find_in_settings(root, layout.CONFIG, "defaults", config.defaults, public)
        for name, settings in config.classes.items():
            found += _find_in_settings(root, layout.CONFIG, f"classes.{name}", settings, public)
        for name, team in config.teams.items():
            found += _find_in_settings(root, layout.CONFIG, f"teams.{name}.settings", team.settings, public)
        for name, environment in config.environments.items():
            found += _find_in_settings(
                root, layout.CONFIG, f"environments.{name}.settings", environment.settings, public
            )
    return _drop_repeated(found)


def _list_files(root: Path) -> Iterator[str]:
    """m2g.yaml, everything that is applied, and what Git has in other folders that components may use."""
    yield layout.CONFIG
    with os.scandir(root) as entries:
        folders = sorted(entry.name for entry in entries if entry.is_dir(follow_symlinks=False))
    for top in folders:
        if top in _APPLIED:
            yield from _walk(root, top)
        elif top not in _OF_MODELS and not top.startswith("."):
            yield from (f"{top}/{name}" for name in read.list_tracked(root / top) or ())


def _walk(root: Path, top: str) -> Iterator[str]:
    for place, _, names in os.walk(root / top):
        below = os.path.relpath(place, root)
        yield from (path for name in names if not _is_rendered(root, path := f"{below}/{name}"))


def _is_rendered(root: Path, path: str) -> bool:
    """Whether it is the Flux file of a model: what is in it follows from the record, or is a finding."""
    location = layout.parse_path(path) if layout.is_owned(path) else None
    return location is not None and (root / layout.model(location.slug)).is_dir()


def _find_in_text(path: str, content: bytes, public: Collection[str]) -> Iterator[Finding]:
    if len(content) > _MAX_BYTES or b"\0" in content:
        return
    text = content.decode(errors="replace")
    for secret in find_secrets(text):
        if not is_public(text[secret.start : secret.end], public):
            line = text.count("\n", 0, secret.start) + 1
            yield _describe(path, secret.what, line=line, recorded=f"/{layout.RELEASES}/" in path)


def _find_in_settings(
    root: Path, file: str, path: str, settings: Settings, public: Collection[str]
) -> Iterator[Finding]:
    given: Mapping[str, object] = {} if settings.env is UNSET else settings.env
    env = {name: value for name, value in given.items() if isinstance(value, str)}
    found = (
        _describe(file, "a secret, by the variable's name", path=f"{path}.env.{name}")
        for name, value in env.items()
        if is_secret_value(name, value) and not is_public(value, public)
    )
    yield from add_lines(root, found)
    for field in list_fields().values():
        if field.row.definition and _has_secret(getattr(settings, field.attribute), public):
            what = "a secret, by a variable's name"
            yield from add_lines(root, [_describe(file, what, path=f"{path}.{field.name}")])


def _has_secret(node: object, public: Collection[str]) -> bool:
    """Whether a structure has a variable with a secret in plain text, as the containers of a transformer may."""
    if isinstance(node, list | tuple):
        return any(_has_secret(item, public) for item in node)
    if not isinstance(node, dict):
        return False
    name, value = node.get("name"), node.get("value")
    if (
        isinstance(name, str)
        and isinstance(value, str)
        and is_secret_value(name, value)
        and not is_public(value, public)
    ):
        return True
    return any(_has_secret(item, public) for item in node.values())


def _describe(file: str, what: str, *, line: int = 0, path: str = "", recorded: bool = False) -> Finding:
    fix = (
        "remove it: m2g render"
        if recorded
        else "move it to External Secrets, Sealed Secrets or SOPS, and refer to the Secret by name"
    )
    return Finding(
        rule="secret-in-file",
        file=file,
        line=line,
        path=path,
        message=f"contains what looks like {what}; everybody who can read the repository has it, also later on",
        hint=f"{fix}; then replace the secret. If it is none, say so in m2g.yaml: "
        'secrets: {allow: [{text: "…", reason: "…"}]}',
    )


def _drop_repeated(findings: Collection[Finding]) -> list[Finding]:
    """One finding a line: the last, which names the field."""
    return list({(finding.file, finding.line or finding.path): finding for finding in findings}.values())
