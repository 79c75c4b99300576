"""Who can wake `m2g serve`: requests to the real server, signed as MLflow and the forges sign."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.webhooks import BODY, SECRET, Listening, listening, sign_forge, sign_mlflow

pytestmark = pytest.mark.attack
SENDERS = ("mlflow", "github", "gitlab", "gitea")


@pytest.fixture
def server() -> Iterator[Listening]:
    with listening() as found:
        yield found


def sign(sender: str, body: bytes = BODY, secret: str = SECRET) -> dict[str, str]:
    return sign_mlflow(body, secret) if sender == "mlflow" else sign_forge(sender, body, secret)


@pytest.mark.parametrize("sender", SENDERS)
def test_only_who_knows_the_secret_wakes_the_loop(server: Listening, sender: str) -> None:
    for headers in ({}, sign(sender, secret="another"), sign(sender, secret="")):
        assert server.post(sender, BODY, headers).status_code == 401
    for other in set(SENDERS) - {sender}:
        assert server.post(sender, BODY, sign(other)).status_code == 401
    assert server.calls == 0
    assert server.count("forged", sender) == 6
    assert server.post(sender, BODY, sign(sender)).status_code == 202
    assert server.calls == 1


@pytest.mark.parametrize("sender", ["mlflow", "github", "gitea"])
def test_a_changed_body_is_forged(server: Listening, sender: str) -> None:
    assert server.post(sender, BODY + b" ", sign(sender)).status_code == 401
    assert server.post(sender, b"", sign(sender)).status_code == 401
    assert server.calls == 0


@pytest.mark.parametrize("sender", SENDERS)
def test_a_delivery_that_is_sent_again_is_refused(server: Listening, sender: str) -> None:
    headers = sign(sender)
    assert server.post(sender, BODY, headers).status_code == 202
    assert server.post(sender, BODY, headers).status_code == 409
    assert (
        server.post(sender, BODY, {**headers, "X-GitHub-Delivery": "new", "X-Gitea-Delivery": "new"}).status_code == 409
    )
    assert server.calls == 1
    other = BODY + b"\n"
    assert server.post(sender, other, sign(sender, other)).status_code == 202
    assert server.calls == 2


@pytest.mark.parametrize("age", [301 + 30, -301 - 30, 10**6])
def test_an_old_delivery_is_refused(server: Listening, age: float) -> None:
    answer = server.post("mlflow", BODY, sign_mlflow(age=age))
    assert answer.status_code == 400
    assert "clock" in answer.text
    assert server.calls == 0


@pytest.mark.parametrize("name", ["X-MLflow-Timestamp", "X-MLflow-Delivery-Id"])
def test_a_time_stamp_that_is_changed_is_forged(server: Listening, name: str) -> None:
    headers = sign_mlflow(age=3600)
    for text in ("1", "0", "", "9" * 400, "-1", "nan", "1e9"):
        assert server.post("mlflow", BODY, {**headers, name: text}).status_code == 401
    assert server.calls == 0


def test_a_sender_without_a_secret_cannot_call() -> None:
    with listening(github="x") as server:
        assert server.post("mlflow", BODY, sign_mlflow(secret="")).status_code == 404
        assert server.post("gitlab", BODY, {"X-Gitlab-Token": ""}).status_code == 404
        assert server.calls == 0


def test_what_an_event_says_has_no_effect(server: Listening) -> None:
    """No body is parsed: one that is no JSON wakes the loop like any other."""
    for body in (b"", b"\x00\xff" * 1000, b"[" * 100_000):
        assert server.post("github", body, sign_forge("github", body)).status_code == 202
    assert server.calls == 3


def test_pages_say_neither_names_nor_secrets(server: Listening) -> None:
    server.post("mlflow", BODY, sign_mlflow())
    for path in ("/healthz", "/metrics", "/", "/webhooks/mlflow", "/webhooks/other"):
        answer = server.get(path)
        assert SECRET not in answer.text
        assert "wine" not in answer.text
    assert server.get("/healthz").text == "ok\n"
    assert server.get("/webhooks/mlflow").status_code == 405
    assert server.get("/").status_code == 404
    assert 'm2g_events_total{sender="mlflow",result="accepted"} 1\n' in server.get("/metrics").text
