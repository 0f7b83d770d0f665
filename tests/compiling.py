"""Problems for compiled cells, and everything that a run of one tells, side by side."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest

from tinygrad_lstm import Cell, Tensor, cells, compiled, unroll
from tinygrad_lstm import sizes as dimensions
from tinygrad_lstm.errors import TinygradError
from tinygrad_lstm.tensor import Array

TOLERANCE = {("numpy", "d"): 1e-12, ("numpy", "f"): 1e-5}
TOLERANCE |= {
    (c, kind): to for c in ("c", "js", "wasm") for kind, to in (("d", 1e-10), ("f", 1e-5))
}
LENGTHS = [6, 2, 4]

FURTHER: dict[str, dict[str, Any]] = {  # further inputs of the built-in cells: their shapes
    "clockwork": {
        "clock": lambda s, time, lead: (time, s["hidden"]),
        "mask": lambda s, time, lead: (s["hidden"], s["hidden"]),
    },
    "depth_gated": {"C_below": lambda s, time, lead: (time, *lead, s["hidden"])},
    "lstm_1997": {"expand": lambda s, time, lead: (s["cells"], s["blocks"])},
}


def missing(code: str) -> str:
    """Why code of a kind cannot run here; empty where it can."""
    try:
        p = cells.rnn.init(inputs=1, hidden=1)
        unroll(compiled(cells.rnn, code=code), p, np.ones((1, 1)))
    except TinygradError as error:
        return str(error)
    return ""


MISSING = missing("c")
CODES = ["numpy", pytest.param("c", marks=pytest.mark.skipif(bool(MISSING), reason=MISSING))]
NO_NODE = missing("js")
NO_WASM = missing("wasm")
JS = pytest.param("js", marks=pytest.mark.skipif(bool(NO_NODE), reason=NO_NODE))


@dataclass
class Problem:
    """What `unroll` takes, as arrays; each `run` makes fresh Tensors of them."""

    parameters: dict[str, Array]
    xs: Array
    initial: dict[str, Array] = field(default_factory=dict)
    further: dict[str, Array] = field(default_factory=dict)
    lengths: Any = None
    reverse: bool = False

    def leaves(self) -> dict[str, Tensor]:
        """Everything that a gradient is wanted of, afresh."""
        leaves = {name: Tensor(value, name) for name, value in self.parameters.items()}
        leaves |= {f"initial {n}": Tensor(value) for n, value in self.initial.items()}
        leaves |= {n: Tensor(value) for n, value in self.further.items()}
        return leaves | {"xs": Tensor(self.xs)}

    def run(self, network: Any) -> tuple[Any, dict[str, Tensor]]:
        """The run, and everything that a gradient is wanted of."""
        leaves = self.leaves()
        run = unroll(
            network,
            {n: leaves[n] for n in self.parameters},
            leaves["xs"],
            {n: leaves[f"initial {n}"] for n in self.initial},
            lengths=self.lengths,
            reverse=self.reverse,
            **{n: leaves[n] for n in self.further},
        )
        return run, leaves


def problem(
    network: Any,
    lead: tuple[int, ...] = (3,),
    dtype: Any = np.float64,
    time: int = 6,
    initial: bool = True,
    seed: int = 1,
    **options: Any,
) -> Problem:
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
    """Every value and gradient of a run, by name; a gradient that does not flow is not there.

    The loss weighs every equation at every step and every final state, or only the output's steps
    and final states, one step of it twice.
    """
    run, leaves = given.run(network)
    loss: Any = (run.steps[2][network.output] ** 2).sum()
    found = {name: run[name] for name in run.names}
    counted = found if equations else {network.output: run[network.output]}
    found |= {f"final {name}": value for name, value in run.final.items()}
    for name, value in found.items():
        if name in counted or name.startswith("final "):
            loss = loss + (value * weights(name, value.shape, given)).sum()
    loss.backward()
    found |= {f"{name} at {t}": run.steps[t][name] for t in (0, len(run) - 1) for name in run.names}
    return {n: value.numpy() for n, value in found.items()} | gradients(leaves)


def by_samples(own: Cell, given: Problem, equations: bool = True) -> dict[str, Array]:
    """The same by the interpreter, which reads one sample after another up to its own end."""
    leaves, time = given.leaves(), len(given.xs)
    lead = given.xs.shape[1 : given.xs.ndim - len(dimensions.parse(own.x))]

    def cut(leaf: Any, words: str, *index: Any) -> Any:
        """What a sample reads of a value that is the batch's, or has one for each."""
        shared = leaf.ndim == len(dimensions.parse(words)) + len(index) - len(lead)
        index = index[: len(index) - len(lead)] if shared else index
        return leaf[index] if index else leaf

    found: dict[str, Array] = {}
    loss: Any = 0.0
    for at in np.ndindex(lead):
        end = slice(time if given.lengths is None else np.asarray(given.lengths)[at])
        further = {n: cut(leaves[n], words, end, *at) for n, words in own.sequences.items()}
        further |= {n: cut(leaves[n], words, *at) for n, words in own.constants.items()}
        initial = {n: cut(leaves[f"initial {n}"], own.state[n], *at) for n in given.initial}
        run = unroll(
            own,
            {n: leaves[n] for n in given.parameters},
            cut(leaves["xs"], own.x, end, *at),
            initial,
            reverse=given.reverse,
            **further,
        )
        if len(run) > 2:
            loss = loss + (run.steps[2][own.output] ** 2).sum()
        for name in run.names:
            steps = run[name]
            shape = (time, *lead, *steps.shape[1:])
            whole = found.setdefault(name, np.zeros(shape, steps.dtype))
            whole[(end, *at)] = steps.data
            if equations or name == own.output:
                loss = loss + (steps * weights(name, shape, given)[(end, *at)]).sum()
        for name, value in run.final.items():
            shape, name = (*lead, *value.shape), f"final {name}"
            found.setdefault(name, np.zeros(shape, value.dtype))[at] = value.data
            loss = loss + (value * weights(name, shape, given)[at]).sum()
    loss.backward()
    found |= {
        f"{name} at {t}": whole[t]
        for name, whole in found.items()
        for t in (0, time - 1)
        if not name.startswith("final ")
    }
    return found | gradients(leaves)


