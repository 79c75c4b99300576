"""A small world for render: records, a registry that answers as it is told, and repositories on disk."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec

from m2g.changes.update import RenderOptions, update
from m2g.core.model import Flavor, Mlmodel, ModelVersion, RegisteredModel, Release, Run, VersionFacts
from m2g.core.results import RenderResult
from m2g.core.stamp import stamp
from m2g.repository.state import Scope

CONFIG = """\
version: 1
registry: {uri: "http://mlflow.test"}
environments:
  dev: {namespace: models-dev, follow: {alias: challenger}}
  prod: {namespace: models-prod, follow: {alias: champion}, settings: {minReplicas: 2, maxReplicas: 4}}
sync: {argocd: {}, flux: {}}
"""
MLMODEL = b"""\
flavors:
  python_function: {loader_module: mlflow.sklearn, python_version: 3.10.12}
  sklearn: {sklearn_version: 1.5.2, serialization_format: cloudpickle, pickled_model: model.pkl}
mlflow_version: 2.19.0
model_size_bytes: 1204
signature:
  inputs: '[{"type": "double", "name": "alcohol", "required": true}]'
  outputs: '[{"type": "tensor", "tensor-spec": {"dtype": "float64", "shape": [-1]}}]'
  params: null
"""
FILES = {"MLmodel": MLMODEL, "requirements.txt": b"mlflow==2.19.0\nscikit-learn==1.5.2\n"}


def release(model: str = "wine", environment: str = "prod", version: str = "1", **changes: object) -> Release:
    """A record as m2g would write it."""
    made = Release(
        schema=1,
        model=model,
        environment=environment,
        registry="http://mlflow.test",
        version=version,
        follows="alias champion",
        created_at=1_700_000_000_000,
        source=f"s3://mlflow/1/models/m-{version}/artifacts",
        artifact_uri=f"s3://mlflow/1/models/m-{version}/artifacts",
        run=Run(id=f"run-{version}", metrics={"rmse": 0.5}),
        mlmodel=Mlmodel(
            sha256="0" * 64,
            flavors=(Flavor(name="python_function"), Flavor(name="sklearn", version="1.5.2")),
            python_version="3.10.12",
            requirements=("mlflow==2.19.0", "scikit-learn==1.5.2"),
        ),
    )
    return msgspec.structs.replace(made, **changes)


def write_record(root: Path, slug: str, record: Release) -> Path:
    """Put a record where m2g keeps it."""
    path = root / f"models/{slug}/releases/{record.environment}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    text = msgspec.json.format(msgspec.json.encode(record), indent=2).decode() + "\n"
    path.write_bytes(stamp(path.name, text))
    return path


class FakeRegistry:
    """Implements m2g.registry.Registry over lists. `hidden` models are left out of listings, as a short page would."""

    identity = "http://mlflow.test"

    def __init__(self, models: Sequence[RegisteredModel] = (), *, last: int = 3) -> None:
        self.known = list(models)
        self.hidden: set[str] = set()
        self.changes: dict[tuple[str, str], ModelVersion] = {}
        self.problems: dict[tuple[str, str], str] = {}
        self.files_of: dict[tuple[str, str], dict[str, bytes]] = {}
        self.last = last
        self.asked: list[tuple[str, str]] = []

    def list_models(self) -> list[RegisteredModel]:
        return [model for model in self.known if model.name not in self.hidden]

    def list_versions(self, name: str | None = None) -> list[ModelVersion]:
        listed = [m.name for m in self.known if m.name == name or (name is None and m.name not in self.hidden)]
        return [self._version(model, str(number)) for model in listed for number in range(1, self.last + 1)]

    def find_model(self, name: str) -> RegisteredModel | None:
        return next((model for model in self.known if model.name == name), None)

    def read_facts(self, versions: Sequence[ModelVersion]) -> dict[tuple[str, str], VersionFacts]:
        self.asked += [(version.name, version.version) for version in versions]
        return {(version.name, version.version): self._facts(version) for version in versions}

    def _version(self, name: str, number: str) -> ModelVersion:
        source = f"s3://mlflow/1/models/m-{number}/artifacts"
        plain = ModelVersion(name=name, version=number, source=source, created_at=1, run_id=f"run-{number}")
        return self.changes.get((name, number), plain)

    def _facts(self, version: ModelVersion) -> VersionFacts:
        problem = self.problems.get((version.name, version.version), "")
        run = Run(id=version.run_id, metrics={"rmse": 1 / int(version.version)})
        files = self.files_of.get((version.name, version.version), FILES)
        return VersionFacts(artifact_uri=version.source, run=run, files=files, problem=problem)


def model(name: str = "wine", *, tags: dict[str, str] | None = None, **aliases: str) -> RegisteredModel:
    """A registered model with aliases by keyword."""
    return RegisteredModel(name=name, aliases=aliases, tags=tags or {})


def repository(root: Path, config: str = CONFIG) -> Path:
    """A folder with m2g.yaml."""
    root.mkdir(parents=True, exist_ok=True)
    (root / "m2g.yaml").write_text(config)
    return root


def run(root: Path, registry: FakeRegistry, options: RenderOptions | None = None) -> RenderResult:
    """Render as the CLI does, with the registry at hand in place of the one that m2g.yaml names."""
    return update(
        root,
        options or RenderOptions(),
        open_registry=lambda _config: registry,
        waiting=lambda: None,
    )


def narrowed(words: Mapping[str, str]) -> Scope:
    """A scope from `models="wine", environments="prod"`."""
    models, environments = ({words[key]} if key in words else () for key in ("models", "environments"))
    return Scope(models=frozenset(models), environments=frozenset(environments))


def tree(root: Path) -> dict[str, bytes]:
    """All files of a repository but m2g's own state."""
    return {
        path.relative_to(root).as_posix(): path.read_bytes()
        for path in sorted(root.rglob("*"))
        if path.is_file() and ".m2g" not in path.parts and ".git" not in path.parts
    }
