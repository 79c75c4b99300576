"""The API server, with CRDs made from our schemas, decides as our schemas do; each exception has a reason."""

from __future__ import annotations

import re
from typing import NamedTuple

import pytest

from tests.support.apiserver import objects
from tests.support.apiserver.objects import Fault
from tests.support.apiserver.validators import Difference, Validators

VERSIONS = ("0.15", "0.21")
"""The oldest and the newest."""
pytestmark = [pytest.mark.apiserver, pytest.mark.timeout(900), pytest.mark.slow]


class Reason(NamedTuple):
    """Why verdicts may differ: `words` are searched in what the refusing side says."""

    refused_by: str
    words: str
    why: str
    builtin: bool | None = None
    faults: frozenset[Fault] = frozenset(Fault)

    def holds(self, difference: Difference) -> bool:
        """Whether it explains a difference."""
        case = difference.case
        return (
            difference.refused_by == self.refused_by
            and self.builtin in (None, case.builtin)
            and case.fault in self.faults
            and re.search(self.words, difference.words) is not None
        )


REASONS = [
    Reason(
        "server",
        r"duplicate entries for key|Duplicate value",
        "two items of a list with the same key: our schemas do not know the keys of lists",
        faults=frozenset({Fault.TWICE}),
    ),
    Reason(
        "server",
        r'must be of type integer,string: "number"|cannot unmarshal number \d+ into Go value of type int32',
        "a whole number beyond 32 bits where a number or text may stand: our IntOrString has no size",
        faults=frozenset({Fault.RANGE}),
    ),
    Reason(
        "server",
        r'is invalid: \[?[^ ]+: Invalid value: [^"\[{]',
        "a rule that a CRD has in CEL: our schemas keep it, and the catalogue does not evaluate it",
        builtin=False,
        faults=frozenset({Fault.MISSING, Fault.TEXT, Fault.TWICE}),
    ),
    Reason(
        "server",
        r"metadata\.finalizers: Invalid value",
        "what a finalizer may be called: our schemas take any text",
        builtin=False,
    ),
    Reason(
        "server",
        r"may not have a null element",
        "null as an item of a list with keys: in Kubernetes' own kinds our schemas take null as the server mostly does",
        builtin=True,
        faults=frozenset({Fault.NULL}),
    ),
    Reason(
        "server",
        r"Required value|empty selector|Invalid value: \"\"",
        "Go code requires what the published schema of a built-in kind leaves optional",
        builtin=True,
        faults=frozenset({Fault.MISSING, Fault.NULL, Fault.MISSPELT}),
    ),
    Reason(
        "server",
        r"does not match template|Not found: |must be (less than or )?equal to \S+ limit|more than two policyTypes",
        "Go code compares one field of a built-in kind with another",
        builtin=True,
    ),
    Reason(
        "server",
        r"Unsupported value|must be either ",
        "a closed choice that only Go code knows; ours has those of the fields that m2g writes",
        builtin=True,
        faults=frozenset({Fault.TEXT, Fault.NULL}),
    ),
    Reason(
        "server",
        r"must be (between|greater than)",
        "a range that only Go code knows, such as that of a port",
        builtin=True,
        faults=frozenset({Fault.RANGE, Fault.NULL}),
    ),
    Reason(
        "server",
        r"RFC 1123|a valid (label|percent string|config key|CIDR)|must (contain|consist of)|must specify API group",
        "what a text of a built-in kind may be: names, ports, percentages, networks, selectors",
        builtin=True,
        faults=frozenset({Fault.TEXT, Fault.TYPE}),
    ),
    Reason(
        "server",
        r"must be a standard resource",
        "names of resources such as cpu, which are keys",
        builtin=True,
        faults=frozenset({Fault.MISSPELT}),
    ),
    Reason(
        "m2g",
        r"^spec\.predictors\[0\]\.graph\.children\[0\]\.",
        "a part that contains itself: a CRD cannot hold that, so it leaves the inner ones open",
        builtin=False,
    ),
    Reason(
        "m2g",
        r"is null",
        "server-side apply drops a null, reads it as empty or sets a default: nobody means that, so we refuse it",
        faults=frozenset({Fault.NULL}),
    ),
    Reason(
        "m2g",
        r"is 9223372036854775808; the maximum",
        "a number beyond 64 bits is made to fit in a built-in kind: what runs is not what was written",
        builtin=True,
        faults=frozenset({Fault.RANGE}),
    ),
    Reason(
        "m2g",
        r"metadata\.name is .* not a name that Kubernetes takes",
        "the server does not look at the name of a PodDisruptionBudget",
        builtin=True,
        faults=frozenset({Fault.TEXT}),
    ),
    Reason(
        "m2g",
        r"^spec\.jobTemplate\.metadata\.labels",
        "the server does not look at the labels of a CronJob's template; it would refuse every Job made from it",
        builtin=True,
        faults=frozenset({Fault.TEXT}),
    ),
]


@pytest.mark.parametrize("validators", VERSIONS, indirect=True)
def test_both_take_what_is_right(validators: Validators) -> None:
    right = objects.right(validators.kserve)
    assert len(right) > 40
    for case in right:
        answer = validators.server.check(case.manifest)
        assert answer.accepted, (str(case), answer.message)
        assert validators.catalogue.find_violations(case.manifest, kserve=validators.kserve) == [], str(case)


@pytest.mark.parametrize("validators", VERSIONS, indirect=True)
def test_both_say_the_same_of_a_fault_or_there_is_a_reason(validators: Validators) -> None:
    cases = list(objects.faults(objects.right(validators.kserve)))
    differences = [difference for difference in map(validators.differ, cases) if difference]
    reasons = [next((reason for reason in REASONS if reason.holds(one)), None) for one in differences]
    unexplained = [str(one) for one, reason in zip(differences, reasons, strict=True) if reason is None]
    assert not unexplained, "\n".join(unexplained)
    print(f"KServe {validators.kserve}: {len(cases)} faults, {len(differences)} verdicts differ")
    for reason in REASONS:
        count = reasons.count(reason)
        print(f"{count:5} {reason.refused_by} alone refuses: {reason.why}")
        assert count or validators.kserve != "0.21", (
            f"no verdict differs any more for this reason, so remove it: {reason.why}"
        )
