"""cluster-proved.md: what real engines did with a scaffolded repository, from the records of the runs."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import msgspec
from docs._generate.words import table

OUTCOME = Path(__file__).parents[2] / "tests/cluster/outcome.json"
_PAGE = """# In a cluster, proved

For this test (`make cluster`), scaffolded repositories with small fleets were pushed to a real Gitea, and real engines,
built from source, deployed them into a Kubernetes control plane with RBAC and garbage collection. A webhook changed
each InferenceService as KServe's own does. There were no nodes and no KServe controller: the tests wrote the
Deployments and the statuses that KServe would write.

The runs wrote these records themselves, to `tests/cluster/outcome.json`. "Merged by force" is a change that `m2g
validate` refused just before. Seconds are those of a busy machine.
"""
_TITLES = {
    "Argo CD": "Argo CD",
    "Flux": "Flux",
    "both": "Both in one cluster",
    "storage": "KServe's storage initializer",
}
"""What ran → the title of its part, in this order."""
_STORAGE = """
The initializer ran as a program, against stores on loopback that speak the protocols. HDFS was not tried. The node, not
the initializer, reads `pvc://` and `oci://`.
"""
_REST = """
## What only a full cluster could still show

- that KServe's controller copies the annotation `m2g.dev/model-version` to the pods, as its source code says;
- how long a real model takes to load, and what a rollout under traffic does;
- several clusters behind one Argo CD, and fleets of hundreds of models;
- credentials for private repositories and stores.

To use the CRDs of your own KServe, write them to a folder (`kubectl get crd -o yaml
inferenceservices.serving.kserve.io > crds/inferenceservices.yaml`, and so on) and run `make cluster KSERVE_CRDS=crds`.
"""


class Record(msgspec.Struct, frozen=True):
    """One scenario."""

    scenario: str
    result: str
    figures: dict[str, str] = {}


class Run(msgspec.Struct, frozen=True):
    """What one engine did: see tests/support/cluster/outcome.py."""

    versions: dict[str, str]
    crds: str
    kinds: tuple[str, ...]
    cores: int
    records: tuple[Record, ...]


def page() -> str:
    """The page."""
    runs = msgspec.json.decode(OUTCOME.read_bytes(), type=dict[str, Run])
    return _PAGE + "".join(text for name in _TITLES if name in runs for text in _part(name, runs[name])) + _REST


def _part(name: str, run: Run) -> Iterator[str]:
    yield f"\n## {_TITLES[name]}\n"
    programs = ", ".join(f"{program} {version.removeprefix('v')}" for program, version in run.versions.items())
    if run.crds:
        kinds = ", ".join(f"`{kind}`" for kind in run.kinds)
        yield f"\nIt ran with {programs}, on {run.cores} cores. The CRDs were those of {run.crds}: {kinds}.\n\n"
    else:
        yield f"{_STORAGE}\nIt was {programs}.\n\n"
    rows = [
        (one.scenario, one.result, ", ".join(f"{key}: {text}" for key, text in one.figures.items()))
        for one in run.records
    ]
    yield table(("scenario", "result", "figures"), rows)
