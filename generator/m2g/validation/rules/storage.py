"""Several storage URIs, storage by secret, and encrypted models: what the webhook allows together."""

from __future__ import annotations

import re
from collections.abc import Iterator
from posixpath import commonpath

from m2g.core.manifest import get_at
from m2g.validation.rules.containers import LEGACY, Place
from m2g.validation.rules.rule import VALIDATION, Fault, Rule, Subject

_MOUNT = "/mnt/models"
_TYPES = ("s3", "hdfs", "webhdfs")
_FORM = re.compile(r"kbs:///([^/]+)/([^/]+)/([^/]+)")
_KEY = re.compile(r"kbs:///[a-zA-Z0-9_-]+/[a-zA-Z0-9_-]+/[a-zA-Z0-9_.-]+")


def _lists(subject: Subject) -> Iterator[Place]:
    others: list[Place] = [("spec", name) for name in ("transformer", "explainer")]
    for here in (*subject.predictors, *others):
        if subject.items(*here, "storageUris"):
            yield (*here, "storageUris")


def _exclusive(subject: Subject) -> Iterator[Fault]:
    for place in _lists(subject):
        for key in ("model", *LEGACY, "art"):
            if subject.at(*place[:-1], key, "storageUri") is not None:
                message = f"stands beside {key}.storageUri; only one of the two is allowed"
                yield Fault(place=place, message=message)


def _mounts(subject: Subject) -> Iterator[Fault]:
    for here in _lists(subject):
        plain: list[str] = []
        claims: list[str] = []
        for place in subject.places(*here):
            path = subject.text(*place, "mountPath") or _MOUNT
            mount = (*place, "mountPath")
            claim = subject.text(*place, "uri").startswith("pvc://")
            if path.strip("/") == "" or ".." in path:
                yield Fault(place=mount, message=f"is {path!r}; it must be a folder below /, without ..")
            elif claim and path in claims:
                yield Fault(place=mount, message=f"is {path!r}, where another claim is mounted already")
            elif path.startswith("/"):
                (claims if claim else plain).append(path)
        if len(plain) > 1 and commonpath(plain) == "/":
            yield Fault(place=here, message=f"{' and '.join(plain)} have no folder in common but /")


def _spec(subject: Subject) -> Iterator[Fault]:
    for here in subject.predictors:
        place = (*here, "model", "storage", "parameters", "type")
        kind = subject.at(*place)
        if isinstance(kind, str) and kind not in _TYPES:
            yield Fault(place=place, message=f"is {kind!r}; it must be one of {', '.join(_TYPES)}")


def _confidential(subject: Subject) -> Iterator[Fault]:
    for here in subject.predictors:
        predictor = subject.mapping(*here)
        for key in (key for key in ("model", *LEGACY) if key in predictor):
            place = (*here, key, "confidential")
            if subject.at(*place, "enabled") is not True:
                continue
            if not get_at(subject.mapping(*here, key), "storageUri"):
                yield Fault(place=(*here, key, "storageUri"), message="is missing; an encrypted model needs it")
            resource = subject.text(*place, "resourceId")
            if _FORM.fullmatch(resource) and not _KEY.fullmatch(resource):  # another form is the schema's matter
                message = f"is {resource[:80]!r}; its parts may have letters, digits, - and _, the tag also ."
                yield Fault(place=(*place, "resourceId"), message=message)


RULES = (
    Rule(
        id="storage-uris-exclusive",
        covers=("V15", "L09"),
        summary="storageUri and storageUris are not used together.",
        why="KServe's webhook refuses it.",
        fix="keep storageUris, and put the URI of storageUri into it",
        link=VALIDATION,
        check=_exclusive,
    ),
    Rule(
        id="storage-uris-mounts",
        covers=("V16",),
        summary="The mount paths of storageUris are folders with a common parent; claims have a path each.",
        why="One init container downloads all but the claims into one volume, which is mounted at their common parent.",
        fix="mount them side by side, such as /mnt/models/base and /mnt/models/adapter",
        link=VALIDATION,
        check=_mounts,
    ),
    Rule(
        id="storage-spec-type",
        covers=("V17",),
        summary="The type of a storage secret's parameters is s3, hdfs or webhdfs.",
        why="Storage by secret knows only these; another type is accepted, and then no pod is made.",
        fix="use storageUri for other places",
        link="https://kserve.github.io/website/docs/model-serving/storage/overview",
        check=_spec,
    ),
    Rule(
        id="confidential-storage",
        covers=("V19",),
        summary="An encrypted model has a storage URI and the place of its key in letters and digits.",
        why="KServe's webhook refuses it: what would be decrypted?",
        fix="set storageUri, or confidential.enabled: false",
        link=VALIDATION,
        check=_confidential,
    ),
)
