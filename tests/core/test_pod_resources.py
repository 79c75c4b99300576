"""Kubernetes' own rules for the requests and limits of a container."""

from __future__ import annotations

import pytest

from m2g.core.pod_resources import find_problems


@pytest.mark.parametrize(
    ("requests", "limits", "found"),
    [
        ({"cpu": "2"}, {"cpu": "1"}, [("requests", "cpu")]),
        ({"cpu": "2"}, {}, []),
        ({"nvidia.com/gpu": "1"}, {}, [("requests", "nvidia.com/gpu")]),
        ({"nvidia.com/gpu": "1"}, {"nvidia.com/gpu": "2"}, [("requests", "nvidia.com/gpu")]),
        ({"nvidia.com/gpu": 1}, {"nvidia.com/gpu": "1000m"}, []),
        ({}, {"nvidia.com/gpu": "0.5"}, [("limits", "nvidia.com/gpu")]),
        ({}, {"nvidia.com/gpu": "1"}, []),
        ({"hugepages-2Mi": "64Mi", "cpu": "1"}, {}, [("requests", "hugepages-2Mi")]),
        ({}, {"hugepages-2Mi": "64Mi"}, [("limits", "hugepages-2Mi")]),
        ({}, {"hugepages-2Mi": "64Mi", "memory": "1Gi"}, []),
        ({"ephemeral-storage": "1Gi"}, {"ephemeral-storage": "2Gi"}, []),
        ({"cpu": "lots"}, {"cpu": "1"}, []),
    ],
)
def test_what_kubernetes_refuses_is_named(
    requests: dict[str, object], limits: dict[str, object], found: list[tuple[str, str]]
) -> None:
    assert [(problem.side, problem.name) for problem in find_problems(requests, limits)] == found
