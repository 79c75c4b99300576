"""The reference is what the package says, its schemas fit what is printed, and links lead somewhere."""

from __future__ import annotations

import ast
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import jsonschema_rs
import pytest
from docs._generate import findings
from docs._generate.words import Stale

from m2g.commands import explain
from tests.support.docs_pages import DOCS, PAGES, anchors, links
from tests.support.paths import GOLDEN, ROOT

PACKAGE = ROOT / "generator/m2g"
_CALL = (
    r"(registered-models|model-versions|runs|experiments|artifacts)/[a-z-]+|/(ajax-)?api/.+/.*|(/[a-z-]+)?/get-[a-z-]+"
)


def m2g(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["m2g", *arguments], cwd=folder, capture_output=True, text=True, check=False)


def test_generated_pages_are_fresh() -> None:
    done = subprocess.run(
        [sys.executable, "docs/generate.py", "--check"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, f"{done.stderr}(python docs/generate.py writes them)"


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("hand-edit", None),
        ("no-such-rule", {"from": "tree", "meaning": "x", "fix": "y"}),
        ("model-gone", {"from": "tree", "meaning": "x", "fix": "y"}),
        ("hand-edit", {"from": "nowhere", "meaning": "x", "fix": "y"}),
    ],
)
def test_words_that_are_not_those_of_the_package_are_found(name: str, text: dict[str, str] | None) -> None:
    """The check of the check: a rule without words, words for none, another severity, no group."""
    words = {other: said for other, said in explain.read_finding_texts().items() if other != name}
    with pytest.raises(Stale, match=name if text is None or text["from"] == "tree" else "nowhere"):
        findings.page(words if text is None else words | {name: text})


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(DOCS)))
def test_links_lead_somewhere(page: Path) -> None:
    for link in links(page):
        target, _, anchor = link.partition("#")
        if target.startswith(("https://", "http://")):
            continue
        path = (page.parent / target).resolve() if target else page
        assert path.exists(), link
        assert not anchor or anchor in anchors(path), link


def test_every_page_can_be_reached_from_the_map() -> None:
    seen, waiting = set[Path](), [DOCS / "README.md"]
    while waiting:
        page = waiting.pop()
        if page in seen or page.suffix != ".md":
            continue
        seen.add(page)
        waiting += [(page.parent / link.partition("#")[0]).resolve() for link in links(page) if "://" not in link]
    assert set(PAGES) <= seen


@pytest.mark.parametrize("name", ["render", "validate", "diff"])
def test_printed_json_fits_its_schema(name: str, tmp_path: Path) -> None:
    repository = tmp_path / "repository"
    shutil.copytree(GOLDEN / "standard-storage", repository)
    for words in (["init", "--quiet"], ["add", "--all"], ["commit", "--quiet", "--message", "x"]):
        subprocess.run(["git", *words], cwd=repository, check=True)
    schema = json.loads((DOCS / f"reference/schemas/{name}.schema.json").read_text())
    arguments = {"render": ["--locked", "--check"], "validate": [], "diff": ["--against", "HEAD"]}[name]
    (record,) = sorted(repository.glob("models/*/releases/*.json"))[:1]
    overlay = repository / "models" / record.parts[-3] / "overlays" / record.stem / "patch.yaml"
    for change in (lambda: None, lambda: overlay.write_text(overlay.read_text() + "# mine\n"), overlay.unlink):
        change()
        printed = json.loads(m2g(repository, name, *arguments, "--format", "json").stdout)
        jsonschema_rs.validator_for(schema).validate(printed)
        assert printed["version"] == 1


def test_an_explanation_fits_its_schema(tmp_path: Path) -> None:
    schema = json.loads((DOCS / "reference/schemas/explain.schema.json").read_text())
    for rule in ([], ["scale-metric"]):
        printed = m2g(tmp_path, "explain", *rule, "--format", "json").stdout
        jsonschema_rs.validator_for(schema).validate(json.loads(printed))


def test_runtimes_fit_their_schemas(tmp_path: Path) -> None:
    (tmp_path / "m2g.yaml").write_text("registry: {uri: 'http://mlflow.test'}\n")
    (tmp_path / "freeze.txt").write_text("mlserver==1.7.1\nmlflow==3.17.2\n")
    for verb, arguments in (
        ("import", ("freeze.txt", "--name", "mine")),
        ("list", ()),
        ("show", ("mine",)),
        ("show", ("kserve-sklearnserver",)),
    ):
        done = m2g(tmp_path, "runtimes", verb, *arguments, "--format", "json")
        schema = json.loads((DOCS / f"reference/schemas/runtimes-{verb}.schema.json").read_text())
        assert done.stdout, done.stderr
        jsonschema_rs.validator_for(schema).validate(json.loads(done.stdout))


def test_refused_input_is_printed_as_findings(tmp_path: Path) -> None:
    (tmp_path / "m2g.yaml").write_text("version: 2\n")
    done = m2g(tmp_path, "render", "--format", "json")
    assert done.returncode == 2
    schema = json.loads((DOCS / "reference/schemas/validate.schema.json").read_text())
    jsonschema_rs.validator_for(schema).validate(json.loads(done.stdout))


def test_every_variable_and_every_call_is_documented() -> None:
    """Environment variables that the package names, and paths of MLflow's API that it asks."""
    page = (DOCS / "reference/registry.md").read_text()
    texts = {
        node.value
        for path in PACKAGE.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    }
    variables = {text for text in texts if re.fullmatch(r"(MLFLOW|M2G)_[A-Z0-9_]+", text)}
    assert {"MLFLOW_TRACKING_TOKEN", "M2G_KUSTOMIZE"} <= variables
    # Named inside a generated manifest, not read from the environment.
    inside = {"MLFLOW_MODELS_WORKERS", "MLFLOW_SERVER", "M2G_MODEL", "M2G_INPUT", "M2G_OUTPUT", "M2G_CONTENT_TYPE"}
    assert {name for name in variables - inside if f"`{name}`" not in page} == set()
    calls = {text for text in texts if re.fullmatch(_CALL, text)}
    assert {"registered-models/search", "/get-artifact", "/api/3.0/mlflow/server-info"} <= calls
    assert {call for call in calls if call.strip("/") not in page} == set()


def test_nothing_names_a_machine() -> None:
    for path in [*DOCS.rglob("*"), *Path(__file__).parent.glob("*.py")]:
        if path.is_file() and path.suffix in {".md", ".py", ".yaml", ".json"}:
            text = path.read_text()
            for place in (str(ROOT), os.path.expanduser("~root"), "/tm" + "p/"):
                assert place not in text, f"{path}: {place}"
