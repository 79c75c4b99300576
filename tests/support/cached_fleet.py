"""A fleet that is rendered and validated with and without a cache: three models, a shared component, a policy."""

from __future__ import annotations

from pathlib import Path

import msgspec

from m2g.changes.update import RenderOptions
from m2g.commands.validate import ValidateOptions, validate
from m2g.core.errors import M2gError
from m2g.core.finding import Report
from m2g.core.shard import Shard
from m2g.repository.load import InvalidRepository
from m2g.repository.state import Scope
from tests.support.fleet import FakeRegistry, release, repository, run, write_record
from tests.support.handmade_fleet import COMPONENT, write

SHARED = f"""{COMPONENT}patches:
- target: {{kind: InferenceService}}
  patch: '[{{"op": "add", "path": "/metadata/annotations/team", "value": "a"}}]'
"""
POLICY = """policies:
- {id: small, expression: object.spec.predictor.maxReplicas < 3, message: too many}
overrides:
- {policy: small, model: wine, environment: prod, reason: launch, expires: "2999-01-01"}
"""
MODELS = ("wine", "beer", "gin")


def cached_fleet(folder: Path) -> Path:
    """Three models, a component outside of their folders, a policy with an override."""
    root = repository(folder / "repository")
    write(
        root,
        {
            "policies/a.yaml": POLICY,
            "shared/kustomization.yaml": SHARED,
            "models/beer/custom/prod/kustomization.yaml": f"{COMPONENT}components: [../../../../shared]\n",
        },
    )
    for name in MODELS:
        for environment in ("dev", "prod"):
            write_record(root, name, release(name, environment))
    run(root, FakeRegistry(), RenderOptions(locked=True))
    return root


def report(root: Path, cache: Path | None, shard: Shard | None = None) -> Report | str:
    try:
        return validate(root, ValidateOptions(cache=cache, scope=Scope(shard=shard)))
    except (M2gError, FileNotFoundError) as error:
        return str(error)


def rendered(root: Path, cache: Path | None, *, check: bool = False) -> object:
    try:
        return msgspec.to_builtins(run(root, FakeRegistry(), RenderOptions(locked=True, check=check, cache=cache)))
    except InvalidRepository as wrong:
        return wrong.findings
    except (M2gError, FileNotFoundError) as error:
        return str(error)
