"""Create a GitOps repository with Copier, from the packaged template or from another one."""

from __future__ import annotations

import importlib.metadata
import os
import shlex
import shutil
import warnings
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path

import msgspec

from m2g.core import resources, tempdirs, yaml_reader
from m2g.core.errors import InputError, OutsideError

ANSWERS = ".copier-answers.yml"
_SHOWN = 5


class _Commit(msgspec.Struct, frozen=True):
    commit_id: str = ""


class _Origin(msgspec.Struct, frozen=True):
    """pip's direct_url.json (PEP 610), as far as it is needed."""

    vcs_info: _Commit = _Commit()


def create_repository(
    destination: Path,
    *,
    template: str | None,
    answers: Mapping[str, str],
    defaults: bool,
    replaceable: Collection[str] = (),
) -> tuple[str, ...]:
    """Create a GitOps repository, and return the paths of its files, sorted.

    Copier asks on the terminal for answers that are missing; with `defaults` it asks nothing. `template` is a Git URL
    or a folder; None is the packaged template. Everything is rendered into a temporary folder first, so an invalid
    answer changes nothing in `destination`. Existing files are never overwritten, except the `replaceable` paths.

    Raises InputError for invalid answers and existing files, and OutsideError for Git and the disk.
    """
    _check_destination(destination)
    with tempdirs.open_folder("m2g-init-") as folder:
        rendered = folder / "repository"
        if template is None:
            source = _copy_template(folder / "template")
            _check_answers(answers, _read_questions(source))
            _render(str(source), rendered, {"m2g_commit": find_commit(), **answers}, defaults)
        else:
            _check_answers(answers, _render(template, rendered, answers, defaults))
        paths = sorted(path.relative_to(rendered).as_posix() for path in rendered.rglob("*") if not path.is_dir())
        _copy(rendered, destination, paths, replaceable)
    return tuple(paths)


def render_packaged(answers: Mapping[str, str]) -> dict[str, bytes]:
    """Path → content of what the packaged template makes of these answers. Raises InputError for an invalid answer."""
    with tempdirs.open_folder("m2g-scaffold-") as folder:
        rendered = folder / "repository"
        source = _copy_template(folder / "template")
        _render(str(source), rendered, {"m2g_commit": find_commit(), **answers}, defaults=True)
        return {
            path.relative_to(rendered).as_posix(): path.read_bytes()
            for path in sorted(rendered.rglob("*"))
            if path.is_file()
        }


def find_commit() -> str:
    """The commit that this m2g was installed from, if pip installed it from Git; else empty."""
    text = importlib.metadata.distribution("mlflow-gitops").read_text("direct_url.json")
    try:
        return msgspec.json.decode(text or "{}", type=_Origin).vcs_info.commit_id
    except msgspec.MsgspecError:
        return ""


def _check_destination(destination: Path) -> None:
    """The checks that need no answers."""
    if os.path.lexists(destination) and not destination.is_dir():
        raise InputError(f"{destination} is not a folder", hint="use a new or empty folder")
    if (destination / ANSWERS).exists():
        raise InputError(
            f"{destination} was already created from the template ({ANSWERS})",
            hint=f"to update it, commit your changes and run: copier update {shlex.quote(str(destination))}",
        )
    if destination.is_dir() and not (destination / ".git").exists() and any(destination.iterdir()):
        raise InputError(
            f"{destination} is not empty, and not a Git repository",
            hint="use a new or empty folder, or a clone of your new repository",
        )


def _copy_template(to: Path) -> Path:
    """Copy the packaged template, so that Copier never sees the Git history of a checkout."""
    root = resources.find_root()
    try:
        shutil.copytree(root / "template", to / "template")
        shutil.copytree(root / "schemas/m2g", to / "schemas/m2g")
        shutil.copy2(root / "copier.yml", to)
    except OSError as error:
        reason = error.args[0][0][2] if isinstance(error, shutil.Error) else error
        raise OutsideError(
            f"the packaged template cannot be copied to {to}: {reason}",
            hint="free some space there, or set TMPDIR; if a file of the template is missing, install m2g again",
        ) from error
    return to


def _read_questions(source: Path) -> list[str]:
    """The questions that Copier asks. Computed values have `when: false`."""
    data = yaml_reader.read("copier.yml", (source / "copier.yml").read_bytes()).data
    items = data.items() if isinstance(data, dict) else ()
    return [name for name, value in items if not name.startswith("_") and value.get("when") is not False]


def _check_answers(answers: Mapping[str, str], questions: Iterable[str]) -> None:
    for name in sorted(set(answers) - set(questions)):
        raise InputError(f"the template has no question {name!r}", hint=f"its questions: {', '.join(questions)}")


def _render(source: str, to: Path, answers: Mapping[str, str], defaults: bool) -> list[str]:
    """Run Copier, and return the questions of the template. The user's Copier settings, above all `trust`, do not
    apply."""
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
            "some questions have no answer, and there is no terminal to ask them",
            hint="answer them with --data QUESTION=ANSWER, or use the defaults with --defaults",
        ) from error
    except errors.UnsafeTemplateError as error:
        raise InputError(
            f"the template {source} runs its own programs, which m2g init does not allow",
            hint="use m2g's template, or run `copier copy --trust` if you trust this one",
        ) from error
    except (errors.CopierError, ValueError, TypeError, TemplateError) as error:
        if isinstance(error, KeyboardInterrupt):
            raise
        text = " ".join(str(error).split()).replace("Validation error for question", "the answer to", 1)
        hint = "pass answers as --data QUESTION=ANSWER; the questions are in the template's copier.yml"
        raise InputError(text, hint=hint) from error
    except OSError as error:
        output = getattr(error, "stderr", None) or str(error)  # plumbum's error has stderr if Git failed
        last = str(output).strip().splitlines()[-1:] or ["no reason given"]
        raise OutsideError(f"the template {source} cannot be copied: {last[0]}") from error


def _copy(rendered: Path, destination: Path, paths: list[str], replaceable: Collection[str]) -> None:
    taken = [path for path in paths if _differs(rendered / path, destination / path) and path not in replaceable]
    if taken:
        more = f" and {len(taken) - _SHOWN} more" if len(taken) > _SHOWN else ""
        raise InputError(
            f"{destination} contains files that would be overwritten: {', '.join(taken[:_SHOWN])}{more}",
            hint="use a new or empty folder, or move these files away; nothing was written "
            "(a README.md or .gitignore that Git has unchanged is replaced)",
        )
    try:
        for path in paths:
            (destination / path).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(rendered / path, destination / path)
    except OSError as error:
        raise OutsideError(f"{destination} cannot be written: {error.strerror} ({error.filename})") from error


def _differs(new: Path, old: Path) -> bool:
    """Whether the path of a new file is taken by something else."""
    if not os.path.lexists(old):
        return any(parent.is_file() for parent in old.parents)
    return not old.is_file() or old.read_bytes() != new.read_bytes()
