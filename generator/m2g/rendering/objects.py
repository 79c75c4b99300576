"""What a backend's renderer is given, and what it gives: Kubernetes objects as plain data, by file."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple, TypeAlias

import msgspec

from m2g.core.config_types import Profile
from m2g.core.model import Release, Value
from m2g.core.yaml_writer import Plain
from m2g.serving.spec import Serving

Object: TypeAlias = dict[str, Plain]


class Subject(Value, frozen=True, kw_only=True):
    """What is served. Without a release it is the base, which no cluster sees alone.

    `model_format`, `runtime`, `image` and `storage_uri` are empty where the profile has none, or the base cannot know;
    `batch_image` and `batch_model` (a URI, or a path in the image) where there is no batch.
    """

    model: str
    profile: Profile
    environment: str = ""
    release: Release | None = None
    model_format: str = ""
    runtime: str = ""
    image: str = ""
    storage_uri: str = ""
    batch_image: str = ""
    batch_model: str = ""
    flux: bool = False

    def served_by(self, runtime: str) -> Subject:
        """The same, by another runtime."""
        return msgspec.structs.replace(self, runtime=runtime)


class Renderer(NamedTuple):
    """How a backend's objects are written. Each object of the base is one of the overlay, too, in the same file."""

    base: Callable[[str, str, Serving], dict[str, Object]]
    """Slug, registered name, settings without an environment → what the environments share, without any release."""
    overlay: Callable[[str, Subject, Serving], dict[str, Object]]
    """Slug, what is served, settings → all objects of one release; the main object first."""
