"""Feeds bombs to one door in a process of its own, within bounds of memory; prints what happened as JSON.

python -m tests.support.bomb_process TARGET FOLDER
"""

from __future__ import annotations

import json
import resource
import sys
import time
from pathlib import Path

from tests.support.bombs import BOMBS, CRDS
from tests.support.doors import feed

MEMORY = 768 << 20
"""Bytes of address space beyond those of the process before it reads anything."""
_DOCUMENTS = ("m2g.yaml", "model.yaml", "policy")
"""They are read as `document` is, which has all bombs; the slowest need not go off four times."""


def main(target: str, folder: str) -> None:
    feed(target, Path(folder), b"a: 1\n")  # what is imported late is no part of the measure
    feed(target, Path(folder), CRDS["a large bound"])
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    limit = pages * resource.getpagesize() + MEMORY
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    bombs = {**BOMBS, **CRDS} if target == "crd" else BOMBS
    if target in _DOCUMENTS:
        bombs = {name: bomb for name, bomb in bombs.items() if not name.startswith("many ") or name == "many keys"}
    for name, content in bombs.items():
        started = time.process_time()
        try:
            said = feed(target, Path(folder), content)
            bug = ""
        except Exception as error:  # noqa: BLE001  # it is what the test looks for
            said, bug = "", repr(error)[:300]
        sys.stdout.write(json.dumps([name, time.process_time() - started, said[:2000], bug]) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2])
