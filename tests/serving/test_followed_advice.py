"""Advice about settings, names and training code, followed: the gate has nothing against the model then.

That such models answer is what `make proof` and `make environments` recorded; tests/compat/test_advice.py has the list.
"""

from __future__ import annotations

import msgspec
import pytest

from m2g.compat import catalogue
from m2g.compat.check import STORAGE_INITIALIZER, check_runtime, explain_no_image
from m2g.compat.runtime import Runtime, find_runtime
from m2g.core.config_types import Config, Kserve
from m2g.core.errors import InputError
from m2g.core.model import Field, Flavor, Mlmodel, Signature
from m2g.serving.environments import describe_need
from m2g.serving.profile import ProfileInput, choose_profile
from m2g.serving.spec import Serving
from tests.support.fleet import release

COMMIT, DIGEST = "0c" * 20, "@sha256:" + "5f" * 32
NUMBERS = Signature(inputs=(Field(name="a", type="double"),), outputs=(Field(name="b", type="double"),))
MODEL = Mlmodel(
    sha256="0" * 64,
    flavors=(Flavor(name="python_function"),),
    mlflow_version="2.19.0",
    python_version="3.10.12",
    loader_module="mlflow.pyfunc.loaders.code_model",
    requirements=("mlflow==2.19.0", "numpy==1.26.4"),
    signature=NUMBERS,
)
SKLEARN = Flavor(name="sklearn", version="1.5.2", serialization_format="cloudpickle", file="model.pkl")


def stock(name: str = "kserve-mlserver", kserve: str = "0.21") -> Runtime:
    found = find_runtime(catalogue.read_stock(), name, kserve)
    assert found is not None
    return found


def change(mlmodel: Mlmodel, **changes: object) -> Mlmodel:
    return msgspec.structs.replace(mlmodel, **changes)


def advice(mlmodel: Mlmodel, runtime: Runtime, limits: dict[str, str] | None = None) -> list[str]:
    return [reason.fix for reason in check_runtime(mlmodel, runtime, limits or {}).reasons]


def test_the_numpy_that_it_names_is_loaded() -> None:
    runtime = Runtime(name="ours", python="3.10", packages={"numpy": "1.25.2", "scikit-learn": "1.5.2"}, complete=True)
    runtime = msgspec.structs.replace(runtime, loads="file", files={"sklearn": (".pkl",)})
    flavors = (Flavor(name="python_function"), SKLEARN)
    made = change(MODEL, flavors=flavors, loader_module="", requirements=("numpy==2.4.6", "scikit-learn==1.5.2"))
    (fix,) = advice(made, runtime)
    version = fix.removeprefix("train it with numpy ")
    again = change(made, requirements=(f"numpy=={version}", "scikit-learn==1.5.2"))
    assert check_runtime(again, runtime, {}).answer == "serves"


def test_an_array_has_an_answer() -> None:
    one = change(MODEL, signature=Signature(inputs=NUMBERS.inputs, outputs=(Field(name="", type="double"),)))
    assert advice(one, stock())[0].startswith("return a numpy array or a data frame; or set profile: mlflow-image")
    for output in (Field(name="", type="float64", shape=(-1,)), Field(name="b", type="double")):
        again = change(one, signature=Signature(inputs=NUMBERS.inputs, outputs=(output,)))
        assert check_runtime(again, stock(), {}).answer == "serves"


def test_another_type_or_an_image_is_loaded() -> None:
    older = stock(kserve="0.15")
    one = change(MODEL, signature=Signature(inputs=(Field(name="a", type="any"),), outputs=NUMBERS.outputs))
    assert [fix for fix in advice(one, older) if fix.startswith("give the column another type")]
    assert not [fix for fix in advice(MODEL, older) if "type" in fix]
    assert explain_no_image(one, {}) is None


