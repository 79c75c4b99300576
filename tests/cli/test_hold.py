"""`m2g hold` and `m2g rollback` as a person or a script meets them, and what the shell offers after a tab."""

from __future__ import annotations

import json
import shlex
import subprocess
from pathlib import Path

import pytest

from tests.support.command_line import m2g
from tests.support.releases import Line


@pytest.fixture
def line(tmp_path: Path) -> Line:
    """Versions 1 and 2 ran in prod."""
    line = Line(tmp_path / "fleet")
    line.follow("2")
    return line


@pytest.mark.usefixtures("kustomize")
def test_the_printed_commands_commit_what_changed(line: Line) -> None:
    done = m2g(line.root, "rollback", "wine", "--env", "prod", "--offline")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("wine in prod is rolled back from version 2 to 1, and held there\n")
    *_, steps = done.stdout.partition("next:\n")
    for step in steps.splitlines():
        words = shlex.split(step)
        ran = m2g(line.root, *words[1:]) if words[0] == "m2g" else subprocess.run(words, cwd=line.root, check=False)
        assert ran.returncode == 0, step
    assert line.git("status", "--porcelain") == ""
    assert line.git("log", "-1", "--format=%s") == "wine: go back to version 1 in prod"


def test_json_is_one_object(line: Line) -> None:
    done = m2g(line.root, "rollback", "wine", "--env", "prod", "--offline", "--dry-run", "--format", "json")
    answer = json.loads(done.stdout)
    assert (answer["version"], answer["action"], answer["modelVersion"]) == (1, "rolled-back", "1")
    assert answer["written"] is False


def test_a_dry_run_says_would(line: Line) -> None:
    done = m2g(line.root, "hold", "wine", "--env", "prod", "--dry-run")
    assert done.stdout.startswith("wine in prod would be held at version 2\n")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["hold", "wine", "--env", "prod", "--end", "--reason", "x"], "--end takes no --reason"),
        (["hold", "wine", "--env", "prod", "--until", "soon"], "soon"),
        (["hold", "wine", "--env", "stage"], "no environment 'stage'"),
        (["rollback", "wine", "--env", "stage"], "no environment 'stage'"),
        (["rollback", "whine", "--env", "prod"], "no record of it at all"),
        (["rollback", "wine"], "--env"),
    ],
)
def test_wrong_input_is_exit_2(line: Line, arguments: list[str], words: str) -> None:
    done = m2g(line.root, *arguments)
    assert done.returncode == 2
    assert words in done.stderr


@pytest.mark.parametrize(
    ("words", "offered"),
    [
        ("m2g roll", ["rollback"]),
        ("m2g rollback w", ["wine"]),
        ("m2g hold wine --env ", ["dev", "prod"]),
        ("m2g render --model ", ["wine"]),
        ("m2g explain hold-ex", ["hold-expired"]),
        ("m2g explain held", ["held-by-revert"]),
    ],
)
@pytest.mark.parametrize("outside", [False, True])
def test_a_tab_offers_models_environments_and_rules(
    line: Line, words: str, offered: list[str], *, outside: bool
) -> None:
    folder = line.root.parent if outside else line.root
    words = words.replace("m2g", f"m2g -C {line.root.name}", 1) if outside else words
    assert complete(folder, words) == offered


def test_a_tab_outside_of_a_repository_offers_nothing(tmp_path: Path) -> None:
    assert complete(tmp_path, "m2g hold ") == []
    (tmp_path / "m2g.yaml").write_text("version: [\n")
    assert complete(tmp_path, "m2g hold wine --env ") == []


@pytest.mark.attack
def test_a_tab_never_offers_what_a_shell_would_run(line: Line) -> None:
    (line.root / "models/w$(touch x)").mkdir()
    (line.root / "models/w\x1b]0;x").mkdir()
    assert complete(line.root, "m2g hold w") == ["wine"]


def complete(folder: Path, words: str) -> list[str]:
    """What bash gets from m2g for these words and a tab."""
    given = words.split(" ")
    variables = {"_M2G_COMPLETE": "bash_complete", "COMP_WORDS": words, "COMP_CWORD": str(len(given) - 1)}
    done = m2g(folder, **variables)
    assert done.stderr == ""
    return [each.partition(",")[2] for each in done.stdout.splitlines() if each]
