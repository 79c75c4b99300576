"""Two rows for the wine model of tests/support/smoke_zoo.py."""

from __future__ import annotations

from typing import Any

NAMES = (
    *("alcohol", "malic_acid", "ash", "alcalinity_of_ash", "magnesium", "total_phenols", "flavanoids"),
    *("nonflavanoid_phenols", "proanthocyanins", "color_intensity", "hue", "od280/od315_of_diluted_wines", "proline"),
)
ROWS: dict[str, list[Any]] = {"columns": list(NAMES), "data": [[14.23, 1.71, *[2.5] * 11], [12.0, 3.5, *[1.25] * 11]]}


def to_csv() -> str:
    return "\n".join([",".join(NAMES), *(",".join(map(str, row)) for row in ROWS["data"]), ""])
