"""A batch of predictions, complete: what it reads and writes, when; and what cannot be meant."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Literal

from m2g.core.model import Value
from m2g.core.naming import find_unprintable

_SCHEMES = ("s3", "gs", "wasb", "wasbs", "abfss", "hdfs", "pvc")
_URI = re.compile(r"([a-z0-9+]+)://([^/]+)/(.+)")
_CLAIM = re.compile(r"[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?")
_NAMED = {
    "month": "jan feb mar apr may jun jul aug sep oct nov dec".split(),
    "weekday": "sun mon tue wed thu fri sat".split(),
}
_FIELDS = (("minute", 0, 59), ("hour", 0, 23), ("day", 1, 31), ("month", 1, 12), ("weekday", 0, 6))
_EVERY = ("@yearly", "@annually", "@monthly", "@weekly", "@daily", "@midnight", "@hourly")
_ZONE = re.compile(r"[A-Za-z][A-Za-z0-9_+-]*(/[A-Za-z0-9_+-]+){0,2}")

Problem = tuple[str, str, str]
"""Setting, what is wrong, what to do."""


class BatchRun(Value, frozen=True, kw_only=True):
    """Without a schedule it is one Job for each version; `image` is empty where the version's own is taken."""

    input: str = ""
    output: str = ""
    schedule: str = ""
    time_zone: str = ""
    content_type: Literal["csv", "json"] = "csv"
    image: str = ""
    timeout_seconds: int = 21_600
    requests: dict[str, str] = {}
    limits: dict[str, str] = {}


def problems(batch: BatchRun) -> Iterator[Problem]:
    """What is missing or cannot be, each with the way out; the path is the setting's."""
    for name, uri in (("input", batch.input), ("output", batch.output)):
        yield from ((f"batch.{name}" if uri else "batch", message, hint) for message, hint in _place(uri, name))
    if batch.input and batch.input == batch.output:
        yield "batch.output", "is the input: the predictions would replace it", "name another file"
    if batch.schedule:
        yield from (("batch.schedule", message, hint) for message, hint in _schedule(batch.schedule))
    if batch.time_zone and not batch.schedule:
        yield "batch.timeZone", "a time zone without a schedule", "set batch.schedule, or remove it"
    elif batch.time_zone and (not _ZONE.fullmatch(batch.time_zone) or batch.time_zone.lower() == "local"):
        yield "batch.timeZone", f"{batch.time_zone[:80]!r} is no time zone", "such as Europe/Berlin or Etc/UTC"
    if batch.image and not re.fullmatch(r"[^\s@]+@sha256:[0-9a-f]{64}", batch.image):
        yield "batch.image", f"{batch.image[:120]!r} is no image by digest", "name it as registry/name@sha256:…"


def _place(uri: str, name: str) -> Iterator[tuple[str, str]]:
    hint = f"such as s3://bucket/{'predictions.json' if name == 'output' else 'rows.csv'}, or pvc://claim/path"
    found = _URI.fullmatch(uri)
    if not uri:
        yield f"a batch needs an {name}", hint
    elif found is None or found[1] not in _SCHEMES or uri.endswith("/"):
        yield f"{uri[:120]!r} is no file that MLflow reads ({', '.join(_SCHEMES)})", hint
    elif find_unprintable(uri) or re.search(r"[\s?#$]", uri) or ".." in uri.split("/"):
        yield (
            f"{uri[:120]!r} has a character or a part that a store or Kubernetes may change",
            "name the file without it",
        )
    elif "@" in found[2] and found[1] not in ("wasb", "wasbs", "abfss"):
        yield "the URI carries a user or password", "give them to the service account (serviceAccountName)"
    elif found[1] == "pvc" and not _CLAIM.fullmatch(found[2]):
        yield f"{found[2][:80]!r} is no name of a volume claim", hint


def _schedule(text: str) -> Iterator[tuple[str, str]]:
    """As Kubernetes reads it: five fields or a macro; TZ= is refused there, the time zone has a field of its own."""
    if text in _EVERY:
        return
    parts = text.split(" ")
    if len(parts) != len(_FIELDS):
        yield f"{text[:80]!r} is no schedule of five fields", "minute hour day month weekday, such as 0 3 * * *"
        return
    for part, (name, low, high) in zip(parts, _FIELDS, strict=True):
        names = {word: low + index for index, word in enumerate(_NAMED.get(name, ()))}
        if not all(_range(piece, low, high, names) for piece in part.split(",")):
            yield f"{part[:40]!r} is no {name} ({low} to {high})", "such as *, */15, 1-5 or 0,30"


def _range(piece: str, low: int, high: int, names: Mapping[str, int]) -> bool:
    span, slash, step = piece.partition("/")
    if slash and not (re.fullmatch(r"[0-9]{1,4}", step) and int(step) > 0):
        return False
    if span in ("*", "?"):
        return True
    ends = [names.get(end.lower(), int(end) if re.fullmatch(r"[0-9]{1,2}", end) else -1) for end in span.split("-")]
    return 1 <= len(ends) <= 2 and all(low <= end <= high for end in ends) and ends == sorted(ends)
