"""The input and the output of a backend's renderer: a served model, and Kubernetes objects as plain data, by file."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import NamedTuple, TypeAlias

import msgspec

from m2g.core.model import Profile, Release, Value
from m2g.core.yaml_writer import Plain
from m2g.serving.batch_run import Problem
from m2g.serving.spec import Serving

Object: TypeAlias = dict[str, Plain]


class ServedModel(Value, frozen=True, kw_only=True):
    """What is served. Without a release it is the base, which is never applied alone.

    `model_format`, `runtime`, `image` and `storage_uri` are empty if the profile has none or if the base cannot know
    them; `batch_image` and `batch_model` (a URI, or a path in the image) if there is no batch. `predictor` is
    `spec.predictor.name`, which only canaries need.
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
    predictor: str = ""

    def served_by(self, runtime: str) -> ServedModel:
        """The same model with another runtime."""
        return msgspec.structs.replace(self, runtime=runtime)


class Renderer(NamedTuple):
    """How to render a backend's objects. Each object of the base is also in the overlay, in the same file."""

    base: Callable[[str, str, Serving], dict[str, Object]]
    """(slug, registered name, settings without an environment) → the objects that all environments share."""
    overlay: Callable[[str, ServedModel, Serving], dict[str, Object]]
    """(slug, served model, settings) → all objects of one release, the main object first."""
    problems: Callable[[str, ServedModel, Serving], Iterable[Problem]] = lambda slug, served, serving: ()
    """(slug, served model, settings) → the settings that do not fit the object of this release."""
