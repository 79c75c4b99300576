"""Serving environments for tests, without uv."""

from __future__ import annotations

from pathlib import Path

from m2g.core.config_types import Server
from m2g.core.serving_environment import RecordedEnvironment, ServingEnvironment, digest_lock, parse_lock
from m2g.repository import environments

HASH = "--hash=sha256:" + "ab" * 32
SERVERS = {"mlflow": "3.17.2", "mlserver": "1.7.1", "mlserver-mlflow": "1.7.1", "uvloop": "0.21.0", "pandas": "2.3.3"}


def lock_of(packages: dict[str, str]) -> str:
    """A lock as uv writes it."""
    return "".join(f"{name}=={version} \\\n    {HASH}\n" for name, version in sorted(packages.items()))


def recorded(
    packages: dict[str, str],
    *,
    python: str = "3.11",
    server: Server = "mlserver",
    group: str = "",
    model: str = "",
    image: str = "",
    requirements: tuple[str, ...] = (),
    indexes: tuple[str, ...] = (),
) -> RecordedEnvironment:
    """An environment with these packages and those of the server."""
    text = lock_of(SERVERS | packages)
    environment = ServingEnvironment(
        schema=1,
        python=python,
        server=server,
        base=f"python:{python}-slim",
        platforms=("linux/amd64",),
        lock=digest_lock(text),
        requirements=requirements,
        indexes=indexes,
        group=group,
        model=model,
        image=image,
    )
    return RecordedEnvironment(
        id=environment.id, environment=environment, packages=dict(parse_lock(text) or {}), text=text
    )


def write_environment(root: Path, one: RecordedEnvironment) -> RecordedEnvironment:
    """Write it where a repository keeps it."""
    for path, content in environments.render_record(one.environment, one.text).items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_bytes(content)
    return one
