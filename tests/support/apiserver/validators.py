"""Both that check an object, and how their verdicts differ."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import NamedTuple

from m2g.validation.schemas import Catalogue
from tests.support.apiserver import crd
from tests.support.apiserver.objects import SCHEMAS, Case
from tests.support.apiserver.server import ApiServer, serve

_NO_CRDS = {"common", "declared-runtimes", "lock", "kustomize.config.k8s.io"}


class Difference(NamedTuple):
    """One of both refuses an object, with its words."""

    case: Case
    refused_by: str
    words: str

    def __str__(self) -> str:
        return f"{self.case}\n    {self.refused_by} alone refuses: {self.words}"


class Validators(NamedTuple):
    """The server and our schemas, for one KServe version."""

    kserve: str
    server: ApiServer
    catalogue: Catalogue

    def differ(self, case: Case) -> Difference | None:
        """How the verdicts differ; None where both take it or both refuse it."""
        answer = self.server.check(case.manifest)
        found = self.catalogue.find_violations(case.manifest, kserve=self.kserve)
        if answer.accepted != bool(found):
            return None
        ours = "; ".join(f"{one.path} {one.message}" for one in found)
        return Difference(case, refused_by="m2g" if found else "server", words=ours or answer.message)


@contextlib.contextmanager
def start_both(kserve: str) -> Iterator[Validators]:
    """A new server with the CRDs of this KServe version and of all other groups, and the schemas for its Kubernetes."""
    files = [path for path in sorted(SCHEMAS.glob("*.json")) if path.stem not in _NO_CRDS]
    files.append(SCHEMAS / f"serving.kserve.io/{kserve}.json")
    with serve() as server:
        server.install([definition for file in files for definition in crd.definitions(file)])
        yield Validators(kserve, server, Catalogue(kubernetes=server.version()))
