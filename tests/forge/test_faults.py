"""`m2g sync` on a real Gitea when something fails at any call: the next run alone brings all that is lacking."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from tests.support.fault_proxy import Proxy, fault_proxy
from tests.support.fleet import CONFIG
from tests.support.gitea import Gitea, git
from tests.support.gitea_world import GiteaWorld, People
from tests.support.sync_child import KILLED, Child, sync_child

pytestmark = [pytest.mark.forge, pytest.mark.usefixtures("kustomize")]


class Faults:
    """Makes worlds in which a run has all kinds of work to do: open, supersede, close, and tell of a commit."""

    def __init__(self, forge: Gitea, folder: Path, proxy: Proxy, child: Child, people: People) -> None:
        self.proxy = proxy
        self._forge, self._folder, self._child = forge, folder, child
        self._people = people
        ben = self._people.ben.name
        self._config = f"{CONFIG}proposals: {{reviewers: [{ben}], assignees: [{ben}]}}\n"

    def world(self) -> GiteaWorld:
        """One in which the registry has moved on since the last run."""
        name = f"r{secrets.token_hex(4)}"
        folder = self._folder / name
        folder.mkdir()
        made = GiteaWorld(self._forge, folder, name, self._config, people=self._people, via=self.proxy.url)
        self.proxy.start()
        made.move("wine", champion="2", challenger="2")
        made.move("churn", champion="3")
        code, said = self.run(made)
        assert code == 0, said
        made.person_commits("m2g/prod/churn", folder)
        made.move("wine", champion="3", challenger="1")
        made.move("fresh", champion="1")
        made.move("churn", champion="1")
        return made

    def run(self, world: GiteaWorld) -> tuple[int, dict[str, Any]]:
        """Run m2g in a process of its own."""
        return self._child.run(
            {
                "clone": str(world.root), "api": world.api, "path": world.path, "token": world.token, "quick": True,
                "registry": {one.name: dict(one.aliases) for one in world.registry.known},
                "result": str(world.folder / "result.json"),
            }
        )  # fmt: skip


@pytest.fixture(scope="module")
def faults(forge: Gitea, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Faults]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GIT_ALLOW_PROTOCOL", "file:http")
        patch.setenv("NO_PROXY", "*")
        people = People(forge, f"f{secrets.token_hex(4)}")
        patch.setenv("M2G_TOKEN", people.token)
        with fault_proxy(forge.url) as proxy, sync_child(lambda pid: setattr(proxy, "victim", pid)) as child:
            yield Faults(forge, tmp_path_factory.mktemp("faults"), proxy, child, people)


class Uninterrupted(NamedTuple):
    """The calls of an uninterrupted run, and what it leaves."""

    calls: list[str]
    state: dict[str, Any]

    def number(self, *, changes: bool) -> list[int]:
        """The numbers of all calls, or only of those that change something."""
        return [
            number
            for number, call in enumerate(self.calls, 1)
            if not changes or not (call.startswith("GET ") or call.endswith("/git-upload-pack"))
        ]


@pytest.fixture(scope="module")
def wanted(faults: Faults) -> Uninterrupted:
    world = faults.world()
    faults.proxy.start()
    code, said = faults.run(world)
    calls = list(faults.proxy.calls)
    assert (code, sorted(said["actions"].values())) == (0, ["close", "create", "leave", "update"]), said
    found = world.observe()
    assert set(faults.run(world)[1]["actions"].values()) == {"leave"}
    assert world.observe() == found
    return Uninterrupted(calls, found)


@pytest.mark.timeout(1800)
@pytest.mark.parametrize(
    ("kind", "lasts", "changes"),
    [("kill", False, False), ("killed", False, True), ("503", True, False), ("lost", True, True)],
)
def test_a_fault_at_every_call(faults: Faults, wanted: Uninterrupted, kind: str, *, lasts: bool, changes: bool) -> None:
    """Killed before a call and after one; an outage that begins with a call, or with the answer to one."""
    for number in wanted.number(changes=changes):
        world = faults.world()
        faults.proxy.start(number, kind, lasts=lasts)
        code, said = faults.run(world)
        assert (code, len(faults.proxy.calls) >= number) == (KILLED if "kill" in kind else code, True), said
        assert code in (0, 1, KILLED), said
        faults.proxy.start()
        code, said = faults.run(world)
        assert (code, said["problems"]) == (0, []), (number, wanted.calls[number - 1], said)
        assert world.observe() == wanted.state, (number, wanted.calls[number - 1])


@pytest.mark.timeout(600)
@pytest.mark.parametrize("kind", ["503", "429", "403", "reset", "lost"])
def test_each_call_of_the_api_fails_once(faults: Faults, wanted: Uninterrupted, kind: str) -> None:
    world = faults.world()
    faults.proxy.start(kind=kind)
    code, said = faults.run(world)
    assert code == 0, said
    faults.proxy.start()
    faults.run(world)
    assert world.observe() == wanted.state


@pytest.mark.timeout(3600)
@pytest.mark.parametrize("what", ["merge", "delete", "push"])
def test_somebody_else_acts_between_two_calls(faults: Faults, wanted: Uninterrupted, what: str) -> None:
    """Whenever it is, nothing of a person is lost, and m2g comes to rest without a branch that nobody needs."""
    for number in wanted.number(changes=False):
        world = faults.world()
        (pull,) = [one for one in world.pulls() if one["head"]["ref"] == _WINE]
        other = _commit_elsewhere(world)

        def act(world: GiteaWorld = world, number: int = pull["number"], other: str = other) -> None:
            match what:
                case "merge":
                    world.repository.merge(world.ben, number)
                case "delete":
                    git(world.clone, "push", "-q", world.repository.remote(world.ben), f":refs/heads/{_WINE}")
                case _:
                    target = f"+{other}:refs/heads/{_WINE}"
                    git(world.clone, "push", "-q", world.repository.remote(world.ben), target)

        faults.proxy.between = act
        faults.proxy.start(number, "run")
        code, said = faults.run(world)
        assert code in (0, 1), said
        faults.proxy.start()
        for _ in range(2):
            code, said = faults.run(world)
            assert (code, said["problems"]) == (0, []), (number, wanted.calls[number - 1], said)
        assert set(said["actions"].values()) <= {"leave"}, (number, said)
        tips = world.tips()
        assert {one["head"]["ref"] for one in world.pulls()} == set(tips) - {"main"}, (number, said)
        if what == "push":
            assert tips[_WINE] == other
        merged = [one["title"] for one in world.pulls("all") if one["merged"]]
        assert what != "merge" or [title.rpartition(" ")[2] for title in merged] == _versions(world, merged)


_WINE = "m2g/prod/wine"


def _commit_elsewhere(world: GiteaWorld) -> str:
    """A commit of a person that is on no branch yet."""
    tree = git(world.clone, "rev-parse", "HEAD^{tree}").strip()
    return git(world.clone, "commit-tree", "-p", "HEAD", "-m", "mine", tree).strip()


def _versions(world: GiteaWorld, merged: list[str]) -> list[str]:
    """What main says that prod runs, if something was merged: the title said the same."""
    return [str(world.record("main", "wine", "prod")["version"]) for _ in merged]
