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

    def naive(self, size: int) -> tuple[Sample, bool] | None:
        """The naive peer's median, and whether it is fitted: on a line through the two largest measured fleets."""
        taken = self.of(size, "naive")
        if taken is not None:
            return taken, False
        known = [(other, sample) for other in self.sizes() if (sample := self.of(other, "naive")) is not None]
        if len(known) < 2:
            return None
        (small, low), (large, high) = known[-2:]

        def fitted(first: float, second: float) -> float:
            return second + (second - first) * (size - large) / (large - small)

        wall, cpu = fitted(low.wall, high.wall), fitted(low.cpu, high.cpu)
        calls, builds = round(fitted(low.calls, high.calls)), round(fitted(low.builds, high.builds))
        return Sample(wall=wall, cpu=cpu, calls=calls, builds=builds), True

    def exponent(self, what: str, small: int, large: int) -> float | None:
        """The exponent with which the processor time grows with the size of the fleet, between two sizes."""
        low, high = self.of(small, what), self.of(large, what)
        if low is None or high is None:
            return None
        return math.log(high.cpu / low.cpu) / math.log(large / small)


def read_results() -> Results:
    """The committed results."""
    return msgspec.json.decode(RESULTS.read_bytes(), type=Results)
