"""What KServe does with an InferenceService, as far as an engine sees it: the predictor's Deployment, and its status.

There is no KServe in the cluster, and no node to run pods. Tests call this when KServe would have acted.
"""

from __future__ import annotations

import json
from typing import Any

from tests.support.cluster.kubernetes import Cluster

_MERGE = {"Content-Type": "application/merge-patch+json"}


def service(namespace: str, slug: str) -> str:
    """The path of an InferenceService in the API."""
    return f"/apis/serving.kserve.io/v1beta1/namespaces/{namespace}/inferenceservices/{slug}"


def deployment(namespace: str, slug: str) -> str:
    """The path of its predictor's Deployment in the API."""
    return f"/apis/apps/v1/namespaces/{namespace}/deployments/{slug}-predictor"


def version(cluster: Cluster, namespace: str, slug: str) -> str:
    """The version that an InferenceService serves; empty if there is none."""
    found = cluster.get(service(namespace, slug))
    return str(found["metadata"]["annotations"]["m2g.dev/model-version"]) if found else ""


def mode(cluster: Cluster, namespace: str, slug: str) -> str:
    """The deployment mode that an InferenceService asks for; empty if there is none."""
    found = cluster.get(service(namespace, slug))
    return str(found["metadata"]["annotations"].get("serving.kserve.io/deploymentMode", "")) if found else ""


def generations(cluster: Cluster, namespace: str) -> dict[str, str]:
    """Each InferenceService of a namespace → its uid and generation, which tell whether it was made anew or changed."""
    services = cluster.get(f"/apis/serving.kserve.io/v1beta1/namespaces/{namespace}/inferenceservices")
    found = [one["metadata"] for one in (services or {"items": []})["items"]]
    return {one["name"]: f"{one['uid']} {one['generation']}" for one in found}


def roll_out(cluster: Cluster, namespace: str, slug: str) -> None:
    """Write the Deployment of what the InferenceService says now. KServe copies the annotations of the service."""
    served = cluster.get(service(namespace, slug))
    assert served is not None, f"{namespace} has no InferenceService {slug}"
    annotations = {key: value for key, value in served["metadata"]["annotations"].items() if key.startswith("m2g.dev/")}
    labels = {"app": f"isvc.{slug}-predictor", "serving.kserve.io/inferenceservice": slug}
    owner = {
        "apiVersion": served["apiVersion"],
        "kind": served["kind"],
        "name": slug,
        "uid": served["metadata"]["uid"],
        "controller": True,
        "blockOwnerDeletion": True,
    }
    container = {"name": "kserve-container", "image": "example.com/mlserver:1"}
    cluster.apply(
        {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": {
                "name": f"{slug}-predictor",
                "namespace": namespace,
                "labels": labels,
                "annotations": annotations,
                "ownerReferences": [owner],
            },
            "spec": {
                "replicas": 1,
                "selector": {"matchLabels": labels},
                "template": {
                    "metadata": {"labels": labels, "annotations": annotations},
                    "spec": {"containers": [container]},
                },
            },
        }
    )


def report(cluster: Cluster, namespace: str, slug: str, *, ready: bool, failed: bool = False) -> None:
    """Write the status of the Deployment, as its controller would."""
    found = cluster.get(deployment(namespace, slug))
    assert found is not None
    number = 1 if ready else 0
    reason = "ProgressDeadlineExceeded" if failed else "NewReplicaSetAvailable" if ready else "ReplicaSetUpdated"
    status = {
        "observedGeneration": found["metadata"]["generation"],
        "replicas": 1,
        "updatedReplicas": 1,
        "readyReplicas": number,
        "availableReplicas": number,
        "unavailableReplicas": 1 - number,
        "conditions": [
            {"type": "Available", "status": str(ready), "reason": "Replicas", "message": f"{number} of 1 available"},
            {"type": "Progressing", "status": str(not failed), "reason": reason, "message": reason},
        ],
    }
    _write(cluster, deployment(namespace, slug), status)


def tell(cluster: Cluster, namespace: str, slug: str, status: dict[str, Any]) -> None:
    """Write the status of an InferenceService."""
    _write(cluster, service(namespace, slug), status)


def _write(cluster: Cluster, path: str, status: dict[str, Any]) -> None:
    body = json.dumps({"status": status})
    response = cluster.server.client.patch(f"{path}/status", content=body, headers=_MERGE)
    assert response.is_success, response.text
