"""The build context of a serving environment: Dockerfile, locked requirements, marker; no model."""

from __future__ import annotations

import msgspec

from m2g.core.model import Value
from m2g.core.serving_environment import RecordedEnvironment
from m2g.core.stamp import stamp, strip_stamp
from m2g.image.context import IGNORE, PACKAGES
from m2g.image.context.dockerfile import DockerfileOptions, render_dockerfile
from m2g.serving.environments import PROFILES

MARKER = "m2g-environment.json"


class EnvironmentMarker(Value, frozen=True, kw_only=True):
    """m2g-environment.json: the environment that a context is for. It also tells that m2g wrote the directory."""

    schema: int = 1
    environment: str
    files: tuple[str, ...] = ()


def make_environment_files(recorded: RecordedEnvironment) -> dict[str, bytes]:
    """Path to content. The same environment gives the same bytes."""
    environment = recorded.environment
    options = DockerfileOptions(
        profile=PROFILES[environment.server],
        base=environment.base,
        environment=recorded.id,
        mlflow=recorded.packages.get("mlflow", ""),
        packages=tuple(sorted({PACKAGES[name] for name in recorded.packages if name in PACKAGES})),
    )
    requirements = "".join(f"{option}\n" for option in environment.indexes) + recorded.text
    files = {
        "Dockerfile": render_dockerfile(options).encode(),
        "requirements.txt": requirements.encode(),
        ".dockerignore": IGNORE.encode(),
    }
    text = msgspec.json.encode(EnvironmentMarker(environment=recorded.id, files=tuple(sorted(files))))
    return files | {MARKER: stamp(MARKER, msgspec.json.format(text, indent=2).decode() + "\n")}


def decode_environment_marker(content: bytes) -> EnvironmentMarker:
    """Decode the marker. Raises msgspec's errors if it is not one."""
    return msgspec.json.decode(strip_stamp(content), type=EnvironmentMarker)
