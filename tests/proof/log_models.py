"""Save a model of each kind with the MLflow of this Python: `python log_models.py FOLDER [KIND…]`.

Runs under MLflow 2.22 and 3.x alike; beside each model goes request.json, the V2 request that a caller would send.
"""

from __future__ import annotations

import json
import sys
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path

import mlflow
import numpy as np
import pandas as pd
from mlflow.models import infer_signature
from mlflow.pyfunc.model import PythonModel
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LinearRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, OneHotEncoder

VERSION = tuple(map(int, mlflow.__version__.split(".")[:2]))
X = np.arange(60, dtype=np.float64).reshape(20, 3)
Y = X[:, 0] * 2 + 1
TENSOR = {"inputs": [{"name": "input-0", "shape": [1, 3], "datatype": "FP64", "data": [1.0, 2.0, 3.0]}]}


class Scaled(PythonModel):
    """A class of this very script: pickled by value."""

    def predict(self, context: object, model_input: pd.DataFrame, params: dict[str, object] | None = None) -> object:
        return model_input["amount"].to_numpy() * float((params or {}).get("factor", 1.0))


class Days(PythonModel):
    """Reads datetimes, answers numbers."""

    def predict(self, context: object, model_input: pd.DataFrame, params: dict[str, object] | None = None) -> object:
        return model_input["at"].dt.day.to_numpy()


class Tomorrow(PythonModel):
    """Answers datetimes."""

    def predict(self, context: object, model_input: pd.DataFrame, params: dict[str, object] | None = None) -> object:
        return pd.DataFrame({"next": model_input["at"] + pd.Timedelta(days=1)})


def column(name: str, datatype: str, value: object, content: str) -> dict[str, object]:
    """One column of a V2 request."""
    return {
        "name": name,
        "shape": [1],
        "datatype": datatype,
        "data": [value],
        "parameters": {"content_type": content},
    }


AMOUNT = {"inputs": [column("amount", "FP64", 2.0, "np")], "parameters": {"content_type": "pd"}}
AT = {"inputs": [column("at", "BYTES", "2026-01-02T00:00:00", "datetime")], "parameters": {"content_type": "pd"}}
FRAME = pd.DataFrame({"amount": [1.0, 2.0, 3.0, 4.0], "country": ["de", "at", "de", "fr"]})
TIMES = pd.DataFrame({"at": pd.to_datetime(["2026-01-01", "2026-01-02"]).astype("datetime64[ns]")})
COLUMNS = {
    "inputs": [column("amount", "FP64", 2.0, "np"), column("country", "BYTES", "de", "str")],
    "parameters": {"content_type": "pd"},
}


def sklearn(format_: str, model: object, x: object, y: object, request: object) -> Callable[[Path], object]:
    def save(path: Path) -> object:
        signature = infer_signature(x, y)
        mlflow.sklearn.save_model(model, str(path), serialization_format=format_, signature=signature)
        return request

    return save


def pipeline() -> object:
    made = ColumnTransformer(
        [("country", OneHotEncoder(handle_unknown="ignore"), ["country"])], remainder="passthrough"
    )
    return make_pipeline(made, LinearRegression()).fit(FRAME, FRAME["amount"])


def with_lambda() -> object:
    return make_pipeline(FunctionTransformer(lambda x: x + 1), LinearRegression()).fit(X, Y)


def python_model(
    model: object,
    frame: object,
    answer: object,
    request: object,
    params: dict[str, object] | None = None,
    **more: object,
) -> Callable[[Path], object]:
    def save(path: Path) -> object:
        signature = infer_signature(frame, answer, params=params) if answer is not None else infer_signature(frame)
        mlflow.pyfunc.save_model(str(path), python_model=model, signature=signature, **more)
        return request

    return save


def own_code(by_code: bool) -> Callable[[Path], object]:
    """A class in a file of its own: logged as code, or pickled by reference with its file beside it."""

    def save(path: Path) -> object:
        folder = path.parent / f"{path.name}-code"
        folder.mkdir(exist_ok=True)
        source = (
            "import mlflow\nfrom mlflow.pyfunc.model import PythonModel\n\n\nclass Own(PythonModel):\n"
            "    def predict(self, context, model_input, params=None):\n"
            "        return model_input['amount'].to_numpy() * float((params or {}).get('factor', 1.0))\n"
        )
        signature = infer_signature(FRAME[["amount"]], FRAME["amount"].to_numpy(), params={"factor": 2.0})
        if by_code:
            (folder / "as_code.py").write_text(f"{source}\n\nmlflow.models.set_model(Own())\n")
            mlflow.pyfunc.save_model(str(path), python_model=str(folder / "as_code.py"), signature=signature)
        else:
            (folder / "ownmodel.py").write_text(source)
            sys.path.insert(0, str(folder))
            import ownmodel  # type: ignore[import-not-found]  # written just above

            mlflow.pyfunc.save_model(
                str(path), python_model=ownmodel.Own(), code_paths=[str(folder / "ownmodel.py")], signature=signature
            )
        return {**AMOUNT, "parameters": {"content_type": "pd", "factor": 3.0}}

    return save


