"""Where the model is read from: schemes that KServe's storage initializer supports, and the slash after a directory."""

from __future__ import annotations

import re
from collections.abc import Iterator

from m2g.core.schema_errors import Violation
from m2g.core.setting_fields import KserveVersion
from m2g.validation.rules.containers import Place
from m2g.validation.rules.rule import CheckedObject, Rule, at_least, issue_url

_ALWAYS = ("s3", "gs", "hdfs", "webhdfs", "https", "http", "hf", "pvc", "oci")
_SINCE: tuple[tuple[KserveVersion, tuple[str, ...]], ...] = (
    ("0.20", ("oci+native",)),
    ("0.21", ("oci+modelcar", "oci+fetch", "modelscope")),
)
_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*):(//)?")
_AZURE = re.compile(r"https://[a-z0-9]+\.(blob\.core\.windows\.net|z[0-9]+\.blob\.storage\.azure\.net)/.+")
_FIX = {
    "models": "remove the patch that sets it; `m2g render` writes the URI that models:/ stands for",
    "runs": "remove the patch that sets it; `m2g render` writes the URI that runs:/ stands for",
    "mlflow-artifacts": "add an entry to storage.rewrites in m2g.yaml that maps mlflow-artifacts: to the artifact root "
    "of the server, then run `m2g render`",
    "file": "add an entry to storage.rewrites in m2g.yaml that maps it to what the cluster can read, such as "
    "pvc://claim/path, then run `m2g render`",
    "dbfs": "copy the model to a bucket, or serve it from an image: set settings.image in model.yaml",
    "wasbs": "use https://<account>.blob.core.windows.net/<container>/<path>/",
    "abfss": "use https://<account>.blob.core.windows.net/<container>/<path>/",
    "s3a": "use s3://",
}


def _uris(obj: CheckedObject) -> Iterator[tuple[Place, bool]]:
    """The place of every URI, and whether it is known to be a directory (an MLflow model always is)."""
    others: list[Place] = [("spec", name) for name in ("transformer", "explainer")]
    for here in (*obj.predictors, *others):
        if not obj.mapping(*here) or obj.text(*here, "storageContainerName"):
            continue  # the cluster's own storage container reads it, and has rules of its own
        directory = obj.text(*here, "model", "modelFormat", "name") == "mlflow"
        for key in ("model", "art"):
            if isinstance(obj.at(*here, key, "storageUri"), str):
                yield (*here, key, "storageUri"), directory
        for place in obj.places(*here, "storageUris"):
            if obj.text(*place, "uri"):
                yield (*place, "uri"), False


def _schemes(kserve: KserveVersion) -> tuple[str, ...]:
    return (*_ALWAYS, *(scheme for since, schemes in _SINCE if at_least(kserve, since) for scheme in schemes))


def _check_storage(obj: CheckedObject) -> Iterator[Violation]:
    schemes = _schemes(obj.kserve)
    for place, directory in _uris(obj):
        uri = obj.text(*place)
        scheme = _SCHEME.match(uri)
        shown = uri[:120]
        if scheme is None:
            message = f"is {shown!r}, without a scheme; KServe treats it as a path inside the container"
            yield Violation(where=place, message=message)
        elif scheme[1] not in schemes:
            message = f"is {shown!r}, which KServe {obj.kserve} cannot read; it supports {', '.join(schemes)}"
            yield Violation(where=place, message=message, hint=_FIX.get(scheme[1].lower(), ""))
        elif not scheme[2]:
            message = f"is {shown!r}; without // KServe treats it as a path inside the container"
            yield Violation(where=place, message=message, hint=f"write // after {scheme[1]}:")
        elif directory and not uri.endswith("/") and (scheme[1] == "s3" or _AZURE.fullmatch(uri)):
            message = f"is {shown!r}, a directory, so it must end with /; KServe reads every key with this prefix"
            yield Violation(where=place, message=message, hint="add / at the end")


RULES = (
    Rule(
        id="storage-uri",
        covers=("L08",),
        summary="A storage URI has a supported scheme; a directory in S3 or Azure ends with a slash.",
        why="The webhook does not check it: with a wrong scheme the pod fails to start. In S3 and Azure the URI is a "
        "prefix, so without the slash KServe reads a sibling model_v2 as part of model. On Azure, newer versions of "
        "KServe remove the slash again.",
        fix="set storage.rewrites in m2g.yaml to what the clusters can read, then run `m2g render`",
        link=issue_url(3899),
        check=_check_storage,
    ),
)
