"""`make demo` shows the main workflow with a local MLflow store: train, register, scaffold, render, review, serve.

First one model, then a fleet of a dozen kinds that share serving environments. It creates everything in one new
directory: the MLflow store (`mlflow.db`, `artifacts/`), the GitOps repository, and a page with all that it did.
"""

from __future__ import annotations

import argparse
import codecs
import contextlib
import io
import json
import logging
import os
import shlex
import subprocess
import sys
import tempfile
import warnings
from pathlib import Path

import page

BUCKET = "s3://mlflow-demo/"
MODEL = "wine-quality"
CHECKOUT = Path(__file__).absolute().parents[1]
SERVERS = CHECKOUT / ".venv-mlserver"
"""`make demo` installs this environment. Without --venv, m2g would build one from the model's requirements."""
UV = CHECKOUT / ".tools/uv-venv/bin/uv"
SHARED = "credit-score"
"""The model of the fleet that is served from the environment that it shares."""
SHARING = """\
  sharing:
    groups: {everyone: ["*"]}
    packages: [numpy, pandas, scikit-learn, skops, cloudpickle, lightgbm, xgboost, xgboost-cpu]
"""
CHAPTERS: list[page.Chapter] = []


def main() -> int:
    """Run all steps. Return the exit code of the first command that fails, or 0."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("folder", type=Path, nargs="?", default=Path("demo-repository"))
    arguments.add_argument("--pass-path", default="", help="What the served model may read beside its environment.")
    given = arguments.parse_args()
    folder: Path = given.folder.absolute()
    if folder.exists() and any(folder.iterdir()):
        _say(f"{folder} is not empty; remove it or name another directory: make demo DEMO=/path/to/directory")
        return 2
    folder.mkdir(parents=True, exist_ok=True)
    os.environ |= {"MLFLOW_TRACKING_URI": f"sqlite:///{folder}/mlflow.db", "MLFLOW_DISABLE_TELEMETRY": "true"}
    os.environ.setdefault("M2G_UV", str(UV))
    repository = folder / "models-gitops"
    show_model(folder, repository)
    show_fleet(folder, repository, ("--pass-path", given.pass_path) if given.pass_path else ())
    next_steps(folder, repository, write_page(folder, repository))
    return 0


def show_model(folder: Path, repository: Path) -> None:
    """One model: train, scaffold, render, validate, move the alias, review, serve."""
    _chapter("1. A data scientist trains a model and registers two versions")
    first, second = train(folder)
    _chapter("2. A platform engineer looks what can be served, and scaffolds the GitOps repository")
    shell(folder, "m2g", "assess")
    # The demo's artifacts are in a local directory. A cluster would read them from a bucket.
    answers = (
        f"storage_bucket={BUCKET}",
        f"artifact_root={folder}/artifacts",
        "image_registry=registry.example.com/models",
    )
    shell(folder, "m2g", "init", repository.name, "--defaults", *(part for a in answers for part in ("--data", a)))
    shell(repository, "git", "init", "--quiet", "--initial-branch", "main")
    commit(repository, "Scaffold")
    _chapter("3. m2g renders the versions that the aliases point to, and checks the result")
    shell(repository, "m2g", "render")
    shell(repository, "m2g", "validate")
    commit(repository, f"{MODEL}: version {first} to prod")
    _chapter(f"4. The data scientist moves the alias champion to the better version {second}")
    move_alias("champion", second)
    shell(repository, "m2g", "render")
    shell(repository, "m2g", "validate")
    _chapter("5. The reviewer of the pull request sees what changes")
    shell(repository, "m2g", "diff", "--against", "HEAD")
    commit(repository, f"{MODEL}: version {second} to prod")
    serve(repository)


def show_fleet(folder: Path, repository: Path, smoke: tuple[str, ...]) -> None:
    """A dozen kinds of models of other teams: assess, plan environments, render, validate, serve one, review."""
    _chapter("7. Other teams log a dozen kinds of models with the defaults of today's MLflow")
    script = [
        str(Path(__file__).with_name("fleet.py")),
        "--artifacts",
        str(folder / "artifacts"),
        "--alias",
        "champion",
    ]
    _run(folder, str(SERVERS / "bin/python"), *script)
    shell(repository, "m2g", "assess")
    _chapter("8. Few environments for all: Python, locked packages and a server in an image that models share")
    settings = repository / "m2g.yaml"
    lines = settings.read_text().splitlines(keepends=True)
    place = next(number for number, line in enumerate(lines) if line.startswith("  # sharing:"))
    settings.write_text("".join([*lines[:place], SHARING, *lines[place + 1 :]]))
    _say(f"m2g.yaml, below images: (who may share, and which packages)\n{SHARING.rstrip()}")
    shell(repository, "m2g", "environments", "plan", "--write")
    shell(repository, "m2g", "environments")
    _chapter("9. What the stock runtime loads is rendered; the others wait for the images, which CI builds")
    shell(repository, "m2g", "render")
    shell(repository, "m2g", "validate")
    _chapter("10. A model that waits is served already, from the environment that it shares")
    shell(repository, "m2g", "smoke", SHARED, "--env", "prod", "--requests", "0", "--rest-only", *smoke)
    _chapter("11. The reviewer of the pull request sees what is new")
    shell(repository, "m2g", "diff", "--against", "HEAD", "--model", "energy-demand")
    commit(repository, "A dozen models and the environments that they share")


def write_page(folder: Path, repository: Path) -> Path:
    """Write the page with everything that was done, and the assessment of the registry."""
    assessed = subprocess.run(
        ("m2g", "assess", "--format", "html"), cwd=repository, capture_output=True, text=True, check=True
    )
    file = folder / "demo.html"
    file.write_text(page.render(CHAPTERS, assessed.stdout), encoding="utf-8")
    return file


NEXT = """\
Open the page with everything that was done:
  {page}

