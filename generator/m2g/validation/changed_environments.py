"""Check the images of serving environments that a change adds or replaces: each serves many models."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

import msgspec

from m2g.core import safe_files
from m2g.core.config_types import Config
from m2g.core.errors import M2gError, quote
from m2g.core.finding import Finding
from m2g.core.sanitize import make_visible
from m2g.core.serving_environment import ServingEnvironment
from m2g.git import read as git
from m2g.repository import environments, layout
from m2g.validation.base import BaseState

_SHOWN = 200


def check_environment_images(root: Path, config: Config, base: BaseState) -> Iterator[Finding]:
    """A finding for each changed environment whose image lies elsewhere, or is not the one that it had."""
    names = {path.split("/")[1]: path for path in base.changed if path.startswith(f"{layout.ENVIRONMENTS}/")}
    wanted = {name: layout.environment_record(name) for name in sorted(names)}
    wanted = {name: path for name, path in wanted.items() if path in base.changed}
    if not wanted:
        return
    contents = git.read_files(root, git.list_files(root, base.tip, list(wanted.values())))
    for name, path in wanted.items():
        try:
            now, before = _decode(safe_files.read(root, path)), _decode(contents.get(path, b""))
        except (M2gError, OSError):
            continue  # it was removed, or the reader of environments reports it
        if now is not None and before is None and (why := _find_foreign_base(now, (base.config or config, config))):
            yield Finding(
                rule="image-elsewhere",
                file=path,
                message=why,
                hint=f"remove the environment: git rm -r -q -f -- {quote(path.rpartition('/')[0])}; or name the base "
                f"image in images.bases of {layout.CONFIG} and merge that first",
            )
        if now is None or now.image == (before.image if before else ""):
            continue
        image, places = make_visible(now.image, _SHOWN) or "none", (base.config or config, config)
        message = f"the image is {image}, and {base.branch} has {make_visible(before.image, _SHOWN)}" if before else ""
        if not (before and before.image):
            if all(environments.is_image_of(place, name, now.image) for place in places):
                continue
            expected = environments.name_image(places[0], name)
            message = f"the image {image} is not {expected or 'in images.registry, which m2g.yaml does not name'}"
        undo = f"git rm -r -q -f -- {quote(path.rpartition('/')[0])}"
        if before:
            undo = f"git checkout {base.branch} -- {quote(path)}"
        yield Finding(
            rule="image-elsewhere",
            file=path,
            message=message,
            hint=f"restore the environment: {undo}; an environment never changes, and its image is where "
            "images.registry of the base branch says",
        )


def _find_foreign_base(environment: ServingEnvironment, places: Iterable[Config]) -> str:
    """Why a new environment is built on an image that nobody named; empty if somebody did, or if it is the default."""
    default = f"python:{environment.python}-slim"
    for place in places:
        if environment.base != place.images.bases.get(environment.python, default):
            return f"is built on {make_visible(environment.base, _SHOWN)}, which {layout.CONFIG} does not name"
    return ""


def _decode(content: bytes) -> ServingEnvironment | None:
    try:
        return environments.decode(content)
    except (msgspec.DecodeError, ValueError, RecursionError):
        return None
