"""Copier: a new GitOps repository from the packaged template, or from one at a URL."""

from __future__ import annotations

import os
import shutil
import warnings
from collections.abc import Iterable, Mapping
from pathlib import Path

from m2g.core import resources, tempdirs, yaml_reader
from m2g.core.errors import InputError, OutsideError

ANSWERS = ".copier-answers.yml"
_SHOWN = 5


def create_repository(
    destination: Path, *, template: str | None, answers: Mapping[str, str], defaults: bool
) -> tuple[str, ...]:
    """Make a GitOps repository; the paths of its files, sorted. Copier asks on the terminal what `answers` leave open.

    `template` is a Git URL or a folder, None for the packaged one; `defaults` asks nothing. All is rendered aside
    first: a wrong answer leaves `destination` as it was, and no existing file is ever overwritten.

    Raises InputError for answers and for what is in the way, OutsideError for Git and the disk.
    """
    _refuse(destination)
    with tempdirs.open_folder("m2g-init-") as folder:
        rendered = folder / "repository"
        if template is None:
            source = _packaged(folder / "template")
            _known(answers, _questions(source))
            _render(str(source), rendered, answers, defaults)
        else:
            _known(answers, _render(template, rendered, answers, defaults))
        paths = sorted(path.relative_to(rendered).as_posix() for path in rendered.rglob("*") if not path.is_dir())
        _copy(rendered, destination, paths)
    return tuple(paths)


def _refuse(destination: Path) -> None:
    """What can be known before any question is asked."""
    if os.path.lexists(destination) and not destination.is_dir():
        raise InputError(f"{destination} is not a folder", hint="name a new or an empty folder")
    if (destination / ANSWERS).exists():
        raise InputError(
            f"{destination} was made from the template already ({ANSWERS})",
            hint=f"for the template's news: commit, then `copier update` in {destination}",
        )
    if destination.is_dir() and not (destination / ".git").exists() and any(destination.iterdir()):
        raise InputError(
            f"{destination} is not empty, and no Git repository",
            hint="name a new or an empty folder, or a clone of your new repository",
        )


def _packaged(to: Path) -> Path:
    """A copy of what ships with m2g: without history, in a checkout as in a wheel."""
    root = resources.find_root()
    try:
        shutil.copytree(root / "template", to / "template")
        shutil.copytree(root / "schemas/m2g", to / "schemas/m2g")
        shutil.copy2(root / "copier.yml", to)
    except OSError as error:
        why = error.args[0][0][2] if isinstance(error, shutil.Error) else error
        raise OutsideError(
            f"the packaged template cannot be copied to {to}: {why}",
            hint="free space there, or set TMPDIR; where a file of the template is missing, install m2g again",
        ) from error
    return to


def _questions(source: Path) -> list[str]:
    """The questions that a person is asked; what copier computes has `when: false`."""
    found = yaml_reader.read("copier.yml", (source / "copier.yml").read_bytes()).data
    asked = found.items() if isinstance(found, dict) else ()
    return [name for name, how in asked if not name.startswith("_") and how.get("when") is not False]


def _known(answers: Mapping[str, str], questions: Iterable[str]) -> None:
    for name in sorted(set(answers) - set(questions)):
        raise InputError(f"the template asks no question {name!r}", hint=f"it asks {', '.join(questions)}")


def _render(source: str, to: Path, answers: Mapping[str, str], defaults: bool) -> list[str]:
    """Let copier work; the template's questions. The person's copier settings do not count, least of all trust."""
    import copier
    from copier import errors
    from jinja2 import TemplateError

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            worker = copier.run_copy(
                source, to, data=dict(answers), defaults=defaults, quiet=True, settings=copier.Settings()
            )
            return list(worker.template.questions_data)
    except errors.InteractiveSessionError as error:
        raise InputError(
            "questions are open, and this is no terminal to ask them on",
            hint="answer them with --data QUESTION=ANSWER, or take the defaults of the rest with --defaults",
        ) from error
    except errors.UnsafeTemplateError as error:
        raise InputError(
            f"the template {source} wants to run programs of its own, which m2g init does not allow",
            hint="use m2g's template, or run copier yourself if you trust this one",
        ) from error
    except (errors.CopierError, ValueError, TypeError, TemplateError) as error:
        if isinstance(error, KeyboardInterrupt):
            raise
        text = " ".join(str(error).split()).replace("Validation error for question", "the answer to", 1)
        hint = "answers are given as --data QUESTION=ANSWER; the template's copier.yml has the questions"
        raise InputError(text, hint=hint) from error
    except OSError as error:
        said = getattr(error, "stderr", None) or str(error)  # plumbum's, where Git failed
        last = str(said).strip().splitlines()[-1:] or ["no reason given"]
        raise OutsideError(f"the template {source} cannot be copied: {last[0]}") from error


def _copy(rendered: Path, destination: Path, paths: list[str]) -> None:
    taken = [path for path in paths if _differs(rendered / path, destination / path)]
    if taken:
        more = f" and {len(taken) - _SHOWN} more" if len(taken) > _SHOWN else ""
        raise InputError(
            f"{destination} has files that would be overwritten: {', '.join(taken[:_SHOWN])}{more}",
            hint="name a new or an empty folder, or move these files away; nothing was written",
        )
    try:
        for path in paths:
            (destination / path).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(rendered / path, destination / path)
    except OSError as error:
        raise OutsideError(f"{destination} cannot be written: {error.strerror} ({error.filename})") from error


def _differs(new: Path, old: Path) -> bool:
    """Whether something else lies in the place of a new file."""
    if not os.path.lexists(old):
        return any(parent.is_file() for parent in old.parents)
    return not old.is_file() or old.read_bytes() != new.read_bytes()
