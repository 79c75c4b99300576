"""Turn an artifact URI of MLflow into a URI that KServe's storage initializer can read, or refuse it.

Source of the rules: kserve-storage 0.15 to 0.21 (`Storage.download`): schemes, raw prefix listing on S3 and Azure.
tests/cluster/storage runs it.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from urllib.parse import urlsplit

from m2g.core.config_types import Rewrite
from m2g.core.errors import InputError
from m2g.core.naming import find_unprintable
from m2g.core.redact import HIDDEN

_HUB = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*(:[A-Za-z0-9][\w.-]*)?", re.ASCII)
"""owner/model:revision with names that the hub allows; KServe reads the revision after the first colon."""
_URI = re.compile(r"([a-zA-Z][a-zA-Z0-9+.-]*):(.*)", re.DOTALL)
_AZURE_HOST = re.compile(
    r"https://[a-z0-9]+\.(blob|file)\.core\.windows\.net/|https://[a-z0-9]+\.z[0-9]+\.(blob|file)\."
)
_AZURE_FS = re.compile(r"(?:wasbs?|abfss?)://([^@/]+)@([a-z0-9]+)\.(?:blob|dfs)\.core\.windows\.net/?(.*)", re.DOTALL)
_OTHER_AZURE = re.compile(
    r"(?P<prefix>(?:https|wasbs?|abfss?)://(?:[^@/]+@)?[a-z0-9]+\.(?:blob|dfs)\.core\.(?P<cloud>usgovcloudapi\.net|chinacloudapi\.cn)(?:/|$)).*",
    re.DOTALL,
)
_AZURE_SHARE = re.compile(
    r"(?P<share>https://[a-z0-9]+\.(?:file\.core\.windows\.net|z[0-9]+\.file\.storage\.azure\.net)/[^/]+/)[^/].*",
    re.DOTALL,
)
"""A folder inside of an Azure file share."""
_CLOUDS = {"usgovcloudapi.net": "Azure Government", "chinacloudapi.cn": "Azure China"}
_R2 = re.compile(r"(?P<prefix>r2://(?P<bucket>[^@:/]+)@(?P<host>[^@:/]+)(?:/|$)).*", re.DOTALL)
_HADOOP = re.compile(r"(?P<prefix>(?P<scheme>(?:web)?hdfs://)[^/]+/(?P<first>[^/]+)).*", re.DOTALL)
"""A NameNode and a path. KServe reads all that follows the scheme as a path; its secret names the NameNode."""
_PROXIED = re.compile(r"(?i:mlflow-artifacts):(?://(?P<host>[^/]*)(?:/+|$)|/+)(?P<path>.*)", re.DOTALL)
_PORTS = {"http": 80, "https": 443}
_HADOOP_S3 = re.compile(r"^s3[an]://")
_NO_NAMENODE = re.compile(r"^((?:web)?hdfs)://(?=/)/+")
_DIRECTORY_SCHEMES = ("s3", "gs", "hdfs", "webhdfs", "pvc")
_REWRITE = 'add to m2g.yaml: storage: {{rewrites: [{{from: "{}", to: "s3://bucket/prefix/"}}]}}'
_REFUSALS = {
    "mlflow-artifacts": "the tracking server proxies its artifacts, and m2g does not know where they are stored "
    "(the server's --artifacts-destination)",
    "models": "the registry did not resolve this reference",
    "runs": "the registry did not resolve this reference",
    "dbfs": "KServe has no reader for DBFS; copy the model to a bucket",
    "file": "it is a local path; copy the model to a bucket or a volume claim (pvc://)",
}


def to_cluster_uri(artifact_uri: str, rewrites: Sequence[Rewrite], allow: Sequence[str], server: str = "") -> str:
    """The storage URI for a manifest.

    m2g applies the first of `rewrites` whose prefix matches. `allow` is a list of URI prefixes. `server` is the
    registry: only its own `mlflow-artifacts://HOST/` is the store behind `mlflow-artifacts:/`.
    Raises InputError with a fix if no cluster can read the URI, or if `allow` excludes it.
    """
    normal = _normalize(artifact_uri, server)
    uri = _rewrite(normal, rewrites, server)
    if uri == normal:
        _check_namenode(artifact_uri)
    if host := _find_other_host(uri):
        raise InputError(
            f"{artifact_uri[:200]!r} is on another server than the registry, {server}",
            hint="register a model that lies in this registry; or, if both are one server, "
            + _REWRITE.format(f"mlflow-artifacts://{host}/"),
        )
    _check_cloud(uri)
    _check_text(uri)
    parts = _URI.fullmatch(uri)
    scheme = parts[1].lower() if parts else "file"
    if scheme in _REFUSALS:
        prefix = "/" if parts is None else f"{scheme}:/"
        message = f"a cluster cannot read {artifact_uri!r}: {_REFUSALS[scheme]}"
        raise InputError(message, hint=_REWRITE.format(prefix))
    uri = _check_scheme(uri, scheme)
    if not is_allowed(uri, allow):
        raise InputError(
            f"{uri!r} is outside of the storage that this environment allows",
            hint=f"add its prefix to storage.allow in m2g.yaml, such as {uri.rpartition('/')[0]}/ (now: "
            f"{', '.join(allow)}), or move the model",
        )
    return uri


def is_forbidden(artifact_uri: str, rewrites: Sequence[Rewrite], allow: Sequence[str], server: str) -> bool:
    """Whether no profile may use these artifacts, also one whose image contains the model.

    They are on another server than the registry, or in a store that `allow` excludes.
    """
    uri = _rewrite(_normalize(artifact_uri, server), rewrites, server)
    is_proxied = _PROXIED.fullmatch(uri) is not None
    return bool(_find_other_host(uri)) or not (is_proxied or is_allowed(uri, allow))


def _find_other_host(uri: str) -> str:
    """The host of a normalized `mlflow-artifacts:` URI that is not the registry's; else empty."""
    proxied = _PROXIED.fullmatch(uri)
    return "" if proxied is None else proxied["host"] or ""


