"""The contents of m2g.yaml and model.yaml as values. Their JSON Schemas are generated from these types."""

from __future__ import annotations

import datetime
from typing import Annotated, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType

from m2g.core.canary_types import Canary, CanaryForm, Gateway
from m2g.core.model import Value
from m2g.core.platform_types import PlatformInstall
from m2g.core.proposal_types import Proposals
from m2g.core.setting_fields import Count, KserveVersion, Mode, Name, Scalar, Text
from m2g.core.settings import Settings

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
Date = Annotated[datetime.date, Meta(description="a date; write it like 2026-12-31")]
Slug = Annotated[
    str,
    Meta(
        max_length=36,
        pattern=r"^[a-z]([-a-z0-9]*[a-z0-9])?$",
        description="a slug; use lower-case letters, digits and '-', starting with a letter, at most 36 characters",
    ),
]
Server = Literal["mlserver", "mlflow"]
"""MLServer (V2 protocol), or MLflow's own scoring server (`/invocations`)."""

Platform = Literal["linux/amd64", "linux/arm64"]


KnativeFeature = Annotated[
    str,
    Meta(
        max_length=63,
        pattern=r"^[a-z]+\.[a-z-]+$",
        description="a feature flag of Knative; write it as in config-features, like kubernetes.podspec-nodeselector",
    ),
]


class Knative(Value, frozen=True, kw_only=True):
    """What the cluster's Knative allows, from its ConfigMaps `config-defaults` and `config-features` in the namespace
    knative-serving. The defaults are Knative's own."""

    max_timeout_seconds: Annotated[int, Meta(ge=1, le=2**31 - 1)] = 600
    """`max-revision-timeout-seconds` of config-defaults."""
    max_container_concurrency: Annotated[int, Meta(ge=1, le=2**31 - 1)] = 1000
    """`container-concurrency-max-limit` of config-defaults."""
    features: tuple[KnativeFeature, ...] = ()
    """The feature flags that config-features sets to `enabled`, such as `kubernetes.podspec-nodeselector`."""


class Kserve(Value, frozen=True, kw_only=True):
    """The KServe of a cluster: its minor version, and the deployment mode of the services that m2g writes."""

    version: KserveVersion = "0.21"
    mode: Mode = Mode.STANDARD
    knative: Knative = Knative()
    """Knative mode only: what the cluster's Knative allows."""
    gateway: Gateway | UnsetType = UNSET
    """The cluster's Gateway, if KServe uses the Gateway API. A canary in Standard mode needs it."""
    canary: Literal["auto"] | CanaryForm = "auto"
    """How canaries are rendered. `auto` is `spec` for KServe 0.20 and newer in Standard mode, `route` before it, and
    `graph` in Knative mode."""


class Follow(Value, frozen=True, kw_only=True):
    """What an environment follows. Set exactly one field, or none if you move its versions by hand."""

    alias: Text | UnsetType = UNSET
    stage: Literal["Staging", "Production", "Archived"] | UnsetType = UNSET
    tag: Text | UnsetType = UNSET


class Rewrite(Value, frozen=True, kw_only=True):
    """Replace the prefix `from` of an artifact URI with `to`, a location that the clusters can read."""

    from_: Text = msgspec.field(name="from")
    to: Text


class Storage(Value, frozen=True, kw_only=True):
    """Where the clusters read models. `allow` is a list of URI prefixes. If it is empty, every supported scheme is
    allowed."""

    rewrites: tuple[Rewrite, ...] = ()
    allow: tuple[Text, ...] = ()


ModelPattern = Annotated[
    str,
    Meta(
        max_length=512,
        pattern=r"^[^{}]*\{model\}[^{}]*$",
        description="the form of a name; write {model} once, as in prod.{model}",
    ),
]


