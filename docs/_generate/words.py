"""The texts of the generated pages: docstrings of the package, and the files of this folder for the rest."""

from __future__ import annotations

import ast
import inspect
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import msgspec
import ryaml

from m2g.compat import runtime
from m2g.core import (
    canary_types,
    companion_fields,
    config_types,
    finding,
    kserve_fields,
    model,
    platform_types,
    pod_fields,
    proposal_types,
    results,
    setting_fields,
)
from m2g.delivery import values as delivery
from m2g.review import values
from m2g.validation.rules import page

HERE = Path(__file__).parent


class Stale(Exception):
    """The texts in this folder do not match the package."""


def read(name: str) -> dict[str, Any]:
    """A file of texts."""
    found: dict[str, Any] = ryaml.loads((HERE / f"{name}.yaml").read_text())
    return found


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table."""
    lines = [head, ["---"] * len(head), *rows]
    return "".join(f"| {' | '.join(cell or ' ' for cell in line)} |\n" for line in lines)


class Fields:
    """The text of each field of a type: its docstring in the source, else the entry in docs/_generate/fields.yaml."""

    def __init__(self, words: Mapping[str, str]) -> None:
        self._words = words
        self._used = {name for name in words if name.startswith("Exit.")}
        self._source: dict[str, dict[str, str]] = {}
        for module in (
            *(
                canary_types,
                config_types,
                setting_fields,
                pod_fields,
                companion_fields,
                kserve_fields,
                model,
                finding,
                results,
                values,
                page,
                runtime,
            ),
            platform_types,
            proposal_types,
            delivery,
        ):
            self._source |= literal_texts(module)

    def text(self, kind: type[msgspec.Struct], field: str) -> str:
        """The text of a field. Raises Stale if there is none."""
        name = f"{kind.__name__}.{field}"
        text = self._source.get(kind.__name__, {}).get(field)
        if text is None and name in self._words:
            self._used.add(name)
            text = self._words[name]
        if text is None:
            inherited = (self._source.get(base.__name__, {}) for base in kind.__mro__)
            text = next((texts[field] for texts in inherited if field in texts), None)
        if text is None:
            raise Stale(
                f"no text for {name}: add a docstring under the field, or an entry in docs/_generate/fields.yaml"
            )
        return text

    def check(self) -> None:
        """Raises Stale if fields.yaml has an entry that nothing uses."""
        if left := sorted(set(self._words) - self._used):
            raise Stale(f"docs/_generate/fields.yaml has entries that nothing uses: {', '.join(left)}")


def literal_texts(module: ModuleType) -> dict[str, dict[str, str]]:
    """Class to field to its docstring in the source."""
    found: dict[str, dict[str, str]] = {}
    for node in (node for node in ast.parse(inspect.getsource(module)).body if isinstance(node, ast.ClassDef)):
        for field, text in zip(node.body, node.body[1:], strict=False):
            target = field.targets[0] if isinstance(field, ast.Assign) else getattr(field, "target", None)
            if isinstance(target, ast.Name) and isinstance(text, ast.Expr) and isinstance(text.value, ast.Constant):
                found.setdefault(node.name, {})[target.id] = " ".join(str(text.value.value).split())
    return found
