"""What people commit by mistake: `m2g validate` finds it by the rules that clean what a registry sends."""

from __future__ import annotations

import re
from pathlib import Path

import msgspec
import pytest

from m2g.changes.update import RenderOptions
from m2g.commands.validate import ValidateOptions, validate
from m2g.core.finding import Finding
from m2g.core.model import Run
from tests.core.test_redact import HUSH, IN_TEXT, IN_URLS, TOKENS
from tests.support.fleet import CONFIG, FakeRegistry, model, release, repository, run, tree, write_record
from tests.support.git_repository import git, start

pytestmark = [pytest.mark.attack, pytest.mark.usefixtures("kustomize")]

SAS = IN_URLS["Azure's signature"]
RULES = ("secret-in-file", "credential-in-text", "secret-value")
PATCH = """\
apiVersion: kustomize.config.k8s.io/v1alpha1
kind: Component
resources: [config.yaml]
"""
MAP = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: wine-config}\ndata:\n  text: |\n    %s\n"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    made = repository(tmp_path)
    run(made, FakeRegistry([model(champion="1")]))
    return made


def put(root: Path, path: str, text: str) -> None:
    (root / path).parent.mkdir(parents=True, exist_ok=True)
    (root / path).write_text(text)


def find(root: Path) -> list[Finding]:
    found = [finding for finding in validate(root, ValidateOptions()).findings if finding.rule in RULES]
    said = msgspec.json.encode(found).decode()
    assert HUSH not in said
    assert "hunter2" not in said
    assert not [token for token in TOKENS.values() if token in said]
    return found


def test_a_rendered_repository_has_none(root: Path) -> None:
    assert find(root) == []


ENV = "env: {PASSWORD: hunter2}"
SETTINGS: dict[str, tuple[str, str, str]] = {
    "the defaults": ("m2g.yaml", f"{CONFIG}defaults:\n  {ENV}\n", "defaults.env.PASSWORD"),
    "an environment": (
        "m2g.yaml",
        CONFIG.replace("settings: {minReplicas", f"settings: {{{ENV}, minReplicas"),
        "environments.prod.settings.env.PASSWORD",
    ),
    "a model": ("models/wine/model.yaml", f"settings:\n  {ENV}\n", "settings.env.PASSWORD"),
    "a model in an environment": (
        "models/wine/model.yaml",
        f"environments:\n  prod:\n    settings:\n      {ENV}\n",
        "environments.prod.settings.env.PASSWORD",
    ),
    "another name": ("m2g.yaml", f"{CONFIG}defaults:\n  env: {{HF_TOKEN: hunter2hunter2}}\n", "defaults.env.HF_TOKEN"),
}


@pytest.mark.parametrize("case", SETTINGS.values(), ids=SETTINGS)
def test_a_password_in_settings(root: Path, case: tuple[str, str, str]) -> None:
    file, text, path = case
    put(root, file, text)
    line = next(number for number, one in enumerate(text.splitlines(), 1) if "hunter2" in one)
    found = [(finding.rule, finding.file, finding.line, finding.path) for finding in find(root)]
    assert ("secret-in-file", file, line, path) in found


def test_a_password_in_settings_that_no_model_uses_yet(tmp_path: Path) -> None:
    root = repository(tmp_path, f"{CONFIG}defaults: {{{ENV}}}\n")
    assert [finding.path for finding in find(root)] == ["defaults.env.PASSWORD"]


PLACES = (
    "models/wine/custom/prod/notes.txt",
    "models/wine/custom/prod/deep/er/patch.json",
    "models/wine/model.yaml",
    "platform/argocd/prod.yaml",
    "platform/notes.md",
    "policies/p.yaml",
    "runtimes/r.json",
    "fleet/prod/extra.yaml",
    "m2g.yaml",
)


@pytest.mark.parametrize("path", PLACES)
def test_a_token_in_any_file_that_syncs(root: Path, path: str) -> None:
    before = (root / path).read_text() if (root / path).exists() else ""
    put(root, path, f"{before}# first\n# {TOKENS['GitLab']}\n")
    line = len(before.splitlines()) + 2
    assert ("secret-in-file", path, line) in [(one.rule, one.file, one.line) for one in find(root)]


@pytest.mark.parametrize("text", [*IN_URLS.values(), *IN_TEXT.values(), *TOKENS.values()])
def test_the_rules_are_those_of_the_registry(root: Path, text: str) -> None:
    put(root, "models/wine/custom/prod/notes.txt", f"see {text}\n")
    assert [finding.file for finding in find(root)] == ["models/wine/custom/prod/notes.txt"]


def test_a_shared_folder_is_searched_as_far_as_git_has_it(tmp_path: Path) -> None:
    root = repository(start(tmp_path))
    put(root, "shared/base/x.yaml", TOKENS["AWS"])
    assert find(root) == []
    git(root, "add", "shared")
    assert [finding.file for finding in find(root)] == ["shared/base/x.yaml"]


