"""Load each model with MLServer's own MLflow runtime and ask it once: `python ask_mlserver.py FOLDER…` prints JSON.

Runs in an environment with the packages of a serving image; a model a process, as in a pod.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from pathlib import Path


async def ask(folder: Path) -> dict[str, str]:
    from mlserver import ModelSettings
    from mlserver.settings import ModelParameters
    from mlserver.types import InferenceRequest
    from mlserver_mlflow import MLflowRuntime

    parameters = ModelParameters(uri=str(folder / "model"))
    settings = ModelSettings(name="m", implementation="mlserver_mlflow.MLflowRuntime", parameters=parameters)
    step = "load"
    try:
        model = MLflowRuntime(settings)
        await model.load()
        step = "predict"
        answer = await model.predict(InferenceRequest(**json.loads((folder / "request.json").read_text())))
        answer.json()
    except BaseException as error:  # noqa: BLE001  # whatever it raises is the outcome
        return {"outcome": f"fails to {step}", "error": f"{type(error).__name__}: {error}"[:300]}
    return {"outcome": "serves", "error": ""}


def main(folders: list[str]) -> None:
    """A process for each model: what one of them imports or breaks must not matter to the next."""
    import mlserver_mlflow  # noqa: F401  # once, before the forks

    found: dict[str, object] = {}
    for name in folders:
        folder = Path(name)
        reading, writing = os.pipe()
        if os.fork() == 0:
            os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
            os.write(writing, json.dumps(asyncio.run(ask(folder))).encode())
            os._exit(0)
        os.close(writing)
        with os.fdopen(reading) as pipe:
            text = pipe.read()
        os.wait()
        found[folder.name] = json.loads(text) if text else {"outcome": "fails to load", "error": "the process died"}
    print(json.dumps(found))


if __name__ == "__main__":
    main(sys.argv[1:])
