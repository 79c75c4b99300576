"""What people want: m2g.yaml and model.yaml as values. Their JSON Schemas are generated from these types."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType

from m2g.core.model import Value

Count = Annotated[int, Meta(ge=0, le=2**31 - 1)]
Seconds = Annotated[int, Meta(ge=1, le=86_400)]
Name = Annotated[
    str,
    Meta(
        max_length=63,
        pattern=r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$",
        description="a Kubernetes name; use lower-case letters, digits and '-', with a letter or digit at both ends",
    ),
]
EnvironmentName = Annotated[
    str,
    Meta(
        max_length=20,
        pattern=r"^[a-z]([-a-z0-9]*[a-z0-9])?$",
        description="an environment's name; use lower-case letters, digits and '-', starting with a letter",
    ),
]
Duration = Annotated[
    str, Meta(pattern=r"^([0-9]+(s|m|h))+$", description="a duration; write it like 30s, 10m or 1h30m")
]
Slug = Annotated[
    str,
    Meta(
        max_length=36,
        pattern=r"^[a-z]([-a-z0-9]*[a-z0-9])?$",
        description="a slug; use lower-case letters, digits and '-', starting with a letter, 36 at most",
    ),
]
Text = Annotated[str, Meta(min_length=1, max_length=512)]
Scalar = str | int | float
"""A quantity or a bound as people write it (`2`, `0.5`, `2Gi`)."""


class Mode(StrEnum):
    """KServe's deployment mode, by its name since 0.16 (written as RawDeployment, Serverless for 0.15)."""

    STANDARD = "Standard"
    KNATIVE = "Knative"


Profile = Literal["mlserver", "mlserver-image", "mlflow-image", "native", "huggingface", "oci"]
"""How a model is served; docs/explanation/serving.md."""

Protocol = Literal["v2", "v1", "invocations"]
"""How a server is asked: Open Inference, KServe's first protocol, or MLflow's `/invocations`."""

KserveVersion = Literal["0.15", "0.16", "0.17", "0.18", "0.19", "0.20", "0.21"]


class Kserve(Value, frozen=True, kw_only=True):
    """The KServe of a cluster: its minor version and the mode that new services get."""

    version: KserveVersion = "0.21"
    mode: Mode = Mode.STANDARD


class Resources(Value, frozen=True, kw_only=True):
    """Requests and limits by resource name (`cpu`, `memory`, `nvidia.com/gpu`), as quantities."""

    requests: dict[str, Scalar] = {}
    limits: dict[str, Scalar] = {}


class Batch(Value, frozen=True, kw_only=True):
    """Predictions for a file by `mlflow models predict`: once for each version, or on a schedule."""

    input: Text | UnsetType = UNSET
    """The file with the rows: s3://, gs://, wasbs://, abfss://, hdfs://, or pvc://claim/path."""
    output: Text | UnsetType = UNSET
    """The file that the predictions are written to, as JSON."""
    schedule: Text | UnsetType = UNSET
    """When, in cron's five fields; without it one Job runs for each version."""
    time_zone: Text | UnsetType = UNSET
    """The time zone of the schedule, such as `Europe/Berlin`; without it the cluster's."""
    content_type: Literal["csv", "json"] | UnsetType = UNSET
    """What the input is."""
    image: Text | UnsetType = UNSET
    """An image with MLflow and the model's packages, by digest; without it the version's own (`m2g image`)."""
    timeout_seconds: Annotated[int, Meta(ge=1, le=2**31 - 1)] | UnsetType = UNSET
    """How long one run may take before Kubernetes stops it."""
    resources: Resources | UnsetType = UNSET
    """Requests and limits of a run, where they are not the service's."""


