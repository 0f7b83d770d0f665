"""Every property of a cell: those of the engine, and SymPy against the engine."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Iterator
from typing import Any

import numpy as np
from hypothesis import configuration

import equations
from equations.algebra import EquationError
from tinygrad_lstm.grids import Grid
from tinygrad_lstm.networks import System
from tinygrad_lstm.running import unroll
from tinygrad_lstm.step import Cell
from tinygrad_lstm.tensor import Array, Tensor
from tinygrad_lstm.testing.properties import (
    PROPERTIES,
    NotApplicable,
    Outcome,
    Property,
    equal,
    examine,
)
from tinygrad_lstm.testing.strategies import Case


def sympy_against_engine(case: Case) -> float:
    """The equations that SymPy derives give the gradients that backward gives.

    The loss reads every named equation at every step, with random weights of its own.
    """
    cell = case.cell
    if isinstance(cell, System):
        parts = ", ".join(cell.parts)
        raise NotApplicable(f"SymPy derives the step of a cell; check the parts: {parts}.")
    if isinstance(cell, Grid):
        raise NotApplicable(f"SymPy derives one step; check the block, {cell.block}.")
    leaves = cell.bind(case.parameters, **case.sizes)
    begin = {name: Tensor(value, f"prev.{name}") for name, value in case.initial.items()}
    further = {name: Tensor(value, name) for name, value in case.further.items()}
    xs = Tensor(case.xs, "x")
    run = unroll(cell, leaves, xs, begin, **further)
    random = np.random.default_rng(0)
    names = cell.program(**case.sizes).equations
    seeds = {name: random.normal(size=run[name].shape) for name in names}
    total: Any = Tensor(0.0)
    for name, seed in seeds.items():
        total = total + (run[name] * seed).sum()
    total.backward()
    try:
        derived = equations.gradients(
            cell, case.parameters, case.xs, seeds, case.initial, **case.further
        )
    except EquationError as error:
        raise NotApplicable(f"SymPy has no derivative for this cell: {error}") from error
    found = {"x": xs, **{f"prev.{name}": t for name, t in begin.items()}, **further, **leaves}
    words = "by backward", "by the equations that SymPy derived"
    return max(
        equal(f"the gradient of {name}", words, _gradient(t), np.asarray(derived[name]))
        for name, t in found.items()
    )


def _gradient(t: Tensor) -> Array:
    return np.zeros(t.shape) if t.grad is None else t.grad.numpy()


EVERY_PROPERTY = (
    PROPERTIES[0],
    Property("SymPy against engine", sympy_against_engine, {}),
    *PROPERTIES[1:],
)


def check(cell: Cell, examples: int = 25, seed: int = 0) -> list[Outcome]:
    """Try every property on `examples` drawn cases each.

    Raises CellError or ShapeError for a cell that does not run at all.
    """
    cell.init(**cell.small_sizes())
    with hypothesis_elsewhere():
        return [examine(cell, what, examples, seed) for what in EVERY_PROPERTY]


@contextlib.contextmanager
def hypothesis_elsewhere() -> Iterator[None]:
    """Hypothesis keeps a folder of its own where it is run; let that be a passing one."""
    before = configuration.storage_directory(intent_to_write=False).home_directory
    with tempfile.TemporaryDirectory() as scratch:
        configuration.set_hypothesis_home_dir(scratch)
        try:
            yield
        finally:
            configuration.set_hypothesis_home_dir(before)
