"""Whether a class's forward runs children one after the other with nothing in between, read from its source.

A class is known by its name, and another version of its package, or somebody's patch, may have given it another
forward. Where an operation stands between, or the source cannot be had, the answer is no.
"""

import ast
import inspect
import textwrap
from collections.abc import Iterator
from functools import cache
from types import CodeType

from torch import nn

__all__ = ["runs_in_turn"]


def runs_in_turn(kind: type[nn.Module], names: tuple[str, ...]) -> bool:
    """Whether `x = self.a(x)`, `x = self.b(x)` stand one behind the other for all `names`, used nowhere else.

    Read are `forward` and the methods that it calls, and those call.
    """
    used: list[str] = []
    in_turn = False
    for function in _methods(kind):
        used += [node.attr for node in ast.walk(function) if isinstance(node, ast.Attribute)]
        used += [node.value for node in ast.walk(function) if isinstance(node, ast.Constant) and node.value in names]
        in_turn |= any(_holds(block, names) for block in _blocks(function))
    return in_turn and all(used.count(name) == 1 for name in names)


def _methods(kind: type[nn.Module]) -> Iterator[ast.AST]:
    waiting, seen = ["forward"], {"forward"}
    while waiting:
        code = getattr(getattr(kind, waiting.pop(), None), "__code__", None)
        tree = None if code is None else _parsed(code)
        if tree is None:
            continue
        yield tree
        called = {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
        fresh = {name for name in called - seen if inspect.isfunction(inspect.getattr_static(kind, name, None))}
        waiting += fresh
        seen |= fresh


@cache
def _parsed(code: CodeType) -> ast.AST | None:
    try:
        return ast.parse(textwrap.dedent(inspect.getsource(code)))
    except (OSError, TypeError, SyntaxError):
        return None


def _blocks(tree: ast.AST) -> Iterator[list[ast.stmt]]:
    for node in ast.walk(tree):
        for field in ("body", "orelse", "finalbody"):
            block = getattr(node, field, None)
            if isinstance(block, list):
                yield block


def _holds(block: list[ast.stmt], names: tuple[str, ...]) -> bool:
    steps = [_step(statement) for statement in block]
    for start, step in enumerate(steps):
        if step is not None and step[0] == names[0]:
            following = steps[start : start + len(names)]
            return following == [(name, step[1]) for name in names]
    return False


def _step(statement: ast.stmt) -> tuple[str, str] | None:
    """(child, variable) of `variable = self.child(variable)`."""
    if not isinstance(statement, ast.Assign) or len(statement.targets) != 1:
        return None
    target, call = statement.targets[0], statement.value
    if not isinstance(target, ast.Name) or not isinstance(call, ast.Call) or not isinstance(call.func, ast.Attribute):
        return None
    plain = isinstance(call.func.value, ast.Name) and call.func.value.id == "self" and not call.keywords
    same = len(call.args) == 1 and isinstance(call.args[0], ast.Name) and call.args[0].id == target.id
    return (call.func.attr, target.id) if plain and same else None
