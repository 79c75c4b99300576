"""What `m2g image` wrote, and which versions need an image, as text and as JSON."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from m2g.core.results import MissingImage, MissingImages, PreparedImage
from m2g.core.sanitize import make_visible
from m2g.report.layout import encode_json, join_lines


def render_prepared(made: PreparedImage, form: str) -> str:
    """The folder, its base image and notes."""
    if form == "json":
        return encode_json({"version": 1, **msgspec.to_builtins(made)})
    verb = "wrote" if made.written else "would write"
    where = make_visible(made.folder, 300)
    count = len(made.files)
    lines = [
        f"{verb} {where}: {made.profile} of {make_visible(made.model, 60)} {made.model_version}, {count} files",
        f"  from {made.base}",
        *(f"  note: {make_visible(note, 400)}" for note in made.notes),
    ]
    return join_lines(lines)


def render_missing(found: Sequence[MissingImage], form: str) -> str:
    """One line for each version that needs an image."""
    if form == "json":
        return encode_json({"version": 1, **msgspec.to_builtins(MissingImages(missing=tuple(found)))})
    if not found:
        return "no version needs an image\n"
    return join_lines(
        f"{make_visible(one.model, 60)}  {', '.join(one.environments)}: "
        f"version {one.version} needs an image for {one.profile}"
        for one in found
    )
