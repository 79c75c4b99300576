"""Real MLflow servers behind a reverse proxy that passes only a part: files are read as MLflow's own clients do."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from m2g.core.model import VersionFacts
from m2g.registry import Registry, open_registry
from tests.support.fake_server import Answer, Asked, fake, good, no, page
from tests.support.fleet import MLMODEL
from tests.support.mlflow_store import PYTHON2, Kind, Server, Store, store
from tests.support.reverse_proxy import Proxy, reverse_proxy

SERVERS: tuple[Kind, ...] = ("mlflow3", "mlflow2")
PROXIED = ("wine-quality", "fraud")
"""Models whose files the server keeps behind mlflow-artifacts: URIs; `direct` has its own in a folder."""
ARTIFACTS = "/api/2.0/mlflow-artifacts/artifacts"
UI = ("/get-artifact", "/model-versions/get-artifact")


def only_api(path: str) -> str | None:
    """A gateway that lets only the API through."""
    return path if path.startswith("/api/") else None


def static_prefix(path: str) -> str | None:
    """MLflow 2.22 with --static-prefix /ml: the API stays at the root, everything else lies below."""
    if path.startswith("/api/"):
        return path
    return path.removeprefix("/ml") if path.startswith("/ml/") else None


def below_a_path(path: str) -> str | None:
    return path.removeprefix("/tools/mlflow") if path.startswith("/tools/mlflow/") else None


def no_artifact_api(path: str) -> str | None:
    """A gateway that was set up before m2g read files through the API."""
    return None if path.startswith(ARTIFACTS) else path


GATEWAYS: dict[str, tuple[Callable[[str], str | None], str]] = {
    "only /api/": (only_api, ""),
    "a static prefix": (static_prefix, ""),
    "everything below a path": (below_a_path, "/tools/mlflow"),
    "no artifact API": (no_artifact_api, ""),
}


def facts_of(registry: Registry, *names: str) -> dict[str, VersionFacts]:
    versions = [version for version in registry.list_versions() if version.name in names and version.version == "1"]
    return {name: facts for (name, _), facts in registry.read_facts(versions).items()}


@pytest.fixture(params=SERVERS)
def made(request: pytest.FixtureRequest) -> Store:
    return store(request.param)


@pytest.fixture(params=list(GATEWAYS.values()), ids=list(GATEWAYS))
def gateway(request: pytest.FixtureRequest, made: Store) -> Iterator[tuple[Proxy, str]]:
    route, prefix = request.param
    with reverse_proxy(made.uri, route) as proxy:
        yield proxy, prefix


@pytest.mark.slow
@pytest.mark.timeout(400)
def test_proxied_files_are_read_through_any_gateway(made: Store, gateway: tuple[Proxy, str]) -> None:
    proxy, prefix = gateway
    direct = facts_of(open_registry(made.uri), *PROXIED)
    assert all("MLmodel" in facts.files for facts in direct.values())
    assert facts_of(open_registry(f"{proxy.url}{prefix}"), *PROXIED) == direct


@pytest.mark.slow
@pytest.mark.timeout(400)
def test_files_that_only_the_ui_serves_are_a_problem_of_the_gateway(made: Store) -> None:
    with reverse_proxy(made.uri, only_api) as proxy:
        facts = facts_of(open_registry(proxy.url), "direct", *PROXIED)
    assert {name: one.no_route for name, one in facts.items()} == {
        "direct": True,
        "fraud": False,
        "wine-quality": False,
    }
    assert "HTTP 404" in facts["direct"].problem


@pytest.mark.slow
@pytest.mark.timeout(400)
def test_a_server_that_really_has_a_static_prefix() -> None:
    made = store("mlflow2")
    options = ["--backend-store-uri", f"sqlite:///{made.folder}/mlflow.db"]
    options += ["--artifacts-destination", f"{made.folder}/proxied", "--static-prefix", "/ml"]
    server = Server(PYTHON2, *options).wait()
    try:
        assert facts_of(open_registry(server.url), *PROXIED) == facts_of(open_registry(made.uri), *PROXIED)
    finally:
        server.stop()


def answer_all(files: Callable[[Asked], Answer | None], uri: str) -> Callable[[Asked], Answer]:
    """A server with one version at a URI, whose files are up to the test."""

    def answer(asked: Asked) -> Answer:
        if asked.path.endswith("model-versions/search"):
            return good({"model_versions": [{"name": "wine", "version": "1", "creation_timestamp": 1, "source": "s"}]})
        if asked.path.endswith("get-download-uri"):
            return good({"artifact_uri": uri})
        return files(asked) or no(404, "RESOURCE_DOES_NOT_EXIST", "no such file")

    return answer


ELSEWHERE = {
    "another host": "mlflow-artifacts://evil.example.com/1/model",
    "another port": "mlflow-artifacts://127.0.0.1:9/1/model",
    "a way out": "mlflow-artifacts:/../../api/2.0/mlflow/experiments",
    "a hidden way out": "mlflow-artifacts:/1/../../x",
    "a query": "mlflow-artifacts:/1/model?x=1",
}


@pytest.mark.attack
@pytest.mark.parametrize("uri", ELSEWHERE.values(), ids=ELSEWHERE)
def test_a_uri_sends_m2g_nowhere_else(uri: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """MLflow's own clients would go to the host in the URI, with the user's token."""
    monkeypatch.setenv("MLFLOW_TRACKING_TOKEN", "hush")
    with fake(answer_all(lambda asked: Answer(body=MLMODEL) if asked.path in UI else None, uri)) as server:
        facts = facts_of(open_registry(server.url), "wine")
        assert facts["wine"].files["MLmodel"] == MLMODEL
        assert {asked.path for asked in server.asked if "artifact" in asked.path} == {UI[1]}


@pytest.mark.parametrize(("folder", "asked_for"), [("1/model", "1/model"), ("1/a b%2Fc", "1/a%20b%252Fc")])
def test_this_server_by_its_name_is_this_server(folder: str, asked_for: str) -> None:
    def answer(asked: Asked) -> Answer:
        uri = f"mlflow-artifacts://{asked.headers['Host']}/{folder}"
        return answer_all(lambda _: None, uri)(asked)

    with fake(answer) as server:
        facts_of(open_registry(server.url), "wine")
        paths = [asked.path for asked in server.asked if asked.path.startswith(ARTIFACTS)]
    assert paths == [f"{ARTIFACTS}/{asked_for}/MLmodel"]


DISABLED = Answer(
    status=503,
    kind="text/plain",
    body=b"Endpoint: /mlflow-artifacts/artifacts disabled due to the mlflow server running without "
    b"`--serve-artifacts`.",
)
REFUSED = {"404": page(status=404), "403": page(status=403), "401": page(status=401), "disabled": DISABLED}


@pytest.mark.parametrize("refused", REFUSED.values(), ids=REFUSED)
def test_a_route_that_is_refused_is_asked_once_and_the_ui_reads_the_file(refused: Answer) -> None:
    def files(asked: Asked) -> Answer | None:
        if asked.path.startswith(ARTIFACTS):
            return refused
        return Answer(body=MLMODEL) if asked.query.get("path") == "MLmodel" else None

    with fake(answer_all(files, "mlflow-artifacts:/1/model")) as server:
        facts = facts_of(open_registry(server.url, patience=2), "wine")
        assert facts["wine"].files == {"MLmodel": MLMODEL}
        assert sum(asked.path.startswith(ARTIFACTS) for asked in server.asked) == 1
