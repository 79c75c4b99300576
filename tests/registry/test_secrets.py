"""Secrets that people log and register: none gets into a value, a file, the cache or a message."""

from __future__ import annotations

import sqlite3
import subprocess
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from m2g.changes.update import RenderOptions, update
from m2g.core import cache as caches
from m2g.core.errors import M2gError
from m2g.core.results import RenderResult
from m2g.registry import open_registry
from m2g.repository import records
from tests.core.test_redact import HUSH, IN_TEXT, IN_URLS, TOKENS
from tests.support.fake_server import API, Answer, Asked, fake, good, no
from tests.support.fleet import CONFIG, MLMODEL, repository, tree, write_record

pytestmark = pytest.mark.attack

ALL = [*IN_URLS.values(), *IN_TEXT.values(), *TOKENS.values()]
FLOOD = "\n".join(ALL)
SIGNED = IN_URLS["Azure's signature"]


def leaked(text: str) -> list[str]:
    """The secrets that a text still has."""
    return [token for token in (HUSH, *TOKENS.values()) if token in text]


class Registry:
    """A server whose one version is `source`, with secrets in everything that an author may write."""

    def __init__(self, source: str = "s3://bucket/wine") -> None:
        self.source = source
        self.mlmodel = MLMODEL + b"metadata: {task: x}\nutc_time_created: '" + IN_URLS["JDBC"].encode() + b"'\n"

    def __call__(self, asked: Asked) -> Answer:
        pairs = [{"key": f"tag{index}", "value": text} for index, text in enumerate(ALL)]
        pairs += [{"key": "db_password", "value": HUSH}, {"key": TOKENS["GitHub"], "value": "1"}]
        match asked.path.removeprefix(API):
            case "registered-models/search":
                wine = {"name": "wine", "tags": pairs, "aliases": [{"alias": "champion", "version": "1"}]}
                return good({"registered_models": [wine]})
            case "model-versions/search":
                return good({"model_versions": [self.version(pairs)]})
            case "model-versions/get-download-uri":
                return good({"artifact_uri": self.source})
            case "runs/get":
                lineage = [f"mlflow.{key}" for key in ("source.git.repoURL", "source.name", "user", "runName")]
                tags = [{"key": key, "value": text} for key in lineage for text in (FLOOD,)]
                data = {"params": pairs, "tags": [*tags, *pairs], "metrics": [{"key": TOKENS["JWT"], "value": 1.0}]}
                inputs = [{"dataset": {"name": text, "digest": "d"}, "tags": pairs[:1]} for text in ALL]
                return good({"run": {"info": {"run_id": "r1"}, "data": data, "inputs": {"dataset_inputs": inputs}}})
            case _:
                files = {
                    "MLmodel": self.mlmodel,
                    "requirements.txt": f"mlflow==2.19.0\n--index-url {IN_URLS['user and password']}\n".encode(),
                }
                content = files.get(asked.query.get("path", ""))
                return no(404, "RESOURCE_DOES_NOT_EXIST", FLOOD) if content is None else Answer(body=content)

    def version(self, pairs: list[dict[str, str]]) -> dict[str, object]:
        return {
            "name": "wine",
            "version": "1",
            "creation_timestamp": 1,
            "source": self.source,
            "run_id": "r1",
            "tags": pairs,
        }


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    return tmp_path / "cache"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    tags = "tags: {" + ", ".join(f"tag{index}: annotations.t{index}" for index in range(len(ALL))) + "}\n"
    bounds = "bounds: {" + ", ".join(f"annotations.t{index}: {{oneOf: ['*']}}" for index in range(len(ALL))) + "}\n"
    return repository(tmp_path / "repository", CONFIG + tags + bounds)


def render(root: Path, cache: Path, script: Registry) -> RenderResult:
    with fake(script) as server:
        return update(root, RenderOptions(cache=cache), open_registry=lambda config: open_registry(server.url))


def everything(root: Path, cache: Path, outcome: RenderResult) -> Iterator[str]:
    yield from (content.decode() for content in tree(root).values())
    yield (cache / caches.FILE).read_bytes().decode("latin-1")
    yield msgspec.json.encode(outcome).decode()
    yield repr(outcome)


def test_nothing_that_an_author_wrote_leaks(root: Path, cache: Path) -> None:
    outcome = render(root, cache, Registry())
    assert [change.after for change in outcome.releases] == ["1"]
    assert [leaked(text) for text in everything(root, cache, outcome)] == [[]] * len(
        list(everything(root, cache, outcome))
    )
    (record,) = records.read_all(root)[0].values()
    assert record.run is not None
    assert record.run.params["tag0"] == "https://REDACTED@host/x"
    assert record.mlmodel is not None
    assert record.mlmodel.requirements == ("mlflow==2.19.0", "--index-url https://host/x")


