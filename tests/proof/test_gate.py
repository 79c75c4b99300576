"""The gate agrees with what real serving environments did (`make proof` recorded it)."""

from __future__ import annotations

import pytest
from docs._generate.proof import Row, read, said

OUTCOME = read()
CASES = [(row, name) for row in OUTCOME.rows for name in OUTCOME.kserve]
DECIDED = {"serves", "fails"}


@pytest.mark.parametrize(("row", "name"), CASES, ids=[f"{row.logger} {row.kind} {name}" for row, name in CASES])
def test_the_gate_agrees_with_what_happened(row: Row, name: str) -> None:
    answer = said(OUTCOME, row, name)
    if answer in DECIDED:
        assert (answer == "serves") == (row.outcomes[name].outcome == "serves"), row.outcomes[name].error


def test_unknown_is_said_only_where_another_version_decides() -> None:
    """With the very libraries and Python of the runtime there is nothing that the gate does not know."""
    same = [row for row in OUTCOME.rows if row.logger.startswith("mlflow 2.19")]
    assert {said(OUTCOME, row, "kserve-mlserver-1.7.1") for row in same} == DECIDED
    answers = [said(OUTCOME, row, name) for row, name in CASES]
    assert answers.count("unknown") < len(answers) / 3


def test_the_proof_is_of_enough() -> None:
    assert len({row.kind for row in OUTCOME.rows}) >= 8
    assert len({row.logger for row in OUTCOME.rows}) >= 2
    assert {row.outcomes[name].outcome for row, name in CASES} >= {"serves", "fails to load", "fails to predict"}


@pytest.mark.parametrize("row", OUTCOME.rows, ids=lambda row: f"{row.logger} {row.kind}")
def test_a_smoke_test_in_the_runtimes_packages_ends_as_the_runtime_did(row: Row) -> None:
    assert (row.smoke == "serves") == (row.outcomes["kserve-mlserver-1.7.1"].outcome == "serves")
