"""The command as a person or a script meets it: words, streams, exit codes."""

from __future__ import annotations

import contextlib
import http.server
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.command_line import M2G, m2g
from tests.support.fleet import CONFIG, release, repository, tree, write_record
from tests.support.machine import seconds


@contextlib.contextmanager
def server(status: int, body: bytes, kind: str = "text/html", asked: threading.Event | None = None) -> Iterator[str]:
    """An HTTP server that gives one answer to everything; with `asked` it sets that, and answers at the end."""
    ended = threading.Event()

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            if asked is not None:
                asked.set()
                ended.wait()
            with contextlib.suppress(OSError):
                self.send_response(status)
                self.send_header("Content-Type", kind)
                self.end_headers()
                self.wfile.write(body)

        do_POST = do_GET  # noqa: N815 - http.server's name

        def log_message(self, *_: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as listening:
        listening.daemon_threads = True
        threading.Thread(target=listening.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{listening.server_port}"
        ended.set()
        listening.shutdown()


@pytest.fixture
def root(tmp_path: Path) -> Path:
    made = repository(tmp_path / "repo", CONFIG.replace('registry: {uri: "http://mlflow.test"}\n', ""))
    write_record(made, "wine", release(registry="http://other.test"))
    return made


def test_help_shows_verbs_and_examples(tmp_path: Path) -> None:
    done = m2g(tmp_path, "--help")
    assert done.returncode == 0
    for verb in ("init", "render", "validate", "diff"):
        assert verb in done.stdout
        page = m2g(tmp_path, verb, "--help")
        assert page.returncode == 0
        assert f"m2g {verb} " in page.stdout.replace("Usage: m2g", "")


def test_done_then_nothing_to_do(root: Path) -> None:
    done = m2g(root, "render", "--locked")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("written: ")
    assert m2g(root, "render", "--locked").stdout == "up to date: 1 model\n"
    assert m2g(root, "-C", str(root / "models"), "render", "--locked", "--check").returncode == 0


def test_drift_is_exit_1_with_a_short_diff(root: Path) -> None:
    m2g(root, "render", "--locked")
    (root / "m2g.yaml").write_text((root / "m2g.yaml").read_text().replace("maxReplicas: 4", "maxReplicas: 5"))
    done = m2g(root, "render", "--locked", "--check")
    assert done.returncode == 1
    assert "+  value: 5" in done.stdout
    assert done.stdout.endswith("out of date: 1 changed file of 1 model\n")


def test_json_is_one_object_for_scripts(root: Path) -> None:
    done = m2g(root, "render", "--locked", "--dry-run", "--format", "json")
    answer = json.loads(done.stdout)
    assert answer["version"] == 1
    assert answer["written"] is False
    assert {"kind": "added", "path": "models/wine/overlays/prod/patch.yaml"}.items() <= next(
        file for file in answer["files"] if file["path"].endswith("patch.yaml")
    ).items()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["render", "--nonsense"], "No such option"),
        (["rendre"], "No such command"),
        (["render", "--env", "qa", "--locked"], "this repository has no environment 'qa'"),
        (["render"], "no MLflow registry is configured"),
        (["render", "--allow-removals", "-1"], "Invalid value"),
    ],
)
def test_wrong_input_is_exit_2_and_says_what(root: Path, arguments: list[str], words: str) -> None:
    before = tree(root)
    done = m2g(root, *arguments)
    assert done.returncode == 2
    assert words in done.stderr
    assert "Traceback" not in done.stderr
    assert tree(root) == before


def test_outside_a_repository_the_way_in_is_said(tmp_path: Path) -> None:
    done = m2g(tmp_path, "render")
    assert done.returncode == 2
    assert "m2g init DIR" in done.stderr


def test_a_wrong_m2g_yaml_is_exit_2_with_lines(root: Path) -> None:
    (root / "m2g.yaml").write_text(CONFIG.replace("minReplicas", "minReplica").replace("models-dev", "Models"))
    done = m2g(root, "render", "--locked")
    assert done.returncode == 2
    assert "m2g.yaml:4" in done.stdout
    assert "m2g.yaml:5" in done.stdout
    assert "did you mean minReplicas?" in done.stdout


