"""Answers of a registry, or of a model under test, that grow when they are read or never end."""

from __future__ import annotations

import functools
import gzip
import resource
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from m2g.core.errors import OutsideError
from m2g.registry import open_registry
from m2g.smoke.client import Client, Endpoint
from tests.support.fake_server import Answer, fake, good
from tests.support.machine import seconds

pytestmark = [pytest.mark.attack, pytest.mark.timeout(120)]


@functools.cache
def squeeze(times: int) -> bytes:
    """Zeros, 96 MiB of them, as a few kilobytes."""
    return gzip.compress(squeeze(times - 1) if times > 1 else b"\0" * (96 << 20), 9, mtime=0)


ENCODINGS = {
    "twice": ("gzip, gzip", 2),
    "three times": ("gzip,GZIP , gzip", 3),
    "by another name": ("gzip, x-gzip", 2),
    "with deflate": ("deflate, gzip", 2),
    "Brotli": ("br", 1),
    "Zstandard": ("zstd", 1),
    "unknown": ("x" * 9000, 1),
}


@pytest.mark.parametrize("case", ENCODINGS.values(), ids=ENCODINGS)
def test_no_answer_is_unpacked_twice(case: tuple[str, int]) -> None:
    encoding, times = case
    answer = Answer(body=squeeze(times), headers={"Content-Encoding": encoding})
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with fake(lambda asked: answer) as server:
        with pytest.raises(OutsideError, match="its encoding is") as raised:
            open_registry(server.url).list_models()
        assert len(raised.value.message) < 1000
        with pytest.raises(OutsideError, match="its encoding is"):
            Client(Endpoint(url=server.url)).get("/v2/models/wine")
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 64 << 10, "KiB"


def test_one_layer_is_bounded_and_works() -> None:
    bomb = Answer(body=squeeze(1), headers={"Content-Encoding": "gzip"})
    with fake(lambda asked: bomb) as server, pytest.raises(OutsideError, match="more than 32 MiB"):
        Client(Endpoint(url=server.url)).get("/")
    body = gzip.compress(b'{"a": 1}')
    with fake(lambda asked: Answer(body=body, headers={"Content-Encoding": "gzip"})) as server:
        assert Client(Endpoint(url=server.url)).get("/") == {"a": 1}


def test_nobody_reads_what_a_probe_answers() -> None:
    """A model under test may be the server. Without the limit, m2g reads until its memory is full."""
    start = time.monotonic()
    with fake(lambda asked: Answer(body=b"x" * (1 << 16), endless=True)) as server:
        assert Client(Endpoint(url=server.url)).ready(f"{server.url}/v2/health/ready")
    assert time.monotonic() - start < seconds(5)


@contextmanager
def endless_head(piece: bytes) -> Iterator[str]:
    """A server that sends this for ever, and no status."""
    closing = threading.Event()
    server = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        while not closing.is_set():
            try:
                with server.accept()[0] as peer:
                    peer.recv(1 << 16)
                    while not closing.wait(0.2):
                        peer.sendall(piece)
            except OSError:
                continue

    threading.Thread(target=serve, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.getsockname()[1]}"
    finally:
        closing.set()
        server.close()


@pytest.mark.parametrize("piece", [b"HTTP/1.1 100 Continue\r\n\r\n", b"HTTP/1.1 102 Processing\r\n\r\n"])
def test_an_answer_that_never_begins_ends_in_time(piece: bytes) -> None:
    start = time.monotonic()
    with endless_head(piece) as url:
        client = Client(Endpoint(url=url, seconds=2))
        assert not client.ready(f"{url}/v2/health/ready")
        with pytest.raises(OutsideError):
            client.get("/v2/models/wine")
        with pytest.raises(OutsideError):
            client.status("/")
    assert time.monotonic() - start < 5 + 2 + 2 + seconds(5)


def test_an_honest_server_still_answers() -> None:
    with fake(lambda asked: good({"ready": True})) as server:
        client = Client(Endpoint(url=server.url))
        assert client.ready(f"{server.url}/v2/health/ready")
        assert client.get("/") == {"ready": True}
        assert client.status("/") == 200