def test_the_digest_of_the_mlmodel_stays_that_of_the_registry(root: Path, cache: Path) -> None:
    script = Registry()
    render(root, cache, script)
    (record,) = records.read_all(root)[0].values()
    digest = subprocess.run(["sha256sum"], input=script.mlmodel, capture_output=True, check=True).stdout.split()[0]
    assert record.mlmodel is not None
    assert record.mlmodel.sha256 == digest.decode()


@pytest.mark.parametrize("source", [SIGNED, IN_URLS["an @ in the password"], IN_URLS["S3's signature"]])
def test_a_uri_with_a_secret_is_refused_without_it(root: Path, cache: Path, source: str) -> None:
    outcome = render(root, cache, Registry(source))
    assert outcome.releases == ()
    (finding,) = [finding for finding in outcome.findings if finding.severity == "error"]
    assert "had a password or a signature, which m2g removed" in finding.message
    assert "serviceAccountName" in finding.hint
    assert not any(leaked(text) for text in everything(root, cache, outcome))


def test_a_record_that_an_older_m2g_wrote_loses_its_secret(root: Path, cache: Path) -> None:
    script = Registry()
    render(root, cache, script)
    (record,) = records.read_all(root)[0].values()
    assert record.run is not None
    old = msgspec.structs.replace(record, run=msgspec.structs.replace(record.run, params={"db": SIGNED}))
    assert leaked(write_record(root, "wine", old).read_text())
    outcome = render(root, cache, script)
    assert not any(leaked(text) for text in everything(root, cache, outcome))


def test_the_cache_of_an_older_m2g_is_deleted(root: Path, cache: Path) -> None:
    cache.mkdir()
    with sqlite3.connect(cache / caches.FILE) as database:
        database.execute("CREATE TABLE found (key BLOB PRIMARY KEY, value BLOB, day INTEGER)")
        database.execute("INSERT INTO found VALUES (x'00', ?, 1)", (SIGNED.encode(),))
    render(root, cache, Registry())
    assert not leaked((cache / caches.FILE).read_bytes().decode("latin-1"))


def test_a_model_whose_name_is_a_secret_is_left_out_and_not_named(root: Path, cache: Path) -> None:
    class Named(Registry):
        def __call__(self, asked: Asked) -> Answer:
            answer = super().__call__(asked)
            return msgspec.structs.replace(answer, body=answer.body.replace(b'"wine"', f'"{SIGNED}"'.encode()))

    outcome = render(root, cache, Named())
    assert [finding.rule for finding in outcome.findings] == ["model-name-secret"]
    assert not any(leaked(text) for text in (msgspec.json.encode(outcome).decode(), repr(outcome)))
    assert not (root / "models").exists()


def test_nothing_leaks_from_the_answer_of_a_server_that_fails(root: Path, cache: Path) -> None:
    for status, code in ((400, "X"), (403, "PERMISSION_DENIED"), (404, "RESOURCE_DOES_NOT_EXIST"), (500, "Y")):
        with fake(lambda asked, status=status, code=code: no(status, code, FLOOD)) as server:  # type: ignore[misc]
            with pytest.raises(M2gError) as raised:
                open_registry(server.url, patience=1).list_models()
            assert not leaked(f"{raised.value} {raised.value.message} {raised.value.hint}")


def test_ordinary_records_are_not_read_again(root: Path) -> None:
    """Looking for secrets must not make every run read every version."""
    with fake(Registry()) as server:
        for _ in range(2):
            update(root, RenderOptions(), open_registry=lambda config: open_registry(server.url))
        assert server.count("get-download-uri") == 1


def test_the_hint_of_validate_about_a_record_works_after_a_run_without_the_registry(root: Path, cache: Path) -> None:
    """`render --locked` finds the model up to date, with the secret in its record and its card."""
    with fake(Registry()) as server:

        def run_once(*, locked: bool) -> None:
            options = RenderOptions(cache=cache, locked=locked)
            update(root, options, open_registry=lambda config: open_registry(server.url))

        run_once(locked=False)
        (record,) = records.read_all(root)[0].values()
        assert record.run is not None
        old = msgspec.structs.replace(record, run=msgspec.structs.replace(record.run, params={"db": SIGNED}))
        path = write_record(root, "wine", old)
        run_once(locked=True)
        run_once(locked=True)
        assert leaked(path.read_text())
        run_once(locked=False)
        assert not leaked(path.read_text())
