"""docs/performance.svg: processor time against the size of the fleet, for m2g and the lower limits."""

from __future__ import annotations

from bench.page import PAGE
from bench.results import Results

_LINES = {
    "cold": ("m2g, cold render + validate", "#236", "o-"),
    "kustomize alone": ("kustomize alone", "#b33", ":"),
    "one alias moved": ("m2g render, one alias moved", "#27a", "s--"),
    "no-op render": ("m2g render, nothing changed", "#4a4", "s--"),
    "reading loop": ("reading every file", "#888", ":"),
}


def draw(results: Results) -> None:
    """Draw the plot. The same results give the same file."""
    import matplotlib as mpl

    mpl.use("svg")
    mpl.rcParams["svg.hashsalt"] = "m2g"
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(7, 4.5))
    for what, (label, colour, style) in _LINES.items():
        points = [(size, sample.cpu) for size in results.sizes() if (sample := results.of(size, what)) is not None]
        if points:
            axes.loglog(*zip(*points, strict=True), style, color=colour, label=label)
    axes.set_xlabel("registered models, in 3 environments each")
    axes.set_ylabel("seconds of processor time")
    axes.grid(visible=True, which="major", alpha=0.3)
    axes.legend(frameon=False, fontsize=8)
    figure.tight_layout()
    figure.savefig(PAGE.with_suffix(".svg"), metadata={"Date": None})
    pyplot.close(figure)
