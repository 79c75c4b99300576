"""Compare two states of the fleet: what a reviewer must know, the riskiest change first."""

from __future__ import annotations

from collections.abc import Collection, Iterator

from m2g.core.manifest import Manifest, identify
from m2g.core.model import Release
from m2g.core.results import ChangeKind
from m2g.repository.layout import Key
from m2g.review import facts, objects, signature
from m2g.review.judge import judge_objects
from m2g.review.traffic import compare_traffic
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
    new_version = old is None or new is None or old.version != new.version
    found = dict.fromkeys(
        [
            *_compare_releases(old, new, contract),
            *compare_traffic(key[0], old_overlay, new_overlay, (old, new)),
            *_compare_builds(old_overlay, new_overlay),
            *_compare_services(old_overlay, new_overlay, reported),
            *_judge(old_overlay, new_overlay, reported, new_version=new_version),
            *_compare_profiles(old_overlay, new_overlay),
            *_compare_verdicts(old_overlay, new_overlay, new_version=new_version),
        ]
    )
    concerns = sorted(found, key=lambda concern: _RISKS.index(concern.risk))
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
    if old is None and new is not None and new.image is not None:
        yield facts.describe_image(new.image.name)
    if contract is not None and contract.verdict is Compatibility.BREAKING:
        yield Concern(risk=Risk.BREAKING, message=f"signature: {contract.reasons[0]}")


def _compare_builds(before: Overlay | None, after: Overlay | None) -> Iterator[Concern]:
    if after is not None and after.error:
        yield Concern(risk=Risk.BREAKING, message=f"the overlay does not build: {after.error}")
    elif before is not None and before.error:
        yield Concern(risk=Risk.CAUTION, message="the overlay did not build before, so its objects are not compared")


def _judge(
    before: Overlay | None, after: Overlay | None, changed: Collection[ObjectChange], *, new_version: bool
) -> Iterator[Concern]:
    """Where only the new side builds, all of its objects are judged as new ones."""
    if after is None or not after.error:
        if before is not None and before.error and after is not None:
            before, changed = None, objects.compare((), after.objects)
        yield from judge_objects(before, after, changed, new_version=new_version)


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


def _compare_services(
    before: Overlay | None, after: Overlay | None, changed: Collection[ObjectChange]
) -> Iterator[Concern]:
    """Updates of a service that the cluster refuses."""
    for item in changed:
        if item.kind is ChangeKind.CHANGED and item.object_kind in backends.main_kinds():
            old, new = _object(before, item), _object(after, item)
            backend = backends.find_backend(old)
            if backend is not None and (message := backend.refused_update(old, new)):
                yield Concern(risk=Risk.BREAKING, message=message)


def _object(overlay: Overlay | None, item: ObjectChange) -> Manifest:
    key = (item.api_version, item.object_kind, item.namespace, item.name)
    return next((built for built in (overlay or Overlay()).objects if identify(built) == key), {})
