"""Two states of the fleet → what a reviewer must know, the riskiest change first."""

from __future__ import annotations

from collections.abc import Collection, Iterator

from m2g.core.manifest import Manifest, identify
from m2g.core.model import Release
from m2g.core.results import ChangeKind
from m2g.repository.layout import Key
from m2g.review import facts, objects, signature
from m2g.review.values import (
    Change,
    Concern,
    Contract,
    Metric,
    Moved,
    ObjectChange,
    Overlay,
    Review,
    Risk,
    Side,
    Verdict,
)
from m2g.serving import backends

__all__ = [
    "Change",
    "Concern",
    "Contract",
    "Key",
    "Metric",
    "Moved",
    "ObjectChange",
    "Overlay",
    "Review",
    "Risk",
    "Side",
    "Verdict",
    "review",
]

_RISKS = list(Risk)


def review(
    before: Side, after: Side, *, against: str, files: Collection[str] = (), notes: Collection[str] = ()
) -> Review:
    """Compare both sides, key by key; `files` and `notes` are handed through, sorted."""
    keys = {*before.releases, *before.overlays, *after.releases, *after.overlays}
    changes = [change for key in keys if (change := _change(key, before, after)) is not None]
    changes.sort(key=lambda change: (_RISKS.index(change.risk), change.model, change.slug, change.environment))
    return Review(against=against, changes=tuple(changes), files=tuple(sorted(files)), notes=tuple(sorted(notes)))


def _change(key: Key, before: Side, after: Side) -> Change | None:
    old, new = before.releases.get(key), after.releases.get(key)
    was, now = before.overlays.get(key), after.overlays.get(key)
    changed = objects.compare(was.objects if was else (), now.objects if now else ())
    broken = bool(was and was.error) or bool(now and now.error)
    if old == new and not changed and not broken:
        return None
    known = new or old
    contract = _contract(old, new)
    # Where a side does not build, its missing objects are no news.
    told = () if broken else tuple(changed)
    concerns = sorted(
        {
            *_concerns(old, new, contract),
            *_built(was, now),
            *_moved_objects(was, now, told),
            *_served(was, now),
            *_verdicts(was, now, moved=old is None or new is None or old.version != new.version),
        },
        key=lambda concern: (_RISKS.index(concern.risk), concern.message),
    )
    return Change(
        kind=_kind((old, was), (new, now)),
        risk=concerns[0].risk if concerns else Risk.ROUTINE,
        slug=key[0],
        model=known.model if known else key[0],
        environment=key[1],
        before=old.version if old else "",
        after=new.version if new else "",
        concerns=tuple(concerns),
        contract=contract,
        metrics=facts.metrics(old, new) if old != new else (),
        params=facts.params(old, new),
        lineage=facts.lineage(old, new),
        objects=told,
    )


def _kind(before: tuple[Release | None, Overlay | None], after: tuple[Release | None, Overlay | None]) -> ChangeKind:
    if before == (None, None):
        return ChangeKind.ADDED
    return ChangeKind.REMOVED if after == (None, None) else ChangeKind.CHANGED


def _contract(old: Release | None, new: Release | None) -> Contract | None:
    """No verdict where one side has no release, or the artifacts are the same."""
    if old is None or new is None or old.mlmodel == new.mlmodel:
        return None
    return signature.compare(
        old.mlmodel.signature if old.mlmodel else None, new.mlmodel.signature if new.mlmodel else None
    )


def _concerns(old: Release | None, new: Release | None, contract: Contract | None) -> Iterator[Concern]:
    if old is not None and new is None:
        yield Concern(risk=Risk.BREAKING, message=f"removed: version {old.version} is no longer served")
    if old is not None and new is not None:
        yield from facts.concerns(old, new)
    if contract is not None and contract.verdict is Verdict.BREAKING:
        yield Concern(risk=Risk.BREAKING, message=f"signature: {contract.reasons[0]}")


def _built(was: Overlay | None, now: Overlay | None) -> Iterator[Concern]:
    if now is not None and now.error:
        yield Concern(risk=Risk.BREAKING, message=f"the overlay does not build: {now.error}")
    elif was is not None and was.error:
        yield Concern(risk=Risk.CAUTION, message="the overlay did not build before, so its objects are not compared")


def _served(was: Overlay | None, now: Overlay | None) -> Iterator[Concern]:
    old, new = was.chosen if was else None, now.chosen if now else None
    if old is None or new is None or old.profile == new.profile:
        return
    words = f"served by {new.profile}, was {old.profile}: {new.reason}"
    if old.protocol == new.protocol:
        yield Concern(risk=Risk.CAUTION, message=words)
    else:
        asked = f"; callers must ask by {new.protocol}, not {old.protocol}"
        yield Concern(risk=Risk.BREAKING, message=words + asked)


def _verdicts(was: Overlay | None, now: Overlay | None, *, moved: bool) -> Iterator[Concern]:
    """Whether the runtime still loads what is to run. The same answer to the same version is no news, even if
    a newer m2g has more reasons for it.
    """
    old = was.chosen.verdict if was and was.chosen else None
    new = now.chosen.verdict if now and now.chosen else None
    before = f" (was {old.answer} by {old.runtime})" if old is not None else ""
    known = old is not None and new is not None and (old.runtime, old.answer) == (new.runtime, new.answer)
    if new is None or new.answer == "serves" or (known and not moved) or (old is not None and old == new):
        if new is not None and old is not None and old.answer != new.answer:
            yield Concern(risk=Risk.ROUTINE, message=f"verdict of {new.runtime}: serves{before}")
        return
    why = "; ".join(reason.text for reason in new.reasons[:3])
    risk = Risk.BREAKING if new.answer == "fails" else Risk.CAUTION
    yield Concern(risk=risk, message=f"verdict of {new.runtime}: {new.answer}{before}: {why}")


def _moved_objects(was: Overlay | None, now: Overlay | None, changed: Collection[ObjectChange]) -> Iterator[Concern]:
    batch = any(item.kind is not ChangeKind.REMOVED and item.object_kind == "Job" for item in changed)
    for item in changed:
        if batch and item.object_kind == "Job":
            continue  # a Job cannot be changed: another version is another Job
        service = item.object_kind in backends.main_kinds()
        if item.kind is ChangeKind.REMOVED and now is not None:
            risk = Risk.BREAKING if service else Risk.CAUTION
            yield Concern(risk=risk, message=f"{item.object_kind} {item.namespace}/{item.name} is removed")
        if item.kind is ChangeKind.CHANGED and service:
            old, new = _object(was, item), _object(now, item)
            backend = backends.of_object(old)
            if backend is not None and (words := backend.refused_update(old, new)):
                yield Concern(risk=Risk.BREAKING, message=words)


def _object(overlay: Overlay | None, item: ObjectChange) -> Manifest:
    key = (item.api_version, item.object_kind, item.namespace, item.name)
    return next((found for found in (overlay or Overlay()).objects if identify(found) == key), {})
