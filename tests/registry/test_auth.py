"""How m2g enters a server: MLflow's variables and credentials file, certificates; and which URIs it reads."""

from __future__ import annotations

import datetime
import ipaddress
from base64 import b64encode
from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from m2g.core.errors import InputError, OutsideError
from m2g.registry import open_registry
from tests.support.fake_server import Answer, Fake, fake, good, no
from tests.support.machine import seconds

EMPTY: Answer = good({})


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HOME", str(tmp_path))
    return tmp_path


@pytest.fixture
def server() -> Iterator[Fake]:
    with fake(lambda asked: EMPTY) as running:
        yield running


def basic(pair: str) -> str:
    return "Basic " + b64encode(pair.encode()).decode()


USER, PASSWORD, TOKEN = "MLFLOW_TRACKING_USERNAME", "MLFLOW_TRACKING_PASSWORD", "MLFLOW_TRACKING_TOKEN"
FILE = f"[mlflow]\n{USER.lower()} = filed\n{PASSWORD.lower()} = 100%%\n".replace("%%", "%")
HEADERS: dict[str, tuple[str, dict[str, str], str, str | None]] = {
    "nothing": ("", {}, "", None),
    "a pair": ("", {USER: "ada", PASSWORD: "pä:ss"}, "", basic("ada:pä:ss")),
    "a token": ("", {TOKEN: "abc.def\n"}, "", "Bearer abc.def"),
    "a pair before a token": ("", {USER: "ada", PASSWORD: "x", TOKEN: "t"}, "", basic("ada:x")),
    "the URI before all": ("eve:p%40ss@", {USER: "ada", PASSWORD: "x"}, "", basic("eve:p@ss")),
    "the file": ("", {}, FILE, basic("filed:100%")),
    "a variable before the file": ("", {PASSWORD: "own"}, FILE, basic("filed:own")),
    "a file of something else": ("", {}, "[other]\na = b\n", None),
}


@pytest.mark.parametrize("case", HEADERS.values(), ids=HEADERS)
def test_credentials(
    case: tuple[str, dict[str, str], str, str | None], home: Path, server: Fake, monkeypatch: pytest.MonkeyPatch
) -> None:
    before_host, variables, stored, expected = case
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    if stored:
        (home / ".mlflow").mkdir()
        (home / ".mlflow/credentials").write_text(stored)
    registry = open_registry(server.url.replace("://", f"://{before_host}"))
    registry.list_models()
    assert registry.identity == server.url
    assert server.asked[0].headers.get("Authorization") == expected


WRONG = {
    "half a pair": ({USER: "ada"}, "", "MLFLOW_TRACKING_PASSWORD is missing"),
    "the other half": ({PASSWORD: "hush"}, "", "MLFLOW_TRACKING_USERNAME is missing"),
    "two lines": ({TOKEN: "hush\nhush"}, "", "MLFLOW_TRACKING_TOKEN contains invalid characters"),
    "not ASCII": ({TOKEN: "hüsh hush"}, "", "MLFLOW_TRACKING_TOKEN contains invalid characters"),
    "no INI": ({}, "hush", "credentials is not a valid INI file"),
}


