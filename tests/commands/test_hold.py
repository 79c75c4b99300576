"""`m2g hold` keeps a version in model.yaml, and ends that."""

from __future__ import annotations

import datetime
from pathlib import Path

import msgspec
import pytest

from m2g.changes.hold import HoldNote
from m2g.changes.update import RenderOptions
from m2g.commands.hold import HoldOptions, hold
from m2g.commands.validate import ValidateOptions, validate
from m2g.core.errors import InputError
from m2g.core.results import HoldResult
from tests.support.fleet import model, run, tree
from tests.support.releases import Line, tell

NOTE = HoldNote(reason="version 2 is slow", owner="anna", until=datetime.date(2026, 12, 31))


@pytest.fixture
def line(tmp_path: Path) -> Line:
    """Version 1 runs."""
    return Line(tmp_path / "fleet")


def call(line: Line, **options: object) -> HoldResult:
    """`m2g hold wine --env prod`."""
    given = msgspec.structs.replace(HoldOptions(model="wine", environment="prod"), **options)
    return hold(line.root, given, open_registry=lambda _: line.registry)


def test_a_held_version_stays_when_the_alias_moves(line: Line) -> None:
    result = call(line, note=NOTE)
    assert (tell(result), result.files) == (("held", "", "1"), ("models/wine/model.yaml",))
    line.commit()
    line.registry.known[0] = model(champion="2")
    assert line.render() == []
    assert line.version == "1"
    assert b"pinned in model.yaml: version 2 is slow" in line.record
    call(line, end=True)
    line.render()
    assert line.version == "2"


def test_comments_settings_and_known_bad_versions_stay(line: Line) -> None:
    text = """\
# ours
environments:
  prod:  # careful
    knownBad: [3]
    settings: {minReplicas: 2}  # enough
"""
    file = line.root / "models/wine/model.yaml"
    file.write_text(text)
    call(line, note=NOTE)
    held = file.read_text()
    for words in ("# ours\n", "prod:  # careful\n", "# enough\n", "version: 1\n", 'reason: "version 2 is slow"\n'):
        assert words in held
    assert "owner: anna\n" in held
    assert "until: 2026-12-31\n" in held or "until: '2026-12-31'\n" in held or 'until: "2026-12-31"\n' in held
    call(line, end=True)
    assert file.read_text() == text


def test_a_second_hold_changes_only_what_it_says(line: Line) -> None:
    call(line, note=NOTE)
    again = call(line, note=HoldNote(owner="ben"))
    assert (again.action, again.reason, again.owner, again.until) == ("held", NOTE.reason, "ben", "2026-12-31")
    assert call(line, note=HoldNote(owner="ben")).action == "unchanged"


def test_a_hold_that_is_over_reminds_and_stays(line: Line) -> None:
    call(line, note=NOTE)
    line.registry.known[0] = model(champion="2")
    last, later = datetime.date(2026, 12, 31), datetime.date(2027, 1, 1)
    for today, expired in ((last, []), (later, ["hold-expired"])):
        outcome = run(line.root, line.registry, RenderOptions(today=today))
        assert [finding.rule for finding in outcome.findings] == expired
        report = validate(line.root, ValidateOptions(today=today, cache=line.root.parent / "cache"))
        assert [finding.rule for finding in report.findings] == expired
    finding = run(line.root, line.registry, RenderOptions(today=later)).findings[0]
    assert (line.version, finding.line) == ("1", 6)
    assert "owner: anna" in finding.message
    assert finding.hint == "end it: m2g hold wine --env prod --end"
    call(line, end=True)
    assert run(line.root, line.registry, RenderOptions(today=later)).findings == ()


def test_a_dry_run_writes_nothing(line: Line) -> None:
    before = tree(line.root)
    result = call(line, note=NOTE, dry_run=True)
    assert (result.action, result.files, result.written) == ("held", ("models/wine/model.yaml",), False)
    assert tree(line.root) == before


def test_the_end_of_nothing_is_no_error(line: Line) -> None:
    assert call(line, end=True).action == "unchanged"


def test_what_is_not_there_cannot_be_held(line: Line) -> None:
    with pytest.raises(InputError, match="no release record in dev"):
        call(line, environment="dev")
    with pytest.raises(InputError, match="no model 'whine'") as caught:
        call(line, model="whine")
    assert caught.value.hint == "did you mean wine?"


def test_a_file_that_cannot_be_edited_stays_and_the_reason_is_said(line: Line) -> None:
    file = line.root / "models/wine/model.yaml"
    file.write_text("environments: [wrong]\n")
    with pytest.raises(InputError, match=r"model\.yaml"):
        call(line, note=NOTE)
    assert file.read_text() == "environments: [wrong]\n"
