"""What each step of a canary changes in model.yaml and in the release record."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec
from msgspec import UNSET

from m2g.core.canary_types import Canary
from m2g.core.config_types import Pin
from m2g.core.model import Release, Replaced, Value
from m2g.core.variants import name_predictor, with_variant
from m2g.core.yaml_writer import Plain
from m2g.repository.yaml_edit import Edit, Remove, Set

PROMOTED = "promoted by m2g canary"
"""The reason of the pin that a promotion writes. Another canary may end such a pin; a hold of people it may not."""


class CanaryWish(Value, frozen=True, kw_only=True):
    """What a new canary begins with. What is not given stays as it is in model.yaml, or is the default."""

    version: str = ""
    alias: str = ""
    percent: int | None = None
    steps: tuple[int, ...] = ()
    replicas: int | None = None


def list_start_edits(environment: str, canary: Canary, wish: CanaryWish) -> list[Edit]:
    """The edits of model.yaml that begin a canary of one version, at its first step."""
    steps = wish.steps or canary.steps
    given: dict[str, Plain] = {
        "version": int(wish.version),
        "alias": wish.alias,
        "percent": steps[0] if wish.percent is None else wish.percent,
        "steps": list(steps),
        "replicas": wish.replicas,
    }
    return [
        Set(path=_place(environment, name), value=value) for name, value in given.items() if value not in ("", None)
    ]


def list_step_edits(environment: str, version: str, percent: int) -> list[Edit]:
    """The edits of model.yaml for another share. The share is that of this version, whatever an alias does."""
    return [
        Set(path=_place(environment, "version"), value=int(version)),
        Set(path=_place(environment, "percent"), value=percent),
    ]


def list_promote_edits(environment: str, pin: Pin, version: str) -> list[Edit]:
    """The edits of model.yaml that make the candidate the stable version. An alias stays for the next canary."""
    ends: list[Edit] = list(_remove(environment, pin, ("version", "percent")))
    where = ("environments", environment)
    return [*ends, Set(path=(*where, "version"), value=int(version)), Set(path=(*where, "reason"), value=PROMOTED)]


def list_done_edits(environment: str, pin: Pin) -> list[Edit]:
    """The edits of model.yaml after an alias made the candidate the stable version."""
    return list(_remove(environment, pin, ("version", "percent")))


def list_abort_edits(environment: str, pin: Pin) -> list[Edit]:
    """The edits of model.yaml that end a canary. An alias goes, too: it would bring the candidate back."""
    return list(_remove(environment, pin, ("version", "percent", "alias")))


def promote(release: Release, left: Replaced | None, *, named: bool) -> Release:
    """The record with the candidate as its version. `named`: its pods have a predictor's name, which stays."""
    variant = release.variants["canary"]
    promoted = with_variant(release, variant)
    predictor = name_predictor(release, variant.version) if named else release.predictor
    follows = f"pinned in model.yaml: {PROMOTED}"
    return msgspec.structs.replace(promoted, predictor=predictor, follows=follows, replaces=left)


def _remove(environment: str, pin: Pin, names: tuple[str, ...]) -> Iterator[Edit]:
    canary = pin.canary
    if canary is UNSET:
        return
    yield from (
        Remove(path=_place(environment, name), prune=False) for name in names if getattr(canary, name) is not UNSET
    )


def _place(environment: str, name: str) -> tuple[str, ...]:
    return "environments", environment, "canary", name
