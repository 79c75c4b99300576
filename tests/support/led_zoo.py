"""Models that KServe's stock MLServer does not load or answer for, each with what its fix makes of it.

`python led_zoo.py <folder>` in .venv-mlserver: one folder a model.
"""

from __future__ import annotations

import importlib.metadata
import logging
import sys
import warnings
from pathlib import Path


def main(folder: Path) -> None:
    warnings.filterwarnings("ignore")
    logging.disable(logging.WARNING)
    import mlflow
    import pandas
    import sklearn.datasets
    import sklearn.linear_model
    from mlflow.models import ModelSignature, infer_signature
    from mlflow.pyfunc.model import PythonModel

    names = ("mlflow", "scikit-learn", "pandas")
    needs = {"pip_requirements": [f"{name}=={importlib.metadata.version(name)}" for name in names]}
    data, target = sklearn.datasets.load_wine(return_X_y=True, as_frame=True)
    net = sklearn.linear_model.ElasticNet(random_state=0).fit(data, target)
    whole = infer_signature(data, net.predict(data))
    example = {"input_example": data.head(1), **needs}
    for name, form, signature in (
        ("skops", "skops", whole),
        ("skops-fixed", "cloudpickle", whole),
        ("one-sided", "cloudpickle", ModelSignature(inputs=whole.inputs)),
        ("one-sided-fixed", "cloudpickle", whole),
    ):
        mlflow.sklearn.save_model(net, folder / name, serialization_format=form, signature=signature, **example)

    class Dates(PythonModel):
        def predict(self, context, model_input, params=None):  # type: ignore[no-untyped-def] # MLflow's own shape
            return pandas.DataFrame({"day": pandas.to_datetime(["2026-11-30"] * len(model_input))})

    class Texts(PythonModel):
        def predict(self, context, model_input, params=None):  # type: ignore[no-untyped-def] # MLflow's own shape
            return pandas.DataFrame({"day": ["2026-11-30"] * len(model_input)})

    rows = pandas.DataFrame({"x": [1.5]})
    for name, model in (("dates", Dates()), ("dates-fixed", Texts())):
        signature = infer_signature(rows, model.predict(None, rows))  # type: ignore[no-untyped-call] # as above
        mlflow.pyfunc.save_model(folder / name, python_model=model, signature=signature, input_example=rows, **needs)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
