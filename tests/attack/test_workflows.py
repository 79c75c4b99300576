"""The scaffolded CI runs nothing of a branch, holds no secret where a branch runs, and installs only what is pinned."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from m2g.commands.init import init
from tests.support.fake_github import GitHub
from tests.support.named_index import Index, named_index
from tests.support.paths import ROOT
from tests.support.pipelines import Job, Remote, Store, bash, gitlab, scaffolded
from tests.support.scaffolded import commit, documents, git, mapping, scaffold, sequence

pytestmark = [pytest.mark.attack, pytest.mark.slow, pytest.mark.usefixtures("kustomize")]
MODULES = (
    "pip json sitecustomize usercustomize mlflow m2g uv click httpx msgspec hatchling sys_config logging asyncio "
    "subprocess typing yaml importlib_metadata"
).split()
PROGRAMS = "git kustomize kubectl python python3 pip uv mlflow m2g gh docker buildah sed cat sha256sum tar".split()
FAKES = "gh docker buildah apt-get sudo curl tar sha256sum".split()
ANSWERS = ("smoke_test=true", "image_registry=ghcr.io/acme/models")


@pytest.fixture
def index() -> Iterator[str]:
    with named_index() as address:
        yield address


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    made = Store(tmp_path_factory.mktemp("mlflow"))
    made.register("wine", champion=1, versions=1)
    return made


def plant(root: Path, owned: Path, index: str) -> None:
    """Files that run, or steer a program, if something looks for modules, programs or settings in the checkout."""
    for name in MODULES:
        (root / f"{name}.py").write_text(f"open({str(owned)!r}, 'a').write('module {name}\\n')\n")
    for folder in (root, root / "bin"):
        folder.mkdir(exist_ok=True)
        for name in PROGRAMS:
            (folder / name).write_text(f"#!/bin/sh\necho program {name} >> {owned}\n")
            (folder / name).chmod(0o755)
    (root / "uv.toml").write_text(f'index-url = "{index}"\n')
    (root / "pyproject.toml").write_text(f'[tool.uv]\nindex-url = "{index}"\n[project]\nname = "x"\nversion = "1"\n')
    (root / "pip.conf").write_text(f"[global]\nindex-url = {index}\n")
    (root / ".gitconfig").write_text(f"[core]\n\tfsmonitor = echo git >> {owned}\n\tpager = echo git >> {owned}\n")
    (root / ".env").write_text(f"MLFLOW_TRACKING_URI={index}\n")
    (root / "conftest.py").write_text((root / "pip.py").read_text())


@pytest.fixture
def tools(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Programs that must not run here; they do nothing."""
    place = tmp_path / "tools"
    place.mkdir()
    for name in FAKES:
        (place / name).write_text("#!/bin/sh\n[ -t 0 ] || cat > /dev/null\n")
        (place / name).chmod(0o755)
    monkeypatch.setenv("PATH", str(place), prepend=":")
    monkeypatch.setenv("M2G_UV", str(ROOT / ".tools/uv-venv/bin/uv"))


def github_steps(clone: Path) -> Iterator[tuple[str, str, Mapping[str, object]]]:
    """(name, script, variables) of each step of each job."""
    for file in sorted((clone / ".github/workflows").iterdir()):
        (workflow,) = documents(file)
        for job in mapping(workflow, "jobs").values():
            for step in sequence(mapping(job), "steps"):
                found = mapping(step)
                if "run" in found:
                    layers = (
                        mapping(workflow, "env"),
                        mapping(mapping(job).get("env", {})),
                        mapping(found.get("env", {})),
                    )
                    yield str(found["name"]), str(found["run"]), {k: v for layer in layers for k, v in layer.items()}


def gitlab_steps(clone: Path) -> Iterator[tuple[str, str, Mapping[str, object]]]:
    """The same for each job, whose lines run in one shell."""
    (pipeline,) = documents(clone / ".gitlab-ci.yml")
    for name, job in mapping(pipeline).items():
        if isinstance(job, dict) and "script" in job:
            before = sequence(pipeline, "default", "before_script")
            lines = [*before, *sequence(job, "script")]
            variables = mapping(pipeline, "variables") | mapping(job.get("variables", {}))
            yield name, "set +e\n" + "\n".join(map(str, lines)).replace("exit ", ": "), variables


