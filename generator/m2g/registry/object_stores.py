"""Read a model's files from S3, Google Cloud Storage and Azure, where no MLflow server serves them.

Each store has a package of its own (the extras `s3`, `gcs` and `azure`). Credentials and endpoints are those that
MLflow's own clients take: the variables of the store's package, MLFLOW_S3_ENDPOINT_URL, and the machine's identity.
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable, Iterable, Mapping
from urllib.parse import unquote, urlsplit

from m2g.core.sanitize import to_one_line
from m2g.registry.errors import RequestFailed, TooLarge
from m2g.registry.normalize import join_path

_CONNECT, _READ = 5, 20
_TOTAL = 60.0
"""Seconds for one file."""
_START = 16
"""How many more bytes than the limit are read, so that a file that is too large is known by its start."""
_CHUNK = 64 << 10
_AZURE = "'azure-storage-blob>=12.19,<13' 'azure-identity>=1.15,<2'"
_PACKAGES = {
    "s3": "'boto3>=1.34,<2'",
    "gs": "'google-cloud-storage>=2.14,<4'",
    **dict.fromkeys(("wasb", "wasbs", "abfs", "abfss"), _AZURE),
}
"""Scheme of a store to the packages that read it, as the extras of m2g have them."""
_AZURE_HOST = re.compile(
    r"(?P<account>[a-z0-9]{3,24})\.(blob|dfs)\.(?P<cloud>core\.(windows\.net|usgovcloudapi\.net|chinacloudapi\.cn))"
)
"""Only Microsoft's hosts: a token of the machine must not go to a host that an author names."""


def is_known(uri: str) -> bool:
    """Whether it is a URI of a store that m2g reads itself."""
    return urlsplit(uri).scheme in _PACKAGES


def read(uri: str, name: str, limit: int) -> bytes | None:
    """The file `name` below a URI, or None if the store does not have it.

    Raises TooLarge, and RequestFailed if the store cannot be read here. Nothing beyond the limit is downloaded.
    """
    place = join_path(uri, name)
    try:
        content = _READERS[urlsplit(uri).scheme](place, limit + _START)
    except ImportError as error:
        text, hint = explain_missing_package(place, error)
        raise RequestFailed(text, hint=hint) from error
    except RequestFailed:
        raise
    except Exception as error:  # each package has its own exceptions
        reason = to_one_line(f"{type(error).__name__}: {error}")[:300]
        hint = "give m2g read access to the store (docs/how-to/mlflow-server.md), or let the MLflow server read it"
        raise RequestFailed(f"{place} cannot be read here: {reason}", hint=hint) from error
    if content is not None and len(content) > limit:
        raise TooLarge(f"{place}: larger than {limit >> 10} KiB", start=content)
    return content


def explain_missing_package(place: str, error: ImportError) -> tuple[str, str]:
    """Message and hint: each store is read with a package that neither m2g nor MLflow installs."""
    packages = _PACKAGES.get(urlsplit(place).scheme, "")
    text = f"{place} cannot be read here: {to_one_line(str(error))}"
    hint = "or set registry.uri to an MLflow server that reads the store itself"
    if not packages:
        return text, f"install the package that MLflow needs for this store, {hint}"
    return text, f"python -m pip install {packages}, {hint}"


def _read_s3(place: str, most: int) -> bytes | None:
    import botocore.config
    from boto3 import client as make_client
    from botocore.exceptions import ClientError

    bucket, key = _split(place)
    style = os.environ.get("MLFLOW_BOTO_CLIENT_ADDRESSING_STYLE", "auto")
    settings = botocore.config.Config(
        connect_timeout=_CONNECT, read_timeout=_READ, retries={"total_max_attempts": 2}, s3={"addressing_style": style}
    )
    ignore = os.environ.get("MLFLOW_S3_IGNORE_TLS", "").lower() in ("1", "true")
    client = make_client(
        "s3",
        endpoint_url=os.environ.get("MLFLOW_S3_ENDPOINT_URL") or None,
        verify=False if ignore else None,
        config=settings,
    )
    try:
        body = client.get_object(Bucket=bucket, Key=key)["Body"]
    except ClientError as error:
        if error.response.get("Error", {}).get("Code") in ("NoSuchKey", "404"):
            return None
        raise
    with body:
        return _take(body.iter_chunks(_CHUNK), most, place)


def _read_gcs(place: str, most: int) -> bytes | None:
    from google.api_core.exceptions import NotFound, RequestRangeNotSatisfiable
    from google.cloud import storage

    bucket, key = _split(place)
    blob = storage.Client().bucket(bucket).blob(key)
    try:
        content = blob.download_as_bytes(end=most - 1, timeout=(_CONNECT, _READ), retry=None, raw_download=True)
    except NotFound:
        return None
    except RequestRangeNotSatisfiable:  # an empty file has no first byte
        return b""
    return bytes(content)


def _read_azure(place: str, most: int) -> bytes | None:
    parts = urlsplit(place)
    host = _AZURE_HOST.fullmatch(parts.hostname or "")
    if host is None or not parts.username:
        raise RequestFailed(
            f"{place} is not on a host of Azure Blob Storage", hint="let the MLflow server read the store"
        )
    from azure.core.exceptions import ResourceNotFoundError
    from azure.storage.blob import BlobServiceClient

    options = {"connection_timeout": _CONNECT, "read_timeout": _READ, "retry_total": 1}
    if text := os.environ.get("AZURE_STORAGE_CONNECTION_STRING"):
        service = BlobServiceClient.from_connection_string(text, **options)
    else:
        key = os.environ.get("AZURE_STORAGE_ACCESS_KEY")
        account = f"https://{host['account']}.blob.{host['cloud']}"
        service = BlobServiceClient(account, credential=key or _find_azure_identity(), **options)
    blob = service.get_blob_client(parts.username, unquote(parts.path).lstrip("/"))
    try:
        return _take(blob.download_blob(offset=0, length=most).chunks(), most, place)
    except ResourceNotFoundError:
        return None


def _find_azure_identity() -> object:
    from azure.identity import DefaultAzureCredential

    return DefaultAzureCredential()


def _split(place: str) -> tuple[str, str]:
    """Bucket and key."""
    _, _, rest = place.partition("://")
    bucket, _, key = rest.partition("/")
    return bucket, key


def _take(chunks: Iterable[bytes], most: int, place: str) -> bytes:
    """The first `most` bytes. Raises RequestFailed if they do not come in time."""
    end, found = time.monotonic() + _TOTAL, bytearray()
    for chunk in chunks:
        found += chunk
        if len(found) >= most:
            break
        if time.monotonic() > end:
            raise RequestFailed(f"{place}: waited {_TOTAL:.0f} s in vain", hint="check the network to the store")
    return bytes(found[:most])


_READERS: Mapping[str, Callable[[str, int], bytes | None]] = {
    "s3": _read_s3,
    "gs": _read_gcs,
    **dict.fromkeys(("wasb", "wasbs", "abfs", "abfss"), _read_azure),
}
