"""What smoke tests stand on: saved models, the command, and who is still running."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from m2g.smoke import environment, server
from m2g.smoke.client import Client, Endpoint
from m2g.smoke.program import Plan
from tests.support.machine import seconds
from tests.support.paths import ROOT

SERVERS = ROOT / ".venv-mlserver"
_FORBID = "echo 0 > /proc/sys/user/max_user_namespaces"
WITHOUT_NAMESPACES = ("unshare", "--user", "--map-root-user", "sh", "-c", f'{_FORBID}; exec "$@"', "sh")
"""The beginning of a command that runs where the kernel allows no namespaces, as on many runners of CI."""


def models(folder: Path, *names: str) -> Path:
    """The models of tests/support/smoke_zoo.py, all or those."""
    script = str(Path(__file__).with_name("smoke_zoo.py"))
    subprocess.run([str(SERVERS / "bin/python"), script, str(folder), *names], capture_output=True, check=True)
    return folder


def wheels(folder: Path, **versions: str) -> Path:
    """A folder of wheels that pip installs offline: empty, but that mlserver brings all that .venv-mlserver has."""
    folder.mkdir(exist_ok=True)
    site = next(SERVERS.glob("lib/python3*/site-packages"))
    for name, version in versions.items():
        info = f"{name}-{version}.dist-info"
        with zipfile.ZipFile(folder / f"{name}-{version}-py3-none-any.whl", "w") as wheel:
            if name == "mlserver":
                wheel.writestr("servers.pth", f"{site}\n")
            if name == "cellar":
                wheel.writestr("cellar.py", "")
            wheel.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
            wheel.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
            wheel.writestr(f"{info}/RECORD", "")
    return folder


def smoke(
    *arguments: str,
    cache: Path | None = None,
    before: Callable[[], None] | None = None,
    place: Sequence[str] = (),
    under: Sequence[str] = (),
    variables: Mapping[str, str] = {},
    **more: str,
) -> subprocess.CompletedProcess[str]:
    """`m2g smoke`, with a PATH that has no uv, and more variables.

    `place` is m2g's -C, `under` the beginning of the command.
    """
    environment = {**os.environ, "PATH": f"{Path(sys.executable).parent}:/usr/bin:/bin", **variables, **more}
    if cache is not None:
        environment["M2G_CACHE_DIR"] = str(cache)
    return subprocess.run(
        [*under, "m2g", *place, "smoke", *arguments],
        capture_output=True,
        text=True,
        check=False,
        timeout=seconds(170),
        env=environment,
        preexec_fn=before,
    )


@contextlib.contextmanager
def deploy(model: Path, version: str) -> Iterator[str]:
    """The address of a real MLServer, wired as the manifest wires it."""
    with tempfile.TemporaryDirectory() as place:
        plan = Plan(
            model=model.name,
            slug=model.name,
            version=version,
            profile="mlserver",
            folder=model,
            environment=environment.existing_environment(SERVERS),
            workspace=Path(place),
            walled=False,
            seconds=seconds(120),
        )
        with (
            contextlib.closing(Client(Endpoint(url="http://127.0.0.1"))) as probe,
            server.serve(plan, probe.ready) as running,
        ):
            yield running.url


def started_by(place: Path) -> list[int]:
    """The processes, but m2g itself, whose arguments or environment name a folder in `place`."""
    found = []
    for entry in Path("/proc").iterdir():
        try:
            said = (entry / "cmdline").read_bytes() + (entry / "environ").read_bytes()
        except OSError:
            continue
        if f"{place}/m2g-smoke-".encode() in said:
            found.append(int(entry.name))
    return found
