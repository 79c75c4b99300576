"""An image's container without an engine: its files and first process, in namespaces of its own."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from tests.support.apiserver.server import until
from tests.support.containers import enter
from tests.support.containers.registry import Config
from tests.support.machine import seconds

_ASK = "import sys, urllib.request; urllib.request.urlopen(sys.argv[1], timeout=2).read()"


class Container:
    """A running container. It has a loopback of its own, which only `inside` reaches."""

    def __init__(self, keeper: subprocess.Popen[bytes], log: Path) -> None:
        self._keeper = keeper
        self._log = log

    @property
    def log(self) -> str:
        """What it has printed."""
        return self._log.read_text(errors="replace")

    def inside(
        self, command: Sequence[str | Path], folder: Path | None = None, environment: Mapping[str, str] | None = None
    ) -> subprocess.CompletedProcess[str]:
        """Run a command of this machine in the container's network; it sees the files of this machine."""
        return subprocess.run(
            ["nsenter", "--net", "--target", str(self._first()), "--", *command],
            cwd=folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )

    def wait(self, url: str) -> float:
        """Seconds until a URL answers, as a readiness probe asks it."""
        began = time.monotonic()
        while self.inside([sys.executable, "-I", "-c", _ASK, url]).returncode:
            assert self._keeper.poll() is None, self.log[-3000:]
            assert time.monotonic() < began + seconds(180), self.log[-3000:]
            time.sleep(0.3)
        return time.monotonic() - began

    def owner(self) -> str:
        """The user and group of the first process, which can get no more rights and write to no file of the image."""
        place = Path(f"/proc/{self._first()}")
        lines = (line.split() for line in (place / "status").read_text().splitlines())
        said = {words[0].rstrip(":"): words[1:] for words in lines if words}
        assert int(said["CapEff"][0], 16) == 0, said
        assert said["NoNewPrivs"] == ["1"], said
        assert said["NSpid"][-1] == "1", said
        mounts = [line.split() for line in (place / "mountinfo").read_text().splitlines()]
        assert [words[5].split(",")[0] for words in mounts if words[4] == "/"] == ["ro"], mounts
        return f"user {said['Uid'][1]}, group {said['Gid'][1]}"

    def stop(self) -> float:
        """Seconds until it has ended after SIGTERM, which is how Kubernetes stops it."""
        began = time.monotonic()
        os.kill(self._first(), signal.SIGTERM)
        self._keeper.wait(seconds(30))
        return time.monotonic() - began

    def end(self) -> int:
        """Its exit code, once it has ended by itself."""
        return self._keeper.wait(seconds(120))

    def _first(self) -> int:
        """The first process, as this machine counts it."""
        place = Path(f"/proc/{self._keeper.pid}/task/{self._keeper.pid}/children")
        until(lambda: self._keeper.poll() is not None or bool(place.read_text()), "the container's first process")
        assert self._keeper.poll() is None, self.log[-3000:]
        return int(place.read_text().split()[0])


@contextlib.contextmanager
def container(
    root: Path, config: Config, *, env: Mapping[str, str] | None = None, volumes: Mapping[Path, str] | None = None
) -> Iterator[Container]:
    """Start what an image says. `env` is what a Pod adds; `volumes` are folders here and where they are, read-only."""
    user, _, group = config.user.partition(":")
    with tempfile.TemporaryDirectory(prefix="m2g-container-") as name:
        spec, log = Path(name) / "spec.json", Path(name) / "log"
        said = {
            "root": str(root),
            "user": user or "0",
            "group": group or user or "0",
            "folder": config.folder,
            "command": config.command,
            "env": {**config.env, **(env or {})},
            "volumes": {str(source): place for source, place in (volumes or {}).items()},
        }
        spec.write_text(json.dumps(said))
        namespaces = ["unshare", "--net", "--mount", "--pid", "--fork", "--kill-child"]
        with log.open("wb") as out:
            keeper = subprocess.Popen(
                [*namespaces, sys.executable, "-I", str(enter.__file__), str(spec)],
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
            )
        try:
            yield Container(keeper, log)
        finally:
            keeper.kill()
            keeper.wait(seconds(30))
