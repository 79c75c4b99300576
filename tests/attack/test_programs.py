"""Programs that m2g starts: none obeys the repository, and none outlives its limits."""

from __future__ import annotations

import http.server
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from m2g.core import process
from m2g.core.errors import InputError, OutsideError
from m2g.core.process.environment import clean_environment
from m2g.git import read
from m2g.image.lock import lock_requirements
from m2g.registry.download import ModelDownload, download_version
from m2g.smoke import probes
from m2g.smoke.environment import Environment
from m2g.smoke.program import Plan
from m2g.smoke.server import NotReady
from m2g.smoke.walls import list_python_files, make_jail
from tests.support.machine import seconds
from tests.support.named_index import Index, named_index
from tests.support.paths import ROOT
from tests.support.pipelines import Store
from tests.support.scaffolded import commit, git

pytestmark = [pytest.mark.attack, pytest.mark.slow]
NO_LIMITS = process.Limits()


def task(folder: Path, script: str, limits: process.Limits = NO_LIMITS, *, jailed: bool = False) -> process.Task:
    """A Python program, behind walls or not."""
    (folder / "root").mkdir(exist_ok=True)
    (folder / "scratch").mkdir(exist_ok=True)
    python = Path(sys.executable)
    jail = make_jail(folder, read=list_python_files(python), write=(), scratch=str(folder / "scratch"))
    return process.Task(
        arguments=(str(python), "-c", script),
        cwd=folder / "scratch",
        log=folder / "log",
        environment=clean_environment(),
        limits=limits,
        jail=jail if jailed else None,
    )


def ended(work: process.Task, within: float = 30) -> tuple[int | None, str]:
    """The exit code of the program, and its log."""
    with process.start(work) as running:
        code = running.poll(seconds(within))
    return code, work.log.read_text(errors="replace")


def alive(word: str) -> list[int]:
    """The processes whose command has this word."""
    found = []
    for entry in Path("/proc").iterdir():
        try:
            if entry.name.isdigit() and word.encode() in (entry / "cmdline").read_bytes():
                found.append(int(entry.name))
        except OSError:
            continue
    return [pid for pid in found if pid != os.getpid()]


DAEMON = """
import os, signal, subprocess, sys, time
word = "{word}"
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        os.execvp(sys.executable, [sys.executable, "-c", "import time; time.sleep(600)", word])
    os._exit(0)
time.sleep(0.5)
if {kill}:
    os.kill(os.getppid(), signal.SIGKILL)
time.sleep(600 if {wait} else 0)
"""


@pytest.mark.parametrize("jailed", [False, True])
@pytest.mark.parametrize(("kill", "wait"), [(True, False), (True, True), (False, True), (False, False)])
def test_nothing_outlives_the_block(tmp_path: Path, jailed: bool, kill: bool, wait: bool) -> None:
    """Row 18: a daemon that left its group and its session, whose program killed its supervisor, or did not end."""
    word = f"outlives-{tmp_path.name}"
    work = task(tmp_path, DAEMON.format(word=word, kill=kill, wait=wait), jailed=jailed)
    with process.start(work) as running:
        running.poll(seconds(2))
    deadline = time.monotonic() + seconds(10)
    while alive(word) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not alive(word)


def test_a_log_is_bounded_and_keeps_its_ends(tmp_path: Path) -> None:
    script = "print('first words')\nfor _ in range(4000): print('x' * 10_000)\nprint('last words')"
    code, log = ended(task(tmp_path, script, process.Limits(log_bytes=1 << 20)))
    assert code == 0
    assert len(log) <= (1 << 20) + (1 << 16)
    assert log.startswith("first words\n")
    assert log.rstrip().endswith("last words")
    assert log.count("m2g left out a part of this log") == 1


FORKS = "import os, time\nfor _ in range({count}):\n    if os.fork() == 0: {do}time.sleep(60)\ntime.sleep(60)"
GREEDY = {
    "one large process": ("x = b'x' * (1 << 30)\nimport time; time.sleep(60)", "MiB of memory"),
    "many that are large together": (FORKS.format(count=24, do="x = b'x' * (40 << 20); "), "MiB of memory"),
    "many": (FORKS.format(count=60, do=""), "processes, and may have 40"),
}


@pytest.mark.parametrize("jailed", [False, True])
@pytest.mark.parametrize(("script", "words"), GREEDY.values(), ids=GREEDY)
def test_memory_and_processes_are_bounded(tmp_path: Path, jailed: bool, script: str, words: str) -> None:
    limits = process.Limits(memory=600 << 20, processes=40)
    code, log = ended(task(tmp_path, script, limits, jailed=jailed), 50)
    assert code is not None
    assert code < 0
    assert "m2g stopped this program: it " in log
    assert words in log


