"""A repository whose model `wine` has a canary, in each form that a cluster may have."""

from __future__ import annotations

from pathlib import Path

import msgspec

from m2g import kustomize
from m2g.changes.canary import CanaryWish
from m2g.changes.update import RenderOptions
from m2g.commands.canary import Action, CanaryOptions, canary
from m2g.commands.validate import ValidateOptions, validate
from m2g.core.finding import Finding
from m2g.core.manifest import Manifest, get_at
from m2g.core.model import Release
from m2g.core.results import CanaryResult
from m2g.repository import records
from tests.support import git_repository
from tests.support.fleet import FILES, MLMODEL, FakeRegistry, model, repository, run, tree, write_record

_GATEWAY = "gateway: {host: '{model}.{namespace}.models.test'}"
KSERVE = {
    "spec": f"{{version: '0.21', {_GATEWAY}}}",
    "route": f"{{version: '0.19', {_GATEWAY}}}",
    "graph": "{version: '0.21', mode: Knative}",
}
"""Form → the `kserve` of m2g.yaml in which `auto` chooses it."""
_BOUNDS = {
    "route": ", bounds: {kinds: [HTTPRoute.gateway.networking.k8s.io]}",
    "graph": ", bounds: {kinds: [InferenceGraph.serving.kserve.io]}",
}
"""What Argo CD and Flux must be allowed to apply."""
_REFERENCE = b"""\
flavors:
  python_function: {loader_module: mlflow.transformers, python_version: 3.10.12}
  transformers:
    source_model_name: acme/tiny
    source_model_revision: 0123456789abcdef0123456789abcdef01234567
    task: text-classification
    transformers_version: 4.41.2
mlflow_version: 2.19.0
"""
_SETTINGS = {
    "graph": "{minReplicas: 1, maxReplicas: 4, scaleMetric: rps, scaleTarget: 50}",
}


def write_config(form: str) -> str:
    """m2g.yaml of a cluster where canaries have this form."""
    settings = _SETTINGS.get(form, "{minReplicas: 4, maxReplicas: 8}")
    return f"""\
version: 1
registry: {{uri: "http://mlflow.test"}}
kserve: {KSERVE[form]}
environments:
  prod: {{namespace: models-prod, follow: {{alias: champion}}, settings: {settings}}}
sync: {{argocd: {{}}, flux: {{}}{_BOUNDS.get(form, "")}}}
"""