class EnvironmentModels(Value, frozen=True, kw_only=True):
    """The registered models of one environment, of those that the top-level `models` selects."""

    name: ModelPattern = "{model}"
    """The form of the names, where each environment has registered models of its own. With `prod.{model}`, the
    environment has `prod.team.fraud` and no name of another form. `{model}` is what the environments share: the slug is
    made of `team.fraud`."""
    include: tuple[Text, ...] = ("*",)
    exclude: tuple[Text, ...] = ()


class Environment(Value, frozen=True, kw_only=True):
    """One environment: the versions that it follows, its namespace, and how its models are served."""

    namespace: Name
    models: EnvironmentModels = EnvironmentModels()
    follow: Follow = Follow()
    kserve: Kserve | UnsetType = UNSET
    settings: Settings = Settings()
    storage: Storage = Storage()
    """Extends the top-level `storage`: its rewrites are tried first, and a non-empty `allow` replaces the top-level
    one."""
    keep_on_removal: bool = True
    """Flux only: keep a model's objects in the cluster when its Kustomization is deleted (`deletionPolicy: Orphan`)."""


class Bound(Value, frozen=True, kw_only=True):
    """The range or the values that model.yaml and tags may set. m2g.yaml itself is not limited. An empty bound (`{}`)
    allows any value; settings that decide much can be set by a model only if they have a bound."""

    min: Scalar | UnsetType = UNSET
    max: Scalar | UnsetType = UNSET
    one_of: tuple[str, ...] | UnsetType = UNSET
    """The allowed values. `*` matches any text."""


SlugPattern = Annotated[
    str,
    Meta(
        max_length=64,
        pattern=r"^[a-z*?]([-a-z0-9*?]*)$",
        description="a pattern of slugs; write it like fraud-* or fraud-scoring",
    ),
]


class Team(Value, frozen=True, kw_only=True):
    """The models of one team, by the names of their folders in models/, and what holds for them alone."""

    models: Annotated[tuple[SlugPattern, ...], Meta(min_length=1)]
    """Patterns of slugs, such as `fraud-*`. A model that two teams match is a finding, and keeps its files."""
    settings: Settings = Settings()
    """Settings of the team's models. They come after those of the environment, and before the class and the model."""
    bounds: dict[str, Bound] = {}
    """The values that the `model.yaml` of the team may set, in place of the top-level bounds of the same settings."""


class Registry(Value, frozen=True, kw_only=True):
    """The MLflow registry. Without `uri`, m2g reads MLFLOW_REGISTRY_URI or MLFLOW_TRACKING_URI from its environment."""

    uri: Text | UnsetType = UNSET
    workspace: Text | UnsetType = UNSET


class Models(Value, frozen=True, kw_only=True):
    """The registered models that are in the fleet, and the slugs of models whose default slug does not fit."""

    include: tuple[Text, ...] = ("*",)
    exclude: tuple[Text, ...] = ()
    tags: dict[str, str] = {}
    """Include only models that have all of these registered-model tags."""
    slugs: dict[str, Slug] = {}


class Removals(Value, frozen=True, kw_only=True):
    """How many releases one run may remove: the larger of a count and a percentage of the fleet."""

    max_count: Count = 2
    max_percent: Annotated[int, Meta(ge=0, le=100)] = 10


class Argocd(Value, frozen=True, kw_only=True):
    """Write an app.json into each overlay, for the ApplicationSets in platform/argocd."""


class Flux(Value, frozen=True, kw_only=True):
    """Write one Flux Kustomization for each model and environment to fleet/<environment>/."""

    source: Name = "models"
    namespace: Name = "flux-system"
    service_account_name: Name | UnsetType = UNSET
    depends_on: tuple[Name, ...] = ()
    interval: Duration = "10m"
    timeout: Duration = "15m"


KindName = Annotated[
    str,
    Meta(
        max_length=317,
        pattern=r"^[A-Z][A-Za-z0-9]*(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$",
        description="a kind and its API group; write it like ConfigMap or NetworkPolicy.networking.k8s.io",
    ),
]


