"""The clients of GitHub and GitLab, against stand-ins that allow what the API descriptions allow."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import datetime

import pytest

from m2g.core.errors import InputError, OutsideError
from m2g.core.proposal_types import Proposals
from m2g.forge import Draft, Forge, PullState
from m2g.forge.detect import guess_kind, locate, open_forge
from m2g.forge.gitea import Gitea
from m2g.forge.github import GitHub, find_api
from m2g.forge.gitlab import GitLab
from m2g.forge.plain import PlainGit
from tests.support.forge_stand_in import StandIn, stand_in
from tests.support.machine import seconds

DRAFT = Draft(
    branch="m2g/prod/wine", base="main", title="wine", body="text", labels=("m2g", "env/prod"), reviewers=("ada",)
)


@pytest.fixture(params=["github", "gitlab"])
def server(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[StandIn]:
    monkeypatch.setenv("NO_PROXY", "*")
    with stand_in(str(request.param)) as made:
        yield made
    assert made.wrong == []


@pytest.fixture
def forge(server: StandIn) -> Forge:
    if server.kind == "github":
        return GitHub(server.url, "https://page/o/n", "o/n", "secret", pace=0)
    return GitLab(server.url, "https://page/o/n", "o/n", "secret")


def test_a_pull_request_is_opened_changed_and_closed(server: StandIn, forge: Forge) -> None:
    pull = forge.open(DRAFT)
    assert (pull.branch, pull.base, pull.state) == ("m2g/prod/wine", "main", PullState.OPEN)
    assert sorted(server.pulls[0]["labels"]) == ["env/prod", "m2g"]
    assert server.reviewers in (["ada"], ["7"])
    forge.update(pull, title="other", body="body")
    forge.label(pull, ["m2g:edited"])
    for _ in range(2):
        forge.comment(pull, "said", "<!-- once -->")
    assert server.comments[1] == ["<!-- once -->\nsaid"]
    (there,) = forge.list_open("m2g/")
    assert (there.title, there.body, set(there.labels)) == ("other", "body", {"m2g", "env/prod", "m2g:edited"})
    assert forge.list_closed("m2g/", [DRAFT.branch]) == []
    forge.close(there)
    assert forge.list_open("m2g/") == []
    assert [one.state for one in forge.list_closed("m2g/", [DRAFT.branch])] == [PullState.CLOSED]
    server.pulls[0]["merged"] = True
    assert [one.state for one in forge.list_closed("m2g/", [DRAFT.branch])] == [PullState.MERGED]


def test_a_second_request_for_a_branch_is_the_first(server: StandIn, forge: Forge) -> None:
    assert forge.open(DRAFT).number == forge.open(DRAFT).number == 1
    assert len(server.pulls) == 1


@pytest.mark.attack
def test_the_forge_merges_by_itself_only_the_commit_that_m2g_has_checked(server: StandIn, forge: Forge) -> None:
    pull = forge.open(DRAFT)
    forge.stop_merge(pull)  # was not asked for
    for _ in range(2):
        forge.merge_when_allowed(pull, "a")
    assert server.merging == {1}
    forge.stop_merge(pull)
    assert server.merging == set()
    with pytest.raises(OutsideError) as failed:
        forge.merge_when_allowed(pull, "b")
    assert "pipeline" in failed.value.hint or "required check" in failed.value.hint
    assert server.merging == set()
    assert forge.read(pull).state is PullState.OPEN


def test_what_was_declined_is_found_in_a_repository_with_many_pull_requests(server: StandIn, forge: Forge) -> None:
    forge.close(forge.open(DRAFT))
    for number in range(130):
        made = server._new(f"other/{number}", "main", "t", "b")
        assert made is not None
        made["state"] = "closed"
    server.pulls.reverse()  # the stand-in lists in this order: the last changes first
    assert [one.branch for one in forge.list_closed("m2g/", [DRAFT.branch])] == [DRAFT.branch]


@pytest.mark.attack
def test_a_branch_of_a_fork_is_not_m2gs(server: StandIn, forge: Forge) -> None:
    forge.open(DRAFT)
    server.pulls[0]["fork"] = True
    assert forge.list_open("m2g/") == []
    forge.close(forge.open(Draft(branch="m2g/a/b", base="main", title="t", body="b")))
    server.pulls[1]["fork"] = True
    assert forge.list_closed("m2g/", ["m2g/a/b"]) == []


def test_every_page_is_read(server: StandIn, forge: Forge) -> None:
    for number in range(230):
        made = server._new(f"m2g/prod/m{number}", "main", "t", "b")
        assert made is not None
    assert len(forge.list_open("m2g/")) == 230


@pytest.mark.parametrize("carried_out", [True, False])
def test_an_answer_that_is_lost_opens_nothing_twice(server: StandIn, forge: Forge, *, carried_out: bool) -> None:
    server.faults = [(502, {}, carried_out)]
    draft = Draft(branch=DRAFT.branch, base="main", title="t", body="b")
    if not carried_out:
        with pytest.raises(OutsideError):
            forge.open(draft)
    assert forge.open(draft).number == 1
    assert len(server.pulls) == 1


def test_failures_and_rate_limits_are_waited_for(server: StandIn, forge: Forge) -> None:
    server.faults = [(503, {}, False), (429, {"retry-after": "1"}, False), (403, {"retry-after": "0"}, False)]
    started = time.monotonic()
    assert forge.list_open("m2g/") == []
    assert time.monotonic() - started >= 1
    server.faults = [(429, {"retry-after": "900"}, False)]
    with pytest.raises(OutsideError, match="asks to wait 900 s"):
        forge.list_open("m2g/")


@pytest.mark.parametrize("skew", [-7200, 0, 7200])
def test_a_wrong_clock_does_not_matter(
    server: StandIn, forge: Forge, skew: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The forge says when its limit ends, by its own clock."""
    real = time.time
    monkeypatch.setattr("time.time", lambda: real() + skew)
    reset = {"x-ratelimit-remaining": "0", "x-ratelimit-reset": str(int(real()) + 2)}
    server.faults = [(403, reset, False)]
    started = time.monotonic()
    assert forge.list_open("m2g/") == []
    assert 0.5 <= time.monotonic() - started < seconds(30)
    forge.open(DRAFT)
    age = real() - datetime.fromisoformat("2026-01-01T00:00:00+00:00").timestamp()
    assert forge.list_open("m2g/")[0].age == pytest.approx(age, abs=seconds(30))


