"""Build overlays with the real kustomize: no network, no plugins, no files outside the repository."""

from m2g.kustomize.batches import BATCH_SIZE
from m2g.kustomize.build import BuildResult, Progress, build_overlays, find_command, stream_builds
from m2g.kustomize.graph import FILE_NAMES, Graph, GraphReader, Kustomization
from m2g.kustomize.paths import FileState, read_state
from m2g.kustomize.raw_manifests import RawFile, parse_stream, read_file, read_folder
from m2g.kustomize.references import read_paths
from m2g.kustomize.tool_digest import digest_tool

__all__ = [
    "BATCH_SIZE",
    "FILE_NAMES",
    "BuildResult",
    "FileState",
    "Graph",
    "GraphReader",
    "Kustomization",
    "Progress",
    "RawFile",
    "build_overlays",
    "digest_tool",
    "find_command",
    "parse_stream",
    "read_file",
    "read_folder",
    "read_paths",
    "read_state",
    "stream_builds",
]
