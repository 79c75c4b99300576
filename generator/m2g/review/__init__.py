"""Compare two states of the fleet: what a reviewer must know, the riskiest change first."""

from __future__ import annotations

from collections.abc import Collection, Iterator

from m2g.core.field_path import format_path
from m2g.core.manifest import Manifest, get_at, identify, name_kind
from m2g.core.model import Release
from m2g.core.node_access import find_node_access
from m2g.core.results import ChangeKind
from m2g.repository import layout
from m2g.repository.layout import Key
from m2g.review import facts, objects, power, signature
from m2g.review.values import (
    Change,
    Compatibility,
    Concern,
    Contract,
    FactChange,
    Metric,
    ObjectChange,
    Overlay,
    Review,
    Risk,
    Side,
)
from m2g.serving import backends

__all__ = [
    "Change",
    "Compatibility",
    "Concern",
    "Contract",
    "FactChange",
    "Key",
    "Metric",
    "ObjectChange",
    "Overlay",
    "Review",
    "Risk",
    "Side",
    "review",
]

_RISKS = list(Risk)
_DECIDING = frozenset(
    "image command args env envFrom serviceAccountName storageUri volumes volumeMounts securityContext initContainers "
    "imagePullSecrets runtime storage lifecycle nodeName priorityClassName runtimeClassName schedulerName hostAliases "
    "dnsConfig dnsPolicy automountServiceAccountToken shareProcessNamespace".split()
)
_FROM_RECORD = frozenset({"image", "storageUri"})
_FROM_VERSION = frozenset({*_FROM_RECORD, "env", "runtime", "args"})
_FLUX_FIELDS = frozenset(
    "sourceRef serviceAccountName kubeConfig postBuild patches components images targetNamespace decryption".split()
)
_LOADS = {"serves": "loads", "fails": "does not load", "unknown": "may not load"}


def review(
    before: Side, after: Side, *, against: str, files: Collection[str] = (), notes: Collection[str] = ()
) -> Review:
    """Compare both sides, key by key; `files` and `notes` are added, sorted."""
    keys = {*before.releases, *before.overlays, *after.releases, *after.overlays}
    changes = [change for key in keys if (change := _change(key, before, after)) is not None]
    changes.sort(key=lambda change: (_RISKS.index(change.risk), change.model, change.slug, change.environment))
    return Review(against=against, changes=tuple(changes), files=tuple(sorted(files)), notes=tuple(sorted(notes)))


def _change(key: Key, before: Side, after: Side) -> Change | None:
    old, new = before.releases.get(key), after.releases.get(key)
    old_overlay, new_overlay = before.overlays.get(key), after.overlays.get(key)
    changed = objects.compare(old_overlay.objects if old_overlay else (), new_overlay.objects if new_overlay else ())
    broken = bool(old_overlay and old_overlay.error) or bool(new_overlay and new_overlay.error)
    if old == new and not changed and not broken:
        return None
    known = new or old
    contract = _contract(old, new)
    # If a side does not build, all of its objects are missing: that is not a change to report.
    reported = () if broken else tuple(changed)
    concerns = sorted(
        {
            *_compare_releases(old, new, contract),
            *_compare_builds(old_overlay, new_overlay),
            *_compare_objects(old_overlay, new_overlay, reported),
            *_compare_power(key, old_overlay, new_overlay, reported),
            *_compare_fields(old, new, (old_overlay, new_overlay), reported),
            *_compare_profiles(old_overlay, new_overlay),
            *_compare_verdicts(
                old_overlay, new_overlay, new_version=old is None or new is None or old.version != new.version
            ),
        },
        key=_rank,
    )
    return Change(
        kind=_kind((old, old_overlay), (new, new_overlay)),
        risk=concerns[0].risk if concerns else Risk.ROUTINE,
        slug=key[0],
        model=known.model if known else key[0],
        environment=key[1],
        before=old.version if old else "",
        after=new.version if new else "",
        concerns=tuple(concerns),
        contract=contract,
        metrics=facts.compare_metrics(old, new) if old != new else (),
        params=facts.compare_params(old, new),
        lineage=facts.compare_lineage(old, new),
        objects=reported,
    )


