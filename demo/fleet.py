"""The demo's fleet: a dozen kinds of models as teams log them today, each with what MLflow does by default.

    MLFLOW_TRACKING_URI=… python demo/fleet.py [--artifacts FOLDER] [--alias NAME] [--models NUMBER]

`make demo` runs it in the environment that has the libraries.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import logging
import sys
import tempfile
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import pandas as pd
from mlflow.models import infer_signature
from mlflow.pyfunc.model import PythonModel

X = pd.DataFrame(np.arange(60, dtype=np.float64).reshape(20, 3), columns=["amount", "age", "visits"])
Y = X["amount"] * 2 + 1
LABEL = (X["amount"] > X["amount"].mean()).astype(int)
MIXED = pd.DataFrame({"channel": ["web", "shop"] * 10, "amount": X["amount"]})
HINTED = """
from mlflow.models import set_model
from mlflow.pyfunc.model import PythonModel


class Shout(PythonModel):
    def predict(self, model_input: list[str]) -> list[str]:
        return [text.upper() for text in model_input]


set_model(Shout())
"""
AGENT = """
from mlflow.models import set_model
from mlflow.pyfunc import ResponsesAgent
from mlflow.types.responses import ResponsesAgentRequest, ResponsesAgentResponse


class Echo(ResponsesAgent):
    def predict(self, request: ResponsesAgentRequest) -> ResponsesAgentResponse:
        text = str(request.input[-1].content).upper()
        return ResponsesAgentResponse(output=[self.create_text_output_item(text, "msg-1")])


set_model(Echo())
"""
Log = Callable[[], None]


class Doubled(PythonModel):
    """A model of code that MLflow pickles."""

    def predict(self, context, model_input, params=None):  # type: ignore[no-untyped-def] # MLflow would read type hints
        return model_input["amount"].to_numpy() * 2


def list_kinds(folder: Path) -> Iterator[tuple[str, Log]]:
    """Each registered name with the function that logs the model. `folder` is for files of code."""
    yield from _list_sklearn()
    yield from _list_boosted()
    yield "doubled", lambda: _log(mlflow.pyfunc, X, Y.to_numpy(), python_model=Doubled())
    yield "shout", lambda: _log(mlflow.pyfunc, python_model=_save(folder / "shout.py", HINTED))
    yield "support-agent", lambda: _log(mlflow.pyfunc, python_model=_save(folder / "agent.py", AGENT))


def _list_sklearn() -> Iterator[tuple[str, Log]]:
    from sklearn.compose import make_column_transformer
    from sklearn.ensemble import RandomForestClassifier
    from sklearn.linear_model import LogisticRegression, Ridge
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder, StandardScaler

    encoder = make_column_transformer((OneHotEncoder(handle_unknown="ignore"), ["channel"]), remainder="passthrough")
    scaled = make_pipeline(StandardScaler(), LogisticRegression()).fit(X, LABEL)
    mixed = make_pipeline(encoder, Ridge()).fit(MIXED, Y)
    price = Ridge().fit(X, Y)
    forest = RandomForestClassifier(n_estimators=5).fit(X, LABEL)
    yield "house-price", lambda: _log(mlflow.sklearn, X, price.predict(X), sk_model=price)
    yield "credit-score", lambda: _log(mlflow.sklearn, X, scaled.predict(X), sk_model=scaled)
    yield "basket-size", lambda: _log(mlflow.sklearn, MIXED, mixed.predict(MIXED), sk_model=mixed)
    # MLflow refuses a forest by default; its error says to name the type that is trusted, or to pickle.
    trees = ["sklearn.tree._tree.Tree"]
    yield "churn", lambda: _log(mlflow.sklearn, X, forest.predict(X), sk_model=forest, skops_trusted_types=trees)
    pickled = "cloudpickle"
    yield (
        "card-fraud",
        lambda: _log(mlflow.sklearn, X, forest.predict(X), sk_model=forest, serialization_format=pickled),
    )
    yield "no-signature", lambda: _log(mlflow.sklearn, sk_model=price)


def _list_boosted() -> Iterator[tuple[str, Log]]:
    import lightgbm
    import xgboost

    time = lightgbm.LGBMRegressor(n_estimators=3, min_child_samples=1, verbose=-1).fit(X, Y)
    demand = lightgbm.train({"verbose": -1, "min_data_in_leaf": 1}, lightgbm.Dataset(X, Y), 3)
    clicks = xgboost.XGBRegressor(n_estimators=3).fit(X, Y)
    returned = xgboost.train({}, xgboost.DMatrix(X, Y), 3)
    answers = returned.predict(xgboost.DMatrix(X))
    yield "delivery-time", lambda: _log(mlflow.lightgbm, X, time.predict(X), lgb_model=time)
    yield "energy-demand", lambda: _log(mlflow.lightgbm, X, demand.predict(X), lgb_model=demand)
    yield "click-rate", lambda: _log(mlflow.xgboost, X, clicks.predict(X), xgb_model=clicks)
    yield "returns", lambda: _log(mlflow.xgboost, X, answers, xgb_model=returned)


def _log(flavor: Any, data: pd.DataFrame | None = None, answers: object = None, **model: object) -> None:
    """Log a model with MLflow's own list of requirements: to infer it, MLflow would start a process for each model."""
    pins = [f"mlflow=={mlflow.__version__}", f"numpy=={np.__version__}", f"pandas=={pd.__version__}"]
    pins += [line for line in flavor.get_default_pip_requirements() if line not in pins]
    signature = {} if data is None else {"signature": infer_signature(data, answers)}
    flavor.log_model(name="model", pip_requirements=pins, **signature, **model)


def _save(path: Path, text: str) -> str:
    path.write_text(text)
    return str(path)


def main() -> None:
    """Register every kind once, or as many models as are wanted."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--artifacts", help="A folder for the artifacts. Default: where the server keeps them.")
    arguments.add_argument("--alias", help="The alias of each version.")
    arguments.add_argument("--models", type=int, default=13, help="How many: above 13, kinds have a second name.")
    given = arguments.parse_args()
    warnings.filterwarnings("ignore")
    logging.disable(logging.WARNING)
    mlflow.set_experiment(experiment_id=mlflow.create_experiment("fleet", artifact_location=given.artifacts))
    with tempfile.TemporaryDirectory() as place:
        kinds = list(list_kinds(Path(place)))
        wanted = [*kinds, *((f"{name}-eu", log) for name, log in kinds)][: given.models]
        for name, log in wanted:
            _register(name, log, given.alias)
    sys.stdout.write("registered " + ", ".join(name for name, _ in wanted) + "\n")


def _register(name: str, log: Log, alias: str | None) -> None:
    # MLflow prints advice and progress that warning filters do not suppress. Exceptions are still shown.
    with contextlib.redirect_stderr(io.StringIO()), contextlib.redirect_stdout(io.StringIO()):
        with mlflow.start_run(run_name=name):
            log()
        made = mlflow.last_logged_model()
        assert made is not None
        version = mlflow.register_model(f"models:/{made.model_id}", name).version
    if alias:
        mlflow.MlflowClient().set_registered_model_alias(name, alias, str(version))


if __name__ == "__main__":
    main()
