"""Numbers for equations: SymPy expressions evaluated with NumPy, and gradients over a sequence.

Only the engine's forward functions are used (`TABLE[op].forward`), never its derivative rules.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import sympy
from numpy.typing import NDArray
from sympy import Add, Expr, Mul, Pow, Rational

from equations.adjoints import Adjoints, assembled
from equations.algebra import (
    EquationError,
    Extent,
    Literal,
    Nothing,
    Operation,
    Quantity,
    clip,
    detach,
    quantities,
)
from tinygrad_lstm import sizes as dimensions
from tinygrad_lstm.errors import ShapeError
from tinygrad_lstm.notation import space_of
from tinygrad_lstm.running import unroll
from tinygrad_lstm.step import Cell
from tinygrad_lstm.tensor import TABLE, Tensor

Array = NDArray[Any]
Values = dict[tuple[str, int | None], Array]  # (label, step) -> value; step None: no time

OWN: dict[str, Callable[..., Any]] = {
    "block": lambda g, part, index, timed: g[index],
    "spread": lambda g, kept, shape: np.broadcast_to(np.reshape(g, kept), shape),
    "prod_of_others": lambda x, axis: _product_of_others(x, axis),
    "reversed_cumsum": lambda g, axis: np.flip(np.cumsum(np.flip(g, axis), axis), axis),
}


def _product_of_others(x: Any, axis: tuple[int, ...]) -> Any:
    """For every entry the product of the other entries along some axes."""
    moved = np.moveaxis(np.asarray(x), axis, range(len(axis)))
    flat = moved.reshape(-1, *moved.shape[len(axis) :])
    found = np.stack([np.prod(np.delete(flat, k, 0), axis=0) for k in range(len(flat))])
    return np.moveaxis(found.reshape(moved.shape), range(len(axis)), axis)


def evaluate(
    expr: Expr, values: Values, step: int, known: dict[Expr, Array] | None = None
) -> Array:
    """The value of an expression at a numbered step.

    known: what has been computed at that step already; new values are added to it.
    """
    known = {} if known is None else known
    if isinstance(expr, Quantity):
        return values[expr.label, None if expr.time is None else step + expr.time]
    if isinstance(expr, Literal):
        return expr.data
    if isinstance(expr, Extent | Nothing):
        return np.asarray(float(getattr(expr, "count", 0)))
    if expr.is_Number or isinstance(expr, sympy.NumberSymbol):
        return np.asarray(float(expr))
    if expr not in known:
        skip = isinstance(expr, Operation) and expr.op == "block"  # its second operand is a label
        parts = expr.operands if isinstance(expr, Operation) else expr.args
        operands = [evaluate(o, values, step, known) for o in (parts[:1] if skip else parts)]
        known[expr] = np.asarray(_applied(expr, operands + [np.zeros(())] * skip))
    return known[expr]


def _applied(expr: Expr, args: list[Array]) -> Any:
    """The function at the head of an expression, of the values of its arguments."""
    if isinstance(expr, Operation):
        function = OWN.get(expr.op) or TABLE[expr.op].forward
        return function(*args, **expr.settings)
    if isinstance(expr, detach):  # a constant, also where its argument is changed by an i ε
        return np.real(args[0])
    if isinstance(expr, clip):
        low, high = (float(end) if np.isfinite(end) else None for end in args[1:])
        return TABLE["clip"].forward(args[0], low=low, high=high)
    if isinstance(expr, Add):
        return sum(args[1:], start=args[0])
    if isinstance(expr, Mul):
        return np.prod(np.broadcast_arrays(*args), axis=0)
    if isinstance(expr, Pow):
        return np.sqrt(args[0]) if expr.exp == Rational(1, 2) else args[0] ** args[1]
    if isinstance(expr, sympy.sign):  # from a root of a square, which SymPy reads as |x|
        return np.sign(args[0])
    op = "abs" if isinstance(expr, sympy.Abs) else getattr(expr, "op", type(expr).__name__)
    return TABLE[op].forward(*args)


def run_backward(adjoints: Adjoints, values: Values, steps: int) -> dict[str, Array]:
    """Evaluate every adjoint from the last step to the first, adding them to `values`.

    `values` holds the forward values at steps 1 … steps, the states at 0, and the loss's own
    derivatives (`seed.h`). Returned: the sums over time of what has no time, and for the states
    before the first step `prev.NAME`.
    """
    reading = adjoints.reading
    totals: dict[str, Array] = {}
    every = adjoints.terms
    every_given = {label: adjoints.given(label) for label in every}
    owners = adjoints.owners

    def total(terms: list[Expr], step: int, shape: tuple[int, ...]) -> Array:
        result = np.zeros(shape)
        for term in terms:
            if step == steps and any(q.time == 1 for q in quantities(term)):
                continue  # nothing comes back from beyond the last step
            result = result + evaluate(term, values, step, known)
        return result

    known: dict[Expr, Array] = {}
    for step in range(steps, 0, -1):
        known.clear()
        for label, terms in every.items():
            space, name = space_of(label)
            given = every_given[label]
            if space == "delta":
                inside = adjoints.parts[owners[label]].insides[name]
                values[label, step] = total(terms, step, reading.shapes[inside])
            elif given is None or given.time is not None:
                shape = reading.shapes[given or Quantity(name)]
                values[label, step] = total(terms, step, shape)
            else:
                share = total(terms, step, reading.shapes[given])
                totals[name] = totals[name] + share if name in totals else share
    known.clear()
    for name in reading.cell.state:
        later = [
            term for term in every[f"bar.{name}"] if any(q.time == 1 for q in quantities(term))
        ]
        totals[f"prev.{name}"] = total(later, 0, reading.shapes[Quantity(name)])
    return totals


def gradients(
    cell: Cell,
    parameters: Mapping[str, Any],
    xs: Any,
    seeds: Mapping[str, Any],
    initial: Mapping[str, Any] | None = None,
    **further: Any,
) -> dict[str, Array]:
    """Gradients of a loss over a sequence, by evaluating the equations that `backward` prints.

    xs: (time, inputs) or (time, batch, inputs); initial, further: as for `unroll`. seeds: for each
    value that the loss reads (a state or another named equation) the loss's own derivative in it
    at every step, as in {"h": (time, hidden)}, with a batch axis after time where xs has one.

    Returned by name: the gradient of each parameter, of `x` (like xs), of each state before the
    first step (`prev.h`) and of further inputs. Sizes are inferred. A check on the engine, whose
    backward gives the same numbers by other means, not meant to be fast.
    """
    if not isinstance(cell, Cell):
        raise EquationError(
            f"gradients evaluates the equations of one cell, got {cell}.\n"
            f"  Evaluate each part, or check the whole with check_gradients."
        )
    plain = {name: _array(value) for name, value in parameters.items()}
    run = unroll(cell, plain, xs, initial, **further)
    xs = _array(xs)
    rank = len(dimensions.parse(cell.x))
    batch = xs.shape[1] if xs.ndim == rank + 2 else None
    begin = {name: state.numpy() for name, state in run.initial.items()}
    extra = {name: _array(value) for name, value in further.items()}
    given = {name: _array(seed) for name, seed in seeds.items()}
    for name, seed in given.items():
        if seed.shape != run[name].shape:
            raise ShapeError(
                f"{cell}: the seed of {name} has shape {seed.shape}, but {name} over the "
                f"sequence is {run[name].shape}."
            )
    timed = {"x": xs, **{name: extra[name] for name in cell.sequences}}
    fixed = {**plain, **{name: extra[name] for name in cell.constants}}
    declared = cell.program().dimensions
    own = {name: len(dimensions.parse(words)) for name, words in declared.items()}
    # what is the same for every sample: its gradient is the sum of theirs
    shared = {n for n, a in fixed.items() if a.ndim == own[n]}
    shared |= {n for n, a in timed.items() if a.ndim == own[n] + 1 and batch is not None}
    samples = []
    for k in range(batch or 1):
        one: Values = {}
        for name, array in timed.items():
            alone = batch is None or name in shared
            one[name, 1] = array if alone else array[:, k]
        for name, array in fixed.items():
            one[name, None] = array if name in shared else array[k]
        for name, array in begin.items():
            one[name, 0] = array if batch is None else array[k]
        samples.append(one)
    shapes = {f"prev.{n}" if t == 0 else n: a.shape[t or 0 :] for (n, t), a in samples[0].items()}
    program = cell.program(**dimensions.infer(declared, shapes, str(cell), cell.derived))
    adjoints = assembled(cell, tuple(seeds), program)
    found = []
    for k, one in enumerate(samples):
        seeded = {}
        for name, seed in given.items():
            every = seed.ndim == program.equations[name].ndim + 1  # read once for the whole batch
            seeded[name] = seed * float(k == 0) if every else seed[:, k]
        found.append(_gradients(adjoints, one, seeded, len(xs)))
    if batch is None:
        return found[0]
    return {
        name: np.sum([f[name] for f in found], axis=0)
        if name in shared
        else np.stack([f[name] for f in found], axis=int(name in timed))
        for name in found[0]
    }


def _array(value: Any) -> Array:
    return value.numpy() if isinstance(value, Tensor) else np.asarray(value)


def _gradients(
    adjoints: Adjoints, given: Values, seeds: Mapping[str, Array], steps: int
) -> dict[str, Array]:
    """The gradients of one sample, by the names of the step's inputs.

    given: a sequence at 1, a state at 0, what has no time at None.
    """
    reading = adjoints.reading
    values: Values = {}
    for name, symbol in reading.given.items():
        space, own = space_of(name)
        if symbol.time == 0:
            values |= {(symbol.label, t + 1): given[name, 1][t] for t in range(steps)}
        else:
            step = 0 if space == "prev" else None
            values[symbol.label, step] = given[own, step]
    for step in range(1, steps + 1):
        known: dict[Expr, Array] = {}
        for name, expr in reading.equations.items():
            value = evaluate(expr, values, step, known)
            values[name, step] = np.broadcast_to(value, reading.shapes[Quantity(name)])
    for name, array in seeds.items():
        values |= {(f"seed.{name}", t + 1): array[t] for t in range(steps)}
    totals = run_backward(adjoints, values, steps)
    return {
        name: np.stack([values[f"bar.{symbol.label}", t + 1] for t in range(steps)])
        if symbol.time == 0
        else totals[name if space_of(name)[0] == "prev" else symbol.label]
        for name, symbol in reading.given.items()
    }
