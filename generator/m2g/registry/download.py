"""Download the files of a model version with MLflow's own command, which knows all stores and their credentials."""

from __future__ import annotations

import fnmatch
import ipaddress
import sys
from pathlib import Path
from urllib.parse import urlsplit

from m2g.core import process
from m2g.core.errors import InputError, OutsideError
from m2g.core.model import Value
from m2g.core.process.environment import NETWORK, clean_environment
from m2g.core.redact import redact
from m2g.core.sanitize import to_one_line
from m2g.registry import artifacts
from m2g.registry.address import StoreKind, parse_address
from m2g.registry.auth import resolve_workspace
from m2g.registry.download_limits import run_bounded
from m2g.registry.errors import RequestFailed, explain_distrust

_PATIENCE = 60.0
_CLOUDS = ("s3", "gs", "wasb", "wasbs", "abfs", "abfss")
"""Stores whose host no author names. The others lead to any host of the network: ftp, sftp, hdfs, r2."""
_LOCAL = ("", "file")
"""Schemes of folders. A server's folder is not on the disk of another machine, such as a runner of CI."""
_HINT = "download the model yourself and pass --model-dir DIR"
_PASSED = (
    *NETWORK,
    *("HOME", "XDG_CONFIG_HOME", "MLFLOW_*", "AWS_*", "BOTO_CONFIG", "AZURE_*", "GOOGLE_*", "CLOUDSDK_*", "GCE_*"),
    *("KRB5*", "HADOOP_*", "JAVA_HOME", "CLASSPATH", "ARROW_LIBHDFS_DIR", "DATABRICKS_*", "OSS_*", "B2_*"),
)
"""What MLflow needs to find its server and the stores of its artifacts."""
_OF_SERVER = "MLFLOW_TRACKING_*"
"""The variables with a server's address and its credentials."""


class ModelDownload(Value, frozen=True, kw_only=True):
    """A version to download. If `distrust` says why credentials are not for its server, MLflow gets none at all.

    `workspace` is that of m2g.yaml; empty means MLFLOW_WORKSPACE, else the server's default one.
    """

    name: str
    number: str
    workspace: str = ""
    distrust: str = ""


def download_version(wanted: ModelDownload, tracking_uri: str, to: Path, *, root: Path) -> Path:
    """Download a version into `to`, and return the folder that contains its MLmodel.

    A relative tracking URI is relative to `root`. MLflow runs in `to`, so that it imports nothing from the repository.
    Raises OutsideError if MLflow is missing, fails or leaves the bounds, and the errors of `find_place`.
    """
    place = "" if wanted.distrust else find_place(wanted, tracking_uri)
    uri = place or f"models:/{wanted.name}/{wanted.number}"
    ran = run_bounded(
        [*_find_mlflow(), "artifacts", "download", f"--artifact-uri={uri}", f"--dst-path={to}"],
        to,
        {
            **_make_environment(wanted, tracking_uri, to),
            "MLFLOW_TRACKING_URI": _make_absolute(tracking_uri, root),
            "MLFLOW_DISABLE_TELEMETRY": "true",
        },
    )
    found = sorted(to.rglob("MLmodel"), key=lambda path: len(path.parts))
    if ran.code != 0 or not found:
        last = (ran.last or "it gave no reason") if ran.code else "there is no MLmodel file"
        message = _describe_failure(wanted, redact(last)[:500])
        if wanted.distrust:
            raise explain_distrust(tracking_uri, OutsideError(message), wanted.distrust)
        raise OutsideError(message, hint=_HINT)
    return found[0].parent


def _make_environment(wanted: ModelDownload, tracking_uri: str, to: Path) -> dict[str, str]:
    """A store without a server has no use for the credentials of one: MLflow would send them wherever a version is."""
    workspace = {"MLFLOW_WORKSPACE": wanted.workspace} if wanted.workspace else {}
    if wanted.distrust:
        return clean_environment(NETWORK) | {"HOME": str(to)} | workspace
    passed = clean_environment(_PASSED) | workspace
    if parse_address(tracking_uri).kind is StoreKind.SERVER:
        return passed
    return {name: text for name, text in passed.items() if not fnmatch.fnmatchcase(name, _OF_SERVER)}


