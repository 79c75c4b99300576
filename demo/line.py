"""The demo's model: code and numbers, not a pickle, so that every version of Python and MLflow can load it."""

from __future__ import annotations

import json
from pathlib import Path

from mlflow.models import set_model
from mlflow.pyfunc.model import PythonModel


class Line(PythonModel):
    """A weighted sum of columns. It has no type hints, because MLflow would derive another signature from them."""

    def load_context(self, context):  # type: ignore[no-untyped-def] # see above
        self.line = json.loads(Path(context.artifacts["line"]).read_text())

    def predict(self, context, model_input, params=None):  # type: ignore[no-untyped-def] # see above
        return model_input[self.line["columns"]].to_numpy() @ self.line["weights"] + self.line["start"]


set_model(Line())
