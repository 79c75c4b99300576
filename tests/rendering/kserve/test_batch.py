"""Batch predictions: a Job or a CronJob beside the service; another version is another Job."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import msgspec
import pytest

from m2g.changes.update import RenderOptions
from m2g.commands.validate import ValidateOptions, validate
from m2g.core import manifest
from m2g.core.finding import Finding
from m2g.core.model import Image, Release
from tests.support.fleet import FakeRegistry, release, repository, run, write_record

IMAGE = "ghcr.io/acme/models/wine@sha256:" + "5f" * 32
JOB: dict[str, object] = {"input": "s3://rows/new/wine.csv", "output": "s3://rows/done/wine.json"}


def world(
    root: Path, batch: Mapping[str, object], record: Release | None = None, **settings: object
) -> tuple[Path, tuple[Finding, ...]]:
    repository(root)
    default = release(image=Image(name=IMAGE, profile="mlflow-image"))
    write_record(root, "wine", record or default)
    text = msgspec.json.encode({"settings": {"batch": batch, **settings}}).decode()
    (root / "models/wine/model.yaml").write_text(text)
    return root, run(root, FakeRegistry(), RenderOptions(locked=True)).findings


def made(root: Path) -> manifest.Manifest:
    (item,) = manifest.read_all((root / "models/wine/overlays/prod/batch.yaml").read_text())
    assert isinstance(item, dict)
    return item


def test_a_job_with_the_image_of_the_version(tmp_path: Path) -> None:
    root, findings = world(tmp_path, JOB, serviceAccountName="models", env={"AWS_REGION": "eu-west-1"})
    assert findings == ()
    assert [finding for finding in validate(root, ValidateOptions()).findings if finding.severity == "error"] == []
    job = made(root)
    assert (job["kind"], job["apiVersion"]) == ("Job", "batch/v1")
    pod = manifest.get_at(job, "spec", "template", "spec")
    assert manifest.get_at(pod, "restartPolicy") == "Never"
    assert manifest.get_at(pod, "serviceAccountName") == "models"
    assert manifest.get_at(pod, "automountServiceAccountToken") is False
    container = manifest.get_at(pod, "containers", 0)
    assert manifest.get_at(container, "image") == IMAGE
    assert manifest.get_at(container, "securityContext", "runAsNonRoot") is True
    variables = manifest.get_at(container, "env")
    assert isinstance(variables, list)
    env = {item["name"]: item["value"] for item in variables}
    assert env["M2G_MODEL"] == "/opt/ml/model"
    assert env["AWS_REGION"] == "eu-west-1"
    assert manifest.get_at(container, "resources", "limits") == {"cpu": "1", "memory": "2Gi"}


def test_another_version_is_another_job_and_the_same_one_stays(tmp_path: Path) -> None:
    root, _ = world(tmp_path, JOB)
    first = manifest.get_at(made(root), "metadata", "name")
    assert run(root, FakeRegistry(), RenderOptions(locked=True)).files == ()
    world(tmp_path, JOB, release(version="2", image=Image(name=IMAGE, profile="mlflow-image")))
    second = manifest.get_at(made(root), "metadata", "name")
    assert first != second
    world(
        tmp_path, {**JOB, "contentType": "json"}, release(version="2", image=Image(name=IMAGE, profile="mlflow-image"))
    )
    assert manifest.get_at(made(root), "metadata", "name") not in (first, second)
    names = {str(name) for name in (first, second)}
    assert all(name.startswith("wine-batch-") and len(name) == len("wine-batch-") + 8 for name in names)


def test_a_schedule_is_a_cron_job_that_does_not_overlap(tmp_path: Path) -> None:
    batch = {
        **JOB,
        "schedule": "0 3 * * mon-fri",
        "timeZone": "Europe/Berlin",
        "resources": {"limits": {"memory": "8Gi"}},
    }
    root, findings = world(tmp_path, batch, release(slug := "wine", image=Image(name=IMAGE, profile="mlserver-image")))
    assert findings == ()
    assert [finding for finding in validate(root, ValidateOptions()).findings if finding.severity == "error"] == []
    job = made(root)
    assert (job["kind"], manifest.get_at(job, "metadata", "name")) == ("CronJob", f"{slug}-batch")
    assert manifest.get_at(job, "spec", "concurrencyPolicy") == "Forbid"
    assert manifest.get_at(job, "spec", "timeZone") == "Europe/Berlin"
    container = manifest.get_at(job, "spec", "jobTemplate", "spec", "template", "spec", "containers", 0)
    assert manifest.get_at(container, "resources", "limits") == {"cpu": "1", "memory": "8Gi"}
    variables = manifest.get_at(container, "env")
    assert isinstance(variables, list)
    assert {"name": "M2G_MODEL", "value": "s3://mlflow/1/models/m-1/artifacts/"} in variables


def test_claims_are_mounted(tmp_path: Path) -> None:
    batch = {"input": "pvc://rows/new/wine.csv", "output": "pvc://done/wine.json"}
    root, findings = world(tmp_path, batch)
    assert findings == ()
    assert [finding for finding in validate(root, ValidateOptions()).findings if finding.severity == "error"] == []
    pod = manifest.get_at(made(root), "spec", "template", "spec")
    assert manifest.get_at(pod, "volumes") == [
        {"name": "claim-0", "persistentVolumeClaim": {"claimName": "done"}},
        {"name": "claim-1", "persistentVolumeClaim": {"claimName": "rows"}},
    ]
    assert manifest.get_at(pod, "containers", 0, "volumeMounts", 1, "mountPath") == "/mnt/claims/rows"


def test_without_an_image_it_says_how_to_get_one(tmp_path: Path) -> None:
    _, findings = world(tmp_path, JOB, release())
    assert [finding.rule for finding in findings] == ["image-missing"]
    assert "--profile mlflow-image" in findings[0].hint
    root, findings = world(tmp_path, {**JOB, "image": IMAGE}, release())
    assert findings == ()
    assert manifest.get_at(made(root), "spec", "template", "spec", "containers", 0, "image") == IMAGE
    _, findings = world(tmp_path, {**JOB, "image": IMAGE}, release(artifact_uri=f"hf://a/b:{'0' * 40}"))
    assert [(finding.rule, finding.path) for finding in findings] == [("profile-unfit", "batch")]


@pytest.mark.parametrize(
    ("batch", "path"),
    [
        ({}, ""),
        ({"input": "s3://b/x.csv"}, ""),
        ({**JOB, "output": JOB["input"]}, "output"),
        ({**JOB, "input": "wine.csv"}, "input"),
        ({**JOB, "input": "https://h/x.csv"}, "input"),
        ({**JOB, "input": "s3://b/"}, "input"),
        ({**JOB, "input": "s3://user:pw@b/x.csv"}, "input"),
        ({**JOB, "input": "s3://b/../x.csv"}, "input"),
        ({**JOB, "input": "s3://b/x y.csv"}, "input"),
        ({**JOB, "input": "s3://b/$(AWS_SECRET_ACCESS_KEY)/x.csv"}, "input"),
        ({**JOB, "output": "s3://b/x.csv?v=1"}, "output"),
        ({**JOB, "input": "pvc://Claim/x.csv"}, "input"),
        ({**JOB, "schedule": "daily"}, "schedule"),
        ({**JOB, "schedule": "60 * * * *"}, "schedule"),
        ({**JOB, "schedule": "0 0 0 * *"}, "schedule"),
        ({**JOB, "schedule": "TZ=UTC 0 3 * * *"}, "schedule"),
        ({**JOB, "schedule": "*/0 * * * *"}, "schedule"),
        ({**JOB, "schedule": "5-1 * * * *"}, "schedule"),
        ({**JOB, "timeZone": "Europe/Berlin"}, "timeZone"),
        ({**JOB, "schedule": "@daily", "timeZone": "Local"}, "timeZone"),
        ({**JOB, "image": "ghcr.io/acme/wine:2"}, "image"),
        ({**JOB, "resources": {"requests": {"cpu": 4}}}, "resources.requests.cpu"),
    ],
)
def test_what_cannot_be_is_named_by_its_setting(tmp_path: Path, batch: dict[str, object], path: str) -> None:
    _, findings = world(tmp_path, batch)
    assert (findings[0].rule, findings[0].path) == ("setting-contradiction", f"settings.batch.{path}".rstrip("."))
    assert findings[0].hint


@pytest.mark.parametrize(
    "schedule", ["* * * * *", "*/15 0-6 1,15 jan-mar mon", "0 3 ? * 1-5", "@hourly", "0 0 31 12 6"]
)
def test_schedules_that_kubernetes_takes(tmp_path: Path, schedule: str) -> None:
    assert world(tmp_path, {**JOB, "schedule": schedule})[1] == ()


def test_layers_of_a_batch_are_laid_field_by_field(tmp_path: Path) -> None:
    root = repository(tmp_path)
    write_record(root, "wine", release(image=Image(name=IMAGE, profile="mlflow-image")))
    own = {"settings": {"batch": {**JOB, "resources": {"limits": {"cpu": 2}}}}}
    own |= {
        "environments": {
            "prod": {"settings": {"batch": {"schedule": "@daily", "resources": {"limits": {"memory": "3Gi"}}}}}
        }
    }
    (root / "models/wine/model.yaml").write_text(msgspec.json.encode(own).decode())
    assert run(root, FakeRegistry(), RenderOptions(locked=True)).findings == ()
    job = made(root)
    container = manifest.get_at(job, "spec", "jobTemplate", "spec", "template", "spec", "containers", 0)
    assert manifest.get_at(container, "resources", "limits") == {"cpu": "2", "memory": "3Gi"}
