"""Settings of the rollout, of the objects beside an InferenceService and of its storage that contradict each other."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator, Mapping

from m2g.core import quantity
from m2g.core.errors import InputError
from m2g.core.manifest import get_at
from m2g.serving.batch_run import Problem
from m2g.serving.spec import Serving

_NONE = (0, "0%")


def find_problems(serving: Serving) -> Iterator[Problem]:
    """The settings that Kubernetes or KServe refuse, or that would do harm without a word."""
    yield from _check_rollout(serving)
    yield from _check_budget(serving)
    yield from _check_policy(serving)
    if isinstance(size := get_at(serving.given, "modelCache", "size"), str | int | float):
        try:
            quantity.parse(str(size))
        except InputError as error:
            yield "modelCache.size", error.message, error.hint


def _check_rollout(serving: Serving) -> Iterator[Problem]:
    given = serving.given.get("rollingUpdate")
    if not isinstance(given, Mapping):
        return
    if serving.deployment_strategy == "Recreate":
        message = "deploymentStrategy: Recreate stops all pods first, so nothing reads rollingUpdate"
        yield "rollingUpdate", message, "remove one of the two"
    shares = compute_rolling_update(serving)
    if shares["maxSurge"] in _NONE and shares["maxUnavailable"] in _NONE:
        message = "with maxSurge 0 and maxUnavailable 0, no pod is ever replaced"
        yield "rollingUpdate", message, "set one of the two to 1 or more"


def compute_rolling_update(serving: Serving) -> dict[str, int | str]:
    """How many pods are replaced at once. A device such as a GPU is rare, so pods with one stop first (kserve#4618)."""
    rare = serving.deployment_strategy == "" and any("/" in name for name in (*serving.requests, *serving.limits))
    shares: dict[str, int | str] = {"maxSurge": 0 if rare else 1, "maxUnavailable": 1 if rare else 0}
    given = serving.given.get("rollingUpdate")
    return shares | ({str(key): value for key, value in given.items()} if isinstance(given, Mapping) else {})


def _check_budget(serving: Serving) -> Iterator[Problem]:
    given = serving.given.get("disruptionBudget")
    if not isinstance(given, Mapping):
        return
    if len(given) != 1:
        yield "disruptionBudget", "it needs minAvailable or maxUnavailable, and not both", "set one of the two"
    least = given.get("minAvailable")
    if (
        given.get("maxUnavailable") in _NONE
        or least == "100%"
        or (isinstance(least, int) and least > 0 and least >= serving.min_replicas)
    ):
        message = f"with minReplicas {serving.min_replicas}, no node with a pod of the model can be drained"
        yield "disruptionBudget", message, "write disruptionBudget: {maxUnavailable: 1}, or raise minReplicas"


def _check_policy(serving: Serving) -> Iterator[Problem]:
    peers = get_at(serving.given, "networkPolicy", "from")
    for index, peer in enumerate(peers if isinstance(peers, list | tuple) else []):
        place, block = f"networkPolicy.from[{index}]", get_at(peer, "ipBlock")
        if not peer:
            yield "networkPolicy", f"{place} names nobody", "set namespaceSelector, podSelector or ipBlock"
        elif block is not None and len(peer) > 1:
            yield "networkPolicy", f"{place} has an ipBlock and a selector", "make them two entries of the list"
        elif isinstance(block, Mapping):
            yield from _check_block(place, block)


def _check_block(place: str, block: Mapping[str, object]) -> Iterator[Problem]:
    whole = _parse(block.get("cidr"))
    if whole is None:
        yield "networkPolicy", f"{place}: {str(block.get('cidr'))[:50]!r} is no range", "write it like 10.0.0.0/8"
        return
    left = block.get("except")
    for text in left if isinstance(left, list | tuple) else []:
        part = _parse(text)
        if (
            part is None
            or part.version != whole.version
            or part == whole
            or not whole.overlaps(part)
            or part.prefixlen < whole.prefixlen
        ):
            yield "networkPolicy", f"{place}: {str(text)[:50]!r} is no range inside of {whole}", "remove it from except"


def _parse(text: object) -> ipaddress.IPv4Network | ipaddress.IPv6Network | None:
    try:
        return ipaddress.ip_network(str(text))
    except ValueError:
        return None