class Settings(Value, frozen=True, kw_only=True):
    """How a model is served. Every field may be left out; layers are merged field by field, maps key by key."""

    profile: Literal["auto", Profile] | UnsetType = UNSET
    """How the model is served; `auto` takes what fits its files, and says why."""
    image: Text | UnsetType = UNSET
    """Serve with this container image; where `m2g image` recorded one for the version, leave it out."""
    image_server: Literal["mlflow", "mlserver"] | UnsetType = UNSET
    """What the image runs: MLflow's scoring server with the model in it (`/invocations`), or MLServer (V2 protocol)."""
    runtime: Name | UnsetType = UNSET
    """The (Cluster)ServingRuntime that loads the model, in place of the profile's own (kserve-mlserver and such)."""
    min_replicas: Count | UnsetType = UNSET
    max_replicas: Count | UnsetType = UNSET
    autoscaler: Literal["hpa", "keda", "external", "none"] | UnsetType = UNSET
    scale_metric: Literal["cpu", "memory", "concurrency", "rps"] | UnsetType = UNSET
    scale_target: Annotated[int, Meta(ge=1, le=2**31 - 1)] | UnsetType = UNSET
    container_concurrency: Count | UnsetType = UNSET
    """Knative only: requests at once per replica; 0 is unlimited."""
    timeout_seconds: Seconds | UnsetType = UNSET
    startup_seconds: Seconds | UnsetType = UNSET
    """How long a model may take to load before Kubernetes restarts it."""
    resources: Resources | UnsetType = UNSET
    batch: Batch | UnsetType = UNSET
    service_account_name: Name | UnsetType = UNSET
    env: dict[str, str] | UnsetType = UNSET
    labels: dict[str, str] | UnsetType = UNSET
    annotations: dict[str, str] | UnsetType = UNSET
    node_selector: dict[str, str] | UnsetType = UNSET
    visibility: Literal["public", "cluster-local"] | UnsetType = UNSET


class Follow(Value, frozen=True, kw_only=True):
    """What an environment follows: exactly one of the fields; none of them means moved by hand."""

    alias: Text | UnsetType = UNSET
    stage: Literal["Staging", "Production", "Archived"] | UnsetType = UNSET
    tag: Text | UnsetType = UNSET


class Rewrite(Value, frozen=True, kw_only=True):
    """Replace the prefix `from` of an artifact URI by `to`, what the clusters can read."""

    from_: Text = msgspec.field(name="from")
    to: Text


class Storage(Value, frozen=True, kw_only=True):
    """Where the clusters read models. `allow` is a list of URI prefixes; empty allows every supported scheme."""

    rewrites: tuple[Rewrite, ...] = ()
    allow: tuple[Text, ...] = ()


class Environment(Value, frozen=True, kw_only=True):
    """One environment: what it follows, where it is, and how its models are served."""

    namespace: Name
    follow: Follow = Follow()
    kserve: Kserve | UnsetType = UNSET
    settings: Settings = Settings()
    storage: Storage = Storage()
    """Laid before the top-level one: its rewrites are tried first; a non-empty `allow` replaces."""
    keep_on_removal: bool = True
    """Flux only: deleting a model's Kustomization leaves its objects in the cluster (`deletionPolicy: Orphan`)."""


class Bound(Value, frozen=True, kw_only=True):
    """The range or the values that model.yaml and tags may set; m2g.yaml itself is not bound."""

    min: Scalar | UnsetType = UNSET
    max: Scalar | UnsetType = UNSET
    one_of: tuple[str, ...] | UnsetType = UNSET
    """Allowed values; `*` stands for any text."""


class Registry(Value, frozen=True, kw_only=True):
    """The MLflow registry. Without `uri`, MLFLOW_REGISTRY_URI or MLFLOW_TRACKING_URI names it where m2g runs."""

    uri: Text | UnsetType = UNSET
    workspace: Text | UnsetType = UNSET


class Models(Value, frozen=True, kw_only=True):
    """Which registered models are in the fleet, and the slugs of those that need one of their own."""

    include: tuple[Text, ...] = ("*",)
    exclude: tuple[Text, ...] = ()
    tags: dict[str, str] = {}
    """Only models that carry all of these registered-model tags."""
    slugs: dict[str, Slug] = {}


