"""Check the images in release records that a change adds: m2g records only what lies in images.registry."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import msgspec

from m2g.core import safe_files
from m2g.core.config_types import Config
from m2g.core.errors import M2gError
from m2g.core.finding import Finding
from m2g.core.sanitize import make_visible
from m2g.repository import layout, records
from m2g.resolution.release_image import may_record
from m2g.validation.base import BaseState

_SHOWN = 200


def check_images(root: Path, config: Config, base: BaseState) -> Iterator[Finding]:
    """A finding for each changed record whose image lies elsewhere, here or for m2g.yaml at the merge base."""
    ref = base.ref.partition(" ")[0]
    for path in sorted(filter(layout.is_record, base.changed)):
        location = layout.parse_path(path)
        try:
            record = records.decode(safe_files.read(root, path))
        except (M2gError, OSError, msgspec.DecodeError, RecursionError):
            continue  # it was removed, or the check of records reports it
        if record.image is None or location is None:
            continue
        for place in (config, base.config or config):
            if may_record(place, location.slug, record.image.name):
                continue
            image = make_visible(record.image.name, _SHOWN)
            yield Finding(
                rule="image-elsewhere",
                file=path,
                model=record.model,
                environment=record.environment,
                message=f"the image {image} is not in {place.images.registry}/{location.slug}",
                hint=f"restore the record: git checkout {ref} -- {path}; or, to push images elsewhere, change "
                f"images.registry in {layout.CONFIG} in a pull request of its own and merge that first",
            )
            break
