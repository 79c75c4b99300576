"""A serving environment: a Python, locked packages, a server and a base image, which the image of many models is."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from m2g.core.config_types import Platform, Server
from m2g.core.model import Value

_PIN = re.compile(
    r"(?P<name>[A-Za-z0-9._-]+)(\[[A-Za-z0-9._,-]*\])?==(?P<version>[^\s;\\]+)( ; [^\\\n]*)?"
    r"( \\\n    --hash=sha256:[0-9a-f]{64})+\n"
)


class ServingEnvironment(Value, frozen=True, kw_only=True):
    """environments/<id>/environment.json. Everything but the requirements and the image is the identity.

    `lock` is the sha256 of the lines in requirements.txt beside it. `requirements` are what these lines were locked
    from. Models of the trust group `group` share it; without a group, it belongs to the registered model `model` alone.
    `image` is its name with the digest; it is empty until the image is built.
    """

    schema: Literal[1]
    python: Annotated[str, Meta(pattern=r"^3\.[0-9]{1,2}$")]
    server: Server
    base: str
    platforms: Annotated[tuple[Platform, ...], Meta(min_length=1)]
    lock: Annotated[str, Meta(pattern=r"^[0-9a-f]{64}$")]
    requirements: tuple[str, ...]
    indexes: tuple[str, ...] = ()
    group: str = ""
    model: str = ""
    image: str = ""

    @property
    def id(self) -> str:
        """The name of its folder and the tag of its image, such as `py312-mlserver-0123456789abcdef`."""
        content = msgspec.json.encode(msgspec.structs.replace(self, requirements=(), image=""), order="sorted")
        digest = hashlib.sha256(content).hexdigest()[:16]
        return f"py{self.python.replace('.', '')}-{self.server}-{digest}"


class RecordedEnvironment(Value, frozen=True, kw_only=True):
    """A serving environment with what its lock installs: package to version, names as PyPI compares them."""

    id: str
    environment: ServingEnvironment
    packages: dict[str, str]
    text: str = ""
    """The lines of requirements.txt."""


def list_pins(text: str) -> tuple[str, ...]:
    """The pins of a lock with their markers and without hashes, one a line."""
    return tuple(pin[0].partition(" \\\n")[0] for pin in _PIN.finditer(text))


def digest_lock(text: str) -> str:
    """The identity of a lock."""
    return hashlib.sha256(text.encode()).hexdigest()


def parse_lock(text: str) -> Mapping[str, str] | None:
    """Package to version; None for a text that is not only packages with one version and sha256 hashes each."""
    packages: dict[str, str] = {}
    position = 0
    for pin in _PIN.finditer(text):
        name = re.sub(r"[-_.]+", "-", pin["name"]).lower()
        if pin.start() != position or packages.get(name, pin["version"]) != pin["version"]:
            return None
        packages[name] = pin["version"]
        position = pin.end()
    return packages if packages and position == len(text) else None
