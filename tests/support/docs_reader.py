"""A reader who does what a page says, in a folder of their own."""

from __future__ import annotations

import os
import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path

import msgspec
import ryaml

from m2g.repository import config
from tests.support.docs_pages import Block


class Reader:
    """Follows pages. `folder` is where the reader is, `variables` what they have exported."""

    def __init__(self, folder: Path, variables: Mapping[str, str]) -> None:
        self.folder = folder
        self.variables = {**os.environ, **variables}
        self._printed = ""
        self._place = ""

    def follow(self, block: Block) -> None:
        """Do what one block says; an assertion with the block's place where it does not hold."""
        if "no-test" in block.options:
            return
        match block.language:
            case "sh":
                self._run(block)
            case "text":
                self._compare(block)
            case "yaml":
                self._write_yaml(block)
            case "python" if "file" in block.options:
                (self.folder / block.options["file"]).write_text(block.text)
            case "python":
                self._python(block)
            case other:
                raise AssertionError(f"{block}: nobody knows what to do with {other!r}")

    def _run(self, block: Block) -> None:
        with tempfile.NamedTemporaryFile(prefix="m2g-") as kept:
            script = f"trap 'env -0 > {kept.name}; pwd >> {kept.name}' EXIT\n{block.text}"
            done = subprocess.run(
                ["bash", "-euo", "pipefail", "-c", script],
                cwd=self.folder,
                env=self.variables,
                capture_output=True,
                text=True,
                check=False,
            )
            *variables, folder = Path(kept.name).read_text().split("\0")
        self.folder, self.variables = Path(folder.strip()), dict(each.split("=", 1) for each in variables)
        self._printed, self._place = done.stdout + done.stderr, str(block)
        wanted = int(block.options.get("exit", "0"))
        assert done.returncode == wanted, f"{block} ended with {done.returncode}:\n{self._printed}"

    def _compare(self, block: Block) -> None:
        assert self._place, f"{block}: a text block follows a sh block, or says no-test"
        rest = self._printed
        for line in block.text.splitlines():
            place = 0
            for piece in line.split("…"):
                found = rest.find(piece, place)
                assert found >= 0, f"{block}: {self._place} did not print {line!r}, but:\n{self._printed}"
                place = found + len(piece)
            rest = rest[place:]

    def _write_yaml(self, block: Block) -> None:
        data = ryaml.loads(block.text)
        if "merge" in block.options:
            path = self.folder / block.options["merge"]
            path.write_text(ryaml.dumps(_merged(ryaml.loads(path.read_text()), data)))
        else:
            path = self.folder / block.options["file"]
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(block.text)
        self._check(block)

    def _check(self, block: Block) -> None:
        """What people write is read as m2g reads it."""
        loaded = config.load(self.folder)
        _, wrong = config.read_intents(self.folder)
        findings = [*loaded.findings, *wrong]
        assert not findings, f"{block}:\n{msgspec.json.encode(findings).decode()}"

    def _python(self, block: Block) -> None:
        import mlflow

        before = mlflow.get_tracking_uri()
        mlflow.set_tracking_uri(self.variables["MLFLOW_TRACKING_URI"])
        try:
            exec(compile(block.text, str(block), "exec"), {})
        finally:
            mlflow.set_tracking_uri(before)
            os.environ.pop("MLFLOW_TRACKING_URI", None)  # MLflow sets it, too


def _merged(old: object, new: object) -> object:
    if isinstance(old, dict) and isinstance(new, dict):
        return {**old, **{key: _merged(old.get(key), value) for key, value in new.items()}}
    return new
