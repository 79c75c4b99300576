"""A scaffolded repository with a fleet, pushed to the forge."""

from __future__ import annotations

import itertools
import shutil
import sys
from pathlib import Path

import msgspec

from m2g.changes.update import RenderOptions
from tests.support.cluster.hostile import COMPONENT
from tests.support.fleet import FakeRegistry, model, run
from tests.support.gitea import Gitea
from tests.support.scaffolded import git, program, scaffold

_NUMBER = itertools.count(1)


class Scene:
    """One repository. `prefix` is its own, so that no two share a namespace of a cluster."""

    def __init__(self, forge: Gitea, folder: Path, *answers: str) -> None:
        self.prefix = f"t{next(_NUMBER)}"
        self.repository = forge.user(self.prefix).create("fleet")
        self.registry = FakeRegistry(
            [
                model("wine", challenger="2", champion="1"),
                model("fraud", challenger="3"),
                model("churn", challenger="1", champion="2"),
            ]
        )
        common = ["environments=dev,prod", "kserve_version=0.20", f"namespace_prefix={self.prefix}"]
        self.root = scaffold(folder / "repository", *common, f"repository_url={self.repository.url}", *answers)

    def namespace(self, environment: str) -> str:
        """The namespace of an environment."""
        return f"{self.prefix}-{environment}"

    def render(self, removals: int = 0) -> None:
        """`m2g render` with what the registry says now."""
        options = RenderOptions(allow_removals=removals) if removals else RenderOptions()
        run(self.root, self.registry, options)

    def move(self, name: str, **aliases: str) -> None:
        """Move aliases of a model to other versions; an empty version removes the alias."""
        old = self.registry.find_model(name)
        assert old is not None
        wanted = {key: value for key, value in {**old.aliases, **aliases}.items() if value}
        others = [one for one in self.registry.known if one.name != name]
        self.registry.known = [*others, msgspec.structs.replace(old, aliases=wanted)]

    def write(self, path: str, text: str) -> None:
        """Write a file as a person would."""
        file = self.root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)

    def pin(self, slug: str, environment: str, version: int) -> None:
        """Hold a version, as the how-to says."""
        text = f"environments:\n  {environment}:\n    version: {version}\n    reason: answers too slowly\n"
        self.write(f"models/{slug}/model.yaml", text)

    def add(self, slug: str, environment: str, **files: str) -> None:
        """Give a model a component that adds objects: `pod="…"` is the file pod.yaml. Includes it by a render."""
        folder = f"models/{slug}/custom/{environment}"
        for name, text in files.items():
            self.write(f"{folder}/{name}.yaml", text)
        listed = ", ".join(f"{name}.yaml" for name in files)
        self.write(f"{folder}/kustomization.yaml", COMPONENT.format(files=listed))
        self.render()

    def remove(self, path: str) -> None:
        """Delete a file or folder as a person would."""
        gone = self.root / path
        if gone.is_dir():
            shutil.rmtree(gone)
        else:
            gone.unlink()

    def push(self) -> str:
        """Merge what changed, whatever the checks would say; the new commit."""
        return self.repository.push(self.root)

    def force(self) -> str:
        """Merge a change that `m2g validate` refuses; the new commit."""
        done = program([sys.executable, "-P", "-m", "m2g", "validate"], self.root)
        assert done.returncode == 1, done.stdout + done.stderr
        return self.push()

    def revert(self) -> str:
        """Revert the last commit; the new commit."""
        git(self.root, "revert", "--no-edit", "HEAD")
        return self.push()