def test_a_file_is_bounded(tmp_path: Path) -> None:
    script = "import os\nopen('big', 'wb').write(b'x' * (8 << 20))"
    assert ended(task(tmp_path, script, process.Limits(file_bytes=1 << 20)))[0] != 0
    assert (tmp_path / "scratch/big").stat().st_size <= 1 << 20


MANY = 'many() { head -c "$1" /dev/zero | tr "\\0" "$2"; }'
ANSWERS = {
    "a link to another file": 'rm -f "$4"; ln -s /etc/passwd "$4"',
    "a pipe that nobody writes to": 'rm -f "$4"; mkfifo "$4"',
    "a device without an end": 'rm -f "$4"; ln -s /dev/zero "$4"',
    "a folder": 'rm -f "$4"; mkdir "$4"',
    "nothing": 'rm -f "$4"',
    "no JSON": 'echo "{" > "$4"',
    "JSON of another shape": 'echo "[1]" > "$4"',
    "JSON that is nested deeply": "many 200000 '[' > \"$4\"",
    "columns that are nested deeply": "{ printf '{\"columns\":'; many 5000 '['; many 5000 ']'; printf '}'; } > \"$4\"",
    "numbers without an end": "{ printf '{\"columns\":['; many 20000 9; printf ']}'; } > \"$4\"",
}


@pytest.mark.parametrize("name", ANSWERS)
def test_the_answer_of_a_model_is_only_data(tmp_path: Path, name: str) -> None:
    """What stands in for the model's Python replaces the answer. That is a failure of the model, never one of m2g."""
    python = tmp_path / "environment/bin/python"
    python.parent.mkdir(parents=True)
    python.write_text(f"#!/bin/sh\n{MANY}\n{ANSWERS[name]}\n")
    python.chmod(0o755)
    (tmp_path / "workspace/0").mkdir(parents=True)
    plan = Plan(
        model="wine", slug="wine", version="7", profile="mlserver", folder=tmp_path, walled=False, seconds=seconds(20),
        environment=Environment(python=python, version="3.11.7"), workspace=tmp_path / "workspace/0",
    )  # fmt: skip
    with pytest.raises(NotReady, match="fails on the request") as refused:
        probes.run_pyfunc(plan, "{}")
    assert "root:" not in refused.value.message


def test_programs_get_only_the_variables_that_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (
        "AWS_SECRET_ACCESS_KEY",
        "MLFLOW_TRACKING_TOKEN",
        "LD_PRELOAD",
        "PYTHONPATH",
        "BASH_ENV",
        "GIT_EXTERNAL_DIFF",
    ):
        monkeypatch.setenv(name, str(tmp_path))
    printed = process.run(["env"]).stdout.decode().splitlines()
    names = {line.partition("=")[0] for line in printed}
    assert names <= {
        "PATH",
        "PYTHONSAFEPATH",
        "LANG",
        "LC_ALL",
        "LC_CTYPE",
        "TZ",
        "TMPDIR",
        "LANGUAGE",
        "LD_LIBRARY_PATH",
    }
    assert process.run(["pwd"]).stdout == b"/\n"


@pytest.mark.parametrize("path", [".", "", "bin", "./bin", "../planted"])
def test_a_program_in_the_repository_is_not_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, path: str) -> None:
    root = tmp_path / "planted"
    for folder in (root, root / "bin"):
        folder.mkdir(exist_ok=True)
        for name in ("git", "kustomize", "uv", "mlflow"):
            (folder / name).write_text(f"#!/bin/sh\ntouch {tmp_path}/owned\n")
            (folder / name).chmod(0o755)
    monkeypatch.chdir(root)
    monkeypatch.setenv("PATH", f"{path}:{os.environ['PATH']}")
    subprocess.run(["/usr/bin/git", "init", "-q"], check=True)
    with pytest.raises(InputError, match="Git does not find a commit"):
        read.resolve_ref(root, "HEAD")
    for name in ("git", "kustomize", "uv", "mlflow"):
        assert not process.find_program(name).startswith(str(root))
    assert not (tmp_path / "owned").exists()


