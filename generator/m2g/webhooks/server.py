"""The HTTP server of `m2g serve`: one request a connection, with a bound for all that a client can send.

h11 reads HTTP; asyncio reads sockets in one thread. A client gets a time for the whole request, not for each packet.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
from collections.abc import Callable, Iterator, Mapping

import h11

from m2g.core.errors import OutsideError
from m2g.core.model import Value
from m2g.webhooks.metrics import CONTENT_TYPE, Metrics
from m2g.webhooks.signatures import Delivery, Seen, Source, Verdict

_PLAIN = "text/plain; charset=utf-8"
_ANSWERS = {
    Verdict.ACCEPTED: (202, "m2g reads the registry again"),
    Verdict.FORGED: (401, "the signature or the token is wrong; compare the secret of the webhook with that of m2g"),
    Verdict.OLD: (400, "the time stamp is more than 5 minutes away from the clock of m2g"),
    Verdict.REPLAYED: (409, "m2g has received this delivery before"),
}


class Bounds(Value, frozen=True, kw_only=True):
    """What one client may use: seconds for its request, bytes of the head and of the body; and how many at once.

    GitHub sends up to 25 MiB. No body is kept.
    """

    seconds: float = 10
    head: int = 16 << 10
    body: int = 25 << 20
    connections: int = 64


class Answer(Value, frozen=True, kw_only=True):
    """A response."""

    status: int
    text: str
    content_type: str = _PLAIN


class Door:
    """What the server answers. `secrets` are those of the senders that may call; `call` wakes the loop."""

    def __init__(self, secrets: Mapping[Source, str], metrics: Metrics, call: Callable[[], None]) -> None:
        self._secrets = secrets
        self._metrics = metrics
        self._call = call
        self._seen = Seen()

    def begin(self, request: h11.Request) -> Delivery | Answer:
        """A delivery whose body is to be read, or the answer to anything else."""
        path = request.target.partition(b"?")[0].decode("ascii", "replace")
        if request.method == b"GET" and path == "/healthz":
            return Answer(status=200, text="ok")
        if request.method == b"GET" and path == "/metrics":
            return Answer(status=200, text=self._metrics.render(), content_type=CONTENT_TYPE)
        source = next((one for one in self._secrets if path == f"/webhooks/{one}"), None)
        if source is None:
            return Answer(status=404, text="there is nothing here")
        if request.method != b"POST":
            return Answer(status=405, text="a webhook is a POST")
        return Delivery(source, self._secrets[source], dict(request.headers))

    def end(self, delivery: Delivery) -> Answer:
        """The answer to a delivery with its whole body."""
        verdict = self._seen.check(delivery)
        self.count(delivery.source, verdict)
        if verdict is Verdict.ACCEPTED:
            self._call()
        status, text = _ANSWERS[verdict]
        return Answer(status=status, text=text)

    def count(self, source: Source | None, result: str) -> None:
        """Count a request to a webhook, or one that came to nothing."""
        self._metrics.add("m2g_events_total", sender=source or "unknown", result=result)


@contextlib.contextmanager
def listen(host: str, port: int, door: Door, bounds: Bounds | None = None) -> Iterator[int]:
    """Serve in a thread until the block ends. The port, if 0 was given. Raises OutsideError if it cannot listen."""
    try:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        sock = socket.create_server((host, port), family=family, backlog=128)
    except (OSError, OverflowError) as error:
        reason = getattr(error, "strerror", "") or str(error)
        raise OutsideError(f"m2g cannot listen on {host}:{port}: {reason}", hint="choose another --listen") from error
    server = _Server(sock, door, bounds or Bounds())
    thread = threading.Thread(target=server.run, name="webhooks", daemon=True)
    thread.start()
    try:
        yield int(sock.getsockname()[1])
    finally:
        server.stop()
        thread.join()


class _Server:
    def __init__(self, sock: socket.socket, door: Door, bounds: Bounds) -> None:
        self._sock = sock
        self._door = door
        self._bounds = bounds
        self._open = 0
        self._loop = asyncio.new_event_loop()
        self._end = asyncio.Event()

    def run(self) -> None:
        with asyncio.Runner(loop_factory=lambda: self._loop) as runner:
            runner.run(self._serve())

    def stop(self) -> None:
        self._loop.call_soon_threadsafe(self._end.set)

    async def _serve(self) -> None:
        server = await asyncio.start_server(self._meet, sock=self._sock, limit=self._bounds.head)
        async with server:
            await self._end.wait()

    async def _meet(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection, from its begin to its end."""
        self._open += 1
        try:
            async with asyncio.timeout(self._bounds.seconds):
                await _Connection(reader, writer, self._door, self._bounds).talk(self._open > self._bounds.connections)
                writer.close()
                await writer.wait_closed()
        except TimeoutError:
            self._door.count(None, "slow")
        except OSError:
            pass  # the client is gone
        finally:
            self._open -= 1
            writer.transport.abort()


class _Connection:
    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, door: Door, bounds: Bounds) -> None:
        self._reader = reader
        self._writer = writer
        self._door = door
        self._bounds = bounds
        self._http = h11.Connection(h11.SERVER, max_incomplete_event_size=bounds.head)

    async def talk(self, is_full: bool) -> None:
        try:
            answer = Answer(status=503, text="too many connections; try again") if is_full else await self._answer()
        except h11.RemoteProtocolError:
            self._door.count(None, "malformed")
            answer = Answer(status=400, text="this is no HTTP request that m2g reads")
        if answer is None:
            return
        body = answer.text.encode() + (b"" if answer.text.endswith("\n") else b"\n")
        headers = [
            ("Content-Type", answer.content_type),
            ("Content-Length", str(len(body))),
            ("Connection", "close"),
        ]
        try:
            parts = [
                self._http.send(h11.Response(status_code=answer.status, headers=headers)),
                self._http.send(h11.Data(data=body)),
                self._http.send(h11.EndOfMessage()),
            ]
        except h11.LocalProtocolError:  # what came was so wrong that HTTP has no answer to it
            return
        self._writer.write(b"".join(part or b"" for part in parts))
        await self._writer.drain()

    async def _answer(self) -> Answer | None:
        """None if the client has gone."""
        request = await self._next()
        if not isinstance(request, h11.Request):
            return None
        begun = self._door.begin(request)
        if isinstance(begun, Answer):
            return begun
        size = 0
        while isinstance(event := await self._next(), h11.Data):
            size += len(event.data)
            if size > self._bounds.body:
                self._door.count(begun.source, "too-large")
                return Answer(status=413, text=f"the body is larger than {self._bounds.body} bytes")
            begun.feed(bytes(event.data))
        return self._door.end(begun) if isinstance(event, h11.EndOfMessage) else None

    async def _next(self) -> object:
        while (event := self._http.next_event()) is h11.NEED_DATA:
            self._http.receive_data(await self._reader.read(64 << 10))
        return event
