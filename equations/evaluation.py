"""From SymPy back to operations: equations as numbers or as a Program, gradients over a sequence.

Only what the engine computes forward is used, never its derivative rules.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import reduce
from typing import Any

import numpy as np
import sympy
from sympy import Add, Expr, Mul, Pow

from equations.adjoints import Adjoints, assemble
from equations.algebra import (
    RELATIONS,
    EquationError,
    Extent,
    Literal,
    Nothing,
    Running,
    SymbolicOperation,
    SymbolicValue,
    clip,
    detach,
    factors,
    is_divisor,
    plus,
    terms,
)
from equations.places import is_lettered, letter_of
from tinygrad_lstm import prod, reshape, transpose, where
from tinygrad_lstm.errors import ShapeError
from tinygrad_lstm.notation import space_of
from tinygrad_lstm.program import Program, named
from tinygrad_lstm.running import unroll
from tinygrad_lstm.sequence_inputs import prepare, read_inputs
from tinygrad_lstm.step import Cell
from tinygrad_lstm.tensor import Array, Letter, Tensor, apply, constant


def evaluate(expr: Expr, known: dict[Expr, Any]) -> Any:
    """An expression carried out by the engine's operations: on arrays, or as a node of a graph.

    known: the named values in it, arrays or Tensors; what is computed is added.
    """
    if isinstance(expr, SymbolicValue) or expr in known:
        return known[expr]
    if is_lettered(expr):
        return _over_places(expr, known)
    if isinstance(expr, Literal):
        return expr.data
    if isinstance(expr, Extent | Nothing):
        return float(getattr(expr, "count", 0))
    if expr.is_Number or isinstance(expr, sympy.NumberSymbol):
        return float(expr)
    known[expr] = _apply(expr, known)
    return known[expr]


class _AtPlace(dict[Expr, Any]):
    """Values at one place: what is known everywhere, and what is computed for it alone."""

    def __init__(self, outside: dict[Expr, Any], letter: Letter, place: int) -> None:
        super().__init__({Running(letter): float(place + 1)})
        self._outside, self._free = outside, letter

    def __missing__(self, expr: Expr) -> Any:
        return self._outside[expr]

    def __contains__(self, expr: object) -> bool:
        return super().__contains__(expr) or expr in self._outside


def _over_places(expr: SymbolicOperation, known: dict[Expr, Any]) -> Any:
    """A row, and what is written for one place: for one place after the other."""
    (operand,), letter = expr.operands, letter_of(expr)
    if expr.op == "row":
        place = int(known[Running(letter)]) - 1
        return apply("getitem", evaluate(operand, known), index=(place,))
    values = [evaluate(operand, _AtPlace(known, letter, k)) for k in range(int(letter.length))]
    if expr.op == "each":
        return apply("stack", *values, axis=0)
    return reduce(lambda total, value: apply("add", total, value), values)


def _apply(expr: Expr, known: dict[Expr, Any]) -> Any:
    """The function at the head of an expression, of the values of its arguments."""

    def of(part: Expr) -> Any:
        return evaluate(part, known)

    if isinstance(expr, Add):
        return reduce(lambda total, term: _plus(total, term, known), terms(expr), None)
    if isinstance(expr, Mul):
        return _product(factors(expr), known)
    if isinstance(expr, Pow):
        if is_divisor(expr):
            return _product([expr], known)
        if expr.exp == sympy.S.Half:
            return apply("sqrt", of(expr.base))
        return apply("power", of(expr.base), of(expr.exp))
    if isinstance(expr, SymbolicOperation):
        return _mixed(expr, *map(of, expr.operands[:1] if expr.op == "block" else expr.operands))
    if isinstance(expr, clip):
        low, high = (float(end) if end.is_finite else None for end in expr.args[1:])
        return apply("clip", of(expr.args[0]), low=low, high=high)
    if isinstance(expr, detach):  # a constant, also where its argument is changed by an iε
        x = of(expr.args[0])
        return apply("detach", x) if isinstance(x, Tensor) else np.real(x)
    op = "abs" if isinstance(expr, sympy.Abs) else getattr(expr, "op", type(expr).__name__)
    value = apply(op, *map(of, expr.args))
    return apply("multiply", value, 1.0) if op in RELATIONS else value  # a number, to add and take


def _plus(total: Any, term: Expr, known: dict[Expr, Any]) -> Any:
    """A sum and one more term, taken from it if that has a minus."""
    first, *rest = factors(term)
    if total is not None and first == -1 and rest:
        return apply("subtract", total, _product(rest, known))
    value = evaluate(term, known)
    return value if total is None else apply("add", total, value)


def _product(parts: list[Expr], known: dict[Expr, Any]) -> Any:
    first, *rest = parts
    if first == -1 and rest:
        return apply("negative", _product(rest, known))
    value: Any = None
    for part in parts:
        if is_divisor(part):
            below = evaluate(Pow(part.base, -part.exp, evaluate=part.exp == -1), known)
            value = apply("divide", 1.0 if value is None else value, below)
        else:
            factor = evaluate(part, known)
            value = factor if value is None else apply("multiply", value, factor)
    return value


def _mixed(expr: SymbolicOperation, *operands: Any) -> Any:
    """An operation that mixes units; those that only gradients need are made of the engine's."""
    x, settings = operands[0], expr.settings
    if expr.op == "block":
        return apply("getitem", x, index=settings["index"])
    if expr.op == "spread":
        kept = apply("reshape", x, shape=settings["kept"])
        return apply("broadcast_to", kept, shape=settings["shape"])
    if expr.op == "reversed_cumsum":
        axis = settings["axis"]
        back = (slice(None),) * (axis % x.ndim) + (slice(None, None, -1),)
        turned = apply("cumsum", apply("getitem", x, index=back), axis=axis)
        return apply("getitem", turned, index=back)
    if expr.op == "prod_of_others":
        axes = settings["axis"]
        order = (*(a for a in range(x.ndim) if a not in axes), *axes)
        lengths = [x.shape[a] for a in order]
        n = int(np.prod([x.shape[a] for a in axes]))
        rows = reshape(transpose(x, order), (*lengths[: -len(axes)], 1, n))
        others = prod(where(np.eye(n, dtype=bool), 1.0, rows), -1)  # for each entry without itself
        return transpose(reshape(others, tuple(lengths)), tuple(np.argsort(order).tolist()))
    return apply(expr.op, *operands, **settings)


