"""A server of `m2g serve` without its loop, and senders that sign as the real ones do."""

from __future__ import annotations

import contextlib
import hashlib
import hmac
import socket
import time
import uuid
from collections.abc import Iterator, Mapping

import httpx
from mlflow.webhooks.delivery import _generate_hmac_signature

from m2g.webhooks.metrics import Metrics
from m2g.webhooks.server import Bounds, Door, listen
from m2g.webhooks.signatures import Source
from tests.support.machine import seconds

SECRET = "a secret"
BODY = b'{"entity": "model_version_alias", "action": "created", "data": {"name": "wine"}}'


class Listening:
    """A running server, and how often it would have woken the loop."""

    def __init__(self, bounds: Bounds | None, secrets: Mapping[Source, str]) -> None:
        self.calls = 0
        self.metrics = Metrics()
        self.door = Door(secrets, self.metrics, self._call)
        self.bounds = bounds
        self.port = 0

    def _call(self) -> None:
        self.calls += 1

    def post(self, source: str, body: bytes, headers: Mapping[str, str]) -> httpx.Response:
        """Send a webhook."""
        url = f"http://127.0.0.1:{self.port}/webhooks/{source}"
        return httpx.post(url, content=body, headers=dict(headers), timeout=seconds(20), trust_env=False)

    def get(self, path: str) -> httpx.Response:
        """Ask for a page."""
        return httpx.get(f"http://127.0.0.1:{self.port}{path}", timeout=seconds(20), trust_env=False)

    def connect(self) -> socket.socket:
        """A connection that says nothing yet."""
        return socket.create_connection(("127.0.0.1", self.port), timeout=seconds(20))

    def count(self, result: str, sender: str) -> int:
        """How many requests had this result."""
        line = f'm2g_events_total{{sender="{sender}",result="{result}"}} '
        found = [one for one in self.metrics.render().splitlines() if one.startswith(line)]
        return int(found[0].removeprefix(line)) if found else 0


@contextlib.contextmanager
def listening(bounds: Bounds | None = None, **secrets: str) -> Iterator[Listening]:
    """A server that knows the secret of each sender, or of those that are named."""
    known = {Source(name): secret for name, secret in secrets.items()} or dict.fromkeys(Source, SECRET)
    server = Listening(bounds, known)
    with listen("127.0.0.1", 0, server.door, bounds) as server.port:
        yield server


def sign_mlflow(body: bytes = BODY, secret: str = SECRET, *, age: float = 0) -> dict[str, str]:
    """The headers of MLflow, made by MLflow's own function."""
    number, when = str(uuid.uuid4()), str(int(time.time() - age))
    return {
        "X-MLflow-Delivery-Id": number,
        "X-MLflow-Timestamp": when,
        "X-MLflow-Signature": _generate_hmac_signature(secret, number, when, body.decode()),
    }


def sign_forge(source: str, body: bytes = BODY, secret: str = SECRET) -> dict[str, str]:
    """The headers of a forge."""
    digest = hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()
    return {
        "github": {"X-Hub-Signature-256": f"sha256={digest}"},
        "gitea": {"X-Gitea-Signature": digest},
        "gitlab": {"X-Gitlab-Token": secret, "Idempotency-Key": digest},
    }[source]
