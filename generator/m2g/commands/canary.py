"""`m2g canary`: a candidate gets a share of the traffic, step by step, until it is promoted or aborted."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Literal, TypeAlias

import msgspec
from msgspec import UNSET

from m2g.changes import canary as edits
from m2g.changes.hold import ModelChange, apply, list_next_steps
from m2g.core.canary_types import Canary
from m2g.core.config_types import Config, Pin
from m2g.core.errors import InputError
from m2g.core.finding import Severity
from m2g.core.model import Release, Value
from m2g.core.results import CanaryResult
from m2g.core.variants import find_candidate
from m2g.registry import Registry
from m2g.rendering.model_files import render_record
from m2g.repository import layout, load
from m2g.repository.layout import Key
from m2g.repository.state import Repository, find_records
from m2g.resolution.holds import describe_replaced
from m2g.serving.canary import choose_form
from m2g.serving.decide import choose_with_settings, resolve_serving

Action: TypeAlias = Literal["start", "step", "promote", "abort"]
_Open: TypeAlias = Callable[[Config], Registry]


class CanaryOptions(Value, frozen=True, kw_only=True):
    """The model (slug or registered name), the environment, and what to do. `dry_run` writes nothing."""

    model: str
    environment: str
    action: Action
    wish: edits.CanaryWish = edits.CanaryWish()
    dry_run: bool = False


class _State(Value, frozen=True, kw_only=True):
    """What the files say now."""

    key: Key
    release: Release
    pin: Pin
    candidate: Release | None

    @property
    def canary(self) -> Canary:
        return Canary() if self.pin.canary is UNSET else self.pin.canary

    def write_command(self, action: str) -> str:
        return f"m2g canary {self.key[0]} --env {self.key[1]} {action}"


def canary(
    root: Path,
    options: CanaryOptions,
    *,
    open_registry: _Open,
    waiting: Callable[[], None] = lambda: None,
) -> CanaryResult:
    """Edit model.yaml for one step of a canary, and render the model. Only `start` asks the registry.

    Raises InputError if the step is not possible, and the errors of `apply`.
    """
    repository = load.read_repository(root)
    key, release = next(iter(find_records(repository, options.model, (options.environment,)).items()))
    pin = repository.find_intent(key[0]).find_pin(key[1])
    state = _State(key=key, release=release, pin=pin, candidate=find_candidate(release))
    change, result = _DO[options.action](repository, state, options, open_registry)
    if not change.edits:
        return msgspec.structs.replace(result, action="unchanged")
    files = (layout.model_yaml(key[0]), *((layout.release(*key),) if change.record is not None else ()))
    if options.dry_run:
        return msgspec.structs.replace(result, files=files)
    done = apply(root, key, change, open_registry=open_registry, waiting=waiting)
    failed = change.asks and any(finding.severity is Severity.ERROR for finding in done.findings)
    action = "refused" if failed else result.action if done.files else "unchanged"
    return msgspec.structs.replace(
        result,
        action=action,
        files=done.files,
        findings=done.findings,
        next=list_next_steps(key, done.files, f"{key[0]}: {_describe(result)} in {key[1]}"),
        written=not failed,
    )


def _start(
    repository: Repository, state: _State, options: CanaryOptions, open_registry: _Open
) -> tuple[ModelChange, CanaryResult]:
    wish = options.wish
    if not wish.version:
        alias = wish.alias or ("challenger" if state.canary.alias is UNSET else state.canary.alias)
        model = open_registry(repository.config).find_model(state.release.model)
        number = "" if model is None else model.aliases.get(alias, "")
        if not number:
            raise InputError(
                f"{state.release.model} has no alias {alias!r}, which says which version is the candidate",
                hint=f"name the version: {state.write_command('start --version NUMBER')}",
            )
        wish = msgspec.structs.replace(wish, version=number, alias=wish.alias or alias)
    if wish.version == state.release.version:
        raise InputError(
            f"version {wish.version} is the stable version of {state.key[1]} already; a candidate is another one",
            hint=f"choose another version: {state.write_command('start --version NUMBER')}",
        )
    changes = edits.list_start_edits(state.key[1], state.canary, wish)
    steps = wish.steps or state.canary.steps
    percent = steps[0] if wish.percent is None else wish.percent
    return ModelChange(edits=changes, asks=True), _tell(state, "started", wish.version, percent)


def _step(
    _repository: Repository, state: _State, options: CanaryOptions, _open_registry: _Open
) -> tuple[ModelChange, CanaryResult]:
    candidate = _require(state)
    share, wanted = state.canary.share, options.wish.percent
    higher = sorted(step for step in state.canary.steps if step > share)
    if wanted is None and not higher:
        raise InputError(
            f"version {candidate.version} has {share} % of the traffic, which is the last step",
            hint=f"make it the stable version: {state.write_command('promote')}",
        )
    percent = higher[0] if wanted is None else wanted
    changes = edits.list_step_edits(state.key[1], candidate.version, percent)
    same = percent == share and state.canary.percent is not UNSET
    return ModelChange(edits=[] if same else changes), _tell(state, "stepped", candidate.version, percent)


def _promote(
    repository: Repository, state: _State, _options: CanaryOptions, _open_registry: _Open
) -> tuple[ModelChange, CanaryResult]:
    canary, release, (slug, environment) = state.canary, state.release, state.key
    if state.candidate is None and canary.version is not UNSET and str(canary.version) == release.version:
        changes = edits.list_done_edits(environment, state.pin)  # an alias made it the stable version
        return ModelChange(edits=changes), _tell(state, "promoted", release.version, 100)
    candidate = _require(state)
    pin = state.pin
    if pin.version is not UNSET and (pin.reason is UNSET or pin.reason != edits.PROMOTED):
        why = "" if pin.reason is UNSET else f" ({pin.reason})"
        raise InputError(
            f"{environment} is held at version {pin.version}{why}, so no other version becomes the stable one",
            hint=f"end the hold first: m2g hold {slug} --env {environment} --end",
        )
    serving, _ = resolve_serving(repository, slug, release)
    choice, _ = choose_with_settings(repository, release, serving)
    named = choose_form(serving, choice) == "spec"
    record = edits.promote(release, describe_replaced(repository, state.key, release), named=named)
    return (
        ModelChange(
            edits=edits.list_promote_edits(environment, pin, candidate.version),
            record=render_record(slug, record)[layout.release(*state.key)],
        ),
        _tell(state, "promoted", candidate.version, 100),
    )


def _abort(
    _repository: Repository, state: _State, _options: CanaryOptions, _open_registry: _Open
) -> tuple[ModelChange, CanaryResult]:
    candidate = state.candidate
    version = "" if candidate is None else candidate.version
    return ModelChange(edits=edits.list_abort_edits(state.key[1], state.pin)), _tell(state, "aborted", version, 0)


_DO = {"start": _start, "step": _step, "promote": _promote, "abort": _abort}


def _require(state: _State) -> Release:
    if state.candidate is None:
        raise InputError(
            f"{state.release.model} has no candidate in {state.key[1]}",
            hint=f"begin a canary: {state.write_command('start --version NUMBER')}",
        )
    return state.candidate


def _tell(
    state: _State, action: Literal["started", "stepped", "promoted", "aborted"], version: str, percent: int
) -> CanaryResult:
    return CanaryResult(
        action=action,
        model=state.release.model,
        slug=state.key[0],
        environment=state.key[1],
        stable=state.release.version,
        candidate=version,
        percent=percent,
        before=None if state.candidate is None else state.canary.share,
    )


def _describe(result: CanaryResult) -> str:
    match result.action:
        case "promoted":
            return f"promote version {result.candidate}"
        case "aborted":
            return f"end the canary of version {result.candidate}"
        case _:
            return f"canary of version {result.candidate} at {result.percent} %"
