"""m2g.yaml and model.yaml on disk: edited in place, or left alone with a word why."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from m2g.core.errors import InputError
from m2g.repository import config
from m2g.repository.edit import edit_file
from m2g.repository.model_folder import ModelFolder
from m2g.repository.yaml_edit import Add, Edit, Remove, Set

MODEL = "models/wine/model.yaml"
CONFIG = """\
# Who may change what: see CODEOWNERS
version: 1
registry: {uri: "http://mlflow.test"}   # the team's
environments:
  # nobody depends on it
  dev: {namespace: models-dev, follow: {alias: challenger}}
  prod: {namespace: models-prod, follow: {alias: champion}, settings: {minReplicas: 2, maxReplicas: 4}}
sync: {argocd: {}, flux: {interval: 5m}}
"""
HOLD = (
    Set(path=("environments", "prod", "version"), value=3),
    Set(path=("environments", "prod", "reason"), value="slow: see #7"),
)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "m2g.yaml").write_text(CONFIG)
    return tmp_path


def put(root: Path, content: bytes) -> Path:
    path = root / MODEL
    path.parent.mkdir(parents=True)
    path.write_bytes(content)
    return path


def test_a_hold_is_set_and_taken_back(root: Path) -> None:
    assert edit_file(root, MODEL, HOLD)
    assert (root / MODEL).read_text() == 'environments:\n  prod:\n    version: 3\n    reason: "slow: see #7"\n'
    intent, findings = config.read_intent(root, ModelFolder(slug="wine", files={}))
    assert intent is not None
    assert (intent.environments["prod"].version, findings) == (3, [])
    assert edit_file(root, MODEL, [Remove(path=edit.path) for edit in HOLD])
    assert (root / MODEL).read_bytes() == b""


def test_a_file_stays_as_it_is_where_nothing_changes(root: Path) -> None:
    path = put(root, b"environments: {prod: {version: 3}}   # held\r\n")
    before = path.stat()
    assert not edit_file(root, MODEL, [HOLD[0], Remove(path=("settings",))])
    assert not edit_file(root, "models/none/model.yaml", [Remove(path=("settings",))])
    assert path.stat() == before
    assert os.listdir(root / "models") == ["wine"]


def test_only_the_value_changes_and_the_mode_stays(root: Path) -> None:
    path = put(root, "\ufeffenvironments: {prod: {version: 3}}   # größer\r\n# end".encode())
    path.chmod(0o600)
    assert edit_file(root, MODEL, [Set(path=HOLD[0].path, value=4)])
    assert path.read_bytes() == "\ufeffenvironments: {prod: {version: 4}}   # größer\r\n# end".encode()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_m2g_yaml_is_edited_in_place(root: Path) -> None:
    edits: list[Edit] = [
        Set(path=("environments", "prod", "settings", "minReplicas"), value=3),
        Set(path=("environments", "stage"), value={"namespace": "models-stage", "follow": {"stage": "Staging"}}),
        Add(path=("storage", "allow"), value="s3://models/"),
        Remove(path=("sync", "flux", "interval"), prune=False),
    ]
    assert edit_file(root, "m2g.yaml", edits)
    assert (root / "m2g.yaml").read_text() == CONFIG.replace("minReplicas: 2", "minReplicas: 3").replace(
        "sync: {argocd: {}, flux: {interval: 5m}}\n",
        "  stage:\n    namespace: models-stage\n    follow:\n      stage: Staging\n"
        "sync: {argocd: {}, flux: {}}\nstorage:\n  allow:\n  - s3://models/\n",
    )


PROD = ("environments", "prod")
DEV = ("environments", "dev")
REFUSED: list[tuple[str, Edit, str]] = [
    (MODEL, Set(path=(*PROD, "version"), value="3"), 'environments.prod.version: is the text "3"'),
    (MODEL, Set(path=("environments", "prdo", "version"), value=3), "environments.prdo: m2g.yaml has no environment"),
    (MODEL, Set(path=("settings", "minReplica"), value=3), "settings.minReplica: is not a known field"),
    (MODEL, Set(path=("settings",), value=None), "settings: is null"),
    ("m2g.yaml", Remove(path=("environments",)), "environments: is required"),
    ("m2g.yaml", Remove(path=("version",)), "version: is required"),
    ("m2g.yaml", Set(path=(*DEV, "follow", "stage"), value="Staging"), "dev.follow: sets alias and stage"),
    ("m2g.yaml", Set(path=("environments", "Dev 2", "namespace"), value="x"), 'environments["Dev 2"]: is "Dev 2"'),
    ("m2g.yaml", Add(path=("environments",), value=1), "m2g.yaml:4: environments is not a list"),
]


@pytest.mark.parametrize(("file", "edit", "words"), REFUSED)
def test_an_edit_that_would_be_a_finding_is_refused_in_its_words(root: Path, file: str, edit: Edit, words: str) -> None:
    put(root, b"# mine\n")
    before = (root / file).read_bytes()
    with pytest.raises(InputError) as refused:
        edit_file(root, file, [edit])
    assert words in refused.value.message
    assert (root / file).read_bytes() == before


def test_findings_that_were_there_are_no_reason(root: Path) -> None:
    path = put(root, b"settings: {minReplica: 1, env: [{a: 1}, 2]}\nenvironments: {gone: {version: 1}}\n")
    assert edit_file(root, MODEL, HOLD[:1])
    assert edit_file(root, MODEL, [Remove(path=("settings", "env", 0))])
    with pytest.raises(InputError, match="maxReplica: is not a known field"):
        edit_file(root, MODEL, [Set(path=("settings", "maxReplica"), value=1)])
    assert edit_file(root, MODEL, [Remove(path=("settings",))])  # which shows that m2g.yaml has no `gone`
    assert path.read_bytes() == b"environments: {gone: {version: 1}, prod: {version: 3}}\n"


def test_without_a_usable_m2g_yaml_a_model_yaml_is_edited_all_the_same(root: Path) -> None:
    for content in (b"version: [\n", b"version: 7\n", None):
        (root / "m2g.yaml").unlink(missing_ok=True)
        if content is not None:
            (root / "m2g.yaml").write_bytes(content)
        assert edit_file(root, MODEL, HOLD)
        (root / MODEL).unlink()


def test_an_m2g_yaml_is_not_made_up(root: Path) -> None:
    (root / "m2g.yaml").unlink()
    with pytest.raises(InputError, match=r"has no m2g\.yaml") as refused:
        edit_file(root, "m2g.yaml", [Set(path=("version",), value=1)])
    assert "m2g init" in refused.value.hint


@pytest.mark.parametrize(
    "file", ["README.md", "models/wine/x.yaml", "models/wine/base/model.yaml", "models/model.yaml"]
)
def test_no_other_file_is_edited(root: Path, file: str) -> None:
    with pytest.raises(ValueError, match="nor a model"):
        edit_file(root, file, HOLD)
    assert not (root / file).exists()


def test_a_symlink_is_never_followed(root: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    outside = tmp_path_factory.mktemp("outside") / "model.yaml"
    outside.write_text("# theirs\n")
    (root / "models/wine").mkdir(parents=True)
    (root / MODEL).symlink_to(outside)
    with pytest.raises(InputError, match="symlink"):
        edit_file(root, MODEL, HOLD)
    (root / MODEL).unlink()
    (root / "models/beer").mkdir()
    (root / "models/beer/model.yaml").write_text("# ours\n")
    (root / MODEL).symlink_to("../beer/model.yaml")
    with pytest.raises(InputError, match="symlink"):
        edit_file(root, MODEL, HOLD)
    assert outside.read_text() == "# theirs\n"
    assert (root / "models/beer/model.yaml").read_text() == "# ours\n"


def test_a_folder_in_the_place_of_the_file_is_refused(root: Path) -> None:
    (root / MODEL).mkdir(parents=True)
    with pytest.raises(InputError, match="not a regular file"):
        edit_file(root, MODEL, HOLD)