class Fleet:
    """`wine` in prod at version 1, committed after each step. Aliases move, and people call `m2g canary`."""

    def __init__(self, root: Path, form: str, config: str = "") -> None:
        self.root = repository(root, config or write_config(form))
        self.registry = FakeRegistry([model(champion="1")], last=9)
        git_repository.start(root)
        self.render()

    def point(self, champion: str, challenger: str = "") -> None:
        """Move the aliases in the registry."""
        aliases = {"champion": champion, "challenger": challenger} if challenger else {"champion": champion}
        self.registry.known[0] = msgspec.structs.replace(model(), aliases=aliases)

    def render(self) -> list[str]:
        """Render and commit; the rules of the findings."""
        outcome = run(self.root, self.registry)
        git_repository.commit(self.root, "render")
        return [finding.rule for finding in outcome.findings]

    def do(self, action: Action, **wish: object) -> CanaryResult:
        """`m2g canary wine --env prod ACTION`, committed."""
        options = CanaryOptions(
            model="wine",
            environment="prod",
            action=action,
            wish=msgspec.structs.replace(CanaryWish(), **wish),
        )
        result = canary(self.root, options, open_registry=lambda _: self.registry)
        git_repository.commit(self.root, action)
        return result

    def write(self, text: str) -> None:
        """What people write into model.yaml."""
        file = self.root / "models/wine/model.yaml"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)

    def refer_to_the_hub(self, version: str) -> None:
        """Let this version be saved as a reference to the Hugging Face hub, which another server serves."""
        self.registry.files_of["wine", version] = {"MLmodel": _REFERENCE}

    def rename_input(self, version: str, name: str) -> None:
        """Let this version have an input of another name."""
        self.registry.files_of["wine", version] = {**FILES, "MLmodel": MLMODEL.replace(b"alcohol", name.encode())}

    @property
    def knative(self) -> bool:
        """Whether the cluster uses Knative."""
        return "mode: Knative" in (self.root / "m2g.yaml").read_text()

    def add_model(self, name: str) -> None:
        """Another model of the registry, in prod as well."""
        self.registry.known.append(model(name, champion="1"))
        self.render()

    def locked(self) -> list[Finding]:
        """What `m2g render --locked` finds."""
        return list(run(self.root, FakeRegistry(), RenderOptions(locked=True)).findings)

    def check_only(self) -> list[Finding]:
        """What `m2g validate` finds."""
        return list(validate(self.root, ValidateOptions()).findings)

    def forge(self, release: Release) -> None:
        """A record as somebody wrote it, with a right stamp."""
        write_record(self.root, "wine", release)

    def verify(self) -> None:
        """`m2g render --verify`."""
        run(self.root, self.registry, RenderOptions(verify=True))

    @property
    def intent(self) -> str:
        """model.yaml."""
        file = self.root / "models/wine/model.yaml"
        return file.read_text() if file.exists() else ""

    @property
    def versions(self) -> tuple[str, str]:
        """The stable version and the candidate in the record."""
        record = records.decode((self.root / "models/wine/releases/prod.json").read_bytes())
        variant = record.variants.get("canary")
        return record.version, "" if variant is None else variant.version

    def build(self) -> list[Manifest]:
        """What the overlay builds to."""
        (built,) = kustomize.build_overlays(self.root, ["models/wine/overlays/prod"]).values()
        assert built.error == ""
        return list(built.objects)

    def find(self, kind: str, name: str = "") -> Manifest:
        """The object of this kind, and this name if there are several."""
        (found,) = (
            item for item in self.build() if item["kind"] == kind and name in ("", get_at(item, "metadata", "name"))
        )
        return found

    def shares(self) -> dict[str, int]:
        """Who gets which share of the traffic, by what the cluster would do."""
        kinds = {str(item["kind"]): item for item in self.build()}
        if "HTTPRoute" in kinds:
            backends = _list(kinds["HTTPRoute"], "spec", "rules", 0, "backendRefs")
            return {str(one["name"]).removesuffix("-predictor"): int(str(one["weight"])) for one in backends}
        if "InferenceGraph" in kinds:
            steps = _list(kinds["InferenceGraph"], "spec", "nodes", "root", "steps")
            return {str(one["serviceName"]): int(str(one["weight"])) for one in steps}
        canaries = _list(self.find("InferenceService"), "spec", "canary")
        others = {str(get_at(one, "predictor", "name")): int(str(one["trafficPercent"])) for one in canaries}
        return {"wine": 100 - sum(others.values()), **others}

    def check(self) -> list[str]:
        """The rules of what `m2g validate` finds, and whether a fresh clone renders to the same bytes."""
        copy = self.root.parent / f"clone-{len(list(self.root.parent.iterdir()))}"
        git_repository.git(self.root, "clone", "-q", str(self.root), str(copy))
        outcome = run(copy, FakeRegistry(), RenderOptions(locked=True, check=True))
        assert outcome.files == ()
        assert _files(copy) == _files(self.root)
        return [finding.rule for finding in validate(self.root, ValidateOptions()).findings]


def _files(root: Path) -> dict[str, bytes]:
    return {path: content for path, content in tree(root).items() if not path.startswith(".git/")}


def _list(item: Manifest, *place: str | int) -> list[Manifest]:
    found = get_at(item, *place)
    return [one for one in found if isinstance(one, dict)] if isinstance(found, list) else []
