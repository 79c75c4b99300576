"""The setting `patch`: what it may not touch, because a setting, the record or m2g decides it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from m2g.core.json_patch import parse_pointer
from m2g.core.setting_fields import CONTAINERS, MODEL, PREDICTOR
from m2g.core.settings import list_fields
from m2g.serving.batch_run import Problem
from m2g.serving.spec import Serving

_MAIN = (*CONTAINERS, "0")
_DECIDED: Mapping[tuple[str, ...], str] = {
    (*MODEL, "storageUri"): "the release record decides which files are served",
    (*PREDICTOR, "storageUris"): "the release record decides which files are served",
    (*MODEL, "protocolVersion"): "m2g decides the protocol",
    (*MODEL, "name"): "KServe allows no name here",
    (*_MAIN, "name"): "KServe decides the name",
    (*MODEL, "image"): "the settings image, runtime and runtimeVersion decide which code serves the model",
    (*PREDICTOR, "serviceAccount"): "it is an old name of what the setting serviceAccountName decides",
    ("spec", "canary"): "the release record decides which versions are served",
    (*PREDICTOR, "canaryTrafficPercent"): "the release record decides which versions are served",
}
"""Place → why a patch may not change it."""


def list_operations(serving: Serving) -> Sequence[Mapping[str, object]]:
    """The operations of the setting, in order."""
    given = serving.given.get("patch")
    return given if isinstance(given, list) else []


def find_setting(path: Sequence[str]) -> str:
    """The setting that decides a place of the InferenceService, something in it, or something around it."""
    keys = tuple(path)
    return next((name for place, name in _list_settings() if _overlap(keys, place)), "")


def find_problems(serving: Serving) -> Iterator[Problem]:
    """The operations that touch what something else decides, or that lack their value."""
    for operation in list_operations(serving):
        pointer = str(operation["path"])
        keys = parse_pointer(pointer)
        why = next((why for place, why in _DECIDED.items() if _overlap(keys, place)), "")
        if why:
            yield "patch", f"a patch cannot change {pointer}: {why}", "remove the operation"
        elif name := find_setting(keys):
            inner = keys in {place for place, _ in _list_settings()}
            hint = f"use the setting {name}" + ("" if inner else ", or name a smaller part of the object")
            yield "patch", f"a patch cannot change {pointer}: the setting {name} decides it", hint
        elif (operation["op"] == "remove") == ("value" in operation):
            problem, hint = ("has a value", "remove it") if "value" in operation else ("has no value", "add value")
            yield "patch", f"{operation['op']} {pointer} {problem}", hint


def _list_settings() -> Iterator[tuple[tuple[str, ...], str]]:
    """Place → setting, for a predictor with `model` and for one with a container of its own."""
    for name, field in list_fields().items():
        for place in field.row.places:
            yield (*_MAIN, name) if place == CONTAINERS else place, name
            if place[: len(MODEL)] == MODEL:
                yield (*_MAIN, *place[len(MODEL) :]), name


def _overlap(one: Sequence[str], other: Sequence[str]) -> bool:
    length = min(len(one), len(other))
    return tuple(one[:length]) == tuple(other[:length])
