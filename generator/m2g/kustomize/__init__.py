"""Overlays → built objects, by the real kustomize: no network, no plugin, no file outside the repository."""

from m2g.kustomize.batches import BATCH
from m2g.kustomize.graph import FILE_NAMES, Graph, Kustomization, Reader
from m2g.kustomize.identity import identity
from m2g.kustomize.overlays import Built, Progress, build, find, stream
from m2g.kustomize.places import Stamp, stamp
from m2g.kustomize.plain import PlainFile, read_file
from m2g.kustomize.plain import read as read_plain
from m2g.kustomize.references import named

__all__ = [
    "BATCH",
    "FILE_NAMES",
    "Built",
    "Graph",
    "Kustomization",
    "PlainFile",
    "Progress",
    "Reader",
    "Stamp",
    "build",
    "find",
    "identity",
    "named",
    "read_file",
    "read_plain",
    "stamp",
    "stream",
]
