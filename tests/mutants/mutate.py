# SPDX-License-Identifier: GPL-2.0-or-later
"""Small changes to a module that its tests should notice, one at a time."""

from __future__ import annotations

import ast
import copy
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

COMPARISONS: dict[type[ast.cmpop], tuple[type[ast.cmpop], ...]] = {
    ast.Eq: (ast.NotEq,),
    ast.NotEq: (ast.Eq,),
    ast.Lt: (ast.LtE, ast.GtE),
    ast.LtE: (ast.Lt, ast.Gt),
    ast.Gt: (ast.GtE, ast.LtE),
    ast.GtE: (ast.Gt, ast.Lt),
    ast.Is: (ast.IsNot,),
    ast.IsNot: (ast.Is,),
    ast.In: (ast.NotIn,),
    ast.NotIn: (ast.In,),
}
ARITHMETIC: dict[type[ast.operator], type[ast.operator]] = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.BitAnd: ast.BitOr,
    ast.BitOr: ast.BitAnd,
    ast.LShift: ast.RShift,
    ast.RShift: ast.LShift,
}
FUNCTIONS = {"min": "max", "max": "min", "any": "all", "all": "any"}

Enums = Mapping[str, Sequence[str]]
"""Members of each enumeration, by its name."""


@dataclass(frozen=True)
class Mutant:
    """One change: where (``line`` from 1, ``column`` from 0), what, and the module with it."""

    line: int
    column: int
    change: str
    module: ast.Module


def find_enums(sources: Sequence[str]) -> dict[str, tuple[str, ...]]:
    """All enumerations that these sources define."""
    found = {}
    for source in sources:
        for node in ast.walk(ast.parse(source)):
            if isinstance(node, ast.ClassDef) and any(ast.unparse(base).endswith("Enum") for base in node.bases):
                names = [line.targets[0] for line in node.body if isinstance(line, ast.Assign)]
                found[node.name] = tuple(name.id for name in names if isinstance(name, ast.Name))
    return found


def mutants(source: str, known_enums: Enums) -> Iterator[Mutant]:
    """Every change of a source, in its order. Only what is in functions: the rest is data."""
    module = ast.parse(source)
    for path, node in nodes(module, ()):
        for change, replace in changes(node, path[-1][0], known_enums):
            changed = copy.deepcopy(module)
            substitute(changed, path, replace)
            ast.fix_missing_locations(changed)
            yield Mutant(node.lineno, node.col_offset, change, changed)


Step = tuple[str, int | None]
"""A field of a node, and the index in it where it is a list."""


def nodes(node: ast.AST, path: tuple[Step, ...], inside: bool = False) -> Iterator[tuple[tuple[Step, ...], ast.expr]]:
    """The expressions in functions, each with the way to it. Annotations and texts of exceptions are left out."""
    if isinstance(node, ast.FunctionDef):
        inside = True
    for name, value in ast.iter_fields(node):
        if name in {"annotation", "returns", "decorator_list"} or isinstance(node, ast.Raise):
            continue
        children = enumerate(value) if isinstance(value, list) else ((None, value),)
        for index, child in children:
            if isinstance(child, ast.AST):
                way = (*path, (name, index))
                if inside and isinstance(child, ast.expr):
                    yield way, child
                yield from nodes(child, way, inside)


def substitute(module: ast.AST, path: tuple[Step, ...], replace: Callable[[ast.expr], ast.expr]) -> None:
    """Replace the expression at the end of ``path``."""
    node = module
    for name, index in path[:-1]:
        value = getattr(node, name)
        node = value if index is None else value[index]
    name, index = path[-1]
    value = getattr(node, name)
    if index is None:
        setattr(node, name, ast.copy_location(replace(value), value))
    else:
        value[index] = ast.copy_location(replace(value[index]), value[index])


Change = tuple[str, Callable[[ast.expr], ast.expr]]