@pytest.mark.usefixtures("tools")
@pytest.mark.parametrize("ci", ["github", "gitlab"])
def test_no_step_runs_or_obeys_what_a_branch_planted(tmp_path: Path, store: Store, index: str, ci: str) -> None:
    owned = tmp_path / "owned"
    root = scaffolded(tmp_path / "models", store, f"ci={ci}", *ANSWERS)
    plant(root, owned, index)
    commit(root, "Nothing to see here")
    remote = Remote(tmp_path, root)
    clone = remote.clone()
    given = {
        "BASE": "main", "CI_MERGE_REQUEST_TARGET_BRANCH_NAME": "main", "GITHUB_REPOSITORY": "acme/models",
        "RUNNER_TEMP": str(tmp_path), "GITHUB_OUTPUT": str(tmp_path / "out"), "IMAGES": "ghcr.io/acme/models",
        "GITHUB_STEP_SUMMARY": str(tmp_path / "summary"), "PIP_RETRIES": "0", "UV_OFFLINE": "1", "NUMBER": "7",
        "CHANGED": "true", "MLFLOW_TRACKING_URI": store.uri,
    }  # fmt: skip
    ran = []
    for name, script, variables in (github_steps if ci == "github" else gitlab_steps)(clone):
        plain = {key: str(value) for key, value in variables.items() if "${{" not in str(value)}
        bash(script, clone, plain | given)
        ran.append(name)
        assert not owned.exists(), (name, owned.read_text())
        assert not Index.asked, (name, Index.asked)
    assert {"Install m2g", "Render", "Validate", "Commit"} <= {*ran} or ran == ["check", "render"]


@pytest.mark.usefixtures("tools")
def test_what_is_planted_does_harm_where_nothing_holds_it_back(tmp_path: Path, index: str) -> None:
    """The test above can fail."""
    owned = tmp_path / "owned"
    plant(tmp_path, owned, index)
    bash(f"unset PYTHONSAFEPATH; {sys.executable} -m pip --version; PATH=.:$PATH; git status", tmp_path, {})
    assert {"module pip", "program git"} <= set(owned.read_text().splitlines())


