"""`m2g smoke --url https://…`: a real MLServer behind TLS, with certificates of authorities that were made here."""

from __future__ import annotations

import contextlib
import datetime
import http.server
import ipaddress
import ssl
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from tests.support.machine import whole_seconds
from tests.support.smoke_runs import SERVERS, deploy, models, smoke

pytestmark = pytest.mark.slow
OURS = ("--venv", str(SERVERS), "--requests", "1", "--timeout", whole_seconds(60), "--version", "7")
NOW = datetime.datetime.now(datetime.UTC)
DAY = datetime.timedelta(days=1)


class Authority:
    """Signs certificates for servers on the loopback; `pem` is the file that trusts it."""

    def __init__(self, folder: Path, name: str) -> None:
        self.folder, self.pem = folder, folder / f"{name}.pem"
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
        made = self._builder(self.name, self.key, DAY).add_extension(x509.BasicConstraints(True, 0), critical=True)
        self.pem.write_bytes(made.sign(self.key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM))

    def _builder(
        self, name: x509.Name, key: ec.EllipticCurvePrivateKey, ends: datetime.timedelta
    ) -> x509.CertificateBuilder:
        made = x509.CertificateBuilder().subject_name(name).issuer_name(self.name).public_key(key.public_key())
        made = made.serial_number(x509.random_serial_number())
        return made.not_valid_before(NOW - 9 * DAY).not_valid_after(NOW + ends)

    def context(self, address: str = "127.0.0.1", ends: datetime.timedelta = DAY) -> ssl.SSLContext:
        """What a server with a certificate for the address uses."""
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "server")])
        names = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address(address))])
        made = self._builder(subject, key, ends).add_extension(names, critical=False).sign(self.key, hashes.SHA256())
        file = self.folder / f"{x509.random_serial_number()}.pem"
        plain = serialization.NoEncryption()
        file.write_bytes(
            key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, plain)
            + made.public_bytes(serialization.Encoding.PEM)
        )
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(file)
        return context


class Gateway(http.server.BaseHTTPRequestHandler):
    """Hands everything on to `behind`, as the gateway of a cluster does."""

    behind = ""

    def do_GET(self) -> None:
        self._handed(None)

    def do_POST(self) -> None:
        self._handed(self.rfile.read(int(self.headers["Content-Length"])))

    def _handed(self, body: bytes | None) -> None:
        asked = urllib.request.Request(self.behind + self.path, body, {"Content-Type": "application/json"})
        try:
            with urllib.request.urlopen(asked) as answer:
                status, said = answer.status, answer.read()
        except urllib.error.HTTPError as error:
            status, said = error.code, error.read()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(said)))
        self.end_headers()
        self.wfile.write(said)

    def log_message(self, *_: object) -> None:
        pass


class Quiet(http.server.ThreadingHTTPServer):
    """A client that does not trust it hangs up: nothing to tell."""

    def handle_error(self, *_: object) -> None:
        pass


@contextlib.contextmanager
def secured(context: ssl.SSLContext | None) -> Iterator[str]:
    """The gateway with this certificate; without one it speaks no TLS. The address is https all the same."""
    with Quiet(("127.0.0.1", 0), Gateway) as made:
        if context is not None:
            made.socket = context.wrap_socket(made.socket, server_side=True, do_handshake_on_connect=False)
        threading.Thread(target=made.serve_forever, daemon=True).start()
        yield f"https://127.0.0.1:{made.server_address[1]}"
        made.shutdown()


@pytest.fixture(scope="module")
def wine(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return models(tmp_path_factory.mktemp("models"), "wine") / "wine"


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"), "ours")


@pytest.fixture
def mlserver(wine: Path) -> Iterator[None]:
    with deploy(wine, "7") as url:
        Gateway.behind = url
        yield


@pytest.mark.usefixtures("mlserver")
def test_an_authority_that_is_named_is_trusted_and_insecure_trusts_all(wine: Path, authority: Authority) -> None:
    with secured(authority.context()) as url:
        done = smoke("--model-dir", str(wine), "--url", url, "--ca", str(authority.pem), *OURS)
        assert done.returncode == 0, done.stdout + done.stderr
        assert "REST  equals pyfunc" in done.stdout
    with secured(authority.context(ends=-DAY)) as url:
        done = smoke("--model-dir", str(wine), "--url", url, "--insecure", *OURS)
        assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize(
    ("trusted", "address", "ends", "words"),
    [
        ("", "127.0.0.1", DAY, "self-signed certificate in certificate chain|unable to get local issuer"),
        ("other", "127.0.0.1", DAY, "unable to get local issuer|certificate signature failure"),
        ("ours", "127.0.0.1", -DAY, "certificate has expired"),
        ("ours", "127.0.0.2", DAY, "IP address mismatch"),
    ],
)
def test_a_certificate_that_does_not_hold_is_told_with_the_way_out(
    wine: Path, authority: Authority, trusted: str, address: str, ends: datetime.timedelta, words: str
) -> None:
    pem = Authority(authority.folder, trusted).pem if trusted == "other" else authority.pem
    options = ["--ca", str(pem)]
    with secured(authority.context(address, ends)) as url:
        done = smoke("--model-dir", str(wine), "--url", url, *(options if trusted else ()), *OURS)
    assert done.returncode == 3, done.stdout + done.stderr
    assert f"{url} cannot be reached: " in done.stdout
    assert any(word in done.stdout for word in words.split("|")), done.stdout
    assert "--ca FILE" in done.stdout
    assert "Traceback" not in done.stdout + done.stderr


def test_a_port_that_speaks_no_tls(wine: Path, authority: Authority) -> None:
    with secured(None) as url:
        done = smoke("--model-dir", str(wine), "--url", url, "--ca", str(authority.pem), *OURS)
    assert done.returncode == 3
    assert f"{url} cannot be reached: " in done.stdout
    assert "http://" in done.stdout  # the way out


def test_a_file_that_holds_no_authority_and_options_without_an_address(wine: Path, tmp_path: Path) -> None:
    (tmp_path / "empty.pem").write_text("")
    (tmp_path / "text.pem").write_text("-----BEGIN CERTIFICATE-----\nno\n-----END CERTIFICATE-----\n")
    for name in ("missing.pem", "empty.pem", "text.pem", "."):
        ca = str(tmp_path / name)
        done = smoke("--model-dir", str(wine), "--url", "https://127.0.0.1:9", "--ca", ca, *OURS)
        assert done.returncode == 2, (name, done.stdout, done.stderr)
        assert "does not have certificates in PEM format" in done.stdout, (name, done.stdout)
        assert "Traceback" not in done.stdout + done.stderr
    for option in (("--ca", "x"), ("--insecure",)):
        done = smoke("--model-dir", str(wine), *option)
        assert done.returncode == 2
        assert "work only with --url" in done.stderr
    both = ("--ca", str(tmp_path / "empty.pem"), "--insecure")
    done = smoke("--model-dir", str(wine), "--url", "https://127.0.0.1:9", *both, *OURS)
    assert done.returncode == 2
    assert "--insecure and --ca exclude each other" in done.stdout
