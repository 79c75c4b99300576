"""Images: what is merged must be what runs, so a tag that can move to another build is not enough."""

from __future__ import annotations

import re
from collections.abc import Iterator

from m2g.core.finding import Severity
from m2g.core.schema_errors import Violation
from m2g.validation.rules.containers import KINDS, Place
from m2g.validation.rules.rule import CheckedObject, Rule

_FIXED = re.compile(r"v?[0-9]+\.[0-9]+\.[0-9]+([-+._].*)?|[0-9]{2}\.[0-9]{2}(-.+)?|.*[0-9a-f]{7,40}|.*[0-9]{8,}.*")
"""Tags that name one build: a full version, a calendar version, a commit, a date."""
_MOVING = ("latest", "main", "master", "dev", "nightly", "edge", "stable")


def _tags(obj: CheckedObject) -> Iterator[tuple[Place, str, str]]:
    """(place, image, tag) of every image without a digest, and of every runtimeVersion; an empty tag for none."""
    for container in obj.containers:
        image = obj.text(*container, "image")
        if image and "@" not in image:
            yield (*container, "image"), image, image.rpartition("/")[2].partition(":")[2]
        version = obj.text(*container, "runtimeVersion")
        if version:
            yield (*container, "runtimeVersion"), version, version


def _check_latest(obj: CheckedObject) -> Iterator[Violation]:
    for place, image, tag in _tags(obj):
        if tag in ("", "latest"):
            untagged = "" if tag else " without a tag, which means latest"
            message = f"is {image[:200]!r}{untagged}; what runs can change without a commit"
            yield Violation(where=place, message=message, hint=_hint(place))


def _check_moving(obj: CheckedObject) -> Iterator[Violation]:
    for place, image, tag in _tags(obj):
        if tag not in ("", "latest") and (tag in _MOVING or not _FIXED.fullmatch(tag)):
            message = f"is {image[:200]!r}; this tag can move to another build"
            yield Violation(where=place, message=message, hint=_hint(place))


def _hint(place: Place) -> str:
    return "set a full version, such as 1.7.1" if place[-1] == "runtimeVersion" else ""


_LINK = "https://kubernetes.io/docs/concepts/containers/images/#image-names"

RULES = (
    Rule(
        id="image-latest",
        covers=("L17",),
        kinds=KINDS,
        summary="No image has the tag latest, or no tag.",
        why="A restarted pod can run another image than the reviewed one, and nothing in Git shows it.",
        fix="use the image's digest (name@sha256:…)",
        link=_LINK,
        check=_check_latest,
    ),
    Rule(
        id="image-moving-tag",
        covers=("L17",),
        kinds=KINDS,
        severity=Severity.WARNING,
        summary="An image has a digest, or a tag that names one build: a version, a commit, a date.",
        why="Tags such as 1, 1.7 or main move to new builds.",
        fix="use the image's digest (name@sha256:…)",
        link=_LINK,
        check=_check_moving,
    ),
)
