"""`m2g serve` between a real MLflow and a real Gitea: an alias moves, MLflow calls, and a pull request is open."""

from __future__ import annotations

import time

import pytest

from tests.support.apiserver.server import until
from tests.support.serve_world import BRANCH, GITEA, MLFLOW, World

pytestmark = [pytest.mark.forge, pytest.mark.slow, pytest.mark.usefixtures("kustomize")]


def subscribe(world: World, secret: str = MLFLOW) -> str:
    """A webhook as docs/how-to/react-to-events.md makes it; its id."""
    hook = world.registry.create_webhook(
        name="m2g",
        url=f"{world.url}/webhooks/mlflow",
        events=["model_version_alias.created", "model_version_alias.deleted", "model_version.created"],
        secret=secret,
    )
    time.sleep(2)  # MLflow remembers for so long that there was no webhook
    return str(hook.webhook_id)


def test_a_moved_alias_becomes_a_pull_request_by_webhook(world: World) -> None:
    world.start("--interval", "24h")
    first = world.wait_for_pull("wine (prod): version 1, new")
    subscribe(world)
    world.registry.set_registered_model_alias("wine", "champion", "2")
    second = world.wait_for_pull("wine (prod): version 2, new")
    assert second["number"] == first["number"]
    assert world.repository.tips().keys() == {"main", BRANCH}

    # Somebody merges: Gitea says so, and m2g deletes the branch.
    world.ada.ask(
        "POST",
        f"{world.repository.path}/hooks",
        type="gitea",
        active=True,
        events=["push", "pull_request"],
        config={"url": f"{world.url}/webhooks/gitea", "content_type": "json", "secret": GITEA},
    )
    assert world.repository.merge(world.ada, second["number"]).is_success
    until(lambda: world.repository.tips().keys() == {"main"}, "the branch to be deleted", 60)
    assert '"version": "2"' in world.repository.read("models/wine/releases/prod.json")
    log = world.stop()
    assert f"+ create #{first['number']} {BRANCH}" in log
    assert f"~ update #{first['number']} {BRANCH}" in log
    for secret in (MLFLOW, GITEA, "Authorization", world.bot.token):
        assert secret not in log


def test_mlflow_s_test_message_opens_nothing(world: World) -> None:
    """MLflow sends a made-up model with `test`: the registry has none such."""
    world.start("--interval", "24h")
    world.wait_for_pull("wine (prod): version 1, new")
    done, hook = world.syncs(), subscribe(world)
    answer = world.registry.test_webhook(hook)
    assert answer.success
    assert answer.response_status == 202
    until(lambda: world.syncs() > done, "a sync", 60)
    assert len(world.repository.pulls("all")) == 1


def test_another_secret_is_said_by_mlflow_and_does_nothing(world: World) -> None:
    world.start("--interval", "24h")
    answer = world.registry.test_webhook(subscribe(world, "another secret"))
    assert answer.response_status == 401
    assert "compare the secret of the webhook" in str(answer.response_body)
    assert world.syncs() == 1


def test_a_poll_alone_finds_what_no_webhook_said(world: World) -> None:
    world.start("--interval", "1s")
    world.wait_for_pull("wine (prod): version 1, new")
    world.registry.set_registered_model_alias("wine", "champion", "2")
    world.wait_for_pull("wine (prod): version 2, new")


def test_a_forge_that_is_down_ends_nothing(world: World) -> None:
    """The repository is renamed for a while: the syncs fail, m2g waits, and goes on when it is back."""
    world.start("--interval", "2s")
    world.wait_for_pull("wine (prod): version 1, new")
    world.ada.ask("PATCH", f"{world.repository.path}", private=True, archived=True)
    world.registry.set_registered_model_alias("wine", "champion", "2")
    until(lambda: "the next try is in" in world.log.read_text(), "a failure", 60)
    world.ada.ask("PATCH", f"{world.repository.path}", archived=False)
    world.wait_for_pull("wine (prod): version 2, new")
    assert world.program is not None
    assert world.program.poll() is None
