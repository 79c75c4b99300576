"""Variants of rows 10, 15 and 21: hostile text in refused addresses, in documents and in the logs of CI."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from m2g.changes.update import RenderOptions
from m2g.cli import group
from m2g.cli import run as run_command
from m2g.cli.terminal import print_message, print_result
from m2g.commands.validate import ValidateOptions, validate
from m2g.core.errors import M2gError
from m2g.core.finding import Finding
from m2g.kustomize.graph import GraphReader
from m2g.report import diff, findings
from m2g.review import Concern, Review, Risk
from tests.core.test_redact import HUSH, TOKENS
from tests.support.fleet import FakeRegistry, model, release, repository, run, write_record
from tests.support.handmade_fleet import write

pytestmark = pytest.mark.attack

REFUSED = {
    "a signature after another scheme": f"az-blob://acme/models?sv=1&sig={HUSH}%3D",
    "a signature in a path of this machine": f"file:///models/x?X-Amz-Signature={HUSH}",
    "a password in a scheme that nobody serves": f"ftp://ada:{HUSH}@host/models",
    "a token before the host": f"https://{TOKENS['GitHub']}@host/models/x",
    "a token in a fragment": f"s3://bucket/x#access_token={HUSH}",
    "a password and a climb": f"s3://ada:{HUSH}@bucket/../../x",
    "a signature that is encoded twice": f"https://sso/?to=https%253A%252F%252Fh%253Fa%253D1%2526sig%253D{HUSH}",
    "a password and a break": f"https://ada:{HUSH}@host/x\n::error::",
}


@pytest.mark.row(10)
@pytest.mark.parametrize("uri", REFUSED.values(), ids=REFUSED)
@pytest.mark.parametrize("door", ["source", "artifacts", "problem", "record", "settings"])
def test_no_door_prints_a_signature(tmp_path: Path, door: str, uri: str, capsys: pytest.CaptureFixture[str]) -> None:
    root = repository(tmp_path / "r")
    registry = FakeRegistry([model(champion="1")])
    if door == "record":
        write_record(root, "wine", release("wine", "prod", source=uri, artifact_uri=uri))
    elif door == "settings":
        write(root, {"models/wine/model.yaml": f"settings: {{image: {json.dumps(uri)}}}\n"})
    elif door == "problem":
        registry.problems["wine", "1"] = f"the store of {uri} refused"
    else:
        import msgspec

        known = registry._version("wine", "1")
        registry.changes["wine", "1"] = msgspec.structs.replace(known, source=uri)
    said = []
    try:
        result = run(root, registry, RenderOptions(locked=door in ("record", "settings")))
        said = [findings.render(list(result.findings), form) for form in findings.FORMATS]
    except M2gError as error:
        said = [f"{error} {error.hint}"]
    report = validate(root, ValidateOptions()).findings
    said += [findings.render(list(report), form) for form in findings.FORMATS]
    run_command(lambda: group.main(["-C", str(root), "validate"], standalone_mode=False))
    said += capsys.readouterr()
    assert [text for text in said if HUSH in text or TOKENS["GitHub"] in text] == []


_OBJECT = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: x}\n"
DOCUMENTS = {
    "a number without an end": f"{_OBJECT}data: {{a: {'9' * 5_000}}}\n",
    "a number that is no number": f"{_OBJECT}data: {{a: .nan, b: -.inf, c: 1e999999}}\n",
    "a key that is a list": f"{_OBJECT}data: {{? [a, b] : c}}\n",
    "a key that is null": f"{_OBJECT}data: {{~: c, true: d, 1: e}}\n",
    "a set": f"{_OBJECT}data: !!set {{a, b}}\n",
    "a program": f"{_OBJECT}data: !!python/object/apply:os.system [x]\n",
    "a date": f"{_OBJECT}data: {{a: 2001-12-14t21:59:43.10-05:00, b: 0001-01-01}}\n",
    "lists in lists": f"{_OBJECT}data: {'[' * 5_000}{']' * 5_000}\n",
    "maps in maps": f"{_OBJECT}data: {'{a: ' * 3_000}x{'}' * 3_000}\n",
    "aliases of aliases": "a: &a [x, x, x, x]\nb: &b [*a, *a, *a, *a]\nc: &c [*b, *b, *b, *b]\nd: [*c, *c, *c, *c]\n",
    "an alias of itself": f"{_OBJECT}data: &a {{b: *a}}\n",
    "a template": f"{_OBJECT}data: {{a: '{{{{ .Values.x }}}}', b: '${{x:=y}}', c: '%s%n'}}\n",
    "names of Python": "apiVersion: __class__/v1\nkind: __init__\nmetadata: {name: __proto__, labels: {__dict__: x}}\n",
    "names of devices": "apiVersion: con/v1\nkind: nul\nmetadata: {name: '..', namespace: '.'}\n",
    "many documents": "---\n" * 20_000 + _OBJECT,
    "many small errors": "".join(f"--- \nkind: K{number}\n" for number in range(500)),
    "an empty mapping": "{}\n",
    "text alone": "just text\n",
    "items that are no list": "apiVersion: v1\nkind: List\nitems: {a: b}\n",
    "items of items": "apiVersion: v1\nkind: List\nitems: " + "[{kind: List, items: " * 900 + "[]" + "}]" * 900 + "\n",
}


@pytest.mark.row(15)
def test_any_document_is_a_finding_and_hides_no_other(tmp_path: Path) -> None:
    root = repository(tmp_path / "r")
    for number, text in enumerate(DOCUMENTS.values()):
        write(root, {f"platform/{number}.yaml": text, f"fleet/prod/namespace/{number}.yaml": text})
    write(root, {"platform/last.yaml": "apiVersion: v1\nkind: Pod\nmetadata: {name: x}\n"})
    report = validate(root, ValidateOptions())
    found = {item.file for item in report.findings}
    assert "platform/last.yaml" in found
    silent = [name for number, name in enumerate(DOCUMENTS) if f"platform/{number}.yaml" not in found]
    assert silent == []
    for form in findings.FORMATS:
        assert findings.render(list(report.findings), form)


@pytest.mark.row(15)
@pytest.mark.parametrize("name", ["lists in lists", "maps in maps", "an alias of itself", "items of items"])
def test_kustomize_never_starts_with_what_takes_it_minutes(tmp_path: Path, name: str) -> None:
    write(tmp_path, {"a/kustomization.yaml": "resources: [x.yaml]\n", "a/x.yaml": DOCUMENTS[name]})
    graph = GraphReader(tmp_path).read("a")
    assert (graph.at, "recursion" in graph.error) == ("a/x.yaml", True)


COMMANDS = (
    "##vso[build.updatebuildnumber]x",
    "##[group]x",
    "::set-output name=a::b",
    "::add-path::/tmp",
    "a\x0b::error::b",
    "a\x0c::error::b",
    "a\x85::error::b",
    "a\u2028::error::b",
    "%0A::error::b",
    "\x1b]8;;https://evil.test\x07text\x1b]8;;\x07",
    "\x1b[2J\x1b[1;1Hall is well",
    "\x9b2J",
    "a\rno errors",
    "\u202etxt.exe",
    "section_end:1:x\r\x1b[0K",
)
_OBEYED = re.compile(
    r"##[\w.-]*\[|(?:^|[\r\n\v\f\x85\u2028\u2029])\s*::|[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]"
)


@pytest.mark.row(21)
@pytest.mark.parametrize("command", COMMANDS)
def test_no_text_is_a_command_of_a_runner_or_a_terminal(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    fields = dict.fromkeys(("file", "rule", "message", "hint", "path", "model", "environment"), command)
    item = Finding(**fields)  # type: ignore[arg-type]  # all of them are texts
    review = Review(against=command, outside=(Concern(risk=Risk.POWERFUL, message=command),), notes=(command,))
    print_message(command)
    print_result(diff.render(review, "markdown"))
    texts = [*capsys.readouterr(), *(diff.render(review, form) for form in ("text", "json"))]
    texts += [findings.render([item], form) for form in findings.FORMATS if form != "github"]
    first, rest = findings.render([item], "github").split("\n", 1)
    assert first.startswith("::error ")
    texts += [first.removeprefix("::"), rest]
    assert [text for text in texts if _OBEYED.search(text)] == []
