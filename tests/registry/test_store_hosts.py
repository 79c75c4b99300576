"""Where m2g reads a cloud's store itself: no host that an author names gets what the machine has."""

from __future__ import annotations

import pytest

from m2g.core.config_types import Config, Environment, Rewrite, Storage
from m2g.registry import object_stores
from m2g.registry.errors import RequestFailed
from m2g.resolution.resolve import is_in_storage

HOSTS = (
    "evil.example",
    "account.blob.core.windows.net.evil.example",
    "evil.example%2F.blob.core.windows.net",
    "account.blob.evil.core.windows.net",
    "127.0.0.1",
)


@pytest.mark.attack
@pytest.mark.parametrize("host", HOSTS)
@pytest.mark.parametrize("scheme", ["wasbs", "abfss"])
def test_no_host_of_an_author_gets_a_token(scheme: str, host: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AZURE_STORAGE_ACCESS_KEY", "aHVzaA==")
    with pytest.raises(RequestFailed) as refused:
        object_stores.read(f"{scheme}://box@{host}/model", "MLmodel", 1 << 20)
    assert "is not on a host of Azure" in refused.value.message


@pytest.mark.parametrize(
    ("uri", "allowed"),
    [
        ("s3://models/wine", True),
        ("s3://models-private/wine", False),
        ("s3://models/../private/wine", False),
        ("s3://replica/wine", True),
        ("gs://models/wine", False),
        ("http://127.0.0.1/models/wine", False),
        ("", False),
    ],
)
def test_only_where_an_environment_allows_models(uri: str, allowed: bool) -> None:
    prod = Storage(rewrites=(Rewrite(from_="s3://replica/", to="s3://models/"),))
    config = Config(
        version=1,
        storage=Storage(allow=("s3://models/",)),
        environments={"prod": Environment(namespace="models-prod", storage=prod)},
    )
    assert is_in_storage(config, uri) is allowed
