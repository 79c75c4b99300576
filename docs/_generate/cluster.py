"""cluster-proved.md: what real engines did with a scaffolded repository, from the records of the runs."""

from __future__ import annotations

from pathlib import Path

import msgspec
from docs._generate.words import table

OUTCOME = Path(__file__).parents[2] / "tests/cluster/outcome.json"
_PAGE = """# In a cluster, proved

For this test (`make cluster`), scaffolded repositories with small fleets were pushed to {git}. A real Kubernetes
API server 1.36 (RBAC, garbage collection, {kserve}) ran
with Flux's source-controller and kustomize-controller 1.9.6, or with Argo CD 3.2.11. A webhook changed each
InferenceService as KServe's own does. There were no nodes and no KServe controller: the tests wrote the Deployments
and the statuses that KServe would write. Seconds are those of a busy machine with two cores.

"""
_REST = """
Only a full cluster could still show:

- that KServe's controller copies the annotation `m2g.dev/model-version` to the pods, as its source code says;
- how long a real model takes to load, and what a rollout under traffic does;
- several clusters behind one Argo CD, and fleets of hundreds of models.

To use the CRDs of your own KServe, write them to a folder (`kubectl get crd -o yaml
inferenceservices.serving.kserve.io > crds/inferenceservices.yaml`, and so on) and run `make cluster KSERVE_CRDS=crds`.
"""


class Record(msgspec.Struct, frozen=True):
    """One scenario on one engine."""

    scenario: str
    engine: str
    result: str
    figures: dict[str, str] = {}


class Outcome(msgspec.Struct, frozen=True):
    """tests/cluster/outcome.json. `git` and `kserve` say what served the repository, and whose CRDs were used."""

    git: str
    kserve: str
    records: tuple[Record, ...]


def page() -> str:
    """The page."""
    outcome = msgspec.json.decode(OUTCOME.read_bytes(), type=Outcome)
    rows = [
        (
            record.engine,
            record.scenario,
            record.result,
            ", ".join(f"{key}: {text}" for key, text in record.figures.items()),
        )
        for record in outcome.records
    ]
    head = _PAGE.format(git=outcome.git, kserve=outcome.kserve)
    return head + table(("engine", "scenario", "result", "figures"), rows) + _REST
