"""A real API server takes what deploy/ makes, and its Pod Security admission lets the pods into the namespace."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.support.apiserver.server import serve
from tests.support.deploy import FORMS, build, list_containers, write_overlay

pytestmark = [pytest.mark.apiserver, pytest.mark.usefixtures("programs"), pytest.mark.slow]


def test_a_server_takes_every_form(tmp_path: Path, kustomize: Path) -> None:
    with serve() as server:
        for form in FORMS:
            folder = tmp_path / form
            folder.mkdir()
            objects = build(write_overlay(folder, form), kustomize)
            for one in objects:
                answer = server.check(one)
                assert answer.accepted, f"{form}: {one['kind']}: {answer.message}"
            if form == FORMS[0]:
                (namespace,) = [one for one in objects if one["kind"] == "Namespace"]
                assert server.client.post("/api/v1/namespaces", json=namespace).is_success
            pod = make_pod(objects)
            assert server.check(pod).accepted, server.check(pod).message
            pod["spec"]["securityContext"]["runAsNonRoot"] = False
            assert "restricted" in server.check(pod).message


def make_pod(objects: list[dict[str, Any]]) -> dict[str, Any]:
    """A pod as the controller makes it."""
    spec, _ = list_containers(objects)
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "m2g", "namespace": "m2g"}, "spec": spec}
