"""The paths of a GitOps repository, relative to its root. No other module knows them."""

from __future__ import annotations

import re

from msgspec import UNSET, UnsetType

from m2g.core.model import Value

Key = tuple[str, str]
"""(slug, environment)."""

CONFIG = "m2g.yaml"
MODELS, FLEET, PLATFORM = "models", "fleet", "platform"
INSTALL = f"{PLATFORM}/install"
"""What a cluster needs before it serves models: m2g's own, if m2g.yaml says `platform`."""
ENVIRONMENTS = "environments"
"""The serving environments that models share."""
POLICIES, RUNTIMES, SCHEMAS = "policies", "runtimes", "schemas"
STATE = ".m2g"
"""m2g's own folder, which Git ignores. It contains the lock and the journal of a write in progress."""

BASE, OVERLAYS, RELEASES, REQUESTS, CUSTOM = "base", "overlays", "releases", "requests", "custom"
OWNED_FOLDERS = (BASE, OVERLAYS, RELEASES, REQUESTS)
"""The folders of a model that m2g owns."""
CARD = "README.md"
RELEASE = "release"
"""A folder in an overlay with a component: m2g's own layer, so that the user's component is applied last."""

NAMESPACE = "namespace"
"""The folder in fleet/<environment> for what people write: the namespace and the ServiceAccount of the models."""

_BY_ENVIRONMENT = (OVERLAYS, RELEASES, REQUESTS, CUSTOM)
_OWNED = re.compile(
    r"models/[^/]+/(README\.md|(base|overlays|releases|requests)/.+)|fleet/[^/]+/[^/]+\.yaml"
    r"|environments/[^/]+/(environment\.json|requirements\.txt|(base|overlays)/.+)|platform/install/.+"
)
_WRITTEN = re.compile(rf"models/[^/]+/(model\.yaml|custom/.+)|fleet/[^/]+/{NAMESPACE}/.+\.yaml|{_OWNED.pattern}")
_FOUND_BY_ENGINES = re.compile(
    # Argo CD's `*` crosses folders, so the path of an ApplicationSet finds this file at any depth.
    r"(models|environments)/.+/overlays/[^/]+/app\.json"
    # Argo CD and Flux read these beside the files that they apply; submodules hold files from elsewhere.
    r"|((models|environments|fleet)/(.+/)?|)(\.argocd-source.*\.yaml|\.sourceignore|\.gitmodules)"
    # Git changes the files beside it when it checks them out, and Flux's own Git does not.
    r"|.+/\.gitattributes"
    # Flux takes a kustomization instead of the files of the folder.
    r"|fleet/(.+/)?(kustomization\.ya?ml|kustomization)",
    re.DOTALL | re.IGNORECASE,
)
_ENVIRONMENT_APP = re.compile(r"environments/[^/]+/overlays/[^/]+/app\.json")
_COMPONENT = re.compile(r"models/([^/]+)/custom/([^/]+)/kustomization\.y.*ml")


def model(slug: str) -> str:
    """The folder of one model."""
    return f"{MODELS}/{slug}"


def model_yaml(slug: str) -> str:
    """The settings of one model."""
    return f"{MODELS}/{slug}/model.yaml"


def card(slug: str) -> str:
    """The model card."""
    return f"{MODELS}/{slug}/{CARD}"


def base(slug: str) -> str:
    """The Kustomize base."""
    return f"{MODELS}/{slug}/{BASE}"


def overlay(slug: str, environment: str) -> str:
    """The Kustomize overlay of one environment."""
    return f"{MODELS}/{slug}/{OVERLAYS}/{environment}"


def overlay_file(slug: str, environment: str) -> str:
    """The overlay's kustomization."""
    return f"{overlay(slug, environment)}/kustomization.yaml"


def component(slug: str, environment: str) -> str:
    """The user's Kustomize component of one environment."""
    return f"{MODELS}/{slug}/{CUSTOM}/{environment}"


def custom(slug: str) -> str:
    """The folder of a model for what people write."""
    return f"{MODELS}/{slug}/{CUSTOM}"


def releases(slug: str) -> str:
    """The folder of a model's release records."""
    return f"{MODELS}/{slug}/{RELEASES}"


def release(slug: str, environment: str) -> str:
    """The release record."""
    return f"{MODELS}/{slug}/{RELEASES}/{environment}.json"


def request(slug: str, environment: str) -> str:
    """The sample request."""
    return f"{MODELS}/{slug}/{REQUESTS}/{environment}.json"


def from_git_root(folder: str | UnsetType, path: str) -> str:
    """A path as Argo CD and Flux need it. `folder` is `sync.path` of m2g.yaml."""
    return path if folder is UNSET else f"{folder}/{path}".rstrip("/")


def environment_record(name: str) -> str:
    """The record of a serving environment."""
    return f"{ENVIRONMENTS}/{name}/environment.json"


def environment_lock(name: str) -> str:
    """The locked requirements of a serving environment."""
    return f"{ENVIRONMENTS}/{name}/requirements.txt"


