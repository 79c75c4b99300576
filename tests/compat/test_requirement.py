"""Requirement lines and versions as people and tools write them, the odd and the hostile ones too."""

from __future__ import annotations

import pytest

from m2g.compat.reason import ModelOnRuntime
from m2g.compat.requirement import normalize_name, parse_minor, parse_requirement, parse_version
from m2g.compat.runtime import Runtime
from m2g.core.errors import InputError
from m2g.core.model import Mlmodel
from m2g.image.context import image_requirements


@pytest.mark.parametrize(
    ("line", "pin"),
    [
        ("numpy==2.4.6", "2.4.6"),
        ("NumPy [all] == 2.4.6 ; python_version < '3.13'", "2.4.6"),
        ("numpy (==2.4.6)", "2.4.6"),
        ("numpy===2.4.6", "2.4.6"),
        ("numpy>=2,==2.4.*", "2.4.*"),
        ("numpy>=2", ""),
        ("numpy", ""),
        ("numpy @ https://host.test/numpy-2.4.6.whl", ""),
    ],
)
def test_what_a_line_pins(line: str, pin: str) -> None:
    case = ModelOnRuntime(mlmodel=Mlmodel(sha256="0" * 64, flavors=(), requirements=(line,)), runtime=Runtime(name="r"))
    assert case.required == {"numpy": pin}


@pytest.mark.parametrize(
    "line",
    [
        "",
        "-e .",
        "-r other.txt",
        "./own-1.0-py3-none-any.whl",
        "/srv/own.whl",
        "git+ssh://git@github.com/acme/own.git",
        "file:///home/ada/own.whl",
        "numpy==2.4.6 $(touch x)",
        "numpy == nothing at all",
        "numpy\n==2",
        "numpy[",
        "numpy;" + "(" * 100_000,
    ],
)
def test_what_is_no_requirement(line: str) -> None:
    assert parse_requirement(line) is None
    case = ModelOnRuntime(mlmodel=Mlmodel(sha256="0" * 64, flavors=(), requirements=(line,)), runtime=Runtime(name="r"))
    assert case.required == {}
    if line:
        with pytest.raises(InputError, match="is not a released package"):
            image_requirements([line], "mlflow-image", "3.1.0")


@pytest.mark.parametrize(
    ("version", "numbers"),
    [
        ("1.5.2", (1, 5, 2)),
        ("1.5.2.post1", (1, 5, 2)),
        ("2.1.0+cu121", (2, 1, 0)),
        ("1.26rc1", (1, 26)),
        ("2.4.*", (2, 4)),
        ("3", (3,)),
        ("", ()),
        ("nightly", ()),
        ("0.23ubuntu1", ()),
        ("9" * 5000, ()),
        ("١.٢", ()),
    ],
)
def test_the_numbers_of_a_version(version: str, numbers: tuple[int, ...]) -> None:
    assert parse_version(version) == numbers
    assert parse_minor(version) == numbers[:2]


def test_one_package_has_one_name() -> None:
    assert {normalize_name(name) for name in ("Scikit_Learn", "scikit.learn", "scikit-learn", "scikit--learn")} == {
        "scikit-learn"
    }


@pytest.mark.parametrize(
    ("line", "noted"),
    [
        ("pandas==3.0.1", True),
        ("pandas[parquet]>=3", True),
        ("pandas~=3.0", True),
        ("pandas==3.*", True),
        ("pandas>=2", False),
        ("pandas==2.2.3", False),
        ("pandas<3", False),
        ("pandas-stubs==3.0.0", False),
    ],
)
def test_pandas_3_in_mlserver_is_noted(line: str, noted: bool) -> None:
    made = image_requirements([line], "mlserver-image", "3.1.0")
    assert any("pandas 3" in note for note in made.notes) == noted
    assert [one for one in made.lines if one.startswith("pandas")] == [
        line,
        *(["pandas<3"] if "-stubs" in line else []),
    ]
