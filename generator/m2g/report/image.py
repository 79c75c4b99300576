"""What `m2g image` wrote, and which versions wait for an image: for people and for scripts."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from m2g.core.results import MissingImage, MissingImages, PreparedImage
from m2g.core.sanitize import make_visible
from m2g.report.layout import encoded, joined


def prepared(made: PreparedImage, form: str) -> str:
    """The folder and how to go on."""
    if form == "json":
        return encoded({"version": 1, **msgspec.to_builtins(made)})
    verb = "wrote" if made.written else "would write"
    where = make_visible(made.folder, 300)
    count = len(made.files)
    lines = [
        f"{verb} {where}: {made.profile} of {make_visible(made.model, 60)} {made.model_version}, {count} files",
        f"  from {made.base}",
        *(f"  note: {make_visible(note, 400)}" for note in made.notes),
    ]
    return joined(lines)


def missing(found: Sequence[MissingImage], form: str) -> str:
    """One line for each version that waits."""
    if form == "json":
        return encoded({"version": 1, **msgspec.to_builtins(MissingImages(missing=tuple(found)))})
    if not found:
        return "no version waits for an image\n"
    return joined(
        f"{make_visible(one.model, 60)}  {', '.join(one.environments)}: "
        f"version {one.version} waits for its {one.profile}"
        for one in found
    )
