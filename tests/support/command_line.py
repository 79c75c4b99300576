"""m2g as a process."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from tests.support.machine import seconds

M2G = (sys.executable, "-m", "m2g")


def m2g(root: Path, *arguments: str, uri: str = "", **settings: str) -> subprocess.CompletedProcess[str]:
    """Run m2g in a folder; `uri` is the registry, and `settings` are variables."""
    own = {name: value for name, value in os.environ.items() if not name.startswith("MLFLOW_")}  # mlflow sets its own
    environment = {**own, **settings} | ({"MLFLOW_TRACKING_URI": uri} if uri else {})
    return subprocess.run(
        [*M2G, *arguments], cwd=root, env=environment, capture_output=True, text=True, check=False, timeout=seconds(120)
    )
