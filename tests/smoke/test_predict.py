"""`m2g predict`: a file of rows, predicted as MLflow's own command does it."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest

from tests.support.machine import seconds
from tests.support.smoke_rows import ROWS, to_csv
from tests.support.smoke_runs import SERVERS, models, started_by

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = models(tmp_path_factory.mktemp("models"), "wine")
    (folder / "rows.csv").write_text(to_csv())
    (folder / "rows.json").write_text(json.dumps({"dataframe_split": ROWS}))
    return folder


def predict(place: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    scratch = place / "tmp"
    scratch.mkdir(exist_ok=True)
    return subprocess.run(
        ["m2g", "predict", *arguments, "--venv", str(SERVERS)],
        capture_output=True,
        text=True,
        check=False,
        timeout=seconds(170),
        env={**os.environ, "TMPDIR": str(scratch)},
    )


@pytest.mark.parametrize("given", ["csv", "json"])
def test_the_predictions_are_those_of_mlflow(saved: Path, tmp_path: Path, given: str) -> None:
    rows, written = saved / f"rows.{given}", tmp_path / "predictions.json"
    done = predict(tmp_path, "wine", str(rows), str(written), "--model-dir", str(saved / "wine"))
    assert done.returncode == 0, done.stderr
    assert f"wrote {written} with wine (Python 3." in done.stdout
    assert "the model's code had no credentials" in done.stdout
    script = (
        "import json, sys, pandas, mlflow.pyfunc; rows = json.load(open(sys.argv[2]))['dataframe_split']; "
        "print(json.dumps({'predictions': mlflow.pyfunc.load_model(sys.argv[1])"
        ".predict(pandas.DataFrame(rows['data'], columns=rows['columns'])).tolist()}))"
    )
    command = [str(SERVERS / "bin/python"), "-c", script, str(saved / "wine"), str(saved / "rows.json")]
    expected = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    assert json.loads(written.read_text()) == expected
    assert not started_by(tmp_path / "tmp")
    assert not list((tmp_path / "tmp").glob("m2g-*"))


def test_predictions_as_csv(saved: Path, tmp_path: Path) -> None:
    written = tmp_path / "predictions.csv"
    done = predict(tmp_path, "wine", str(saved / "rows.csv"), str(written), "--model-dir", str(saved / "wine"))
    assert done.returncode == 0, done.stderr
    header, *values = written.read_text().splitlines()
    assert header == "prediction"
    assert [float(value) for value in values]
    assert len(values) == 2


def test_rows_that_the_model_refuses_leave_the_output_as_it_was(saved: Path, tmp_path: Path) -> None:
    rows, written = tmp_path / "rows.csv", tmp_path / "predictions.json"
    rows.write_text("alcohol\n13.0\n")
    written.write_text("of yesterday")
    done = predict(tmp_path, "wine", str(rows), str(written), "--model-dir", str(saved / "wine"))
    assert done.returncode == 1
    assert "malic_acid" in done.stderr + done.stdout
    assert written.read_text() == "of yesterday"


@pytest.mark.parametrize(
    ("rows", "output", "said"),
    [
        ("gone.csv", "out.csv", "is not a file"),
        ("rows.parquet", "out.csv", "is neither .csv nor .json"),
        ("rows.csv", "out.txt", "is neither .csv nor .json"),
    ],
)
def test_files_that_cannot_be_used(saved: Path, tmp_path: Path, rows: str, output: str, said: str) -> None:
    done = predict(tmp_path, "wine", str(saved / rows), str(tmp_path / output), "--model-dir", str(saved / "wine"))
    assert done.returncode == 2
    assert said in done.stderr
    assert not (tmp_path / output).exists()
