"""Every piece of advice that a module of m2g can give, read from its source: the values of `fix`, `hint` and `step`."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from pathlib import Path

_NAMES = frozenset({"fix", "hint", "step"})


def list_advice(path: Path) -> set[str]:
    """The texts, with `{}` for what is filled in."""
    tree = ast.parse(path.read_text())
    constants = {
        target.id: node.value
        for node in tree.body
        if isinstance(node, ast.Assign)
        for target in node.targets
        if isinstance(target, ast.Name)
    }
    found = {text for node in ast.walk(tree) for value in _values(node) for text in _texts(value, constants)}
    return {text for text in found if text.strip("{}")}


def _values(node: ast.AST) -> Iterator[ast.expr]:
    if isinstance(node, ast.keyword) and node.arg in _NAMES:
        yield node.value
    if isinstance(node, ast.Assign) and any(isinstance(one, ast.Name) and one.id in _NAMES for one in node.targets):
        yield node.value
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "_unfit":
        yield node.args[-1]


def _texts(value: ast.expr, constants: Mapping[str, ast.expr]) -> Iterator[str]:
    """What an expression can be. A part that is not known here is `{}`."""
    match value:
        case ast.Constant(value=str() as text):
            yield text
        case ast.Name(id=name) if name in constants:
            yield from _texts(constants[name], constants)
        case ast.IfExp(body=body, orelse=other):
            yield from _texts(body, constants)
            yield from _texts(other, constants)
        case ast.BoolOp(values=values):
            for one in values:
                yield from _texts(one, constants)
        case ast.BinOp(left=left, right=right):
            yield from (a + b for a in _texts(left, constants) for b in _texts(right, constants))
        case ast.JoinedStr(values=parts):
            yield "".join(next(_texts(part, constants), "{}") for part in parts)
        case ast.FormattedValue(value=ast.Name() as inner):
            yield next(_texts(inner, constants), "{}")
        case _:
            return
