"""The kinds of other projects, from the CRDs in their Go modules, made strict and without repeated parts.

`go mod download` fetches a module and checks it against Go's checksum database. Nothing is built or run.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import zipfile

from ruamel.yaml import YAML

from m2g.validation.schemas import crd, dedupe
from output import COMMON, Derived, Schema, Source

MODULES = {
    "argoproj.io": ("github.com/argoproj/argo-cd/v3", "v3.6.1", r"manifests/crds/[a-z]+-crd\.yaml"),
    "source.toolkit.fluxcd.io": ("github.com/fluxcd/source-controller", "v1.10.1", r"config/crd/bases/.+\.yaml"),
    "kustomize.toolkit.fluxcd.io": ("github.com/fluxcd/kustomize-controller", "v1.10.1", r"config/crd/bases/.+\.yaml"),
    "helm.toolkit.fluxcd.io": ("github.com/fluxcd/helm-controller", "v1.6.0", r"config/crd/bases/.+\.yaml"),
    "operator.knative.dev": ("knative.dev/operator", "v0.42.2", r"config/crd/bases/.+_knativeservings\.yaml"),
    "keda.sh": ("github.com/kedacore/keda/v2", "v2.21.0", r"config/crd/bases/keda\.sh_(scaledo|.*triggera).+\.yaml"),
    "gateway.networking.k8s.io": (
        "sigs.k8s.io/gateway-api",
        "v1.7.0",
        r"config/crd/standard/.+_(httproutes|gateways|gatewayclasses)\.yaml",
    ),
    "external-secrets.io": (
        "github.com/external-secrets/external-secrets",
        "v1.3.2",
        r"config/crds/bases/external-secrets\.io_externalsecrets\.yaml",
    ),
    "bitnami.com": (
        "github.com/bitnami-labs/sealed-secrets",
        "v0.40.0",
        r"helm/sealed-secrets/crds/.+\.yaml",
    ),
    "monitoring.coreos.com": (
        "github.com/prometheus-operator/prometheus-operator",
        "v0.85.0",
        r"example/prometheus-operator-crd-full/.+_(pod|service)monitors\.yaml",
    ),
}
"""API group → (module, newest version, pattern of its CRDs). Newer versions add fields but do not remove any."""


def derive() -> list[Derived]:
    """One file for each API group."""
    return [_group(group, *module) for group, module in MODULES.items()]


def _group(group: str, module: str, version: str, crds: str) -> Derived:
    archive, digest = download(module, version)
    parts: dict[str, Schema] = {}
    with zipfile.ZipFile(archive) as files:
        for name in sorted(files.namelist()):
            if re.fullmatch(crds, name.partition("@")[2].partition("/")[2]):
                text = files.read(name).replace(b"\t", b" ")  # a tab in a description, which YAML forbids and Go reads
                document = YAML(typ="safe", pure=False).load(text)
                parts |= dict(_whole(kind) for kind in crd.read_kinds(document))
    kinds = {key: key.rpartition("/")[2].replace(" ", ".") for key in parts}
    defs = dedupe.share_parts({kinds[key]: schema for key, schema in parts.items()}, taken=COMMON)
    return Derived(f"{group}.json", [Source(module, version, digest)], kinds, defs)


def _whole(kind: crd.Kind) -> tuple[str, Schema]:
    """Name and schema. `spec` is required, because an object in Git has no purpose without it."""
    if kind.left_out:
        raise SystemExit(f"{kind.name}: {kind.left_out}")
    schema: Schema = dict(kind.schema)
    required = {*schema["required"], *({"spec"} & set(schema["properties"]))}
    return kind.name, {**schema, "required": sorted(required)}


def download(module: str, version: str) -> tuple[str, str]:
    """The zip file of a Go module and its `h1:` sum, even if the module needs a newer Go than the installed one."""
    command = ["go", "mod", "download", "-json", f"{module}@{version}"]
    environment = {**os.environ, "GOTOOLCHAIN": "local"}
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=600, env=environment)
    answer = json.loads(done.stdout or "{}")
    if "Zip" not in answer or "Sum" not in answer:
        raise SystemExit(f"{module}@{version}: {answer.get('Error') or done.stderr}")
    return answer["Zip"], answer["Sum"]
