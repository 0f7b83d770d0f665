"""What the rules of differentiation are called, in words that a derivation prints."""

from __future__ import annotations

from collections.abc import Iterator

from sympy import Add, Expr, Mul, Pow

from equations.algebra import SymbolicOperation, factors
from equations.wording import Said

_THROUGH = {
    "matvec": "matrix product",
    "matmul": "matrix product",
    "vecdot": "scalar product",
    "outer": "outer product",
    "concat": "parts of a concatenation",
    "stack": "parts of a stack",
    "getitem": "entries of an array",
    "einsum": "sum of products",
    "row": "one place of an array",
    "each": "the same at every place",
    "total": "sum over the places",
    "transpose": "transposition",
    "swapaxes": "transposition",
    "reshape": "the same entries in another shape",
}
_TAKEN = {
    "sigmoid": "derivative of the sigmoid, s (1 - s)",
    "tanh": "derivative of tanh, 1 minus its square",
    "exp": "derivative of exp, exp itself",
    "log": "derivative of log, 1/x",
}
SEEN = Said("the loss reads it and nothing else does")
ITSELF = Said("the derivative of a value with respect to itself is 1")
BROADCAST = Said("sum over the entries that share it")
PLACES = Said("sum over the places that read it")


def through(op: str) -> Said:
    """The rule by which an adjoint passes through an operation that mixes units."""
    return Said(_THROUGH[op]) if op in _THROUGH else _derivative(op)


def taken(expr: Expr, leaf: Expr) -> tuple[Said, ...]:
    """The rules that a derivative of `expr` takes on the way to `leaf`, from the outside in."""
    rules: dict[Said, None] = {}

    def visit(part: Expr) -> bool:
        if part == leaf:
            return True
        if isinstance(part, SymbolicOperation) or not part.args:
            return False
        before = dict(rules)
        rules.update(dict.fromkeys(_of(part)))
        if any([visit(a) for a in part.args]):
            return True
        rules.clear()
        rules.update(before)
        return False

    visit(expr)
    return tuple(rules)


def _derivative(op: str) -> Said:
    return Said("derivative of {operation}", operation=op.replace("_", " "))


def _of(part: Expr) -> Iterator[Said]:
    if isinstance(part, Add):
        yield Said("sum rule")
    elif isinstance(part, Mul):
        if len([f for f in factors(part) if not f.is_Number]) > 1:
            yield Said("product rule")
    elif isinstance(part, Pow):
        yield Said("power rule")
    else:
        op = getattr(part, "op", type(part).__name__)
        yield Said(_TAKEN[op]) if op in _TAKEN else _derivative(op)
