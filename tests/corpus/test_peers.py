"""The comparison with other validators: its counts, and that the page in the docs is about this corpus."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.corpus import peers
from tests.corpus.peers import Peer, Verdict
from tests.support.corpus import cases

CASES = cases()


def verdicts(of: Peer) -> dict[str, Verdict]:
    return dict(of.judge(CASES))


def test_m2g_refuses_all_that_is_wrong_and_nothing_else() -> None:
    found = peers.m2g(CASES)
    assert {case.name for case in CASES if found[case.name] is Verdict.REFUSES} == {
        case.name for case in CASES if not case.right
    }


def test_rules_find_what_schemas_do_not() -> None:
    found = peers.m2g_schemas(CASES)
    by_schema = {case.name for case in CASES if found[case.name] is Verdict.REFUSES}
    assert by_schema == {case.name for case in CASES if {rule for rule, _ in case.expected} == {"schema"}}


def test_what_a_tool_has_no_schema_for_is_counted_apart() -> None:
    found = peers.kubernetes_only(CASES)
    assert found["right/config-map"] is Verdict.TAKES
    assert found["right/canary"] is Verdict.UNKNOWN
    assert found["wrong/type-config-map"] is Verdict.REFUSES


def test_the_page_is_about_this_corpus() -> None:
    """Its first columns are made anew; the others need programs that `make peers` builds."""
    text = peers.PAGE.read_text()
    columns = [
        Peer(name="m2g", about="", judge=peers.m2g),
        Peer(name="m2g's schemas", about="", judge=peers.m2g_schemas),
    ]
    made = peers.page(CASES, {peer.name: verdicts(peer) for peer in columns}, columns)
    assert _starts(made) == _starts(text), "run `make peers`"


def test_the_server_s_verdicts_are_read_from_its_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(peers, "SERVER", tmp_path / "corpus.json")
    assert "API server" not in [peer.name for peer in peers.peers()]
    peers.SERVER.write_text('{"right/canary": true, "wrong/missing-spec": false}')
    assert "API server" not in [peer.name for peer in peers.peers()], "not all were asked about"
    peers.SERVER.write_text(json.dumps({case.name: case.right for case in CASES}))
    assert [peer.name for peer in peers.peers()][-1] == "API server"
    found = peers.api_server(CASES)
    assert found["right/canary"] is Verdict.TAKES
    assert found["wrong/missing-spec"] is Verdict.REFUSES


def test_what_kserve_s_own_code_refuses_m2g_refuses_too() -> None:
    """And it takes what is right; `prunes` are fields that only another version has."""
    said, by_name = peers.read_kserve(), {case.name: case for case in CASES}
    assert set(said) <= set(by_name)
    assert [name for name, answer in said.items() if answer == "refuses" and by_name[name].right] == []
    refused = [name for name, answer in said.items() if answer == "refuses"]
    assert len(refused) > 100
    found = peers.m2g([by_name[name] for name in refused])
    assert {found[name] for name in refused} == {Verdict.REFUSES}


def _starts(text: str) -> list[list[str]]:
    """The first four cells of every row: what is counted, of how many, m2g, m2g's schemas."""
    rows = [line.split(" | ") for line in text.splitlines() if line.startswith("| ")]
    return [[cell.strip("| ") for cell in row[:4]] for row in rows]
