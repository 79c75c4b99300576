"""What every test stands on: no network, no home folder, nobody's git config; the pinned kustomize."""

from __future__ import annotations

import os
import runpy
import shutil
import signal
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import hypothesis
import pytest

from tests.support import examples, machine
from tests.support.paths import ROOT

_OFFLINE = ROOT / "tests/support/offline/sitecustomize.py"
# Settings of the person or the CI that starts the tests; none may change what they find.
_FOREIGN = (
    "ARM_ AWS_ AZURE_ CI CLICOLOR COLUMNS COPIER_ DATABRICKS_ FORCE_COLOR GIT_ GITHUB_ GITLAB_ GOOGLE_ KUBE KUSTOMIZE_ "
    "LINES M2G_ MLFLOW_ NO_COLOR PIP_ PRE_COMMIT PYTHONPATH UV_ XDG_"
).split()
_NOWHERE = "http://127.0.0.1:9"
_GITCONFIG = """\
[user]
	name = Ada Tester
	email = ada@example.com
[init]
	defaultBranch = main
[commit]
	gpgSign = false
"""


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--update-golden", action="store_true", help="write the golden directories anew")


def pytest_configure(config: pytest.Config) -> None:
    """Before any test module is imported: take the world away, from this process and from those it starts."""
    home = Path(tempfile.mkdtemp(prefix="m2g-home-"))
    config.add_cleanup(lambda: shutil.rmtree(home, ignore_errors=True))
    (home / ".gitconfig").write_text(_GITCONFIG)
    for name in list(os.environ):
        if name.startswith(tuple(_FOREIGN)) or name.lower().endswith("_proxy"):
            del os.environ[name]
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # as a shell starts what it runs in the background
        signal.signal(signal.SIGINT, signal.default_int_handler)
    os.environ.pop("PYTHONUNBUFFERED", None)  # it hides output that is not flushed in time
    os.environ |= {
        "HOME": str(home),
        "PATH": os.pathsep.join([str(ROOT / ".tools/bin"), str(Path(sys.executable).parent), os.environ["PATH"]]),
        "PYTHONPATH": str(_OFFLINE.parent),
        "GIT_CONFIG_GLOBAL": str(home / ".gitconfig"),
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_TERMINAL_PROMPT": "0",
        "GIT_ALLOW_PROTOCOL": "file",
        "GOPROXY": "off",
        "HYPOTHESIS_STORAGE_DIRECTORY": str(home / "hypothesis"),
        "PIP_NO_INDEX": "1",
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "DO_NOT_TRACK": "true",
        "NO_PROXY": "localhost,127.0.0.1",
    }
    os.environ |= dict.fromkeys(("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"), _NOWHERE)
    if config.getoption("--update-golden"):
        os.environ["M2G_TESTS_WRITE"] = "1"
    if getattr(sys.modules.get("sitecustomize"), "__file__", "") != str(_OFFLINE):  # else a worker, born with it
        runpy.run_path(str(_OFFLINE))
    machine.measure()
    hypothesis.settings.register_profile(
        "house", derandomize=True, database=None, deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow]
    )
    hypothesis.settings.load_profile("house")


@pytest.fixture(autouse=True)
def _same_process() -> Iterator[None]:
    """No later test depends on the folder that a verb moved to, or on a variable that a library set (MLflow does)."""
    before = {name: value for name, value in os.environ.items() if name.startswith(tuple(_FOREIGN))}
    yield
    os.chdir(ROOT)
    for name in [name for name in os.environ if name.startswith(tuple(_FOREIGN)) and name not in before]:
        del os.environ[name]
    os.environ |= before


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_protocol(item: pytest.Item) -> Iterator[None]:
    """A test's timeout is of the reference machine; `--timeout` on the command line is taken as it is."""
    if item.config.getoption("timeout") is None:
        mark = item.get_closest_marker("timeout")
        reference = mark.args[0] if mark else float(item.config.getini("timeout"))
        item.add_marker(pytest.mark.timeout(machine.seconds(reference)), append=False)
    return (yield)


@pytest.hookimpl(wrapper=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> Iterator[None]:
    with examples.bounded(pyfuncitem):
        return (yield)


@pytest.fixture
def update_golden(request: pytest.FixtureRequest) -> bool:
    """Whether golden directories are written anew (`make golden`) and not compared."""
    return bool(request.config.getoption("--update-golden"))


@pytest.fixture(scope="session")
def kustomize() -> Path:
    """The pinned kustomize that `make` builds; never another one, never a skip."""
    path = ROOT / ".tools/bin/kustomize"
    if not path.is_file():
        pytest.fail(f"{path.relative_to(ROOT)} is missing; `make test` builds it", pytrace=False)
    return path
