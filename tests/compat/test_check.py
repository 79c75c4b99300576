"""Verdicts for models that public reports named: what a runtime says of them, and the fix that really helps."""

from __future__ import annotations

import msgspec
import pytest

from m2g.compat import catalogue
from m2g.compat.check import check_runtime
from m2g.compat.runtime import Runtime, find_runtime
from m2g.compat.signature import explain_no_answer
from m2g.core.model import Field, Flavor, Mlmodel, Signature

PICKLED = Mlmodel(
    sha256="0" * 64,
    flavors=(Flavor(name="python_function", file="python_model.pkl"),),
    mlflow_version="2.19.0",
    python_version="3.10.12",
    loader_module="mlflow.pyfunc.model",
    requirements=(),
    signature=Signature(inputs=(Field(name="", type="string"),), outputs=(Field(name="", type="string"),)),
)
AS_CODE = msgspec.structs.replace(PICKLED, loader_module="mlflow.pyfunc.loaders.code_model", code=True)


def stock(kserve: str = "0.21") -> Runtime:
    found = find_runtime(catalogue.read_stock(), "kserve-mlserver", kserve)
    assert found is not None
    return found


def test_type_hints_need_an_mlflow_that_reads_them() -> None:
    hinted = msgspec.structs.replace(AS_CODE, type_hints=True)
    verdict = check_runtime(hinted, stock(), {})
    assert verdict.answer == "fails"
    assert "type hints" in verdict.reasons[0].text
    assert "mlserver-image" in verdict.reasons[0].fix
    newer = msgspec.structs.replace(stock(), packages={**stock().packages, "mlflow": "2.20.0"})
    assert check_runtime(hinted, newer, {}).answer == "serves"
    nobody_knows = msgspec.structs.replace(stock(), packages={}, complete=False)
    assert check_runtime(hinted, nobody_knows, {}).answer == "unknown"
    assert check_runtime(AS_CODE, stock(), {}).answer == "serves"


@pytest.mark.parametrize("flavor", ["prophet", "statsmodels"])
def test_what_no_mlserver_can_encode_is_led_to_mlflows_own_server(flavor: str) -> None:
    """The packages are missing too, but an image of MLServer with them would answer HTTP 500 (KeyError: 'M')."""
    made = msgspec.structs.replace(
        PICKLED, flavors=(*PICKLED.flavors, Flavor(name=flavor, version="1.1.5")), loader_module=f"mlflow.{flavor}"
    )
    verdict = check_runtime(made, stock(), {})
    assert verdict.answer == "fails"
    assert all("mlflow-image" in reason.fix and "mlserver-image" not in reason.fix for reason in verdict.reasons)
    refused = explain_no_answer(made)
    assert refused is not None
    assert refused.text == verdict.reasons[0].text
    assert explain_no_answer(PICKLED) is None


@pytest.mark.parametrize(
    "loader",
    [
        "mlflow.pyfunc.model",
        "mlflow.pyfunc.loaders.chat_model",
        "mlflow.pyfunc.loaders.chat_agent",
        "mlflow.pyfunc.loaders.responses_agent",
    ],
)
def test_a_pickled_class_needs_the_python_that_pickled_it(loader: str) -> None:
    made = msgspec.structs.replace(PICKLED, loader_module=loader, python_version="3.11.7")
    verdict = check_runtime(made, stock(), {})
    assert verdict.answer == "fails"
    assert "pickled with Python 3.11.7" in verdict.reasons[0].text
    assert check_runtime(PICKLED, stock(), {}).answer == "serves"


def test_an_agent_is_not_told_to_give_a_column_another_type() -> None:
    signature = Signature(inputs=(Field(name="input", type="array<any>"),), outputs=(Field(name="id", type="any"),))
    agent = msgspec.structs.replace(
        AS_CODE, task="agent/v1/responses", signature=signature, loader_module="mlflow.pyfunc.loaders.responses_agent"
    )
    older = msgspec.structs.replace(stock(), packages={**stock().packages, "mlflow": "2.10.2"})
    for verdict in (check_runtime(agent, stock(), {}), check_runtime(agent, older, {})):
        assert verdict.answer == "fails"
        assert not [reason.fix for reason in verdict.reasons if "type" in reason.fix]
    own = msgspec.structs.replace(PICKLED, signature=Signature(inputs=(), outputs=(Field(name="a", type="map<long>"),)))
    assert "another type" in check_runtime(own, older, {}).reasons[0].fix


@pytest.mark.parametrize("kserve", ["0.15", "0.21"])
def test_a_packed_environment_replaces_the_runtimes_packages(kserve: str) -> None:
    made = msgspec.structs.replace(
        PICKLED, python_version="3.12.1", requirements=("nobody-has-this==1.0",), type_hints=True
    )
    assert check_runtime(made, stock(kserve), {}).answer == "fails"
    packed = msgspec.structs.replace(made, packed_environment=True)
    verdict = check_runtime(packed, stock(kserve), {})
    assert verdict.answer == "unknown"
    assert "m2g does not see what is in it" in verdict.reasons[0].text
    answers_nothing = msgspec.structs.replace(packed, task="agent/v1/responses")
    assert check_runtime(answers_nothing, stock(kserve), {}).answer == "fails"
    sklearnserver = find_runtime(catalogue.read_stock(), "kserve-sklearnserver", kserve)
    assert sklearnserver is not None
    assert check_runtime(packed, sklearnserver, {}) == check_runtime(made, sklearnserver, {})