@pytest.mark.parametrize("case", WRONG.values(), ids=WRONG)
def test_wrong_credentials_are_named_and_not_shown(
    case: tuple[dict[str, str], str, str], home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    variables, stored, message = case
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    if stored:
        (home / ".mlflow").mkdir()
        (home / ".mlflow/credentials").write_text(stored)
    with pytest.raises(InputError, match=message) as raised:
        open_registry("http://127.0.0.1:9")
    assert "hush" not in raised.value.message + raised.value.hint


@pytest.mark.usefixtures("home")
def test_an_authentication_plugin_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_AWS_SIGV4", "true")
    with fake(lambda asked: no(401, "UNAUTHENTICATED", "?")) as running, pytest.raises(InputError) as raised:
        open_registry(running.url).list_models()
    assert "MLFLOW_TRACKING_AWS_SIGV4 is set, but m2g does not support it" in raised.value.hint


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A certificate for 127.0.0.1 that is its own authority, with its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "m2g tests")])
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
        .sign(key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    private = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    path = tmp_path_factory.mktemp("tls") / "server.pem"
    path.write_bytes(private + made.public_bytes(pem))
    return path


def test_an_unknown_authority_is_not_trusted(certificate: Path) -> None:
    with fake(lambda asked: EMPTY, tls=(certificate, None)) as running:
        with pytest.raises(OutsideError, match="CERTIFICATE_VERIFY_FAILED") as raised:
            open_registry(running.url).list_models()
        assert "MLFLOW_TRACKING_SERVER_CERT_PATH" in raised.value.hint
        assert running.asked == []


@pytest.mark.parametrize("variable", ["MLFLOW_TRACKING_SERVER_CERT_PATH", "REQUESTS_CA_BUNDLE"])
def test_an_authority_of_ones_own(certificate: Path, variable: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(variable, str(certificate))
    with fake(lambda asked: EMPTY, tls=(certificate, None)) as running:
        registry = open_registry(running.url)
        assert registry.list_models() == []
        assert registry.list_versions() == []


def test_tls_without_verification(certificate: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_INSECURE_TLS", "true")
    with fake(lambda asked: EMPTY, tls=(certificate, None)) as running:
        assert open_registry(running.url).list_models() == []


def test_a_client_certificate(certificate: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_SERVER_CERT_PATH", str(certificate))
    with fake(lambda asked: EMPTY, tls=(certificate, certificate)) as running:
        with pytest.raises(OutsideError):
            open_registry(running.url, patience=seconds(0.5)).list_models()
        monkeypatch.setenv("MLFLOW_TRACKING_CLIENT_CERT_PATH", str(certificate))
        assert open_registry(running.url).list_models() == []


@pytest.mark.parametrize("variable", ["MLFLOW_TRACKING_SERVER_CERT_PATH", "MLFLOW_TRACKING_CLIENT_CERT_PATH"])
@pytest.mark.parametrize("exists", [True, False])
def test_a_certificate_that_cannot_be_read(
    variable: str, exists: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "none.pem"
    if exists:
        path.write_text("no certificate")
    monkeypatch.setenv(variable, str(path))
    with pytest.raises(InputError, match=f"{variable} .* cannot be read"):
        open_registry("https://127.0.0.1:9")


def test_tls_to_a_server_without(server: Fake) -> None:
    with pytest.raises(OutsideError, match="WRONG_VERSION_NUMBER") as raised:
        open_registry(server.url.replace("http:", "https:")).list_models()
    assert "http://" in raised.value.hint


@pytest.mark.parametrize("proxy", ["nonsense://127.0.0.1:9", "socks5://127.0.0.1:9", "http://[::1"])
def test_a_proxy_that_cannot_be_used(proxy: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", proxy)
    with pytest.raises(InputError, match="proxy settings"):
        open_registry("http://127.0.0.1:9", patience=seconds(1)).list_models()


UNREADABLE = {
    "": "is empty",
    "  ": "is empty",
    "http://": "has no host",
    "http:///models": "has no host",
    "http://host:port": "not valid",
    "http://[::1": "not valid",
    "http://a\nb": "control character",
    "http://exa mple": "contains a space",
    "http://☃.example": "not a valid URL",
    "databricks": "Databricks",
    "databricks-uc": "Databricks",
    "uc": "Databricks",
    "databricks://profile": "Databricks",
    "uc:http://x": "Databricks",
    "localhost:5000": "localhost:",
    "s3://bucket/mlruns": "s3:",
}


@pytest.mark.parametrize("uri", UNREADABLE)
def test_a_uri_that_m2g_cannot_read(uri: str) -> None:
    with pytest.raises(InputError, match=UNREADABLE[uri]) as raised:
        open_registry(uri).list_models()
    assert raised.value.hint


def test_a_local_store_has_no_workspaces() -> None:
    with pytest.raises(InputError, match="has no workspaces"):
        open_registry("sqlite:///mlflow.db", workspace="team-a")
