"""`make demo` shows the main workflow with a local MLflow store: train, register, scaffold, render, review, serve.

It creates everything in one new directory: the MLflow store (`mlflow.db`, `artifacts/`) and the GitOps repository.
"""

from __future__ import annotations

import argparse
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

BUCKET = "s3://mlflow-demo/"
MODEL = "wine-quality"
CHECKOUT = Path(__file__).absolute().parents[1]
SERVERS = CHECKOUT / ".venv-mlserver"
"""`make demo` installs this environment. Without --venv, m2g would build one from the model's requirements."""


def main() -> int:
    """Run all steps. Return the exit code of the first command that fails, or 0."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("folder", type=Path, nargs="?", default=Path("demo-repository"))
    folder: Path = arguments.parse_args().folder.absolute()
    if folder.exists() and any(folder.iterdir()):
        _say(f"{folder} is not empty; remove it or name another directory: make demo DEMO=/path/to/directory")
        return 2
    folder.mkdir(parents=True, exist_ok=True)
    os.environ |= {"MLFLOW_TRACKING_URI": f"sqlite:///{folder}/mlflow.db", "MLFLOW_DISABLE_TELEMETRY": "true"}
    repository = folder / "models-gitops"
    _chapter("1. A data scientist trains a model and registers two versions")
    first, second = train(folder)
    _chapter("2. A platform engineer looks what can be served, and scaffolds the GitOps repository")
    shell(folder, "m2g", "assess")
    # The demo's artifacts are in a local directory. A cluster would read them from a bucket.
    answers = (f"storage_bucket={BUCKET}", f"artifact_root={folder}/artifacts")
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
    next_steps(folder, repository)
    return 0


NEXT = """\
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


def next_steps(folder: Path, repository: Path) -> None:
    """Print commands that can be pasted."""
    _chapter("Next steps")
    places = {
        "tools": f"{CHECKOUT}/.venv/bin:{CHECKOUT}/.tools/bin",
        "store": f"sqlite:///{folder}/mlflow.db",
        "repository": str(repository),
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


def shell(folder: Path, *arguments: str) -> None:
    """Print a command and run it. The demo ends if it fails."""
    _say(f"$ {shlex.join(arguments)}")
    _run(folder, *arguments)


def _run(folder: Path, *arguments: str) -> None:
    done = subprocess.run(arguments, cwd=folder, check=False)
    if done.returncode:
        sys.exit(done.returncode)


def _chapter(title: str) -> None:
    _say(f"\n── {title} ──")


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
