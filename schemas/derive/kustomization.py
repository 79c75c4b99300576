"""The schema of kustomization.yaml, from kustomize's Go type (go/main.go reads it by reflection)."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path

from output import Derived, Schema, Source

MODULE = "sigs.k8s.io/kustomize/api"
GROUP = "kustomize.config.k8s.io"
_GO = Path(__file__).parent / "go"
_KINDS = {"Kustomization": "v1beta1", "Component": "v1alpha1"}


def derive() -> Derived:
    """One type for two kinds, as in kustomize. apiVersion and kind are required to find the schema of an object."""
    done = subprocess.run(
        ["go", "run", "-buildvcs=false", "."], cwd=_GO, capture_output=True, text=True, check=True, timeout=600
    )
    raw: dict[str, Schema] = json.loads(done.stdout.replace("#/$defs/", "#/$defs/types."))
    whole = raw.pop("Kustomization")
    defs = {f"types.{name}": schema for name, schema in raw.items()}
    kinds = {}
    for kind, version in _KINDS.items():
        api_version = f"{GROUP}/{version}"
        fields = {**whole["properties"], "apiVersion": {"const": api_version}, "kind": {"const": kind}}
        defs[f"{version}.{kind}"] = {**whole, "required": ["apiVersion", "kind"], "properties": fields}
        kinds[f"{api_version} {kind}"] = f"{version}.{kind}"
    return Derived(f"{GROUP}.json", [_source()], kinds, defs)


def _source() -> Source:
    found = re.search(rf"^{re.escape(MODULE)} (v\S+) (h1:\S+)$", (_GO / "go.sum").read_text(), re.MULTILINE)
    if found is None:
        raise SystemExit(f"{MODULE} is not in {_GO.name}/go.sum")
    return Source(MODULE, found[1], found[2])
