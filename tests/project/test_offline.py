"""The tests' own walls hold, in this process and in those it starts."""

from __future__ import annotations

import os
import socket
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.paths import ROOT


@pytest.mark.parametrize("host", ["192.0.2.1", "2001:db8::1", "registry.example.com"])
def test_a_host_elsewhere_cannot_be_reached(host: str) -> None:
    with pytest.raises(OSError, match="tests are offline"):
        socket.create_connection((host, 443), timeout=5)


def test_loopback_can_be_reached() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server, socket.create_connection(server.getsockname()):
        pass


def test_the_checkout_cannot_be_written() -> None:
    for write in (Path.touch, Path.mkdir):
        with pytest.raises(PermissionError, match="tests do not write to the checkout"):
            write(ROOT / "leftover")
    with pytest.raises(PermissionError, match="tests do not write to the checkout"):
        (ROOT / "README.md").write_text("")
    with pytest.raises(PermissionError, match="tests do not write to the checkout"):
        sqlite3.connect(ROOT / "mlflow.db")


def test_what_a_test_starts_is_behind_the_same_walls() -> None:
    for code, expected in (
        ("import socket; socket.create_connection(('192.0.2.1', 443), timeout=5)", "tests are offline"),
        (f"open({str(ROOT / 'leftover')!r}, 'w')", "tests do not write to the checkout"),
    ):
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
        assert done.returncode == 1
        assert expected in done.stderr


def test_home_and_git_are_the_tests_own() -> None:
    home = Path.home()
    assert home.name.startswith("m2g-home-")
    origins = subprocess.run(
        ["git", "config", "--list", "--show-origin"], cwd=home, capture_output=True, text=True, check=True
    ).stdout.splitlines()
    assert {line.split("\t")[0] for line in origins} == {f"file:{home}/.gitconfig"}
    assert "GITHUB_ACTIONS" not in os.environ
