"""A branch that names another registry: the credentials stay with that of the base branch or the environment."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from mlflow import MlflowClient

from m2g.changes.update import RenderOptions
from m2g.commands.diff import diff
from m2g.commands.render import render
from m2g.core.config_types import Config
from m2g.core.errors import InputError, M2gError
from m2g.core.results import RenderResult
from m2g.registry import open_registry
from m2g.report import diff as report
from m2g.repository import config as configuration
from m2g.repository.state import Scope
from m2g.repository.trusted_registry import choose_registry, find_server
from tests.support.fake_server import Answer, Asked, Fake, fake, good, no
from tests.support.fleet import CONFIG, repository
from tests.support.git_repository import commit, git, start

pytestmark = pytest.mark.attack

TOKEN = "hush-token"
Variables = dict[str, str]


def guarded(asked: Asked) -> Answer:
    """A server that wants the token."""
    return good({}) if asked.headers.get("Authorization") == f"Bearer {TOKEN}" else no(401, "UNAUTHENTICATED", "who?")


@pytest.fixture
def ours() -> Iterator[Fake]:
    with fake(guarded) as server:
        yield server


@pytest.fixture
def evil() -> Iterator[Fake]:
    """It would like to have the token, and claims that it needs one."""
    with fake(lambda asked: no(401, "UNAUTHENTICATED", "your token, please")) as server:
        yield server


@pytest.fixture(autouse=True)
def token(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_TOKEN", TOKEN)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))


def config(uri: str) -> str:
    return CONFIG.replace('registry: {uri: "http://mlflow.test"}\n', f"registry: {{uri: {uri!r}}}\n" if uri else "")


def cloned(tmp_path: Path, base: str, branch: str) -> Path:
    """A clone whose main has one m2g.yaml and whose checked out branch another one."""
    upstream = start(tmp_path / "upstream")
    repository(upstream, config(base))
    commit(upstream)
    git(tmp_path, "clone", "-q", str(upstream), "clone")
    root = tmp_path / "clone"
    git(root, "checkout", "-q", "-b", "change")
    (root / "m2g.yaml").write_text(config(branch))
    commit(root)
    return root


def read_config(root: Path) -> Config:
    loaded = configuration.load(root).config
    assert loaded is not None
    return loaded


def ask(root: Path) -> RenderResult:
    return render(root, RenderOptions(), progress=lambda what, done, total: None, waiting=lambda: None)


def sent(server: Fake) -> list[str]:
    return [TOKEN for asked in server.asked if TOKEN in repr(asked.headers)]


@pytest.mark.parametrize("commits", [True, False])
def test_another_host_gets_nothing_and_the_reason_is_said(
    tmp_path: Path, ours: Fake, evil: Fake, commits: bool
) -> None:
    root = cloned(tmp_path, ours.url, evil.url if commits else ours.url)
    (root / "m2g.yaml").write_text(config(evil.url))
    with pytest.raises(InputError) as raised:
        ask(root)
    assert evil.asked
    assert sent(evil) == []
    assert f"m2g.yaml names {evil.url}, but the base branch and the environment name {ours.url}" in raised.value.message
    assert TOKEN not in raised.value.message + raised.value.hint


def test_the_host_of_the_base_branch_gets_it(tmp_path: Path, ours: Fake) -> None:
    root = cloned(tmp_path, ours.url, ours.url)
    ask(root)
    assert sent(ours)


def test_the_way_out_of_the_hint_works(tmp_path: Path, ours: Fake, monkeypatch: pytest.MonkeyPatch) -> None:
    root = cloned(tmp_path, "http://old.example.com", ours.url)
    with pytest.raises(InputError) as raised:
        ask(root)
    name, _, value = raised.value.hint.partition("export ")[2].partition("=")
    monkeypatch.setenv(name, value)
    ask(root)
    assert sent(ours)


def test_a_merged_change_is_trusted(tmp_path: Path, ours: Fake) -> None:
    root = cloned(tmp_path, "http://old.example.com", ours.url)
    git(root, "push", "-q", "origin", "change")
    git(tmp_path / "upstream", "merge", "-q", "change")
    git(root, "fetch", "-q")
    ask(root)
    assert sent(ours)


def test_a_base_branch_that_leaves_it_to_the_environment_names_none(
    tmp_path: Path, ours: Fake, evil: Fake, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = cloned(tmp_path, "", evil.url)
    with pytest.raises(InputError, match="but the base branch names none"):
        ask(root)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", ours.url)
    with pytest.raises(InputError, match=f"environment name {ours.url}"):
        ask(root)
    assert sent(evil) == []


UNFETCHED: dict[str, Variables] = {
    "GitHub": {"CI": "true", "GITHUB_BASE_REF": "release"},
    "GitLab": {"CI": "true", "CI_MERGE_REQUEST_TARGET_BRANCH_NAME": "release"},
    "a branch of GitLab": {"CI": "true", "CI_DEFAULT_BRANCH": "release"},
    "an option as branch": {"CI": "true", "GITHUB_BASE_REF": "--all"},
}


@pytest.mark.parametrize("variables", UNFETCHED.values(), ids=UNFETCHED)
def test_a_base_that_was_not_fetched_names_none(
    tmp_path: Path, evil: Fake, monkeypatch: pytest.MonkeyPatch, variables: Variables
) -> None:
    root = cloned(tmp_path, evil.url, evil.url)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(InputError, match="sent no credentials"):
        ask(root)
    assert sent(evil) == []


def test_the_target_of_a_pull_request_is_the_base(
    tmp_path: Path, ours: Fake, evil: Fake, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A branch called main of a fork, or a stale origin/HEAD, is not."""
    root = cloned(tmp_path, ours.url, evil.url)
    git(root, "branch", "-q", "-f", "main", "HEAD")
    git(root, "push", "-q", "origin", "change:refs/heads/release")
    git(root, "fetch", "-q")
    monkeypatch.setenv("GITHUB_BASE_REF", "main")
    with pytest.raises(InputError, match="sent no credentials"):
        ask(root)
    assert sent(evil) == []


