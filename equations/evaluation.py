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
from equations.algebra import EquationError, Literal, Operation, Quantity, clip, quantities
from tinygrad_lstm import sizes as dimensions
from tinygrad_lstm.errors import ShapeError
from tinygrad_lstm.recurrent import Cell
from tinygrad_lstm.sequence import unroll
from tinygrad_lstm.tensor import TABLE

Array = NDArray[Any]
Values = dict[tuple[str, int | None], Array]  # (label, step) -> value; step None: no time

OWN: dict[str, Callable[..., Any]] = {
    "block": lambda g, part, index, timed: g[index],
    "spread": lambda g, kept, shape: np.broadcast_to(np.reshape(g, kept), shape),
    "reversed_cumsum": lambda g, axis: np.flip(np.cumsum(np.flip(g, axis), axis), axis),
}


def evaluate(expr: Expr, values: Values, step: int) -> Array:
    """The value of an expression at a numbered step."""
    if isinstance(expr, Quantity):
        return values[expr.label, None if expr.time is None else step + expr.time]
    if isinstance(expr, Literal):
        return expr.data
    if expr.is_Number:
        return np.asarray(float(expr))
    if isinstance(expr, Operation):
        skip = expr.op == "block"  # its second operand is a label
        operands = [
            np.zeros(()) if skip and k else evaluate(o, values, step)
            for k, o in enumerate(expr.operands)
        ]
        function = OWN.get(expr.op) or TABLE[expr.op].forward
        return np.asarray(function(*operands, **expr.attributes))
    if isinstance(expr, Pow) and expr.exp == Rational(1, 2):
        return np.asarray(np.sqrt(evaluate(expr.base, values, step)))
    if isinstance(expr, clip):
        x, low, high = expr.args
        ends = {"low": float(low), "high": float(high)}
        finite = {k: v if np.isfinite(v) else None for k, v in ends.items()}
        return np.asarray(TABLE["clip"].forward(evaluate(x, values, step), **finite))
    args = [evaluate(a, values, step) for a in expr.args]
    if isinstance(expr, Add):
        return np.asarray(sum(args[1:], start=args[0]))
    if isinstance(expr, Mul):
        return np.asarray(np.prod(np.broadcast_arrays(*args), axis=0))
    if isinstance(expr, Pow):
        return np.asarray(args[0] ** args[1])
    if isinstance(expr, sympy.sign):  # from a root of a square, which SymPy reads as |x|
        return np.asarray(np.sign(args[0]))
    op = "abs" if isinstance(expr, sympy.Abs) else getattr(expr, "op", type(expr).__name__)
    return np.asarray(TABLE[op].forward(*args))


def run_backward(adjoints: Adjoints, values: Values, steps: int) -> dict[str, Array]:
    """Evaluate every adjoint from the last step to the first, adding them to `values`.

    `values` holds the forward values at steps 1 … steps, the states at 0, and the loss's own
    derivatives (`seed.h`). Returned: the sums over time of what has no time, and for the states
    before the first step `prev.NAME`.
    """
    reading = adjoints.reading
    totals: dict[str, Array] = {}
    every = adjoints.terms

    def total(terms: list[Expr], step: int, shape: tuple[int, ...]) -> Array:
        result = np.zeros(shape)
        for term in terms:
            if step == steps and any(q.time == 1 for q in quantities(term)):
                continue  # nothing comes back from beyond the last step
            result = result + evaluate(term, values, step)
        return result

    for step in range(steps, 0, -1):
        for label, terms in every.items():
            space, _, name = label.partition(".")
            given = reading.given.get(name) if space == "bar" else None
            if space == "delta":
                owner = name.partition(".")[0]
                inside = adjoints.parts[owner].insides[name]
                values[label, step] = total(terms, step, reading.shapes[inside])
            elif given is None or given.time is not None:
                shape = reading.shapes[given or Quantity(name)]
                values[label, step] = total(terms, step, shape)
            else:
                share = total(terms, step, reading.shapes[given])
                totals[name] = totals[name] + share if name in totals else share
    for name in reading.cell.state:
        later = [
            term for term in every[f"bar.{name}"]
            if any(q.time == 1 for q in quantities(term))
        ]  # fmt: skip
        totals[f"prev.{name}"] = total(later, 0, reading.shapes[Quantity(name)])
    return totals


