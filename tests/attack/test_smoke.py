"""A model's code reads no credential, reaches nothing, outlives nothing and changes nothing, whatever it tries."""

from __future__ import annotations

import ctypes
import json
import os
import platform
import select
import shutil
import socket
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from m2g.core.errors import InputError
from m2g.core.results import SmokeResult, SmokeTest, Walls
from m2g.image.context import image_requirements
from m2g.image.package_index import check_indexes, installer_environment
from m2g.report.smoke import render
from m2g.smoke import environment as environments
from m2g.smoke.install import EnvironmentSpec
from m2g.smoke.seal import digest_folder
from tests.support.machine import whole_seconds
from tests.support.smoke_runs import SERVERS, WITHOUT_NAMESPACES, models, smoke, wheels

pytestmark = [pytest.mark.attack, pytest.mark.slow]
SECRET = "s3cret-of-the-registry"
CREDENTIALS = {"MLFLOW_TRACKING_TOKEN": SECRET, "AWS_SECRET_ACCESS_KEY": SECRET, "GH_TOKEN": SECRET, "UV_INDEX": SECRET}
OURS = ("--venv", str(SERVERS), "--requests", "1", "--rest-only", "--format", "json")
SPY = """
import ctypes, glob, json, os, platform, socket, subprocess, sys
found = {"environ": "", "secrets": [], "files": [], "network": [], "written": []}
for path in glob.glob("/proc/[0-9]*/environ"):
    try:
        if SECRET in open(path, "rb").read():
            found["secrets"].append(path)
    except OSError:
        pass
found["environ"] = dict(os.environ)
found["processes"] = []
for path in glob.glob("/proc/[0-9]*/cmdline"):
    try:
        found["processes"].append(open(path).read()[:60])
    except OSError:  # it has ended
        pass
for path in FILES:
    if os.path.exists(path):
        found["files"].append(path)
for host, port in TARGETS:
    try:
        socket.create_connection((host, port), timeout=2).close()
        found["network"].append([host, port])
    except OSError:
        pass
for name in SOCKETS:
    try:
        socket.socket(socket.AF_UNIX).connect("\\0" + name)
        found["network"].append(name)
    except OSError:
        pass
try:
    os.close(os.open("/dev/tty", os.O_RDWR))
    found["files"].append("/dev/tty")
except OSError:
    pass
found["key"] = ctypes.CDLL(None).syscall(KEYCTL, 10, -3, b"user", b"m2g-test", 0)
for folder in WRITABLE:
    try:
        open(os.path.join(folder, "planted.pth"), "w").write("import os")
        found["written"].append(folder)
    except OSError:
        pass
status = open("/proc/self/status").read()
found["rights"] = [line for line in status.splitlines() if line.startswith(("CapEff", "NoNewPrivs"))]
found["namespace"] = subprocess.run(["unshare", "--user", "true"], capture_output=True).returncode
print("SPY " + json.dumps(found), flush=True)
""".replace("KEYCTL", '{"x86_64": 250, "aarch64": 219}[platform.machine()]')


