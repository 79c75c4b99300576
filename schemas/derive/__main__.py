"""Derive the schema files: `python schemas/derive` writes them; with `--check` it only reports differences.

It needs the network (wheels through pip, Go modules through go) and m2g on the path (`PYTHONPATH=generator`).
"""

from __future__ import annotations

import sys

import crds
import kserve_sdk
import kustomization
import seldon
from output import FOLDER, LOCK, Derived, lock_text


def main() -> int:
    """Write the files. Return 1 if `--check` finds a difference, otherwise 0."""
    files = [
        *(kserve_sdk.derive(pin) for pin in kserve_sdk.PINS),
        *crds.derive(),
        *seldon.derive(),
        kustomization.derive(),
    ]
    texts = {FOLDER / file.name: file.text() for file in files} | {LOCK: lock_text(files)}
    stale = [path for path, text in texts.items() if not path.is_file() or path.read_text() != text]
    if "--check" not in sys.argv[1:]:
        for path in stale:
            path.parent.mkdir(exist_ok=True)
            path.write_text(texts[path])
    for path in stale:
        print(path.relative_to(FOLDER), "differs" if "--check" in sys.argv[1:] else "written")
    _report(files)
    return 1 if stale and "--check" in sys.argv[1:] else 0


def _report(files: list[Derived]) -> None:
    for file in files:
        print(f"{file.name}: {len(file.kinds)} kinds, {len(file.text()) // 1024} KiB", file=sys.stderr)


if __name__ == "__main__":
    sys.exit(main())
