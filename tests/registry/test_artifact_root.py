"""The place of the files behind a server, from the URL that it signs."""

from __future__ import annotations

import pytest

from m2g.registry import KnowsArtifactRoot, open_registry
from m2g.registry.artifact_root import read_root
from tests.support.fake_server import Answer, Asked, fake, good, no

PATH = "1/models/m-7/artifacts/MLmodel"
AMZ = "X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=A%2F20260101&X-Amz-Signature=0f"


@pytest.mark.parametrize(
    ("signed", "root"),
    [
        (f"https://acme-ml.s3.amazonaws.com/{PATH}?{AMZ}", "s3://acme-ml/"),
        (f"https://acme-ml.s3.eu-central-1.amazonaws.com/mlflow/prod/{PATH}?{AMZ}", "s3://acme-ml/mlflow/prod/"),
        (f"https://s3.us-east-2.amazonaws.com/acme-ml/mlflow/{PATH}?{AMZ}", "s3://acme-ml/mlflow/"),
        (f"http://minio.acme.example:9000/mlflow/{PATH}?{AMZ}", "s3://mlflow/"),
        (f"http://minio.acme.example/mlflow/a/{PATH}?AWSAccessKeyId=A&Signature=b&Expires=1", "s3://mlflow/a/"),
        (f"https://storage.googleapis.com/acme/ml/{PATH}?X-Goog-Signature=0f", "gs://acme/ml/"),
        (f"https://s3.amazonaws.com.evil.example/{PATH}", ""),
        (f"https://acme.blob.core.windows.net/models/{PATH}?sig=x", ""),
        (f"https://minio.example/mlflow/other/{PATH}x?{AMZ}", ""),
        (f"https://minio.example/b/../c/{PATH}?{AMZ}", ""),
        (f"https://minio.example/b/${{x}}/{PATH}?{AMZ}", ""),
        (f"https://minio.example/b/a%0Ab/{PATH}?{AMZ}", ""),
        (f"file:///b/{PATH}?{AMZ}", ""),
        ("https://[", ""),
        ("", ""),
    ],
)
def test_a_signed_url_names_the_bucket_or_nothing(signed: str, root: str) -> None:
    assert read_root(signed, PATH) == root


@pytest.mark.parametrize(
    ("answer", "root"),
    [
        (good({"url": f"http://minio:9000/mlflow/a/{PATH}?{AMZ}", "headers": {}}), "s3://mlflow/a/"),
        (no(501, "NOT_IMPLEMENTED", "no presigned URLs"), ""),
        (no(404, "ENDPOINT_NOT_FOUND", "unknown"), ""),
        (Answer(status=404, body=b"not found", kind="text/plain"), ""),
        (Answer(status=200, body=b"<html>", kind="text/html"), ""),
        (good({"uri": 1}), ""),
    ],
)
def test_a_server_says_it_or_does_not(answer: Answer, root: str) -> None:
    def script(asked: Asked) -> Answer:
        assert asked.path == f"/api/2.0/mlflow-artifacts/presigned/{PATH}"
        return answer

    with fake(script) as server:
        registry = open_registry(server.url, patience=1)
        assert isinstance(registry, KnowsArtifactRoot)
        assert registry.find_artifact_root("mlflow-artifacts:/1/models/m-7/artifacts") == root
        assert registry.find_artifact_root("mlflow-artifacts://other.example/1/models/m-7/artifacts") == ""
        assert registry.find_artifact_root("s3://mlflow/1") == ""
        assert len(server.asked) == 1
