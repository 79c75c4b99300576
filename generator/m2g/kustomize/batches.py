"""Which overlays kustomize builds in one process.

A process costs 20 ms (130 with a strategic-merge patch), an overlay in a batch 3 ms; the cost of a batch grows with its
square, best is 100 to 250.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from m2g.kustomize.graph import Graph

BATCH_SIZE = 150
_HELD_BACK = 10 * BATCH_SIZE
"""Overlays that wait for others to fill their batch."""

_Target = tuple[str, str]
"""Model and namespace: two overlays that are alike in both build the same objects, which one process refuses."""


def make_batches(graphs: Iterable[Graph]) -> Iterator[list[Graph]]:
    """Groups of at most BATCH, each as soon as it is full, a model's overlays side by side where that can be.

    What acts on a whole process is built alone.
    """
    waiting: list[dict[_Target, Graph]] = []
    for graph in graphs:
        if graph.problem or not graph.batchable:
            yield [graph]
            continue
        target = _target(graph)
        batch = next((batch for batch in waiting if target not in batch), None)
        if batch is None:
            batch = {}
            waiting.append(batch)
        batch[target] = graph
        if len(batch) == BATCH_SIZE or sum(map(len, waiting)) == _HELD_BACK:
            full = max(waiting, key=len)
            waiting.remove(full)
            yield list(full.values())
    yield from (list(batch.values()) for batch in waiting)


def _target(graph: Graph) -> _Target:
    return graph.folder.rpartition("/overlays/")[0], str(graph.kustomizations[0].fields.get("namespace", ""))
