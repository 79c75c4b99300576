"""Which serving environment takes a model: its pins, its Python, its server, its trust group."""

from __future__ import annotations

import msgspec
import pytest

from m2g.core.config_types import Config, Server
from m2g.core.errors import InputError
from m2g.core.model import Flavor, Mlmodel
from m2g.core.serving_environment import RecordedEnvironment, parse_lock
from m2g.repository.state import Repository
from m2g.serving.environments import describe_need, find_environment
from tests.support.environments import HASH, lock_of, recorded

MLMODEL = Mlmodel(
    sha256="0" * 64,
    flavors=(
        Flavor(name="python_function"),
        Flavor(name="sklearn", version="1.9.1", serialization_format="skops", file="model.skops"),
    ),
    mlflow_version="3.17.2",
    python_version="3.11.7",
    requirements=("mlflow==3.17.2", "numpy==2.4.6", "scikit-learn==1.9.1"),
)
SHARING = {"groups": {"everyone": ["*"]}, "packages": ["numpy", "scikit-learn", "lightgbm"]}
HAS = {"numpy": "2.4.6", "scikit-learn": "1.9.1", "skops": "0.13.0", "scipy": "1.18.0"}


def config(**sharing: object) -> Config:
    given = {"version": 1, "environments": {"dev": {"namespace": "d"}}, "images": {"sharing": SHARING | sharing}}
    return msgspec.convert(given, Config)


def found(
    one: RecordedEnvironment, *requirements: str, model: str = "wine", server: Server = "mlserver", **sharing: object
) -> str | None:
    mlmodel = msgspec.structs.replace(MLMODEL, requirements=requirements or MLMODEL.requirements)
    repository = Repository(
        config=config(**sharing), records={}, intents={}, components=frozenset(), environments={one.id: one}
    )
    taken = find_environment(repository, model, mlmodel, server)
    return None if taken is None else taken.id


def test_a_subset_of_the_lock_joins() -> None:
    one = recorded(HAS, group="everyone")
    assert found(one) == one.id
    assert found(one, "mlflow==3.17.2", "numpy<3", "scikit-learn") == one.id
    assert found(one, "mlflow==3.17.2", 'lightgbm==4.6.0; sys_platform == "win32"', "scikit-learn") == one.id


@pytest.mark.parametrize(
    "lines",
    [
        ("mlflow==3.17.2", "numpy==2.4.5"),
        ("mlflow==3.17.2", "numpy==2.4.6", "lightgbm==4.6.0"),
        ("mlflow==3.17.2", "numpy>=2.5"),
        ("mlflow[extras]==3.17.2", "numpy"),
        ("mlflow==3.17.2", "pandas>=3"),
    ],
    ids=["other pin", "one more package", "a range", "an extra that nobody asked for", "a bound of the server"],
)
def test_anything_else_does_not(lines: tuple[str, ...]) -> None:
    assert found(recorded(HAS, group="everyone"), *lines) is None


def test_an_extra_joins_where_the_lock_was_made_with_it() -> None:
    one = recorded(HAS, group="everyone", requirements=("mlflow[extras]==3.17.2",))
    assert found(one, "mlflow[extras]==3.17.2", "numpy") == one.id


def test_another_python_or_server_does_not() -> None:
    assert found(recorded(HAS, group="everyone", python="3.12")) is None
    assert found(recorded(HAS, group="everyone", server="mlflow")) is None
    mlflow = recorded(HAS, group="everyone", server="mlflow")
    assert found(mlflow, server="mlflow") == mlflow.id


def test_another_trust_group_does_not() -> None:
    groups = {"fraud": ["fraud-*"], "rest": ["wine"]}
    one = recorded(HAS, group="fraud")
    assert found(one, model="fraud-x", groups=groups) == one.id
    assert found(one, model="wine", groups=groups) is None
    assert found(recorded(HAS), model="wine", groups=groups) is None


