"""What every verb needs of the terminal: shared options, printing, the files of --output."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TextIO

import click

from m2g.core.errors import OutsideError

CONTEXT = {"help_option_names": ["-h", "--help"], "max_content_width": 100}
MODELS = click.option(
    "--model", "models", multiple=True, metavar="NAME", help="Only this registered model or slug; repeatable."
)
ENVIRONMENTS = click.option(
    "--env", "environments", multiple=True, metavar="NAME", help="Only this environment; repeatable."
)
NO_CACHE = click.option(
    "--no-cache", is_flag=True, help="Use nothing that earlier runs found out, and remember nothing."
)
FORM = click.option("--format", "form", type=click.Choice(["text", "json"]), default="text", show_default=True)


def outputs(forms: Sequence[str]) -> Callable[[Callable[..., object]], Callable[..., object]]:
    """The option `--output FORMAT FILE` with these formats."""
    return click.option(
        "--output",
        "outputs",
        type=(click.Choice(forms), str),
        multiple=True,
        metavar="FORMAT FILE",
        help="Also write the report to FILE, in any FORMAT of --format; repeatable.",
    )


def deliver(folder: Path, form: str, files: Sequence[tuple[str, str]], render: Callable[[str], str]) -> None:
    """Write the report's files, then print it. A file is relative to the folder in which m2g runs."""
    for chosen, file in files:
        try:
            (folder / file).write_text(render(chosen), encoding="utf-8")
        except OSError as error:
            raise OutsideError(f"{file} cannot be written: {error.strerror}", hint="see --output") from error
    print_(render(form))


def memory(root: Path, *, forgets: bool) -> Path | None:
    """The folder of what earlier runs found out, None for a run that `forgets`; says where it may not be used."""
    from m2g.core import cache
    from m2g.repository import cache_location

    place = None if forgets else cache_location.find_cache_folder(root)
    if place is None and not forgets and (named := cache.find_folder()) is not None:
        say(
            f"{named / cache.FILE} may be a branch's own (Git has it or cannot tell): it is not used, see M2G_CACHE_DIR"
        )
    return place


def print_(text: str) -> None:
    """Results, to stdout. Raises OutsideError where it takes no more; who has seen enough (`| head`) is no error."""
    error = _put(sys.stdout, text)
    if error is not None and not isinstance(error, BrokenPipeError):
        raise OutsideError(f"the answer cannot be written: {error.strerror}", hint="see where stdout goes") from error


def say(text: str) -> None:
    """Talk, to stderr; that nobody can hear it changes nothing."""
    _put(sys.stderr, text.rstrip("\n") + "\n")


def _put(stream: TextIO | None, text: str) -> OSError | None:
    """Write now, or say why not; then it takes no more. The stream is None where it was closed before m2g began."""
    if stream is None:
        return None
    try:
        stream.write(text)
        stream.flush()
    except OSError as error:
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())  # Python writes what is left at its end
        return error
    return None
