"""Time and size limits that hold whatever a server does: for a list, a request, and the local door."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import count

import pytest

from m2g.core.errors import M2gError, OutsideError
from m2g.registry import open_registry
from m2g.registry.deadline import Worker
from tests.support.fake_server import fake, good
from tests.support.machine import seconds

pytestmark = pytest.mark.attack


@contextmanager
def raw_server(talk: Callable[[socket.socket], None]) -> Iterator[str]:
    """A server below HTTP: `talk` gets each connection after its request. The URL of the server."""
    listener = socket.create_server(("127.0.0.1", 0))
    closing = threading.Event()

    def serve() -> None:
        while not closing.is_set():
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            threading.Thread(target=answer, args=(connection,), daemon=True).start()

    def answer(connection: socket.socket) -> None:
        with connection:
            connection.recv(65536)
            try:
                while not closing.is_set():
                    talk(connection)
            except OSError:
                return

    threading.Thread(target=serve, daemon=True).start()
    yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    closing.set()
    listener.close()


def send(text: bytes, pause: float) -> Callable[[socket.socket], None]:
    def talk(connection: socket.socket) -> None:
        connection.sendall(text)
        time.sleep(pause)

    return talk


ENDLESS = {
    "100 Continue": send(b"HTTP/1.1 100 Continue\r\n\r\n", 0.02),
    "103 Early Hints": send(b"HTTP/1.1 103 Early Hints\r\nLink: <x>\r\n\r\n", 0.02),
    "a byte of a status": send(b"H", 0.1),
    "a byte of a header": send(b"x", 0.1),
    "100 Continue, as fast as possible": send(b"HTTP/1.1 100 Continue\r\n\r\n", 0),
}


@pytest.mark.parametrize("talk", ENDLESS.values(), ids=ENDLESS)
def test_an_answer_that_never_begins_ends_in_time(talk: Callable[[socket.socket], None]) -> None:
    with raw_server(talk) as url:
        registry = open_registry(url, patience=seconds(1))
        started = time.monotonic()
        with pytest.raises(OutsideError):
            registry.list_models()
        assert time.monotonic() - started < seconds(6)


def endless(size: int, wait: float = 0.0) -> Callable[[object], object]:
    numbers = count()

    def answer(asked: object) -> object:
        time.sleep(wait)
        number = next(numbers)
        tags = [{"key": "x", "value": "y" * size}]
        return good({"registered_models": [{"name": f"m{number}", "tags": tags}], "next_page_token": str(number)})

    return answer


def test_a_list_has_a_size(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("m2g.registry.paging._MAX_BYTES", 1 << 20)
    with fake(endless(300_000)) as server:  # type: ignore[arg-type]  # written for any request
        with pytest.raises(OutsideError, match=r"search is not complete after 4 pages and 1 MiB"):
            open_registry(server.url).list_models()
        assert len(server.asked) == 4
        assert len({asked.peer for asked in server.asked}) <= 8


def test_a_list_has_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("m2g.registry.paging._MAX_SECONDS", 0.3)
    with (
        fake(endless(1, 0.1)) as server,  # type: ignore[arg-type]  # written for any request
        pytest.raises(OutsideError, match="is not complete after"),
    ):
        open_registry(server.url).list_models()
    assert len(server.asked) < 6


def test_all_requests_together_have_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("m2g.registry.rest._TOTAL", 0.3)
    with fake(endless(1, 0.1)) as server:  # type: ignore[arg-type]  # written for any request
        registry = open_registry(server.url)
        with pytest.raises(
            OutsideError, match=r"all requests together .* m2g was at /api/2.0/mlflow/registered-models"
        ):
            registry.list_models()


def test_a_worker_leaves_a_call_behind_and_takes_the_next() -> None:
    worker = Worker()
    first = worker.call(threading.get_ident, seconds(5))
    assert worker.call(threading.get_ident, seconds(5)) == first != threading.get_ident()
    with pytest.raises(TimeoutError):
        worker.call(lambda: time.sleep(30), 0.05)
    assert worker.call(threading.get_ident, seconds(5)) != first
    with pytest.raises(ZeroDivisionError):
        worker.call(lambda: 1 // 0, seconds(5))
    assert worker.call(lambda: 7, seconds(5)) == 7


def test_the_errors_of_a_deadline_name_no_secret() -> None:
    with raw_server(ENDLESS["100 Continue"]) as url:
        registry = open_registry(url.replace("http://", "http://ada:hush@"), patience=seconds(0.5))
        with pytest.raises(M2gError) as raised:
            registry.list_models()
    assert "hush" not in f"{raised.value} {raised.value.hint}"
