"""The serving environments of a repository: read as they were written, refused if anybody changed them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from m2g.core.stamp import stamp
from m2g.repository import environments
from m2g.repository.load import InvalidRepository, read_repository
from tests.support.environments import lock_of, recorded, write_environment
from tests.support.fleet import repository

CONFIG = 'version: 1\nregistry: {uri: "http://mlflow.test"}\nenvironments: {dev: {namespace: d}}\n'
ONE = recorded({"numpy": "2.4.6"}, group="everyone")


def test_what_was_written_is_read(tmp_path: Path) -> None:
    repository(tmp_path, CONFIG)
    other = write_environment(tmp_path, recorded({"numpy": "2.4.6"}, model="wine"))
    write_environment(tmp_path, ONE)
    assert read_repository(tmp_path).environments == {one.id: one for one in (ONE, other)}


def _pretend(root: Path) -> None:
    """A new stamp, as somebody with m2g at hand can make."""
    path = root / f"environments/{ONE.id}/environment.json"
    changed = msgspec.structs.replace(ONE.environment, base="evil.test/base")
    path.write_bytes(stamp(path.name, msgspec.json.format(msgspec.json.encode(changed)).decode() + "\n"))


def _relock(root: Path) -> None:
    path = root / f"environments/{ONE.id}/requirements.txt"
    path.write_bytes(stamp(path.name, lock_of({"numpy": "2.4.6", "evil": "1"})))


def _point_elsewhere(root: Path) -> None:
    path = root / f"environments/{ONE.id}/requirements.txt"
    path.unlink()
    path.symlink_to("/etc/passwd")


@pytest.mark.attack
@pytest.mark.parametrize(
    "change",
    [
        lambda root: (root / f"environments/{ONE.id}/requirements.txt").unlink(),
        lambda root: (root / f"environments/{ONE.id}/requirements.txt").write_text("evil==1\n"),
        lambda root: (root / f"environments/{ONE.id}").rename(root / "environments/py311-other"),
        lambda root: (root / "environments/empty").mkdir(),
        _pretend,
        _relock,
        _point_elsewhere,
    ],
    ids=["no lock", "other lines", "another name", "empty", "another base", "another lock", "a symlink"],
)
def test_an_environment_never_changes(tmp_path: Path, change: Callable[[Path], object]) -> None:
    repository(tmp_path, CONFIG)
    write_environment(tmp_path, ONE)
    change(tmp_path)
    with pytest.raises(InvalidRepository) as refused:
        read_repository(tmp_path)
    assert [finding.rule for finding in refused.value.findings] == ["environment-invalid"]


def test_a_repository_without_environments_has_none(tmp_path: Path) -> None:
    assert environments.read(tmp_path) == ({}, [])
