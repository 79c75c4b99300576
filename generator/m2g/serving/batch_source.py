"""The image that a batch runs (with MLflow and the model's packages), and where it reads the model."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator

from m2g.core.finding import Finding, Severity
from m2g.core.model import Release
from m2g.serving.spec import Serving, ServingChoice

_IN_IMAGE = "/opt/ml/model"
"""The model's path in MLflow's own images and in those of `m2g image`."""
_READABLE = re.compile(r"(s3|gs|hdfs|wasbs?|abfss|pvc)://.+")
"""URIs that MLflow can read itself, and a volume claim that is mounted."""


def find_source(release: Release, serving: Serving, storage_uri: str) -> tuple[str, str]:
    """(image, model). The image is batch.image, the version's own, or the setting image; empty if there is none."""
    if serving.batch is None:
        return "", ""
    if serving.batch.image:
        return serving.batch.image, _readable_uri(release, storage_uri)
    if release.image is not None:
        has_model = release.image.profile == "mlflow-image"
        return release.image.name, _IN_IMAGE if has_model else _readable_uri(release, storage_uri)
    if serving.image:
        has_model = serving.image_server != "mlserver"
        return serving.image, _IN_IMAGE if has_model else _readable_uri(release, storage_uri)
    return "", ""


def check_batch(choice: ServingChoice, release: Release, serving: Serving) -> Iterator[Finding]:
    """Why the batch that the settings ask for cannot run."""
    if serving.batch is None:
        return
    if not choice.batch_image and not choice.profile.endswith("-image"):
        yield Finding(
            rule="image-missing",
            severity=Severity.WARNING,
            path="batch",
            message=f"version {release.version} has no image for the batch",
            hint=f"build one: m2g image {shlex.quote(release.model)} --env {release.environment} "
            "--profile mlflow-image -o DIR (then record it with --record), or set batch.image",
        )
    elif choice.batch_image and not choice.batch_model:
        yield Finding(
            rule="profile-unfit",
            path="batch",
            message=f"the batch cannot read the model from {release.artifact_uri[:200]!r}, and its image does not "
            "contain the model",
            hint="use an image with the model inside: m2g image MODEL --env NAME --profile mlflow-image -o DIR",
        )


def _readable_uri(release: Release, storage_uri: str) -> str:
    """A URI that MLflow can read. For Azure, MLflow needs Hadoop's form, KServe the https form."""
    return next((uri for uri in (storage_uri, release.artifact_uri) if _READABLE.fullmatch(uri)), "")