Look around, with the tools of this checkout:
  export PATH={tools}:"$PATH"
  export MLFLOW_TRACKING_URI={store}
  cd {repository} && git log --stat
  kustomize build models/wine-quality/overlays/prod
  mlflow ui

Serve it with Python 3.10 and the packages of KServe's own MLServer, as the cluster does:
  m2g smoke wine-quality --env prod     (installs the packages once; needs python3.10 on this machine)

With your own MLflow server:
  m2g init my-models                    (asks a few questions)
  export MLFLOW_TRACKING_URI=https://mlflow.example.com
  m2g render && m2g validate
"""


def next_steps(folder: Path, repository: Path, file: Path) -> None:
    """Print commands that can be pasted."""
    _chapter("Next steps")
    places = {
        "tools": f"{CHECKOUT}/.venv/bin:{CHECKOUT}/.tools/bin",
        "store": f"sqlite:///{folder}/mlflow.db",
        "repository": str(repository),
        "page": str(file),
    }
    _say(NEXT.format_map({name: shlex.quote(text) for name, text in places.items()}))


def train(folder: Path) -> tuple[str, str]:
    """Train two ElasticNet models, with default and with tuned parameters. Return the two registered versions."""
    warnings.filterwarnings("ignore")
    logging.disable(logging.WARNING)
    import mlflow
    import sklearn.datasets
    from sklearn.linear_model import ElasticNet
    from sklearn.model_selection import RandomizedSearchCV, train_test_split

    mlflow.set_experiment(experiment_id=mlflow.create_experiment(MODEL, artifact_location=str(folder / "artifacts")))
    data, target = sklearn.datasets.load_wine(return_X_y=True, as_frame=True)
    parts = train_test_split(data, target, test_size=0.25, random_state=0)
    with mlflow.start_run(run_name="default-params"):
        first = register(ElasticNet(random_state=0).fit(parts[0], parts[2]), parts)
    choices = {"alpha": [10**-n for n in range(5)], "l1_ratio": [n / 10 for n in range(11)]}
    search = RandomizedSearchCV(
        ElasticNet(random_state=0), choices, scoring="neg_mean_absolute_error", cv=5, n_iter=20, random_state=0
    ).fit(parts[0], parts[2])
    with mlflow.start_run(run_name="hyperparameter-tuning"):
        mlflow.log_params(search.best_params_)
        second = register(search.best_estimator_, parts)
    move_alias("champion", first)
    move_alias("challenger", second)
    return first, second


def register(estimator, parts) -> str:  # type: ignore[no-untyped-def] # scikit-learn and pandas are untyped here
    """Log metrics and the model to the active run, and register the model. Return its version."""
    import mlflow
    from sklearn import metrics

    train_x, test_x, _, test_y = parts
    predicted = estimator.predict(test_x)
    mlflow.log_metrics(
        {
            "rmse": metrics.root_mean_squared_error(test_y, predicted),
            "mae": metrics.mean_absolute_error(test_y, predicted),
            "r2": metrics.r2_score(test_y, predicted),
        }
    )
    line = {"columns": list(train_x.columns), "weights": list(estimator.coef_), "start": float(estimator.intercept_)}
    # MLflow prints advice about type hints that warning filters do not suppress. Exceptions are still shown.
    with tempfile.TemporaryDirectory() as place, contextlib.redirect_stderr(io.StringIO()):
        (Path(place) / "line.json").write_text(json.dumps(line))
        # A pickle (mlflow.sklearn.log_model) needs the same versions of Python and scikit-learn, and KServe has 3.10
        # and 1.5, so m2g would warn. Code and numbers load with every version.
        info = mlflow.pyfunc.log_model(
            name="model",
            python_model=str(Path(__file__).with_name("line.py")),
            artifacts={"line": f"{place}/line.json"},
            registered_model_name=MODEL,
            input_example=train_x.head(2),
            signature=mlflow.models.infer_signature(train_x, predicted),
            pip_requirements=["mlflow", "pandas"],
        )
    version = str(info.registered_model_version)
    _say(f"registered {MODEL} version {version}: r2 {metrics.r2_score(test_y, predicted):.3f}")
    return version


def move_alias(alias: str, version: str) -> None:
    """Move an alias, as MLflow's user interface does."""
    import mlflow

    mlflow.MlflowClient().set_registered_model_alias(MODEL, alias, version)
    _say(f"alias {alias} → version {version}")


