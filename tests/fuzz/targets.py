"""The doors through which foreign bytes come in: each reads them as m2g does, and may only raise what m2g shows."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TypeAlias

from m2g import config, documents, kustomize, mlmodel, policies, releases
from m2g.commands import schemas as verb
from m2g.errors import M2gError
from m2g.schemas import own
from m2g.tree import body, mark, stamp

Target: TypeAlias = Callable[[Path, bytes], object]
"""Reads the bytes, as a file below the folder where it needs one."""


def put(root: Path, file: str, content: bytes) -> Path:
    path = root / file
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def _document(_root: Path, content: bytes) -> object:
    return documents.read("m2g.yaml", content)


def _config(root: Path, content: bytes) -> object:
    put(root, config.FILE, content)
    return config.load(root)


def _model_yaml(root: Path, content: bytes) -> object:
    put(root, "models/wine/model.yaml", content)
    return config.intents(root)


def _record(root: Path, content: bytes) -> object:
    put(root, "models/wine/releases/dev.json", content)
    stamped = b"{\n" + content.removeprefix(b"{")
    with contextlib.suppress(UnicodeDecodeError):
        put(root, "models/wine/releases/prod.json", stamp("prod.json", stamped.decode()))
    return releases.read_all(root)


def _stamp(_root: Path, content: bytes) -> object:
    return mark(content), body(content)


def _mlmodel(_root: Path, content: bytes) -> object:
    return mlmodel.parse(content)


def _component(root: Path, content: bytes) -> object:
    put(root, "models/wine/custom/dev/kustomization.yaml", content)
    return kustomize.Reader(root).graph("models/wine/custom/dev")


def _resource(root: Path, content: bytes) -> object:
    put(root, "models/wine/custom/dev/kustomization.yaml", b"resources: [x.yaml]\npatches: [{path: x.yaml}]\n")
    put(root, "models/wine/custom/dev/x.yaml", content)
    return kustomize.Reader(root).graph("models/wine/custom/dev")


def _plain(root: Path, content: bytes) -> object:
    put(root, "platform/x.yaml", content)
    return kustomize.read_plain(root, "platform")


def _policy(root: Path, content: bytes) -> object:
    put(root, "policies/x.yaml", content)
    return policies.read(root)


def _schema(root: Path, content: bytes) -> object:
    put(root, "schemas/example.com/thing_v1.json", content)
    return own.read(root)


def _crd(root: Path, content: bytes) -> object:
    return verb.import_files(root, root, [put(root, "crd.yaml", content)])


TARGETS: Mapping[str, Target] = {
    "document": _document,
    "m2g.yaml": _config,
    "model.yaml": _model_yaml,
    "record": _record,
    "stamp": _stamp,
    "MLmodel": _mlmodel,
    "component": _component,
    "resource": _resource,
    "plain": _plain,
    "policy": _policy,
    "schema": _schema,
    "crd": _crd,
}


def feed(name: str, root: Path, content: bytes) -> str:
    """The message where m2g refuses the bytes, or nothing; any other exception is a bug."""
    try:
        TARGETS[name](root, content)
    except M2gError as error:
        return error.message
    return ""
