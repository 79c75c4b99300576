"""The forge of the tests does what a forge does: pushes, pull requests, reviews, merges, and refusals."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.gitea import Gitea, git

pytestmark = pytest.mark.forge


def test_pushes_by_http_and_ssh_a_pull_request_and_a_merge_by_a_second_user(forge: Gitea, tmp_path: Path) -> None:
    ada, ben = forge.user("ada"), forge.user("ben")
    fleet = ada.create("fleet")
    (tmp_path / "README.md").write_text("one\n")
    first = fleet.push(tmp_path)
    assert fleet.tips() == {"main": first}
    fleet.admit(ben)
    fleet.protect(required_approvals=1, block_admin_merge_override=True)

    (tmp_path / "README.md").write_text("two\n")
    git(tmp_path, "commit", "-qam", "two")
    refused = git(tmp_path, "push", fleet.remote(ada), "HEAD:main", code=1)
    assert "protected branch" in refused
    assert fleet.tips() == {"main": first}

    ssh = ada.key()
    refused = git(tmp_path, "push", fleet.ssh_url, "HEAD:main", code=1, GIT_SSH_COMMAND=ssh)
    assert "protected branch" in refused
    git(tmp_path, "push", "-q", fleet.ssh_url, "HEAD:two", GIT_SSH_COMMAND=ssh)
    assert fleet.tips() == {"main": first, "two": git(tmp_path, "rev-parse", "HEAD").strip()}

    number = fleet.open(ada, "two", "Two")
    alone = fleet.merge(ada, number)
    assert alone.status_code == 405
    assert "approvals" in alone.text
    fleet.approve(ben, number)
    assert fleet.merge(ben, number).is_success
    assert fleet.pulls() == []
    merged = fleet.pull(number)
    assert merged["merged"]
    assert merged["merged_by"]["login"] == "ben"
    assert fleet.read("README.md") == "two\n"


def test_who_has_no_right_is_refused(forge: Gitea, tmp_path: Path) -> None:
    eve, mallory = forge.user("eve"), forge.user("mallory")
    fleet = eve.create("fleet", private=True)
    (tmp_path / "README.md").write_text("one\n")
    fleet.push(tmp_path)
    assert "not found" in git(tmp_path, "ls-remote", fleet.remote(mallory), code=128)
    refused = git(tmp_path, "ls-remote", fleet.ssh_url, code=128, GIT_SSH_COMMAND=mallory.key())
    assert "is not authorized to read eve/fleet" in refused
    token = eve.limited("read:repository")
    answer = eve.client.post(
        f"{fleet.path}/labels", json={"name": "x", "color": "#000000"}, headers={"Authorization": f"token {token}"}
    )
    assert answer.status_code == 403
    assert "scope" in answer.text
