"""How one model is served, complete; and the combinations that KServe's webhook or Kubernetes refuse.

Source of the rules: kserve pkg/apis/serving/v1beta1/inference_service_validation.go and component.go.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Literal

from m2g.compat.verdict import Verdict
from m2g.core import quantity
from m2g.core.config_types import Kserve, Mode, Profile, Protocol
from m2g.core.finding import Finding
from m2g.core.model import Value
from m2g.serving.batch_run import BatchRun, problems

_LABEL_VALUE = re.compile(r"([A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?)?")
_KEY = re.compile(r"([a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?/)?[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?")
_ENV_NAME = re.compile(r"[-._a-zA-Z][-._a-zA-Z0-9]*")
_OURS = ("m2g.dev/", "serving.kserve.io/deploymentMode", "serving.kserve.io/autoscalerClass", "app.kubernetes.io/name")


RUNTIMES: Mapping[Profile, str] = {
    "mlserver": "kserve-mlserver",
    "huggingface": "kserve-huggingfaceserver",
    "oci": "kserve-mlserver",
}
"""KServe's own runtime of a profile, where the profile alone decides it."""


class Serving(Value, frozen=True, kw_only=True):
    """How one model is served, complete: nothing is left to a cluster's defaults.

    Quantities are in Kubernetes' canonical spelling; `image`, `image_server`, `runtime` are empty where unset.
    """

    kserve: Kserve
    backend: str = "kserve"
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
    timeout_seconds: int | None = None
    startup_seconds: int = 600
    requests: dict[str, str] = {}
    limits: dict[str, str] = {}
    service_account_name: str = ""
    env: dict[str, str] = {}
    labels: dict[str, str] = {}
    annotations: dict[str, str] = {}
    node_selector: dict[str, str] = {}
    visibility: Literal["public", "cluster-local"] = "public"
    batch: BatchRun | None = None

    @property
    def knative(self) -> bool:
        return self.kserve.mode is Mode.KNATIVE


class Chosen(Value, frozen=True, kw_only=True):
    """How one release is served and why. `verdict` is the runtime's; None where an image serves.

    `model_format`, `runtime`, `image` and `storage_uri` are empty where the profile has none; `batch_image` and
    `batch_model` (a URI, or a path in the image) where there is no batch. `waits_for` is a profile without its image.
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


Problem = tuple[str, str, str]
"""Path of a setting, what is wrong with it, the way out."""


def contradictions(serving: Serving) -> Iterator[Finding]:
    """What cannot be meant together, each with the way out; the path is the setting's."""
    batch = [] if serving.batch is None else list(problems(serving.batch))
    if serving.batch is not None:
        batch += _resources(serving.batch.requests, serving.batch.limits, "batch.")
    for path, message, hint in (
        *_resources(serving.requests, serving.limits),
        *_texts(serving),
        *batch,
    ):
        yield Finding(rule="setting-contradiction", path=path, message=message, hint=hint)


def _resources(requests: Mapping[str, str], limits: Mapping[str, str], where: str = "") -> Iterator[Problem]:
    for name, request in requests.items():
        limit = limits.get(name)
        if limit is not None and quantity.parse(request) > quantity.parse(limit):
            yield (
                f"{where}resources.requests.{name}",
                f"the request of {name} ({request}) is above its limit ({limit})",
                f"raise {where}resources.limits.{name} or lower {where}resources.requests.{name}",
            )
    for name in sorted({*requests, *limits} - {"cpu", "memory", "ephemeral-storage"}):
        if not name.startswith("hugepages-") and ("/" not in name or not _KEY.fullmatch(name)):
            yield (
                f"{where}resources.{name}",
                f"{name!r} is no resource of Kubernetes",
                "cpu, memory or like nvidia.com/gpu",
            )


def _texts(serving: Serving) -> Iterator[Problem]:
    for name, value in serving.env.items():
        if not _ENV_NAME.fullmatch(name):
            yield f"env.{name}", f"{name!r} is no name of an environment variable", "use letters, digits and _"
        if name == "PYTHONPATH":
            yield "env.PYTHONPATH", "KServe refuses PYTHONPATH", "put the code into the model or the image"
        if value == "":
            yield f"env.{name}", f"{name} is empty; KServe drops the value and Argo CD never syncs", "remove it"
    for field, pairs in (("labels", serving.labels), ("nodeSelector", serving.node_selector)):
        for key, value in pairs.items():
            if not _LABEL_VALUE.fullmatch(value):
                yield f"{field}.{key}", f"{value[:80]!r} is no label value", "at most 63 of A-Z a-z 0-9 - _ ."
    for field, pairs in (
        ("labels", serving.labels),
        ("annotations", serving.annotations),
        ("nodeSelector", serving.node_selector),
    ):
        for key in pairs:
            if not _KEY.fullmatch(key):
                yield f"{field}.{key}", f"{key[:80]!r} is no key for {field}", "like example.com/name"
            if field != "nodeSelector" and key.startswith(_OURS):
                yield f"{field}.{key}", f"{key} is set by m2g itself", "use the setting for it, or another key"
