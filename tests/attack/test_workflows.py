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
from m2g.core.errors import InputError
from tests.support.named_index import Index, named_index
from tests.support.paths import ROOT
from tests.support.pipelines import Job, Remote, Store, bash, render, scaffolded
from tests.support.scaffolded import commit, documents, git, mapping, scaffold, sequence

pytestmark = [pytest.mark.attack, pytest.mark.slow, pytest.mark.usefixtures("kustomize")]
MODULES = (
    "pip json sitecustomize usercustomize mlflow m2g uv click httpx msgspec hatchling sys_config logging asyncio "
    "subprocess typing yaml importlib_metadata"
).split()
PROGRAMS = "git kustomize kubectl python python3 pip uv mlflow m2g gh docker buildah sed cat sha256sum tar".split()
FAKES = "gh docker buildah apt-get sudo curl tar sha256sum".split()
FORGES = ("github", "gitea", "gitlab")
DIGEST = "0123456789abcdef" * 4
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
    for file in sorted(clone.glob(".git*/workflows/*")):
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
@pytest.mark.parametrize("ci", FORGES)
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
        "MLFLOW_TRACKING_URI": store.uri, "IMAGE_REGISTRY_USER": "ci", "IMAGE_REGISTRY_PASSWORD": "x",
    }  # fmt: skip
    ran = []
    for name, script, variables in (gitlab_steps if ci == "gitlab" else github_steps)(clone):
        plain = {key: str(value) for key, value in variables.items() if "${{" not in str(value)}
        bash(script, clone, plain | given)
        ran.append(name)
        assert not owned.exists(), (name, owned.read_text())
        assert not Index.asked, (name, Index.asked)
    steps = {"Install m2g", "Build missing images", "Ask the registry", "Serve what changes", "Propose", "Validate"}
    assert steps <= {*ran} or ran == ["check", "render", "propose"]


@pytest.mark.usefixtures("tools")
def test_what_is_planted_does_harm_where_nothing_holds_it_back(tmp_path: Path, index: str) -> None:
    """The test above can fail."""
    owned = tmp_path / "owned"
    plant(tmp_path, owned, index)
    bash(f"unset PYTHONSAFEPATH; {sys.executable} -m pip --version; PATH=.:$PATH; git status", tmp_path, {})
    assert {"module pip", "program git"} <= set(owned.read_text().splitlines())


@pytest.mark.parametrize(
    "answers",
    [(), ANSWERS, ("sync=flux", "owners=@acme/ml", *ANSWERS[:1]), ("ci=gitea",), ("ci=gitea", *ANSWERS),
     (f"m2g_install=1.2.3#sha256={DIGEST}",), (f"m2g_install=ghcr.io/acme/m2g@sha256:{DIGEST}",)],
)  # fmt: skip
def test_zizmor_finds_nothing(tmp_path: Path, answers: tuple[str, ...]) -> None:
    root = scaffold(tmp_path / "models", *answers)
    zizmor = Path(sys.executable).with_name("zizmor")
    files = [str(path) for path in root.glob(".git*/workflows/*.yml")]
    assert len(files) == 2
    command = [str(zizmor), "--offline", "--no-config", "--persona", "auditor", "--strict-collection", *files]
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


@pytest.mark.parametrize("ci", FORGES)
def test_jobs_that_run_a_branch_have_no_secret(tmp_path: Path, ci: str) -> None:
    root = scaffold(tmp_path / "models", f"ci={ci}", *ANSWERS)
    if ci == "gitlab":
        (pipeline,) = documents(root / ".gitlab-ci.yml")
        jobs = {name: job for name, job in mapping(pipeline).items() if isinstance(job, dict) and "script" in job}
        assert [*jobs] == ["check", "render", "propose"]
        assert not re.search(r"TOKEN|PASSWORD|MLFLOW", str(jobs["check"]))
        for name in ("render", "propose"):
            assert "merge_request_event" not in str(jobs[name]["rules"])
        return
    (check,) = documents(root / f".{ci}/workflows/check.yml")
    assert "secrets." not in str(check)
    for job in mapping(check, "jobs").values():
        steps = str(sequence(mapping(job), "steps"))
        assert not ("github.token" in steps and "actions/checkout" in steps), "a token and a checkout never meet"
    (render,) = documents(root / f".{ci}/workflows/render.yml")
    # none runs a branch
    assert set(mapping(render, "on")) <= {"schedule", "workflow_dispatch", "repository_dispatch"}


