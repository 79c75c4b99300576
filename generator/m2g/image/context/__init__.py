"""The files of a build context: Dockerfile, locked requirements, marker. The same input gives the same bytes."""

from __future__ import annotations

import re

import msgspec

from m2g.core.errors import InputError
from m2g.core.model import Profile, Release, Value
from m2g.core.stamp import stamp, strip_stamp
from m2g.image.context.dockerfile import MODEL_DIR, DockerfileOptions, render_dockerfile
from m2g.image.context.stock import runtime_requirements
from m2g.serving.requirements import Requirements, image_requirements, remove_credentials

__all__ = [
    "MARKER",
    "MODEL_DIR",
    "ContextSpec",
    "Marker",
    "Requirements",
    "choose_base",
    "decode_marker",
    "image_requirements",
    "make_files",
    "remove_credentials",
    "runtime_requirements",
]

MARKER = "m2g-image.json"
_BASE = re.compile(
    r"[a-z0-9][a-z0-9._-]*(:[0-9]+)?(/[a-z0-9][a-z0-9._-]*)*(:[A-Za-z0-9_][A-Za-z0-9._-]{0,127})?(@sha256:[0-9a-f]{64})?"
)
_PIN = re.compile(r"^([A-Za-z0-9._-]+)==([^\s;\\]+)", re.MULTILINE)
PACKAGES = {"lightgbm": "libgomp1"}
"""Python package → the Debian package that its wheel needs and that python:slim lacks."""
IGNORE = "*\n!requirements.txt\n!model\n!model/**\n"
_OLDEST, _NEWEST_FOR_MLSERVER = (3, 9), (3, 12)


class Marker(Value, frozen=True, kw_only=True):
    """m2g-image.json: the version that a context is for. It also tells that m2g wrote the directory."""

    schema: int = 1
    model: str
    slug: str
    version: str
    profile: Profile
    base: str
    mlmodel: str = ""
    files: tuple[str, ...] = ()


class ContextSpec(Value, frozen=True, kw_only=True):
    """What to build. `lock` is uv's output: every package with version and hashes."""

    slug: str
    release: Release
    profile: Profile
    base: str
    lock: str
    indexes: tuple[str, ...] = ()


def choose_base(python: str, given: str, profile: Profile) -> str:
    """The base image: `given` if it is not empty, otherwise python:X.Y-slim for the model's Python.

    Raises InputError for an invalid image name, for `latest`, and for a Python that the server does not support.
    """
    parts = re.fullmatch(r"([0-9]+)\.([0-9]+)(\..*)?", python)
    minor = (int(parts[1]), int(parts[2])) if parts else (0, 0)
    if parts is None or minor < _OLDEST:
        reason = f"was logged with Python {python}" if python else "does not say its Python version"
        hint = "log the model again with Python 3.9 or newer"
        raise InputError(f"the model {reason}; an image needs Python 3.9 or newer", hint=hint)
    if profile == "mlserver-image" and minor > _NEWEST_FOR_MLSERVER:
        hint = "set profile: mlflow-image in model.yaml, or log the model again with Python 3.12 or older"
        raise InputError(
            f"the model was logged with Python {python}; MLServer 1.7.1 supports Python 3.9 to 3.12", hint=hint
        )
    if not given:
        return f"python:{minor[0]}.{minor[1]}-slim"
    tag = given.partition("@")[0].rpartition("/")[2].partition(":")[2]
    if not _BASE.fullmatch(given) or ("@" not in given and tag in ("", "latest")):
        hint = f"name one such as python:{minor[0]}.{minor[1]}-slim or python:{minor[0]}.{minor[1]}-slim@sha256:…"
        raise InputError(f"{given[:200]!r} is not a base image with a version tag or a digest", hint=hint)
    return given


def make_files(spec: ContextSpec, model: tuple[str, ...] = ()) -> dict[str, bytes]:
    """Path → content. `model` are the paths of the model's own files, which the caller copies."""
    versions = {name.lower(): version for name, version in _PIN.findall(spec.lock)}
    release = spec.release
    options = DockerfileOptions(
        profile=spec.profile,
        base=spec.base,
        slug=spec.slug,
        model=release.model,
        version=release.version,
        mlflow=versions.get("mlflow", ""),
        packages=tuple(sorted({PACKAGES[name] for name in versions if name in PACKAGES})),
    )
    requirements = "".join(f"{option}\n" for option in spec.indexes) + spec.lock
    files = {
        "Dockerfile": render_dockerfile(options).encode(),
        "requirements.txt": requirements.encode(),
        ".dockerignore": IGNORE.encode(),
    }
    marker = Marker(
        model=release.model,
        slug=spec.slug,
        version=release.version,
        profile=spec.profile,
        base=spec.base,
        mlmodel=release.mlmodel.sha256 if release.mlmodel else "",
        files=tuple(sorted([*files, *model])),
    )
    text = msgspec.json.format(msgspec.json.encode(marker), indent=2).decode() + "\n"
    return files | {MARKER: stamp(MARKER, text)}


def decode_marker(content: bytes) -> Marker:
    """Decode the marker. Raises msgspec's errors if it is not one."""
    return msgspec.json.decode(strip_stamp(content), type=Marker)
