"""The domain's values: what MLflow knows, and what a release record keeps of it."""

from __future__ import annotations

from typing import Literal

import msgspec


class Value(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True, forbid_unknown_fields=True, gc=False):
    """Base of all values: frozen, camelCase outside, unknown keys refused (msgspec wants kw_only on each class)."""


class RegisteredModel(Value, frozen=True, kw_only=True):
    """One registered model. `aliases` maps alias to version; `tags` are the model's own."""

    name: str
    aliases: dict[str, str] = {}
    tags: dict[str, str] = {}


class ModelVersion(Value, frozen=True, kw_only=True):
    """One version of a registered model, as the registry lists it.

    `created_at` is in milliseconds since the epoch. `source` is what the author registered
    (`models:/m-…`, `runs:/…`, a URI): not a place a cluster can read.
    """

    name: str
    version: str
    source: str
    created_at: int
    run_id: str = ""
    status: str = "READY"
    stage: str = "None"
    tags: dict[str, str] = {}


class Dataset(Value, frozen=True, kw_only=True):
    """A logged input of a run."""

    name: str
    digest: str
    context: str = ""


class Run(Value, frozen=True, kw_only=True):
    """What a run says about the model it made. A metric that is no finite number is kept as text."""

    id: str
    experiment_id: str = ""
    metrics: dict[str, float | str] = {}
    params: dict[str, str] = {}
    tags: dict[str, str] = {}
    datasets: tuple[Dataset, ...] = ()


class Flavor(Value, frozen=True, kw_only=True):
    """One flavor of an MLmodel: its library's version, how the object was serialized, the saved file's name, and the
    object's class where the flavor says it.
    """

    name: str
    version: str = ""
    serialization_format: str = ""
    file: str = ""
    model_class: str = ""


class Field(Value, frozen=True, kw_only=True):
    """One input, output or parameter of a signature; `type` is MLflow's word, `shape` is for tensors.

    `default` is a parameter's, as JSON text.
    """

    name: str
    type: str
    required: bool = True
    shape: tuple[int, ...] | None = None
    default: str = ""


class Signature(Value, frozen=True, kw_only=True):
    """A model's signature. `None` for a side means that the author logged none for it."""

    inputs: tuple[Field, ...] | None = None
    outputs: tuple[Field, ...] | None = None
    params: tuple[Field, ...] | None = None


class Mlmodel(Value, frozen=True, kw_only=True):
    """What an MLmodel file says that decides whether and how a server can load it.

    `predict_fn` is empty for `predict`; `size_bytes` is None where MLflow did not write it; `sha256` is of the file's
    bytes. `requirements` is None where nobody knows them yet: an older m2g never asked, or the registry did not answer.
    `example` is the model's serving_input_example.json as compact JSON text, cut to its first row; `with_example` says
    that files of an input example lie beside the model, whether or not the record has one.
    """

    sha256: str
    flavors: tuple[Flavor, ...]
    mlflow_version: str = ""
    python_version: str = ""
    loader_module: str = ""
    predict_fn: str = ""
    size_bytes: int | None = None
    signature: Signature | None = None
    task: str = ""
    code: bool = False
    source_model: str = ""
    requirements: tuple[str, ...] | None = None
    example: str = ""
    with_example: bool = False

    @property
    def has_example(self) -> bool:
        """Whether files of an input example lie beside the model; an older m2g kept only the example itself."""
        return self.with_example or bool(self.example)


class Image(Value, frozen=True, kw_only=True):
    """The image that was built for one version (`m2g image`): its name with the digest, and what it runs."""

    name: str
    profile: Literal["mlserver-image", "mlflow-image"]


class Release(Value, frozen=True, kw_only=True):
    """A release record: which version runs in one environment, and all that rendering needs of it.

    Written to `models/<slug>/releases/<environment>.json`. `artifact_uri` is the registry's own answer
    (download URI); render turns it into what the cluster reads. `tags` holds only the allow-listed ones.
    """

    schema: Literal[1]
    model: str
    environment: str
    registry: str
    version: str
    follows: str
    created_at: int
    source: str
    artifact_uri: str
    run: Run | None = None
    mlmodel: Mlmodel | None = None
    image: Image | None = None
    tags: dict[str, str] = {}

    @property
    def identity(self) -> tuple[str, str, str, int, str]:
        """Which version it is a release of; a registered model that was deleted and made again starts at 1 again."""
        return self.model, self.version, self.registry, self.created_at, self.source


class VersionFacts(Value, frozen=True, kw_only=True):
    """What a registry knows of one version beyond its listing.

    `files` are those that exist of `registry.beside`, by name: MLmodel, requirements.txt and what else was wanted.
    `unread` names those beside MLmodel that may be there but could not be read. A non-empty `problem` says, for a
    person, why this one version cannot be released (artifacts gone, no such run, access refused); the rest of the
    fleet goes on.
    """

    artifact_uri: str = ""
    run: Run | None = None
    files: dict[str, bytes] = {}
    unread: tuple[str, ...] = ()
    problem: str = ""
