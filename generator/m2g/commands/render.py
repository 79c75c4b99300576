"""`m2g render`: registry → release records → tree of files → disk."""

from __future__ import annotations

import contextlib
import difflib
import os
import re
from collections.abc import Callable, Collection, Mapping
from pathlib import Path

import msgspec
from msgspec import UNSET

from m2g import config as configuration
from m2g import registry, releases, runtimes, workspace
from m2g.commands import ownership, samples, verdicts
from m2g.commands.desired import Desired, Key, Repository, choose, desired, located, model_files, unused
from m2g.commands.resolve import Resolved, Scope, as_wished, resolve
from m2g.commands.served import served
from m2g.errors import InputError
from m2g.finding import Finding
from m2g.intent import Config
from m2g.model import Image, Release, Value
from m2g.outcome import FileChange, Kind, Outcome, ReleaseChange
from m2g.plan import misplaced, named, stale_pins
from m2g.registry import Registry
from m2g.tree import Mark, mark, same, stamped


class RenderOptions(Value, frozen=True, kw_only=True):
    """How to render. `locked` asks no registry; `check` and `dry_run` write nothing."""

    locked: bool = False
    check: bool = False
    dry_run: bool = False
    scope: Scope = Scope()
    allow_removals: int | None = None
    discard_edits: bool = False
    images: dict[tuple[str, str], Image] = {}
    """(registered model, version) to the image that was built for it."""


class WrongInput(InputError):
    """Findings in what people wrote stop the run before anything is done."""

    def __init__(self, findings: Collection[Finding]) -> None:
        super().__init__("the repository's own files must be mended first")
        self.findings = tuple(findings)


def registry_of(config: Config, root: Path, progress: Callable[[str, int, int], None]) -> Registry:
    """The registry that m2g.yaml or the environment names. A relative path in m2g.yaml starts at `root`."""
    if config.registry.uri is not UNSET:
        os.chdir(root)
    workspace_name = "" if config.registry.workspace is UNSET else config.registry.workspace
    return registry.open_registry(configuration.registry_uri(config), workspace=workspace_name, progress=progress)


def render(
    root: Path,
    options: RenderOptions,
    *,
    open_registry: Callable[[Config], Registry],
    waiting: Callable[[], None] = lambda: None,
) -> Outcome:
    """Bring the tree to what registry, records and m2g.yaml say.

    `open_registry` is only called where the registry is asked; `waiting` when another run holds the repository.

    Raises WrongInput for findings in m2g.yaml, model.yaml or records, InputError for hand edits in the way,
    OutsideError for the registry and the disk. In each case the tree is as it was.
    """
    writes = not (options.check or options.dry_run)
    guard = workspace.locked(root, waiting=waiting) if writes else contextlib.nullcontext()
    with guard:
        state = msgspec.structs.replace(read(root), images=options.images)
        known_environments(state.config, options.scope)
        resolved = _resolve(state, options, open_registry)
        wanted = desired(state, resolved.records)
        files, removals, notes = _difference(root, state, resolved, wanted, options)
        current = workspace.read(root, {*files, *removals})
        if writes:
            workspace.write(root, files, removals)
        findings = [*resolved.findings, *located(root, wanted.findings), *unused(state), *notes]
        findings += ownership.unfinished(root)
        changes = _release_changes(state.records, resolved.records)
        moved = {(change.slug, change.environment) for change in changes}
        there = {key: resolved.records[key] for key in sorted(moved) if key in resolved.records}
        findings += [*_verdicts(state, there), *samples.findings(state, there)]
        return Outcome(
            releases=changes,
            served=served(state, resolved.records, moved, current, files),
            files=_file_changes(current, files, removals, with_diff=options.check),
            findings=tuple(dict.fromkeys(findings)),
            models=len({slug for slug, _ in resolved.records}),
            written=writes,
            check=options.check,
        )


def _verdicts(state: Repository, records: Mapping[Key, Release]) -> list[Finding]:
    """What the gate says to the releases that moved; `m2g validate` says it of all."""
    return verdicts.findings({key: (release, choose(state, key[0], release)) for key, release in records.items()})


def read(root: Path) -> Repository:
    """What is committed. Raises WrongInput where people must mend it first."""
    try:
        loaded = configuration.load(root)
    except InputError as error:
        raise WrongInput([configuration.unreadable(error)]) from error
    if loaded.config is None or loaded.findings:
        raise WrongInput(loaded.findings)
    records, findings = releases.read_all(root)
    intents, wrong = configuration.intents(root)
    findings += wrong
    findings += configuration.unknown_environments(loaded.config, intents)
    findings += misplaced(loaded.config, records)
    known, wrong = runtimes.read(root)
    findings += wrong
    if findings:
        raise WrongInput(findings)
    return Repository(
        config=loaded.config,
        records=records,
        intents=intents,
        components=workspace.components(root),
        runtimes=known,
    )


def known_environments(config: Config, scope: Scope) -> None:
    """Raises InputError for an environment that m2g.yaml does not have."""
    for name in sorted(scope.environments - set(config.environments)):
        raise InputError(f"m2g.yaml has no environment {name!r}", hint=f"it has {', '.join(config.environments)}")


def _resolve(state: Repository, options: RenderOptions, open_registry: Callable[[Config], Registry]) -> Resolved:
    if options.locked:
        removed = tuple(
            key
            for key, record in state.records.items()
            if key[1] not in state.config.environments or not named(state.config, record.model)
        )
        kept = {key: as_wished(state, record) for key, record in state.records.items() if key not in removed}
        return Resolved(records=kept, removed=removed, findings=tuple(stale_pins(state.intents, kept)))

    def problems(key: Key, release: Release) -> list[Finding]:
        return model_files(state, key[0], {key[1]: release})[1]

    return resolve(state, open_registry(state.config), options.scope, problems)


