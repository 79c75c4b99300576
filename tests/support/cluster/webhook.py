"""A mutating webhook that changes InferenceServices as KServe's Go round trip does, so that drift would show.

The rules are those of KServe's own webhook: containers get a name and resources, quantities are canonical, an empty
`value` of an environment variable is dropped.
"""

from __future__ import annotations

import base64
import contextlib
import http.server
import json
import ssl
import threading
from collections.abc import Iterator
from typing import Any

from m2g.core.quantity import canonicalize
from tests.support.cluster.certificates import make_certificate
from tests.support.cluster.kubernetes import Cluster, Manifest
from tests.support.programs import folder


def mutate(service: Manifest) -> Manifest:
    """An InferenceService as KServe's webhook stores it."""
    for component in ("predictor", "transformer"):
        spec = service["spec"].get(component, {})
        for container in (*spec.get("containers", []), *([spec["model"]] if "model" in spec else [])):
            container.setdefault("name", "" if container is spec.get("model") else "kserve-container")
            resources = container.setdefault("resources", {})
            for kind in ("requests", "limits"):
                if kind in resources:
                    resources[kind] = {key: canonicalize(str(value)) for key, value in resources[kind].items()}
            for variable in container.get("env", []):
                if variable.get("value") == "":
                    del variable["value"]
    return service


class _Handler(http.server.BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))["request"]
        changed = mutate(request["object"])
        patch = json.dumps([{"op": "replace", "path": "/spec", "value": changed["spec"]}]).encode()
        answer = {
            "apiVersion": "admission.k8s.io/v1",
            "kind": "AdmissionReview",
            "response": {
                "uid": request["uid"],
                "allowed": True,
                "patchType": "JSONPatch",
                "patch": base64.b64encode(patch).decode(),
            },
        }
        body = json.dumps(answer).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the name is http.server's
        """Say nothing."""


@contextlib.contextmanager
def mutating(cluster: Cluster) -> Iterator[None]:
    """Serve the webhook to a cluster until the block ends."""
    with folder("webhook") as place:
        certificate = make_certificate(place)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(place / "certificate.pem", place / "key.pem")
        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
        server.socket = context.wrap_socket(server.socket, server_side=True)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        hook = {
            "apiVersion": "admissionregistration.k8s.io/v1",
            "kind": "MutatingWebhookConfiguration",
            "metadata": {"name": "inferenceservice.serving.kserve.io"},
            "webhooks": [
                {
                    "name": "inferenceservice.kserve-webhook-server.defaulter",
                    "clientConfig": {
                        "url": f"https://127.0.0.1:{server.server_port}/mutate",
                        "caBundle": base64.b64encode(certificate).decode(),
                    },
                    "rules": [
                        {
                            "apiGroups": ["serving.kserve.io"],
                            "apiVersions": ["v1beta1"],
                            "operations": ["CREATE", "UPDATE"],
                            "resources": ["inferenceservices"],
                        }
                    ],
                    "failurePolicy": "Fail",
                    "sideEffects": "None",
                    "admissionReviewVersions": ["v1"],
                }
            ],
        }
        cluster.apply(hook)
        try:
            yield
        finally:
            cluster.kubectl("delete", "mutatingwebhookconfiguration", "inferenceservice.serving.kserve.io")
            server.shutdown()
            server.server_close()
