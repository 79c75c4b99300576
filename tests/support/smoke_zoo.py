"""The models that smoke tests serve, saved by the MLflow of .venv-mlserver: `python smoke_zoo.py <folder>`."""

from __future__ import annotations

import importlib.metadata
import logging
import sys
import time
import warnings
from pathlib import Path


def main(folder: Path) -> None:
    """One folder a model."""
    warnings.filterwarnings("ignore")
    logging.disable(logging.WARNING)
    import mlflow
    import numpy
    import pandas
    import sklearn.compose
    import sklearn.datasets
    import sklearn.linear_model
    import sklearn.pipeline
    import sklearn.preprocessing
    import xgboost
    from mlflow.models import infer_signature
    from mlflow.pyfunc.model import PythonModel

    data, target = sklearn.datasets.load_wine(return_X_y=True, as_frame=True)
    forest = sklearn.linear_model.ElasticNet(random_state=0).fit(data, target)
    pins = {name: f"{name}=={importlib.metadata.version(name)}" for name in ("mlflow", "scikit-learn", "pandas")}
    needs = {"pip_requirements": list(pins.values())}  # else MLflow looks for them, and for PyPI, for two minutes
    example = {"signature": infer_signature(data, forest.predict(data)), "input_example": data.head(2), **needs}
    mlflow.sklearn.save_model(forest, folder / "wine", serialization_format="skops", **example)
    if sys.argv[2:] == ["wine"]:
        return

    booster = xgboost.XGBClassifier(n_estimators=3).fit(data, target)
    signature = infer_signature(data, booster.predict(data))
    mlflow.xgboost.save_model(booster, folder / "booster", signature=signature, input_example=data.head(1), **needs)

    rows = pandas.DataFrame({"colour": ["red", "white", "red", "rosé"], "alcohol": [12.0, 13.5, 11.0, 12.5]})
    columns = [("colour", sklearn.preprocessing.OneHotEncoder(handle_unknown="ignore"), ["colour"])]
    made = sklearn.compose.ColumnTransformer(columns, remainder="passthrough")
    words = sklearn.pipeline.make_pipeline(made, sklearn.linear_model.LogisticRegression())
    words.fit(rows, ["good", "bad", "good", "bad"])
    signature = infer_signature(rows, words.predict(rows))
    mlflow.sklearn.save_model(
        words,
        folder / "words",
        signature=signature,
        input_example=rows.head(1),
        serialization_format="cloudpickle",
        **needs,
    )

    class Scaled(PythonModel):
        def predict(self, context, model_input, params=None):  # type: ignore[no-untyped-def] # MLflow's own shape
            factor = (params or {}).get("factor", 1.0)
            return pandas.DataFrame({"scaled": model_input["x"] * factor, "missing": numpy.nan})

    rows = pandas.DataFrame({"x": [1.5, 2.5]})
    for name, factor in (("scaled", 3), ("halved", 0.5)):
        signature = infer_signature(rows, pandas.DataFrame({"scaled": [1.0], "missing": [1.0]}), {"factor": factor})
        mlflow.pyfunc.save_model(
            folder / name,
            python_model=Scaled(),
            signature=signature,
            input_example=(rows.head(1), {"factor": factor}),
            **needs,
        )

    class Broken(PythonModel):
        def load_context(self, context):  # type: ignore[no-untyped-def] # MLflow's own shape
            if "zoo.py" not in sys.argv[0]:
                raise FileNotFoundError("the lookup table https://ada:secret@example.com/table is not here")

        def predict(self, context, model_input, params=None):  # type: ignore[no-untyped-def] # MLflow's own shape
            return model_input["x"]

    signature = infer_signature(rows, rows["x"])
    mlflow.pyfunc.save_model(
        folder / "broken", python_model=Broken(), signature=signature, input_example=rows.head(1), **needs
    )

    class Needs(PythonModel):
        def load_context(self, context):  # type: ignore[no-untyped-def] # MLflow's own shape
            if "zoo.py" not in sys.argv[0]:
                import cellar  # type: ignore[import-not-found] # noqa: F401 # a wheel of tests/support/smoke_runs.py

        def predict(self, context, model_input, params=None):  # type: ignore[no-untyped-def] # MLflow's own shape
            return pandas.DataFrame({"y": model_input["x"]})

    signature = infer_signature(rows, pandas.DataFrame({"y": [1.0]}))
    mlflow.pyfunc.save_model(
        folder / "needs",
        python_model=Needs(),
        signature=signature,
        input_example=rows.head(1),
        pip_requirements=[*pins.values(), "cellar==1.0"],
    )

    class Slow(PythonModel):
        def load_context(self, context):  # type: ignore[no-untyped-def] # MLflow's own shape
            if "zoo.py" not in sys.argv[0]:
                time.sleep(600)

        def predict(self, context, model_input, params=None):  # type: ignore[no-untyped-def] # MLflow's own shape
            return model_input["x"]

    mlflow.pyfunc.save_model(
        folder / "slow", python_model=Slow(), signature=signature, input_example=rows.head(1), **needs
    )


if __name__ == "__main__":
    main(Path(sys.argv[1]))