@pytest.mark.attack
def test_a_package_outside_of_the_allow_list_shares_with_nobody() -> None:
    extra = HAS | {"left-pad": "1.0"}
    lines = ("mlflow==3.17.2", "left-pad==1.0")
    assert found(recorded(extra, group="everyone"), *lines) is None
    own = recorded(extra, model="wine")
    assert found(own, *lines) == own.id
    assert found(own, *lines, model="mallory") is None
    need = describe_need(config(), "wine", msgspec.structs.replace(MLMODEL, requirements=lines), "mlserver")
    assert (need.group, need.alone) == ("", "images.sharing.packages does not have left-pad")


def test_an_index_outside_of_the_allow_list_shares_with_nobody() -> None:
    line = "--extra-index-url https://packages.test/simple"
    one = recorded(HAS, group="everyone", indexes=(line,))
    assert found(one, line, *(MLMODEL.requirements or ())) is None
    assert found(one, line, *(MLMODEL.requirements or ()), indexes=["https://packages.test/simple"]) == one.id
    assert found(recorded(HAS, group="everyone"), line, *(MLMODEL.requirements or ())) is None


def test_a_model_that_the_packages_do_not_load_does_not_join() -> None:
    without_skops = {name: version for name, version in HAS.items() if name != "skops"}
    assert found(recorded(without_skops, group="everyone")) is None


def test_relaxed_pins_are_a_choice() -> None:
    one = recorded(HAS, group="everyone")
    lines = ("mlflow==3.17.2", "numpy==2.4.2", "scikit-learn==1.9.1")
    assert found(one, *lines) is None
    assert found(one, *lines, relax=["NumPy"]) == one.id
    assert found(one, "mlflow==3.17.2", "numpy==1.26.4", relax=["numpy"]) is None


def test_an_image_is_preferred_to_none() -> None:
    waits = recorded(HAS, group="everyone")
    built = recorded(HAS | {"lightgbm": "4.6.0"}, group="everyone", image="r.test/x@sha256:" + "0" * 64)
    repository = Repository(
        config=config(),
        records={},
        intents={},
        components=frozenset(),
        environments={one.id: one for one in (waits, built)},
    )
    taken = find_environment(repository, "wine", MLMODEL, "mlserver")
    assert taken is not None
    assert taken.id == built.id


@pytest.mark.parametrize(
    ("mlmodel", "words"),
    [
        (msgspec.structs.replace(MLMODEL, python_version=""), "Python"),
        (msgspec.structs.replace(MLMODEL, python_version="3.13.1"), "3.13"),
        (msgspec.structs.replace(MLMODEL, requirements=None), "packages"),
    ],
)
def test_what_no_environment_can_be_made_for(mlmodel: Mlmodel, words: str) -> None:
    with pytest.raises(InputError, match=words):
        describe_need(config(), "wine", mlmodel, "mlserver")


def test_the_identity_is_everything_but_the_image_and_what_was_asked_for() -> None:
    one = recorded(HAS, group="everyone").environment
    assert one.id == msgspec.structs.replace(one, image="r.test/x@sha256:" + "0" * 64, requirements=("numpy",)).id
    others = [
        msgspec.structs.replace(one, **{field: value})
        for field, value in {
            "python": "3.12",
            "server": "mlflow",
            "base": "debian:13",
            "platforms": ("linux/arm64",),
            "lock": "1" * 64,
            "indexes": ("b",),
            "group": "x",
            "model": "y",
        }.items()
    ]
    assert len({one.id, *(other.id for other in others)}) == len(others) + 1


@pytest.mark.parametrize(
    "text",
    [
        "",
        "numpy==2.4.6\n",
        f"--index-url https://evil.test\n{lock_of(HAS)}",
        f"{lock_of(HAS)}-e .\n",
        f"numpy @ https://evil.test/numpy.whl \\\n    {HASH}\n",
        f"numpy==1.0 \\\n    {HASH}\nnumpy==2.0 \\\n    {HASH}\n",
        f"numpy==1.0 \\\n    {HASH} --no-deps\n",
    ],
)
def test_a_lock_has_nothing_but_pins_with_hashes(text: str) -> None:
    assert parse_lock(text) is None
