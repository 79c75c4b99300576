"""Say what changed outside of models: m2g.yaml by field, applied files by object, others by what they decide."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

from m2g.core import safe_files, yaml_reader
from m2g.core.errors import M2gError
from m2g.core.field_path import format_path
from m2g.core.manifest import Identity, Manifest, get_at, identify, read_all
from m2g.core.redact import redact
from m2g.repository import layout
from m2g.repository.trusted_registry import find_server
from m2g.review import power
from m2g.review.values import Concern, Risk

_POWERFUL_FIELDS = frozenset({"bounds", "sync", "registry", "storage", "external", "tags", "namespace", "removals"})
"""Fields of m2g.yaml, or of an environment in it, that decide where models come from and what others may set."""
_DECIDES: tuple[tuple[str, Risk, str], ...] = (
    (".github/", Risk.POWERFUL, "what CI runs, with which rights and secrets"),
    (".gitlab-ci.yml", Risk.POWERFUL, "what CI runs, with which rights and secrets"),
    ("CODEOWNERS", Risk.POWERFUL, "who must approve changes"),
    (".gitlab/CODEOWNERS", Risk.POWERFUL, "who must approve changes"),
    ("docs/CODEOWNERS", Risk.POWERFUL, "who must approve changes"),
    (f"{layout.POLICIES}/", Risk.POWERFUL, "what m2g validate reports"),
    (f"{layout.RUNTIMES}/", Risk.CAUTION, "which models a runtime is said to load"),
    (f"{layout.SCHEMAS}/", Risk.CAUTION, "which fields m2g validate accepts"),
    (".pre-commit-config.yaml", Risk.CAUTION, "which hooks run on the machines of people"),
    (".copier-answers.yml", Risk.CAUTION, "what copier update writes"),
    (".git", Risk.CAUTION, "which files Git, Argo CD and Flux see"),
)
_HARMLESS = (".md", ".txt", ".rst", ".png", ".svg")
_MOST_FIELDS = 8


def describe_changes(old: Path, new: Path, changed: Mapping[str, bool]) -> list[Concern]:
    """What the changed files mean, the riskiest first. `changed` says for each path whether it belongs to a model."""
    found = (concern for path, of_model in sorted(changed.items()) for concern in _describe(old, new, path, of_model))
    ranked = sorted(found, key=lambda concern: list(Risk).index(concern.risk))
    return [*_describe_registry(old, new), *ranked]


def _describe_registry(old: Path, new: Path) -> Iterator[Concern]:
    """The line before all others: another registry may bring any model, and would like to have the credentials."""
    before, after = (str(get_at(_read_document(side), "registry", "uri") or "") for side in (old, new))
    if before != after and find_server(after) not in ("", find_server(before)):
        yield Concern(
            risk=Risk.POWERFUL,
            message=f"{layout.CONFIG}: registry.uri: {redact(before) or 'none'} → {redact(after)}: another server; m2g "
            "sends it no credentials until this is merged",
        )


def _describe(old: Path, new: Path, path: str, of_model: bool) -> Iterator[Concern]:
    top = layout.find_top_folder(path)
    if not layout.is_known(path):
        yield Concern(
            risk=Risk.POWERFUL,
            message=f"{path}: neither m2g nor people keep a file here, but Argo CD and Flux may apply it",
        )
    elif of_model:
        return
    elif path == layout.CONFIG:
        yield from _describe_config(_read_document(old), _read_document(new))
    elif top in (layout.PLATFORM, layout.FLEET):
        yield from _describe_objects(path, _read_objects(old, path), _read_objects(new, path))
    else:
        known = next(((risk, what) for start, risk, what in _DECIDES if path.startswith(start)), None)
        if known is not None:
            yield Concern(risk=known[0], message=f"{path}: decides {known[1]}")
        elif not path.endswith(_HARMLESS):
            yield Concern(risk=Risk.CAUTION, message=f"{path}: no file of m2g; programs and components may use it")


def _describe_config(old: object, new: object) -> Iterator[Concern]:
    paths = power.find_changes(old, new)
    for path in paths[:50]:
        risk = Risk.POWERFUL if _POWERFUL_FIELDS & {str(step) for step in (*path[:1], *path[2:3])} else Risk.CAUTION
        before, after = (_show(side, path) for side in (old, new))
        yield Concern(risk=risk, message=f"{layout.CONFIG}: {format_path(path) or 'all of it'}: {before} → {after}")
    if not paths:
        yield Concern(risk=Risk.ROUTINE, message=f"{layout.CONFIG}: only comments and format")


def _describe_objects(
    path: str, before: dict[Identity, Manifest] | None, after: dict[Identity, Manifest] | None
) -> Iterator[Concern]:
    if before is None or after is None:
        yield Concern(risk=Risk.POWERFUL, message=f"{path}: cannot be read as YAML, so its objects are not compared")
        return
    for key in sorted({*before, *after}):
        old, new = before.get(key), after.get(key)
        if old == new:
            continue
        _, kind, namespace, name = key
        shown = f"{kind} {namespace}/{name}" if namespace else f"{kind} {name}"
        risk = Risk.POWERFUL if any(power.is_powerful(item) for item in (old, new) if item) else Risk.CAUTION
        if old is None or new is None:
            what = f"{'adds' if old is None else 'removes'} {shown}"
        else:
            paths = power.find_changes(old, new)
            fields = ", ".join(format_path(where) for where in paths[:_MOST_FIELDS])
            more = f" and {len(paths) - _MOST_FIELDS} more" if len(paths) > _MOST_FIELDS else ""
            what = f"changes {shown}: {fields}{more}"
        yield Concern(risk=risk, message=f"{path}: {what}")


def _read_document(root: Path) -> object:
    """m2g.yaml as plain data; None if there is none that can be read."""
    try:
        return yaml_reader.read(layout.CONFIG, safe_files.read(root, layout.CONFIG)).data
    except (FileNotFoundError, M2gError):
        return None


def _read_objects(root: Path, path: str) -> dict[Identity, Manifest] | None:
    """The objects of a file; none if there is no file, None if it cannot be read."""
    try:
        text = safe_files.read(root, path).decode()
        return {identify(item): item for item in read_all(text) if isinstance(item, dict)}
    except FileNotFoundError:
        return {}
    except (M2gError, ValueError):
        return None


def _show(data: object, path: power.FieldSteps) -> str:
    for step in path:
        if isinstance(data, Mapping):
            data = data.get(step)
        elif isinstance(data, list) and isinstance(step, int) and step < len(data):
            data = data[step]
        else:
            return "none"
    return "none" if data is None else redact(str(data))[:200]
