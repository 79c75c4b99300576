"""A build context as files: Dockerfile, locked requirements, what it was made of; the same bytes for the same input."""

from __future__ import annotations

import re

import msgspec

from m2g.core.config_types import Profile
from m2g.core.errors import InputError
from m2g.core.model import Release, Value
from m2g.core.stamp import stamp, strip_stamp
from m2g.image.context.dockerfile import MODEL_DIR, Recipe, dockerfile
from m2g.image.context.requirements import Wanted, wanted, without_credentials
from m2g.image.context.stock import like

__all__ = [
    "MARKER",
    "MODEL_DIR",
    "Marker",
    "Order",
    "Wanted",
    "base_of",
    "files",
    "like",
    "marker",
    "wanted",
    "without_credentials",
]

MARKER = "m2g-image.json"
_BASE = re.compile(
    r"[a-z0-9][a-z0-9._-]*(:[0-9]+)?(/[a-z0-9][a-z0-9._-]*)*(:[A-Za-z0-9_][A-Za-z0-9._-]{0,127})?(@sha256:[0-9a-f]{64})?"
)
_PIN = re.compile(r"^([A-Za-z0-9._-]+)==([^\s;\\]+)", re.MULTILINE)
_PACKAGES = {"lightgbm": "libgomp1"}
"""Python package to the Debian package that its wheel needs and python:slim does not have."""
_IGNORE = "*\n!requirements.txt\n!model\n!model/**\n"
_OLDEST, _NEWEST_FOR_MLSERVER = (3, 9), (3, 12)


class Marker(Value, frozen=True, kw_only=True):
    """m2g-image.json: which version the context is for. By it m2g knows its own folder, and `--record` the version."""

    schema: int = 1
    model: str
    slug: str
    version: str
    profile: Profile
    base: str
    mlmodel: str = ""
    files: tuple[str, ...] = ()


class Order(Value, frozen=True, kw_only=True):
    """What is to be built. `lock` is what uv wrote: every package with version and hashes."""

    slug: str
    release: Release
    profile: Profile
    base: str
    lock: str
    indexes: tuple[str, ...] = ()


def base_of(python: str, given: str, profile: Profile) -> str:
    """The base image: what a person named, else Python's own for the minor version of the model.

    Raises InputError for a name that is none, for `latest`, and for a Python that has no server.
    """
    found = re.fullmatch(r"([0-9]+)\.([0-9]+)(\..*)?", python)
    minor = (int(found[1]), int(found[2])) if found else (0, 0)
    if found is None or minor < _OLDEST:
        said = f"is of Python {python}" if python else "does not say its Python"
        raise InputError(f"the model {said}; an image needs 3.9 or newer", hint="log it again with a newer Python")
    if profile == "mlserver-image" and minor > _NEWEST_FOR_MLSERVER:
        hint = "set profile: mlflow-image, or log the model again with Python 3.12 or older"
        raise InputError(f"the model is of Python {python}; MLServer 1.7.1 has 3.9 to 3.12", hint=hint)
    if not given:
        return f"python:{minor[0]}.{minor[1]}-slim"
    tag = given.partition("@")[0].rpartition("/")[2].partition(":")[2]
    if not _BASE.fullmatch(given) or ("@" not in given and tag in ("", "latest")):
        hint = f"such as python:{minor[0]}.{minor[1]}-slim@sha256:…"
        raise InputError(f"{given[:200]!r} is no image with a tag or a digest", hint=hint)
    return given


def files(order: Order, model: tuple[str, ...] = ()) -> dict[str, bytes]:
    """Path to content; `model` are the paths of the model's own files, which are written beside them."""
    versions = {name.lower(): found for name, found in _PIN.findall(order.lock)}
    release = order.release
    recipe = Recipe(
        profile=order.profile,
        base=order.base,
        slug=order.slug,
        model=release.model,
        version=release.version,
        mlflow=versions.get("mlflow", ""),
        packages=tuple(sorted({_PACKAGES[name] for name in versions if name in _PACKAGES})),
    )
    locked = "".join(f"{option}\n" for option in order.indexes) + order.lock
    made = {
        "Dockerfile": dockerfile(recipe).encode(),
        "requirements.txt": locked.encode(),
        ".dockerignore": _IGNORE.encode(),
    }
    said = Marker(
        model=release.model,
        slug=order.slug,
        version=release.version,
        profile=order.profile,
        base=order.base,
        mlmodel=release.mlmodel.sha256 if release.mlmodel else "",
        files=tuple(sorted([*made, *model])),
    )
    text = msgspec.json.format(msgspec.json.encode(said), indent=2).decode() + "\n"
    return made | {MARKER: stamp(MARKER, text)}


def marker(content: bytes) -> Marker:
    """The marker from its bytes. Raises msgspec's errors for anything else."""
    return msgspec.json.decode(strip_stamp(content), type=Marker)
