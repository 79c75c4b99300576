"""What a canary changes for callers and for the cluster: who gets which share, and from how many pods."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from typing import NamedTuple

from m2g.core import quantity
from m2g.core.errors import InputError
from m2g.core.manifest import Manifest, get_at
from m2g.core.model import Release
from m2g.core.variants import find_candidate
from m2g.review import facts, signature
from m2g.review.values import Compatibility, Concern, Overlay, Risk
from m2g.serving.canary import name_entry, name_service

_VERSION = "m2g.dev/model-version"
_AMOUNTS = ("cpu", "memory")


class _Split(NamedTuple):
    """The candidate's version and share; no version if all traffic goes to the stable one."""

    stable: str
    candidate: str = ""
    percent: int = 0


class _Capacity(NamedTuple):
    """The fewest pods of both versions, and what they request together."""

    pods: int
    requests: Mapping[str, str]


def compare_traffic(
    slug: str, before: Overlay | None, after: Overlay | None, releases: tuple[Release | None, Release | None]
) -> Iterator[Concern]:
    """One line for the share, one for the capacity, and what is unusual about a candidate that enters."""
    if before is None or after is None or before.error or after.error:
        return
    old, new = _read_split(slug, before.objects), _read_split(slug, after.objects)
    if old == new or not (old.candidate or new.candidate):
        return
    yield Concern(risk=Risk.CAUTION, message=_describe(old, new))
    was, now = _count(slug, before.objects), _count(slug, after.objects)
    if was != now:
        yield Concern(risk=Risk.CAUTION, message=f"capacity of all versions: {_show(now)} (before: {_show(was)})")
    yield from _compare_candidates(*releases)


def _describe(old: _Split, new: _Split) -> str:
    if not new.candidate:
        had = f"the candidate, which had {old.percent} % of the traffic"
        if new.stable == old.candidate:
            return f"version {new.stable} becomes the stable version in place of {old.stable}: it was {had}"
        return f"the canary of version {old.candidate} ends: version {new.stable} gets all traffic"
    before = f" (before: {old.percent} %)" if old.candidate == new.candidate else " (before: nothing)"
    rest = f"version {new.stable} the other {100 - new.percent} %"
    return f"version {new.candidate} gets {new.percent} % of the traffic{before}, {rest}"


def _compare_candidates(before: Release | None, after: Release | None) -> Iterator[Concern]:
    """A candidate that enters is compared with the stable version, whose callers it gets."""
    candidate = None if after is None else find_candidate(after)
    known = None if before is None else find_candidate(before)
    if after is None or candidate is None or (known is not None and known.identity == candidate.identity):
        return
    for concern in facts.find_concerns(after, candidate):
        yield Concern(risk=concern.risk, message=f"candidate: {concern.message}")
    one, two = (None if side.mlmodel is None else side.mlmodel.signature for side in (after, candidate))
    contract = signature.compare(one, two)
    if contract.verdict is Compatibility.BREAKING:
        yield Concern(risk=Risk.BREAKING, message=f"candidate: signature: {contract.reasons[0]}")


def _read_split(slug: str, objects: Sequence[Manifest]) -> _Split:
    services = {str(get_at(item, "metadata", "name")): item for item in objects if item["kind"] == "InferenceService"}
    main, second = services.get(slug, {}), services.get(name_service(slug), {})
    stable = str(get_at(main, "metadata", "annotations", _VERSION) or "")
    canary = get_at(main, "spec", "canary", 0)
    if isinstance(canary, dict):
        version = get_at(canary, "predictor", "annotations", _VERSION)
        return _Split(stable, str(version or ""), _number(canary.get("trafficPercent")))
    entry = next((item for item in objects if get_at(item, "metadata", "name") == name_entry(slug)), {})
    for places in (("spec", "rules", 0, "backendRefs"), ("spec", "nodes", "root", "steps")):
        weights = get_at(entry, *places)
        if second and isinstance(weights, list) and len(weights) > 1:
            version = get_at(second, "metadata", "annotations", _VERSION)
            return _Split(stable, str(version or ""), _number(get_at(weights[1], "weight")))
    return _Split(stable)


def _count(slug: str, objects: Sequence[Manifest]) -> _Capacity:
    """The fewest pods of every version: KServe may run fewer of the stable one while a candidate is ready."""
    predictors = []
    for item in objects:
        if item["kind"] == "InferenceService" and get_at(item, "metadata", "name") in (slug, name_service(slug)):
            canaries = get_at(item, "spec", "canary")
            predictors += [get_at(item, "spec", "predictor")]
            predictors += [get_at(one, "predictor") for one in canaries] if isinstance(canaries, list) else []
    pods = [_number(get_at(one, "minReplicas")) for one in predictors]
    amounts = {
        name: sum((count * _request(one, name) for count, one in zip(pods, predictors, strict=True)), Decimal())
        for name in _AMOUNTS
    }
    return _Capacity(
        sum(pods), {name: quantity.canonicalize(str(amount)) for name, amount in amounts.items() if amount}
    )


def _request(predictor: object, name: str) -> Decimal:
    container = get_at(predictor, "model") or get_at(predictor, "containers", 0)
    try:
        return quantity.parse(str(get_at(container, "resources", "requests", name) or "0"))
    except InputError:
        return Decimal()


def _show(capacity: _Capacity) -> str:
    asked = ", ".join(f"{name} {amount}" for name, amount in capacity.requests.items())
    return f"at least {capacity.pods} pods{f' that request {asked}' if asked else ''}"


def _number(value: object) -> int:
    return value if isinstance(value, int) and not isinstance(value, bool) else 0
