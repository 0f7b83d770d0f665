"""Elementwise operations made of others, and operations with a derivative of one's own.

@composite                      an operation of one line, from which its
def softsign(x): ...            derivative, C, JavaScript and SymPy follow
spike = with_gradient(f, rule)  a surrogate gradient
"""

from __future__ import annotations

import functools
import inspect
import itertools
import math
from collections.abc import Callable
from typing import Any

import numpy as np

from tinygrad_lstm.errors import ShapeError
from tinygrad_lstm.ops import erf, floor, register, sigmoid
from tinygrad_lstm.program import Program
from tinygrad_lstm.tensor import TABLE, Tensor, apply, fold

__all__ = ["composite", "gelu", "mod", "silu", "softsign", "with_gradient"]

Function = Callable[..., Any]
_origins: dict[str, Function] = {}  # what composites were made of


def _evaluate(program: Program, name: str, *operands: Any) -> Any:
    """One output of a Program at Tensors or arrays, by the operations themselves."""
    root = program.outputs[name]
    leaves = dict(zip(program.inputs.values(), operands, strict=True))

    def make(node: Tensor, inputs: list[Any]) -> Any:
        if not node.inputs:
            return node.data.item() if not node.ndim else node.data
        return apply(node.op or "", *inputs, **node.attributes)

    return fold([root], leaves, make)[root]


def _trace(function: Function, names: list[str]) -> Program:
    return Program.trace(function, **{n: () for n in names})


def composite(function: Function, **faces: Any) -> Callable[..., Tensor]:
    """An elementwise operation defined by others, as a decorator.

    Its derivative, and what SymPy, C and JavaScript know of it, follow from the definition.
    """
    name, names = function.__name__, list(inspect.signature(function).parameters)
    program = _trace(function, names)
    gradient = program.gradient()
    inner = [n for n in program.nodes() if n.op and TABLE[n.op].distance]

    def rule(of: str) -> Function:
        return lambda g, y, *inputs: _evaluate(gradient, of, *inputs, g)

    def value(*inputs: Any) -> Any:  # as traced: Python's abs of a complex array is another one
        return _in_kind(_evaluate(program, "y", *inputs), inputs)

    def distance(*inputs: Any) -> Any:
        def make(node: Tensor, operands: list[Any]) -> Any:
            forward = TABLE[node.op or ""].forward if node.inputs else None
            return forward(*operands, **node.attributes) if forward else node.data

        values = fold(inner, dict(zip(program.inputs.values(), inputs, strict=True)), make)
        gaps = [TABLE[n.op or ""].distance(*(values[i] for i in n.inputs)) for n in inner]  # type: ignore[misc]
        return np.min(np.broadcast_arrays(*gaps), axis=0)

    _take(name, function)
    faces |= {"distance": distance if inner else None, "definition": program}
    made = register(name, value, tuple(map(rule, names)), doc=function.__doc__ or "", **faces)
    return _called_like(function, made)


def _called_like(function: Function, made: Function) -> Callable[..., Tensor]:
    made.__signature__ = inspect.signature(function)  # type: ignore[attr-defined]
    return made


def _taken_again(name: str, function: Function) -> bool:
    """Whether a name is that of the same line of a file that is run once more.

    A name may be taken anew then, as when a cell's file is read again; two functions that one run
    of a file makes at the same line, in a loop, are two.
    """
    before = _origins.get(name)
    if before is None or name not in TABLE:
        return False
    (at, was) = ((f.__code__.co_filename, f.__code__.co_firstlineno) for f in (function, before))
    return at == was and function.__globals__ is not before.__globals__


def _take(name: str, function: Function) -> None:
    if _taken_again(name, function):
        del TABLE[name]
    _origins[name] = function


def _in_kind(y: Any, inputs: Any) -> Any:
    """A value in the precision of what it was computed from."""
    kind = np.result_type(*inputs)
    y = np.asarray(y)
    return y.astype(kind) if kind.kind == "f" and y.dtype.kind in "fb" else y


@functools.partial(composite, domain=(0.5, 2.0))
def mod(a: Any, b: Any) -> Any:
    """The rest a - b ⌊a / b⌋, between 0 and b; its derivative in b is -⌊a / b⌋."""
    return a - b * floor(a / b)


@composite
def softsign(x: Any) -> Any:
    """x / (1 + |x|), between -1 and 1."""
    return x / (1 + abs(x))


@composite
def silu(x: Any) -> Any:
    """x σ(x), which is also called swish."""
    return x * sigmoid(x)


@composite
def gelu(x: Any) -> Any:
    """x Φ(x), with Φ the distribution function of the standard normal."""
    return 0.5 * x * (1 + erf(x * math.sqrt(0.5)))


def with_gradient(forward: Function, rule: Function, name: str = "") -> Callable[..., Tensor]:
    """An elementwise operation with a derivative of one's own: a surrogate gradient.

    forward: its value, a function of one Tensor or several. rule: `rule(g, y, *inputs)`, the
    adjoint of the input, or a tuple with one for each, from the adjoint g of the value y. Both are
    written in operations. `check_gradients` takes the rule as given and checks all around it.

        spike = with_gradient(lambda v: v > 1.0, lambda g, y, v: g / (1 + abs(v - 1)) ** 2)
    """
    own = name or getattr(forward, "__name__", "")
    own = own if own.isidentifier() else "surrogate"
    numbered = (f"{own}_{k}" if k > 1 else own for k in itertools.count(1))
    own = next(n for n in numbered if n not in TABLE or _taken_again(n, forward))
    _take(own, forward)
    names = list(inspect.signature(forward).parameters)
    definition = _trace(lambda **v: forward(**v) * 1.0, names)

    def adjoints(g: Any, y: Any, *inputs: Any) -> tuple[Any, ...]:
        results = rule(g, y, *inputs)
        results = results if isinstance(results, tuple) else (results,)
        if len(results) != len(names):
            raise ShapeError(
                f"{own}: the rule gives {len(results)} adjoints, but there are {len(names)} inputs."
            )
        return results

    def value(*inputs: Any) -> Any:
        real = [np.real(v) for v in inputs]
        y = _in_kind(_evaluate(definition, "y", *real), real)
        moved = [np.iscomplexobj(v) for v in inputs]
        if not any(moved):
            return y
        # the direction of a complex step goes through the author's rule
        slope = adjoints(np.ones_like(y), y, *real)
        steps = [s * np.imag(v) for s, v, m in zip(slope, inputs, moved, strict=True) if m]
        return y + 1j * np.sum(np.broadcast_arrays(*steps), axis=0)

    slopes = _trace(
        lambda g, y, **v: dict(zip(names, adjoints(g, y, *v.values()), strict=True)),
        ["g", "y", *names],
    )

    def adjoint(of: str) -> Function:
        return lambda *operands: _evaluate(slopes, of, *operands)

    doc = f"{inspect.getdoc(forward) or own}: with a derivative of its author's own."
    faces: Any = {"definition": definition, "slopes": slopes, "doc": doc}
    return _called_like(forward, register(own, value, tuple(map(adjoint, names)), **faces))
