"""`m2g merge`: what all parts of a fleet say is what one run says, in every form; and what is no whole is refused."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from m2g.changes.update import RenderOptions
from m2g.cli import group, run
from m2g.core.errors import Exit
from tests.support.fleet import CONFIG, FakeRegistry, release, repository, write_record
from tests.support.fleet import run as render
from tests.support.git_repository import commit, git, start
from tests.support.handmade_fleet import write

NAMES = ("a", "a-b", "ale", "beer", "cider", "wine")
ENVIRONMENTS = ("dev", "prod")
POLICY = """policies:
- {id: named, expression: object.metadata.name != 'beer', message: is beer}
overrides:
- {policy: named, model: beer, environment: dev, reason: old, expires: '2999-01-01'}
- {policy: named, model: wine, environment: dev, reason: none, expires: '2999-01-01'}
"""


@pytest.fixture
def root(tmp_path: Path, kustomize: Path) -> Path:
    """Six models in two environments, committed on main; a branch is checked out."""
    assert kustomize.is_file()
    root = start(repository(tmp_path / "repository", f"{CONFIG}removals: {{maxCount: 2, maxPercent: 0}}\n"))
    for name in NAMES:
        for environment in ENVIRONMENTS:
            write_record(root, name, release(name, environment))
    rendered(root)
    commit(root)
    git(root, "checkout", "-q", "-b", "change")
    return root


def rendered(root: Path) -> None:
    render(root, FakeRegistry(), RenderOptions(locked=True))


class M2g:
    """The command in a repository; `parts` are the files of its reports."""

    def __init__(self, root: Path, files: Path, captured: pytest.CaptureFixture[str]) -> None:
        self.root = root
        self._files = files
        self._captured = captured

    def __call__(self, *arguments: str) -> tuple[Exit, str]:
        self._captured.readouterr()
        code = run(lambda: group.main(["-C", str(self.root), *arguments], standalone_mode=False))
        told = self._captured.readouterr()
        return code, told.err if code is Exit.INPUT else told.out

    def parts(self, count: int, *arguments: str) -> list[str]:
        files = [str(self._files / f"{index}-of-{count}.json") for index in range(1, count + 1)]
        for index, file in enumerate(files, 1):
            self("validate", "--no-cache", *arguments, "--shard", f"{index}/{count}", "--output", "json", file)
        return files

    def agrees(self, *arguments: str) -> Mapping[str, list[dict[str, str]]]:
        """What one run says, once it is known that any parts say the same."""
        whole, merged = self._files / "whole", self._files / "merged"
        one = self("validate", "--no-cache", *arguments, *_outputs(whole))
        for count in (1, 3):
            assert self("merge", *self.parts(count, *arguments), *_outputs(merged)) == one
            for form in _FORMS:
                assert merged.with_suffix(f".{form}").read_text() == whole.with_suffix(f".{form}").read_text()
        found: Mapping[str, list[dict[str, str]]] = json.loads(whole.with_suffix(".json").read_text())
        return found

    def changed(self, file: str, change: Callable[[dict[str, object]], object]) -> str:
        """A copy of a report with a change."""
        report = json.loads(Path(file).read_text())
        change(report)
        other = self._files / f"changed-{Path(file).name}"
        other.write_text(json.dumps(report))
        return str(other)


_FORMS = ("json", "junit", "sarif", "gitlab", "github")


def _outputs(file: Path) -> list[str]:
    return [part for form in _FORMS for part in ("--output", form, str(file.with_suffix(f".{form}")))]


@pytest.fixture
def m2g(root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> M2g:
    return M2g(root, tmp_path, capsys)


def rules(report: Mapping[str, list[dict[str, str]]]) -> list[str]:
    return sorted(finding["rule"] for finding in report["findings"])


def test_the_cap_on_removals_is_that_of_the_fleet(m2g: M2g) -> None:
    for name in ("ale", "beer", "wine"):
        shutil.rmtree(m2g.root / f"models/{name}/overlays/dev")
        (m2g.root / f"models/{name}/releases/dev.json").unlink()
    rendered(m2g.root)
    commit(m2g.root)
    assert rules(m2g.agrees("--against", "main")) == ["history-removals"]
    for index in (1, 2, 3):
        code, said = m2g("validate", "--no-cache", "--against", "main", "--shard", f"{index}/3")
        assert code is Exit.NO, "each part alone must fail: nobody may wait for the merge"
        assert "3 InferenceServices are removed" in said
    assert rules(m2g.agrees("--against", "main", "--env", "prod")) == []
    assert rules(m2g.agrees("--against", "main", "--allow-removals", "3")) == []
    assert rules(m2g.agrees("--against", "main", "--model", "ale", "--model", "beer")) == []


def test_a_service_that_goes_while_its_overlay_stays(m2g: M2g) -> None:
    suffix = "apiVersion: kustomize.config.k8s.io/v1alpha1\nkind: Component\nnameSuffix: -x\n"
    write(m2g.root, {f"models/{name}/custom/prod/kustomization.yaml": suffix for name in NAMES[:3]})
    rendered(m2g.root)
    assert "history-removals" in rules(m2g.agrees("--against", "main"))


def test_two_folders_of_one_model(m2g: M2g) -> None:
    """A new slug leaves the old folder behind."""
    shutil.copytree(m2g.root / "models/a-b", m2g.root / "models/d")
    for slug in ("a-b", "d"):
        with (m2g.root / f"models/{slug}/overlays/prod/patch.yaml").open("a") as file:
            file.write("# by hand\n")
    (m2g.root / "m2g.yaml").write_text(CONFIG + "models: {slugs: {a-b: d}}\n")
    files = {finding["file"] for finding in m2g.agrees()["findings"] if finding["rule"] == "hand-edit"}
    assert files == {"models/a-b/overlays/prod/patch.yaml", "models/d/overlays/prod/patch.yaml"}


def test_what_is_wrong_in_the_file_of_another_model(m2g: M2g) -> None:
    wrong = "apiVersion: kustomize.config.k8s.io/v1alpha1\nkind: Component\nnonsense: true\n"
    write(m2g.root, {"models/wine/shared/kustomization.yaml": wrong})
    for name in ("a", "beer"):
        own = "apiVersion: kustomize.config.k8s.io/v1alpha1\nkind: Component\ncomponents: [../../../wine/shared]\n"
        write(m2g.root, {f"models/{name}/custom/dev/kustomization.yaml": own})
    rendered(m2g.root)
    assert rules(m2g.agrees())


def test_overrides_that_nothing_needs(m2g: M2g) -> None:
    write(m2g.root, {"policies/names.yaml": POLICY})
    found = m2g.agrees()
    assert rules(found) == ["override-unused", "policy/named"]
    patch = m2g.root / "models/cider/overlays/prod/patch.yaml"
    patch.write_text("- {op: remove, path: /spec/nothing}\n")
    assert "override-unused" not in rules(m2g.agrees()), "what does not build may need it"


def test_models_whose_name_begins_alike_are_in_order(m2g: M2g) -> None:
    built = m2g.agrees()["built"]
    assert len(built) == len(NAMES) * 2
    assert [str(folder) for folder in built[:3]] == [
        "models/a/overlays/dev",
        "models/a/overlays/prod",
        "models/a-b/overlays/dev",
    ]


def test_parts_of_something_else_are_refused(m2g: M2g) -> None:
    two, one = m2g.parts(2)[::-1]
    narrowed = m2g.changed(two, lambda report: None)

    def refuses(words: str, *files: str) -> None:
        code, said = m2g("merge", *files)
        assert code is Exit.INPUT, said
        assert words in said

    assert m2g("merge", one, narrowed)[0] is Exit.DONE
    for words, arguments in (
        ("different --model", ("--model", "a")),
        ("different --env", ("--env", "dev")),
        ("different --against", ("--against", "main")),
    ):
        Path(narrowed).unlink()
        m2g("validate", "--no-cache", *arguments, "--shard", "2/2", "--output", "json", narrowed)
        refuses(words, one, narrowed)
    one, two = m2g.parts(2, "--against", "main")
    m2g("validate", "--against", "main", "--allow-removals", "9", "--shard", "2/2", "--output", "json", narrowed)
    refuses("different --allow-removals", one, narrowed)
    (m2g.root / "models/wine/model.yaml").write_text("# another\n")
    m2g("validate", "--against", "main", "--shard", "2/2", "--output", "json", narrowed)
    refuses("different commits or files", one, narrowed)
    git(m2g.root, "commit", "-q", "--allow-empty", "-m", "nothing")
    one, two = m2g.parts(2)
    git(m2g.root, "commit", "-q", "--allow-empty", "-m", "nothing more")
    m2g("validate", "--shard", "2/2", "--output", "json", narrowed)
    refuses("different commits or files", one, narrowed)


def test_a_report_of_render_is_called_so(m2g: M2g) -> None:
    code, said = m2g("render", "--locked", "--no-cache", "--shard", "1/1", "--format", "json")
    assert code is Exit.DONE
    other = m2g.root.parent / "render.json"
    other.write_text(said)
    code, said = m2g("merge", str(other))
    assert (code, "report of m2g render" in said) == (Exit.INPUT, True)


@pytest.mark.parametrize(
    ("place", "value", "words"),
    [
        ("shard", "3/2", "no part of a fleet"),
        ("shard", "01/02", "no part of a fleet"),
        ("part", None, "does not say what it is a part of"),
        ("part.m2g", "other", "different versions of m2g"),
        ("part.tree", 1, "is no report"),
        ("part.more", 1, "is no report"),
        ("summary.objects", -1, "is no report"),
        ("summary.overlays", 99, "counts what it does not tell"),
        ("summary.errors", 1, "counts what it does not tell"),
        ("built", [], "counts what it does not tell"),
        ("built", ["models/../overlays/dev/x"], "overlays that are not in part"),
        ("part.since", {"base": "x", "allowed": 1, "before": ["x"]}, "is no report"),
    ],
)
def test_a_report_that_was_changed_is_named_and_refused(m2g: M2g, place: str, value: object, words: str) -> None:
    one, two = m2g.parts(2)

    def change(report: dict[str, object]) -> None:
        above, _, last = place.rpartition(".")
        inner = report[above] if above else report
        assert isinstance(inner, dict)
        inner[last] = value

    other = m2g.changed(two, change)
    code, said = m2g("merge", one, other)
    assert code is Exit.INPUT, said
    assert words in said
    assert "changed-" in said
