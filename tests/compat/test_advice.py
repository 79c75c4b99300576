"""All advice of the gate is followed somewhere, literally, and ends in a model that answers.

What trains or saves again, or takes another server, was run: each row of `make proof` and `make environments` is a real
model on real servers. The others have a test. Advice that is new has no row here, and this test says so.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import pytest
from docs._generate import environments, proof

from m2g.compat import catalogue, runtime
from m2g.compat.check import check_runtime
from m2g.core.model import Mlmodel
from tests.support.advice import list_advice
from tests.support.paths import ROOT

MODULES = (
    *(f"compat/{name}.py" for name in ("check", "code", "formats", "libraries", "signature", "size")),
    *(f"serving/{name}.py" for name in ("gate", "profile", "environments")),
    "commands/assess.py",
)
STOCK, FILE = "kserve-mlserver-1.7.1", "kserve-sklearnserver-0.20"
OLD, MIDDLE, NEW = "mlflow 2.19, Python 3.10", "mlflow 2.22, Python 3.11", "mlflow 3.17, Python 3.11"
TODAY = "mlflow 3.17, Python 3.12"
BY_SERVER = "set profile: mlflow-image (`m2g image` prepares it), because MLflow's own server can encode them"


class Row(NamedTuple):
    """Of `make proof`: the runtime gives the advice for one model, and the other one, which has it, serves there."""

    before: tuple[str, str]
    after: tuple[str, str]
    runtime: str = STOCK


class Shared(NamedTuple):
    """Of `make environments`: the stock runtime gives the advice, and the model answers in its environment."""

    kind: str
    server: str
    runtime: str = "kserve-mlserver"
    logger: str = TODAY


class Followed(NamedTuple):
    """A test that follows the advice."""

    test: str


CHOICES = "tests/serving/test_followed_advice.py::"
ADVICE: Mapping[str, tuple[Row | Shared | Followed, ...]] = {
    # The training code
    "log it with serialization_format='cloudpickle'": (Row((NEW, "sklearn-skops"), (NEW, "sklearn-cloudpickle")),),
    "log it with that Python, or with serialization_format='pickle', which does not save code": (
        Row((MIDDLE, "sklearn-lambda"), (OLD, "sklearn-lambda")),
        Row((NEW, "sklearn-cloudpickle"), (NEW, "sklearn-pickle")),
    ),
    "log the class as code (mlflow.pyfunc.log_model(python_model='model.py')), which is not pickled": (
        Row((NEW, "pyfunc-params"), (NEW, "pyfunc-as-code")),
    ),
    "log it with infer_signature(inputs, outputs), or without a signature": (
        Row((OLD, "pyfunc-no-outputs"), (OLD, "pyfunc-params")),
    ),
    "train it with {} {}": (
        Row((NEW, "sklearn-forest"), (OLD, "sklearn-forest")),
        Row((NEW, "xgboost"), (OLD, "xgboost")),
        Row((NEW, "lightgbm"), (OLD, "lightgbm")),
    ),
    f"return text; or {BY_SERVER}": (
        Followed("tests/smoke/test_led_on.py::test_the_lines_and_the_change_that_a_refusal_advises_answer"),
    ),
    "log it without input_example, or set profile: mlserver-image": (
        Followed("tests/commands/test_runtimes.py::test_xgbserver_takes_an_example_for_another_model"),
        Row((OLD, "xgboost"), (OLD, "xgboost"), ""),
    ),
    "train it with numpy {}": (Followed(f"{CHOICES}test_the_numpy_that_it_names_is_loaded"),),
    f"return a numpy array or a data frame; or {BY_SERVER}": (Followed(f"{CHOICES}test_an_array_has_an_answer"),),
    "give the column another type, or set profile: mlserver-image (`m2g image` prepares an image)": (
        Followed(f"{CHOICES}test_another_type_or_an_image_is_loaded"),
    ),
    "log it with serialization_format='pickle'": (Followed(f"{CHOICES}test_a_pickled_torch_model_is_not_refused"),),
    "log it with a flavor that adds python_function": (Followed(f"{CHOICES}test_a_flavor_with_pyfunc_is_loaded"),),
    "log it with a signature (mlflow.models.infer_signature)": (
        Followed(f"{CHOICES}test_with_a_signature_there_is_no_note"),
    ),
    "log it with mlflow.transformers and save_pretrained=False": (Followed(f"{CHOICES}test_a_reference_to_the_hub"),),
    "log it again with pip_requirements": (Followed(f"{CHOICES}test_with_requirements_an_image_serves"),),
    # Another server, an image
    "set profile: mlserver-image or mlflow-image (`m2g image` prepares an image with the model's environment)": (
        Shared("typed", "mlserver"),
        Shared("onnx", "mlserver"),
    ),
    "set profile: mlflow-image (`m2g image` prepares an image with the model's environment)": (
        Shared("prophet", "mlflow", "kserve-sklearnserver"),
    ),
    BY_SERVER: (
        Shared("prophet", "mlflow"),
        Shared("statsmodels", "mlflow"),
        Shared("agent", "mlflow"),
        Shared("agent", "mlflow", logger="mlflow 3.4, Python 3.11"),
    ),
    "build it: m2g environments context {} -o DIR (then push it, and m2g environments record {} IMAGE)": (
        Followed("tests/image/test_environments.py::test_the_command_line"),
    ),
    "build one: m2g image {} --env {} -o DIR (then record it with --record), or set image in model.yaml": (
        Followed("tests/image/test_context.py::test_a_version_waits_is_built_recorded_and_promoted_with_its_image"),
        Followed("tests/image/test_served.py::test_mlserver_serves_what_the_stock_runtime_cannot_load"),
    ),
    "try it in an environment that may fail; without environment.tar.gz, m2g checks the runtime's packages": (
        Followed("tests/smoke/test_packed_environment.py::test_without_it_the_same_model_is_tested_as_before"),
    ),
    "log the model again (scikit-learn: serialization_format='cloudpickle'), or set profile: mlflow-image": (
        Row((NEW, "sklearn-skops"), (NEW, "sklearn-cloudpickle"), FILE),
    ),
    "log the model again with Python 3.9 or newer": (Followed(f"{CHOICES}test_what_an_environment_can_be_made_for"),),
    "log the model again: MLflow writes requirements.txt beside it": (
        Followed(f"{CHOICES}test_what_an_environment_can_be_made_for"),
    ),
    "set profile: mlflow-image in model.yaml, or log the model again with Python 3.12 or older": (
        Followed(f"{CHOICES}test_what_an_environment_can_be_made_for"),
        Shared("sklearn-skops", "mlflow", logger="mlflow 3.17, Python 3.13"),
    ),
    # Settings, the registry, the record
    "write to model.yaml: settings: {resources: {limits: {memory: {}Gi}}}": (
        Followed("tests/commands/test_assess.py::test_the_memory_that_it_advises_is_enough"),
    ),
    "use a ClusterStorageContainer with more memory (storageContainerName), or serve it from an OCI image": (
        Followed(f"{CHOICES}test_a_storage_container_with_more_memory"),
    ),
    "remove runtime, or set profile: native": (
        Followed("tests/serving/test_profile.py::test_a_runtime_that_kserve_refuses_for_mlflow_fails"),
    ),
    "describe the packages in its image: m2g runtimes import FILE --name {}": (
        Followed("tests/commands/test_runtimes.py::test_a_freeze_becomes_a_description"),
    ),
    "describe the whole image with `m2g runtimes import`": (
        Followed("tests/commands/test_runtimes.py::test_a_freeze_becomes_a_description"),
    ),
    "run `m2g render`, which reads them from the registry": (
        Followed(
            "tests/commands/test_render.py::test_a_record_without_requirements_is_asked_for_once_more_and_never_made_worse"
        ),
    ),
    "run `m2g render`": (
        Followed(
            "tests/commands/test_render.py::test_a_record_without_requirements_is_asked_for_once_more_and_never_made_worse"
        ),
    ),
    "test it with `m2g smoke`": (Followed(f"{CHOICES}test_a_reference_to_the_hub"),),
    "decide it again: {}": (
        Followed("tests/resolution/test_decision.py::test_to_decide_again_is_shown_before_it_is_written"),
    ),
    "restore it from Git, or decide again: {}": (
        Followed("tests/resolution/test_decision.py::test_to_decide_again_is_shown_before_it_is_written"),
    ),
    "see images.sharing in m2g.yaml, or decide again: {}": (
        Followed("tests/resolution/test_decision.py::test_to_decide_again_is_shown_before_it_is_written"),
    ),
    "log it with mlflow.transformers.log_model(…, save_pretrained=False), or register hf://owner/model:commit": (
        Followed(f"{CHOICES}test_a_reference_to_the_hub"),
    ),
    "register hf://owner/model:COMMIT with the 40 digits of a commit from the model's page on the hub": (
        Followed(f"{CHOICES}test_a_reference_to_the_hub"),
    ),
    "push it as an OCI image and register oci://REGISTRY/NAME@sha256:… (or map to it by storage.rewrites)": (
        Followed(f"{CHOICES}test_an_oci_image_with_a_digest"),
    ),
    "register oci://REGISTRY/NAME@sha256:…; print the digest with: crane digest REGISTRY/NAME:TAG": (
        Followed(f"{CHOICES}test_an_oci_image_with_a_digest"),
    ),
    "log it with MLflow, and register that version": (Followed(f"{CHOICES}test_a_flavor_with_pyfunc_is_loaded"),),
    "log it with a signature: mlflow.models.infer_signature(inputs, outputs)": (
        Followed(f"{CHOICES}test_with_a_signature_there_is_no_note"),
    ),
    "make its files readable for m2g, or register the model again": (
        Followed("tests/commands/test_assess.py::test_a_version_whose_files_are_readable_again_is_served"),
    ),
    "write to {}: models: {slugs: {{}: another-name}}": (
        Followed(
            "tests/commands/test_assess_write.py::"
            "test_names_that_collide_get_slugs_and_the_model_with_a_record_keeps_its_own"
        ),
    ),
}
_PAIRS = [(advice, one) for advice, ways in ADVICE.items() for one in ways]


def test_all_advice_is_followed_and_nothing_else() -> None:
    given = {text for module in MODULES for text in list_advice(ROOT / "generator/m2g" / module)}
    assert given - set(ADVICE) == set(), "new advice: follow it to a model that answers, and name the run here"
    assert set(ADVICE) - given == set(), "nobody gives this advice any more"


def as_pattern(advice: str) -> re.Pattern[str]:
    return re.compile(re.escape(advice).replace(r"\{\}", ".+"))


def advises(mlmodel: Mlmodel, name: str, kserve: str, advice: str) -> bool:
    found = runtime.find_runtime(catalogue.read_stock(), name, kserve)
    assert found is not None
    verdict = check_runtime(mlmodel, found, {})
    return any(as_pattern(advice).fullmatch(reason.fix) for reason in verdict.reasons)


@pytest.mark.parametrize(
    ("advice", "way"), _PAIRS, ids=[f"{advice[:40]} {'-'.join(map(str, way))[-60:]}" for advice, way in _PAIRS]
)
def test_it_ended_in_a_model_that_answers(advice: str, way: Row | Shared | Followed) -> None:
    match way:
        case Row(before, after, on):
            outcome = proof.read()
            rows = {(row.logger, row.kind): row for row in outcome.rows}
            if on == STOCK:
                name = on.rpartition("-")[0]
                assert advises(rows[before].mlmodel, name, outcome.kserve[on], advice)
            assert rows[after].outcomes[on or STOCK].outcome == "serves"
        case Shared(kind, server, on, logger):
            (model,) = [one for one in environments.read().models if (one.logger, one.kind) == (logger, kind)]
            assert "m2g" not in model.answer
            assert model.answer == ""
            assert f"-{server}-" in model.environment
            assert advice.startswith("set profile: mlflow-image in") or advises(model.mlmodel, on, "0.21", advice)
        case Followed(test):
            path, _, name = test.partition("::")
            tree = ast.parse((ROOT / Path(path)).read_text())
            assert name in {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}
