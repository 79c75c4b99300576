"""The responses of MLflow's REST API (api/2.0, its protos), and their conversion to m2g's values.

Unknown keys are ignored here and only here, because every release of MLflow adds some.
"""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from m2g.core.model import ModelVersion, RegisteredModel, Run
from m2g.registry.normalize import is_prompt, make_model, make_run, make_version


class Pair(msgspec.Struct, frozen=True):
    """A tag or a parameter."""

    key: str
    value: str = ""


class Alias(msgspec.Struct, frozen=True):
    """An alias of a registered model."""

    alias: str
    version: str


class ApiModel(msgspec.Struct, frozen=True):
    """A registered model."""

    name: str
    tags: tuple[Pair, ...] = ()
    aliases: tuple[Alias, ...] = ()

    def to_value(self) -> RegisteredModel | None:
        """Convert to m2g's value; None for a prompt, which MLflow stores in the same table."""
        tags = to_dict(self.tags)
        return None if is_prompt(tags) else make_model(self.name, {a.alias: a.version for a in self.aliases}, tags)


class ModelResponse(msgspec.Struct, frozen=True):
    """registered-models/get."""

    registered_model: ApiModel


class ApiVersion(msgspec.Struct, frozen=True):
    """A model version."""

    name: str
    version: str
    creation_timestamp: int
    source: str = ""
    run_id: str = ""
    status: str = "READY"
    current_stage: str = "None"
    tags: tuple[Pair, ...] = ()

    def to_value(self) -> ModelVersion | None:
        """Convert to m2g's value; None for a version of a prompt."""
        tags = to_dict(self.tags)
        if is_prompt(tags):
            return None
        return make_version(
            ModelVersion(
                name=self.name,
                version=self.version,
                source=self.source,
                created_at=self.creation_timestamp,
                run_id=self.run_id,
                status=self.status,
                stage=self.current_stage or "None",
                tags=tags,
            )
        )


class Page(msgspec.Struct, frozen=True):
    """One page of a list. MLflow omits empty fields, so `{}` is an empty list."""

    next_page_token: str = ""


class ModelsPage(Page, frozen=True):
    """registered-models/search."""

    registered_models: tuple[ApiModel, ...] = ()


class VersionsPage(Page, frozen=True):
    """model-versions/search."""

    model_versions: tuple[ApiVersion, ...] = ()


class DownloadUriResponse(msgspec.Struct, frozen=True):
    """model-versions/get-download-uri."""

    artifact_uri: str


class Experiment(msgspec.Struct, frozen=True):
    """An experiment. Only its id is used."""

    experiment_id: str


class ExperimentsPage(Page, frozen=True):
    """experiments/search."""

    experiments: tuple[Experiment, ...] = ()


class Metric(msgspec.Struct, frozen=True):
    """The last value of a metric. Protobuf writes NaN and infinities as text."""

    key: str
    value: float | str = 0.0


class RunData(msgspec.Struct, frozen=True):
    """The logged data of a run."""

    metrics: tuple[Metric, ...] = ()
    params: tuple[Pair, ...] = ()
    tags: tuple[Pair, ...] = ()


class RunDataset(msgspec.Struct, frozen=True):
    """A dataset."""

    name: str = ""
    digest: str = ""


class DatasetInput(msgspec.Struct, frozen=True):
    """A dataset as an input of a run."""

    dataset: RunDataset = RunDataset()
    tags: tuple[Pair, ...] = ()


class RunInputs(msgspec.Struct, frozen=True):
    """The inputs of a run."""

    dataset_inputs: tuple[DatasetInput, ...] = ()


class ModelOutput(msgspec.Struct, frozen=True):
    """A logged model that a run created (3.x)."""

    model_id: str


class RunOutputs(msgspec.Struct, frozen=True):
    """The outputs of a run."""

    model_outputs: tuple[ModelOutput, ...] = ()


class RunInfo(msgspec.Struct, frozen=True):
    """The metadata of a run."""

    run_id: str
    experiment_id: str = ""
    artifact_uri: str = ""


class ApiRun(msgspec.Struct, frozen=True):
    """A run."""

    info: RunInfo
    data: RunData = RunData()
    inputs: RunInputs = RunInputs()
    outputs: RunOutputs = RunOutputs()

    def to_value(self) -> Run:
        """Convert to m2g's value. Raises ValueError for a metric that is not a number."""
        run = Run(
            id=self.info.run_id,
            experiment_id=self.info.experiment_id,
            metrics={metric.key: metric.value for metric in self.data.metrics},
            params=to_dict(self.data.params),
            tags=to_dict(self.data.tags),
        )
        inputs = self.inputs.dataset_inputs
        return make_run(run, ((one.dataset.name, one.dataset.digest, to_dict(one.tags)) for one in inputs))


class RunsPage(Page, frozen=True):
    """runs/search."""

    runs: tuple[ApiRun, ...] = ()


class RunResponse(msgspec.Struct, frozen=True):
    """runs/get."""

    run: ApiRun


class LoggedModelInfo(msgspec.Struct, frozen=True):
    """A logged model (3.x): an output of a run with its own folder."""

    model_id: str
    artifact_uri: str
    name: str = ""
    creation_timestamp_ms: int = 0


class LoggedModel(msgspec.Struct, frozen=True):
    """The object that MLflow wraps around a logged model."""

    info: LoggedModelInfo


class LoggedModelsPage(Page, frozen=True):
    """logged-models/search."""

    models: tuple[LoggedModel, ...] = ()


class LoggedModelResponse(msgspec.Struct, frozen=True):
    """logged-models/{id}."""

    model: LoggedModel


class Artifact(msgspec.Struct, frozen=True):
    """An artifact of a run. `path` is relative to the run's artifacts."""

    path: str


class ArtifactsResponse(msgspec.Struct, frozen=True):
    """artifacts/list."""

    root_uri: str
    files: tuple[Artifact, ...] = ()


class ArtifactsPage(msgspec.Struct, frozen=True):
    """mlflow-artifacts/artifacts. The paths are relative to the folder that was asked for."""

    files: tuple[Artifact, ...] = ()


class ServerInfo(msgspec.Struct, frozen=True):
    """server-info (3.9 and newer)."""

    workspaces_enabled: bool = False


def to_dict(pairs: Iterable[Pair]) -> dict[str, str]:
    """Tags or parameters as a dict."""
    return {pair.key: pair.value for pair in pairs}