def _list_hosts(server: str) -> set[str]:
    """The ways to write the host of a registry, compared as texts."""
    try:
        parts = urlsplit(server)
        port = parts.port or _PORTS.get(parts.scheme)
    except ValueError:
        return {""}
    name = parts.netloc.removesuffix(f":{port}")
    return {"", parts.netloc, f"{name}:{port}", *({name} if port == _PORTS.get(parts.scheme) else ())}


def _normalize(uri: str, server: str = "") -> str:
    """One form for URIs that MLflow writes in several: `mlflow-artifacts://host/x`, `s3a://`, Hadoop's other forms.

    A host that is not the registry's stays: another server has other models at the same path.
    """
    proxied = _PROXIED.fullmatch(uri)
    if proxied:
        host = proxied["host"] or ""
        return f"mlflow-artifacts:{'' if host in _list_hosts(server) else f'//{host}'}/{proxied['path']}"
    azure = _AZURE_FS.fullmatch(uri)
    if azure:
        return f"https://{azure[2]}.blob.core.windows.net/{azure[1]}/{azure[3]}"
    return _NO_NAMENODE.sub(r"\1://", _HADOOP_S3.sub("s3://", uri))


def _rewrite(uri: str, rewrites: Sequence[Rewrite], server: str) -> str:
    for rewrite in rewrites:
        prefix = _normalize(rewrite.from_, server)
        if _is_under(uri, prefix) and _find_other_host(uri) == _find_other_host(prefix):
            return f"{rewrite.to.rstrip('/')}/{uri[len(prefix) :].lstrip('/')}"
    return uri


def is_allowed(uri: str, allow: Sequence[str]) -> bool:
    """Whether a storage URI is inside one of the prefixes; every URI is if there are none."""
    return not allow or (".." not in uri.split("/") and any(_is_under(uri, prefix) for prefix in allow))


def _is_under(uri: str, prefix: str) -> bool:
    """Whether `uri` is `prefix` or inside it; `s3://bucket` does not contain `s3://bucket-2/x`."""
    return uri == prefix or uri.startswith(prefix if prefix.endswith("/") else f"{prefix}/")


