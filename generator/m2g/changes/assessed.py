"""Write what makes the most of an assessed registry work: rewrites, slugs, profiles, and m2g.yaml if there is none."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterator, Mapping
from pathlib import Path

from m2g.changes import write
from m2g.core import safe_files
from m2g.core.errors import InputError
from m2g.core.results import AssessedVersion, Assessment
from m2g.core.yaml_writer import Plain
from m2g.repository import layout
from m2g.repository.edit import edit_file, refuse_new_findings
from m2g.repository.yaml_edit import Add, Edit, Set, edit_yaml

_ENVIRONMENT = re.compile(r"[a-z]([-a-z0-9]{0,18}[a-z0-9])?")
_MAX_ENVIRONMENTS = 5
_SLUG_LENGTH = 36
_ALIAS = "alias "
_HEAD = b"""\
# Where the models of your registry run. m2g assess wrote it: change what does not fit, and check it with m2g validate.
# All keys: https://github.com/m2g-dev/m2g/blob/main/docs/reference/m2g-yaml.md
"""


def write_new_config(folder: Path, assessment: Assessment) -> None:
    """Write an m2g.yaml with an environment for each of the most used aliases.

    Raises InputError if the folder has one, OutsideError if it cannot be written.
    """
    if (folder / layout.CONFIG).exists():
        raise InputError(f"{folder} has an {layout.CONFIG} already", hint="run it there: m2g assess --write")
    edits: list[Edit] = [Set(path=("version",), value=1), Set(path=("kserve", "version"), value=assessment.kserve)]
    if assessment.registry.startswith(("http://", "https://")):
        uri, _, workspace = assessment.registry.partition("#")
        edits += [Set(path=("registry", "uri"), value=uri)]
        edits += [Set(path=("registry", "workspace"), value=workspace)] if workspace else []
    for name, alias in _choose_environments(assessment.versions).items():
        value: Plain = {"namespace": f"models-{name}", "follow": {"alias": alias}}
        edits.append(Set(path=("environments", name), value=value))
    content = edit_yaml(layout.CONFIG, _HEAD, edits)
    refuse_new_findings(layout.CONFIG, _HEAD, content, None)
    safe_files.write_atomic(folder, layout.CONFIG, content, before=None)


def write_settings(
    root: Path,
    assessment: Assessment,
    *,
    environments: Collection[str],
    recorded: Collection[str],
    waiting: Callable[[], None] = lambda: None,
) -> tuple[str, ...]:
    """Write what the assessment found into m2g.yaml and the models' model.yaml, and return the changed files.

    `environments` are those of m2g.yaml, `recorded` the registered models that have a record and so keep their slug.
    Comments and everything else in the files stay. Raises the errors of `edit_file`.
    """
    edits: dict[str, list[Edit]] = defaultdict(list)
    for rewrite in assessment.rewrites:
        value: Plain = {"from": rewrite.from_, "to": rewrite.to}
        edits[layout.CONFIG].append(Add(path=("storage", "rewrites"), value=value))
    for name, slug in _choose_slugs(assessment.versions, recorded).items():
        edits[layout.CONFIG].append(Set(path=("models", "slugs", name), value=slug))
    for slug, found in _list_profiles(assessment.versions, environments):
        edits[layout.model_yaml(slug)] += found
    with write.lock_repository(root, waiting=waiting):
        return tuple(file for file in sorted(edits) if edit_file(root, file, edits[file]))


def _choose_environments(versions: Collection[AssessedVersion]) -> Mapping[str, str]:
    """Environment → the alias that it follows: `prod` the most used one, and one for each of the next."""
    used = Counter(text.removeprefix(_ALIAS) for one in versions for text in one.wanted if text.startswith(_ALIAS))
    aliases = [alias for alias, _ in sorted(used.items(), key=lambda item: (-item[1], item[0]))] or ["champion"]
    others = [alias for alias in aliases[1:] if _ENVIRONMENT.fullmatch(alias) and alias != "prod"]
    return {**{alias: alias for alias in others[: _MAX_ENVIRONMENTS - 1]}, "prod": aliases[0]}


def _choose_slugs(versions: Collection[AssessedVersion], recorded: Collection[str]) -> dict[str, str]:
    """A slug for each registered model that cannot have its own. A model with a record keeps it, else the first."""
    taken = {one.slug for one in versions}
    by_slug: dict[str, set[str]] = defaultdict(set)
    for one in versions:
        if any(problem.kind == "slug" for problem in one.problems):
            by_slug[one.slug].add(one.model)
    chosen: dict[str, str] = {}
    for slug, names in sorted(by_slug.items()):
        for name in sorted(names, key=lambda name: (name not in recorded, name))[1:]:
            number = 2
            while (new := f"{slug[: _SLUG_LENGTH - 1 - len(str(number))].rstrip('-')}-{number}") in taken:
                number += 1
            taken.add(new)
            chosen[name] = new
    return chosen


def _list_profiles(
    versions: Collection[AssessedVersion], environments: Collection[str]
) -> Iterator[tuple[str, list[Edit]]]:
    """The profiles of the versions that an environment wants, by slug: for the model, or for some environments."""
    wanted: dict[str, dict[str, str]] = defaultdict(dict)
    for one in versions:
        for environment in environments:
            if environment in one.wanted:
                wanted[one.slug][environment] = one.profile
    for slug, profiles in sorted(wanted.items()):
        different = set(profiles.values())
        if different == {""}:
            continue
        if len(different) == 1:
            yield slug, [Set(path=("settings", "profile"), value=different.pop())]
        else:
            yield (
                slug,
                [
                    Set(path=("environments", environment, "settings", "profile"), value=profile)
                    for environment, profile in sorted(profiles.items())
                    if profile
                ],
            )
