"""Overlays → built objects, by the real kustomize: no network, no plugin, no file outside the repository."""

from m2g.kustomize.batches import BATCH
from m2g.kustomize.build import Built, Progress, build, find, stream
from m2g.kustomize.graph import FILE_NAMES, Graph, Kustomization, Reader
from m2g.kustomize.paths import Stamp, stamp
from m2g.kustomize.raw_manifests import PlainFile, read_file
from m2g.kustomize.raw_manifests import read as read_plain
from m2g.kustomize.references import named
from m2g.kustomize.tool_digest import identity

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
