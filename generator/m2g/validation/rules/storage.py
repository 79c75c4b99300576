"""Several storage URIs, storage from a secret, and encrypted models: what the webhook allows together."""

from __future__ import annotations

import re
from collections.abc import Iterator
from posixpath import commonpath

from m2g.core.manifest import get_at
from m2g.core.schema_errors import Violation
from m2g.serving.stored import LEGACY_FORMATS, MAIN_CONTAINER
from m2g.validation.rules.containers import Place
from m2g.validation.rules.rule import WEBHOOK_SOURCE, CheckedObject, Rule, at_least

_MOUNT = "/mnt/models"
_TYPES = ("s3", "hdfs", "webhdfs")
_FORM = re.compile(r"kbs:///([^/]+)/([^/]+)/([^/]+)")
_KEY = re.compile(r"kbs:///[a-zA-Z0-9_-]+/[a-zA-Z0-9_-]+/[a-zA-Z0-9_.-]+")


def _lists(obj: CheckedObject) -> Iterator[Place]:
    others: list[Place] = [("spec", name) for name in ("transformer", "explainer")]
    for here in (*obj.predictors, *others):
        if obj.items(*here, "storageUris"):
            yield (*here, "storageUris")


def _check_exclusive(obj: CheckedObject) -> Iterator[Violation]:
    for place in _lists(obj):
        here = place[:-1]
        for key in ("model", *LEGACY_FORMATS, "art") if "canary" not in place else ():
            if obj.at(*here, key, "storageUri") is not None:
                message = f"is used together with {key}.storageUri; only one of the two is allowed"
                yield Violation(where=place, message=message)
        for container in obj.places(*here, "containers"):
            variables = {obj.text(*variable, "name") for variable in obj.places(*container, "env")}
            read = obj.text(*container, "name") == MAIN_CONTAINER or (container[-1] == 0 and "predictor" not in here)
            if read and "canary" not in place and "STORAGE_URI" in variables:
                message = "is used together with the variable STORAGE_URI; only one of the two is allowed"
                yield Violation(where=place, message=message, hint="remove the variable")


def _check_mounts(obj: CheckedObject) -> Iterator[Violation]:
    for here in _lists(obj):
        plain: list[str] = []
        claims: list[str] = []
        for place in obj.places(*here):
            path = obj.text(*place, "mountPath") or _MOUNT
            mount = (*place, "mountPath")
            claim = obj.text(*place, "uri").startswith("pvc://")
            if path.strip("/") == "" or ".." in path:
                yield Violation(where=mount, message=f"is {path!r}; it must be a directory below / without ..")
            elif claim and path in claims:
                yield Violation(where=mount, message=f"is {path!r}, where another claim is already mounted")
            elif path.startswith("/"):
                (claims if claim else plain).append(path)
        if len(plain) > 1 and commonpath(plain) == "/":
            message = f"is mounted at {' and '.join(plain)}, which have no common parent except /"
            yield Violation(where=here, message=message)


def _check_spec(obj: CheckedObject) -> Iterator[Violation]:
    here: Place = ("spec", "explainer", "art")
    if obj.at(*here, "storage") is None:
        return
    uri, place = obj.text(*here, "storageUri"), (*here, "storage", "parameters", "type")
    kind = obj.at(*place)
    if uri and uri.partition("://")[0] not in _TYPES:
        message = f"is {uri[:120]!r}; beside storage it must begin with {', '.join(f'{one}://' for one in _TYPES)}"
        yield Violation(where=(*here, "storageUri"), message=message, hint="remove storage")
    elif not uri and isinstance(kind, str) and kind not in _TYPES:
        yield Violation(where=place, message=f"is {kind!r}; it must be one of {', '.join(_TYPES)}")


def _check_logger(obj: CheckedObject) -> Iterator[Violation]:
    for here in (
        (*obj.predictors, ("spec", "transformer"), ("spec", "explainer")) if at_least(obj.kserve, "0.17") else ()
    ):
        place = (*here, "logger", "storage")
        if obj.at(*place) is not None:
            missing = [key for key in ("path", "parameters", "key") if obj.at(*place, key) is None]
            if missing:
                message = f"has no {' and no '.join(missing)}; a logger needs path, parameters and key"
                yield Violation(where=place, message=message)


def _check_confidential(obj: CheckedObject) -> Iterator[Violation]:
    for here in obj.predictors:
        predictor = obj.mapping(*here)
        for key in (key for key in ("model", *LEGACY_FORMATS) if key in predictor):
            place = (*here, key, "confidential")
            if obj.at(*place, "enabled") is not True:
                continue
            if not get_at(obj.mapping(*here, key), "storageUri"):
                yield Violation(where=(*here, key, "storageUri"), message="is missing; an encrypted model requires it")
            resource = obj.text(*place, "resourceId")
            if _FORM.fullmatch(resource) and not _KEY.fullmatch(resource):  # the schema reports any other form
                message = f"is {resource[:80]!r}; its parts may contain letters, digits, - and _, the tag also ."
                yield Violation(where=(*place, "resourceId"), message=message)


RULES = (
    Rule(
        id="storage-uris-exclusive",
        covers=("V15", "L09"),
        summary="storageUri and storageUris are not used together.",
        why="KServe's webhook refuses both together.",
        fix="keep storageUris, and move the URI of storageUri into it",
        link=WEBHOOK_SOURCE,
        check=_check_exclusive,
    ),
    Rule(
        id="storage-uris-mounts",
        covers=("V16",),
        summary="The mount paths of storageUris have a common parent; each claim has its own path.",
        why="One init container downloads everything except claims into one volume, which is mounted at the common "
        "parent directory.",
        fix="mount them side by side, such as /mnt/models/base and /mnt/models/adapter",
        link=WEBHOOK_SOURCE,
        check=_check_mounts,
    ),
    Rule(
        id="storage-spec-type",
        covers=("V17",),
        summary="An ART explainer reads storage from a secret of the type s3, hdfs or webhdfs.",
        why="KServe's webhook refuses any other type, and another URI beside it. It does not check predictors.",
        fix="use storageUri for other storage",
        link=WEBHOOK_SOURCE,
        check=_check_spec,
    ),
    Rule(
        id="logger-storage",
        summary="A logger that writes to storage has path, parameters and key.",
        why="KServe's webhook refuses a logger with only some of them (KServe 0.17 and newer).",
        fix="set all three, or remove storage and set url",
        link=WEBHOOK_SOURCE,
        check=_check_logger,
    ),
    Rule(
        id="confidential-storage",
        covers=("V19",),
        summary="An encrypted model has a storage URI, and a resourceId of letters and digits.",
        why="KServe's webhook refuses an encrypted model without a storage URI, and any other resourceId.",
        fix="set storageUri, or confidential.enabled: false",
        link=WEBHOOK_SOURCE,
        check=_check_confidential,
    ),
)
