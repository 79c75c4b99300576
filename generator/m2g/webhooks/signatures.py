"""Check who sent a webhook: the signatures of MLflow, GitHub and Gitea, and the token of GitLab.

Nobody parses the body of a webhook. It only goes into the signature, so that nothing that it says has an effect.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import time
from collections import OrderedDict
from collections.abc import Mapping
from enum import StrEnum

_TOLERANCE = 300
"""Seconds by which MLflow's clock and this one may differ, with the time that a delivery takes."""
_REMEMBERED = 10_000
Headers = Mapping[bytes, bytes]
"""Names in lower case."""


class Source(StrEnum):
    """Who sends webhooks. The value is the last part of the path."""

    MLFLOW = "mlflow"
    GITHUB = "github"
    GITLAB = "gitlab"
    GITEA = "gitea"


class Verdict(StrEnum):
    """What a delivery is."""

    ACCEPTED = "accepted"
    FORGED = "forged"
    OLD = "old"
    REPLAYED = "replayed"


class Delivery:
    """One request of a sender, while its body arrives."""

    def __init__(self, source: Source, secret: str, headers: Headers) -> None:
        self.source = source
        self._secret = secret.encode()
        self._headers = headers
        self._digest = hmac.new(self._secret, self._prefix(), hashlib.sha256)

    def feed(self, part: bytes) -> None:
        """The next part of the body."""
        self._digest.update(part)

    def check(self, now: float) -> Verdict:
        """What the delivery is, with the whole body. `now` is in seconds since the epoch."""
        if not self._secret or not any(hmac.compare_digest(wanted, given) for wanted, given in self._pairs()):
            return Verdict.FORGED
        if self.source is Source.MLFLOW and abs(now - self._sent) > _TOLERANCE:
            return Verdict.OLD
        return Verdict.ACCEPTED

    @property
    def identity(self) -> bytes:
        """What makes it this delivery and no other; empty if GitLab has not said it, whose token signs nothing."""
        if self.source is Source.GITLAB:
            key = self._get(b"idempotency-key")
            return b"gitlab " + hashlib.sha256(key).digest() if key else b""
        return self.source.encode() + b" " + self._digest.digest()

    def _prefix(self) -> bytes:
        """What MLflow signs before the body."""
        if self.source is not Source.MLFLOW:
            return b""
        return b"%s.%s." % (self._get(b"x-mlflow-delivery-id"), self._get(b"x-mlflow-timestamp"))

    def _pairs(self) -> list[tuple[bytes, bytes]]:
        """What a header has to be, and what it is."""
        digest = self._digest
        match self.source:
            case Source.MLFLOW:
                return [(b"v1," + base64.b64encode(digest.digest()), self._get(b"x-mlflow-signature"))]
            case Source.GITHUB:
                return [(b"sha256=" + digest.hexdigest().encode(), self._get(b"x-hub-signature-256"))]
            case Source.GITLAB:
                return [(self._secret, self._get(b"x-gitlab-token"))]
            case Source.GITEA:
                wanted = digest.hexdigest().encode()
                return [(wanted, self._get(name)) for name in (b"x-gitea-signature", b"x-forgejo-signature")]

    @property
    def _sent(self) -> float:
        text = self._get(b"x-mlflow-timestamp")
        return float(text) if text.isdigit() and len(text) <= 12 else 0.0

    def _get(self, name: bytes) -> bytes:
        return self._headers.get(name, b"")


class Seen:
    """The last deliveries that were accepted, to refuse them when somebody sends them again."""

    def __init__(self) -> None:
        self._known: OrderedDict[bytes, None] = OrderedDict()

    def check(self, delivery: Delivery, now: float | None = None) -> Verdict:
        """What a delivery is. An accepted one is remembered."""
        verdict = delivery.check(time.time() if now is None else now)
        identity = delivery.identity
        if verdict is not Verdict.ACCEPTED or not identity:
            return verdict
        if identity in self._known:
            return Verdict.REPLAYED
        self._known[identity] = None
        while len(self._known) > _REMEMBERED:
            self._known.popitem(last=False)
        return verdict