def _rank(concern: Concern) -> tuple[int, str]:
    return _RISKS.index(concern.risk), concern.message


def _kind(before: tuple[Release | None, Overlay | None], after: tuple[Release | None, Overlay | None]) -> ChangeKind:
    if before == (None, None):
        return ChangeKind.ADDED
    return ChangeKind.REMOVED if after == (None, None) else ChangeKind.CHANGED


def _contract(old: Release | None, new: Release | None) -> Contract | None:
    """None if one side has no release, or if both have the same model files."""
    if old is None or new is None or old.mlmodel == new.mlmodel:
        return None
    return signature.compare(
        old.mlmodel.signature if old.mlmodel else None, new.mlmodel.signature if new.mlmodel else None
    )


def _compare_releases(old: Release | None, new: Release | None, contract: Contract | None) -> Iterator[Concern]:
    if old is not None and new is None:
        yield Concern(risk=Risk.BREAKING, message=f"removed: version {old.version} is no longer served")
    if old is not None and new is not None:
        yield from facts.find_concerns(old, new)
    if contract is not None and contract.verdict is Compatibility.BREAKING:
        yield Concern(risk=Risk.BREAKING, message=f"signature: {contract.reasons[0]}")


def _compare_builds(before: Overlay | None, after: Overlay | None) -> Iterator[Concern]:
    if after is not None and after.error:
        yield Concern(risk=Risk.BREAKING, message=f"the overlay does not build: {after.error}")
    elif before is not None and before.error:
        yield Concern(risk=Risk.CAUTION, message="the overlay did not build before, so its objects are not compared")


def _compare_profiles(before: Overlay | None, after: Overlay | None) -> Iterator[Concern]:
    old, new = before.chosen if before else None, after.chosen if after else None
    if old is None or new is None or old.profile == new.profile:
        return
    message = f"the profile changes from {old.profile} to {new.profile}: {new.reason}"
    if old.protocol == new.protocol:
        yield Concern(risk=Risk.CAUTION, message=message)
    else:
        callers = f"; callers must use the protocol {new.protocol} instead of {old.protocol}"
        yield Concern(risk=Risk.BREAKING, message=message + callers)


def _compare_verdicts(before: Overlay | None, after: Overlay | None, *, new_version: bool) -> Iterator[Concern]:
    """Whether the runtime still loads the model. The same answer for the same version is not reported, even if a newer
    m2g has more reasons for it.
    """
    old = before.chosen.verdict if before and before.chosen else None
    new = after.chosen.verdict if after and after.chosen else None
    was = f" (before: {old.runtime} {_LOADS[old.answer]} it)" if old is not None else ""
    known = old is not None and new is not None and (old.runtime, old.answer) == (new.runtime, new.answer)
    if new is None or new.answer == "serves" or (known and not new_version) or (old is not None and old == new):
        if new is not None and old is not None and old.answer != new.answer:
            yield Concern(risk=Risk.ROUTINE, message=f"{new.runtime} {_LOADS[new.answer]} the model{was}")
        return
    reasons = "; ".join(reason.text for reason in new.reasons[:3])
    risk = Risk.BREAKING if new.answer == "fails" else Risk.CAUTION
    yield Concern(risk=risk, message=f"{new.runtime} {_LOADS[new.answer]} the model{was}: {reasons}")


def _compare_objects(
    before: Overlay | None, after: Overlay | None, changed: Collection[ObjectChange]
) -> Iterator[Concern]:
    batch = any(item.kind is not ChangeKind.REMOVED and item.object_kind == "Job" for item in changed)
    for item in changed:
        if batch and item.object_kind == "Job":
            continue  # a Job is immutable: another version is another Job
        service = item.object_kind in backends.main_kinds()
        if item.kind is ChangeKind.REMOVED and after is not None:
            risk = Risk.BREAKING if service else Risk.CAUTION
            yield Concern(risk=risk, message=f"{item.object_kind} {item.namespace}/{item.name} is removed")
        if item.kind is ChangeKind.CHANGED and service:
            old, new = _object(before, item), _object(after, item)
            backend = backends.find_backend(old)
            if backend is not None and (message := backend.refused_update(old, new)):
                yield Concern(risk=Risk.BREAKING, message=message)


