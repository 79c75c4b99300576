"""What the runs found, one record a scenario, from which docs/reference/cluster-proved.md is made.

python -m tests.support.cluster.outcome         gather the records of the last `make cluster` into the repository
python -m tests.support.cluster.outcome part    after a run of some tests: keep what an earlier run found in others
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

import msgspec

from tests.support import gitea
from tests.support.cluster.assets import ASSETS
from tests.support.paths import ROOT

RECORDS = ROOT / ".tools/cluster-records"
OUTCOME = ROOT / "tests/cluster/outcome.json"
_FLUX = {
    "source-controller": (ASSETS / "flux.mod", "github.com/fluxcd/source-controller"),
    "kustomize-controller": (ASSETS / "flux.mod", "github.com/fluxcd/kustomize-controller"),
}
_ARGOCD = {"Argo CD": (ASSETS / "argocd.mod", "github.com/argoproj/argo-cd/v3")}
_CLUSTER = {
    "Kubernetes": (ASSETS / "apiserver.mod", "k8s.io/kubernetes"),
    "Gitea": (gitea.ASSETS / "go.mod", "code.gitea.io/gitea"),
}
_PROGRAMS = {
    "Flux": {**_FLUX, **_CLUSTER},
    "Argo CD": {**_ARGOCD, **_CLUSTER},
    "both": {**_FLUX, **_ARGOCD, **_CLUSTER},
    "storage": {"kserve-storage": (ROOT / "requirements/storage.txt", "kserve-storage")},
}
"""What ran → its programs, each with the list that has its version, and its name there."""


class Record(msgspec.Struct, frozen=True, kw_only=True):
    """One scenario. `figures` are what was measured, such as `seconds to apply`: `2.1`."""

    scenario: str
    result: str
    figures: dict[str, str] = {}


class Run(msgspec.Struct, frozen=True, kw_only=True):
    """The records of one engine, the versions of what was built, whose CRDs of which kinds were used, and the cores."""

    versions: dict[str, str]
    crds: str
    kinds: list[str]
    cores: int
    records: list[Record]


def write(engine: str, test: str, record: Record) -> None:
    """Keep what a test found."""
    place = _place(engine, test)
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_bytes(msgspec.json.encode(record))


def forget(engine: str, test: str) -> None:
    """Drop what an earlier run of a test found."""
    _place(engine, test).unlink(missing_ok=True)


def _place(engine: str, test: str) -> Path:
    return RECORDS / engine / f"{test.replace('/', '-')}.json"


def gather(*, part: bool) -> None:
    """The records of all tests as one file. What another run found about an engine that did not run now stays."""
    runs = msgspec.json.decode(OUTCOME.read_bytes(), type=dict[str, Run])
    for folder in sorted(RECORDS.iterdir()):
        found = [msgspec.json.decode(path.read_bytes(), type=Record) for path in sorted(folder.glob("*.json"))]
        programs = _PROGRAMS[folder.name]
        versions = {name: version for name, place in programs.items() if (version := _version(*place))}
        if part and folder.name in runs:
            now = {record.scenario for record in found}
            old = [record for record in runs[folder.name].records if record.scenario not in now]
            found += [_date(record, runs[folder.name].versions, versions) for record in old]
        crds, kinds = _describe_crds() if "Kubernetes" in programs else ("", [])
        runs[folder.name] = Run(
            versions=versions,
            crds=crds,
            kinds=kinds,
            cores=os.cpu_count() or 1,
            records=sorted(found, key=lambda record: record.scenario),
        )
    OUTCOME.write_bytes(msgspec.json.format(msgspec.json.encode(dict(sorted(runs.items()))), indent=1) + b"\n")


def _date(record: Record, before: dict[str, str], now: dict[str, str]) -> Record:
    """A record of an earlier run, which says so if its programs were not those of today."""
    changed = [f"{name} {before.get(name, 'none')}" for name, version in now.items() if before.get(name) != version]
    figures = {**record.figures, "of an earlier run with": ", ".join(changed)} if changed else record.figures
    return msgspec.structs.replace(record, figures=figures)


def _describe_crds() -> tuple[str, list[str]]:
    """Whose CRDs of KServe were used, and of which kinds."""
    given = os.environ.get("KSERVE_CRDS")
    folder = Path(given or ASSETS / "kserve-crds")
    kinds = sorted(path.stem.removeprefix("serving.kserve.io_") for path in folder.glob("*.yaml"))
    if given:
        return "somebody's own KServe", kinds
    return f"KServe {(ASSETS / 'kserve.version').read_text().strip().removeprefix('v')}", kinds


def _version(path: Path, name: str) -> str:
    """The version of a module in the go.mod of what was built, or of a package in a lock; empty if there is none."""
    lines = [line.replace("==", " ").split() for line in path.read_text().splitlines()] if path.exists() else []
    return next((words[1] for words in lines if len(words) > 1 and words[0] == name), "")


if __name__ == "__main__":
    gather(part="part" in sys.argv[1:])
