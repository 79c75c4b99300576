"""Servers that fail, lie or lead in circles: an error that helps, soon, and never a part of a list."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from itertools import count

import msgspec
import pytest

from m2g.core.errors import InputError, M2gError, OutsideError
from m2g.core.model import ModelVersion
from m2g.registry import Registry, open_registry
from tests.support.fake_server import API, Answer, Asked, Fake, Script, fake, good, no, page
from tests.support.machine import seconds

MODELS = f"{API}registered-models/search"
VERSIONS = f"{API}model-versions/search"
Opened = Callable[[Script], tuple[Registry, Fake]]


@pytest.fixture
def opened() -> Iterator[Opened]:
    """Open a registry on a fake server, with little patience."""
    running = []

    def opening(script: Script) -> tuple[Registry, Fake]:
        manager = fake(script)
        server = manager.__enter__()
        running.append(manager)
        return open_registry(server.url, patience=seconds(1)), server

    yield opening
    for manager in running:
        manager.__exit__(None, None, None)


def model(name: str, **more: object) -> dict[str, object]:
    return {"name": name, "creation_timestamp": 1, "new_in_mlflow_9": {"a": [None]}, **more}


def version(name: str, number: int | str = 1, **more: object) -> dict[str, object]:
    return {"name": name, "version": str(number), "creation_timestamp": 1, "source": "s3://b/m", **more}


def pager(key: str, items: list[dict[str, object]], limit: int) -> Script:
    """An honest list: refuses pages over `limit`, and pages by offset."""

    def answer(asked: Asked) -> Answer:
        size, start = int(asked.query["max_results"]), int(asked.query.get("page_token", "0"))
        if size > limit:
            return no(400, "INVALID_PARAMETER_VALUE", "Invalid value for parameter 'max_results' supplied")
        more = {"next_page_token": str(start + size)} if start + size < len(items) else {}
        return good({key: items[start : start + size], **more})

    return answer


def test_a_list_costs_as_many_calls_as_it_has_pages(opened: Opened) -> None:
    items = [model(f"m{index:05}") for index in range(2500)]
    registry, server = opened(pager("registered_models", items, 1000))
    assert [one.name for one in registry.list_models()] == [item["name"] for item in items]
    assert len(server.asked) == 3
    numbered = [version(f"m{index % 7}", index) for index in range(20_001)]
    registry, server = opened(pager("model_versions", numbered, 10_000))
    assert len(registry.list_versions()) == 20_001
    assert len(server.asked) == 3
    assert len({asked.peer for asked in server.asked}) == 3, "a kept connection costs 40 ms a request (Nagle)"


def test_a_server_may_want_smaller_pages(opened: Opened) -> None:
    registry, server = opened(pager("registered_models", [model(f"m{index:03}") for index in range(250)], 100))
    assert len(registry.list_models()) == 250
    assert [asked.query["max_results"] for asked in server.asked] == ["1000", "100", "100", "100"]


def test_order_and_repetitions_of_the_server_do_not_matter(opened: Opened) -> None:
    """Rows that move between two pages are seen twice."""
    tags = [{"key": "b", "value": "2"}, {"key": "a"}]
    both = [{"alias": "z", "version": "1"}, {"alias": "a", "version": "10"}]
    pages = iter(
        [
            {"registered_models": [model("b", tags=tags, aliases=both), model("a")], "next_page_token": "x"},
            {"registered_models": [model("c"), model("b", tags=tags[::-1], aliases=both[::-1])]},
        ]
    )
    registry, _ = opened(lambda asked: good(next(pages)))
    models = registry.list_models()
    assert [one.name for one in models] == ["a", "b", "c"]
    assert list(models[1].tags.items()) == [("a", ""), ("b", "2")]
    assert list(models[1].aliases.items()) == [("a", "10"), ("z", "1")]
    shuffled = [version("b", 10), version("b", 9), version("a", 2), version("b", 10)]
    registry, _ = opened(lambda asked: good({"model_versions": shuffled}))
    assert [(one.name, one.version) for one in registry.list_versions()] == [("a", "2"), ("b", "9"), ("b", "10")]


HOSTILE = ("a\nb", "../../etc/passwd", "${X}", "{{ x }}", "🍷" * 80, "-rf", "'\"", "\x1b[31m", "x" * 300, "", "\u202e")


def test_names_and_tags_arrive_as_they_are(opened: Opened) -> None:
    listed = [model(name, tags=[{"key": name, "value": "y" * 100_000}]) for name in HOSTILE]
    registry, _ = opened(lambda asked: good({"registered_models": listed}))
    models = registry.list_models()
    assert [one.name for one in models] == sorted(HOSTILE)
    assert all(one.tags == {one.name: "y" * 100_000} for one in models)


def test_an_empty_registry_is_empty(opened: Opened) -> None:
    registry, _ = opened(lambda asked: Answer(body=b" { } "))
    assert registry.list_models() == []
    assert registry.list_versions() == []


NONSENSE = {
    "a web page": page(),
    "a list": good([]),
    "nothing": Answer(),
    "half": Answer(body=b'{"registered_models": [{"name": "a"'),
    "not UTF-8": Answer(body=b'{"registered_models": [{"name": "\xff"}]}'),
    "a lone surrogate": Answer(body=b'{"registered_models": [{"name": "\\ud800"}]}'),
    "another service": good({"status": "ok"}),
    "a number for a list": good({"registered_models": 3}),
    "a number for a name": good({"registered_models": [{"name": 1}]}),
    "no name": good({"registered_models": [{}]}),
    "null": good({"registered_models": [None]}),
    "a number for an alias": good({"registered_models": [{"name": "a", "aliases": [{"alias": "x", "version": 1}]}]}),
    "very deep": Answer(body=b'{"registered_models": ' + b"[" * 100_000),
    "very deep and unknown": Answer(body=b'{"x": ' + b"[" * 100_000 + b"]" * 100_000 + b"}"),
    "not gzip": Answer(body=b"{}", headers={"Content-Encoding": "gzip"}),
}


@pytest.mark.parametrize("answer", NONSENSE.values(), ids=NONSENSE)
def test_nonsense_is_an_error_that_names_the_url(opened: Opened, answer: Answer) -> None:
    registry, server = opened(lambda asked: answer)
    with pytest.raises(OutsideError) as raised:
        registry.list_models()
    assert f"{server.url}{MODELS}" in raised.value.message
    assert raised.value.hint
    assert len(raised.value.message) < 1000


LOGIN = {"Location": "https://login.example.com/oauth2/start?rd=x&token=hush"}
REFUSALS: dict[str, tuple[Answer, type[M2gError], str, str]] = {
    "no credentials": (no(401, "UNAUTHENTICATED", "who?"), InputError, "HTTP 401", "MLFLOW_TRACKING_USERNAME"),
    "no permission": (no(403, "PERMISSION_DENIED", "no"), OutsideError, "PERMISSION_DENIED: no", "READ"),
    "host check": (
        Answer(status=403, kind="text/plain", body=b"Invalid Host header - possible DNS rebinding attack detected"),
        OutsideError,
        "does not accept requests for the host 127.0.0.1:",
        "--allowed-hosts",
    ),
    "forbidden": (page(status=403), OutsideError, "HTTP 403", "proxy"),
    "no such route": (page("<html>Not Found</html>", 404), OutsideError, "HTTP 404", "path prefix"),
    "login": (Answer(status=302, headers=LOGIN), InputError, "https://login.example.com/oauth2/start", "_TOKEN"),
    "redirect to nowhere": (Answer(status=301), InputError, "an empty address", "address"),
    "https": (
        Answer(status=308, headers={"Location": "https://127.0.0.1/"}),
        InputError,
        "redirects to https://127.0.0.1/",
        "use https://",
    ),
    "bad redirect": (
        Answer(status=302, headers={"Location": "http://[:x"}),
        OutsideError,
        "closed the connection",
        "URI",
    ),
    "teapot": (Answer(status=418, kind="text/plain", body=b"\x1b[31mno\ncoffee"), OutsideError, "[31mno coffee", ""),
    "always 500": (no(500, "INTERNAL_ERROR", "x" * 9999), OutsideError, "INTERNAL_ERROR: xxx", ""),
    "workspaces": (no(500, "FEATURE_DISABLED", "Workspace APIs are not available"), InputError, "no work", "remove"),
    "always 503": (page(status=503), OutsideError, "HTTP 503 (gave up after", "try again"),
    "hang up": (Answer(hang_up=True), OutsideError, "closed the connection", "server is running"),
    "short": (Answer(body=b"{}", length=99), OutsideError, "closed the connection", "server is running"),
    "trickle": (Answer(body=b"{" + b" " * 99, pause=seconds(0.05), pieces=99), OutsideError, "in time", "try again"),
    "silence": (Answer(body=b"{}", pause=seconds(20)), OutsideError, "did not respond in time", "try again"),
}


@pytest.mark.parametrize("case", REFUSALS.values(), ids=REFUSALS)
def test_a_refusal_says_what_to_do_and_comes_soon(
    opened: Opened, case: tuple[Answer, type[M2gError], str, str]
) -> None:
    answer, kind, message, hint = case
    registry, server = opened(lambda asked: answer)
    started = time.monotonic()
    with pytest.raises(kind) as raised:
        registry.list_models()
    assert time.monotonic() - started < seconds(8)
    assert server.url in raised.value.message
    assert message in raised.value.message
    assert hint in raised.value.hint
    text = raised.value.message + raised.value.hint
    assert text.isprintable()
    assert "hush" not in text
    assert len(text) < 1000


@pytest.mark.parametrize("passing", [page(status=502), page(status=503), no(429, "X", "slow"), page(status=500)])
def test_what_passes_is_tried_again(opened: Opened, passing: Answer) -> None:
    answers = iter([passing, good({"registered_models": [model("a")]})])
    registry, server = opened(lambda asked: next(answers))
    assert [one.name for one in registry.list_models()] == ["a"]
    assert len(server.asked) == 2


def test_nobody_listens() -> None:
    registry = open_registry("http://ada:hush@127.0.0.1:9", patience=seconds(1))
    with pytest.raises(OutsideError, match="Connection refused") as raised:
        registry.list_models()
    error: BaseException | None = raised.value
    while error is not None:
        assert "hush" not in f"{error!r} {error}"
        error = error.__cause__


def first_page_then(then: Answer) -> Script:
    first = good({"registered_models": [model("a")], "next_page_token": "1"})
    return lambda asked: then if "page_token" in asked.query else first


LATER = {
    "dies": Answer(hang_up=True),
    "is overloaded": page(status=503),
    "fails": page(status=500),
    "forgets the token": no(400, "INVALID_PARAMETER_VALUE", "Invalid page token"),
    "becomes a login page": page(),
    "repeats the page": good({"registered_models": [model("a")], "next_page_token": "2"}),
    "repeats the token": good({"registered_models": [model("b")], "next_page_token": "1"}),
    "becomes another service": good({"status": "ok"}),
}


@pytest.mark.parametrize("then", LATER.values(), ids=LATER)
def test_a_list_that_breaks_off_is_no_list(opened: Opened, then: Answer) -> None:
    registry, _ = opened(first_page_then(then))
    with pytest.raises(OutsideError):
        registry.list_models()


def test_a_list_without_end_is_no_list(opened: Opened, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("m2g.registry.paging._MAX_PAGES", 20)
    numbers = count()
    registry, server = opened(lambda asked: good({"next_page_token": str(next(numbers))}))
    with pytest.raises(OutsideError, match=r"pages .* repeat"):
        registry.list_versions()
    assert len(server.asked) == 21


ASKED_FOR = {
    "the model": (good({"registered_model": model("Wine", aliases=[{"alias": "a", "version": "3"}])}), {"a": "3"}),
    "no such model": (no(404, "RESOURCE_DOES_NOT_EXIST", "Registered Model with name=Wine not found"), None),
    "a prompt": (
        good({"registered_model": model("Wine", tags=[{"key": "mlflow.prompt.is_prompt", "value": "true"}])}),
        None,
    ),
    "MySQL's idea of the same name": (good({"registered_model": model("wine")}), None),
}


@pytest.mark.parametrize("case", ASKED_FOR.values(), ids=ASKED_FOR)
def test_one_model_is_asked_for_by_name(opened: Opened, case: tuple[Answer, dict[str, str] | None]) -> None:
    answer, aliases = case
    registry, server = opened(lambda asked: answer)
    found = registry.find_model("Wine")
    assert (None if found is None else found.aliases) == aliases
    assert server.asked[0].query == {"name": "Wine"}


UNSURE = {
    "a proxy's 404": page("<html>Not Found</html>", 404),
    "another 404": no(404, "ENDPOINT_NOT_FOUND", "?"),
    "another model": good({"registered_model": model("Beer")}),
    "no model": good({}),
    "a lost workspace": no(404, "RESOURCE_DOES_NOT_EXIST", "Workspace 'a' not found"),
}


@pytest.mark.parametrize("answer", UNSURE.values(), ids=UNSURE)
def test_only_the_registry_itself_says_that_a_model_is_gone(opened: Opened, answer: Answer) -> None:
    registry, _ = opened(lambda asked: answer)
    with pytest.raises((OutsideError, InputError)):
        registry.find_model("Wine")


def test_versions_of_another_model_do_not_count(opened: Opened) -> None:
    registry, server = opened(lambda asked: good({"model_versions": [version("wine"), version("Wine")]}))
    assert [one.name for one in registry.list_versions("Wine")] == ["Wine"]
    assert registry.list_versions("'\"") == []
    assert [asked.query.get("filter") for asked in server.asked] == ["name='Wine'", None]


def facts_script(artifact: Script, run: Answer | None = None) -> Script:
    """A server that knows every version; what its artifacts and runs are is up to the test."""

    def answer(asked: Asked) -> Answer:
        if asked.path == MODELS:
            return good({})
        if asked.path.endswith("get-download-uri"):
            return good({"artifact_uri": f"s3://bucket/{asked.query['name']}"})
        if asked.path == f"{API}runs/get":
            return run or no(404, "RESOURCE_DOES_NOT_EXIST", "Run not found")
        return artifact(asked)

    return answer


def listed(*names: str, run_id: str = "") -> list[ModelVersion]:
    return [ModelVersion(name=name, version="1", source="s", created_at=1, run_id=run_id) for name in names]


BROKEN = {
    "too large": Answer(body=b"x" * ((1 << 20) + 1)),
    "forbidden": no(403, "PERMISSION_DENIED", "not yours"),
    "failing": page(status=500),
    "cut": Answer(body=b"x", length=9),
}


@pytest.mark.parametrize("broken", BROKEN.values(), ids=BROKEN)
def test_one_bad_artifact_is_its_own_problem(opened: Opened, broken: Answer) -> None:
    def artifact(asked: Asked) -> Answer:
        return broken if asked.query["name"] == "bad" else Answer(body=b"flavors: {}", kind="text/plain")

    registry, _ = opened(facts_script(artifact))
    assert registry.read_facts(listed("bad"))["bad", "1"].problem, "alone, too"
    facts = registry.read_facts(listed("bad", "good", "fine"))
    assert list(facts) == [("bad", "1"), ("fine", "1"), ("good", "1")]
    assert facts["bad", "1"].problem
    assert facts["good", "1"].files["MLmodel"] == b"flavors: {}"
    assert facts["good", "1"].artifact_uri == "s3://bucket/good"


def test_artifacts_that_nobody_serves_do_not_cost_a_minute_each(opened: Opened) -> None:
    registry, _ = opened(facts_script(lambda asked: page(status=503)))
    names = [f"m{index:02}" for index in range(24)]
    started = time.monotonic()
    assert all(facts.problem for facts in registry.read_facts(listed(*names)).values())
    assert time.monotonic() - started < seconds(15)


def test_a_server_that_dies_between_two_versions_fails_the_whole(opened: Opened) -> None:
    calls = count()

    def artifact(asked: Asked) -> Answer:
        return Answer(body=b"x")

    whole = facts_script(artifact)
    registry, _ = opened(lambda asked: whole(asked) if next(calls) < 30 else Answer(hang_up=True))
    with pytest.raises(OutsideError, match="closed the connection"):
        registry.read_facts(listed(*(f"m{index:02}" for index in range(60))))


def test_numbers_that_json_does_not_have_are_text(opened: Opened) -> None:
    values = {"a": "NaN", "b": "Infinity", "c": "-Infinity", "d": 1, "e": 0.1, "f": "1e999"}
    metrics = [{"key": key, "value": value} for key, value in reversed(values.items())]
    run = {"info": {"run_id": "r"}, "data": {"metrics": metrics}}
    registry, _ = opened(facts_script(lambda asked: Answer(body=b"x"), good({"run": run})))
    facts = registry.read_facts(listed("wine", run_id="r"))["wine", "1"]
    assert facts.run is not None
    expected = {"a": "NaN", "b": "Infinity", "c": "-Infinity", "d": 1.0, "e": 0.1, "f": "Infinity"}
    assert list(facts.run.metrics.items()) == list(expected.items())


def test_a_metric_that_is_no_number_is_a_problem(opened: Opened) -> None:
    run = {"info": {"run_id": "r"}, "data": {"metrics": [{"key": "a", "value": "many"}]}}
    registry, _ = opened(facts_script(lambda asked: Answer(body=b"x"), good({"run": run})))
    assert "not a number" in registry.read_facts(listed("wine", run_id="r"))["wine", "1"].problem


def test_runs_are_searched_by_the_chunk_and_a_hostile_run_id_is_no_filter(opened: Opened) -> None:
    versions = [v for index in range(600) for v in listed(f"m{index:03}", run_id=f"{index:032x}")]
    evil = listed("evil", run_id="x') OR ('1'='1")

    def answer(asked: Asked) -> Answer:
        if asked.path.endswith("experiments/search"):
            return good({"experiments": [{"experiment_id": "7"}]})
        if asked.path.endswith("runs/search"):
            assert b"OR" not in asked.body
            wanted = asked.body.split(b"'")[1::2]
            runs = [{"info": {"run_id": run.decode(), "experiment_id": "7"}} for run in wanted]
            return good({"runs": runs})
        return facts_script(lambda _: Answer(body=b"python_version: x"))(asked)

    registry, server = opened(answer)
    facts = registry.read_facts([*versions, *evil])
    assert all(
        one.run is not None and one.run.experiment_id == "7" for (name, _), one in facts.items() if name != "evil"
    )
    assert facts["evil", "1"].run is None
    assert [server.count(path) for path in ("experiments/search", "runs/search", "runs/get")] == [1, 3, 1]
    assert len(server.asked) == 1 + 3 + 1 + 3 * 601


def test_logged_models_are_searched_by_the_chunk_and_what_is_not_found_is_asked_for(opened: Opened) -> None:
    names = [f"m{index:03}" for index in range(300)]
    versions = [
        msgspec.structs.replace(v, source=f"models:/m-{name}") for name in (*names, "lost") for v in listed(name)
    ]
    evil = msgspec.structs.replace(listed("evil")[0], source="models:/m-x') OR ('1'='1")

    def answer(asked: Asked) -> Answer:
        if asked.path.endswith("experiments/search"):
            return good({"experiments": [{"experiment_id": "7"}]})
        if asked.path.endswith("logged-models/search"):
            assert b"OR" not in asked.body
            wanted = [one.decode() for one in asked.body.split(b"'")[1::2] if one != b"m-lost"]
            return good(
                {"models": [{"info": {"model_id": one, "artifact_uri": f"s3://bucket/{one[2:]}"}} for one in wanted]}
            )
        return facts_script(lambda _: Answer(body=b"python_version: x"))(asked)

    registry, server = opened(answer)
    facts = registry.read_facts([*versions, evil])
    assert {one.artifact_uri for one in facts.values()} == {f"s3://bucket/{name}" for name in (*names, "lost", "evil")}
    assert [server.count(path) for path in ("logged-models/search", "get-download-uri")] == [2, 2]


BESIDE = {
    "missing": (no(404, "RESOURCE_DOES_NOT_EXIST", "no such file"), ()),
    "too large": (Answer(body=b"x" * ((256 << 10) + 1)), ("requirements.txt",)),
    "forbidden": (no(403, "PERMISSION_DENIED", "not yours"), ("requirements.txt",)),
    "failing": (page(status=500), ("requirements.txt",)),
}


@pytest.mark.parametrize("case", BESIDE.values(), ids=BESIDE)
def test_a_file_beside_mlmodel_never_makes_a_version_unreadable(
    opened: Opened, case: tuple[Answer, tuple[str, ...]]
) -> None:
    broken, unread = case

    def artifact(asked: Asked) -> Answer:
        match asked.query["path"]:
            case "requirements.txt":
                return broken
            case "MLmodel":
                return Answer(body=b"python_version: 3.11.2")
            case _:
                return no(404, "RESOURCE_DOES_NOT_EXIST", "no such file")

    registry, _ = opened(facts_script(artifact))
    facts = registry.read_facts(listed("wine"))["wine", "1"]
    assert (facts.problem, list(facts.files), facts.unread) == ("", ["MLmodel"], unread)
