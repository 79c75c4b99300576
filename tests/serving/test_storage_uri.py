"""Artifact URIs: what a cluster can read, and refusals that say the way out."""

from __future__ import annotations

import re

import msgspec
import pytest

from m2g.core import yaml_reader
from m2g.core.config_types import Rewrite, Storage
from m2g.core.errors import InputError
from m2g.serving.storage_uri import to_cluster_uri

PROXY = (Rewrite(from_="mlflow-artifacts:/", to="s3://mlflow/root"),)


@pytest.mark.parametrize(
    ("artifact", "rewrites", "uri"),
    [
        ("s3://b/1/models/m-a/artifacts", (), "s3://b/1/models/m-a/artifacts/"),
        ("s3a://b/x", (), "s3://b/x/"),
        ("gs://b/x", (), "gs://b/x"),
        ("hdfs:///user/x", (), "hdfs://user/x"),
        ("hdfs://nn:8020/user/x", (Rewrite(from_="hdfs://nn:8020/user", to="hdfs://user"),), "hdfs://user/x"),
        ("wasbs://c@acct.blob.core.windows.net/p/q", (), "https://acct.blob.core.windows.net/c/p/q/"),
        ("abfss://fs@acct.dfs.core.windows.net/p", (), "https://acct.blob.core.windows.net/fs/p/"),
        ("https://acct.file.core.windows.net/share", (), "https://acct.file.core.windows.net/share/"),
        ("https://acct.blob.core.windows.net/c/p", (), "https://acct.blob.core.windows.net/c/p/"),
        ("hf://owner/model:abc", (), "hf://owner/model:abc"),
        ("oci://reg/x@sha256:00", (), "oci://reg/x@sha256:00"),
        ("pvc://claim/p", (), "pvc://claim/p"),
        ("mlflow-artifacts:/1/m/artifacts", PROXY, "s3://mlflow/root/1/m/artifacts/"),
        (
            "mlflow-artifacts://host:5000/1/m",
            (Rewrite(from_="mlflow-artifacts://host:5000/", to="s3://b"),),
            "s3://b/1/m/",
        ),
        ("/srv/mlruns/1/m", (Rewrite(from_="/srv/mlruns", to="pvc://models/"),), "pvc://models/1/m"),
        ("file:///srv/mlruns/1", (Rewrite(from_="file:///srv/mlruns", to="pvc://models"),), "pvc://models/1"),
        (
            "s3://a/x",
            (Rewrite(from_="s3://a", to="gs://mirror"), Rewrite(from_="s3://a/x", to="gs://no")),
            "gs://mirror/x",
        ),
    ],
)
def test_readable(artifact: str, rewrites: tuple[Rewrite, ...], uri: str) -> None:
    assert to_cluster_uri(artifact, rewrites, ()) == uri


@pytest.mark.parametrize(
    "artifact",
    [
        "mlflow-artifacts:/1/m",
        "models:/m-abc",
        "models:/wine/1",
        "runs:/abc/model",
        "dbfs:/x",
        "file:///x",
        "/x",
        "mlruns/1",
        "https://example.com/model",
        "http://169.254.169.254/latest",
        "ftp://x/y",
        "s3://",
        "s3:/b/x",
        "hf://only",
        "hf://a/b/c",
        "hf://a b/c",
        "hf://a/b:main:0c0c0c0c",
        "hf://a/${X}:0c0c0c0c",
        "hf://user:pw/b",
        "s3://user:secret@b/x",
        "s3://b/../c",
        "s3://b/x?versionId=1",
        "s3://b/x#y",
        "s3://b/a\nb",
        "s3://b/\x7f",
        "",
    ],
)
def test_refused_with_a_way_out(artifact: str) -> None:
    with pytest.raises(InputError) as caught:
        to_cluster_uri(artifact, (), ())
    assert caught.value.hint
    assert "secret" not in caught.value.message + caught.value.hint


@pytest.mark.parametrize(
    ("uri", "allow", "allowed"),
    [
        ("s3://models/x", ("s3://models",), True),
        ("s3://models/x", ("s3://models/",), True),
        ("s3://models-2/x", ("s3://models",), False),
        ("s3://models/prod/x", ("s3://models/prod",), True),
        ("s3://models/production/x", ("s3://models/prod",), False),
        ("gs://a/x", ("s3://a", "gs://a"), True),
    ],
)
def test_the_allow_list_ends_at_a_slash(uri: str, allow: tuple[str, ...], allowed: bool) -> None:
    if allowed:
        assert to_cluster_uri(uri, (), allow).startswith(uri)
    else:
        with pytest.raises(InputError, match="outside of the storage"):
            to_cluster_uri(uri, (), allow)


FOREIGN = {
    "Azure Government": "wasbs://c@acme.blob.core.usgovcloudapi.net/1/m",
    "Azure Government, Data Lake": "abfss://c@acme.dfs.core.usgovcloudapi.net/1/m",
    "Azure Government, https": "https://acme.blob.core.usgovcloudapi.net/c/1/m",
    "Azure China": "abfss://c@acme.dfs.core.chinacloudapi.cn/1/m",
    "Azure file share": "https://acme.file.core.windows.net/c/1/m",
    "Azure file share, partitioned": "https://acme.z12.file.storage.azure.net/c/1/m",
    "NameNode": "hdfs://nn:8020/models/1/m",
    "NameNode, by HTTP": "webhdfs://nn:9870/models/1/m",
    "Cloudflare R2": "r2://models@0a1b.r2.cloudflarestorage.com/1/m",
}


@pytest.mark.parametrize(("name", "uri"), FOREIGN.items())
def test_another_cloud_is_called_by_its_name_and_the_rewrite_of_the_hint_works(name: str, uri: str) -> None:
    with pytest.raises(InputError) as raised:
        to_cluster_uri(uri, (), ())
    assert name.partition(",")[0] in raised.value.message
    line = re.search(r"storage: \{rewrites: \[.*\]\}", raised.value.hint)
    assert line is not None
    written = yaml_reader.read("m2g.yaml", line[0].replace("CLAIM", "models").encode()).data
    storage = msgspec.convert(written, dict[str, Storage])["storage"]
    assert re.fullmatch(r"(pvc|s3|(web)?hdfs)://models/(c/)?1/m/?", to_cluster_uri(uri, storage.rewrites, ()))


@pytest.mark.parametrize("uri", ["r2://models:key@0a1b.r2.cloudflarestorage.com/1/m", "s3://key@bucket/1/m"])
def test_a_user_is_still_a_user(uri: str) -> None:
    with pytest.raises(InputError, match="a user or a password"):
        to_cluster_uri(uri, (), ())
