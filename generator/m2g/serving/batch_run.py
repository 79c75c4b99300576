"""A batch prediction job: what it reads and writes, and when. And the settings of a batch that cannot work."""

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
_MACROS = ("@yearly", "@annually", "@monthly", "@weekly", "@daily", "@midnight", "@hourly")
_ZONE = re.compile(r"[A-Za-z][A-Za-z0-9_+-]*(/[A-Za-z0-9_+-]+){0,2}")

Problem = tuple[str, str, str]
"""Path of a setting, message, hint."""


class BatchRun(Value, frozen=True, kw_only=True):
    """The complete settings of a batch. Without a schedule, it is one Job for each version.

    An empty `image` stands for the version's own image.
    """

    input: str = ""
    output: str = ""
    schedule: str = ""
    time_zone: str = ""
    content_type: Literal["csv", "json"] = "csv"
    image: str = ""
    timeout_seconds: int = 21_600
    requests: dict[str, str] = {}
    limits: dict[str, str] = {}


def find_problems(batch: BatchRun) -> Iterator[Problem]:
    """The settings that are missing or invalid."""
    for name, uri in (("input", batch.input), ("output", batch.output)):
        yield from ((f"batch.{name}" if uri else "batch", message, hint) for message, hint in _check_uri(uri, name))
    if batch.input and batch.input == batch.output:
        yield "batch.output", "the output is the input file: the predictions would overwrite it", "name another file"
    if batch.schedule:
        yield from (("batch.schedule", message, hint) for message, hint in _check_schedule(batch.schedule))
    if batch.time_zone and not batch.schedule:
        yield (
            "batch.timeZone",
            "a time zone needs a schedule",
            "set batch.schedule, or remove batch.timeZone",
        )
    elif batch.time_zone and (not _ZONE.fullmatch(batch.time_zone) or batch.time_zone.lower() == "local"):
        yield (
            "batch.timeZone",
            f"{batch.time_zone[:80]!r} is not a time zone",
            "name one such as Europe/Berlin or Etc/UTC",
        )
    if batch.image and not re.fullmatch(r"[^\s@]+@sha256:[0-9a-f]{64}", batch.image):
        yield "batch.image", f"{batch.image[:120]!r} is not an image with a digest", "write REGISTRY/NAME@sha256:…"


def _check_uri(uri: str, name: str) -> Iterator[tuple[str, str]]:
    file = "predictions.json" if name == "output" else "rows.csv"
    hint = f"set batch.{name} to a file such as s3://bucket/{file} or pvc://claim/{file}"
    parts = _URI.fullmatch(uri)
    if not uri:
        yield f"a batch needs an {name}", hint
    elif parts is None or parts[1] not in _SCHEMES or uri.endswith("/"):
        yield f"{uri[:120]!r} is not a file that MLflow can access ({', '.join(_SCHEMES)})", hint
    elif find_unprintable(uri) or re.search(r"[\s?#$]", uri) or ".." in uri.split("/"):
        yield (
            f"{uri[:120]!r} has a character or a part that a store or Kubernetes may change",
            "use a path without spaces, control characters, '?', '#', '$' and '..'",
        )
    elif "@" in parts[2] and parts[1] not in ("wasb", "wasbs", "abfss"):
        yield "the URI has a user or a password", "give the credentials to the service account: serviceAccountName"
    elif parts[1] == "pvc" and not _CLAIM.fullmatch(parts[2]):
        yield f"{parts[2][:80]!r} is not the name of a persistent volume claim", hint


def _check_schedule(text: str) -> Iterator[tuple[str, str]]:
    """Kubernetes accepts five fields or a macro. It refuses TZ=: the time zone is a field of its own."""
    if text in _MACROS:
        return
    parts = text.split(" ")
    if len(parts) != len(_FIELDS):
        yield (
            f"{text[:80]!r} is not a cron schedule",
            "write five fields (minute hour day month weekday), such as 0 3 * * *",
        )
        return
    for part, (name, low, high) in zip(parts, _FIELDS, strict=True):
        names = {word: low + index for index, word in enumerate(_NAMED.get(name, ()))}
        if not all(_is_range(piece, low, high, names) for piece in part.split(",")):
            yield f"{part[:40]!r} is not a valid {name} ({low} to {high})", "write it as *, */15, 1-5 or 0,30"


def _is_range(piece: str, low: int, high: int, names: Mapping[str, int]) -> bool:
    span, slash, step = piece.partition("/")
    if slash and not (re.fullmatch(r"[0-9]{1,4}", step) and int(step) > 0):
        return False
    if span in ("*", "?"):
        return True
    ends = [names.get(end.lower(), int(end) if re.fullmatch(r"[0-9]{1,2}", end) else -1) for end in span.split("-")]
    return 1 <= len(ends) <= 2 and all(low <= end <= high for end in ends) and ends == sorted(ends)
