"""Load the one saved file as KServe's native servers do and ask it once: `python ask_file.py FOLDER…` prints JSON."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path


def load(folder: Path) -> object:
    import importlib.util

    files = sorted(folder.iterdir())
    if importlib.util.find_spec("xgboost") is not None:
        import xgboost

        (path,) = [file for file in files if file.suffix in (".bst", ".json", ".ubj")]
        booster = xgboost.Booster()
        booster.load_model(path)
        return lambda x: booster.predict(xgboost.DMatrix(x))
    import joblib

    (path,) = [file for file in files if file.suffix in (".joblib", ".pkl", ".pickle")]
    return joblib.load(path).predict


def ask(folder: Path) -> dict[str, str]:
    import numpy as np
    import pandas as pd

    step = "load"
    try:
        predict = load(folder / "model")
        step = "predict"
        inputs = json.loads((folder / "request.json").read_text())["inputs"]
        frame = len(inputs) > 1 or "parameters" in inputs[0]
        predict(
            pd.DataFrame({one["name"]: one["data"] for one in inputs})
            if frame
            else np.array(inputs[0]["data"]).reshape(inputs[0]["shape"])
        )
    except BaseException as error:  # noqa: BLE001  # whatever it raises is the outcome
        return {"outcome": f"fails to {step}", "error": f"{type(error).__name__}: {error}"[:300]}
    return {"outcome": "serves", "error": ""}


def main(folders: list[str]) -> None:
    """A process for each model: what one of them imports or breaks must not matter to the next."""
    import pandas  # noqa: F401  # once, before the forks

    found: dict[str, object] = {}
    for name in folders:
        folder = Path(name)
        reading, writing = os.pipe()
        if os.fork() == 0:
            os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
            os.write(writing, json.dumps(ask(folder)).encode())
            os._exit(0)
        os.close(writing)
        with os.fdopen(reading) as pipe:
            text = pipe.read()
        os.wait()
        found[folder.name] = json.loads(text) if text else {"outcome": "fails to load", "error": "the process died"}
    print(json.dumps(found))


if __name__ == "__main__":
    main(sys.argv[1:])