def xgboost(path: Path) -> object:
    import xgboost as library

    mlflow.xgboost.save_model(
        library.XGBRegressor(n_estimators=3).fit(X, Y), str(path), signature=infer_signature(X, Y)
    )
    return TENSOR


def lightgbm(booster: bool) -> Callable[[Path], object]:
    def save(path: Path) -> object:
        import lightgbm as library

        fitted = library.LGBMRegressor(n_estimators=3, min_child_samples=1, verbose=-1).fit(X, Y)
        model = fitted.booster_ if booster else fitted
        mlflow.lightgbm.save_model(model, str(path), signature=infer_signature(X, Y))
        return TENSOR

    return save


def type_hints(path: Path) -> object:
    """A pyfunc logged as code whose signature MLflow takes from the type hints of `predict`."""
    folder = path.parent / f"{path.name}-code"
    folder.mkdir(exist_ok=True)
    (folder / "hinted.py").write_text(
        "import mlflow\nfrom mlflow.pyfunc.model import PythonModel\n\n\nclass Own(PythonModel):\n"
        "    def predict(self, model_input: list[str], params=None) -> list[str]:\n"
        "        return [text.upper() for text in model_input]\n\n\nmlflow.models.set_model(Own())\n"
    )
    mlflow.pyfunc.save_model(str(path), python_model=str(folder / "hinted.py"), input_example=["a"])
    return {"inputs": [column("input-0", "BYTES", "a", "str")]}


def missing(path: Path) -> object:
    """A pyfunc logged as code that imports what no serving image has."""
    folder = path.parent / f"{path.name}-code"
    folder.mkdir(exist_ok=True)
    (folder / "needs.py").write_text(
        "import mlflow\nimport tabulate\nfrom mlflow.pyfunc.model import PythonModel\n\n\nclass Own(PythonModel):\n"
        "    def predict(self, context, model_input, params=None):\n        return model_input['amount'].to_numpy()\n"
        "\n\nmlflow.models.set_model(Own())\n"
    )
    sys.path.insert(0, str(folder))
    sys.modules.setdefault("tabulate", type(sys)("tabulate"))
    signature = infer_signature(FRAME[["amount"]], FRAME["amount"].to_numpy())
    mlflow.pyfunc.save_model(
        str(path), python_model=str(folder / "needs.py"), signature=signature, pip_requirements=["mlflow", "tabulate"]
    )
    return AMOUNT


def kinds() -> dict[str, Callable[[Path], object]]:
    """Kind to what saves it and answers the request."""
    linear = LinearRegression().fit(X, Y)
    forest = RandomForestClassifier(n_estimators=5).fit(X, Y > 50)
    found = {
        "sklearn-pickle": sklearn("pickle", linear, X, Y, TENSOR),
        "sklearn-cloudpickle": sklearn("cloudpickle", linear, X, Y, TENSOR),
        "sklearn-forest": sklearn("cloudpickle", forest, X, forest.predict(X), TENSOR),
        "sklearn-lambda": sklearn("cloudpickle", with_lambda(), X, Y, TENSOR),
        "sklearn-strings": sklearn("cloudpickle", pipeline(), FRAME, FRAME["amount"].to_numpy(), COLUMNS),
        "xgboost": xgboost,
        "lightgbm": lightgbm(booster=False),
        "lightgbm-booster": lightgbm(booster=True),
        "pyfunc-params": python_model(
            Scaled(), FRAME[["amount"]], FRAME["amount"].to_numpy(), AMOUNT, params={"factor": 2.0}
        ),
        "pyfunc-own-code": own_code(by_code=False),
        "pyfunc-as-code": own_code(by_code=True),
        "pyfunc-datetimes": python_model(Days(), TIMES, np.array([1, 2]), AT),
        "pyfunc-answers-datetimes": python_model(Tomorrow(), TIMES, TIMES.rename(columns={"at": "next"}), AT),
        "pyfunc-no-outputs": python_model(Scaled(), FRAME[["amount"]], None, AMOUNT),
        "pyfunc-missing-package": missing,
    }
    if VERSION >= (2, 20):
        found["pyfunc-type-hints"] = type_hints
    if VERSION >= (3,):
        found["sklearn-skops"] = sklearn("skops", linear, X, Y, TENSOR)
    return found


def main(folder: Path, chosen: Sequence[str]) -> None:
    """Save them all, or the chosen ones; a kind that this MLflow cannot save says so and is left out."""
    warnings.simplefilter("ignore")
    folder.mkdir(parents=True, exist_ok=True)
    for name, save in kinds().items():
        if chosen and name not in chosen:
            continue
        path = folder / name / "model"
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            request = save(path)
        except Exception as error:  # noqa: BLE001  # another kind may be saved
            print(f"{name}: not saved: {type(error).__name__}: {str(error)[:200]}", file=sys.stderr)
            continue
        (path.parent / "request.json").write_text(json.dumps(request))


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2:])