def _compare_power(
    key: Key, before: Overlay | None, after: Overlay | None, changed: Collection[ObjectChange]
) -> Iterator[Concern]:
    """Objects that m2g does not write itself, and access to nodes."""
    for item in changed:
        built = _object(after, item)
        if get_at(built, "spec", "path") == f"./{layout.overlay(*key)}":  # m2g's own Kustomization of Flux
            paths = power.find_changes(_object(before, item), built) if item.kind is ChangeKind.CHANGED else []
            fields = {str(path[1]) for path in paths if len(path) > 1} & _FLUX_FIELDS
            if fields:
                message = f"Kustomization {item.name} of Flux: {', '.join(sorted(fields))} changed"
                yield Concern(risk=Risk.POWERFUL, message=message)
            continue
        name = (
            f"{item.object_kind} {item.namespace}/{item.name}" if item.namespace else f"{item.object_kind} {item.name}"
        )
        if built and name_kind(built) not in {*backends.written_kinds(), "ConfigMap"}:
            risk = Risk.POWERFUL if power.is_powerful(built) else Risk.CAUTION
            verb = "adds" if item.kind is ChangeKind.ADDED else "changes"
            yield Concern(risk=risk, message=f"{verb} {name}, a kind that m2g does not write")
        elif item.kind is ChangeKind.ADDED and not (
            # Another version is another Job.
            item.name.startswith(key[0]) and (before is None or item.object_kind == "Job")
        ):
            yield Concern(risk=Risk.CAUTION, message=f"adds {name}")
        known = set(find_node_access(_object(before, item)))
        for where in find_node_access(built):
            if where not in known:
                yield Concern(risk=Risk.POWERFUL, message=f"{name} gets access to its node: {format_path(where)}")


def _compare_fields(
    old: Release | None,
    new: Release | None,
    overlays: tuple[Overlay | None, Overlay | None],
    changed: Collection[ObjectChange],
) -> Iterator[Concern]:
    """Fields that decide which code runs, as whom, and with which data, apart from those that a new version changes."""
    expected = frozenset[str]()
    if old != new:
        same = old is not None and new is not None and old.version == new.version
        expected = _FROM_RECORD if same else _FROM_VERSION
    for item in changed:
        if item.kind is not ChangeKind.CHANGED:
            continue
        was, now = _object(overlays[0], item), _object(overlays[1], item)
        paths = power.find_changes(was, now)
        changed_names = (power.list_names(path, was, now) for path in paths)
        names = {name for found in changed_names for name in found} & (_DECIDING - expected)
        if obeyed := sorted({key for path in paths for key in _annotations(path, was, now)}):
            yield Concern(
                risk=Risk.CAUTION,
                message=f"{item.object_kind} {item.name}: {', '.join(obeyed)} changed, an annotation that programs of "
                "the cluster may obey",
            )
        if names:
            yield Concern(
                risk=Risk.CAUTION,
                message=f"{item.object_kind} {item.name}: {', '.join(sorted(names))} changed, "
                "which decides what runs, where or as whom",
            )


def _annotations(path: power.FieldSteps, was: Manifest, now: Manifest) -> Iterator[str]:
    """The annotations that differ at a path. Keys without a prefix are for people, and m2g's own only for m2g."""
    if "annotations" not in path:
        return
    place = path.index("annotations") + 1
    both = (get_at(item, *path[:place]) for item in (was, now))
    keys = path[place : place + 1] or {key for value in both if isinstance(value, dict) for key in value}
    yield from (str(key) for key in keys if "/" in str(key) and not str(key).startswith("m2g.dev/"))


def _object(overlay: Overlay | None, item: ObjectChange) -> Manifest:
    key = (item.api_version, item.object_kind, item.namespace, item.name)
    return next((built for built in (overlay or Overlay()).objects if identify(built) == key), {})