class Bounds(Value, frozen=True, kw_only=True):
    """What this repository may bring into the clusters, beside the kinds that m2g writes. `m2g validate --against`
    takes the bounds of the base, so a change cannot use bounds that it widens itself."""

    backends: Annotated[tuple[Name, ...], Meta(min_length=1)] = ("kserve",)
    """The serving backends that models may have: `kserve`, `seldon-core-1`, `seldon-core-2`. The AppProjects and Roles
    in platform/ must allow what m2g writes for them."""
    kinds: tuple[KindName, ...] = ("ConfigMap",)
    """The kinds that components and fleet/ may add. The AppProjects and Roles in platform/ must allow the same."""
    namespaces: tuple[Name, ...] = ()
    """Namespaces of objects, beside the namespaces of the environments."""
    pod_security: Literal["baseline", "privileged"] = "baseline"
    """The Pod Security Standard of Kubernetes that all pods meet. `privileged` allows access to the node."""
    platform: tuple[KindName, ...] = ()
    """The kinds that platform/ may contain, beside those of the scaffold."""
    sources: tuple[Text, ...] = ()
    """The URLs that Argo CD and Flux objects in platform/ may read from. If it is empty, all must name the same
    repository."""


FolderPath = Annotated[
    str,
    Meta(
        max_length=200,
        pattern=r"^[A-Za-z0-9_][A-Za-z0-9._-]*(/[A-Za-z0-9_][A-Za-z0-9._-]*)*$",
        description="a folder inside of a Git repository; write it like teams/ml, without a slash at the ends",
    ),
]


class Sync(Value, frozen=True, kw_only=True):
    """The GitOps tools that read this repository, and what they may apply."""

    path: FolderPath | UnsetType = UNSET
    """The folder of m2g.yaml inside of its Git repository, for a monorepo. Argo CD and Flux read paths from its
    root."""
    argocd: Argocd | UnsetType = UNSET
    flux: Flux | UnsetType = UNSET
    bounds: Bounds = Bounds()


class External(Value, frozen=True, kw_only=True):
    """What exists in the clusters but not in this repository. If a list is set, even an empty one, m2g checks
    references to its kind."""

    service_accounts: tuple[Name, ...] | UnsetType = UNSET
    serving_runtimes: tuple[Text, ...] | UnsetType = UNSET
    """ServingRuntimes and ClusterServingRuntimes other than KServe's own."""
    config_maps: tuple[Text, ...] | UnsetType = UNSET
    secrets: tuple[Text, ...] | UnsetType = UNSET


class Sharing(Value, frozen=True, kw_only=True):
    """Which models may share a serving environment. Without groups, every model has its own."""

    groups: dict[Name, tuple[Text, ...]] = {}
    """Trust group to patterns of registered models, such as `fraud-*`. Only models of one group share packages."""
    packages: tuple[Text, ...] = ()
    """The packages that models may bring into a shared environment. A model that requires another one gets an
    environment of its own."""
    indexes: tuple[Text, ...] = ()
    """The package indexes that the requirements of a model may name and still share."""
    max_packages: Annotated[int, Meta(ge=1, le=10_000)] = 300
    """The most packages of one shared environment, with those that they need."""
    relax: tuple[Text, ...] = ()
    """Packages whose exact pin becomes `this version or a later one of the same major version`. Test such models with
    `m2g smoke`: they run with other packages than they were trained with."""