def _check_namenode(uri: str) -> None:
    """Refuse a URI of HDFS with a NameNode: KServe would look for a folder with its name."""
    if hadoop := _HADOOP.fullmatch(uri):
        raise InputError(
            f"{uri[:200]!r} names a NameNode; KServe reads what follows {hadoop['scheme']} as the path, and takes the "
            "NameNode from its secret",
            hint="give the service account KServe's HDFS secret with this NameNode, and add to m2g.yaml: storage: "
            f'{{rewrites: [{{from: "{hadoop["prefix"]}", to: "{hadoop["scheme"]}{hadoop["first"]}"}}]}}',
        )


def _check_cloud(uri: str) -> None:
    """Refuse stores that KServe could read in another form, or in another place."""
    if azure := _OTHER_AZURE.fullmatch(uri):
        raise InputError(
            f"{uri[:200]!r} is in {_CLOUDS[azure['cloud']]}; KServe reads Azure Blob Storage at core.windows.net only",
            hint="mount the container as a volume claim (Blob CSI driver), and add to m2g.yaml: storage: {rewrites: "
            f'[{{from: "{azure["prefix"]}", to: "pvc://CLAIM/"}}]}}',
        )
    if share := _AZURE_SHARE.fullmatch(uri):
        raise InputError(
            f"{uri[:200]!r} is a folder of an Azure file share; KServe keeps the folder's path when it copies "
            "the model, and the server does not find it",
            hint="mount the share as a volume claim (Azure Files CSI driver), and add to m2g.yaml: storage: {rewrites: "
            f'[{{from: "{share["share"]}", to: "pvc://CLAIM/"}}]}}',
        )
    if r2 := _R2.fullmatch(uri):
        raise InputError(
            f"{uri[:200]!r} is in Cloudflare R2, which KServe reads as S3",
            hint=f'add to m2g.yaml: storage: {{rewrites: [{{from: "{r2["prefix"]}", to: "s3://{r2["bucket"]}/"}}]}}, '
            f"and give the service account's S3 secret the endpoint {r2['host']}",
        )


def _check_text(uri: str) -> None:
    if HIDDEN in uri:
        raise InputError(
            f"the URI had a password or a signature, which m2g removed: {uri[:200]!r}",
            hint="register the model with a URI that has none, replace the secret, and give the new one to the service "
            "account: serviceAccountName",
        )
    bad = find_unprintable(uri) or next((c for c in "\n\t?#" if c in uri), "")
    if bad:
        raise InputError(
            f"the URI {uri[:200]!r} contains {bad!r}, where KServe cuts or corrupts it",
            hint="store the model under another path and register it again",
        )
    if "@" in uri.partition("://")[2].partition("/")[0]:
        hint = "give the credentials to the service account: serviceAccountName"
        raise InputError("the URI has a user or a password", hint=hint)
    if ".." in uri.split("/"):
        raise InputError(f"the URI {uri[:200]!r} contains '..'", hint="register the model with a path without '..'")


def _check_scheme(uri: str, scheme: str) -> str:
    """The URI in the form that KServe expects. Raises InputError for a URI that KServe cannot read."""
    rest = uri.partition("://")[2]
    if scheme in ("hf", "oci"):
        if scheme == "hf" and not _HUB.fullmatch(rest):
            hint = "register it as hf://owner/model:COMMIT"
            raise InputError(f"{uri!r} does not have the form hf://owner/model[:revision]", hint=hint)
        if rest.strip("/"):
            return uri
    elif scheme in _DIRECTORY_SCHEMES and rest.strip("/"):
        return f"{uri.rstrip('/')}/" if scheme == "s3" else uri
    elif scheme == "https" and _AZURE_HOST.match(uri):
        return f"{uri.rstrip('/')}/"
    raise InputError(
        f"KServe cannot read a model directory from {uri!r}",
        hint="use s3://, gs://, hdfs://, webhdfs://, pvc://, hf://, oci:// or Azure Blob Storage; or "
        + _REWRITE.format(uri.split("/", maxsplit=1)[0] + "//…"),
    )