@pytest.mark.slow
class TestRegistryInTrouble:
    """Exit 3, a clear word, and the tree as it was."""

    def check(self, root: Path, uri: str, *words: str) -> None:
        before = tree(root)
        done = m2g(root, "render", uri=uri)
        assert done.returncode == 3, done.stderr
        assert "Traceback" not in done.stderr
        assert "→" in done.stderr
        assert all(word in done.stderr for word in words), done.stderr
        assert tree(root) == before

    def test_nobody_listens(self, root: Path) -> None:
        self.check(root, "http://127.0.0.1:9", "127.0.0.1:9")

    def test_a_login_page_instead_of_json(self, root: Path) -> None:
        with server(200, b"<!doctype html><title>Sign in</title>") as uri:
            self.check(root, uri)

    def test_an_answer_that_is_cut_off(self, root: Path) -> None:
        with server(200, b'{"registered_models": [{"name": "wi', "application/json") as uri:
            self.check(root, uri)

    def test_wrong_credentials_are_the_persons_to_mend(self, root: Path) -> None:
        with server(401, b"{}", "application/json") as uri:
            done = m2g(root, "render", uri=uri)
        assert done.returncode == 2
        assert "MLFLOW_TRACKING_TOKEN" in done.stderr

    def test_no_such_scheme(self, root: Path) -> None:
        done = m2g(root, "render", uri="ftp://example.com")
        assert done.returncode == 2
        assert "→" in done.stderr


def test_an_empty_registry_removes_nothing(root: Path) -> None:
    with server(200, b"{}", "application/json") as uri:
        done = m2g(root, "render", uri=uri)
    assert done.returncode == 0
    assert "came from http://other.test" in done.stderr
    assert (root / "models/wine/releases/prod.json").exists()


def test_an_interrupt_is_130_and_leaves_the_tree(root: Path) -> None:
    before = tree(root)
    asked = threading.Event()
    with server(200, b"{}", "application/json", asked) as uri:
        child = subprocess.Popen(
            [*M2G, "render"],
            cwd=root,
            env={**os.environ, "MLFLOW_TRACKING_URI": uri},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert asked.wait(seconds(60))
        child.send_signal(signal.SIGINT)
        _, stderr = child.communicate(timeout=seconds(20))
    assert child.returncode == 130
    assert "interrupted" in stderr
    assert "Traceback" not in stderr
    assert tree(root) == before


def test_a_reader_that_goes_away_is_no_error(root: Path) -> None:
    done = subprocess.run(
        ["bash", "-c", '"$0" -m m2g render --locked --dry-run | head -n 0; exit "${PIPESTATUS[0]}"', sys.executable],
        cwd=root,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("arguments", [["--help"], ["render", "--locked", "--check"]])
def test_start_up_imports_nothing_heavy(root: Path, arguments: list[str]) -> None:
    script = (
        "import sys; from m2g import cli\n"
        "cli.run(lambda: cli.group.main(sys.argv[1:], standalone_mode=False))\n"
        "print(*sorted(set(sys.modules)), file=sys.stderr)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, *arguments], cwd=root, capture_output=True, text=True, check=True
    )
    loaded = set(done.stderr.split())
    heavy = {"mlflow", "copier", "httpx", "rich", "pydantic", "asyncio", "kubernetes_validate", "requests", "pandas"}
    assert loaded & {*heavy, "jinja2"} == set()


def test_what_people_wrote_is_not_parsed_again(root: Path) -> None:
    script = (
        "import sys; from m2g import cli\n"
        "cli.run(lambda: cli.group.main(['render', '--locked'], standalone_mode=False))\n"
        "print(*sorted(set(sys.modules)), file=sys.stderr)\n"
    )
    parsers = {"ruamel.yaml"}
    for needed in (parsers, set()):
        done = subprocess.run(
            [sys.executable, "-c", script],
            cwd=root,
            env={**os.environ, "M2G_CACHE_DIR": str(root.parent / "cache")},
            capture_output=True,
            text=True,
            check=True,
        )
        assert parsers & set(done.stderr.split()) == needed


def test_a_relative_store_in_m2g_yaml_is_found_from_anywhere(tmp_path: Path) -> None:
    root = repository(tmp_path / "repo", CONFIG.replace("http://mlflow.test", "sqlite:///nowhere/mlflow.db"))
    (root / "models").mkdir()
    said = {
        m2g(folder, *arguments, "render").stderr
        for folder, arguments in ((tmp_path, ["-C", "repo"]), (root, []), (root / "models", []))
    }
    assert len(said) == 1
    assert "nowhere/mlflow.db" in said.pop()
