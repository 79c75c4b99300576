"""m2g gives exactly the expected answers: none for what is right, one for each fault."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest

from m2g.validation.rules import COMPONENT, FLEET, RULES
from m2g.validation.schemas import Catalogue
from tests.support.corpus import BY, FOLDER, Case, cases
from tests.support.rule_objects import answers

CASES = cases()
_ELSEWHERE = {
    *("memory-for-model", "runtime-fails", "runtime-unsure"),  # need a release record
    *("history-mode", "history-predictor-name"),  # need a base to compare with
    *("flux-variable", "reference-generated"),  # need other objects
}


@pytest.mark.parametrize("case", CASES, ids=[case.name for case in CASES])
def test_m2g_gives_exactly_the_expected_answers(case: Case) -> None:
    assert answers(case.manifest, case.given) == case.expected


def test_wrong_ones_have_one_fault_and_say_who_else_would_find_it() -> None:
    for case in CASES:
        assert case.right == case.name.startswith("right/"), case.name
        assert case.right or len(case.expected) == 1, case.name
        assert (case.by in BY) != case.right, case.name


def test_the_corpus_is_wide() -> None:
    assert len(CASES) >= 300
    assert sum(case.right for case in CASES) >= 100
    versions = {case.given.kserve for case in CASES if case.right}
    assert versions == set(Catalogue().list_kserve_versions())
    found = {rule for case in CASES for rule, _ in case.expected}
    alone = {rule.id for rule in RULES if not {COMPONENT, FLEET} & set(rule.kinds)}
    assert alone - found == _ELSEWHERE


def test_right_ones_use_every_field_family() -> None:
    """KServe's own fields of an InferenceService, and the parts of a pod that people set."""
    used = {key for case in CASES if case.right for key in _keys(case.manifest)}
    families = (
        "minReplicas maxReplicas scaleTarget scaleMetric autoScaling containerConcurrency timeout "
        "canaryTrafficPercent logger batcher labels annotations deploymentStrategy storageUris "
        "storageContainerName workerSpec containers modelFormat protocolVersion runtime runtimeVersion "
        "storageUri storage confidential canary tracing transformer explainer art volumes nodeSelector "
        "tolerations affinity topologySpreadConstraints imagePullSecrets initContainers priorityClassName "
        "securityContext schedulerName terminationGracePeriodSeconds image args command env envFrom resources "
        "ports livenessProbe readinessProbe startupProbe lifecycle volumeMounts imagePullPolicy workingDir "
        "metadataHeaders metadataAnnotations schemaPath behavior external podmetric authenticationRef"
    ).split()
    assert set(families) - used == set()


def test_nothing_in_it_names_a_machine() -> None:
    for path in FOLDER.glob("*/*.yaml"):
        assert not re.search(r"/(home|root|work|tmp)/", path.read_text()), path.name


def _keys(node: object) -> Iterator[str]:
    if isinstance(node, dict):
        for key, value in node.items():
            yield str(key)
            yield from _keys(value)
    elif isinstance(node, list):
        for item in node:
            yield from _keys(item)