# --- one step, forward and backward ---------------------------------------------------------------
def derived_program(adjoints: Adjoints) -> Program:
    """One step of a cell forward and backward, as SymPy has them.

    Its equations are what stands inside functions (`pre.f`), the named values (`f`), every adjoint
    as far as it comes from this step and the loss (`delta.f`, `bar.f`, `bar.W_f`), and what the
    states before receive (`bar.prev.C`). The adjoint that the loss, or the next step, gives a
    value is the input `seed.f`; an input that is called as an equation is `input.x`.
    """
    step, insides = adjoints.step, adjoints.insides
    inputs: dict[str, Tensor] = {}
    equations: dict[str, Tensor] = {}
    known: dict[Expr, Any] = {}

    def take(name: str, symbol: SymbolicValue, shape: tuple[int, ...]) -> None:
        inputs[name] = known[symbol] = Tensor.input(name, tuple(map(int, shape)))

    def put(label: str, symbol: SymbolicValue, parts: list[Expr], shape: tuple[int, ...]) -> None:
        value = evaluate(plus(*parts), dict(known)) if parts else 0.0
        if not isinstance(value, Tensor):
            value = constant(np.broadcast_to(value, shape))
        if value.shape != shape:
            value = apply("broadcast_to", value, shape=tuple(map(int, shape)))
        equations[label] = known[symbol] = named(value, label)

    for name, symbol in step.given.items():
        shape = step.shapes[symbol]
        take(name if space_of(name)[0] == "prev" else symbol.label, symbol, shape)
    for name in adjoints.loss:
        take(f"seed.{name}", SymbolicValue(f"seed.{name}"), step.shapes[SymbolicValue(name)])
    for label, expr in adjoints.opened.items():
        symbol = SymbolicValue(label)
        put(label, symbol, [expr], step.shapes[insides.get(label, symbol)])
    known |= {
        inside: known[sign]
        for inside, sign in reversed(adjoints.inside_names.items())
        if isinstance(sign, SymbolicValue)
    }
    for label, (symbol, parts) in adjoints.within_step.items():
        space, name = space_of(label)
        whole = insides[f"pre.{name}"] if space == "delta" else adjoints.source(label)
        whole = whole or SymbolicValue(name.removeprefix("prev."))
        put(label, symbol, parts, step.shapes[whole])
    return Program(f"derived {step.cell}", inputs, equations, {})


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
    p = cell.bind(parameters)
    run = unroll(cell, p, xs, initial, **further)
    inputs = read_inputs(cell, xs, initial, None, False, 0, further)
    ready, batch = prepare(cell, p, inputs), inputs.batch_shape
    given = {name: np.asarray(seed) for name, seed in seeds.items()}
    for name, seed in given.items():
        if seed.shape != run[name].shape:
            raise ShapeError(
                f"{cell}: the seed of {name} has shape {seed.shape}, but {name} over the "
                f"sequence is {run[name].shape}."
            )
    program = derived_program(assemble(cell, tuple({**seeds, **cell.state}), ready.program))
    each = {"x", *ready.each}  # of which every sample has its own; else the gradient is the sum
    found: dict[str, list[Array]] = {}
    later: dict[str, Array] = {}

    def seed_of(name: str, t: int) -> Array:
        shape = program.inputs[f"seed.{name}"].shape
        whole = np.zeros((*batch, *shape))
        if name in given:
            once = batch and given[name].ndim == 1 + len(shape)  # read once for the whole batch
            whole[slice(1) if once else ...] += given[name][t]
        return whole + later.get(name, 0.0)

    for t in reversed(range(inputs.time)):
        values: dict[str, Tensor] = {**p, "x": inputs.x(t)}
        values |= {name: value(t) for name, value in ready.extra_inputs.items()}
        labels = {n: f"input.{n}" if f"input.{n}" in program.inputs else n for n in values}
        before = {name: run[name][t - 1] if t else run.initial[name] for name in cell.state}
        bars = program.run(
            **{label: values[name].data for name, label in labels.items()},
            **{f"prev.{name}": state.data for name, state in before.items()},
            **{f"seed.{name}": seed_of(name, t) for name in {**seeds, **cell.state}},
        )
        later = {name: bars[f"bar.prev.{name}"] for name in cell.state}
        for name, label in labels.items():
            bar = bars[f"bar.{label}"]
            shared = batch and name not in each
            found.setdefault(name, []).insert(0, bar.sum(axis=0) if shared else bar)
    return {
        name: np.stack(bars) if name in ("x", *cell.sequences) else np.sum(bars, axis=0)
        for name, bars in found.items()
    } | {f"prev.{name}": bar for name, bar in later.items()}