def gradients(leaves: dict[str, Tensor]) -> dict[str, Array]:
    """The gradients that have reached leaves."""
    reached = ((name, leaf.grad) for name, leaf in leaves.items())
    return {f"gradient of {name}": g.numpy() for name, g in reached if g is not None}


def weights(name: str, shape: tuple[int, ...], given: Problem) -> Array:
    """How much each entry of a value counts in the loss."""
    return np.random.default_rng([*name.encode()]).normal(size=shape).astype(given.xs.dtype)


def agree(one: dict[str, Array], other: dict[str, Array], tolerance: float) -> None:
    """Names, shapes, dtypes and values are the same, values up to the scale of each array."""
    assert set(one) == set(other), set(one) ^ set(other)
    for name, value in one.items():
        assert (value.shape, value.dtype) == (other[name].shape, other[name].dtype), name
        assert np.isfinite(value).all(), name
        if value.dtype == bool:
            assert np.array_equal(value, other[name]), name
            continue
        scale = max(1.0, float(np.max(np.abs(value), initial=0.0)))
        worst = float(np.max(np.abs(value - other[name]), initial=0.0)) / scale
        assert worst <= tolerance, f"{name}: {worst}"


def compare(
    network: Any,
    given: Problem,
    code: str,
    equations: bool = True,
    right: Callable[..., dict[str, Array]] = everything,
    **options: Any,
) -> None:
    """The compiled network computes what the interpreter computes."""
    tolerance = TOLERANCE[code, given.xs.dtype.char]
    plain = right(network, given, equations)
    agree(plain, everything(compiled(network, code, **options), given, equations), tolerance)