def changes(node: ast.expr, role: str, known_enums: Enums) -> Iterator[Change]:
    """What can be changed of one expression: the change in words, and how it is done.

    ``role`` is the field of the parent node that the expression is (``test`` of an ``if``).
    """
    if isinstance(node, ast.Compare):
        for index, operator in enumerate(node.ops):
            for other in COMPARISONS[type(operator)]:
                yield f"{symbol(operator)} to {symbol(other())}", with_comparison(index, other)
    elif isinstance(node, ast.BoolOp):
        other_bool = ast.Or if isinstance(node.op, ast.And) else ast.And
        yield f"{symbol(node.op)} to {symbol(other_bool())}", with_bool(other_bool)
    elif isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
        yield "not dropped", drop_not
    elif isinstance(node, ast.BinOp) and type(node.op) in ARITHMETIC and not is_text(node):
        other_operator = ARITHMETIC[type(node.op)]
        yield f"{symbol(node.op)} to {symbol(other_operator())}", with_operator(other_operator)
    elif isinstance(node, ast.Constant) and isinstance(node.value, bool):
        yield f"{node.value} to {not node.value}", with_constant(not node.value)
    elif isinstance(node, ast.Constant) and isinstance(node.value, int):
        yield f"{node.value} to {node.value + 1}", with_constant(node.value + 1)
        if node.value:
            yield f"{node.value} to {node.value - 1}", with_constant(node.value - 1)
    elif isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
        members = known_enums.get(node.value.id, ())
        if node.attr in members and len(members) > 1:
            other_member = members[(members.index(node.attr) + 1) % len(members)]
            yield f"{node.attr} to {other_member}", with_attribute(other_member)
    elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in FUNCTIONS:
        yield f"{node.func.id} to {FUNCTIONS[node.func.id]}", with_function(FUNCTIONS[node.func.id])
    if role in {"test", "ifs"} and not isinstance(node, ast.Compare | ast.BoolOp | ast.UnaryOp):
        yield "condition negated", lambda condition: ast.UnaryOp(ast.Not(), condition)


def symbol(operator: ast.AST) -> str:
    """An operator as it is written."""
    one, other = ast.Name("a"), ast.Name("b")
    if isinstance(operator, ast.cmpop):
        text = ast.unparse(ast.Compare(one, [operator], [other]))
    elif isinstance(operator, ast.boolop):
        text = ast.unparse(ast.BoolOp(operator, [one, other]))
    elif isinstance(operator, ast.operator):
        text = ast.unparse(ast.BinOp(one, operator, other))
    else:
        raise TypeError(f"no operator: {operator!r}")
    return text.removeprefix("a ").removesuffix(" b")


def is_text(node: ast.BinOp) -> bool:
    """Whether one side is a string: adding those is no arithmetic."""
    sides = (node.left, node.right)
    return any(
        isinstance(side, ast.JoinedStr) or (isinstance(side, ast.Constant) and isinstance(side.value, str | bytes))
        for side in sides
    )


def with_comparison(index: int, operator: type[ast.cmpop]) -> Callable[[ast.expr], ast.expr]:
    def replace(node: ast.expr) -> ast.expr:
        assert isinstance(node, ast.Compare)
        node.ops[index] = operator()
        return node

    return replace


def with_bool(operator: type[ast.boolop]) -> Callable[[ast.expr], ast.expr]:
    def replace(node: ast.expr) -> ast.expr:
        assert isinstance(node, ast.BoolOp)
        node.op = operator()
        return node

    return replace


def with_operator(operator: type[ast.operator]) -> Callable[[ast.expr], ast.expr]:
    def replace(node: ast.expr) -> ast.expr:
        assert isinstance(node, ast.BinOp)
        node.op = operator()
        return node

    return replace


def with_constant(value: int) -> Callable[[ast.expr], ast.expr]:
    return lambda node: ast.Constant(value)


def with_attribute(name: str) -> Callable[[ast.expr], ast.expr]:
    def replace(node: ast.expr) -> ast.expr:
        assert isinstance(node, ast.Attribute)
        node.attr = name
        return node

    return replace


def with_function(name: str) -> Callable[[ast.expr], ast.expr]:
    def replace(node: ast.expr) -> ast.expr:
        assert isinstance(node, ast.Call)
        node.func = ast.Name(name, ast.Load())
        return node

    return replace


def drop_not(node: ast.expr) -> ast.expr:
    assert isinstance(node, ast.UnaryOp)
    return node.operand