PUSHED: dict[str, Variables] = {
    "GitHub": {"GITHUB_BASE_REF": "evil", "GITHUB_EVENT_PATH": "event.json"},
    "GitLab": {"CI_MERGE_REQUEST_TARGET_BRANCH_NAME": "evil", "CI_DEFAULT_BRANCH": "main"},
}


@pytest.mark.parametrize("variables", PUSHED.values(), ids=PUSHED)
def test_a_base_that_anybody_pushed_is_none(
    tmp_path: Path, ours: Fake, evil: Fake, monkeypatch: pytest.MonkeyPatch, variables: Variables
) -> None:
    """A pull request to a branch of one's own, which names the registry that the pull request uses."""
    root = cloned(tmp_path, ours.url, evil.url)
    git(root, "push", "-q", "origin", "change:refs/heads/evil")
    git(root, "fetch", "-q")
    (tmp_path / "event.json").write_text('{"action": "opened", "repository": {"id": 1, "default_branch": "main"}}')
    for name, value in variables.items():
        monkeypatch.setenv(name, str(tmp_path / value) if value.endswith(".json") else value)
    monkeypatch.setenv("CI", "true")
    with pytest.raises(InputError, match="sent no credentials"):
        ask(root)
    assert sent(evil) == []
    (root / "m2g.yaml").write_text(config(ours.url))
    with pytest.raises(InputError, match="sent no credentials"):  # the two branches do not agree
        ask(root)
    git(root, "push", "-q", "-f", "origin", "origin/main:refs/heads/evil")
    git(root, "fetch", "-q")
    ask(root)
    assert sent(ours)


