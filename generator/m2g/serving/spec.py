"""The complete description of how one model is served, and the settings that Kubernetes refuses.

Source of the rules for env: kserve pkg/apis/serving/v1beta1/inference_service_validation.go and component.go.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator, Mapping
from typing import Literal

import msgspec

from m2g.compat.verdict import Verdict
from m2g.core import pod_resources
from m2g.core.config_types import Kserve
from m2g.core.finding import Finding
from m2g.core.model import Profile, Protocol, Release, Value
from m2g.core.setting_fields import Mode
from m2g.core.settings import Field
from m2g.serving import pod_checks
from m2g.serving.batch_run import BatchRun, Problem, find_problems
from m2g.serving.stored import DROPS_EMPTY

_LABEL_VALUE = re.compile(r"([A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?)?")
_KEY = re.compile(r"([a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?/)?[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?")
_ENV_NAME = re.compile(r"[-._a-zA-Z][-._a-zA-Z0-9]*")
_OURS = ("m2g.dev/", "serving.kserve.io/deploymentMode", "serving.kserve.io/autoscalerClass", "app.kubernetes.io/name")


RUNTIMES: Mapping[Profile, str] = {
    "mlserver": "kserve-mlserver",
    "huggingface": "kserve-huggingfaceserver",
    "oci": "kserve-mlserver",
}
"""KServe's own runtime for the profiles that always use the same one."""


class Serving(Value, frozen=True, kw_only=True):
    """The complete description of how one model is served. Nothing is left to the defaults of a cluster.

    Quantities are in Kubernetes' canonical form. `image`, `image_server` and `runtime` are empty if not set.
    """

    kserve: Kserve
    backend: str = "kserve"
    class_: str = msgspec.field(default="", name="class")
    profile: Literal["auto", Profile] = "auto"
    image: str = ""
    image_server: Literal["", "mlflow", "mlserver"] = ""
    runtime: str = ""
    min_replicas: int = 1
    max_replicas: int = 1
    autoscaler: Literal["hpa", "keda", "external", "none"] = "hpa"
    scale_metric: Literal["cpu", "memory", "concurrency", "rps"] = "cpu"
    scale_target: int = 80
    container_concurrency: int = 0
    deployment_strategy: Literal["", "RollingUpdate", "Recreate"] = ""
    timeout_seconds: int | None = None
    startup_seconds: int = 600
    requests: dict[str, str] = {}
    limits: dict[str, str] = {}
    service_account_name: str = ""
    storage_secret_name: str = ""
    env: dict[str, str] = {}
    env_references: dict[str, dict[str, object]] = {}
    """Variable → `valueFrom`."""
    pod_security: Literal["baseline", "restricted"] = "baseline"
    gpus: int = 0
    gpu_resource: str = "nvidia.com/gpu"
    given: dict[str, object] = {}
    """Other settings by name: they are written to their places as they are."""
    labels: dict[str, str] = {}
    annotations: dict[str, str] = {}
    node_selector: dict[str, str] = {}
    visibility: Literal["public", "cluster-local"] = "public"
    batch: BatchRun | None = None

    def find(self, field: Field) -> object:
        """The value of a setting, or None."""
        return getattr(self, field.attribute, self.given.get(field.name))

    @property
    def knative(self) -> bool:
        return self.kserve.mode is Mode.KNATIVE

    @property
    def is_automatic(self) -> bool:
        """Whether `auto` decides how the model is served, because people set neither profile, image nor runtime."""
        return self.profile == "auto" and not self.image and not self.runtime


class ServingChoice(Value, frozen=True, kw_only=True):
    """How one release is served and why. `verdict` is that of the runtime; None if an image serves the model.

    `model_format`, `runtime`, `image` and `storage_uri` are empty if the profile has none; `batch_image` and
    `batch_model` (a URI, or a path in the image) if there is no batch. `waits_for` is a profile whose image is missing.
    """

    profile: Profile
    protocol: Protocol
    reason: str
    verdict: Verdict | None = None
    model_format: str = ""
    runtime: str = ""
    image: str = ""
    storage_uri: str = ""
    batch_image: str = ""
    batch_model: str = ""
    waits_for: str = ""
    environment: str = ""
    """The id of the serving environment; empty if the model shares none."""


def write_redecide_command(release: Release) -> str:
    """The command that decides again how one release is served, without the registry."""
    return f"m2g render --locked --redecide --model {shlex.quote(release.model)} --env {release.environment}"


def find_contradictions(serving: Serving) -> Iterator[Finding]:
    """Settings that are invalid or contradict each other. The path of a finding is the setting's."""
    batch = [] if serving.batch is None else list(find_problems(serving.batch))
    if serving.batch is not None:
        batch += _check_resources(serving.batch.requests, serving.batch.limits, "batch.")
    for path, message, hint in (
        *_check_resources(serving.requests, serving.limits),
        *_check_texts(serving),
        *pod_checks.find_problems(serving.given, serving.env_references, batch=serving.batch is not None),
        *batch,
    ):
        yield Finding(rule="setting-contradiction", path=path, message=message, hint=hint)


def _check_resources(requests: Mapping[str, str], limits: Mapping[str, str], where: str = "") -> Iterator[Problem]:
    for problem in pod_resources.find_problems(requests, limits):
        message = f"the {problem.side.removesuffix('s')} of {problem.name} {problem.message}"
        yield f"{where}resources.{problem.side}.{problem.name}", message, problem.hint
    for name in sorted({*requests, *limits} - set(pod_resources.PLAIN)):
        if not name.startswith("hugepages-") and ("/" not in name or not _KEY.fullmatch(name)):
            yield (
                f"{where}resources.{name}",
                f"{name!r} is not a Kubernetes resource",
                "use cpu, memory, or a name such as nvidia.com/gpu",
            )


def _check_texts(serving: Serving) -> Iterator[Problem]:
    for name, value in (serving.env | dict.fromkeys(serving.env_references, "…")).items():
        if not _ENV_NAME.fullmatch(name):
            yield f"env.{name}", f"{name!r} is not the name of an environment variable", "use letters, digits and _"
        if name == "PYTHONPATH":
            yield "env.PYTHONPATH", "KServe refuses PYTHONPATH", "put the code into the model or the image"
        if value == "" and serving.kserve.version in DROPS_EMPTY:
            yield (
                f"env.{name}",
                f"{name} is empty: KServe {serving.kserve.version} removes it, so Argo CD always shows a difference",
                f"remove env.{name}",
            )
    for field, pairs in (("labels", serving.labels), ("nodeSelector", serving.node_selector)):
        for key, value in pairs.items():
            if not _LABEL_VALUE.fullmatch(value):
                yield (
                    f"{field}.{key}",
                    f"{value[:80]!r} is not a valid label value",
                    "use at most 63 characters of A-Z a-z 0-9 - _ . (the first and the last one a letter or a digit)",
                )
    for field, pairs in (
        ("labels", serving.labels),
        ("annotations", serving.annotations),
        ("nodeSelector", serving.node_selector),
    ):
        for key in pairs:
            if not _KEY.fullmatch(key):
                yield f"{field}.{key}", f"{key[:80]!r} is not a valid key for {field}", "write it as example.com/name"
            if field != "nodeSelector" and key.startswith(_OURS):
                yield f"{field}.{key}", f"m2g itself sets {key}", "use the setting for it, or another key"