def test_a_token_that_is_refused_says_what_to_do(server: StandIn, forge: Forge) -> None:
    server.faults = [(401, {}, False)]
    with pytest.raises(InputError) as failed:
        forge.list_open("m2g/")
    assert "M2G_TOKEN" in failed.value.hint
    assert "secret" not in failed.value.message
    server.faults = [(404, {"x-accepted-github-permissions": "pull_requests=write"}, False)]
    with pytest.raises(OutsideError) as missing:
        forge.list_open("m2g/")
    assert "pull" in missing.value.hint or "scope api" in missing.value.hint


@pytest.mark.attack
def test_no_redirect_is_followed(server: StandIn, forge: Forge) -> None:
    server.faults = [(301, {"location": "http://127.0.0.1:1/elsewhere"}, False)]
    with pytest.raises(InputError, match="redirects") as failed:
        forge.list_open("m2g/")
    assert failed.value.hint == "set the remote to the repository's present address: git remote set-url origin ADDRESS"


@pytest.mark.parametrize(
    ("url", "server", "path"),
    [
        ("https://github.com/o/n.git", "https://github.com", "o/n"),
        ("http://127.0.0.1:3000/o/n", "http://127.0.0.1:3000", "o/n"),
        ("git@github.com:o/n.git", "https://github.com", "o/n"),
        ("ssh://git@gitlab.example.com:2222/g/s/n.git", "https://gitlab.example.com", "g/s/n"),
        ("/srv/git/n.git", "", "srv/git/n"),
    ],
)
def test_a_remote_says_where_its_pages_are(url: str, server: str, path: str) -> None:
    place = locate(url)
    assert place.server == server
    assert not server or place.path == path


def test_the_forge_is_the_one_of_the_host_or_of_its_own_ci(monkeypatch: pytest.MonkeyPatch) -> None:
    assert guess_kind("https://github.com") == "github"
    assert guess_kind("https://gitlab.example.com") == "gitlab"
    assert guess_kind("https://code.example.com") == ""
    monkeypatch.setenv("GITHUB_SERVER_URL", "https://code.example.com")
    assert guess_kind("https://code.example.com") == "github"
    assert guess_kind("https://other.example.com") == ""
    assert find_api("https://github.com") == "https://api.github.com"
    assert find_api("https://code.example.com") == "https://code.example.com/api/v3"


def test_without_a_token_branches_are_pushed_and_the_page_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("M2G_TOKEN", raising=False)
    plain = open_forge("https://github.com/o/n.git", Proposals())
    assert isinstance(plain, PlainGit)
    assert plain.describe_new("m2g/prod/wine", "main") == "https://github.com/o/n/compare/main...m2g/prod/wine"
    monkeypatch.setenv("M2G_TOKEN", "secret")
    assert isinstance(open_forge("https://github.com/o/n.git", Proposals()), GitHub)
    assert isinstance(open_forge("git@gitlab.com:g/n.git", Proposals()), GitLab)
    assert isinstance(open_forge("https://code.example.com/o/n", Proposals(forge="gitea")), Gitea)
    assert isinstance(open_forge("https://github.com/o/n.git", Proposals(forge="none")), PlainGit)
    monkeypatch.setenv("NO_PROXY", "*")
    with pytest.raises(InputError) as failed:
        open_forge("http://127.0.0.1:1/o/n", Proposals())
    assert "proposals.forge" in failed.value.hint
