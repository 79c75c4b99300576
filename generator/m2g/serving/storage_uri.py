"""From the place that MLflow names to the URI that KServe's storage initializer can read, or a refusal.

Source of the rules: kserve-storage 0.15 to 0.21 (`Storage.download`): schemes, raw prefix listing on S3 and Azure.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from m2g.core.config_types import Rewrite
from m2g.core.errors import InputError
from m2g.core.naming import find_unprintable
from m2g.core.sanitize import hide_passwords

_HUB = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*(:[A-Za-z0-9][\w.-]*)?", re.ASCII)
"""owner/model:revision, as the hub allows names; KServe takes what follows the first colon for the revision."""
_URI = re.compile(r"([a-zA-Z][a-zA-Z0-9+.-]*):(.*)", re.DOTALL)
_AZURE_HOST = re.compile(
    r"https://[a-z0-9]+\.(blob|file)\.core\.windows\.net/|https://[a-z0-9]+\.z[0-9]+\.(blob|file)\."
)
_AZURE_FS = re.compile(r"(?:wasbs?|abfss?)://([^@/]+)@([a-z0-9]+)\.(?:blob|dfs)\.core\.windows\.net/?(.*)", re.DOTALL)
_PROXIED = re.compile(r"mlflow-artifacts:(?://[^/]*)?/+(.*)", re.DOTALL)
_HADOOP_S3 = re.compile(r"^s3[an]://")
_DIRECTORY_SCHEMES = ("s3", "gs", "hdfs", "webhdfs", "pvc")
_REWRITE = 'add to m2g.yaml: storage.rewrites: [{{from: "{}", to: "s3://bucket/prefix/"}}]'
_REFUSALS = {
    "mlflow-artifacts": "the tracking server proxies its artifacts; say where it keeps them (--artifacts-destination)",
    "models": "the registry did not resolve this reference to files",
    "runs": "the registry did not resolve this reference to files",
    "dbfs": "no cluster can read DBFS; copy the model to a bucket",
    "file": "a local path exists in no cluster; copy the model to a bucket or a volume claim (pvc://)",
}


def cluster_uri(artifact_uri: str, rewrites: Sequence[Rewrite], allow: Sequence[str]) -> str:
    """The storage URI to put into a manifest.

    `rewrites` are tried in order, the first prefix that fits is replaced. `allow` is a list of URI prefixes.
    Raises InputError, with the fix as its hint, for what no cluster can read or what the allow-list excludes.
    """
    uri = _rewrite(_normal(artifact_uri), rewrites)
    _refuse_odd_text(uri)
    found = _URI.fullmatch(uri)
    scheme = found[1].lower() if found else "file"
    if scheme in _REFUSALS:
        prefix = "/" if found is None else f"{scheme}:/"
        message = f"a cluster cannot read {hide_passwords(artifact_uri)!r}: {_REFUSALS[scheme]}"
        raise InputError(message, hint=_REWRITE.format(prefix))
    uri = _readable(uri, scheme)
    if allow and not any(_under(uri, prefix) for prefix in allow):
        raise InputError(
            f"{uri!r} is outside the storage that this environment allows",
            hint=f"storage.allow in m2g.yaml has {', '.join(allow)}; add the prefix or move the model",
        )
    return uri


def _normal(uri: str) -> str:
    """One spelling where MLflow has several: `mlflow-artifacts://host/x`, `s3a://`, Azure's Hadoop forms."""
    proxied = _PROXIED.fullmatch(uri)
    if proxied:
        return f"mlflow-artifacts:/{proxied[1]}"
    azure = _AZURE_FS.fullmatch(uri)
    if azure:
        return f"https://{azure[2]}.blob.core.windows.net/{azure[1]}/{azure[3]}"
    return _HADOOP_S3.sub("s3://", uri)


def _rewrite(uri: str, rewrites: Sequence[Rewrite]) -> str:
    for rewrite in rewrites:
        prefix = _normal(rewrite.from_)
        if _under(uri, prefix):
            return f"{rewrite.to.rstrip('/')}/{uri[len(prefix) :].lstrip('/')}"
    return uri


def _under(uri: str, prefix: str) -> bool:
    """Whether `uri` is `prefix` or inside it; `s3://bucket` does not contain `s3://bucket-2/x`."""
    return uri == prefix or uri.startswith(prefix if prefix.endswith("/") else f"{prefix}/")


def _refuse_odd_text(uri: str) -> None:
    bad = find_unprintable(uri) or next((c for c in "\n\t?#" if c in uri), "")
    if bad:
        raise InputError(
            f"the URI {uri[:200]!r} contains {bad!r}",
            hint="KServe cuts or corrupts it there; store the model elsewhere",
        )
    if "@" in uri.partition("://")[2].partition("/")[0]:
        raise InputError("the URI carries a user or password", hint="use the service account for credentials")
    if ".." in uri.split("/"):
        raise InputError(f"the URI {uri[:200]!r} contains '..'", hint="write the path without it")


def _readable(uri: str, scheme: str) -> str:
    rest = uri.partition("://")[2]
    if scheme in ("hf", "oci"):
        if scheme == "hf" and not _HUB.fullmatch(rest):
            raise InputError(f"{uri!r} is not of the form hf://owner/model[:revision]", hint="name owner and model")
        if rest.strip("/"):
            return uri
    elif scheme in _DIRECTORY_SCHEMES and rest.strip("/"):
        return f"{uri.rstrip('/')}/" if scheme == "s3" else uri
    elif scheme == "https" and _AZURE_HOST.match(uri):
        return f"{uri.rstrip('/')}/"
    raise InputError(
        f"KServe has no reader for a model folder at {uri!r}",
        hint="supported: s3://, gs://, hdfs://, webhdfs://, pvc://, hf://, oci://, Azure blob; else "
        + _REWRITE.format(uri.split("/", maxsplit=1)[0] + "//…"),
    )