def test_git_obeys_no_repository_inside_a_branch(tmp_path: Path) -> None:
    """A folder that looks like a bare repository has settings that run programs."""
    root, owned = tmp_path / "r", tmp_path / "owned"
    inner = root / "models"
    git(tmp_path, "init", "-q", "--bare", str(inner))
    for line in ("bare = false", f"fsmonitor = touch {owned}; false", f"worktree = {inner}", f"hooksPath = {inner}"):
        with (inner / "config").open("a") as file:
            file.write(f"[core]\n\t{line}\n")
    (root / "README.md").write_text("ours\n")
    commit(root, "A folder")
    git(inner, "--git-dir", ".", "ls-files", "--others")
    assert owned.exists(), "the attack works where nothing holds it back"
    owned.unlink()
    head = read.resolve_ref(root, "HEAD")
    for folder in (inner, root):
        read.list_tracked(folder)
        try:
            read.list_changed(folder, head)
        except (InputError, OutsideError) as error:
            assert "safe.bareRepository" in str(error)
    assert not owned.exists()


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    made = Store(tmp_path_factory.mktemp("mlflow"))
    made.register("wine", champion=1, versions=1)
    return made


@pytest.mark.parametrize("relative", [False, True])
def test_a_download_imports_nothing_of_the_repository(tmp_path: Path, store: Store, relative: bool) -> None:
    """Row 6: mlflow.py and others in the repository's root, also where the store is named by a relative path."""
    root, to = Path(store.uri.removeprefix("sqlite:///")).parent, tmp_path / "to"
    owned = tmp_path / "owned"
    planted = [root / f"{name}.py" for name in ("mlflow", "json", "sitecustomize", "click", "sqlalchemy")]
    for path in planted:
        path.write_text(f"open({str(owned)!r}, 'a').write(__file__)\n")
    to.mkdir()
    uri = "sqlite:///mlflow.db" if relative else store.uri
    folder = download_version(ModelDownload(name="wine", number="1"), uri, to, root=root)
    for path in planted:
        path.unlink()
    assert (folder / "MLmodel").is_file()
    assert not owned.exists()


class Server(http.server.BaseHTTPRequestHandler):
    """A server that wants to know who asks."""

    asked: list[tuple[str | None, str | None]] = []

    def do_GET(self) -> None:
        self.asked.append((self.headers["Authorization"], self.headers["X-Amz-Security-Token"]))
        self.send_error(404)

    def log_message(self, *_: object) -> None:
        """Silent."""


@pytest.mark.parametrize("distrust", ["", "m2g.yaml names another server"])
def test_a_download_sends_no_credentials_to_a_server_of_a_branch(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, distrust: str
) -> None:
    """Row 8, by MLflow's own command: neither those of the variables nor those of the home folder."""
    Server.asked.clear()
    (tmp_path / ".mlflow").mkdir()
    (tmp_path / ".mlflow/credentials").write_text(
        "[mlflow]\nmlflow_tracking_username = a\nmlflow_tracking_password = b\n"
    )
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("MLFLOW_TRACKING_TOKEN", "s3cret")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    wanted = ModelDownload(name="wine", number="1", distrust=distrust)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Server) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        (tmp_path / "to").mkdir()
        with pytest.raises((InputError, OutsideError)) as refused:
            download_version(wanted, f"http://127.0.0.1:{server.server_address[1]}", tmp_path / "to", root=tmp_path)
        server.shutdown()
    assert Server.asked
    assert any(authorization for authorization, _ in Server.asked) is not bool(distrust)
    assert distrust in refused.value.message
    assert ("export MLFLOW_TRACKING_URI=" in refused.value.hint) is bool(distrust)


@pytest.fixture
def index() -> Iterator[str]:
    with named_index() as address:
        yield address


@pytest.mark.parametrize("place", ["tmp/uv.toml", "tmp/pyproject.toml", "home/.config/uv/uv.toml", "xdg/uv/uv.toml"])
def test_uv_reads_no_settings_that_another_user_wrote(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, index: str, place: str
) -> None:
    """Row 17: in the folder for temporary files, above m2g's own, and in the home folder."""
    for folder in ("tmp", "home", "xdg", "wheels"):
        (tmp_path / folder).mkdir()
    file = tmp_path / place
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(
        f'[tool.uv]\nindex-url = "{index}"\n' if file.name == "pyproject.toml" else f'index-url = "{index}"\n'
    )
    for name, value in {
        "TMPDIR": tmp_path / "tmp", "HOME": tmp_path / "home", "XDG_CONFIG_HOME": tmp_path / "xdg",
        "UV_CACHE_DIR": tmp_path / "cache", "M2G_UV": ROOT / ".tools/uv-venv/bin/uv",
        "UV_DEFAULT_INDEX": tmp_path / "wheels",
    }.items():  # fmt: skip
        monkeypatch.setenv(name, str(value))
    monkeypatch.setattr("tempfile.tempdir", None)
    with pytest.raises((InputError, OutsideError), match="cellar"):
        lock_requirements(["cellar==1.0"], python="3.11")
    assert not Index.asked