class Images(Value, frozen=True, kw_only=True):
    """The images that `m2g image` prepares."""

    registry: (
        Annotated[
            str,
            Meta(
                max_length=200,
                pattern=r"^[a-z0-9][a-z0-9._-]*(:[0-9]+)?(/[a-z0-9]+([._-]+[a-z0-9]+)*)*$",
                description="an image prefix; write it like ghcr.io/acme/models, without scheme, tag or trailing slash",
            ),
        ]
        | UnsetType
    ) = UNSET
    """Where the images are pushed, such as `ghcr.io/acme/models`. m2g does not record an image from elsewhere."""
    bases: dict[str, Text] = {}
    """The base image by digest for each minor Python version (`"3.12"`). The default is `python:<minor>-slim`, a tag
    that moves."""
    platforms: Annotated[tuple[Platform, ...], Meta(min_length=1)] = ("linux/amd64",)
    """The platforms of the images of serving environments: those of the cluster's nodes."""
    sharing: Sharing = Sharing()


class Requests(Value, frozen=True, kw_only=True):
    """The sample requests in models/<slug>/requests/ and what `m2g request` prints."""

    values: Literal["example", "generated"] = "example"
    """Where the values come from. `example` takes the model's input example: a row of real data, which is also
    committed in the release record. `generated` takes made-up values that fit the signature."""


class PublicText(Value, frozen=True, kw_only=True):
    """A text that looks like a secret and is none."""

    text: Text
    """The text itself, or a longer one that contains it."""
    reason: Text
    """Why it is no secret, for the next person."""


class Secrets(Value, frozen=True, kw_only=True):
    """How `m2g validate` looks for passwords, keys and tokens in this repository."""

    allow: tuple[PublicText, ...] = ()
    """False alarms."""


class Config(Value, frozen=True, kw_only=True):
    """m2g.yaml."""

    version: Literal[1]
    registry: Registry = Registry()
    models: Models = Models()
    kserve: Kserve = Kserve()
    storage: Storage = Storage()
    defaults: Settings = Settings()
    classes: dict[Name, Settings] = {}
    """Settings under a name, such as `gpu-a100`, that the setting `class` chooses. They come after those of the
    environment and before the model's own."""
    teams: dict[Name, Team] = {}
    """Settings and bounds for the models of one team."""
    environments: dict[EnvironmentName, Environment]
    tags: dict[str, str] = {}
    """Allow-list of registry tags: tag key to the setting that it sets (`m2g.dev/min-replicas: minReplicas`)."""
    bounds: dict[str, Bound] = {}
    """Setting (`minReplicas`, `resources.limits.memory`) to the values that model.yaml and tags may give it."""
    removals: Removals = Removals()
    external: External = External()
    images: Images = Images()
    requests: Requests = Requests()
    secrets: Secrets = Secrets()
    sync: Sync = Sync()
    proposals: Proposals = Proposals()
    platform: PlatformInstall | UnsetType = UNSET
    """What the clusters need before they serve models; without it, m2g writes nothing to platform/install."""


class Pin(Value, frozen=True, kw_only=True):
    """One environment in model.yaml: settings, and a version that stays fixed when the alias moves."""

    version: Annotated[int, Meta(ge=1, le=2**31 - 1)] | UnsetType = UNSET
    reason: Text | UnsetType = UNSET
    """Why the version is pinned, so that the next person knows when to remove the pin. Records and reviews show it."""
    owner: Text | UnsetType = UNSET
    """Who decides when the hold ends."""
    until: Date | UnsetType = UNSET
    """The last day of the hold, such as `"2026-12-31"`, in quotes. After it m2g reminds people, and the version
    still stays."""
    settings: Settings = Settings()
    canary: Canary | UnsetType = UNSET
    """A candidate that gets a share of the traffic."""
    known_bad: tuple[Annotated[int, Meta(ge=1, le=2**31 - 1)], ...] = ()
    """Versions that are known not to be servable here. They stay out, and what m2g says of them is only a warning."""


class ModelIntent(Value, frozen=True, kw_only=True):
    """models/<slug>/model.yaml: the settings of one model."""

    settings: Settings = Settings()
    environments: dict[str, Pin] = {}

    def find_pin(self, environment: str) -> Pin:
        """What the file says of an environment, or nothing."""
        return self.environments.get(environment, Pin())