def _refuse_mass_removal(state: Repository, gone: Collection[Key], empty: bool, options: RenderOptions) -> None:
    """A cap on removals: a wrong tracking URI, a wiped registry or lost records must not empty the clusters."""
    fleet = len(set(state.records) | set(gone))
    cap = options.allow_removals
    if cap is None:
        rule = state.config.removals
        cap = 0 if empty else max(rule.max_count, fleet * rule.max_percent // 100)
    if len(gone) > cap:
        names = ", ".join(f"{slug} ({environment})" for slug, environment in sorted(gone)[:10])
        more = f" and {len(gone) - 10} more" if len(gone) > 10 else ""
        raise InputError(
            f"this run would remove {len(gone)} of {fleet} releases: {names}{more}",
            hint=f"if that is meant: --allow-removals {len(gone)}; else check registry.uri, aliases and models in "
            "m2g.yaml, and that no record was deleted (the cap is removals in m2g.yaml)",
        )


def _difference(
    root: Path, state: Repository, resolved: Resolved, wanted: Desired, options: RenderOptions
) -> tuple[dict[str, bytes], set[str], list[Finding]]:
    """The files to write and to remove. Raises InputError where that would lose a person's work or a fleet."""
    paths = set(workspace.owned_paths(root))
    current = workspace.read(root, paths | set(wanted.files))
    changed = {path for path, content in wanted.files.items() if not same(current.get(path), content)}
    concern = _Concern(
        names={slug: record.model for (slug, _), record in (*state.records.items(), *resolved.records.items())},
        scope=options.scope,
        frozen=wanted.frozen,
        rebased=frozenset(path.split("/")[1] for path in changed if _BASE.match(path)),
    )
    files = {path: wanted.files[path] for path in sorted(changed) if concern.has(path)}
    stale = {path for path in paths - set(wanted.files) if concern.has(path)}
    removals = {path for path in stale if mark(current[path]) is not Mark.FOREIGN}
    gone = {(found[1], found[2]) for path in removals if (found := _OVERLAY.fullmatch(path))}
    _refuse_mass_removal(state, gone | set(resolved.removed), resolved.empty, options)
    edited = [path for path in sorted({*files, *removals}) if path in current and _is_edited(current[path])]
    notes = [ownership.foreign(path) for path in sorted(stale - removals)]
    if edited and not options.discard_edits:
        if not (options.check or options.dry_run):
            raise _edited(edited)
        notes += [ownership.edited(path) for path in edited]
    return files, removals, notes


_BASE = re.compile(r"models/[^/]+/base/")
_OVERLAY = re.compile(r"models/([^/]+)/overlays/([^/]+)/kustomization\.yaml")


def _is_edited(content: bytes) -> bool:
    """Whether a person's work would be lost. Both sides of a merge of m2g's own output are in Git."""
    state = mark(content)
    return state is Mark.EDITED or state is Mark.FOREIGN or (state is Mark.CONFLICTED and not stamped(content))


class _Concern(Value, frozen=True, kw_only=True):
    """Which paths this run may touch. Where a model's base changes, all its overlays change with it or none fits."""

    names: Mapping[str, str]
    scope: Scope
    frozen: frozenset[str]
    rebased: frozenset[str]

    def has(self, path: str) -> bool:
        parts = path.split("/")
        slug = parts[1] if parts[0] == "models" else parts[2].removesuffix(".yaml")
        if slug in self.frozen or (self.scope.models and not self.scope.models & {slug, self.names.get(slug, slug)}):
            return False
        environment = ""
        if parts[0] == "fleet":
            environment = parts[1]
        elif len(parts) > 3 and parts[2] in ("overlays", "releases", "requests"):
            environment = parts[3].removesuffix(".json")
        narrowed = environment and self.scope.environments and environment not in self.scope.environments
        return slug in self.rebased or not narrowed


def _edited(paths: Collection[str]) -> InputError:
    shown = "\n  ".join(list(paths)[:20])
    return InputError(
        f"edited by hand, and m2g owns these files:\n  {shown}",
        hint="move the change to models/<slug>/custom/<env>/ (a kustomize Component) or model.yaml and undo it here "
        "(git checkout), or throw it away with --discard-edits; the tree is as it was",
    )


def _release_changes(before: Mapping[Key, Release], after: Mapping[Key, Release]) -> tuple[ReleaseChange, ...]:
    changes = []
    for key in sorted({*before, *after}):
        old, new = before.get(key), after.get(key)
        if old == new:
            continue
        changes.append(
            ReleaseChange(
                kind=Kind.ADDED if old is None else Kind.REMOVED if new is None else Kind.CHANGED,
                slug=key[0],
                model=new.model if new else old.model if old else "",
                environment=key[1],
                before=old.version if old else "",
                after=new.version if new else "",
                follows=new.follows if new else "",
            )
        )
    return tuple(changes)


def _file_changes(
    current: Mapping[str, bytes], files: Mapping[str, bytes], removals: Collection[str], *, with_diff: bool
) -> tuple[FileChange, ...]:
    changes = []
    for path in sorted({*files, *removals}):
        kind = Kind.REMOVED if path in removals else Kind.CHANGED if path in current else Kind.ADDED
        diff = _diff(path, current.get(path, b""), files.get(path, b"")) if with_diff else ()
        changes.append(FileChange(kind=kind, path=path, diff=diff))
    return tuple(changes)


def _diff(path: str, before: bytes, after: bytes) -> tuple[str, ...]:
    old, new = (content.decode(errors="replace").splitlines() for content in (before, after))
    return tuple(difflib.unified_diff(old, new, f"a/{path}", f"b/{path}", n=1, lineterm=""))
