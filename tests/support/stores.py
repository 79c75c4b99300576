"""A real S3 server (moto) on loopback, and the packages that read cloud stores, in an environment of their own."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from tests.support.machine import seconds
from tests.support.mlflow_store import find_port
from tests.support.paths import ROOT

PYTHON = ROOT / ".tools/stores-venv/bin/python"
_FILL = """
import json, sys
import boto3
s3 = boto3.client("s3", endpoint_url=sys.argv[1])
for name, text in json.load(sys.stdin).items():
    bucket, _, key = name.partition("/")
    if bucket not in [one["Name"] for one in s3.list_buckets()["Buckets"]]:
        s3.create_bucket(Bucket=bucket)
    s3.put_object(Bucket=bucket, Key=key, Body=text.encode())
"""
_READ = """
import json, pathlib, sys
import msgspec
from m2g.core.config_types import Config
from m2g.resolution.resolve import open_configured_registry
config = msgspec.convert(json.loads(sys.argv[1]), Config)
registry = open_configured_registry(config, pathlib.Path(sys.argv[2]), lambda *done: None)
facts = registry.read_facts(registry.list_versions())
print(json.dumps({name: [sorted(one.files), one.problem, one.hint] for (name, _), one in facts.items()}))
"""


@contextlib.contextmanager
def s3_server(files: Mapping[str, str], log: Path) -> Iterator[str]:
    """The address of an S3 server with these files, by bucket and key. It writes each request to `log`."""
    if not PYTHON.is_file():
        pytest.fail(f"{PYTHON.relative_to(ROOT)} is missing; `make test` makes it", pytrace=False)
    port = find_port()
    url = f"http://127.0.0.1:{port}"
    with log.open("wb") as stderr:
        server = subprocess.Popen([PYTHON, "-m", "moto.server", "--port", str(port)], stdout=stderr, stderr=stderr)
    try:
        _wait(url, server)
        keys = {"AWS_ACCESS_KEY_ID": "any", "AWS_SECRET_ACCESS_KEY": "any", "AWS_DEFAULT_REGION": "us-east-1"}
        fill = [str(PYTHON), "-P", "-c", _FILL, url]
        subprocess.run(fill, input=json.dumps(dict(files)), text=True, check=True, env={**os.environ, **keys})
        yield url
    finally:
        server.kill()
        server.wait()


def _wait(url: str, server: subprocess.Popen[bytes]) -> None:
    end = time.monotonic() + seconds(60)
    while time.monotonic() < end and server.poll() is None:
        try:
            with urllib.request.urlopen(url, timeout=seconds(5)):
                return
        except (urllib.error.URLError, OSError):
            time.sleep(0.1)
    pytest.fail("the S3 server did not start")


def read_facts(
    config: Mapping[str, object], root: Path, variables: Mapping[str, str], *, packages: bool = True
) -> dict[str, tuple[list[str], str, str]]:
    """What m2g reads in a process of its own: files, problem and hint by model. Without `packages` it has no boto3."""
    found = [str(path) for path in PYTHON.parents[1].glob("lib/python*/site-packages")] if packages else []
    kept = {name: text for name, text in os.environ.items() if not name.startswith(("AWS_", "MLFLOW_"))}
    done = subprocess.run(
        [sys.executable, "-P", "-c", _READ, json.dumps(dict(config)), str(root)],
        env={**kept, "AWS_EC2_METADATA_DISABLED": "true", "PYTHONPATH": os.pathsep.join(found), **variables},
        cwd=root,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return {name: (files, problem, hint) for name, (files, problem, hint) in json.loads(done.stdout).items()}
