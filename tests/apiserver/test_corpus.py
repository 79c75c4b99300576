"""What the corpus says of the API server is so: it refuses a wrong manifest for its schema, and no other."""

from __future__ import annotations

import json

import pytest

from m2g.validation.schemas import Catalogue
from tests.support.apiserver.server import ASSETS
from tests.support.apiserver.validators import Validators
from tests.support.corpus import Case, cases

pytestmark = [pytest.mark.apiserver, pytest.mark.timeout(900), pytest.mark.slow]

CASES = cases()
_STRUCTURE = {"schema", "names-unique"}
"""Rules of m2g that CRDs made from our schemas hold as well."""
_BY_A_RULE = "KServe's own CRD has this bound; ours, made from KServe's published types, has a rule instead"
OTHERWISE = {
    "wrong/cache-no-groups": _BY_A_RULE,
    "wrong/metric-backend-empty": _BY_A_RULE,
    "wrong/metric-backend-missing": _BY_A_RULE,
    "wrong/metric-backend-unknown": _BY_A_RULE,
    "wrong/metric-target-no-type": _BY_A_RULE,
}


def _refused(case: Case) -> bool:
    return case.by == "schema" or any(rule in _STRUCTURE for rule, _ in case.expected)


def _write(taken: dict[str, bool]) -> None:
    """Add to the verdicts that `make peers` reads; those of cases that are no more go."""
    path = ASSETS / "corpus.json"
    before = json.loads(path.read_text()) if path.is_file() else {}
    names = {case.name for case in CASES}
    whole = {name: verdict for name, verdict in (before | taken).items() if name in names}
    path.write_text(json.dumps(whole, indent=1, sort_keys=True))


@pytest.mark.parametrize("validators", Catalogue().list_kserve_versions(), indirect=True)
def test_the_server_refuses_what_breaks_a_schema_and_nothing_else(validators: Validators) -> None:
    mine = [case for case in CASES if case.given.kserve == validators.kserve]
    assert mine
    answers = {case.name: validators.server.check(case.manifest) for case in mine}
    _write({name: answer.accepted for name, answer in answers.items()})
    surprises = {
        case.name: answers[case.name].message or "is taken"
        for case in mine
        if answers[case.name].accepted == _refused(case)
    }
    assert surprises.keys() == answers.keys() & OTHERWISE.keys(), surprises
