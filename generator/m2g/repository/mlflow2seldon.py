"""m2g.yaml from the values of MLflow2Seldon's chart (neuro-inc/mlops-k8s-mlflow2seldon, commit d00bf93).

That service deployed every version in the stages Staging and Production as a SeldonDeployment, into one namespace, with
an image from a tag of the registered model. Here each stage is an environment with a namespace of its own.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

import msgspec

from m2g.core.redact import redact
from m2g.core.results import ImportedConfig, ImportedValue

PREFIX = "M2S_"
_STAGES = {"staging": "Staging", "prod": "Production"}
_READABLE = ("s3://", "gs://", "pvc://")
_NAMESPACE = re.compile(r"[a-z0-9]([-a-z0-9]{0,45}[a-z0-9])?")
_IMAGE = re.compile(r"(?P<prefix>[a-z0-9][a-z0-9.-]*(:[0-9]+)?(/[a-z0-9._-]+)*)/[a-z0-9._-]+([:@][A-Za-z0-9_.:-]+)?")
_DEFAULT_TAG = "deployment-image"
_DEFAULT_NAMESPACE = "seldon"


def convert_values(values: Mapping[str, str], *, artifact_root: str = "", storage: str = "") -> ImportedConfig:
    """The m2g.yaml that does what these values do, and what became of each value.

    `artifact_root` is where MLflow's own URIs begin; `storage` is the same place as a cluster reads it. The chart does
    not have the first, and its own storage is of a platform that Seldon's rclone does not read.
    """
    given = {key: text.strip() for key, text in values.items()}
    given = {key: text for key, text in given.items() if text and not text.startswith("$")}
    root = storage or given.get("M2S_MLFLOW_STORAGE_ROOT", "")
    readable = root.startswith(_READABLE)
    namespace = given.get("M2S_SELDON_DEPLOYMENT_NS", _DEFAULT_NAMESPACE)
    if not _NAMESPACE.fullmatch(namespace):
        namespace = _DEFAULT_NAMESPACE
    image = _IMAGE.fullmatch(given.get("M2S_SELDON_NEURO_DEF_IMAGE", ""))
    lines = [
        *_list_registry(given.get("M2S_MLFLOW_HOST", "")),
        *_list_storage(artifact_root, root if readable else ""),
        *_list_image_tag(given.get("M2S_MLFLOW_DEPLOY_IMG_TAG", _DEFAULT_TAG), image["prefix"] if image else ""),
        *_list_environments(namespace),
    ]
    text = "version: 1\n" + "".join(f"{line}\n" for line in lines)
    return ImportedConfig(
        config=text,
        values=tuple(_explain(values, given, rewritten=readable and bool(artifact_root))),
        answers=("serving_backend=seldon-core-1", f"namespace_prefix={namespace}", "environments=staging, prod"),
    )


def _list_registry(host: str) -> Iterator[str]:
    if host:
        address = redact(host if "://" in host else f"https://{host}")
        yield f"registry: {{uri: {_quote(address)}}}"


def _list_storage(artifact_root: str, root: str) -> Iterator[str]:
    if artifact_root and root:
        source, target = (f"{redact(one).rstrip('/')}/" for one in (artifact_root, root))
        yield "storage:"
        yield f"  rewrites: [{{from: {_quote(source)}, to: {_quote(target)}}}]"
        yield f"  allow: [{_quote(target)}]"


def _list_image_tag(tag: str, prefix: str) -> Iterator[str]:
    yield "defaults: {backend: seldon-core-1, imageServer: mlserver}"
    if prefix:
        yield f"tags: {{{_quote(redact(tag))}: image}} # within these bounds"
        yield f"bounds: {{image: {{oneOf: [{_quote(f'{prefix}/*')}]}}}}"


def _list_environments(namespace: str) -> Iterator[str]:
    yield "environments:"
    for name, stage in _STAGES.items():
        yield f"  {name}: {{namespace: {namespace}-{name}, follow: {{stage: {stage}}}}}"
    yield "removals: {maxCount: 2, maxPercent: 10} # of one run, when stages are taken away"
    yield "sync: {argocd: {}, bounds: {backends: [seldon-core-1]}} # or flux: {}"


def _explain(values: Mapping[str, str], given: Mapping[str, str], *, rewritten: bool) -> Iterator[ImportedValue]:
    for key in sorted(values):
        becomes, remark = _WORDS.get(key, ("", "m2g does not know this value; it is not of the chart"))
        if key == "M2S_MLFLOW_STORAGE_ROOT" and not rewritten:
            becomes = ""
            remark = "copy the artifacts to a bucket that rclone reads, then add --artifact-root and --storage"
        elif key == "M2S_SELDON_NEURO_DEF_IMAGE" and key in given and not _IMAGE.fullmatch(given[key]):
            remark = f"{remark}; its address is of a platform, so write the prefix of your registry to bounds.image"
        elif key not in given and key in _WORDS and key not in _UNUSED:
            remark = "is empty"
        yield ImportedValue(name=key, becomes=becomes, remark=remark)


_UNUSED = frozenset({"M2S_MLFLOW_NEURO_TOKEN", "M2S_SRC_NEURO_CLUSTER"})
_WORDS = {
    "M2S_MLFLOW_HOST": ("registry.uri", "m2g reads all pages, and asks again before it removes a model"),
    "M2S_MLFLOW_NEURO_TOKEN": ("", "not needed, and never stored: revoke it"),
    "M2S_SRC_NEURO_CLUSTER": ("", "not needed: no platform stands between m2g and MLflow"),
    "M2S_MLFLOW_STORAGE_ROOT": ("storage.rewrites", "where the clusters read what MLflow stored"),
    "M2S_MLFLOW_DEPLOY_IMG_TAG": ("tags, bounds.image", "the tag sets the image, within bounds"),
    "M2S_SELDON_NEURO_DEF_IMAGE": (
        "bounds.image",
        "a wrapper image speaks Seldon's own protocol; models are served by MLServer here, which needs no such image",
    ),
    "M2S_SELDON_DEPLOYMENT_NS": ("environments", "each stage has a namespace of its own, with this prefix"),
    "M2S_NEURO_REGISTRY_SECRET": ("", "name the pull secret in the ServiceAccount of the models"),
}


def _quote(text: str) -> str:
    return msgspec.json.encode(text).decode()