def find_place(wanted: ModelDownload, tracking_uri: str) -> str:
    """The URI of the files of a version that a server has, and empty for another store.

    MLflow gets this URI and looks up nothing again: the author of the version could change the answer in between.
    Raises InputError if it is on another web server than the registry. MLflow sends the registry's credentials to
    whatever server the author names, and lets that author ask any address of the network with the machine's own.
    """
    address = parse_address(tracking_uri)
    if address.kind is not StoreKind.SERVER:
        return ""
    from m2g.registry.facts_api import FactsReader  # httpx takes 0.1 s to import
    from m2g.registry.rest import RestClient

    with RestClient(address, workspace=resolve_workspace(wanted.workspace), patience=_PATIENCE) as client:
        try:
            uri = FactsReader(client, lambda what, done, total: None).find_artifacts(wanted.name, wanted.number)
        except RequestFailed as error:
            raise OutsideError(_describe_failure(wanted, error.message), hint=error.hint or _HINT) from error
    if not (_is_here(uri, address.identity) or (_is_local(uri) and _is_this_machine(address.identity))):
        place = to_one_line(uri.partition("?")[0])
        raise InputError(
            f"the files of version {wanted.number} of {wanted.name!r} are at {place}, and MLflow would go there with "
            f"the credentials for {address.identity}",
            hint=_HINT,
        )
    return uri


def _is_here(uri: str, server: str) -> bool:
    """Whether MLflow asks no web server but this one for the artifacts at a URI.

    Hosts are compared as texts: what one program reads as a user's name is a host for another.
    """
    try:
        here, there = urlsplit(server), urlsplit(uri)
    except ValueError:
        return False
    port = here.port or {"http": 80, "https": 443}[here.scheme]
    same = {here.netloc, f"{here.netloc.removesuffix(f':{port}')}:{port}"}
    match there.scheme:
        case "mlflow-artifacts":
            return there.netloc in {"", *same}
        case "http" | "https":
            return there.scheme == here.scheme and there.netloc in same
        case scheme:
            return scheme in _CLOUDS


def _is_local(uri: str) -> bool:
    """Whether MLflow would read the files from the disk of this machine, whoever's they are."""
    scheme, colon, _ = uri.partition(":")
    return (scheme.lower() if colon else "") in _LOCAL and not uri.startswith("//")


def _is_this_machine(server: str) -> bool:
    """Whether a person runs the server here: then its files on this disk are the same for both."""
    name = urlsplit(server).hostname or ""
    try:
        return name == "localhost" or ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False


def _describe_failure(wanted: ModelDownload, reason: str) -> str:
    return f"mlflow cannot download version {wanted.number} of {wanted.name!r}: {reason}"


def _find_mlflow() -> list[str]:
    """The mlflow of m2g's own environment, else the one on PATH. Never one that a model brought."""
    if (Path(sys.executable).parent / "mlflow").is_file():
        return [sys.executable, "-P", "-m", "mlflow"]
    program = process.find_program("mlflow")
    if not program:
        hint = f"install it (python -m pip install mlflow), or {_HINT}"
        raise OutsideError("mlflow is not installed; m2g needs it to download the model's files", hint=hint)
    return [program]


def _make_absolute(uri: str, root: Path) -> str:
    match parse_address(uri).kind:
        case StoreKind.SQLITE:
            scheme, _, rest = uri.partition(":///")
            path, mark, query = rest.partition("?")
            return f"{scheme}:///{root / path}{mark}{query}"
        case StoreKind.FOLDER:
            folder = artifacts.find_local_path(uri)
            return uri if folder is None else (root.absolute() / folder).as_uri()
        case _:
            return uri