def serve(repository: Path) -> None:
    """Serve the version in Git with the same server as in a cluster."""
    _chapter("6. A real MLServer serves the version on this machine and answers like MLflow")
    shell(repository, "m2g", "smoke", MODEL, "--env", "prod", "--venv", str(SERVERS))


def commit(repository: Path, message: str) -> None:
    """Commit everything with an author of its own, so that it needs no Git configuration."""
    _run(repository, "git", "add", "--all")
    person = ("-c", "user.name=m2g demo", "-c", "user.email=demo@example.com")
    _run(repository, "git", *person, "commit", "--quiet", "--message", message)
    _say(f"$ git commit -m {shlex.quote(message)}")
    CHAPTERS[-1].steps.append(page.Step(f"$ git commit -m {shlex.quote(message)}"))


def shell(folder: Path, *arguments: str) -> None:
    """Print a command and run it. The demo ends if it fails."""
    _say(f"$ {shlex.join(arguments)}")
    step = page.Step(f"$ {shlex.join(arguments)}")
    CHAPTERS[-1].steps.append(step)
    step.output = _run(folder, *arguments)


def _run(folder: Path, *arguments: str) -> str:
    """Run a program, show what it prints at once, and return it. The demo ends if it fails."""
    printed = []
    decoder = codecs.getincrementaldecoder("utf-8")("replace")
    with subprocess.Popen(arguments, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as running:
        assert running.stdout is not None
        while data := os.read(running.stdout.fileno(), 1 << 16):
            printed.append(decoder.decode(data))
            sys.stdout.write(printed[-1])
            sys.stdout.flush()
    if running.returncode:
        sys.exit(running.returncode)
    return "".join(printed)


def _chapter(title: str) -> None:
    _say(f"\n── {title} ──")
    CHAPTERS.append(page.Chapter(title))


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
