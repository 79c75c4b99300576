"""A package index in a folder, for the real uv: what models of .venv-mlserver need to share an environment."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

from tests.support.images import UV, wheel
from tests.support.smoke_runs import SERVERS, wheels

PACKAGES = "mlflow numpy pandas scikit-learn skops cloudpickle lightgbm xgboost-cpu mlserver-mlflow".split()
LIST = """\
import importlib.metadata, json
print(json.dumps({one.name: one.version for one in importlib.metadata.distributions()}))
"""


def make_index(folder: Path) -> dict[str, str]:
    """An index of wheels in a folder for the real uv: that of mlserver brings the packages of .venv-mlserver."""
    done = subprocess.run([SERVERS / "bin/python", "-c", LIST], capture_output=True, check=True)
    versions: dict[str, str] = json.loads(done.stdout)
    wheels(folder, mlserver="1.7.1")
    for name in PACKAGES:
        wheel(folder, name, versions[name], *(["skops"] if name == "mlflow" else []))
    wheel(folder, "uvloop", "0.21.0")
    wheel(folder, "pydantic", versions["pydantic"])
    return {"M2G_UV": str(UV), "UV_OFFLINE": "1", "UV_FIND_LINKS": str(folder), "UV_CACHE_DIR": f"{folder}-cache"}
