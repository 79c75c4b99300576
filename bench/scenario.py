"""Measure everything on one fleet, in rounds."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import urllib.request
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path

import msgspec

from bench import fleet
from bench.measure import Place, Sample, run
from bench.peers import FLATE, measure_flate
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
"""The lowest possible time of a run that changes nothing: a Python loop that reads every file of the tree."""
LARGEST_READ = 1000
"""The first contact with a larger fleet is not measured: m2g reads 25 versions in a second."""
FIRST_CONTACTS = 2
_MOVED = {"1": "2", "2": "1"}


class Fleet:
    """An MLflow server with a fleet, and its GitOps repository in a temporary directory."""

    def __init__(self, size: int, folder: Path, database: str = "") -> None:
        """`database` is the SQLAlchemy URL of an empty database. Without it, the server uses its own SQLite file."""
        self.size = size
        self._database = database
        if database:
            fleet.check_empty(database)
        self.server = Server(PYTHON3, *(("--backend-store-uri", database) if database else ())).wait()
        own = f"sqlite:///{self.server.folder}/mlflow.db"
        fleet.fill(database or own, self.server.folder / "proxied", size)
        self.root = folder / "repository"
        self.flux = folder / "flux"
        self.cache = folder / "cache"
        self._facts = folder / "facts"
        for made in (self.root, self.cache):
            made.mkdir(parents=True)
        (self.root / "m2g.yaml").write_text(fleet.make_config(self.server.url))
        (self.root / ".gitignore").write_text(".builds\n.output\n.m2g/\n")
        run_git(self.root, "init", "--quiet")
        self._place = Place(
            folder=self.root, log=self.server.folder / "log", environment={"M2G_CACHE_DIR": str(self.cache)}
        )

    def stop(self) -> None:
        """Stop the server and empty the database."""
        self.server.stop()
        if self._database:
            fleet.drop_tables(self._database)

    def m2g(self, *arguments: str) -> Sample:
        """Run m2g in the repository."""
        return run([sys.executable, "-m", "m2g", *arguments], self._place)

    def first_contact(self) -> Sample:
        """Render without a cache and without records: every MLmodel is read from the server."""
        self.empty()
        shutil.rmtree(self.cache)
        self.cache.mkdir()
        return self.m2g("render")

    def restore(self) -> None:
        """Prepare the facts of all versions for cold runs. Those of one model are compared with the server's.

        Raises RuntimeError if they differ.
        """
        registry = open_registry(self.server.url)
        versions = [fleet.make_version(index, number) for index in range(self.size) for number in (1, 2)]
        known = {
            (one.name, one.version): fleet.make_facts(index // 2, index % 2 + 1) for index, one in enumerate(versions)
        }
        if registry.read_facts(versions[:2]) != {key: known[key] for key in list(known)[:2]}:
            raise RuntimeError("the facts of the fleet differ from the server's")
        with Cache(self._facts) as cache:
            cache_facts(registry, versions, known, cache)

    def cold(self) -> tuple[Sample, Sample]:
        """Render and validate with an empty tree, and a cache that has only the facts of versions."""
        self.empty()
        shutil.copyfile(self._facts / FILE, self.cache / FILE)
        return self.m2g("render"), self.m2g("validate")

    def empty(self) -> None:
        """Remove everything except the files of people."""
        shutil.rmtree(self.root / "models", ignore_errors=True)
        for path, text in fleet.list_settings(self.size):
            (self.root / path).parent.mkdir(parents=True)
            (self.root / path).write_text(text)

    def move(self, version: str) -> None:
        """Move the alias of one model, as MLflow's user interface does."""
        body = json.dumps({"name": fleet.model_name(self.size // 2), "alias": "champion", "version": version}).encode()
        request = urllib.request.Request(  # noqa: S310  # the bench's own server
            f"{self.server.url}/api/2.0/mlflow/registered-models/alias",
            data=body,
            headers={"Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=30) as answer:  # noqa: S310  # as above
            answer.read()

    def loop(self) -> Sample:
        """Run the loop that reads every file."""
        return run([sys.executable, "-c", LOOP, "models"], self._place)

    def kustomize(self) -> Sample:
        """Build the same overlays in the same batches: the lowest possible time of a cold run."""
        return run([sys.executable, "-m", "bench.alone", "."], self._place)

    def bare(self) -> Sample:
        """Read the same lists and files with a bare HTTP client: the lowest possible time of the first contact."""
        return run([sys.executable, "-m", "bench.bare", self.server.url], self._place)

    def make_flux(self) -> None:
        """The same fleet in a repository for Flux."""
        address = "https://git.example.com/bench/fleet.git"
        answers = ("sync=flux", f"environments={','.join(fleet.ENVIRONMENTS)}", f"repository_url={address}")
        data = [part for answer in answers for part in ("--data", answer)]
        run([sys.executable, "-m", "m2g", "init", str(self.flux), "--defaults", *data], self._place)
        config = fleet.make_config(self.server.url).replace("argocd: {}", "flux: {}")
        (self.flux / "m2g.yaml").write_text(config)
        (self.flux / ".gitignore").write_text(".builds\n.output\n.m2g/\n")
        shutil.copyfile(self._facts / FILE, self.cache / FILE)
        run([sys.executable, "-m", "m2g", "render"], self._in_flux())
        run_git(self.flux, "init", "--quiet")
        run_git(self.flux, "remote", "add", "origin", address)
        run_git(self.flux, "add", "--all")
        run_git(self.flux, "commit", "--quiet", "--message", "fleet")

    def validate_flux(self) -> Sample:
        """Validate that repository; no result is cached."""
        shutil.copyfile(self._facts / FILE, self.cache / FILE)
        return run([sys.executable, "-m", "m2g", "validate"], self._in_flux())

    def _in_flux(self) -> Place:
        return msgspec.structs.replace(self._place, folder=self.flux)


def measure_fleet(made: Fleet, rounds: int, notify: Callable[[str], None]) -> dict[str, list[Sample]]:
    """What was measured → one sample for each round."""
    samples: dict[str, list[Sample]] = defaultdict(list)
    try:
        if made.size <= LARGEST_READ:
            made.bare()  # the server reads its files and code once
            for _ in range(min(rounds, FIRST_CONTACTS)):
                notify("first contact")
                samples["bare client"].append(made.bare())
                samples["first contact"].append(made.first_contact())
        made.restore()
        for number in range(rounds):
            notify(f"round {number + 1} of {rounds}")
            run_round(made, samples)
        if FLATE.is_file() and made.size <= LARGEST_READ:
            notify("flate")
            made.make_flux()
            samples["validate Flux"].append(made.validate_flux())
            samples["flate"].append(measure_flate(made.flux))
    finally:
        made.stop()
    return dict(samples)


def run_round(made: Fleet, samples: dict[str, list[Sample]]) -> None:
    """Measure everything once, in the order of a working day."""
    render, validate = made.cold()
    samples["cold render"].append(render)
    samples["cold validate"].append(validate)
    samples["cold"].append(render + validate)
    run_git(made.root, "add", "--all")
    run_git(made.root, "commit", "--quiet", "--message", "fleet", "--allow-empty")
    samples["kustomize alone"].append(made.kustomize())
    samples["reading loop"].append(made.loop())
    samples["no-op render"].append(made.m2g("render"))
    samples["no-op validate"].append(made.m2g("validate"))
    samples["check"].append(made.m2g("render", "--check"))
    samples["no cache"].append(made.m2g("render", "--check", "--no-cache"))
    made.move(_MOVED["1"])
    samples["one alias moved"].append(made.m2g("render"))
    samples["validate after one change"].append(made.m2g("validate"))
    samples["diff of one change"].append(made.m2g("diff", "--against", "HEAD"))
    made.move(_MOVED["2"])


def run_git(root: Path, *arguments: str) -> None:
    """Run git with an author of its own, so that it needs no configuration."""
    person = ("-c", "user.name=bench", "-c", "user.email=bench@example.com", "-c", "gc.auto=0")
    subprocess.run(["git", *person, *arguments], cwd=root, check=True, stdout=subprocess.DEVNULL)
