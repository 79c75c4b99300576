"""Text in the log of a CI service is no command of its runner, whoever wrote it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from m2g.cli import terminal
from m2g.cli.terminal import print_message
from m2g.core.finding import Finding
from m2g.core.sanitize import disarm_commands
from m2g.report import diff, findings
from m2g.report.layout import encode_json, join_lines
from m2g.report.request import escape_body
from m2g.review import Concern, Review, Risk

pytestmark = pytest.mark.attack

COMMANDS = (
    "##[add-mask]x",
    "a ##[error]b",
    "##vso[task.setvariable variable=a]b",
    "##teamcity[buildStop]",
    "##[set-env name=a]b",
    "::add-mask::x",
    "  ::stop-commands::x",
    "a\r::error::b",
    "a\n\u00a0::error::b",
    "\x1b[0Ksection_start:0:x\r",
)
_INLINE = re.compile(r"##[\w.-]*\[")
_LINE = re.compile(r"(^|[\r\n])\s*::")


def obeyed(text: str) -> bool:
    """Whether a runner of GitHub, Gitea, Azure or TeamCity would obey the text."""
    return bool(_INLINE.search(text) or _LINE.search(text))


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("form", findings.FORMATS)
def test_a_finding_is_no_command(command: str, form: str) -> None:
    fields = dict.fromkeys(("file", "rule", "message", "hint", "path", "model", "environment"), command)
    item = Finding(**fields)  # type: ignore[arg-type]  # all of them are texts
    written = findings.render([item], form)
    if form == "github":
        first, rest = written.split("\n", 1)
        assert first.startswith("::error ")
        assert not obeyed(first.removeprefix("::"))
        written = rest
    assert not obeyed(written)
    assert "\x1b" not in written


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("form", ["text", "json"])
def test_a_review_is_no_command(command: str, form: str) -> None:
    review = Review(against=command, outside=(Concern(risk=Risk.POWERFUL, message=command),), notes=(command,))
    assert not obeyed(diff.render(review, form))


@pytest.mark.parametrize("command", COMMANDS)
def test_messages_and_results_are_no_commands(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    print_message(f"error: {command}\n{command}")
    assert not obeyed(capsys.readouterr().err)
    terminal.print_result(encode_json({"a": command}) + join_lines([command]))
    assert not obeyed(capsys.readouterr().out)
    assert not _INLINE.search(escape_body(f'{{"a": "{command}"}}'))


def test_what_is_no_command_stays() -> None:
    for text in ("## heading", "a::b", "https://[::1]/", "#[x]", "std::vector ## [x]"):
        assert disarm_commands(text) == text


def test_names_of_files_are_no_commands(tmp_path: Path) -> None:
    """The path of a finding is in the properties of GitHub's command."""
    written = findings.render([Finding(file=f"{tmp_path}/##[error]::x,line=1", rule="a", message="b")], "github")
    assert not obeyed(written.removeprefix("::"))
    assert written.count("::") == 2