@pytest.mark.parametrize("text", ["", "{", "[]", '{"repository": {"default_branch": 3}}', "\xff"])
def test_an_event_that_cannot_be_read_names_no_branch(
    tmp_path: Path, ours: Fake, monkeypatch: pytest.MonkeyPatch, text: str
) -> None:
    root = cloned(tmp_path, ours.url, ours.url)
    (tmp_path / "event.json").write_text(text, encoding="latin-1")
    monkeypatch.setenv("GITHUB_EVENT_PATH", str(tmp_path / "event.json"))
    monkeypatch.setenv("GITHUB_BASE_REF", "main")
    ask(root)
    assert sent(ours)


@pytest.mark.parametrize("broken", ["version: 2\n", "{", "registry: {uri: 3}\n", "\xff"])
def test_a_base_that_cannot_be_read_names_none(tmp_path: Path, ours: Fake, evil: Fake, broken: str) -> None:
    root = cloned(tmp_path, ours.url, evil.url)
    (tmp_path / "upstream/m2g.yaml").write_text(broken, encoding="latin-1")
    commit(tmp_path / "upstream")
    git(root, "fetch", "-q")
    with pytest.raises(InputError, match="sent no credentials"):
        ask(root)
    assert sent(evil) == []


def test_who_works_alone_is_trusted(tmp_path: Path, ours: Fake) -> None:
    """No Git at all, a repository without a commit, and one without m2g.yaml on main."""
    ask(repository(tmp_path / "plain", config(ours.url)))
    root = start(tmp_path / "empty")
    ask(repository(root, config(ours.url)))
    (root / "m2g.yaml").unlink()
    commit(root)
    ask(repository(root, config(ours.url)))
    assert len(sent(ours)) == len(ours.asked)


LOCAL = [
    "sqlite:///notes.db",
    "sqlite:////tmp/notes.db",
    "./notes",
    "file:///tmp/notes",
    "postgresql://evil.example/db",
]


@pytest.mark.parametrize("base", ["", "http://ours.example.com", "sqlite:///mlflow.db"])
@pytest.mark.parametrize("uri", LOCAL)
def test_a_store_that_only_the_branch_names_gets_nothing(tmp_path: Path, base: str, uri: str) -> None:
    """A branch can bring a database whose versions lie on any server."""
    root = cloned(tmp_path, base, uri)
    chosen = choose_registry(root, read_config(root))
    assert f"m2g.yaml names {uri}, but the base branch" in chosen.distrust


@pytest.mark.parametrize("uri", LOCAL)
def test_a_store_that_the_base_branch_names_is_trusted(tmp_path: Path, uri: str) -> None:
    root = cloned(tmp_path, uri, uri)
    assert choose_registry(root, read_config(root)).distrust == ""


@pytest.mark.parametrize("named", [True, False])
@pytest.mark.parametrize(
    ("uri", "file"),
    [
        ("sqlite:///notes.db", "notes.db"),
        ("sqlite:///data/notes.db", "data/notes.db"),
        ("sqlite:///link.db", "notes.db"),
        ("./notes", "notes/models/wine/meta.yaml"),
    ],
)
def test_a_store_in_git_is_the_branchs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, uri: str, file: str, named: bool
) -> None:
    """Its name is that of the base branch and of the environment, and what it says is not."""
    root = cloned(tmp_path, uri, uri)
    (root / file).parent.mkdir(parents=True, exist_ok=True)
    (root / file).write_text("")
    (root / "link.db").symlink_to("notes.db")
    commit(root)
    if named:
        monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    assert "every branch may bring its own" in choose_registry(root, read_config(root)).distrust