class Removals(Value, frozen=True, kw_only=True):
    """How many releases one run may remove: the larger of a number and a share of the fleet."""

    max_count: Count = 2
    max_percent: Annotated[int, Meta(ge=0, le=100)] = 10


class Argocd(Value, frozen=True, kw_only=True):
    """Write app.json beside each overlay, for the ApplicationSets in platform/argocd."""


class Flux(Value, frozen=True, kw_only=True):
    """Write one Flux Kustomization per model and environment to fleet/<environment>/."""

    source: Name = "models"
    namespace: Name = "flux-system"
    service_account_name: Name | UnsetType = UNSET
    depends_on: tuple[Name, ...] = ()
    interval: Duration = "10m"
    timeout: Duration = "15m"


class Sync(Value, frozen=True, kw_only=True):
    """Which syncing tools read this repository."""

    argocd: Argocd | UnsetType = UNSET
    flux: Flux | UnsetType = UNSET


class External(Value, frozen=True, kw_only=True):
    """What the clusters have that is not in this repository. A list, even an empty one, makes m2g check its kind."""

    service_accounts: tuple[Name, ...] | UnsetType = UNSET
    serving_runtimes: tuple[Text, ...] | UnsetType = UNSET
    """Those beside KServe's own, and ClusterServingRuntimes."""
    config_maps: tuple[Text, ...] | UnsetType = UNSET
    secrets: tuple[Text, ...] | UnsetType = UNSET


class Images(Value, frozen=True, kw_only=True):
    """The images that `m2g image` prepares."""

    registry: (
        Annotated[
            str,
            Meta(
                max_length=200,
                pattern=r"^[a-z0-9][a-z0-9._-]*(:[0-9]+)?(/[a-z0-9]+([._-]+[a-z0-9]+)*)*$",
                description="a place of images; write it like ghcr.io/acme/models, with no scheme, tag or last slash",
            ),
        ]
        | UnsetType
    ) = UNSET
    """Where they are pushed, such as `ghcr.io/acme/models`; an image from elsewhere is not recorded."""
    bases: dict[str, Text] = {}
    """Python's minor version (`"3.12"`) to the base image by digest; without it `python:<minor>-slim`, which moves."""


class Requests(Value, frozen=True, kw_only=True):
    """The sample requests in models/<slug>/requests/ and what `m2g request` prints."""

    values: Literal["example", "generated"] = "example"
    """Where the values come from: the model's own input example, which is a row of somebody's data and is committed
    with the release record as well; or made up from the signature alone."""


class Config(Value, frozen=True, kw_only=True):
    """m2g.yaml."""

    version: Literal[1]
    registry: Registry = Registry()
    models: Models = Models()
    kserve: Kserve = Kserve()
    storage: Storage = Storage()
    defaults: Settings = Settings()
    environments: dict[EnvironmentName, Environment]
    tags: dict[str, str] = {}
    """Allow-list: registry tag key to the setting it sets (`m2g.dev/min-replicas: minReplicas`)."""
    bounds: dict[str, Bound] = {}
    """Setting (`minReplicas`, `resources.limits.memory`) to what model.yaml and tags may set it to."""
    removals: Removals = Removals()
    external: External = External()
    images: Images = Images()
    requests: Requests = Requests()
    sync: Sync = Sync()


class Pin(Value, frozen=True, kw_only=True):
    """model.yaml, one environment: settings, and a version that holds whatever the alias does."""

    version: Annotated[int, Meta(ge=1, le=2**31 - 1)] | UnsetType = UNSET
    reason: Text | UnsetType = UNSET
    """Why the version is pinned; asked for, so that the next person knows when it may go."""
    settings: Settings = Settings()


class ModelIntent(Value, frozen=True, kw_only=True):
    """models/<slug>/model.yaml: what people want for one model."""

    settings: Settings = Settings()
    environments: dict[str, Pin] = {}
