"""What all verbs share: common options, printing, and the files of --output."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TextIO

import click

from m2g.cli.completion import complete_environment, complete_model
from m2g.core.errors import InputError, OutsideError
from m2g.core.sanitize import disarm_commands, disarm_inline_commands, show_controls

CONTEXT = {"help_option_names": ["-h", "--help"], "max_content_width": 100}
MODELS = click.option(
    "--model",
    "models",
    multiple=True,
    metavar="NAME",
    shell_complete=complete_model,
    help="Only this registered model or slug. Repeatable.",
)
ENVIRONMENTS = click.option(
    "--env",
    "environments",
    multiple=True,
    metavar="NAME",
    shell_complete=complete_environment,
    help="Only this environment. Repeatable.",
)
MODEL = click.argument("model", shell_complete=complete_model)
ENVIRONMENT = click.option(
    "--env", "environment", required=True, metavar="NAME", shell_complete=complete_environment, help="The environment."
)
NO_CACHE = click.option("--no-cache", is_flag=True, help="Neither read nor write the cache of earlier runs.")
_COLORS = {"error": "red", "warning": "yellow", "m2g:": "red"}
_SEVERITY = re.compile(r"^(?:  (?:error|warning)\b|m2g:)", re.MULTILINE)
"""How `report.findings` and `cli.run` begin a finding and an error. Text from outside never begins a line like that."""
FORMAT = click.option(
    "--format", "output_format", type=click.Choice(["text", "json"]), default="text", show_default=True
)
_NOTES = (
    click.option("--reason", default="", metavar="TEXT", help="Why, for the next person. Reviews and records show it."),
    click.option("--owner", default="", metavar="NAME", help="Who decides when the hold ends."),
    click.option(
        "--until", type=click.DateTime(["%Y-%m-%d"]), metavar="DATE", help="The last day, such as 2026-12-31."
    ),
)


def HOLD_NOTES(command: Callable[..., object]) -> Callable[..., object]:  # noqa: N802  # used like the options above
    """The options that say why a version is held, who decides, and until when."""
    for option in reversed(_NOTES):
        command = option(command)
    return command


PROPOSE = click.option(
    "--propose", is_flag=True, help="Change no file here: propose it to the remote as a branch and a pull request."
)


def say_waiting() -> None:
    """Say that another run holds the lock."""
    print_message("another m2g writes to this repository; waiting until it is done …")


def outputs(formats: Sequence[str]) -> Callable[[Callable[..., object]], Callable[..., object]]:
    """The option `--output FORMAT FILE` with these formats."""
    return click.option(
        "--output",
        "outputs",
        type=(click.Choice(formats), str),
        multiple=True,
        metavar="FORMAT FILE",
        help="Also write the report to FILE, in one of the formats of --format. Repeatable.",
    )


def find_repository(folder: Path) -> Path | None:
    """The repository around `folder`; None outside of one, where only what comes with m2g is known."""
    from m2g.repository import config

    try:
        return config.find_root(folder)
    except InputError:
        return None


def write_report(
    folder: Path, output_format: str, files: Sequence[tuple[str, str]], render: Callable[[str], str]
) -> None:
    """Write the files of --output, then print the report. `files` are (format, path), relative to `folder`."""
    for chosen, file in files:
        try:
            (folder / file).write_text(render(chosen), encoding="utf-8")
        except OSError as error:
            hint = "give --output a file that you may write to"
            raise OutsideError(f"{file} cannot be written: {error.strerror}", hint=hint) from error
    print_result(render(output_format))


def cache_folder(root: Path, *, disabled: bool) -> Path | None:
    """The cache folder; None if it is disabled or may not be used. In the second case a message says why."""
    from m2g.core import cache
    from m2g.repository import cache_location

    place = None if disabled else cache_location.find_cache_folder(root)
    if place is None and not disabled and (named := cache.find_folder()) is not None:
        print_message(
            f"m2g does not use the cache {named / cache.FILE}: a branch may have put it there. "
            "Set M2G_CACHE_DIR to a directory outside of the repository."
        )
    return place


def open_closed_streams() -> None:
    """Give streams that were closed before m2g started to nobody.

    Otherwise the next file that m2g opens gets the number of stderr, and messages of libraries end up in that file.
    """
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest free number
        if getattr(sys, name) is None:
            setattr(sys, name, os.fdopen(number, "w" if number else "r", closefd=False))


def discard_unwritten() -> None:
    """Discard what cannot be written: Python would write it again when it exits, and change the exit code."""
    for stream in (sys.stdout, sys.stderr):
        _put(stream, "")


def print_result(text: str) -> None:
    """Print a result to stdout.

    Raises OutsideError if stdout cannot be written. A closed pipe (`| head`) is not an error.
    """
    error = _put(sys.stdout, _colorize(sys.stdout, disarm_inline_commands(text)))
    if error is not None and not isinstance(error, BrokenPipeError):
        hint = "check where stdout is redirected to"
        raise OutsideError(f"the result cannot be printed: {error.strerror}", hint=hint) from error


def print_message(text: str) -> None:
    """Print a message to stderr. A closed stderr changes nothing."""
    _put(sys.stderr, _colorize(sys.stderr, disarm_commands(show_controls(text.rstrip("\n")) + "\n")))


def find_width() -> int:
    """The columns of the terminal on stdout, within limits that can be read; 80 if stdout is none."""
    try:
        return min(max(os.get_terminal_size(sys.stdout.fileno()).columns, 60), 120)
    except (OSError, ValueError):
        return 80


def find_table_width() -> int:
    """The columns of the terminal on stdout; 0 if it is none: a program that reads a table needs every name whole."""
    try:
        return os.get_terminal_size(sys.stdout.fileno()).columns
    except (OSError, ValueError):
        return 0


def _colorize(stream: TextIO, text: str) -> str:
    """Severities in color, on a terminal and unless NO_COLOR is set (https://no-color.org)."""
    if os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb" or not stream.isatty():
        return text
    return _SEVERITY.sub(lambda match: click.style(match[0], fg=_COLORS[match[0].strip()], bold=True), text)


def _put(stream: TextIO, text: str) -> OSError | None:
    """Write and flush, or return the error and discard all later output."""
    try:
        stream.write(text)
        stream.flush()
    except OSError as error:
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())  # Python flushes the rest when it exits
        return error
    return None
