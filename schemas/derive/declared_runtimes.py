"""What KServe's own ClusterServingRuntimes declare, from `config/runtimes/` of a checkout of KServe.

Run it as: declared_runtimes.py CHECKOUT MINOR=TAG… (such as 0.20=v0.20.0).
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import ryaml

PATH = Path(__file__).parent.parent / "declared-runtimes.json"


def read(checkout: str, tag: str) -> dict[str, object]:
    """Runtime → its formats (name, version, autoSelect, priority) and protocols at a tag."""
    listed = ryaml.loads(_git(checkout, "show", f"{tag}:config/runtimes/kustomization.yaml"))["resources"]
    result: dict[str, object] = {}
    for path in sorted(listed):
        for item in ryaml.loads_all(_git(checkout, "show", f"{tag}:config/runtimes/{path}")):
            if isinstance(item, dict) and item.get("kind") == "ClusterServingRuntime":
                spec = item["spec"]
                formats = [
                    {key: one[key] for key in ("name", "version", "autoSelect", "priority") if key in one}
                    for one in spec.get("supportedModelFormats", [])
                ]
                result[item["metadata"]["name"]] = {
                    "supportedModelFormats": formats,
                    "protocolVersions": spec.get("protocolVersions", []),
                }
    return result


def _git(checkout: str, *words: str) -> str:
    return subprocess.run(["git", "-C", checkout, *words], check=True, capture_output=True, text=True).stdout


def main() -> None:
    """Write the file."""
    pins = dict(pin.split("=") for pin in sys.argv[2:])
    found = {minor: read(sys.argv[1], tag) for minor, tag in sorted(pins.items())}
    PATH.write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
