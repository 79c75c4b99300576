"""What the runs found, one record a scenario, from which docs/reference/cluster-proved.md is made.

python -m tests.support.cluster.outcome      gather the records of the last `make cluster` into the repository
"""

from __future__ import annotations

import os

import msgspec

from tests.support.cluster.programs import ASSETS
from tests.support.paths import ROOT

RECORDS = ROOT / ".tools/cluster-records"
OUTCOME = ROOT / "tests/cluster/outcome.json"


class Record(msgspec.Struct, frozen=True, kw_only=True):
    """One scenario on one engine. `figures` are what was measured, such as `seconds to apply`: `2.1`."""

    scenario: str
    engine: str
    result: str
    figures: dict[str, str] = {}


def start(git: str) -> None:
    """Keep what serves the repositories."""
    RECORDS.mkdir(parents=True, exist_ok=True)
    (RECORDS / "git").write_text(git)


def write(test: str, record: Record) -> None:
    """Keep what a test found."""
    RECORDS.mkdir(parents=True, exist_ok=True)
    (RECORDS / f"{test.replace('/', '-')}.json").write_bytes(msgspec.json.encode(record))


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """All records, what served the repositories, and whose CRDs were used."""

    git: str
    kserve: str
    records: list[Record]


def gather() -> None:
    """The records of all tests as one file."""
    found = [msgspec.json.decode(path.read_bytes(), type=Record) for path in sorted(RECORDS.glob("*.json"))]
    ordered = sorted(found, key=lambda record: (record.engine, record.scenario))
    given = os.environ.get("KSERVE_CRDS")
    own = "CRDs of somebody's own" if given else f"the CRDs of KServe {(ASSETS / 'kserve.version').read_text().strip()}"
    outcome = Outcome(git=(RECORDS / "git").read_text(), kserve=own, records=ordered)
    OUTCOME.write_bytes(msgspec.json.format(msgspec.json.encode(outcome), indent=1) + b"\n")


if __name__ == "__main__":
    gather()