def test_a_comment_of_somebody_else_is_not_taken_for_m2g_s(tmp_path: Path) -> None:
    root = scaffold(tmp_path / "models", *ANSWERS)
    queries = re.findall(r"--jq '(.*?)'", "".join(path.read_text() for path in (root / ".github/workflows").iterdir()))
    assert queries == [
        '.[] | select(.user.login == "github-actions[bot]" and (.body | startswith("<!-- m2g diff -->"))) | .id'
    ]


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The template in a Git repository, as `copier copy URL` and `copier update` get it."""
    folder = tmp_path_factory.mktemp("template")
    for name in ("template", "schemas/m2g"):
        shutil.copytree(ROOT / name, folder / name)
    shutil.copy(ROOT / "copier.yml", folder)
    commit(folder, "Template")
    return folder


@pytest.mark.parametrize("ci", FORGES)
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
    steps = list((gitlab_steps if ci == "gitlab" else github_steps)(root))
    lines = [
        line for _, script, _ in steps for line in script.splitlines() if re.search(r"pip install|uv (pip|tool)", line)
    ]
    assert lines
    for line in lines:
        assert "--require-hashes" in line or line.endswith('--no-deps --no-build-isolation "$M2G"'), line
    sources = {str(variables["M2G"]) for _, _, variables in steps if "M2G" in variables}
    assert sources == {f"mlflow-gitops @ git+https://github.com/m2g-dev/m2g@{head}"}
    assert f'rev: "{head}"' in (root / ".pre-commit-config.yaml").read_text()


@pytest.mark.parametrize("ci", FORGES)
@pytest.mark.parametrize(
    ("install", "requirement"),
    [
        (f"1.2.3#sha256={DIGEST}", f"mlflow-gitops==1.2.3 --hash=sha256:{DIGEST}"),
        (
            f"https://example.com/m2g-1.2.3-py3-none-any.whl#sha256={DIGEST}",
            f"mlflow-gitops @ https://example.com/m2g-1.2.3-py3-none-any.whl --hash=sha256:{DIGEST}",
        ),
        ("0123456789" * 4, f"mlflow-gitops @ git+https://github.com/m2g-dev/m2g@{'0123456789' * 4}"),
        (f"ghcr.io/acme/m2g@sha256:{DIGEST}", ""),
    ],
)
def test_m2g_is_installed_by_a_digest(tmp_path: Path, ci: str, install: str, requirement: str) -> None:
    root = scaffold(tmp_path / "models", f"ci={ci}", f"m2g_install={install}")
    steps = list((gitlab_steps if ci == "gitlab" else github_steps)(root))
    assert {str(variables["M2G"]) for _, _, variables in steps if "M2G" in variables} == {requirement} - {""}
    scripts = "\n".join(script for _, script, _ in steps)
    for line in re.findall(r".*pip install.*", scripts):
        assert "--require-hashes" in line or "--no-build-isolation" in line, line
    text = "".join(path.read_text() for path in (*root.glob(".git*/workflows/*"), *root.glob(".gitlab-ci.yml")))
    assert (install in text) is ("#" not in install)
    assert ("pip install" in text) is bool(requirement)
    hooks = (root / ".pre-commit-config.yaml").read_text()
    assert ("repo: local\n    hooks:\n      - id: m2g-validate" in hooks) is ("#" in install or "@" in install)


@pytest.mark.parametrize(
    "install",
    ["1.2.3", "v1.2.3", "main", "1.2.3#sha256=0", f"http://example.com/m2g.whl#sha256={DIGEST}", "ghcr.io/acme/m2g:1",
     f"https://me:secret@example.com/m2g.whl#sha256={DIGEST}", f"1.2.3#sha256={DIGEST}\n--index-url=x"],
)  # fmt: skip
def test_what_could_be_moved_is_not_installed(tmp_path: Path, install: str) -> None:
    with pytest.raises(InputError, match="m2g_install"):
        scaffold(tmp_path / "models", f"m2g_install={install}")


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
git --git-dir {bare} for-each-ref refs/heads/m2g >> {calls}
exit 1
"""


@pytest.mark.parametrize("ci", FORGES)
def test_what_is_proposed_was_served_before(
    tmp_path: Path, store: Store, monkeypatch: pytest.MonkeyPatch, ci: str
) -> None:
    """A failure ends the first job, and not the second. tests/smoke shows what the proposal says of it."""
    calls = tmp_path / "calls"
    remote = Remote(tmp_path, scaffolded(tmp_path / "models", store, f"ci={ci}", "smoke_test=true"))
    (tmp_path / "bin").mkdir()
    real = Path(sys.executable).with_name("m2g")
    smoke = SMOKE.format(m2g=real, calls=calls, bare=remote.bare)
    for name, text in {"m2g": smoke, "sudo": "#!/bin/sh\n", "uv": "#!/bin/sh\n"}.items():
        (tmp_path / "bin" / name).write_text(text)
        (tmp_path / "bin" / name).chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path / "bin"), prepend=":")
    done = render(remote.clone)
    assert done.failed == (("render",) if ci == "gitlab" else ("Serve what changes",)), done.said
    assert remote.tips() == {"main", "m2g/prod/wine"}
    (call,) = calls.read_text().splitlines()
    assert re.fullmatch(r"smoke --from \S+snapshot\.json --require-isolation --timeout 600", call)
