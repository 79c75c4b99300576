"""A real MLflow of 2.22 whose stages move, and what MLflow2Seldon would apply for them (api.py, commit d00bf93)."""

from __future__ import annotations

from types import TracebackType
from typing import Any

import httpx

from tests.support.fleet import FILES
from tests.support.machine import seconds
from tests.support.mlflow_store import PYTHON2, Server


class Stages:
    """A server with registered models. Each version has the files of a scikit-learn model."""

    def __enter__(self) -> Stages:
        self._server = Server(PYTHON2).wait()
        self.url = self._server.url
        self._client = httpx.Client(base_url=self.url, timeout=seconds(30))
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._client.close()
        self._server.stop()

    def ask(self, method: str, path: str, **body: object) -> Any:
        """The answer of MLflow's REST API."""
        answer = self._client.request(method, f"/api/2.0/mlflow/{path}", json=body)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def register(self, name: str) -> None:
        """The next version of a registered model."""
        run = self.ask("POST", "runs/create", experiment_id="0")["run"]["info"]
        for file, content in FILES.items():
            place = f"{run['artifact_uri'].removeprefix('mlflow-artifacts:/')}/model/{file}"
            assert self._client.put(f"/api/2.0/mlflow-artifacts/artifacts/{place}", content=content).status_code == 200
        known = self.ask("GET", "registered-models/search").get("registered_models", [])
        if name not in {model["name"] for model in known}:
            self.ask("POST", "registered-models/create", name=name)
        source = f"{run['artifact_uri']}/model"
        self.ask("POST", "model-versions/create", name=name, source=source, run_id=run["run_id"])

    def move(self, name: str, version: str, stage: str) -> None:
        """Set the stage of a version."""
        self.ask(
            "POST",
            "model-versions/transition-stage",
            name=name,
            version=version,
            stage=stage,
            archive_existing_versions=False,
        )

    def rename(self, name: str, new: str) -> None:
        """Rename a registered model."""
        self.ask("POST", "registered-models/rename", name=name, new_name=new)

    def delete(self, name: str) -> None:
        """Archive the versions of a registered model, then delete it, as MLflow demands."""
        for version in self.list_latest(name):
            self.move(name, version["version"], "Archived")
        self.ask("DELETE", "registered-models/delete", name=name)

    def list_latest(self, name: str = "") -> list[dict[str, Any]]:
        """`latest_versions` of one registered model or all: what MLflow2Seldon reads."""
        models = self.ask("GET", "registered-models/search").get("registered_models", [])
        return [one for model in models if name in ("", model["name"]) for one in model.get("latest_versions", [])]


class OldService:
    """What MLflow2Seldon has deployed, as `<model>-<stage>:<version>`."""

    def __init__(self) -> None:
        self.deployed: set[str] = set()

    def poll(self, stages: Stages) -> set[str]:
        """One pass of its loop: everything in two stages, the rest deleted at once."""
        self.deployed = {
            f"{one['name']}-{one['current_stage']}".lower() + f":{one['version']}"
            for one in stages.list_latest()
            if one["current_stage"] in ("Staging", "Production")
        }
        return self.deployed