def environment_base(name: str) -> str:
    """The Kustomize base of a serving environment."""
    return f"{ENVIRONMENTS}/{name}/{BASE}"


def environment_runtime(name: str) -> str:
    """The ServingRuntime of a serving environment."""
    return f"{environment_base(name)}/servingruntime.yaml"


def environment_overlay(name: str, environment: str) -> str:
    """The Kustomize overlay of a serving environment in one environment."""
    return f"{ENVIRONMENTS}/{name}/{OVERLAYS}/{environment}"


def environment_flux_file(name: str, environment: str) -> str:
    """The Flux Kustomization that applies a serving environment. A slug has no dot, so no model has this file."""
    return f"{FLEET}/{environment}/{environment_unit(name)}.yaml"


def environment_unit(name: str) -> str:
    """What Argo CD and Flux call a serving environment, where a model has its slug."""
    return f"environment.{name}"


def parse_environment_path(path: str) -> str:
    """The id of the serving environment that a file belongs to; empty for other files."""
    parts = path.split("/")
    if parts[0] == ENVIRONMENTS and len(parts) > 2:
        return parts[1]
    in_fleet = parts[0] == FLEET and len(parts) == 3 and parts[2].startswith("environment.")
    return parts[2].removeprefix("environment.").removesuffix(".yaml") if in_fleet else ""


def flux_file(slug: str, environment: str) -> str:
    """The Flux Kustomization that applies one overlay."""
    return f"{FLEET}/{environment}/{slug}.yaml"


def namespace_folder(path: str) -> str:
    """The folder for what people write, for a path in fleet/."""
    environment = path.split("/")[1] if path.count("/") > 1 else "<env>"
    return f"{FLEET}/{environment}/{NAMESPACE}"


class Location(Value, frozen=True, kw_only=True):
    """The model and environment that a path belongs to.

    `part` is the folder or file in the model's folder (`overlays`), or `fleet` for a Flux file. `environment` is empty
    if the path belongs to all environments.
    """

    slug: str
    part: str = ""
    environment: str = ""


def parse_path(path: str) -> Location | None:
    """The model and environment that a path belongs to; None if it belongs to no model."""
    parts = path.split("/")
    if parts[0] == MODELS and len(parts) > 1:
        part = parts[2] if len(parts) > 2 else ""
        environment = parts[3].removesuffix(".json") if len(parts) > 3 and part in _BY_ENVIRONMENT else ""
        return Location(slug=parts[1], part=part, environment=environment)
    if parts[0] == FLEET and len(parts) == 3:
        return Location(slug=parts[2].removesuffix(".yaml"), part=FLEET, environment=parts[1])
    return None


def parse_overlay_path(path: str) -> Key | None:
    """The key of the overlay that contains a file; None for other files."""
    parts = path.split("/")
    return (parts[1], parts[3]) if len(parts) > 4 and parts[0] == MODELS and parts[2] == OVERLAYS else None


def parse_overlay_folder(folder: str) -> Key:
    """The key of an overlay, from its folder."""
    _, slug, _, environment = folder.split("/")
    return slug, environment


def parse_record_path(record: str) -> str:
    """The environment of a release record."""
    return record.rpartition("/")[2].removesuffix(".json")


def find_top_folder(path: str) -> str:
    """The first folder of a path."""
    return path.partition("/")[0]


def find_environment(path: str) -> str:
    """The environment whose folder in fleet/ contains a path; empty for none."""
    parts = path.split("/")
    return parts[1] if len(parts) > 2 and parts[0] == FLEET else ""


def is_owned(path: str) -> bool:
    """Whether m2g owns this path."""
    return _OWNED.fullmatch(path) is not None


def is_known(path: str) -> bool:
    """Whether m2g or people keep a file at this path of models/, environments/ or fleet/; outside of them, whether no
    engine reads it. Argo CD or Flux may read everything in the three.
    """
    if _FOUND_BY_ENGINES.fullmatch(path):
        if path.startswith(f"{ENVIRONMENTS}/"):
            return _ENVIRONMENT_APP.fullmatch(path) is not None
        location = parse_path(path)
        return location is not None and path == f"{overlay(location.slug, location.environment)}/app.json"
    engines = (f"{MODELS}/", f"{FLEET}/", f"{ENVIRONMENTS}/")
    return not path.startswith(engines) or _WRITTEN.fullmatch(path) is not None


def is_install(path: str) -> bool:
    """Whether a path is in platform/install."""
    return path.startswith(f"{INSTALL}/")


def is_record(path: str) -> bool:
    """Whether it is the path of a release record."""
    location = parse_path(path)
    return location is not None and location.part == RELEASES


def parse_component_path(path: str) -> Key | None:
    """The key of a user's component, if the path is its kustomization; else None."""
    match = _COMPONENT.fullmatch(path) if f"/{CUSTOM}/" in path else None
    return None if match is None else (match[1], match[2])
