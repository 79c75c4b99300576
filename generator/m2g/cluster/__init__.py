"""Reads a Kubernetes cluster by `kubectl`, with the context and the rights of the user. It changes nothing."""

from m2g.cluster.engines import check_cluster
from m2g.cluster.kubectl import Kubectl

__all__ = ["Kubectl", "check_cluster"]
