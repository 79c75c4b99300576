"""The bases of deploy/ as a person uses them: with the overlay that docs/how-to/run-m2g-in-the-cluster.md shows."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import Any

import ryaml

from tests.support.docs_pages import DOCS, blocks
from tests.support.paths import ROOT

FORMS = ("serve", "cron", "split")
_PAGE = DOCS / "how-to/run-m2g-in-the-cluster.md"


def write_overlay(folder: Path, form: str) -> Path:
    """The overlay of the page, on a base of this checkout."""
    (block,) = [block for block in blocks(_PAGE) if block.language == "yaml"]
    overlay = ryaml.loads(block.text)
    (address,) = overlay["resources"]
    assert address.startswith("https://github.com/m2g-dev/m2g//deploy/serve?ref=")
    overlay["resources"] = [os.path.relpath(ROOT / "deploy" / form, folder.resolve())]
    (folder / "kustomization.yaml").write_text(ryaml.dumps(overlay))
    return folder


def build(folder: Path, kustomize: Path) -> list[dict[str, Any]]:
    """What kustomize makes of it."""
    done = subprocess.run([kustomize, "build", folder], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return [dict(one) for one in ryaml.loads_all(done.stdout)]


def list_containers(objects: list[dict[str, Any]]) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """The specification of the pod, and its containers in the order in which they run."""
    (spec,) = [one["spec"] for one in objects if one["kind"] in ("Deployment", "CronJob")]
    pod = spec["jobTemplate"]["spec"]["template"]["spec"] if "jobTemplate" in spec else spec["template"]["spec"]
    return pod, [*pod.get("initContainers", ()), *pod["containers"]]
