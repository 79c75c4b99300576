"""Save models with this Python's MLflow and the defaults of each library: `python log_fleet.py FOLDER [KIND…]`."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable
from pathlib import Path

import mlflow
import numpy as np
import pandas as pd
from mlflow.models import infer_signature

X = pd.DataFrame(np.arange(60, dtype=np.float64).reshape(20, 3), columns=["a", "b", "c"])
Y = X["a"] * 2 + 1
_AGENT = """
import mlflow
from mlflow.pyfunc import ResponsesAgent
from mlflow.types.responses import ResponsesAgentRequest, ResponsesAgentResponse


class Echo(ResponsesAgent):
    def predict(self, request: ResponsesAgentRequest) -> ResponsesAgentResponse:
        text = str(request.input[-1].content).upper()
        return ResponsesAgentResponse(output=[self.create_text_output_item(text, "msg-1")])


mlflow.models.set_model(Echo())
"""
_TYPED = """
import mlflow
from mlflow.pyfunc import PythonModel


class Upper(PythonModel):
    def predict(self, model_input: list[str], params=None) -> list[str]:
        return [text.upper() for text in model_input]


mlflow.models.set_model(Upper())
"""


def sklearn(form: str) -> Callable[[Path], None]:
    def save(path: Path) -> None:
        from sklearn.linear_model import LinearRegression

        fitted = LinearRegression().fit(X, Y)
        signature, pins = infer_signature(X, fitted.predict(X)), _pins(mlflow.sklearn)
        if form == "skops":
            pins["pip_requirements"].append(f"skops=={_version('skops')}")
        mlflow.sklearn.save_model(fitted, str(path), signature=signature, serialization_format=form, **pins)

    return save


def xgboost(path: Path) -> None:
    import xgboost as library

    fitted = library.XGBRegressor(n_estimators=3).fit(X, Y)
    mlflow.xgboost.save_model(
        fitted, str(path), signature=infer_signature(X, fitted.predict(X)), **_pins(mlflow.xgboost)
    )


def lightgbm(path: Path) -> None:
    import lightgbm as library

    fitted = library.LGBMRegressor(n_estimators=3, min_child_samples=1, verbose=-1).fit(X, Y)
    mlflow.lightgbm.save_model(
        fitted, str(path), signature=infer_signature(X, fitted.predict(X)), **_pins(mlflow.lightgbm)
    )


def catboost(path: Path) -> None:
    import catboost as library

    fitted = library.CatBoostRegressor(iterations=3, verbose=False, allow_writing_files=False).fit(X, Y)
    mlflow.catboost.save_model(
        fitted, str(path), signature=infer_signature(X, fitted.predict(X)), **_pins(mlflow.catboost)
    )


def statsmodels(path: Path) -> None:
    import statsmodels.api as library

    fitted = library.OLS(Y, X[["a"]]).fit()
    signature = infer_signature(X[["a"]], fitted.predict(X[["a"]]))
    mlflow.statsmodels.save_model(fitted, str(path), signature=signature, **_pins(mlflow.statsmodels))


def prophet(path: Path) -> None:
    from prophet import Prophet

    frame = pd.DataFrame({"ds": pd.date_range("2026-01-01", periods=40), "y": np.arange(40.0)})
    fitted = Prophet(uncertainty_samples=0).fit(frame)
    future = frame[["ds"]].tail(3)
    signature = infer_signature(future, fitted.predict(future))
    mlflow.prophet.save_model(fitted, str(path), signature=signature, **_pins(mlflow.prophet))


def onnx(path: Path) -> None:
    from onnx import TensorProto, checker, helper, numpy_helper

    weights = numpy_helper.from_array(np.array([[2.0], [0.5], [1.0]], dtype=np.float32), "weights")
    made = helper.make_graph(
        [helper.make_node("MatMul", ["x", "weights"], ["y"])],
        "linear",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [None, 3])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [None, 1])],
        [weights],
    )
    model = helper.make_model(made, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    checker.check_model(model)
    inputs = X.to_numpy(dtype=np.float32)
    signature = infer_signature(inputs, {"y": inputs[:, :1]})
    mlflow.onnx.save_model(model, str(path), signature=signature, **_pins(mlflow.onnx))


def typed(path: Path) -> None:
    """Logged as code; MLflow takes the signature from the type hints."""
    source = path.parent / "typed.py"
    source.write_text(_TYPED)
    pins = [f"mlflow=={mlflow.__version__}", f"pydantic=={_version('pydantic')}"]
    mlflow.pyfunc.save_model(str(path), python_model=str(source), pip_requirements=pins, input_example=["a"])


def agent(path: Path) -> None:
    source = path.parent / "agent.py"
    source.write_text(_AGENT)
    pins = [f"mlflow=={mlflow.__version__}", f"pydantic=={_version('pydantic')}"]
    mlflow.pyfunc.save_model(str(path), python_model=str(source), pip_requirements=pins)


def _pins(flavor: object) -> dict[str, list[str]]:
    """MLflow's own defaults for the flavor. To infer more, MLflow would load the model in a process of its own."""
    defaults: list[str] = flavor.get_default_pip_requirements()  # type: ignore[attr-defined]
    return {"pip_requirements": [f"mlflow=={mlflow.__version__}", f"numpy=={np.__version__}", *defaults]}


def _version(package: str) -> str:
    from importlib.metadata import version

    return version(package)


KINDS: dict[str, Callable[[Path], None]] = {
    "sklearn-pickle": sklearn("cloudpickle"),
    "sklearn-skops": sklearn("skops"),
    "xgboost": xgboost,
    "lightgbm": lightgbm,
    "catboost": catboost,
    "statsmodels": statsmodels,
    "prophet": prophet,
    "onnx": onnx,
    "typed": typed,
    "agent": agent,
}


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    chosen = sys.argv[2:] or list(KINDS)
    for kind, save in ((kind, KINDS[kind]) for kind in chosen):
        place = Path(sys.argv[1]) / kind / "model"
        place.parent.mkdir(parents=True, exist_ok=True)
        save(place)