@pytest.fixture(scope="module")
def wine(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return models(tmp_path_factory.mktemp("models"), "wine") / "wine"


def hostile(wine: Path, to: Path, code: str) -> Path:
    """The model `wine`, whose loader runs this code first."""
    shutil.copytree(wine, to)
    (to / "code").mkdir()
    (to / "code/hostile.py").write_text(
        f"{code}\nimport mlflow.sklearn\ndef _load_pyfunc(path):\n    return mlflow.sklearn._load_pyfunc(path)\n"
    )
    text = (to / "MLmodel").read_text()
    assert "loader_module: mlflow.sklearn" in text
    text = text.replace("loader_module: mlflow.sklearn", "loader_module: hostile\n    code: code")
    (to / "MLmodel").write_text(text)
    return to


def served(model: Path, *options: str, under: Sequence[str] = (), **variables: str) -> tuple[dict[str, Any], str, int]:
    """The report of a smoke test, the server's log, and the exit code."""
    logs = model.parent / f"{model.name}-logs"
    done = smoke(
        "--model-dir", str(model), "--profile", "mlserver-image", "--timeout", whole_seconds(120),
        "--keep-logs", str(logs), *OURS, *options, under=under, variables=CREDENTIALS | variables,
    )  # fmt: skip
    assert done.stdout, done.stderr
    assert SECRET not in done.stdout + done.stderr
    log = "".join(path.read_text(errors="replace") for path in logs.glob("*/*.log"))
    return json.loads(done.stdout), log, done.returncode


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    """A server of this machine, outside of the walls."""
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen()
        yield server


@pytest.fixture
def abstract() -> Iterator[str]:
    """A server of this machine whose address is no file."""
    name = f"m2g-test-{os.getpid()}"
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(f"\0{name}")
        server.listen()
        yield name


@pytest.fixture
def session_key() -> Iterator[None]:
    """A secret in the kernel's keyring of this session, such as a Kerberos ticket."""
    add, keyctl = {"x86_64": (248, 250), "aarch64": (217, 219)}[platform.machine()]
    kernel = ctypes.CDLL(None).syscall
    key = kernel(add, b"user", b"m2g-test", SECRET.encode(), len(SECRET), -3)
    yield
    if key > 0:
        kernel(keyctl, 3, key)


def port_of(server: socket.socket) -> int:
    return int(server.getsockname()[1])


@pytest.mark.usefixtures("session_key")
def test_a_model_sees_and_reaches_nothing(wine: Path, tmp_path: Path, listener: socket.socket, abstract: str) -> None:
    """Row 3: no credential in its variables or those of any process that it sees; no file, no network, no right."""
    home = tmp_path / "home"
    for name in (".aws/credentials", ".mlflow/credentials", ".netrc", ".ssh/id_ed25519"):
        (home / name).parent.mkdir(parents=True, exist_ok=True)
        (home / name).write_text(SECRET)
    files = [*(str(home / name) for name in (".aws/credentials", ".netrc")), "/etc/shadow", "/run", "/root/.bashrc"]
    places = [str(SERVERS), str(wine), "/usr/lib", str(tmp_path), "/etc"]
    code = SPY.replace("FILES", repr(files)).replace("WRITABLE", repr(places))
    code = code.replace("SECRET", repr(SECRET.encode())).replace(
        "TARGETS", f"[['127.0.0.1', {port_of(listener)}], ['192.0.2.1', 80]]"
    )
    code = code.replace("SOCKETS", repr([abstract]))
    report, log, exit_code = served(hostile(wine, tmp_path / "spy", code), HOME=str(home))
    assert exit_code == 0, report
    spied = [json.loads(line[4:]) for line in log.splitlines() if line.startswith("SPY ")]
    assert len(spied) == 2, "the server and pyfunc"
    for found in spied:
        assert found["secrets"] == found["files"] == found["network"] == []
        assert found["key"] == -1
        assert not [name for name in found["environ"] if name in CREDENTIALS]
        assert found["environ"]["HOME"] != str(home)
        assert len(found["processes"]) <= 3, found["processes"]
        assert found["rights"] == ["CapEff:\t0000000000000000", "NoNewPrivs:\t1"]
        assert found["namespace"] != 0
    assert not [place for place in places if (Path(place) / "planted.pth").exists()]
    walls = report["walls"]
    assert all(walls[name] for name in ("environment", "network", "processes", "files", "limits"))
    assert walls["problem"] == walls["hint"] == ""


@pytest.mark.usefixtures("session_key")
def test_without_namespaces_no_process_of_m2g_has_a_credential(wine: Path, tmp_path: Path) -> None:
    """Row 3 where the walls cannot be built: the report says so, and no process that m2g controls has a credential."""
    code = SPY.replace("FILES", "[]").replace("WRITABLE", "[]").replace("TARGETS", "[]")
    code = (
        code.replace("SOCKETS", "[]")
        .replace("SECRET", repr(SECRET.encode()))
        .replace(
            'found["secrets"].append(path)', 'found["secrets"].append(open(path.replace("environ", "cmdline")).read())'
        )
    )
    report, log, exit_code = served(hostile(wine, tmp_path / "spy", code), under=WITHOUT_NAMESPACES)
    assert exit_code == 0, report
    walls = report["walls"]
    assert (walls["environment"], walls["network"], walls["processes"], walls["files"]) == (True, False, False, False)
    assert walls["problem"].startswith("this machine allows no namespaces (")
    spied = [json.loads(line[4:]) for line in log.splitlines() if line.startswith("SPY ")]
    assert len(spied) == 2
    for found in spied:
        assert not [name for name in found["environ"] if name in CREDENTIALS]
        assert found["key"] == -1
        assert not found["secrets"], "m2g, its supervisors and its other programs"
        assert found["rights"][1] == "NoNewPrivs:\t1"


def test_isolation_that_is_required_is_refused_or_there(wine: Path) -> None:
    """The hint is a command. It works; sudo is left out, because the tests are root where they forbid it."""
    command = ("--model-dir", str(wine), *OURS, "--require-isolation")
    done = smoke(*command, under=WITHOUT_NAMESPACES)
    assert done.returncode == 3
    assert "the model's code cannot be isolated: this machine allows no namespaces (" in done.stderr
    hint = done.stderr.partition("allow them until the next start of the machine: sudo ")[2].strip()
    assert hint == "sysctl --write user.max_user_namespaces=15000"
    again = (
        "unshare",
        "--user",
        "--map-root-user",
        "sh",
        "-c",
        f'{WITHOUT_NAMESPACES[5].partition(";")[0]}; PATH=$PATH:/usr/sbin:/sbin {hint} >&2; exec "$@"',
        "sh",
    )
    done = smoke(*command, "--timeout", "1", under=again)
    assert "was not ready within 1 s" in done.stdout, done.stderr
    assert json.loads(done.stdout)["walls"]["files"]


LINES = {
    "an index": "--index-url http://127.0.0.1:{port}/simple",
    "an index, in short": "-i http://127.0.0.1:{port}/simple",
    "one more index": "--extra-index-url=http://127.0.0.1:{port}/simple",
    "links": "--find-links http://127.0.0.1:{port}/simple",
    "links, in short": "-f http://127.0.0.1:{port}/simple",
    "a URL": "cellar @ http://127.0.0.1:{port}/cellar-1.0-py3-none-any.whl",
    "a repository": "-e git+http://127.0.0.1:{port}/cellar",
    "another file": "-r http://127.0.0.1:{port}/requirements.txt",
    "settings of a build": "cellar==1.0 --config-settings=x=y",
    "a continued line": "cellar==1.0 \\\n--index-url http://127.0.0.1:{port}/simple",
}


@pytest.mark.parametrize("name", LINES)
def test_a_model_chooses_no_index_and_no_option(wine: Path, tmp_path: Path, listener: socket.socket, name: str) -> None:
    """Row 4: refused before anything is asked for."""
    shutil.copytree(wine, tmp_path / "wine")
    (tmp_path / "wine/requirements.txt").write_text(f"mlflow\n{LINES[name].format(port=port_of(listener))}\n")
    done = smoke("--model-dir", str(tmp_path / "wine"), "--packages", "model", cache=tmp_path / "cache")
    assert done.returncode in (2, 3), done.stdout + done.stderr
    refused = LINES[name].startswith(("-i", "-f", "--", "cellar @"))
    assert ("building the environment" in done.stderr) != refused, "other options are left out"
    assert not select.select([listener], [], [], 0)[0], "nobody asked for anything there"


ODD = (
    *("cellar@http://h/x.whl", "cellar[a]@ http://h/x.whl", "cellar @\\\nhttp://h/x.whl", "cellar @ git+ssh://h/x"),
    *("http://h/x.whl", "file:///tmp/x", "./cellar", "-e .", "@http://h/r.txt", "${X}", "cellar==${PIP_INDEX_URL}"),
    *("--index-\\\nurl http://h", "cellar==1 -i http://h", "cellar==1 ; --index-url=http://h", "--INDEX-URL http://h"),
    *(f"cellar{end}--index-url http://h" for end in ("\r", "\x0b", "\u2028", "==1 #\n")),
)


@pytest.mark.parametrize("line", ODD)
def test_a_line_that_only_some_installers_understand_is_refused(line: str) -> None:
    with pytest.raises(InputError, match="is not a released package"):
        image_requirements((line, "mlflow==3.17.2"), "mlflow-image", "")


def test_an_index_that_a_person_names_may_be_in_the_requirements(monkeypatch: pytest.MonkeyPatch) -> None:
    required = image_requirements(
        ("--extra-index-url https://ada:pw@pypi.test/simple/", "mlflow==3.17.2"), "mlflow-image", ""
    )
    with pytest.raises(InputError, match="a model may not choose its index") as refused:
        check_indexes("wine", required.indexes)
    for part in refused.value.hint.partition("export ")[2].split():
        with monkeypatch.context() as patch:
            patch.setenv(*part.split("=", 1))
            check_indexes("wine", required.indexes)


def sdist(folder: Path, owned: Path) -> None:
    """A source package whose build runs code."""
    inner = folder / "cellar-1.0"
    inner.mkdir(parents=True)
    (inner / "setup.py").write_text(f"open({str(owned)!r}, 'w').write('built')\nraise SystemExit(1)\n")
    (inner / "PKG-INFO").write_text("Metadata-Version: 2.1\nName: cellar\nVersion: 1.0\n")
    shutil.make_archive(str(folder / "cellar-1.0"), "gztar", folder, "cellar-1.0")


@pytest.mark.parametrize("tool", ["pip", "uv"])
def test_nothing_of_a_package_is_built(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tool: str) -> None:
    """Row 4: a source package in the index that a person named is not built."""
    owned = tmp_path / "owned"
    sdist(tmp_path / "index", owned)
    use(monkeypatch, tmp_path, tool)
    spec = EnvironmentSpec(model="wine", python=PYTHON, lines=("cellar==1.0",))
    with pytest.raises(InputError, match="cannot be installed"), environments.open_environment(spec, print):
        pass
    assert not owned.exists()


PYTHON = f"{sys.version_info[0]}.{sys.version_info[1]}"


def use(monkeypatch: pytest.MonkeyPatch, folder: Path, tool: str) -> None:
    """An index on this disk, and pip or uv."""
    uv = shutil.which("uv") or str(SERVERS.parent / ".tools/uv-venv/bin/uv")
    for name in ("PIP_FIND_LINKS", "UV_FIND_LINKS"):
        monkeypatch.setenv(name, str(folder / "index"))
    for name, value in {"PIP_NO_INDEX": "1", "UV_NO_INDEX": "1", "UV_OFFLINE": "1"}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("UV_CACHE_DIR", str(folder / "uv"))
    monkeypatch.setenv("M2G_UV", uv if tool == "uv" else "/nonexistent")
    monkeypatch.setenv("M2G_CACHE_DIR", str(folder / "cache"))


CHANGES: dict[str, Callable[[Path], object]] = {
    "a .pth": lambda site: (site / "later.pth").write_text("import os\n"),
    "sitecustomize": lambda site: (site / "sitecustomize.py").write_text(""),
    "a file, with its old size and date": lambda site: rewrite(site / "cellar-1.0.dist-info/METADATA"),
    "byte code": lambda site: rewrite(next((site / "__pycache__").glob("cellar.*"))),
    "the interpreter": lambda site: replace(site.parents[2] / "bin/python"),
    "a program": lambda site: (site.parents[2] / "bin/mlserver").write_text("#!/bin/sh\n"),
    "a link": lambda site: (site / "json").symlink_to("/tmp"),
    "a right": lambda site: (site / "cellar.py").chmod(0o777),
}


def rewrite(path: Path) -> None:
    state, content = path.stat(), bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    os.utime(path, ns=(state.st_atime_ns, state.st_mtime_ns))


def replace(python: Path) -> None:
    python.unlink()
    python.write_text("#!/bin/sh\necho 3.11.7\ntouch $(dirname $0)/../../../owned\n")
    python.chmod(0o755)


@pytest.mark.parametrize("tool", ["pip", "uv"])
def test_a_changed_environment_is_built_again_and_never_started(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tool: str
) -> None:
    """Row 5: whatever was changed later is noticed before use, and m2g does not start what it has not verified."""
    wheels(tmp_path / "index", cellar="1.0", mlserver="1.7.1")  # its wheel has a .pth of its own, which is known
    use(monkeypatch, tmp_path, tool)
    spec = EnvironmentSpec(model="wine", python=PYTHON, lines=("cellar==1.0",))
    said: list[str] = []
    with environments.open_environment(spec, said.append) as first:
        folder = first.python.parent.parent
    assert first.seal == digest_folder(folder)
    with environments.open_environment(spec, said.append):
        pass
    assert len(said) == 1, "an environment that nobody changed is used again"
    for name, change in CHANGES.items():
        said.clear()
        change(next(folder.glob("lib/python3*/site-packages")))
        with environments.open_environment(spec, said.append) as again:
            assert again.seal == digest_folder(folder), name
        assert said == [
            f"building the environment of wine (Python {first.version}, only once) again, because somebody changed it …"
        ], name
        assert not (tmp_path / "cache/owned").exists(), name


def test_an_installer_reads_no_settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Rows 4 and 17: neither credentials nor settings files reach pip and uv."""
    for name, value in CREDENTIALS.items():
        monkeypatch.setenv(name, value)
    for name in (
        "PIP_CONFIG_FILE",
        "UV_CONFIG_FILE",
        "PYTHONPATH",
        "PYTHONSTARTUP",
        "LD_PRELOAD",
        "PIP_TARGET",
        "UV_PROJECT",
    ):
        monkeypatch.setenv(name, str(tmp_path))
    given = installer_environment()
    assert set(given) & {*CREDENTIALS, "UV_CONFIG_FILE", "PYTHONPATH", "LD_PRELOAD", "PIP_TARGET", "UV_PROJECT"} == {
        "UV_INDEX"
    }
    assert given["PIP_CONFIG_FILE"] == os.devnull
    assert given["UV_NO_CONFIG"] == "1"


def test_the_report_says_what_a_model_could_reach() -> None:
    """It says so in words, and neither the reason nor the next step can contain a command to a terminal."""
    tests = (
        SmokeTest(model="wine", slug="wine", version="7", environments=("prod",), profile="mlserver", passed=True),
    )
    text = render(SmokeResult(tests=tests, walls=Walls(network=True, processes=True, files=True)), "text")
    assert "  the model's code had no credentials, no network, no other processes, no other files, limits\n" in text
    text = render(SmokeResult(tests=tests, walls=Walls(problem="\x1b[2Jno namespaces", hint="allow them")), "text")
    assert (
        "  the model's code had no credentials, limits; it could reach the network, the variables of your other "
        "processes, such as your shell, your files: " in text
    )
    assert "\x1b" not in text
    assert "  → allow them\n" in text
