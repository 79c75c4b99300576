"""Which packages a model gets that is served by the stock runtime: what it requires, as the runtime has them."""

from __future__ import annotations

from m2g.compat.runtime import Runtime
from m2g.core.model import Flavor, Mlmodel
from m2g.image.context import runtime_requirements

STOCK = Runtime(
    name="stock",
    python="3.10.12",
    packages={
        "mlserver": "1.7.1",
        "mlserver-mlflow": "1.7.1",
        "mlflow": "2.19.0",
        "xgboost": "2.1.2",
        "torch": "2.4.1+cu121",
        "scipy": "",
        "catboost": "bad version; rm -rf",
    },
    complete=True,
)


def _like(*requirements: str, runtime: Runtime = STOCK) -> tuple[tuple[str, ...], tuple[str, ...], tuple[str, ...]]:
    asked = Mlmodel(sha256="0", flavors=(Flavor(name="python_function"),), requirements=requirements)
    made = runtime_requirements(runtime, asked)
    return made.lines[3:], made.notes, made.constraints


def test_lines_are_what_the_model_requires_in_the_versions_of_the_runtime() -> None:
    lines, notes, constraints = _like(
        "mlflow==3.17.2",
        "xgboost-cpu==3.0",
        "torch==2.9",
        "scipy",
        "tabulate==0.9  # for print",
        "./own.whl",
        "git+https://ada:pw@example.com/x",
        "-r more.txt",
        "",
    )
    assert lines == ("xgboost==2.1.2", "torch==2.4.1", "scipy")
    assert notes == (
        "stock lacks tabulate, which the model requires: not installed here either",
        "stock has scipy in an unknown version: m2g installed the newest that fits",
    )
    assert "torch==2.4.1" in constraints
    assert constraints[-2:] == ("uvloop<0.22", "pandas<3")
    assert not [line for line in constraints if "catboost" in line]


def test_what_a_runtime_may_have_is_taken_as_the_model_requires() -> None:
    lines, notes, _ = _like("tabulate==0.9", runtime=Runtime(name="some", packages={"mlserver": ""}))
    assert lines == ("tabulate==0.9",)
    assert notes == ("it is not known whether some has tabulate: m2g installed what the model requires",)
