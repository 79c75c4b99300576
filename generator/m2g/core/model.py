"""The values of the domain: what MLflow stores, and what a release record keeps of it."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

MAX_REASON = 1000
"""How many characters of a reason a record keeps."""


class Value(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True, forbid_unknown_fields=True, gc=False):
    """Base of all values: frozen, camelCase in JSON, no unknown keys. (msgspec needs kw_only on each class.)"""


Profile = Literal["mlserver", "mlserver-image", "mlflow-image", "native", "huggingface", "oci"]
"""How a model is served (docs/explanation/serving.md)."""

Protocol = Literal["v2", "v1", "invocations"]
"""The inference protocol: Open Inference (v2), KServe's v1, or MLflow's `/invocations`."""


class RegisteredModel(Value, frozen=True, kw_only=True):
    """One registered model. `aliases` maps alias to version; `tags` are those of the registered model."""

    name: str
    aliases: dict[str, str] = {}
    tags: dict[str, str] = {}


class ModelVersion(Value, frozen=True, kw_only=True):
    """One version of a registered model, as the registry lists it.

    `created_at` is in milliseconds since the epoch. `source` is the source that the author registered
    (`models:/m-…`, `runs:/…`, a URI). Clusters usually cannot read it.
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
    """A dataset that a run logged as an input."""

    name: str
    digest: str
    context: str = ""


class Run(Value, frozen=True, kw_only=True):
    """The facts of the run that logged the model. A metric that is not a finite number is stored as text."""

    id: str
    experiment_id: str = ""
    metrics: dict[str, float | str] = {}
    params: dict[str, str] = {}
    tags: dict[str, str] = {}
    datasets: tuple[Dataset, ...] = ()


class Flavor(Value, frozen=True, kw_only=True):
    """One flavor of an MLmodel: the version of its library, the serialization format, the name of the saved file, and
    the class of the object if the flavor has it.
    """

    name: str
    version: str = ""
    serialization_format: str = ""
    file: str = ""
    model_class: str = ""


class Field(Value, frozen=True, kw_only=True):
    """One input, output or parameter of a signature. `type` is MLflow's type name; only tensors have a `shape`.

    `default` is the default value of a parameter, as JSON text.
    """

    name: str
    type: str
    required: bool = True
    shape: tuple[int, ...] | None = None
    default: str = ""


class Signature(Value, frozen=True, kw_only=True):
    """A model's signature. A side is `None` if the author did not log it."""

    inputs: tuple[Field, ...] | None = None
    outputs: tuple[Field, ...] | None = None
    params: tuple[Field, ...] | None = None


class Mlmodel(Value, frozen=True, kw_only=True):
    """The facts of an MLmodel file that decide whether and how a server can load the model.

    `predict_fn` is empty for `predict`. `size_bytes` is None if MLflow did not write it. `sha256` is the digest of the
    file. `requirements` is None if they are unknown: an older m2g did not read them, or the registry did not answer.
    `example` is the first row of serving_input_example.json, as compact JSON text. `with_example` is true if the model
    has files of an input example, even if the record has no `example`. `type_hints` is true if MLflow took the
    signature from the type hints of `predict`. `packed_environment` is true if environment.tar.gz lies beside MLmodel.
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
    type_hints: bool = False
    packed_environment: bool = False

    @property
    def has_example(self) -> bool:
        """Whether the model has files of an input example. An older m2g stored only the example itself."""
        return self.with_example or bool(self.example)


class Image(Value, frozen=True, kw_only=True):
    """The image that was built for one version (`m2g image`): its name with the digest, and the profile that it
    serves."""

    name: str
    profile: Literal["mlserver-image", "mlflow-image"]


class DecidedFrom(Value, frozen=True, kw_only=True):
    """The settings that `auto` decided from, beside the facts in the record. Other settings make another decision.

    `storage` is the scheme of a storage URI that is no folder of files: `hf` or `oci`.
    """

    kserve: str
    backend: str = "kserve"
    storage: Literal["", "hf", "oci"] = ""


class ServingDecision(Value, frozen=True, kw_only=True):
    """How the version is served. `name` and `namespace` are those of the service in the cluster.

    `decided_from` is None if people set the profile: then their settings count, and the record repeats them. Otherwise
    the decision of `auto` stays until the version or these settings change. `environment` is the id of a serving
    environment that several versions share.
    """

    profile: Profile
    protocol: Protocol
    name: str
    namespace: str
    reason: Annotated[str, msgspec.Meta(max_length=MAX_REASON)]
    runtime: str = ""
    environment: str = ""
    decided_from: DecidedFrom | None = None


class Replaced(Value, frozen=True, kw_only=True):
    """The record that another one replaced: its version, and the digest in its stamp."""

    version: str
    digest: str


class Variant(Value, frozen=True, kw_only=True):
    """Another version that runs beside the one of the record: what identifies it and how it is served."""

    version: str
    follows: str
    created_at: int
    source: str
    artifact_uri: str
    run: Run | None = None
    mlmodel: Mlmodel | None = None
    image: Image | None = None
    serving: ServingDecision | None = None
    tags: dict[str, str] = {}


class Release(Value, frozen=True, kw_only=True):
    """A release record: the version that runs in one environment, and everything that rendering needs to know about it.

    It is stored in `models/<slug>/releases/<environment>.json`. `artifact_uri` is the download URI from the registry;
    rendering maps it to a URI that the cluster can read. `tags` contains only allow-listed tags. `serving` is None in
    records of schema 1, and until it is decided.
    """

    schema: Literal[1, 2]
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
    serving: ServingDecision | None = None
    tags: dict[str, str] = {}
    replaces: Replaced | None = None
    """The record that m2g replaced with this one. A record that a person restored does not fit to the one before it."""
    predictor: Annotated[str, msgspec.Meta(pattern=r"^(v[0-9]+(-again)?)?\Z")] = ""
    """`spec.predictor.name`. A canary that was promoted keeps its name, so that its pods stay. Another name would
    start other pods, and one that m2g does not give could make KServe's objects those of another model."""
    variants: dict[Literal["canary"], Variant] = {}
    """The candidate of a canary. Its share of the traffic is in model.yaml."""

    @property
    def identity(self) -> tuple[str, str, str, int, str]:
        """What identifies the version. A number is not enough: a registered model that was deleted and created again
        starts at 1 again."""
        return self.model, self.version, self.registry, self.created_at, self.source


class VersionFacts(Value, frozen=True, kw_only=True):
    """What a registry knows about one version, beyond its entry in the list of versions.

    `files` are the files of `registry.model_files` that exist, by name: MLmodel, requirements.txt and others.
    `unread` names files that may exist but could not be read. `notes` say what else is missing. `mlmodel_sha256` is the
    digest of the MLmodel that the registry has, if `files` has it without a secret that was in it. A non-empty
    `problem` tells the user why this version cannot be released (no artifacts, no run, no access), and `hint` what to
    do. Other versions are not affected, unless the server has `no_route` to the files of any version.
    """

    artifact_uri: str = ""
    run: Run | None = None
    files: dict[str, bytes] = {}
    unread: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    mlmodel_sha256: str = ""
    problem: str = ""
    hint: str = ""
    no_route: bool = False
