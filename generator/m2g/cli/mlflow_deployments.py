"""The target `m2g` of `mlflow deployments`: a plugin of MLflow.

MLflow asks a plugin for one class and two functions with these names.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
from mlflow.deployments import BaseDeploymentClient
from mlflow.exceptions import MlflowException

from m2g.cli.repository import open_repository
from m2g.core.errors import M2gError
from m2g.delivery.values import Proposal

_HELP = """\
The target `m2g` proposes deployments as pull requests of a GitOps repository.

  -t m2g                                    the clone in the current folder
  -t m2g:/path/to/clone                     another one
  -t m2g:https://git.example.com/a/b        no clone is needed

A deployment is ENVIRONMENT/MODEL, such as prod/wine. The environment must follow nothing in m2g.yaml; where it follows
an alias, move the alias. M2G_TOKEN is the token for the forge. There are no configuration options.

  mlflow deployments create -t m2g --name prod/wine -m models:/wine/3
  mlflow deployments update -t m2g --name prod/wine -m models:/wine/4
  mlflow deployments delete -t m2g --name prod/wine
  mlflow deployments list -t m2g
  mlflow deployments get -t m2g --name prod/wine
"""


class DeploymentError(MlflowException, click.ClickException):  # type: ignore[misc]  # both have a message
    """What m2g refuses: in a program an error of MLflow, on the command line a message without a traceback."""


class M2gDeployments(BaseDeploymentClient):
    """MLflow's client for the target `m2g`."""

    def create_deployment(
        self, name: str, model_uri: str, flavor: str | None = None, config: Any = None, endpoint: Any = None
    ) -> dict[str, Any]:
        """Propose a version for an environment that does not have the model yet."""
        return self._propose(name, model_uri, new=True)

    def update_deployment(
        self,
        name: str,
        model_uri: str | None = None,
        flavor: str | None = None,
        config: Any = None,
        endpoint: Any = None,
    ) -> dict[str, Any]:
        """Propose another version."""
        return self._propose(name, model_uri or "", new=False)

    def delete_deployment(self, name: str, config: Any = None, endpoint: Any = None) -> None:
        """Propose to take the model out of the environment."""
        self._propose(name, None, new=False)

    def list_deployments(self, endpoint: Any = None) -> list[dict[str, Any]]:
        """What the repository has."""
        from m2g.commands import deployments

        with self._open() as root:
            return [
                {"name": f"{environment}/{slug}", "model": record.model, "version": record.version}
                for (slug, environment), record in deployments.list_deployments(root).items()
            ]

    def get_deployment(self, name: str, endpoint: Any = None) -> dict[str, Any]:
        """One of them."""
        from m2g.commands import deployments

        with self._open() as root:
            record = deployments.get_deployment(root, deployments.parse_name(name))
            return {
                "name": name,
                "model": record.model,
                "version": record.version,
                "follows": record.follows,
                "source": record.source,
            }

    def predict(self, deployment_name: str | None = None, inputs: Any = None, endpoint: Any = None) -> Any:
        """Not here: m2g knows no address of a cluster."""
        slug = (deployment_name or "MODEL").rpartition("/")[2]
        raise DeploymentError(f"m2g does not call clusters; `m2g request {slug}` prints a request for it")

    def _propose(self, name: str, model_uri: str | None, *, new: bool) -> dict[str, Any]:
        from m2g.commands import deployments, validate
        from m2g.report.review_markdown import render_markdown

        with self._open() as root:
            proposal = deployments.propose(
                root,
                deployments.Change(
                    deployment=deployments.parse_name(name),
                    wanted=deployments.parse_uri(model_uri) if model_uri is not None else None,
                    new=new,
                ),
                validate=lambda place, scope: validate.validate(place, validate.ValidateOptions(scope=scope)),
                describe=render_markdown,
            )
        click.echo(_describe(proposal))
        return {"name": name, "flavor": "proposed", "url": proposal.url, "number": proposal.number}

    @contextlib.contextmanager
    def _open(self) -> Iterator[Path]:
        """The repository of the target. What m2g refuses becomes an error of MLflow."""
        place = str(self.target_uri).partition(":")[2]
        address = place if "://" in place or place.endswith(".git") else ""
        try:
            with open_repository(Path("" if address else place).absolute(), address, "", "") as find_root:
                yield find_root()
        except M2gError as error:
            raise DeploymentError(f"{error.message}\n  → {error.hint}" if error.hint else error.message) from error


def _describe(proposal: Proposal) -> str:
    what = f"#{proposal.number} {proposal.url}" if proposal.number else proposal.url or f"the branch {proposal.branch}"
    return f"m2g: {proposal.title}\n  → review and merge {what}; nothing changes before"


def run_local(target: str, name: str, model_uri: str, flavor: str | None = None, config: Any = None) -> None:
    """Not here: `m2g smoke` serves a version on this machine."""
    slug = name.rpartition("/")[2]
    raise DeploymentError(f"m2g serves a version on this machine with another command: m2g smoke {slug}")


def target_help() -> str:
    """What `mlflow deployments help -t m2g` prints."""
    return _HELP
