"""One fleet: everything that is measured on it, round after round, each command beside its peer."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import urllib.request
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path

from bench import fleet
from bench.measure import Place, Sample, run
from m2g.core.cache import FILE, Cache
from m2g.registry import open_registry
from m2g.resolution.version_facts import cache_facts
from tests.support.mlflow_store import PYTHON3, Server

LOOP = """\
import os, sys
def read(folder):
    count = 0
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.is_dir(follow_symlinks=False):
                count += read(entry.path)
            else:
                with open(entry.path, "rb") as file:
                    count += len(file.read())
    return count
print(read(sys.argv[1]))
"""
"""The floor of a run that finds nothing to do: a Python loop that reads every file of the tree."""
LARGEST_READ = 1000
"""First contact with a larger fleet is not measured: reading it takes a second for 25 versions."""
_MOVED = {"1": "2", "2": "1"}


class Fleet:
    """A server with a fleet, and the repository of it in a temporary folder."""

    def __init__(self, size: int, folder: Path, database: str = "") -> None:
        """`database` is an empty one, by SQLAlchemy's URL; without it the server's own SQLite file."""
        self.size = size
        self._database = database
        if database:
            fleet.refuse_filled(database)
        self.server = Server(PYTHON3, *(("--backend-store-uri", database) if database else ())).wait()
        own = f"sqlite:///{self.server.folder}/mlflow.db"
        fleet.fill(database or own, self.server.folder / "proxied", size)
        self.root = folder / "repository"
        self.naive = folder / "naive"
        self.cache = folder / "cache"
        self._facts = folder / "facts"
        for made in (self.root, self.naive, self.cache):
            made.mkdir(parents=True)
        (self.root / "m2g.yaml").write_text(fleet.configuration(self.server.url))
        (self.root / ".gitignore").write_text(".builds\n.said\n.m2g/\n")
        git(self.root, "init", "--quiet")
        self._place = Place(
            folder=self.root, log=self.server.folder / "log", environment={"M2G_CACHE_DIR": str(self.cache)}
        )

    def stop(self) -> None:
        """End the server, and leave the database as it was."""
        self.server.stop()
        if self._database:
            fleet.empty(self._database)

    def m2g(self, *arguments: str) -> Sample:
        """Run m2g in the repository."""
        return run([sys.executable, "-m", "m2g", *arguments], self._place)

    def first_contact(self) -> Sample:
        """Nothing is known: every MLmodel is read from the server."""
        self.empty()
        shutil.rmtree(self.cache)
        self.cache.mkdir()
        return self.m2g("render")

    def restore(self) -> None:
        """Keep the facts of all versions for cold runs; those of one model are compared with the server's.

        Raises RuntimeError where they are not the server's.
        """
        registry = open_registry(self.server.url)
        versions = [fleet.listed(index, number) for index in range(self.size) for number in (1, 2)]
        known = {(one.name, one.version): fleet.facts(index // 2, index % 2 + 1) for index, one in enumerate(versions)}
        if registry.read_facts(versions[:2]) != {key: known[key] for key in list(known)[:2]}:
            raise RuntimeError("the fleet's facts are not what the server says")
        with Cache(self._facts) as cache:
            cache_facts(registry, versions, known, cache)

    def cold(self) -> tuple[Sample, Sample]:
        """An empty tree, and a cache that has the facts of versions alone: no verdict, nothing that a run found out."""
        self.empty()
        shutil.copyfile(self._facts / FILE, self.cache / FILE)
        return self.m2g("render"), self.m2g("validate")

    def empty(self) -> None:
        """Remove the tree but for what people wrote."""
        shutil.rmtree(self.root / "models", ignore_errors=True)
        for path, text in fleet.settings(self.size):
            (self.root / path).parent.mkdir(parents=True)
            (self.root / path).write_text(text)

    def move(self, version: str) -> None:
        """As a click in MLflow's user interface: the alias of one model."""
        body = json.dumps({"name": fleet.name(self.size // 2), "alias": "champion", "version": version}).encode()
        request = urllib.request.Request(  # noqa: S310  # the bench's own server
            f"{self.server.url}/api/2.0/mlflow/registered-models/alias",
            data=body,
            headers={"Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=30) as answer:  # noqa: S310  # as above
            answer.read()

    def loop(self) -> Sample:
        """The floor."""
        return run([sys.executable, "-c", LOOP, "models"], self._place)

    def kustomize(self) -> Sample:
        """The floor of a cold run: the same overlays in the same batches, and nothing else."""
        return run([sys.executable, "-m", "bench.alone", "."], self._place)

    def peer(self) -> Sample:
        """The naive peer on the same fleet, from nothing."""
        shutil.rmtree(self.naive)
        self.naive.mkdir()
        names = self.naive / ".names"
        names.write_text("\n".join(fleet.name(index) for index in range(self.size)))
        place = Place(folder=self.naive, log=self.server.folder / "log")
        return run([sys.executable, "-m", "bench.naive", self.server.url, str(self.naive), str(names)], place)


def measure(made: Fleet, rounds: int, peers: int, tell: Callable[[str], None]) -> dict[str, list[Sample]]:
    """Name of what is measured → a sample for each round. The naive peer runs in the first `peers` rounds."""
    found: dict[str, list[Sample]] = defaultdict(list)
    try:
        if made.size <= LARGEST_READ:
            tell("first contact")
            found["first contact"].append(made.first_contact())
        made.restore()
        for number in range(rounds):
            tell(f"round {number + 1} of {rounds}")
            if number < peers:
                found["naive"].append(made.peer())
            one_round(made, found)
    finally:
        made.stop()
    return dict(found)


def one_round(made: Fleet, found: dict[str, list[Sample]]) -> None:
    """Everything once, in the order of a working day."""
    render, validate = made.cold()
    found["cold render"].append(render)
    found["cold validate"].append(validate)
    found["cold"].append(render + validate)
    git(made.root, "add", "--all")
    git(made.root, "commit", "--quiet", "--message", "fleet", "--allow-empty")
    found["kustomize alone"].append(made.kustomize())
    found["reading loop"].append(made.loop())
    found["no-op render"].append(made.m2g("render"))
    found["no-op validate"].append(made.m2g("validate"))
    found["check"].append(made.m2g("render", "--check"))
    found["no cache"].append(made.m2g("render", "--check", "--no-cache"))
    made.move(_MOVED["1"])
    found["one alias moved"].append(made.m2g("render"))
    found["validate after one change"].append(made.m2g("validate"))
    found["diff of one change"].append(made.m2g("diff", "--against", "HEAD"))
    made.move(_MOVED["2"])


def git(root: Path, *arguments: str) -> None:
    """Git without anybody's configuration."""
    person = ("-c", "user.name=bench", "-c", "user.email=bench@example.com", "-c", "gc.auto=0")
    subprocess.run(["git", *person, *arguments], cwd=root, check=True, stdout=subprocess.DEVNULL)