def test_a_record_of_an_older_m2g(root: Path) -> None:
    write_record(root, "wine", release(run=Run(id="run-1", params={"db": SAS})))
    assert "models/wine/releases/prod.json" in {finding.file for finding in find(root)}
    (finding,) = [one for one in find(root) if one.file == "models/wine/releases/prod.json"]
    assert finding.hint.startswith("remove it: m2g render")


KEPT_SAFE = {
    "an ExternalSecret": "kind: ExternalSecret\nspec: {data: [{secretKey: password, remoteRef: {key: db/password}}]}\n",
    "a SealedSecret": f"kind: SealedSecret\nspec: {{encryptedData: {{password: AgB{'x' * 400}}}}}\n",
    "SOPS": "stringData:\n  password: ENC[AES256_GCM,data:YWJj,iv:YWJj,tag:YWJj,type:str]\n",
    "a reference": "env: [{name: DB_PASSWORD, valueFrom: {secretKeyRef: {name: db, key: password}}}]\n",
    "a variable": "password: ${DB_PASSWORD}\ntoken: $(TOKEN)\n",
    "a digest": f"image: ghcr.io/acme/wine@sha256:{'0123456789abcdef' * 4}\n",
    "prose": "The password is in the vault. Rotate the token: see the wiki.\n",
}


@pytest.mark.parametrize("text", KEPT_SAFE.values(), ids=KEPT_SAFE)
def test_what_only_refers_to_a_secret_is_none(root: Path, text: str) -> None:
    put(root, "models/wine/custom/prod/notes.txt", text)
    assert find(root) == []


def allow(root: Path, hint: str, text: str) -> None:
    """Follow the hint: write its line into m2g.yaml with the text and a reason."""
    line = re.search(r"secrets: \{allow:.*\}\]\}", hint)
    assert line is not None
    first, second = line[0].split("…", 1)
    entry = f"{first}{text}{second.replace('…', 'an example of the docs')}\n"
    put(root, "m2g.yaml", (root / "m2g.yaml").read_text() + entry)


FALSE_ALARMS = {
    "a token": ("models/wine/custom/prod/notes.txt", "see %s", TOKENS["Hugging Face"]),
    "a whole URL": ("platform/notes.md", "see %s", IN_URLS["user and password"]),
    "a setting": ("models/wine/model.yaml", "settings: {env: {PASSWORD: %s}}", "none-at-all"),
}


@pytest.mark.parametrize("case", FALSE_ALARMS.values(), ids=FALSE_ALARMS)
def test_the_way_out_of_a_false_alarm_works_and_is_no_way_for_another(root: Path, case: tuple[str, str, str]) -> None:
    file, template, text = case
    put(root, file, template % text)
    run(root, FakeRegistry([model(champion="1")]), RenderOptions(locked=True))
    found = find(root)
    assert file in {finding.file for finding in found}
    allow(root, next(finding.hint for finding in found if finding.rule == "secret-in-file"), text)
    assert find(root) == []
    put(root, "models/wine/custom/prod/more.txt", TOKENS["GitHub"])
    assert [finding.file for finding in find(root)] == ["models/wine/custom/prod/more.txt"]


def test_a_false_alarm_in_a_built_object(root: Path) -> None:
    put(root, "models/wine/custom/prod/kustomization.yaml", PATCH)
    put(root, "models/wine/custom/prod/config.yaml", MAP % TOKENS["Slack"])
    run(root, FakeRegistry([model(champion="1")]), RenderOptions(locked=True))
    found = find(root)
    assert ("models/wine/custom/prod/config.yaml", 6) in {(finding.file, finding.line) for finding in found}
    assert {finding.rule for finding in found} == {"secret-in-file", "credential-in-text"}
    allow(root, next(finding.hint for finding in found if finding.rule == "secret-in-file"), TOKENS["Slack"])
    assert find(root) == []


def test_an_entry_needs_a_reason(root: Path) -> None:
    put(root, "m2g.yaml", f"{CONFIG}secrets: {{allow: [{{text: abc}}]}}\n")
    findings = validate(root, ValidateOptions()).findings
    found = [(finding.rule, finding.path) for finding in findings if finding.path.startswith("secrets")]
    assert found == [("config-invalid", "secrets.allow[0].reason")]


def test_a_file_that_is_no_text_or_no_file_is_no_trouble(root: Path) -> None:
    put(root, "platform/x.bin", "")
    (root / "platform/x.bin").write_bytes(b"\x00\xff" + TOKENS["AWS"].encode())
    (root / "platform/big.txt").write_bytes(b"x" * (2 << 20))
    (root / "platform/link").symlink_to("/etc/passwd")
    (root / "platform/loop").symlink_to("loop")
    assert find(root) == []
    assert tree(root)
