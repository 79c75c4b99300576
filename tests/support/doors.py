"""The doors through which foreign bytes come in: each reads them as m2g does, and may only raise what m2g shows."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TypeAlias, get_args

import pytest

from m2g import kustomize, mlmodel
from m2g.changes.update import RenderOptions
from m2g.commands import schemas as verb
from m2g.commands.validate import ValidateOptions, validate
from m2g.core import yaml_reader
from m2g.core.errors import InputError, M2gError
from m2g.core.model import Protocol
from m2g.core.stamp import check_stamp, stamp, strip_stamp
from m2g.inference import drop_example, make_request
from m2g.report import diff, findings
from m2g.report.findings import render_report
from m2g.repository import config, layout, records
from m2g.repository.yaml_edit import Add, Edit, Remove, Set, edit_yaml
from m2g.review import Review
from m2g.review.outside import describe_changes
from m2g.validation.policies import load
from m2g.validation.schemas import repository_schemas
from tests.support.fleet import FakeRegistry, release, run, write_record

Target: TypeAlias = Callable[[Path, bytes], object]
"""Reads the bytes, as a file below the folder where it needs one."""


MLMODEL = b"flavors: {python_function: {loader_module: x}}\nsignature: {inputs: '%s', outputs: '[]', params: null}\n"
_COLUMNS = "double float long integer boolean string binary datetime any".split()
SIGNATURES = (
    json.dumps([{"name": f"c{n}", "type": word, "required": n % 2 == 0} for n, word in enumerate(_COLUMNS)]),
    *(json.dumps([{"type": word}]) for word in _COLUMNS),
    '[{"type": "array", "items": {"type": "map", "values": {"type": "long"}}}]',
    '[{"name": "o", "type": "object", "properties": {"a": {"type": "double", "required": true}}}]',
    '[{"type": "tensor", "tensor-spec": {"dtype": "float64", "shape": [-1, 2]}}]',
    '[{"type": "tensor", "tensor-spec": {"dtype": "int8", "shape": [-1]}}]',
    '[{"name": "t", "type": "tensor", "tensor-spec": {"dtype": "str", "shape": [2, 2]}}]',
    "[]",
)


def put(root: Path, file: str, content: bytes) -> Path:
    path = root / file
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def _document(_root: Path, content: bytes) -> object:
    return yaml_reader.read("m2g.yaml", content)


def _config(root: Path, content: bytes) -> object:
    put(root, layout.CONFIG, content)
    return config.load(root)


def _model_yaml(root: Path, content: bytes) -> object:
    put(root, "models/wine/model.yaml", content)
    return config.read_intents(root)


def _edit(edit: Edit) -> Target:
    """One edit, as a person makes it. `edit_yaml` reads its own result; it may refuse an edit, and nothing else."""

    def door(_root: Path, content: bytes) -> object:
        with contextlib.suppress(M2gError):
            return edit_yaml("models/wine/model.yaml", content, [edit])
        return None

    return door


def _record(root: Path, content: bytes) -> object:
    put(root, "models/wine/releases/dev.json", content)
    stamped = b"{\n" + content.removeprefix(b"{")
    with contextlib.suppress(UnicodeDecodeError):
        put(root, "models/wine/releases/prod.json", stamp("prod.json", stamped.decode()))
    return records.read_all(root)


def _stamp(_root: Path, content: bytes) -> object:
    return check_stamp(content), strip_stamp(content)


def _mlmodel(_root: Path, content: bytes) -> object:
    return mlmodel.parse(content)


def _example(_root: Path, content: bytes) -> object:
    """As the input example of signatures of each kind; a request is JSON that every server reads, or a refusal."""
    return [_requests(MLMODEL % side.encode(), content) for side in SIGNATURES]


def _signature(_root: Path, content: bytes) -> object:
    return _requests(content, b'{"inputs": [[1.0, 2.0]]}')


def _requests(file: bytes, example: bytes) -> list[str]:
    made = mlmodel.read({"MLmodel": file, "serving_input_example.json": example})
    found = []
    for protocol in get_args(Protocol):
        with contextlib.suppress(InputError):
            found.append(make_request(made, protocol).body)
        found.append(make_request(drop_example(made), protocol).body)
    for body_ in filter(None, found):
        assert body_.isascii()
        json.loads(body_, parse_constant=lambda word: pytest.fail(f"{word} is no JSON"))
    return found


def _component(root: Path, content: bytes) -> object:
    put(root, "models/wine/custom/dev/kustomization.yaml", content)
    return kustomize.GraphReader(root).read("models/wine/custom/dev")


def _resource(root: Path, content: bytes) -> object:
    put(root, "models/wine/custom/dev/kustomization.yaml", b"resources: [x.yaml]\npatches: [{path: x.yaml}]\n")
    put(root, "models/wine/custom/dev/x.yaml", content)
    return kustomize.GraphReader(root).read("models/wine/custom/dev")


def _plain(root: Path, content: bytes) -> object:
    put(root, "platform/x.yaml", content)
    return kustomize.read_folder(root, "platform")


_WORLD = b"version: 1\nenvironments: {dev: {namespace: models-dev}}\n"


def _object(root: Path, content: bytes) -> object:
    """As a file that is applied; a report in each format shows what is wrong with it, and names no other file."""
    put(root, layout.CONFIG, _WORLD)
    for file in ("platform/x.yaml", "fleet/dev/namespace/x.yaml"):
        put(root, file, content)
    report = validate(root, ValidateOptions())
    return [render_report(report, form) for form in findings.FORMATS]


def _outside(root: Path, content: bytes) -> object:
    """As files of both sides of a review."""
    changed = (layout.CONFIG, "platform/x.yaml", "fleet/dev/x.yaml", "policies/x.yaml")
    for file in changed:
        put(root / "new", file, content)
        put(root / "old", file, _WORLD)
    made = describe_changes(root / "old", root / "new", dict.fromkeys(changed, False), ())
    made += describe_changes(root / "new", root / "old", dict.fromkeys(changed, False), ())
    review = Review(against="main", outside=tuple(made))
    return [diff.render(review, form) for form in diff.FORMATS]


def _render(root: Path, content: bytes) -> object:
    """`m2g render --locked`, with the bytes as settings and as a component of a model."""
    put(root, layout.CONFIG, _WORLD)
    write_record(root, "wine", release("wine", "dev"))
    put(root, "models/wine/model.yaml", b"")
    put(root, "models/wine/custom/dev/kustomization.yaml", content)
    run(root, FakeRegistry(), RenderOptions(locked=True))
    put(root, "models/wine/model.yaml", content)
    return run(root, FakeRegistry(), RenderOptions(locked=True))


def _policy(root: Path, content: bytes) -> object:
    put(root, "policies/x.yaml", content)
    return load.read_policies(root)


def _schema(root: Path, content: bytes) -> object:
    put(root, "schemas/example.com/thing_v1.json", content)
    return repository_schemas.read(root)


def _crd(root: Path, content: bytes) -> object:
    return verb.import_files(root, root, [put(root, "crd.yaml", content)])


TARGETS: Mapping[str, Target] = {
    "document": _document,
    "m2g.yaml": _config,
    "model.yaml": _model_yaml,
    "edit-set": _edit(Set(path=("environments", "prod", "version"), value=1)),
    "edit-remove": _edit(Remove(path=("environments", "prod", "version"))),
    "edit-add": _edit(Add(path=("settings", "env"), value={"a": [1]})),
    "edit-remove-top": _edit(Remove(path=("a",))),
    "record": _record,
    "stamp": _stamp,
    "MLmodel": _mlmodel,
    "example": _example,
    "signature": _signature,
    "component": _component,
    "resource": _resource,
    "plain": _plain,
    "object": _object,
    "outside": _outside,
    "render": _render,
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
