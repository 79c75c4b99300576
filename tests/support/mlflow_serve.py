"""Run a command until this process's stdin ends, then end it with all that it started, and remove a folder.

    python mlflow_serve.py <folder> <command>…

MLflow's servers leave workers behind when their parent dies. A test run that is killed closes the pipe, too.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

if __name__ == "__main__":
    folder, *command = sys.argv[1:]
    os.setsid()
    with (Path(folder) / "log").open("wb") as log:
        server = subprocess.Popen(command, cwd=folder, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
    sys.stdin.read()
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    os.killpg(0, signal.SIGTERM)
    with contextlib.suppress(subprocess.TimeoutExpired):
        server.wait(3)
    shutil.rmtree(folder, ignore_errors=True)
    os.killpg(0, signal.SIGKILL)