def test_a_pickled_torch_model_is_not_refused() -> None:
    torch = Flavor(name="pytorch", version="2.4.1", serialization_format="pt2", file="data")
    one = change(
        MODEL,
        flavors=(Flavor(name="python_function"), torch),
        loader_module="mlflow.pytorch",
        requirements=("mlflow==3.17.2", "torch==2.4.1"),
    )
    assert advice(one, stock())[0] == "log it with serialization_format='pickle'"
    pickled = msgspec.structs.replace(torch, serialization_format="pickle")
    again = change(one, flavors=(Flavor(name="python_function"), pickled))
    assert check_runtime(again, stock(), {}).answer == "serves"


def test_a_flavor_with_pyfunc_is_loaded() -> None:
    one = change(MODEL, flavors=(SKLEARN,), loader_module="mlflow.sklearn")
    assert advice(one, stock())[0] == "log it with a flavor that adds python_function"
    found = explain_no_image(one, {})
    assert found is not None
    again = change(one, flavors=(Flavor(name="python_function"), SKLEARN))
    assert check_runtime(again, stock(), {}).answer == "serves"
    assert explain_no_image(again, {}) is None


def test_with_a_signature_there_is_no_note() -> None:
    one = change(MODEL, signature=None)
    assert advice(one, stock()) == ["log it with a signature (mlflow.models.infer_signature)"]
    assert advice(MODEL, stock()) == []


def test_with_requirements_an_image_serves() -> None:
    found = explain_no_image(change(MODEL, requirements=()), {})
    assert found is not None
    assert found.fix == "log it again with pip_requirements"
    assert explain_no_image(MODEL, {}) is None


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ({"python_version": "3.8.20"}, {"python_version": "3.9.1"}),
        ({"python_version": "3.13.1"}, {"python_version": "3.12.4"}),
        ({"requirements": ()}, {"requirements": MODEL.requirements}),
    ],
)
def test_what_an_environment_can_be_made_for(before: dict[str, object], after: dict[str, object]) -> None:
    config = msgspec.convert({"version": 1, "environments": {"prod": {"namespace": "m"}}}, Config)
    with pytest.raises(InputError) as raised:
        describe_need(config, "wine", change(MODEL, **before), "mlserver")
    assert raised.value.hint
    assert describe_need(config, "wine", change(MODEL, **after), "mlserver").server == "mlserver"
    if "mlflow-image" in raised.value.hint:
        assert describe_need(config, "wine", change(MODEL, **before), "mlflow").server == "mlflow"


def test_a_storage_container_with_more_memory() -> None:
    large = change(MODEL, size_bytes=3 << 30)
    assert advice(large, stock())[0].startswith("use a ClusterStorageContainer with more memory")
    assert advice(large, stock(), {STORAGE_INITIALIZER: "4Gi"}) == []


def test_a_reference_to_the_hub() -> None:
    hub = stock("kserve-huggingfaceserver")
    assert advice(MODEL, hub)[0] == "log it with mlflow.transformers and save_pretrained=False"
    referring = change(MODEL, source_model=f"a/b@{COMMIT}")
    assert advice(referring, hub) == ["test it with `m2g smoke`"]
    for uri, mlmodel in (("s3://b/m/", referring), (f"hf://a/b:{COMMIT}", None)):
        assert find_rules("huggingface", uri, mlmodel) == []
    assert find_rules("huggingface", "s3://b/m/", MODEL) == ["profile-unfit"]
    assert find_rules("huggingface", "hf://a/b:main", None) == ["model-not-pinned"]


def test_an_oci_image_with_a_digest() -> None:
    assert find_rules("oci", "s3://b/m/", MODEL) == ["profile-unfit"]
    assert find_rules("oci", "oci://r.test/x:1", MODEL) == ["model-not-pinned"]
    assert find_rules("oci", f"oci://r.test/x{DIGEST}", MODEL) == []


def find_rules(profile: str, uri: str, mlmodel: Mlmodel | None) -> list[str]:
    serving = msgspec.structs.replace(Serving(kserve=Kserve()), profile=profile)
    asked = ProfileInput(release=release(mlmodel=mlmodel), serving=serving, storage_uri=uri)
    return [finding.rule for finding in choose_profile(asked)[1]]
