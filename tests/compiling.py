"""Problems for compiled cells, and everything that a run of one tells, side by side."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest

from tinygrad_lstm import Tensor, cells, compiled, unroll
from tinygrad_lstm import sizes as dimensions
from tinygrad_lstm.errors import TinygradError
from tinygrad_lstm.tensor import Array

TOLERANCE = {("numpy", "d"): 1e-12, ("numpy", "f"): 1e-5, ("c", "d"): 1e-10, ("c", "f"): 1e-5}
LENGTHS = [6, 2, 4]

FURTHER: dict[str, dict[str, Any]] = {  # further inputs of the built-in cells: their shapes
    "clockwork": {
        "clock": lambda s, time, lead: (time, s["hidden"]),
        "mask": lambda s, time, lead: (s["hidden"], s["hidden"]),
    },
    "depth_gated": {"C_below": lambda s, time, lead: (time, *lead, s["hidden"])},
    "lstm_1997": {"expand": lambda s, time, lead: (s["cells"], s["blocks"])},
}


def compiler() -> str:
    """Why there is no compiled C here; empty where there is."""
    try:
        p = cells.rnn.init(inputs=1, hidden=1)
        unroll(compiled(cells.rnn, code="c"), p, np.ones((1, 1)))
    except TinygradError as error:
        return str(error)
    return ""


MISSING = compiler()
CODES = ["numpy", pytest.param("c", marks=pytest.mark.skipif(bool(MISSING), reason=MISSING))]


@dataclass
class Problem:
    """What `unroll` takes, as arrays; each `run` makes fresh Tensors of them."""

    parameters: dict[str, Array]
    xs: Array
    initial: dict[str, Array] = field(default_factory=dict)
    further: dict[str, Array] = field(default_factory=dict)
    lengths: Any = None
    reverse: bool = False

    def run(self, network: Any) -> tuple[Any, dict[str, Tensor]]:
        """The run, and everything that a gradient is wanted of."""
        leaves = {name: Tensor(value, name) for name, value in self.parameters.items()}
        leaves |= {f"initial {n}": Tensor(value) for n, value in self.initial.items()}
        leaves |= {n: Tensor(value) for n, value in self.further.items()}
        leaves["xs"] = Tensor(self.xs)
        run = unroll(
            network, {n: leaves[n] for n in self.parameters}, leaves["xs"],
            {n: leaves[f"initial {n}"] for n in self.initial},
            lengths=self.lengths, reverse=self.reverse, **{n: leaves[n] for n in self.further},
        )  # fmt: skip
        return run, leaves


def problem(
    network: Any, lead: tuple[int, ...] = (3,), dtype: Any = np.float64, time: int = 6,
    initial: bool = True, seed: int = 1, **options: Any,
) -> Problem:  # fmt: skip
    """A small problem of a network; its sizes are all different."""
    random = np.random.default_rng(seed)
    sizes = {size: 3 + k for k, size in enumerate(network.sizes)}

    def drawn(shape: tuple[int, ...]) -> Array:
        return random.normal(size=shape).astype(dtype)

    weights = network.init(seed=seed, dtype=dtype, **sizes)
    parameters = {name: drawn(tensor.shape) * 0.5 for name, tensor in weights.items()}
    xs = drawn((time, *lead, *dimensions.shape(network.x, sizes)))
    program = network.program(**sizes)
    states = {n: drawn((*lead, *program.inputs[f"prev.{n}"].shape)) for n in network.state}
    further = {
        name: drawn(shape(sizes, time, lead))
        for name, shape in FURTHER.get(getattr(network, "name", ""), {}).items()
    }
    return Problem(parameters, xs, states if initial else {}, further, **options)


def everything(network: Any, given: Problem, equations: bool = True) -> dict[str, Array]:
    """Every value and gradient of a run, by name.

    The loss weighs every equation at every step and every final state, or only the output's steps
    and final states, one step of it twice.
    """
    run, leaves = given.run(network)
    random = np.random.default_rng(2)
    loss: Any = 0.0
    for name in run.names:
        weights = random.normal(size=run[name].shape).astype(run[name].dtype)
        if equations or name == network.output:
            loss = loss + (run[name] * weights).sum()
    for value in run.final.values():
        loss = loss + (value * random.normal(size=value.shape).astype(value.dtype)).sum()
    loss = loss + (run.steps[2][network.output] ** 2).sum()
    loss.backward()
    found = {name: run[name].numpy() for name in run.names}
    found |= {f"final {name}": value.numpy() for name, value in run.final.items()}
    found |= {
        f"{name} at {t}": run.steps[t][name].numpy()
        for t in (0, len(run) - 1) for name in run.names
    }  # fmt: skip
    for name, leaf in leaves.items():
        zero = np.zeros(leaf.shape, leaf.dtype)
        found[f"gradient of {name}"] = zero if leaf.grad is None else leaf.grad.numpy()
    return found


def agree(one: dict[str, Array], other: dict[str, Array], tolerance: float) -> None:
    """Names, shapes, dtypes and values are the same, values up to the scale of each array."""
    assert set(one) == set(other)
    for name, value in one.items():
        assert (value.shape, value.dtype) == (other[name].shape, other[name].dtype), name
        scale = max(1.0, float(np.max(np.abs(value), initial=0.0)))
        assert np.isfinite(value).all(), name
        worst = float(np.max(np.abs(value - other[name]), initial=0.0)) / scale
        assert worst <= tolerance, f"{name}: {worst}"


def compare(
    network: Any, given: Problem, code: str, equations: bool = True, **options: Any
) -> None:
    """The compiled network computes what the interpreter computes."""
    tolerance = TOLERANCE[code, given.xs.dtype.char]
    plain = everything(network, given, equations)
    agree(plain, everything(compiled(network, code, **options), given, equations), tolerance)
