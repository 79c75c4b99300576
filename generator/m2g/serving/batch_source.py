"""What a batch runs: the image with MLflow and the model's packages, and where it finds the model."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator

from m2g.core.finding import Finding, Severity
from m2g.core.model import Release
from m2g.serving.spec import Chosen, Serving

_IN_IMAGE = "/opt/ml/model"
"""Where MLflow's own images and those of `m2g image` have the model."""
_READABLE = re.compile(r"(s3|gs|hdfs|wasbs?|abfss|pvc)://.+")
"""What MLflow reads by itself, and a claim that is mounted."""


def source(release: Release, serving: Serving, storage_uri: str) -> tuple[str, str]:
    """(image, model): a person's image for batches, the version's own, a person's for serving; else empty."""
    if serving.batch is None:
        return "", ""
    if serving.batch.image:
        return serving.batch.image, _place(release, storage_uri)
    if release.image is not None:
        whole = release.image.profile == "mlflow-image"
        return release.image.name, _IN_IMAGE if whole else _place(release, storage_uri)
    if serving.image:
        return serving.image, _IN_IMAGE if serving.image_server != "mlserver" else _place(release, storage_uri)
    return "", ""


def unfit(made: Chosen, release: Release, serving: Serving) -> Iterator[Finding]:
    """Why a batch that was asked for cannot run."""
    if serving.batch is None:
        return
    if not made.batch_image and not made.profile.endswith("-image"):
        yield Finding(
            rule="image-missing",
            severity=Severity.WARNING,
            path="batch",
            message=f"version {release.version} has no image that a batch could run in",
            hint=f"`m2g image {shlex.quote(release.model)} --env {release.environment} --profile mlflow-image -o DIR` "
            "writes what builds one, and --record notes it; or set batch.image",
        )
    elif made.batch_image and not made.batch_model:
        yield Finding(
            rule="profile-unfit",
            path="batch",
            message=f"a batch cannot read the model at {release.artifact_uri[:200]!r}, and its image does not have it",
            hint="use an image of the profile mlflow-image, which has the model inside",
        )


def _place(release: Release, storage_uri: str) -> str:
    """MLflow has Hadoop's form of an Azure address, KServe the web's."""
    return next((uri for uri in (storage_uri, release.artifact_uri) if _READABLE.fullmatch(uri)), "")
