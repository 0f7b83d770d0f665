"""What is looked at before a cell that nobody wrote is trained: is it sound, and a new one?"""

from __future__ import annotations

import hashlib
import warnings
import zlib
from dataclasses import dataclass
from typing import Any

import numpy as np

from tinygrad_lstm.array_files import equations_of
from tinygrad_lstm.errors import TinygradError
from tinygrad_lstm.running import unroll
from tinygrad_lstm.step import Cell
from tinygrad_lstm.tensor import Array

SHORT, LONG = 50, 300  # steps after which the size of states is compared
_GROWN = 3.0


@dataclass(frozen=True)
class Examination:
    """What `examine` found of a cell.

    fault: why it is not worth a training, "" where nothing was found: its gradient is not finite,
    or its output does not depend on x or on the states. bounded: whether states that are driven
    for 300 steps are at most three times as large as after 50; they may grow for ever, as the
    LSTM's C, and be worth it. largest: the largest entry of a state then.
    """

    fault: str
    bounded: bool
    largest: float


def fingerprint(cell: Cell) -> str:
    """A word for a cell's equations as they are written: 16 hexadecimal digits of their SHA-256."""
    text = "\n".join(equations_of(cell))
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def behaviour(cell: Cell) -> str:
    """A word for what a cell computes: two that are written otherwise and compute alike share it.

    The states after three steps, in float64 and to eight digits, from parameters and inputs that
    are drawn by their names: a b and b a, x + 0 and x, equations under other names are alike.
    """
    sizes = cell.small_sizes()
    program = cell.program(**sizes)
    drawn = {name: _drawn(name, node.shape) for name, node in program.inputs.items()}
    seen: list[Array] = []
    with np.errstate(all="ignore"):
        for _ in range(3):
            found = program.run(**drawn)
            drawn |= {f"prev.{name}": np.asarray(found[name]) for name in cell.state}
            seen += [np.asarray(found[name]).reshape(-1) for name in (*cell.state, cell.output)]
    digits = " ".join(f"{value:.8g}" for value in np.concatenate(seen))
    return hashlib.sha256(digits.replace("-0 ", "0 ").encode()).hexdigest()[:16]


def _drawn(name: str, shape: tuple[int, ...]) -> Array:
    drawn: Array = np.random.default_rng(zlib.crc32(name.encode())).normal(0.0, 0.7, shape)
    return drawn


def examine(cell: Cell, steps: int = 20, seed: int = 0) -> Examination:
    """Look at a cell: its gradient over some steps, what its output depends on, its states' growth.

    Sizes are small and parameters, inputs and starts are random, three times as large for the
    growth as for the gradient.
    """
    random = np.random.default_rng(seed)
    try:
        with np.errstate(all="ignore"), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of starts from which some parameter cannot learn
            fault = _fault(cell, random, steps)
            if fault:
                return Examination(fault, False, float("nan"))
            short, long = (_largest(cell, n, seed) for n in (SHORT, LONG))
    except TinygradError as error:
        return Examination(str(error).splitlines()[0], False, float("nan"))
    finite = bool(np.isfinite(long))
    fault = "" if finite else f"its states are not finite after {LONG} steps"
    return Examination(fault, finite and long <= _GROWN * max(short, 1.0), long)


def _inputs(cell: Cell, random: np.random.Generator, steps: int) -> tuple[Array, dict[str, Any]]:
    inputs = cell.program(**cell.small_sizes()).inputs
    xs = random.normal(size=(steps, 1, *inputs["x"].shape))
    more: dict[str, Any] = {
        n: random.normal(size=(steps, *inputs[n].shape)) for n in cell.sequences
    }
    more |= {n: random.normal(size=inputs[n].shape) for n in cell.constants}
    return xs, more


def _fault(cell: Cell, random: np.random.Generator, steps: int) -> str:
    program = cell.program(**cell.small_sizes())
    values = {n: random.normal(0.0, 0.7, node.shape) for n, node in program.inputs.items()}
    wrt = ["x", *(f"prev.{n}" for n in cell.state)]
    grad = program.gradient(wrt=wrt, of=[*cell.state])
    seeds = {f"seed.{n}": np.ones(program.equations[n].shape) for n in cell.state}
    found = grad.run(**values, **seeds)
    if not any(np.any(found[f"prev.{n}"]) for n in cell.state):
        return "its states do not depend on the states before"
    if not np.any(found["x"]):
        return "it does not depend on x"
    xs, more = _inputs(cell, random, steps)
    p = cell.init(seed=1, **cell.small_sizes())
    run = unroll(cell, p, xs, **more)
    output = run[cell.output]
    if not np.isfinite(output.data).all():
        return f"its output is not finite within {steps} steps"
    (output * random.normal(size=output.shape)).sum().backward()
    gradients = {n: t.grad for n, t in p.items()}
    bad = [n for n, g in gradients.items() if g is not None and not np.isfinite(g.data).all()]
    if bad:
        return f"the gradient of {bad[0]} is not finite"
    if not any(g is not None and np.any(g.data) for g in gradients.values()):
        return "no parameter has a gradient"
    return ""


def _largest(cell: Cell, steps: int, seed: int) -> float:
    """The largest entry of a state after steps with one input and larger parameters."""
    random = np.random.default_rng([seed, 7])
    program = cell.program(**cell.small_sizes())
    fixed: dict[str, Array] = {
        n: 3.0 * np.asarray(t.data) for n, t in cell.init(seed=2, **cell.small_sizes()).items()
    }
    values: dict[str, Array] = {
        n: random.normal(size=node.shape) for n, node in program.inputs.items()
    }
    values |= {f"prev.{n}": np.zeros(program.inputs[f"prev.{n}"].shape) for n in cell.state} | fixed
    largest = 0.0
    for _ in range(steps):
        found = program.run(**values)
        values |= {f"prev.{n}": np.asarray(found[n]) for n in cell.state}
        largest = max(float(np.max(np.abs(found[n]))) for n in cell.state)
        if not np.isfinite(largest):
            break
    return largest
