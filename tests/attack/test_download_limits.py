"""A server that never ends: a download has a size, a time and a memory, and each can be raised."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import pytest

from m2g.core.errors import InputError, OutsideError
from m2g.registry import download_limits
from m2g.registry.download import ModelDownload, download_version
from tests.support.fake_server import Answer, Asked, fake, good
from tests.support.machine import seconds

pytestmark = [pytest.mark.attack, pytest.mark.timeout(300)]

BLOCK = b"x" * (1 << 16)
Say = Callable[[Asked], Answer]


@pytest.fixture(autouse=True)
def bounds(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv(download_limits.BYTES, "8Mi")


def list_files(asked: Asked, *names: str, folder: str = "") -> Answer:
    """The answer for a folder. Names are relative to it, as the artifacts API has them."""
    files = [{"path": name, "is_dir": False, "file_size": 12} for name in names]
    return good({"files": files + ([{"path": folder, "is_dir": True}] if folder else [])})


def script(file: Answer, listing: Callable[[Asked], Answer]) -> Say:
    def answer(asked: Asked) -> Answer:
        if asked.path.endswith("get-download-uri"):
            return good({"artifact_uri": "mlflow-artifacts:/1/m"})
        if asked.path.endswith("/artifacts"):
            return listing(asked)
        return file if "/mlflow-artifacts/artifacts/" in asked.path else good({})

    return answer


def list_model(asked: Asked) -> Answer:
    return list_files(asked, "MLmodel")


ENDLESS: dict[str, Say] = {
    "one file": script(Answer(body=BLOCK, endless=True), list_model),
    "one file that says it is small": script(Answer(body=BLOCK, endless=True, length=20), list_model),
    "many files": script(
        Answer(body=BLOCK), lambda asked: list_files(asked, "MLmodel", *(f"file-{number}" for number in range(300)))
    ),
    "folders without an end": script(Answer(body=BLOCK), lambda asked: list_files(asked, "MLmodel", folder="more")),
}


def download(url: str, folder: Path) -> Path:
    (folder / "to").mkdir()
    return download_version(ModelDownload(name="wine", number="1"), url, folder / "to", root=folder)


@pytest.mark.parametrize("say", ENDLESS.values(), ids=ENDLESS)
def test_a_download_has_a_size(tmp_path: Path, say: Say) -> None:
    with fake(say) as server, pytest.raises(OutsideError, match="larger than 8Mi and was stopped") as raised:
        download(server.url, tmp_path)
    assert raised.value.hint.endswith(f"export {download_limits.BYTES}=16Mi")
    assert sum(file.stat().st_size for file in (tmp_path / "to").rglob("*") if file.is_file()) < 64 << 20


SLOW: dict[str, Say] = {
    "a file by drops": script(Answer(body=b"x", endless=True, pause=0.2), list_model),
    "a list by drops": script(Answer(), lambda asked: Answer(body=b" ", endless=True, pause=0.2)),
}


@pytest.mark.parametrize("say", SLOW.values(), ids=SLOW)
def test_a_download_has_a_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, say: Say) -> None:
    monkeypatch.setenv(download_limits.SECONDS, "8")
    start = time.monotonic()
    with fake(say) as server, pytest.raises(OutsideError, match="more than 8 s and was stopped") as raised:
        download(server.url, tmp_path)
    assert raised.value.hint.endswith(f"export {download_limits.SECONDS}=16")
    assert time.monotonic() - start < 8 + seconds(20)


def test_a_list_without_an_end_does_not_fill_the_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(download_limits, "MEMORY", 512 << 20)
    body = b'{"path": "x", "is_dir": false},' * 10_000
    with (
        fake(script(Answer(), lambda asked: Answer(body=body, endless=True))) as server,
        pytest.raises(OutsideError, match="MiB of memory, and may use 512 MiB"),
    ):
        download(server.url, tmp_path)


def test_what_the_hint_says_makes_it_pass(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    say = script(
        Answer(body=BLOCK), lambda asked: list_files(asked, "MLmodel", *(f"file-{number}" for number in range(130)))
    )
    with fake(say) as server:
        with pytest.raises(OutsideError) as raised:
            download(server.url, tmp_path)
        name, value = raised.value.hint.rpartition("export ")[2].split("=")
        monkeypatch.setenv(name, value)
        (tmp_path / "again").mkdir()
        assert (download(server.url, tmp_path / "again") / "MLmodel").read_bytes() == BLOCK


@pytest.mark.parametrize("text", ["much", "-1", "0", "1e"])
def test_bounds_that_are_no_amount(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setenv(download_limits.BYTES, text)
    with pytest.raises(InputError, match="is not an amount") as raised:
        download_limits.read_bounds()
    monkeypatch.setenv(download_limits.BYTES, raised.value.hint.rpartition(" ")[2])
    assert download_limits.read_bounds().size == 20 << 30
