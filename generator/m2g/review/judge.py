"""Judge the built objects of one overlay. Routine is only what the record of a new version itself wrote.

Everything else is named: what people's components set by what it can decide, what m2g writes otherwise as caution. The
settings behind the latter have lines of their own (see `outside`).
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from typing import NamedTuple

from m2g.core.field_path import format_path
from m2g.core.manifest import Identity, Manifest, identify
from m2g.core.node_access import find_node_access
from m2g.core.results import ChangeKind
from m2g.review import fields, power
from m2g.review.fields import FieldSteps, Named
from m2g.review.values import Concern, ObjectChange, Overlay, Risk
from m2g.serving import backends
from m2g.serving.canary import name_service

MOST_FIELDS = 8
_FROM_RECORD: tuple[FieldSteps, ...] = (
    ("annotations", "m2g.dev/model-version"),
    ("annotations", "m2g.dev/run-id"),
    ("annotations", "m2g.dev/profile"),
    ("model", "storageUri"),
    ("spec", "storageUri"),
    ("graph", "modelUri"),
    ("env", Named("MLSERVER_MODEL_VERSION"), "value"),
    ("containers", Named("kserve-container"), "image"),
    ("containers", Named("predict"), "image"),
    ("containers", Named("predict"), "env", Named("M2G_MODEL"), "value"),
    ("healthCheckExprs", 0, "inProgress"),
)
"""The ends of the fields that a record decides. They count only where the object is as m2g writes it."""

_CANARY: FieldSteps = ("spec", "canary")


class _Pair(NamedTuple):
    """An object before and after, as it is built and as m2g writes it; empty for none."""

    name: str
    was: Manifest
    now: Manifest
    wrote: Manifest
    writes: Manifest


def judge_objects(
    before: Overlay | None, after: Overlay | None, changed: Collection[ObjectChange], *, new_version: bool
) -> Iterator[Concern]:
    """What is not routine about these objects. Removals are judged only where the overlay stays."""
    old, new = (_by_identity(side.objects) if side else {} for side in (before, after))
    wrote, writes = (_by_identity(side.written) if side else {} for side in (before, after))
    custom = before is not None and before.custom
    for name in find_twins(after.objects if after else ()):
        yield Concern(risk=Risk.POWERFUL, message=f"{name} is there twice, and only one of them is compared")
    run = next((key for key in old if _is_run(key) and key in wrote and key not in new), None)
    for item in changed:
        key = (item.api_version, item.object_kind, item.namespace, item.name)
        pair = _Pair(_show(item), old.get(key, {}), new.get(key, {}), wrote.get(key, {}), writes.get(key, {}))
        known = set(find_node_access(pair.was))
        for where in find_node_access(pair.now):
            if where not in known:
                yield Concern(risk=Risk.POWERFUL, message=f"{pair.name} gets access to its node: {format_path(where)}")
        if item.kind is ChangeKind.REMOVED:
            if after is not None and not (key == run and any(map(_is_run, new))):
                yield _judge_removal(
                    pair, service=item.object_kind in backends.main_kinds() and not _is_second(key, new)
                )
        elif not pair.writes:
            yield _judge_others(pair)
        elif pair.was:
            yield from _judge_own(pair, custom=custom, new_version=new_version)
        elif run is not None and _is_run(key):  # a Job is immutable: another version is another Job
            pair = pair._replace(was=_rename(old[run], item.name), wrote=_rename(wrote[run], item.name))
            yield from _judge_own(pair, custom=custom, new_version=new_version)
        else:
            yield from _judge_people(pair.name, fields.find_changes(pair.writes, pair.now))
            if before is not None:
                yield Concern(risk=Risk.CAUTION, message=f"adds {pair.name}")
    for key in sorted(writes.keys() - new.keys() - old.keys()):
        yield Concern(risk=Risk.CAUTION, message=f"{key[1]} {key[2]}/{key[3]} is not built, but m2g writes it")


def find_twins(objects: Iterable[Manifest]) -> Iterator[str]:
    """The objects that have the identity of an earlier one: a cluster has only one of them."""
    seen: set[Identity] = set()
    for key in map(identify, objects):
        if key in seen:
            yield f"{key[1]} {key[2]}/{key[3]}" if key[2] else f"{key[1]} {key[3]}"
        seen.add(key)


def list_fields(paths: Collection[FieldSteps]) -> str:
    """The first fields, those with power before others, and how many more there are."""
    ranked = sorted(paths, key=lambda path: list(Risk).index(power.judge_field(path)))
    shown = ", ".join(fields.format_steps(path) or "all of it" for path in ranked[:MOST_FIELDS])
    return f"{shown} and {len(paths) - MOST_FIELDS} more" if len(paths) > MOST_FIELDS else shown


def _judge_own(pair: _Pair, *, custom: bool, new_version: bool) -> Iterator[Concern]:
    """An object that m2g writes. A field is people's if it is not as m2g writes it, on either side.

    Without a component, an old side that differs was written by another m2g.
    """
    peoples: list[FieldSteps] = []
    ours: list[FieldSteps] = []
    for path in fields.find_changes(pair.was, pair.now):
        was_peoples = custom and fields.get(pair.was, path) != fields.get(pair.wrote, path)
        if was_peoples or fields.get(pair.now, path) != fields.get(pair.writes, path):
            peoples.append(path)
        elif path[:2] == _CANARY:  # the share of the traffic has a line of its own
            continue
        elif not (new_version and any(path[-len(end) :] == end for end in _FROM_RECORD)):
            ours.append(path)
    yield from _judge_people(pair.name, peoples)
    if ours:
        message = f"{pair.name}: {list_fields(ours)} changed, which no new version needs"
        yield Concern(risk=Risk.CAUTION, message=message)


def _judge_people(name: str, paths: Iterable[FieldSteps]) -> Iterator[Concern]:
    """One line for each risk, so that fields without power hide none that has it."""
    judged = [(power.judge_field(path), path) for path in paths]
    for risk, words in (
        (Risk.POWERFUL, "which can decide what runs, as whom, on what data or for whom"),
        (Risk.CAUTION, "not m2g"),
    ):
        if found := [path for one, path in judged if one is risk]:
            labels = "; NetworkPolicies, Services and PodMonitors may select by labels" if _has_label(found) else ""
            yield Concern(risk=risk, message=f"{name}: people change {list_fields(found)}, {words}{labels}")


def _has_label(paths: Iterable[FieldSteps]) -> bool:
    return any("labels" in path for path in paths)


def _judge_others(pair: _Pair) -> Concern:
    """An object that m2g does not write."""
    what = f"adds {pair.name}"
    if pair.was:
        what = f"changes {pair.name}: {list_fields(fields.find_changes(pair.was, pair.now))}"
    return Concern(risk=power.judge_kind(pair.now), message=f"{what}, which m2g does not write")


def _judge_removal(pair: _Pair, *, service: bool) -> Concern:
    risk = Risk.BREAKING if service else Risk.CAUTION
    if not pair.wrote and not service:
        risk = power.judge_kind(pair.was, removed=True)
    return Concern(risk=risk, message=f"{pair.name} is removed")


def _is_second(key: Identity, objects: Collection[Identity]) -> bool:
    """Whether it is the service of a candidate, whose stable version goes on."""
    return any(key == (*one[:3], name_service(one[3])) for one in objects)


def _by_identity(objects: Iterable[Manifest]) -> dict[Identity, Manifest]:
    return {identify(item): item for item in objects}


def _is_run(key: Identity) -> bool:
    return key[:2] == ("batch/v1", "Job")


def _rename(item: Manifest, name: str) -> Manifest:
    metadata = item.get("metadata")
    return {**item, "metadata": {**metadata, "name": name}} if isinstance(metadata, dict) else item


def _show(item: ObjectChange) -> str:
    return f"{item.object_kind} {item.namespace}/{item.name}" if item.namespace else f"{item.object_kind} {item.name}"
