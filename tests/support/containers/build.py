"""Debian's buildah, with a store of its own and no daemon: build, push, and the files of an image."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

from tests.support.containers.registry import ASSETS
from tests.support.machine import seconds


class Buildah:
    """Runs buildah with `--isolation chroot`, as the scaffolded GitLab job does."""

    def __init__(self, place: Path) -> None:
        self._place = place
        policy, unsafe = place / "policy.json", place / "registries.conf"
        policy.write_text('{"default": [{"type": "insecureAcceptAnything"}]}')
        unsafe.write_text("")
        self._environment = os.environ | {
            "BUILDAH_ISOLATION": "chroot",
            "CONTAINERS_REGISTRIES_CONF": str(unsafe),
            "TMPDIR": str(place),
        }
        # Plain folders: overlays do not work everywhere, for example inside of another container.
        self._options = [
            *("--storage-driver", "vfs"),
            *("--root", str(place / "storage")),
            *("--runroot", str(place / "run")),
        ]

    def __call__(self, command: str, *arguments: str | Path) -> str:
        """What a command of buildah prints. It must end with 0."""
        done = subprocess.run(
            ["buildah", *self._options, command, *arguments],
            env=self._environment,
            cwd=self._place,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=seconds(1800),
            check=False,
        )
        assert done.returncode == 0, f"buildah {command} {arguments}\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}"
        return done.stdout.strip()

    def push(self, name: str) -> str:
        """Push an image by its name; its digest. On loopback, packing takes longer than sending."""
        file = self._place / "digest"
        self("push", "--tls-verify=false", "--disable-compression", "--digestfile", file, name)
        return file.read_text().strip()

    def push_base(self, name: str) -> str:
        """Make an image of the base's files, and push it; its digest."""
        container = self("from", "scratch")
        self("copy", "--quiet", container, f"{ASSETS / 'base'}/", "/")
        self("config", "--env", "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", container)
        self("commit", "--quiet", "--rm", container, name)
        return self.push(name)

    @contextlib.contextmanager
    def files(self, name: str) -> Iterator[Path]:
        """The file system of an image, pulled from its registry."""
        container = self("from", "--pull-always", "--tls-verify=false", name)
        try:
            yield Path(self("mount", container))
        finally:
            self("rm", container)


@contextlib.contextmanager
def buildah() -> Iterator[Buildah]:
    """A buildah whose store is gone afterwards."""
    place = Path(tempfile.mkdtemp(prefix="buildah-", dir=ASSETS))
    try:
        yield Buildah(place)
    finally:
        shutil.rmtree(place, ignore_errors=True)
