"""m2g init: what a person gets, and what it refuses."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from m2g.commands.init import init
from m2g.core.errors import InputError, OutsideError
from m2g.report import init as report
from tests.support.paths import ROOT
from tests.support.scaffolded import at, commit, documents, program, scaffold


def test_the_packaged_template_makes_a_repository(tmp_path: Path) -> None:
    done = init(tmp_path / "deep/models", template=None, data=["environments=test, live"], defaults=True)
    written = sorted(p.relative_to(done.folder).as_posix() for p in Path(done.folder).rglob("*") if p.is_file())
    assert list(done.files) == written
    assert {"m2g.yaml", "README.md", "platform/argocd/live.yaml", ".github/workflows/check.yml"} <= set(written)
    assert not done.in_git


def test_the_answers_lead_copier_to_the_release_and_not_to_this_machine(tmp_path: Path) -> None:
    (answers,) = documents(scaffold(tmp_path / "r", "m2g_source=https://git.test/m2g") / ".copier-answers.yml")
    assert at(answers, "_src_path") == "git+https://git.test/m2g"
    assert at(answers, "_commit") == "v0.1.0"
    assert str(ROOT) not in (tmp_path / "r/.copier-answers.yml").read_text()


def test_a_clone_with_a_license_is_a_good_place(tmp_path: Path) -> None:
    clone = tmp_path / "clone"
    clone.mkdir()
    (clone / "LICENSE").write_text("mine\n")
    commit(clone, "First")
    assert init(clone, template=None, data=[], defaults=True).in_git
    assert (clone / "LICENSE").read_text() == "mine\n"


def test_the_readme_that_the_forge_made_is_replaced_and_git_has_it(tmp_path: Path) -> None:
    (tmp_path / "README.md").write_text("# models\n")
    (tmp_path / ".gitignore").write_text("*.pyc\n")
    commit(tmp_path, "Initial commit")
    done = init(tmp_path, template=None, data=[], defaults=True)
    assert done.replaced == (".gitignore", "README.md")
    shown = report.render_text(done.folder, len(done.files), done.in_git, done.replaced)
    assert "replaced README.md (to see the old one: git show HEAD:README.md)" in shown
    assert "m2g" in (tmp_path / "README.md").read_text()
    show = ["git", "show", "HEAD:README.md"]
    assert subprocess.run(show, cwd=tmp_path, capture_output=True, check=True).stdout == b"# models\n"


def test_a_readme_with_a_change_that_git_does_not_have_is_kept(tmp_path: Path) -> None:
    (tmp_path / "README.md").write_text("# models\n")
    commit(tmp_path, "Initial commit")
    (tmp_path / "README.md").write_text("an hour of work\n")
    with pytest.raises(InputError, match=r"would be overwritten: README\.md"):
        scaffold(tmp_path)
    assert (tmp_path / "README.md").read_text() == "an hour of work\n"


def test_nothing_is_overwritten(tmp_path: Path) -> None:
    (tmp_path / "CODEOWNERS").write_text("mine\n")
    (tmp_path / "platform").write_text("a file where a folder must be\n")
    commit(tmp_path, "First")
    with pytest.raises(InputError, match=r"CODEOWNERS, platform/argocd"):
        scaffold(tmp_path)
    assert (tmp_path / "CODEOWNERS").read_text() == "mine\n"
    assert not (tmp_path / "m2g.yaml").exists()


def test_a_full_folder_that_is_no_repository_is_refused(tmp_path: Path) -> None:
    (tmp_path / "thesis.doc").touch()
    with pytest.raises(InputError, match="is not empty, and not a Git repository"):
        scaffold(tmp_path)


def test_a_second_time_is_copier_update(tmp_path: Path) -> None:
    scaffold(tmp_path / "r")
    with pytest.raises(InputError, match="already created from the template") as caught:
        scaffold(tmp_path / "r")
    assert "copier update" in caught.value.hint


def test_a_file_is_no_destination(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match="is not a folder"):
        scaffold(tmp_path / "file")


def test_a_folder_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "r").symlink_to(tmp_path / "nowhere/at all")
    with pytest.raises((InputError, OutsideError)):
        scaffold(tmp_path / "r")


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (["sync=argo"], ["sync", "argo", "argocd"]),
        (["kserve_version=0.14"], ["kserve_version", "0.14"]),
        (["environments=Prod"], ["environments", '"Prod"']),
        (["namespace_prefix=machine-learning"], ["namespace_prefix", "machine-learning-staging", "16"]),
        (["enviroments=dev"], ["'enviroments'", "environments"]),
        (["flux=true"], ["'flux'"]),
        (["sync"], ["QUESTION=ANSWER"]),
        (["=x"], ["QUESTION=ANSWER"]),
    ],
)
def test_a_wrong_answer_names_the_question(tmp_path: Path, data: Sequence[str], words: Sequence[str]) -> None:
    with pytest.raises(InputError) as caught:
        scaffold(tmp_path / "r", *data)
    for word in words:
        assert word in f"{caught.value.message} {caught.value.hint}"
    assert "\n" not in caught.value.message
    assert not (tmp_path / "r").exists()


def test_open_questions_need_a_terminal(tmp_path: Path) -> None:
    code = """
import sys
from pathlib import Path
from m2g.commands.init import init
from m2g.core.errors import InputError
try:
    init(Path(sys.argv[1]), template=None, data=[], defaults=False)
except InputError as error:
    print(error.hint)
"""
    done = program([sys.executable, "-c", code, tmp_path / "r"], tmp_path, PYTHONPATH=str(ROOT / "generator"))
    assert "--defaults" in done.stdout, done.stderr
    assert not (tmp_path / "r").exists()


def test_another_template_may_not_run_programs(tmp_path: Path) -> None:
    (tmp_path / "t").mkdir()
    (tmp_path / "t/copier.yml").write_text("_tasks: [touch owned]\n")
    with pytest.raises(InputError, match="its own programs"):
        init(tmp_path / "r", template=str(tmp_path / "t"), data=[], defaults=True)


def test_another_template_by_url_takes_its_newest_release(tmp_path: Path) -> None:
    template = tmp_path / "template"
    shutil.copytree(ROOT / "template", template / "template")
    shutil.copytree(ROOT / "schemas/m2g", template / "schemas/m2g")
    shutil.copy(ROOT / "copier.yml", template)
    (template / "template/TEAM.md").write_text("ours\n")
    commit(template, "Ours")
    program(["git", "tag", "v7.0.0"], template)
    init(tmp_path / "r", template=template.as_uri().replace("file://", "git+file://"), data=[], defaults=True)
    (answers,) = documents(tmp_path / "r/.copier-answers.yml")
    assert at(answers, "_commit") == "v7.0.0"
    assert (tmp_path / "r/TEAM.md").read_text() == "ours\n"
    with pytest.raises(InputError, match="no question 'x'"):
        init(tmp_path / "s", template=str(template), data=["x=1"], defaults=True)


def test_a_template_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(OutsideError, match="cannot be copied"):
        init(tmp_path / "r", template=f"git+file://{tmp_path}/nothing", data=[], defaults=True)
