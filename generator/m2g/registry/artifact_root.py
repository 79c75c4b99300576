"""Where a server keeps the files behind `mlflow-artifacts:` URIs, from the URL that it signs for a download.

No route of MLflow says it. A server that lets clients download from S3 or Google Cloud Storage directly (3.11 and
newer) signs a URL for that, and this URL names the bucket.
"""

from __future__ import annotations

import re
from urllib.parse import parse_qsl, quote, unquote, urlsplit

import msgspec

from m2g.registry.errors import RequestFailed
from m2g.registry.proxied_files import ProxiedFiles
from m2g.registry.rest import Request, RestClient

_API = "/api/2.0/mlflow-artifacts/presigned"
_FILE = "MLmodel"
_LIMIT = 64 << 10
_AWS = re.compile(r"(?:(?P<bucket>[a-z0-9][a-z0-9.-]*)\.)?s3(?:[.-][a-z0-9-]+)*\.amazonaws\.com(?:\.cn)?")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{1,254}")
_PREFIX = re.compile(r"[A-Za-z0-9!_.*'()/=-]*")
"""Keys that need no escape. Others are left to a person."""


class _Presigned(msgspec.Struct):
    url: str


def find_artifact_root(rest: RestClient, uri: str) -> str:
    """The storage URI of `mlflow-artifacts:/` on this server, with a trailing `/`; empty if the server does not tell.

    `uri` is the artifact URI of one model. Nothing is downloaded, and the signed URL is not kept.
    """
    path = ProxiedFiles(rest).find_path(uri)
    if path is None:
        return ""
    request = Request(path=f"{_API}/{quote(path)}/{_FILE}", limit=_LIMIT)
    try:
        signed = rest.get_json(request, _Presigned).url
    except RequestFailed:  # an older server, a store that signs nothing, a gateway that does not let it through
        return ""
    return read_root(signed, f"{path}/{_FILE}")


def read_root(signed: str, path: str) -> str:
    """The root from a signed URL of the file at `path` below it; empty if the form is not known."""
    try:
        parts = urlsplit(signed)
        host, key = parts.hostname or "", unquote(parts.path).lstrip("/")
    except ValueError:
        return ""
    if parts.scheme not in ("http", "https") or not (key == path or key.endswith(f"/{path}")):
        return ""
    prefix = key.removesuffix(path)
    signature = {name.lower() for name, _ in parse_qsl(parts.query)}
    aws = _AWS.fullmatch(host)
    if signature & {"x-goog-signature", "googleaccessid"}:
        scheme, bucket, prefix = "gs", *_split(prefix)
    elif aws is not None and aws["bucket"]:
        scheme, bucket = "s3", aws["bucket"]
    elif signature & {"x-amz-signature", "awsaccesskeyid"}:
        scheme, bucket, prefix = "s3", *_split(prefix)
    else:
        return ""
    if _NAME.fullmatch(bucket) is None or _PREFIX.fullmatch(prefix) is None or ".." in prefix.split("/"):
        return ""
    return f"{scheme}://{bucket}/{prefix}"


def _split(key: str) -> tuple[str, str]:
    """Bucket and prefix of a path-style URL."""
    bucket, _, prefix = key.partition("/")
    return bucket, prefix
