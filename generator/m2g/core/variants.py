"""The candidate of a canary in a release record: into a release of its own and back, and what becomes of it."""

from __future__ import annotations

from typing import Literal

import msgspec

from m2g.core.model import Release, Variant

CANARY: Literal["canary"] = "canary"
_SHARED = tuple(field.name for field in msgspec.structs.fields(Variant))


def find_candidate(release: Release) -> Release | None:
    """The candidate as a release of the same model and environment; None if there is none."""
    variant = release.variants.get(CANARY)
    return None if variant is None else with_variant(release, variant)


def list_versions(release: Release) -> tuple[Release, ...]:
    """The release and its candidate, each as a release of its own."""
    candidate = find_candidate(release)
    return (release,) if candidate is None else (release, candidate)


def describe_versions(release: Release) -> str:
    """The version, and the candidate beside it if there is one: `1 (canary 2)`."""
    candidate = find_candidate(release)
    return release.version if candidate is None else f"{release.version} (canary {candidate.version})"


def find_same(before: Release | None, release: Release) -> Release | None:
    """What an earlier record says of this version, be it stable or the candidate; else the earlier record itself."""
    known = () if before is None else list_versions(before)
    return next((one for one in known if one.identity == release.identity), before)


def with_variant(release: Release, variant: Variant) -> Release:
    """What the record would say if the variant were its version."""
    fields = {name: getattr(variant, name) for name in _SHARED}
    return msgspec.structs.replace(release, **fields, variants={})


def add_candidate(release: Release, candidate: Release) -> Release:
    """The release with this candidate."""
    variant = Variant(**{name: getattr(candidate, name) for name in _SHARED})
    return msgspec.structs.replace(release, variants={CANARY: variant})


def drop_candidate(release: Release) -> Release:
    """The release without its candidate."""
    return msgspec.structs.replace(release, variants={}) if release.variants else release


def name_predictor(release: Release, version: str) -> str:
    """`spec.predictor.name` of the candidate, which the stable predictor may have from an earlier canary already."""
    name = f"v{version}"
    return f"{name}-again" if name == release.predictor else name