@pytest.mark.parametrize("answers", [(), ANSWERS, ("sync=flux", "owners=@acme/ml", *ANSWERS[:1])])
def test_zizmor_finds_nothing(tmp_path: Path, answers: tuple[str, ...]) -> None:
    root = scaffold(tmp_path / "models", *answers)
    zizmor = Path(sys.executable).with_name("zizmor")
    command = [str(zizmor), "--offline", "--no-config", "--persona", "auditor", "--strict-collection", str(root)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "No findings to report" in done.stdout + done.stderr


def test_zizmor_finds_what_is_wrong(tmp_path: Path) -> None:
    """The test above can fail."""
    root = scaffold(tmp_path / "models")
    file = root / ".github/workflows/render.yml"
    file.write_text(re.sub(r"@[0-9a-f]{40}", "@v4", file.read_text()))
    command = [str(Path(sys.executable).with_name("zizmor")), "--offline", "--no-config", str(root)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode != 0
    assert "unpinned-uses" in done.stdout


@pytest.mark.parametrize("ci", ["github", "gitlab"])
def test_jobs_that_run_a_branch_have_no_secret(tmp_path: Path, ci: str) -> None:
    root = scaffold(tmp_path / "models", f"ci={ci}", *ANSWERS)
    if ci == "github":
        (check,) = documents(root / ".github/workflows/check.yml")
        assert "secrets." not in str(check)
        for job in mapping(check, "jobs").values():
            steps = str(sequence(mapping(job), "steps"))
            assert ("github.token" in steps) != ("actions/checkout" in steps), "a token and a checkout never meet"
        (render,) = documents(root / ".github/workflows/render.yml")
        assert set(mapping(render, "on")) == {
            "schedule",
            "workflow_dispatch",
            "repository_dispatch",
        }  # none runs a branch
        assert mapping(render, "jobs", "render")["environment"] == "m2g"
        return
    (pipeline,) = documents(root / ".gitlab-ci.yml")
    check = mapping(pipeline, "check")
    assert not re.search(r"TOKEN|PASSWORD|MLFLOW", str(check))
    assert [name for name, job in mapping(pipeline).items() if isinstance(job, dict) and "script" in job] == [
        "check", "render",
    ]  # fmt: skip
    assert "merge_request_event" not in str(mapping(pipeline, "render")["rules"])


def test_a_comment_of_somebody_else_is_not_taken_for_m2g_s(tmp_path: Path) -> None:
    """Nor is a pull request of a fork whose branch has the name of m2g's. GitLab's jobs look for neither."""
    root = scaffold(tmp_path / "models", *ANSWERS)
    queries = re.findall(r"--jq '(.*?)'", "".join(path.read_text() for path in (root / ".github/workflows").iterdir()))
    assert sorted(queries) == [
        ".[] | select(.isCrossRepository | not) | .headRefOid",
        '.[] | select(.user.login == "github-actions[bot]" and (.body | startswith("<!-- m2g diff -->"))) | .id',
        "[.[] | select(.isCrossRepository | not)][0].number // empty",
    ]
    pipeline = (scaffold(tmp_path / "gitlab", "ci=gitlab", *ANSWERS) / ".gitlab-ci.yml").read_text()
    assert not re.search(r"/notes|/merge_requests|/discussions", pipeline)


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The template in a Git repository, as `copier copy URL` and `copier update` get it."""
    folder = tmp_path_factory.mktemp("template")
    for name in ("template", "schemas/m2g"):
        shutil.copytree(ROOT / name, folder / name)
    shutil.copy(ROOT / "copier.yml", folder)
    commit(folder, "Template")
    return folder


@pytest.mark.parametrize("ci", ["github", "gitlab"])
def test_everything_that_is_installed_has_a_hash(tmp_path: Path, template: Path, ci: str) -> None:
    root, head = tmp_path / "models", git(template, "rev-parse", "HEAD").strip()
    init(root, template=f"git+file://{template}", data=[f"ci={ci}", *ANSWERS], defaults=True)
    for name in ("requirements", "requirements-models"):
        text = (root / f"ci/{name}.txt").read_text()
        pins = re.findall(
            r"^[A-Za-z0-9._-]+(?:\[[^]]*\])?==\S+(?: ; [^\\]*)?((?: \\\n    --hash=sha256:[0-9a-f]{64})+)",
            text,
            re.MULTILINE,
        )
        assert len(pins) == len(re.findall(r"^[A-Za-z0-9]", text, re.MULTILINE)) > 10
        assert "://" not in text
    steps = list((github_steps if ci == "github" else gitlab_steps)(root))
    lines = [
        line for _, script, _ in steps for line in script.splitlines() if re.search(r"pip install|uv (pip|tool)", line)
    ]
    assert lines
    for line in lines:
        assert "--require-hashes" in line or line.endswith('--no-deps --no-build-isolation "$M2G"'), line
    sources = {str(variables["M2G"]) for _, _, variables in steps if "M2G" in variables}
    assert sources == {f"mlflow-gitops @ git+https://github.com/m2g-dev/m2g@{head}"}
    assert f'rev: "{head}"' in (root / ".pre-commit-config.yaml").read_text()


def test_what_hashes_say_are_wheels_of_the_package_index(tmp_path: Path) -> None:
    """The lists are those of `make lock`: what pyproject.toml needs is in them, at a version that it accepts."""
    import tomllib

    from packaging.requirements import Requirement
    from packaging.utils import canonicalize_name

    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    text = (ROOT / "template/ci/requirements.txt").read_text()
    pinned = dict(re.findall(r"^([A-Za-z0-9._-]+)==([^\s;\\]+)", text, re.MULTILINE))
    for line in project["dependencies"]:
        wanted = Requirement(line)
        assert wanted.specifier.contains(pinned[canonicalize_name(wanted.name)]), line


def test_a_check_for_another_branch_does_not_count(tmp_path: Path) -> None:
    """Anybody may push a branch, open a pull request to it, and get a green check for the commit there."""
    root = scaffold(tmp_path / "github", "ci=github", "default_branch=live")
    (workflow,) = documents(root / ".github/workflows/check.yml")
    assert mapping(workflow, "on") == {
        "pull_request": {"branches": ["live"], "types": ["opened", "synchronize", "reopened", "edited"]},
        "merge_group": {"branches": ["live"]},
    }
    root = scaffold(tmp_path / "gitlab", "ci=gitlab", "default_branch=live")
    (pipeline,) = documents(root / ".gitlab-ci.yml")
    rules = [str(mapping(rule)["if"]) for rule in sequence(pipeline, "workflow", "rules")]
    (requests,) = (rule for rule in rules if "merge_request_event" in rule)
    assert requests.endswith('&& $CI_MERGE_REQUEST_TARGET_BRANCH_NAME == "live"')


def test_a_merge_queue_is_checked(tmp_path: Path, store: Store) -> None:
    """There `github.base_ref` is empty, and the base is a whole ref."""
    root = scaffolded(tmp_path / "models", store)
    (workflow,) = documents(root / ".github/workflows/check.yml")
    assert "merge_group" in str(workflow)
    queue = {"github.event_name": "merge_group", "github.event.merge_group.base_ref": "refs/heads/main"}
    job = Job(Remote(tmp_path, root).clone(), "check", queue).run()
    assert not job.failed, job.said
    assert {"Validate", "Compare the tree with its records", "Describe the change"} <= set(job.ran)


SMOKE = """#!/bin/sh
[ "$1" = smoke ] || exec {m2g} "$@"
echo "$*" >> {calls}
git rev-parse --quiet --verify origin/m2g/render && echo proposed >> {calls}
printf 'FAILED  wine\\n::add-mask::prod\\n~~~~\\n```\\n##[error]x\\n@everyone\\n'
exit 1
"""


@pytest.mark.parametrize("ci", ["github", "gitlab"])
def test_what_is_proposed_was_served_before(
    tmp_path: Path, store: Store, monkeypatch: pytest.MonkeyPatch, ci: str
) -> None:
    """The report is shown, and none of its words acts: not in the log of the runner, not in the proposal."""
    main = scaffolded(tmp_path / "models", store, f"ci={ci}", "smoke_test=true")
    calls = tmp_path / "calls"
    github = GitHub(tmp_path, main)
    github.use(monkeypatch)
    real = Path(sys.executable).with_name("m2g")
    for name, text in {"m2g": SMOKE.format(m2g=real, calls=calls), "sudo": "#!/bin/sh\n", "uv": "#!/bin/sh\n"}.items():
        (tmp_path / "bin" / name).write_text(text)
        (tmp_path / "bin" / name).chmod(0o755)
    if ci == "gitlab":
        git(github.remote.bare, "config", "receive.advertisePushOptions", "true")
        clone = github.remote.clone()
        done = gitlab(clone, "render", "git remote set-url", {})
        assert done.returncode == 1, done.stdout + done.stderr
        assert (clone / "m2g-smoke.txt").read_text().startswith("FAILED  wine\n")
    else:
        job = github.render()
        assert job.failed == ["Report models that do not serve"], job.said
        assert (
            "    FAILED  wine\n    ::add-mask::prod\n    ~~~~\n    ```\n    ##[error]x\n    @everyone\n" in github.body
        )
        before, _, after = job.said.partition("FAILED  wine\n")
        end = before.rpartition("::stop-commands::")[2].strip()
        assert len(end) == 36
        assert f"@everyone\n::{end}::\n" in after
    assert github.remote.log("main..m2g/render"), "the others are proposed"
    assert calls.read_text() == "smoke --changed-against origin/main --require-isolation --timeout 600\n"
