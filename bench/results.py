"""The results of the bench in bench/results.json."""

from __future__ import annotations

import math
from pathlib import Path

import msgspec

from bench.measure import Sample

RESULTS = Path(__file__).parent / "results.json"


class Results(msgspec.Struct, frozen=True, kw_only=True):
    """The medians. `fleets`: size of the fleet → what was measured → sample."""

    machine: str
    kustomize: str
    date: str
    database: str = "sqlite"
    fleets: dict[str, dict[str, Sample]]
    start: dict[str, Sample]
    others: dict[str, Sample]

    def sizes(self) -> list[int]:
        """The sizes of the fleets, smallest first."""
        return sorted(int(size) for size in self.fleets)

    def of(self, size: int, what: str) -> Sample | None:
        """One median; None if it was not measured."""
        return self.fleets.get(str(size), {}).get(what)

    def exponent(self, what: str, small: int, large: int) -> float | None:
        """The exponent with which the processor time grows with the size of the fleet, between two sizes."""
        low, high = self.of(small, what), self.of(large, what)
        if low is None or high is None:
            return None
        return math.log(high.cpu / low.cpu) / math.log(large / small)


def read_results() -> Results:
    """The committed results."""
    return msgspec.json.decode(RESULTS.read_bytes(), type=Results)
