"""What Knative refuses by its default configuration, and the feature flag that allows it.

Source: knative/serving pkg/apis/serving/fieldmask.go and k8s_validation.go, pkg/apis/config/features.go.
"""

from __future__ import annotations

from collections.abc import Mapping

_POD = "kubernetes.podspec-"

POD_FEATURES: Mapping[str, str] = {
    **{
        field: f"{_POD}{field.lower()}"
        for field in (
            *("affinity", "topologySpreadConstraints", "hostAliases", "nodeSelector", "runtimeClassName"),
            *("tolerations", "securityContext", "shareProcessNamespace", "priorityClassName", "schedulerName"),
            *("dnsPolicy", "dnsConfig", "hostIPC", "hostPID", "hostNetwork"),
        )
    },
    "initContainers": f"{_POD}init-containers",
}
"""Field of a pod → the feature flag that allows it."""
VOLUME_FEATURES: Mapping[str, str] = {
    "hostPath": f"{_POD}volumes-hostpath",
    "csi": f"{_POD}volumes-csi",
    "image": f"{_POD}volumes-image",
    "persistentVolumeClaim": f"{_POD}persistent-volume-claim",
}
"""Source of a volume → the feature flag that allows it."""
FIELD_REFERENCE = f"{_POD}fieldref"
"""The feature flag that allows fieldRef and resourceFieldRef in a variable."""
NEVER_IN_POD = (
    *("terminationGracePeriodSeconds", "activeDeadlineSeconds", "nodeName", "hostname", "subdomain", "priority"),
    *("readinessGates", "restartPolicy", "preemptionPolicy", "overhead", "setHostnameAsFQDN", "hostUsers", "os"),
)
"""Fields of a pod that Knative never takes."""
NEVER_IN_CONTAINER = ("lifecycle", "stdin", "stdinOnce", "tty", "volumeDevices", "resizePolicy", "restartPolicy")
"""Fields of a container that Knative never takes."""
PORT_NAMES = ("", "http1", "h2c")
RESERVED_PORTS = (8012, 8013, 8008, 8022, 9090, 9091)
"""Ports of Knative's own proxy in the pod."""
