"""Overlays → built objects, by the real kustomize: no network, no plugin, no file outside the repository."""

from m2g.kustomize.graph import Graph, Kustomization, Reader
from m2g.kustomize.overlays import Built, Progress, build, find

__all__ = ["Built", "Graph", "Kustomization", "Progress", "Reader", "build", "find"]
