"""What a client can make `m2g serve` spend: it has a time, a size and a number of connections."""

from __future__ import annotations

import contextlib
import hashlib
import hmac
import socket
import time
import tracemalloc

import pytest

from m2g.webhooks.server import Bounds
from tests.support.machine import seconds
from tests.support.webhooks import BODY, SECRET, Listening, listening, sign_forge

pytestmark = pytest.mark.attack
HEAD = b"POST /webhooks/github HTTP/1.1\r\nHost: m2g\r\n"


def read_all(connection: socket.socket) -> bytes:
    """All that the server sends until it closes; nothing if it reset the connection."""
    parts = b""
    with contextlib.suppress(ConnectionError):
        while part := connection.recv(4096):
            parts += part
    return parts


def status(answer: bytes) -> int:
    return int(answer.split(b" ")[1]) if answer else 0


def test_a_slow_client_ends_by_the_clock() -> None:
    """One that sends a byte now and then has no more time than one that sends nothing."""
    with listening(Bounds(seconds=1)) as server:
        begun = time.monotonic()
        with server.connect() as silent, server.connect() as slow:
            slow.sendall(HEAD + b"X: ")
            with contextlib.suppress(OSError):
                for _ in range(200):
                    slow.sendall(b"x")
                    time.sleep(0.02)
            assert read_all(slow) == b""
            assert read_all(silent) == b""
        assert time.monotonic() - begun < seconds(10)
        assert server.calls == 0
        assert server.count("slow", "unknown") == 2
        assert server.post("github", BODY, sign_forge("github")).status_code == 202


def test_a_client_that_reads_no_answer_ends_by_the_clock() -> None:
    with listening(Bounds(seconds=1)) as server, server.connect() as connection:
        connection.sendall(b"GET /healthz HTTP/1.1\r\nHost: m2g\r\n\r\n" * 10_000)
        time.sleep(1)
        assert server.get("/healthz").status_code == 200


@pytest.mark.parametrize(
    "text",
    [
        HEAD + b"X: " + b"x" * 20_000,
        HEAD + b"X: x\r\n" * 5_000,
        b"P" * 20_000,
        b"\x00" * 100,
        b"GET  / HTTP/1.1\r\n\r\n",
        HEAD + b"Content-Length: 3\r\nContent-Length: 4\r\n\r\nabc",
        HEAD + b"Content-Length: -1\r\n\r\n",
        HEAD + b"Content-Length: 3\r\nTransfer-Encoding: gzip\r\n\r\nabc",
        HEAD + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n",
    ],
    ids=["long", "many", "endless", "binary", "spaces", "two-lengths", "negative", "coded", "chunk"],
)
def test_a_malformed_request_is_refused(text: bytes) -> None:
    with listening() as server, server.connect() as connection:
        with contextlib.suppress(OSError):
            connection.sendall(text)
        assert status(read_all(connection)) in (0, 400)
        assert server.calls == 0
        assert server.get("/healthz").status_code == 200


@pytest.mark.parametrize("chunked", [False, True])
def test_a_body_has_a_size(chunked: bool) -> None:
    with listening(Bounds(body=100_000)) as server:
        body = b"x" * 100_000
        assert server.post("github", body, sign_forge("github", body)).status_code == 202
        with server.connect() as connection:
            how = b"Transfer-Encoding: chunked\r\n\r\n" if chunked else b"Content-Length: 100000000000\r\n\r\n"
            connection.sendall(HEAD + how)
            with contextlib.suppress(OSError):
                for _ in range(1000):
                    connection.sendall(b"2000\r\n" + b"x" * 8192 + b"\r\n")
            assert status(read_all(connection)) in (0, 413)
        assert server.count("too-large", "github") == 1
        assert server.calls == 1


def test_no_body_is_kept() -> None:
    part, times = b"x" * (64 << 10), 24 << 4
    digest = hmac.new(SECRET.encode(), digestmod=hashlib.sha256)
    for _ in range(times):
        digest.update(part)
    signed = f"X-Hub-Signature-256: sha256={digest.hexdigest()}\r\nContent-Length: {times * len(part)}\r\n\r\n"
    with listening(Bounds(seconds=seconds(30))) as server, server.connect() as connection:
        tracemalloc.start()
        connection.sendall(HEAD + signed.encode())
        for _ in range(times):
            connection.sendall(part)
        assert status(read_all(connection)) == 202
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    assert peak < 2 << 20


def test_many_connections_do_not_shut_the_door_for_long() -> None:
    with listening(Bounds(connections=8, seconds=1)) as server, contextlib.ExitStack() as stack:
        for _ in range(40):
            stack.enter_context(server.connect())
        _wait_for(server, 503)
        _wait_for(server, 200)


def _wait_for(server: Listening, wanted: int) -> None:
    end = time.monotonic() + seconds(20)
    while time.monotonic() < end:
        with contextlib.suppress(OSError), server.connect() as connection:
            connection.sendall(b"GET /healthz HTTP/1.1\r\nHost: m2g\r\n\r\n")
            if status(read_all(connection)) == wanted:
                return
    raise AssertionError(f"the server never answered {wanted}")
