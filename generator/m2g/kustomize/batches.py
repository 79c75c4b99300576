"""Which overlays kustomize builds in one process.

A process costs 20 ms (130 with a strategic-merge patch), an overlay in a batch 3 ms; the cost of a batch grows with its
square, best is 100 to 250.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

from m2g.kustomize.graph import Graph

BATCH = 150
_HELD_BACK = 10 * BATCH
"""Overlays that wait until there is a batch of their environment: that many are put together as they are."""


def batches(graphs: Iterable[Graph]) -> Iterator[list[Graph]]:
    """As few groups of at most BATCH as there can be, overlays of one environment side by side.

    What acts on a whole process is built alone. No more than some batches are held back.
    """
    waiting: dict[str, list[Graph]] = {}
    for graph in graphs:
        if graph.problem or not graph.together:
            yield [graph]
            continue
        name = _environment(graph)
        group = waiting.setdefault(name, [])
        group.append(graph)
        if len(group) == BATCH:
            yield from _parted(waiting.pop(name))
        elif sum(map(len, waiting.values())) == _HELD_BACK:
            yield from _parted(_sorted(waiting))
            waiting.clear()
    yield from _parted(_sorted(waiting))


def _sorted(waiting: Mapping[str, Sequence[Graph]]) -> list[Graph]:
    return [graph for name in sorted(waiting) for graph in waiting[name]]


def _parted(graphs: Iterable[Graph]) -> Iterator[list[Graph]]:
    """Groups of at most BATCH, in this order.

    Two overlays of one model share a process where their namespaces differ: else they would build one object twice.
    """
    batch: list[Graph] = []
    taken: set[tuple[str, str]] = set()
    for graph in graphs:
        model = (graph.folder.rpartition("/overlays/")[0], str(graph.kustomizations[0].said.get("namespace", "")))
        if len(batch) == BATCH or model in taken:
            yield batch
            batch, taken = [], set()
        batch.append(graph)
        taken.add(model)
    if batch:
        yield batch


def _environment(graph: Graph) -> str:
    return graph.folder.rpartition("/")[2]