def gradients(
    cell: Cell, parameters: Mapping[str, Any], xs: Any, seeds: Mapping[str, Any],
    initial: Mapping[str, Any] | None = None, **further: Any,
) -> dict[str, Array]:  # fmt: skip
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
    plain = {name: np.asarray(value) for name, value in parameters.items()}
    run = unroll(cell, plain, xs, initial, **further)
    xs = np.asarray(xs)
    rank = len(dimensions.parse(cell.x))
    batch = xs.shape[1] if xs.ndim == rank + 2 else None
    begin = {name: state.numpy() for name, state in run.initial.items()}
    extra = {name: np.asarray(value) for name, value in further.items()}
    for name, seed in seeds.items():
        if np.shape(seed) != run[name].shape:
            raise ShapeError(
                f"{cell}: the seed of {name} has shape {np.shape(seed)}, but {name} over the "
                f"sequence is {run[name].shape}."
            )
    forward = {name: run[name].numpy() for name in run.steps[0]}
    given = {name: np.asarray(seed) for name, seed in seeds.items()}
    if batch is None:
        return _gradients(cell, plain, xs, given, begin, extra, forward)
    declared = {**cell.sequences, **cell.constants}
    ranks = {n: len(dimensions.parse(declared[n])) + (n in cell.sequences) for n in extra}
    shared = {n for n, v in extra.items() if v.ndim == ranks[n]}  # the same for every sample
    found = []
    for k in range(batch):
        one = {
            n: v if n in shared else np.take(v, k, axis=int(n in cell.sequences))
            for n, v in extra.items()
        }
        found.append(
            _gradients(
                cell, plain, xs[:, k], {n: v[:, k] for n, v in given.items()},
                {n: v[k] for n, v in begin.items()}, one,
                {n: v[:, k] for n, v in forward.items()},
            )
        )  # fmt: skip
    timed = {"x", *cell.sequences}
    return {
        name: np.sum([f[name] for f in found], axis=0)
        if name in cell.parameters or name in shared
        else np.stack([f[name] for f in found], axis=int(name in timed))
        for name in found[0]
    }


def _gradients(
    cell: Cell, parameters: Mapping[str, Array], xs: Array, seeds: Mapping[str, Array],
    initial: Mapping[str, Array], further: Mapping[str, Array], forward: Mapping[str, Array],
) -> dict[str, Array]:  # fmt: skip
    timed = {"x": xs, **{name: further[name] for name in cell.sequences}}
    declared = {"x": cell.x, **cell.state, **cell.parameters, **cell.sequences, **cell.constants}
    fixed = {**parameters, **{name: further[name] for name in cell.constants}}
    shapes = {name: a.shape[1:] for name, a in timed.items()}
    shapes |= {name: a.shape for name, a in {**initial, **fixed}.items()}
    sizes = dimensions.infer(declared, shapes, str(cell))
    adjoints = assembled(cell, tuple(seeds), cell.program(**sizes))
    steps = len(xs)
    values: Values = {(name, None): a for name, a in fixed.items()}
    values |= {(name, 0): a for name, a in initial.items()}
    for name, array in {**timed, **forward}.items():
        values |= {(name, t + 1): array[t] for t in range(steps)}
    for name, array in seeds.items():
        values |= {(f"seed.{name}", t + 1): array[t] for t in range(steps)}
    found = run_backward(adjoints, values, steps)
    for name in timed:
        found[name] = np.stack([values[f"bar.{name}", t + 1] for t in range(steps)])
    return {name: found[name] for name in cell.program(**sizes).inputs}
