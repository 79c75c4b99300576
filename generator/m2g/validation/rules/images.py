"""Images: what is merged must be what runs, so a name that means something else tomorrow does not do."""

from __future__ import annotations

import re
from collections.abc import Iterator

from m2g.core.finding import Severity
from m2g.validation.rules.containers import KINDS, Place
from m2g.validation.rules.rule import Fault, Rule, Subject

_FIXED = re.compile(r"v?[0-9]+\.[0-9]+\.[0-9]+([-+._].*)?|[0-9]{2}\.[0-9]{2}(-.+)?|.*[0-9a-f]{7,40}|.*[0-9]{8,}.*")
"""Tags that say one build: a full version, a calendar version, a commit, a date."""
_MOVING = ("latest", "main", "master", "dev", "nightly", "edge", "stable")


def _tags(subject: Subject) -> Iterator[tuple[Place, str, str]]:
    """(place, image, tag) of every image without a digest, and of every runtimeVersion; an empty tag for none."""
    for container in subject.containers:
        image = subject.text(*container, "image")
        if image and "@" not in image:
            yield (*container, "image"), image, image.rpartition("/")[2].partition(":")[2]
        version = subject.text(*container, "runtimeVersion")
        if version:
            yield (*container, "runtimeVersion"), version, version


def _latest(subject: Subject) -> Iterator[Fault]:
    for place, image, tag in _tags(subject):
        if tag in ("", "latest"):
            said = "has no tag, which means latest" if not tag else "is latest"
            yield Fault(place=place, message=f"{image[:200]!r} {said}: what runs changes without a commit")


def _moving(subject: Subject) -> Iterator[Fault]:
    for place, image, tag in _tags(subject):
        if tag not in ("", "latest") and (tag in _MOVING or not _FIXED.fullmatch(tag)):
            yield Fault(place=place, message=f"{image[:200]!r} has a tag that may move to another build")


_LINK = "https://kubernetes.io/docs/concepts/containers/images/#image-names"

RULES = (
    Rule(
        id="image-latest",
        covers=("L17",),
        kinds=KINDS,
        summary="No image is latest, or without a tag.",
        why="A restarted pod may run another image than the one that was reviewed, and nothing in Git tells.",
        fix="name the image by digest (name@sha256:…)",
        link=_LINK,
        check=_latest,
    ),
    Rule(
        id="image-moving-tag",
        covers=("L17",),
        kinds=KINDS,
        severity=Severity.WARNING,
        summary="An image is named by digest, or by a tag that says one build: a full version, a commit, a date.",
        why="Tags such as 1, 1.7 or main are moved to new builds.",
        fix="name the image by digest (name@sha256:…)",
        link=_LINK,
        check=_moving,
    ),
)
