"""Overlays → built objects, by the real kustomize: no network, no plugin, no file outside the repository."""

from m2g.kustomize.graph import Graph, Kustomization, Reader
from m2g.kustomize.overlays import Built, Progress, build, find
from m2g.kustomize.plain import PlainFile
from m2g.kustomize.plain import read as read_plain

__all__ = ["Built", "Graph", "Kustomization", "PlainFile", "Progress", "Reader", "build", "find", "read_plain"]
