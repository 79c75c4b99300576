"""Check the records that a change adds or rewrites: their images, and that facts of a version stay what they were.

Nobody can see in a record what the registry says. So a change of people's gets no new image but from the place that the
base branch names, and the facts of a version that an environment runs stay as they were.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

import msgspec
from msgspec import UNSET

from m2g.core import safe_files
from m2g.core.config_types import Config
from m2g.core.errors import M2gError, quote
from m2g.core.finding import Finding
from m2g.core.model import Release
from m2g.core.redact import redact
from m2g.core.sanitize import make_visible
from m2g.core.variants import find_same, list_versions
from m2g.git import read as git
from m2g.repository import layout, records
from m2g.repository.layout import Key
from m2g.resolution.release_image import is_named_for
from m2g.review.fields import FieldSteps, find_changes, format_steps, get
from m2g.validation.base import BaseState

_SHOWN = 200
_MOST = 8
_MAX_COMMITS = 300
"""How many commits are searched for the first record of a version."""
_FACTS = ("artifactUri", "run", "mlmodel")
"""What a record says of its version, beside what identifies it."""


def check_records(root: Path, config: Config, base: BaseState) -> Iterator[Finding]:
    """A finding for each changed record whose image lies elsewhere, or whose facts of a known version changed."""
    changed = {
        (place.slug, place.environment): path
        for path in sorted(filter(layout.is_record, base.changed))
        if (place := layout.parse_path(path)) is not None
    }
    if not changed:
        return
    now = _decode({key: _read(root, path) for key, path in changed.items()})
    before = _decode(_read_base(root, base.tip, changed))
    for key, record in now.items():
        for one in list_versions(record):  # a candidate gets into a cluster like the stable version
            known = find_same(before.get(key), one)
            yield from _check_image(config, base, key, one, known)
            yield from _check_facts(root, base, key, one, known)


def _check_image(
    config: Config, base: BaseState, key: Key, record: Release, before: Release | None
) -> Iterator[Finding]:
    """The image has to lie in images.registry, here and for the base branch, or to be there for this version."""
    if record.image is None:
        return
    if before is not None and (before.image, before.identity) == (record.image, record.identity):
        return
    image = make_visible(record.image.name, _SHOWN)
    for place in (base.config or config, config):
        if is_named_for(place, key[0], record.image.name):
            continue
        where = f" of {base.branch}" if place is base.config else ""
        message = f"the image {image} is not in {place.images.registry}/{key[0]}, which {layout.CONFIG}{where} names"
        first = f"to push images elsewhere, change images.registry in {layout.CONFIG}"
        if place.images.registry is UNSET:
            message = f"the record has the image {image}, but {layout.CONFIG}{where} does not name images.registry"
            first = f"to use images, add `images: {{registry: REGISTRY}}` to {layout.CONFIG}"
        yield Finding(
            rule="image-elsewhere",
            file=layout.release(*key),
            model=record.model,
            environment=record.environment,
            message=message,
            hint=f"{_restore(base, key, before)}; or, {first} in a pull request of its own and merge that first",
        )
        return


def _check_facts(root: Path, base: BaseState, key: Key, record: Release, before: Release | None) -> Iterator[Finding]:
    """A version never changes, so its facts do not: only m2g may correct them, with what is known already."""
    if before is None or before.identity != record.identity:
        return
    wrong = _find_rewritten(before, record)
    if not wrong or _is_known(root, base, key, record):
        return
    shown = ", ".join(map(format_steps, wrong[:_MOST])) + (f" and {len(wrong) - _MOST} more" if wrong[_MOST:] else "")
    remove = f"git rm -q -- {quote(layout.release(*key))} && m2g render --locked --model {key[0]}"
    yield Finding(
        rule="record-rewritten",
        file=layout.release(*key),
        model=record.model,
        environment=record.environment,
        message=f"version {record.version} is the same as in {base.branch}, but the record has another {shown}",
        hint=f"{_restore(base, key, before)}; if the registry says that {base.branch} is wrong (m2g render --verify), "
        f"remove the release in a pull request of its own, and m2g adds it again: {remove}",
    )


def _find_rewritten(before: Release, record: Release) -> list[FieldSteps]:
    """The facts that changed. A secret may be removed, and what was not known may be added."""
    old, new = _list_facts(before), _list_facts(record)
    return [
        path
        for path in find_changes(old, new)
        if (was := get(old, path)) is not None
        and not (isinstance(was, str) and redact(was) == get(new, path))
        and not (path == ("artifactUri",) and record.artifact_uri == record.source)
    ]


def _list_facts(record: Release) -> Mapping[str, object]:
    facts = msgspec.to_builtins(record)
    return {name: facts.get(name) for name in _FACTS}


def _is_known(root: Path, base: BaseState, key: Key, record: Release) -> bool:
    """Whether the facts are those that the base branch recorded for this version first: a revert, or a correction."""
    contents = git.read_history(root, layout.releases(key[0]), (base.tip,), _MAX_COMMITS)
    history = _decode({(key[0], str(number)): content for number, content in enumerate(contents)})
    known = [one for found in history.values() for one in list_versions(found)]
    same = [one for one in known if (one.environment, one.identity) == (record.environment, record.identity)]
    return bool(same) and not _find_rewritten(same[-1], record)


def _restore(base: BaseState, key: Key, before: Release | None) -> str:
    path = quote(layout.release(*key))
    if before is None:
        return f"remove the image: git rm -q -f -- {path} && m2g render --model {key[0]} --env {key[1]}"
    return f"restore the record: git checkout {base.branch} -- {path} && m2g render --locked --model {key[0]}"


def _read(root: Path, path: str) -> bytes:
    try:
        return safe_files.read(root, path)
    except (M2gError, OSError):
        return b""  # it was removed, or the check of records reports it


def _read_base(root: Path, commit: str, changed: Mapping[Key, str]) -> dict[Key, bytes]:
    entries = git.list_files(root, commit, [layout.MODELS])
    contents = git.read_files(root, {path: entries[path] for path in changed.values() if path in entries})
    return {key: contents[path] for key, path in changed.items() if path in contents}


def _decode(contents: Mapping[Key, bytes]) -> dict[Key, Release]:
    found = {}
    for key, content in contents.items():
        try:
            found[key] = records.decode(content)
        except (msgspec.DecodeError, ValueError, RecursionError):
            continue
    return found
