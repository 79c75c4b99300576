"""What m2g.yaml and the command line add to what the registry says of a version."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from m2g.core.config_types import Config
from m2g.core.model import Release
from m2g.repository.state import Repository


def apply_options(repository: Repository, release: Release) -> Release:
    """The release with the image of `m2g image --record`, and without its example if m2g.yaml keeps that out of Git."""
    image = repository.images.get((release.model, release.version))
    if image is not None:
        release = msgspec.structs.replace(release, image=image)
    if repository.config.requests.values == "example" or release.mlmodel is None or not release.mlmodel.example:
        return release
    return msgspec.structs.replace(release, mlmodel=msgspec.structs.replace(release.mlmodel, example=""))


def select_tags(config: Config, model: Mapping[str, str], version: Mapping[str, str]) -> dict[str, str]:
    """The tags that m2g.yaml allows. The version's tags override those of the registered model."""
    return {key: text for key, text in sorted({**model, **version}.items()) if key in config.tags}
