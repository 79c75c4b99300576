"""A real MLflow that sends webhooks, a repository on a real Gitea, and `m2g serve` between them."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import mlflow
import numpy as np
import pytest
from cryptography.fernet import Fernet
from mlflow import MlflowClient
from mlflow.models import infer_signature
from sklearn.linear_model import LinearRegression

from tests.support.apiserver.server import until
from tests.support.command_line import M2G
from tests.support.gitea import Gitea, Repository
from tests.support.machine import seconds
from tests.support.mlflow_store import PYTHON3, Server, find_port

CONFIG = """\
version: 1
models: {include: [wine]}
storage: {rewrites: [{from: "mlflow-artifacts:/", to: "s3://models/"}]}
environments:
  prod: {namespace: models-prod, follow: {alias: champion}}
proposals: {forge: gitea}
"""
BRANCH = "m2g/prod/wine"
MLFLOW, GITEA = "a secret of MLflow", "a secret of Gitea"


@contextlib.contextmanager
def open_registry() -> Iterator[MlflowClient]:
    """A server that may call private addresses by plain HTTP, and whose workers share a key."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MLFLOW_WEBHOOK_SECRET_ENCRYPTION_KEY", Fernet.generate_key().decode())
        patch.setenv("MLFLOW_WEBHOOK_ALLOWED_SCHEMES", "http,https")
        patch.setenv("MLFLOW_WEBHOOK_ALLOW_PRIVATE_IPS", "true")
        patch.setenv("MLFLOW_WEBHOOK_CACHE_TTL", "1")
        patch.setenv("NO_PROXY", "*")
        server = Server(PYTHON3).wait()
        mlflow.set_tracking_uri(server.url)
        for slope in (1.0, 2.0):
            log_wine(slope)
        yield MlflowClient(server.url, server.url)
        mlflow.set_tracking_uri("")
        server.stop()


def log_wine(slope: float) -> None:
    """Another version of `wine`."""
    x = np.arange(26, dtype=np.float64).reshape(2, 13)
    model = LinearRegression().fit(x, x[:, 0] * slope)
    mlflow.sklearn.log_model(
        model,
        name="model",
        registered_model_name="wine",
        signature=infer_signature(x, model.predict(x)),
        serialization_format="cloudpickle",
        pip_requirements=["scikit-learn"],
    )


class World:
    """A repository on Gitea without any release, and `m2g serve` without a clone of it."""

    def __init__(self, forge: Gitea, registry: MlflowClient, folder: Path) -> None:
        self.folder, self.registry = folder, registry
        self.ada, self.bot = forge.user(f"ada{folder.name[-6:]}"), forge.user(f"bot{folder.name[-6:]}")
        self.repository: Repository = self.ada.create("fleet", private=True)
        self.repository.admit(self.bot)
        (folder / "files").mkdir()
        (folder / "files/m2g.yaml").write_text(CONFIG)
        self.repository.push(folder / "files")
        self.port = find_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.log = folder / "log"
        self.program: subprocess.Popen[bytes] | None = None

    def start(self, *options: str) -> None:
        """Start m2g with a token that may do no more than it needs."""
        token = self.bot.limited("write:repository", "write:issue")
        with self.log.open("ab") as log:
            self.program = subprocess.Popen(
                [*M2G, "serve", "--repository", self.repository.url, "--listen", f"127.0.0.1:{self.port}", *options],
                cwd="/",
                env={
                    **os.environ,
                    "M2G_TOKEN": token,
                    "M2G_MLFLOW_WEBHOOK_SECRET": MLFLOW,
                    "M2G_GITEA_WEBHOOK_SECRET": GITEA,
                    "MLFLOW_TRACKING_URI": str(self.registry.tracking_uri),
                    "GIT_ALLOW_PROTOCOL": "file:http",
                    "NO_PROXY": "*",
                },
                stdout=log,
                stderr=log,
            )
        until(lambda: self.syncs() >= 1, "the first sync", 60)

    def syncs(self) -> int:
        """How many were done."""
        try:
            text = httpx.get(f"{self.url}/metrics", timeout=seconds(10), trust_env=False).text
        except httpx.TransportError:
            return 0
        found = [line for line in text.splitlines() if line.startswith('m2g_syncs_total{result="done"} ')]
        return int(found[0].split()[1]) if found else 0

    def stop(self) -> str:
        """End it as Kubernetes does; its log."""
        if self.program is not None:
            self.program.send_signal(signal.SIGTERM)
            assert self.program.wait(seconds(120)) == 0, self.log.read_text()
            self.program = None
        return self.log.read_text() if self.log.exists() else ""

    def pulls(self) -> list[dict[str, Any]]:
        """The open pull requests."""
        return self.repository.pulls()

    def wait_for_pull(self, title: str) -> dict[str, Any]:
        """The one pull request, as soon as it has a title."""
        until(lambda: [one["title"] for one in self.pulls()] == [title], f"a pull request {title!r}", 60)
        return self.pulls()[0]