def test_a_store_of_a_branch_leads_nowhere(tmp_path: Path, evil: Fake, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the variables of CI: neither to another server, nor to a bucket with the machine's own rights."""
    monkeypatch.setenv("MLFLOW_TRACKING_URI", evil.url)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", TOKEN)
    root = cloned(tmp_path, "http://ours.example.com", "sqlite:///notes.db")
    monkeypatch.chdir(root)
    uri = f"sqlite:///{root}/notes.db"
    client = MlflowClient(uri, uri)
    for name, source in {"wine": f"{evil.url}/steal", "beer": "s3://payroll/m"}.items():
        client.create_registered_model(name)
        client.create_model_version(name, source)
        client.set_registered_model_alias(name, "champion", "1")
    found = [finding for finding in ask(root).findings if finding.rule == "version-unreadable"]
    assert {finding.model for finding in found} == {"wine", "beer"}
    assert all("m2g sent no credentials, because m2g.yaml names sqlite:///notes.db" in one.message for one in found)
    assert evil.asked == []


def test_a_clone_without_a_branch_to_compare_with_names_none(tmp_path: Path, evil: Fake) -> None:
    root = cloned(tmp_path, evil.url, evil.url)
    git(root, "remote", "set-head", "origin", "--delete")
    git(root, "branch", "-q", "-D", "main")
    git(root, "update-ref", "-d", "refs/remotes/origin/main")
    with pytest.raises(InputError, match="the base branch names none"):
        ask(root)
    git(root, "remote", "remove", "origin")
    git(root, "update-ref", "refs/remotes/fork/x", "HEAD")
    with pytest.raises(InputError, match="sent no credentials"):
        ask(root)
    git(root, "update-ref", "-d", "refs/remotes/fork/x")
    git(root, "remote", "add", "fork", str(tmp_path / "upstream"))
    with pytest.raises(InputError, match="sent no credentials"):
        ask(root)
    assert sent(evil) == []


SAME = ["http://h.example.com", "http://H.example.com:80/", "http://ada:x@h.example.com/ml", "http://h.example.com."]
OTHER = [
    "https://h.example.com",
    "http://h.example.com:81",
    "http://h.example.com.evil.org",
    "http://h.example.com@evil.org",
]


def test_a_server_is_scheme_host_and_port() -> None:
    assert {find_server(uri) for uri in SAME} == {"http://h.example.com"}
    assert "http://h.example.com" not in {find_server(uri) for uri in OTHER}
    assert {
        find_server(uri) for uri in ("sqlite:///x.db", "./mlruns", "", "http://", "http://[x", "postgresql://h/d")
    } == {""}


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_no_redirect_takes_the_token_with_it(evil: Fake, status: int) -> None:
    """Neither of a list nor of a file, to another port of the same host."""

    def answer(asked: Asked) -> Answer:
        if asked.path.endswith("registered-models/search") or asked.path.endswith("get-artifact"):
            return Answer(status=status, headers={"Location": f"{evil.url}{asked.path}"})
        if asked.path.endswith("get-download-uri"):
            return good({"artifact_uri": "s3://bucket/wine"})
        return good({"model_versions": [{"name": "wine", "version": "1", "creation_timestamp": 1}]})

    with fake(answer) as server:
        registry = open_registry(server.url, patience=2)
        with pytest.raises(M2gError, match="redirects to"):
            registry.list_models()
        assert "redirects to" in registry.read_facts(registry.list_versions())["wine", "1"].problem
        assert sent(server)
    assert evil.asked == []


@pytest.mark.usefixtures("kustomize")
@pytest.mark.parametrize("base", ["http://ours.example.com", ""])
def test_another_registry_is_the_first_line_of_the_review(tmp_path: Path, base: str) -> None:
    root = cloned(tmp_path, base, "https://eve:hunter2hunter2@evil.example.com/ml")
    (root / ".github").mkdir()
    (root / ".github/CODEOWNERS").write_text("* @eve\n")
    (root / "CODEOWNERS").write_text("* @eve\n")
    review = diff(root, "origin/main", Scope())
    message = review.outside[0].message
    assert f"registry.uri: {base or 'none'} → https://REDACTED@evil.example.com/ml: another server" in message
    assert "no credentials" in message
    assert "hunter2" not in report.render(review, "json") + report.render(review, "markdown")


@pytest.mark.usefixtures("kustomize")
def test_another_path_of_the_same_server_is_no_other_registry(tmp_path: Path) -> None:
    root = cloned(tmp_path, "http://ours.example.com", "http://ours.example.com:80/ml")
    assert not any("another server" in concern.message for concern in diff(root, "origin/main", Scope()).outside)
