"""The lowest possible time for building with kustomize: all overlays in batches, one batch for each core at a time.

    python -m bench.alone <root>

The output of the builds is neither read nor checked.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

BATCH = 150
_QUICK = {"GOGC": "400", "GOMAXPROCS": "1"}
"""These settings of Go take a fifth less time than the defaults."""


def main(root: Path) -> None:
    """Build every overlay. Raises CalledProcessError if kustomize fails."""
    folders = [str(place.relative_to(root)) for place in sorted(root.glob("models/*/overlays/*"))]
    batches = [folders[start : start + BATCH] for start in range(0, len(folders), BATCH)]
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        list(pool.map(lambda batch: _build(root, batch), batches))


def _build(root: Path, folders: list[str]) -> None:
    with tempfile.TemporaryDirectory() as name:
        (Path(name) / "root").symlink_to(root.absolute())
        listed = {"sortOptions": {"order": "fifo"}, "resources": [f"root/{folder}" for folder in folders]}
        (Path(name) / "kustomization.yaml").write_text(json.dumps(listed))
        environment = {**os.environ, **_QUICK}
        subprocess.run(["kustomize", "build", name], env=environment, stdout=subprocess.DEVNULL, check=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
