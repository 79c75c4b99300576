"""The metrics of `m2g serve` in Prometheus' text format. Labels are closed lists: no name of a model is in them."""

from __future__ import annotations

import threading
from collections.abc import Iterable

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_HELP = {
    "m2g_events_total": ("counter", "Requests to /webhooks/, by sender and by what became of them."),
    "m2g_syncs_total": ("counter", "Runs of m2g sync: done, or failed."),
    "m2g_sync_running": ("gauge", "1 while a sync runs."),
    "m2g_sync_seconds_total": ("counter", "Seconds that all syncs took."),
    "m2g_sync_failures": ("gauge", "Failed syncs since the last one that was done."),
    "m2g_last_sync_timestamp_seconds": ("gauge", "When the last sync was done, in seconds since the epoch."),
    "m2g_proposals": ("gauge", "Proposals of the last sync, by action."),
    "m2g_findings": ("gauge", "Findings of the last sync, by severity."),
}


class Metrics:
    """Numbers by name and label. Threads may share one."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._numbers: dict[str, dict[tuple[tuple[str, str], ...], float]] = {name: {} for name in _HELP}

    def add(self, name: str, number: float = 1, **labels: str) -> None:
        """Add to a counter."""
        key = tuple(labels.items())
        with self._lock:
            self._numbers[name][key] = self._numbers[name].get(key, 0) + number

    def set(self, name: str, number: float, **labels: str) -> None:
        """Set a gauge."""
        with self._lock:
            self._numbers[name][tuple(labels.items())] = number

    def render(self) -> str:
        """All numbers, in a fixed order."""
        with self._lock:
            return "".join(line for name in _HELP for line in _format(name, self._numbers[name].items()))


def _format(name: str, numbers: Iterable[tuple[tuple[tuple[str, str], ...], float]]) -> list[str]:
    kind, text = _HELP[name]
    lines = [f"# HELP {name} {text}\n", f"# TYPE {name} {kind}\n"]
    for labels, number in sorted(numbers):
        inside = ",".join(f'{key}="{value}"' for key, value in labels)
        lines.append(f"{name}{f'{{{inside}}}' if inside else ''} {number:.15g}\n")
    return lines
