"""Where the model is read from: schemes that KServe's storage initializer knows, and the slash that ends a folder."""

from __future__ import annotations

import re
from collections.abc import Iterator

from m2g.validation.rules.containers import Place
from m2g.validation.rules.rule import Fault, Rule, Subject, issue

_SCHEMES = (
    *("s3", "gs", "hdfs", "webhdfs", "https", "http", "hf", "pvc"),
    *("oci", "oci+native", "oci+modelcar", "oci+fetch", "modelscope"),
)
_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*):(//)?")
_AZURE = re.compile(r"https://[a-z0-9]+\.(blob\.core\.windows\.net|z[0-9]+\.blob\.storage\.azure\.net)/.+")
_FIX = {
    "models": "render resolves models:/ itself: run `m2g render` again",
    "runs": "render resolves runs:/ itself: run `m2g render` again",
    "mlflow-artifacts": "add a storage.rewrites entry in m2g.yaml from mlflow-artifacts: to the server's artifact root",
    "file": "add a storage.rewrites entry in m2g.yaml to what the cluster reads, such as pvc://claim/path",
    "dbfs": "copy the model to a bucket, or serve an image (the setting image)",
    "wasbs": "write https://<account>.blob.core.windows.net/<container>/<path>/",
    "abfss": "write https://<account>.blob.core.windows.net/<container>/<path>/",
    "s3a": "write s3://",
}


def _uris(subject: Subject) -> Iterator[tuple[Place, bool]]:
    """The place of every URI, and whether it is a folder for sure (an MLflow model always is)."""
    others: list[Place] = [("spec", name) for name in ("transformer", "explainer")]
    for here in (*subject.predictors, *others):
        if not subject.mapping(*here) or subject.text(*here, "storageContainerName"):
            continue  # the cluster's own storage container reads it, by its own rules
        folder = subject.text(*here, "model", "modelFormat", "name") == "mlflow"
        for key in ("model", "art"):
            if isinstance(subject.at(*here, key, "storageUri"), str):
                yield (*here, key, "storageUri"), folder
        for place in subject.places(*here, "storageUris"):
            if subject.text(*place, "uri"):
                yield (*place, "uri"), False


def _storage(subject: Subject) -> Iterator[Fault]:
    for place, folder in _uris(subject):
        uri = subject.text(*place)
        found = _SCHEME.match(uri)
        shown = uri[:120]
        if found is None:
            message = f"{shown!r} has no scheme; KServe takes it for a path inside the container"
            yield Fault(place=place, message=message)
        elif found[1] not in _SCHEMES:
            message = f"{shown!r} cannot be read by KServe, which knows {', '.join(_SCHEMES)}"
            yield Fault(place=place, message=message, hint=_FIX.get(found[1].lower(), ""))
        elif not found[2]:
            message = f"{shown!r} needs // after {found[1]}:, else KServe takes it for a path inside the container"
            yield Fault(place=place, message=message)
        elif folder and not uri.endswith("/") and (found[1] == "s3" or _AZURE.fullmatch(uri)):
            message = f"{shown!r} is a folder and must end with /: KServe reads every key with this prefix"
            yield Fault(place=place, message=message)


RULES = (
    Rule(
        id="storage-uri",
        covers=("L08",),
        summary="A storage URI has a scheme that KServe reads, and a folder in S3 or Azure ends with a slash.",
        why="The webhook does not look at it: a wrong scheme fails when the pod starts. In S3 and Azure the URI is a "
        "prefix, so that without the slash a sibling model_v2 is read as part of model.",
        fix="set storage.rewrites in m2g.yaml to what the clusters can read, then run `m2g render`",
        link=issue(3899),
        check=_storage,
    ),
)
