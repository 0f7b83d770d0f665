"""A network with what training needs around it: its input, a linear read-out, a loss.

    x_t = E[symbol_t]       (input "embedding"), or a row of the identity ("one-hot"), or as given,
                            or E · what is given ("linear")
    h_t = the network's output
    z_t = W_y · h_t + b_y
    L_t = the loss of z_t and target_t

Of a cell, the step with read-out and loss is one Program, `Readout.step`: it is planned, printed
and differentiated as one, and its products with W_y are packed and left to the end like all others.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from tinygrad_lstm import sizes as dimensions
from tinygrad_lstm.errors import CellError, DataError, ShapeError, unknown
from tinygrad_lstm.grids import Grid
from tinygrad_lstm.learning.flat import Flat
from tinygrad_lstm.learning.losses import LOSSES, Loss, check_indices, check_weights
from tinygrad_lstm.networks import System, width
from tinygrad_lstm.ops import matvec
from tinygrad_lstm.program import Program, named
from tinygrad_lstm.running import Run, unroll
from tinygrad_lstm.step import Cell
from tinygrad_lstm.tensor import Tensor

E, W_Y, B_Y = "input.E", "output.W_y", "output.b_y"
Z, LOSS, TARGET, X = "output.z", "output.L", "output.target", "input.x"
INPUTS = ("embedding", "one-hot")  # of symbols


@dataclass(frozen=True, eq=False)
class Readout:
    """A network, how it is read out, and the loss of that: what `readout` makes.

    network: a cell, a stack, or any other network; outputs: the length of z; loss: of `LOSSES`;
    at: "every" step has a target, or the "end" of each sequence; symbols: how many there are where
    the input is their numbers, 0 where it is given as vectors; input: what is made of a number;
    vectors: how long those are that the network reads through a matrix, 0 where it reads them.

    Its parameters are the network's own, `output.W_y` (outputs, hidden), `output.b_y` (outputs,)
    and `input.E`, with embedding input (symbols, inputs), with linear (inputs, vectors).
    """

    network: Cell | System
    outputs: int
    loss: Loss
    at: str = "every"
    symbols: int = 0
    input: str = "embedding"
    vectors: int = 0
    joined: ClassVar[bool] = True  # whether a cell's step with this is one Program

    def __post_init__(self) -> None:
        known = {*self.network.parameters, *self.network.program().equations}
        if taken := [name for name in (E, W_Y, B_Y, Z, LOSS, TARGET, X) if name in known]:
            raise CellError(
                f"{self.network} has {', '.join(taken)}, which is what the read-out is called.\n"
                f"  Call its part input or output otherwise."
            )

    def __str__(self) -> str:
        return f"{self.network} with {self.outputs} outputs and {self.loss.name}"

    __repr__ = __str__

    # --- parameters -------------------------------------------------------------------------------
    def init(self, seed: int = 0, dtype: Any = np.float32, **sizes: Any) -> Flat:
        """Fresh parameters in one vector: the network's own; E and W_y uniform, b_y zero.

        sizes: those of the network, and start values, as its `init` takes them. E is within ±1,
        or ±1/√vectors, W_y within ±1/√hidden.
        """
        random = np.random.default_rng([seed, 1])
        known = {n: v for n, v in sizes.items() if n in self.network.sizes}
        found = {n: t.data for n, t in self.network.init(seed=seed, dtype=dtype, **sizes).items()}
        if self.embeds:
            (inputs,) = self._x_shape(known)
            found[E] = random.uniform(-1.0, 1.0, (self.symbols, inputs))
        if self.vectors:
            shape = *self._x_shape(known), self.vectors
            found[E] = random.uniform(-1.0, 1.0, shape) / np.sqrt(self.vectors)
        hidden = self.width(known)
        found[W_Y] = random.uniform(-1.0, 1.0, (self.outputs, hidden)) / np.sqrt(hidden)
        found[B_Y] = np.zeros(self.outputs)
        return Flat.of({name: value.astype(dtype) for name, value in found.items()})

    @property
    def embeds(self) -> bool:
        """Whether symbols become rows of a matrix that is learnt."""
        return bool(self.symbols) and self.input == "embedding"

    def width(self, sizes: Mapping[str, int]) -> int:
        """How many numbers the network's output has."""
        if isinstance(self.network, System):
            return width(self.network, sizes)
        output = self.network.output
        shape = self.network.program(**sizes).equations[output].shape
        if len(shape) != 1:
            raise CellError(
                f"{self.network}: the output {output} has the shape {shape}, but a vector is "
                f"needed to predict from.\n  Name a state with one axis h."
            )
        return int(shape[0])

    def _x_shape(self, sizes: Mapping[str, int]) -> tuple[int, ...]:
        network = self.network
        own = network.complete(sizes) if isinstance(network, Cell) else sizes
        axes = dimensions.shape(network.x, own)
        if len(axes) != 1:
            raise CellError(f"{network}: x is ({network.x}), but a vector is to be read.")
        if self.symbols and self.input == "one-hot" and axes[0] != self.symbols:
            raise ShapeError(
                f"{network}: x is ({network.x}) = {axes[0]} numbers, but one-hot input has one for "
                f"each of the {self.symbols} symbols."
            )
        return axes

    # --- one step ---------------------------------------------------------------------------------
    def step(self, **sizes: int) -> Cell:
        """The cell's step with read-out and loss as a cell of its own: one Program.

        Beside the cell's equations it has `output.z` and `output.L`, its loss; `output.target` is
        a sequence, or a constant where only the end has a target.
        """
        cell = self.network
        if not isinstance(cell, Cell):
            raise CellError(f"{cell} has no step that is one Program; run its parts one by one.")
        inner = cell.program(**sizes)
        hidden, outputs = self.width(sizes), self.outputs
        target = () if self.loss.indices else (outputs,)
        shapes = {W_Y: (outputs, hidden), B_Y: (outputs,), TARGET: target}
        more = {name: Tensor.input(name, shape) for name, shape in shapes.items()}
        words, read = dict(inner.dimensions), {}
        inputs = {n: Tensor.input(n, t.shape) for n, t in inner.inputs.items()} | more
        if self.vectors:
            inputs[E] = Tensor.input(E, (*inputs["x"].shape, self.vectors))
            inputs["x"] = Tensor.input("x", (self.vectors,))
            read[X] = named(matvec(inputs[E], inputs["x"]), X)
            del words["x"]
        leaves = {**{n: inputs[n] for n in inner.inputs}, **({"x": read[X]} if read else {})}
        equations = read | inner.on(leaves, lambda name: name)
        z = named(matvec(more[W_Y], equations[cell.output]) + more[B_Y], Z)
        equations |= {Z: z, LOSS: named(self.loss.each(z, more[TARGET]), LOSS)}
        outputs_of = {name: equations[name] for name in cell.state}
        end = [TARGET] if self.at == "end" else []
        static = {*(inner.static or ()), E, W_Y, B_Y, *end} & {*inputs}
        whole = Program(cell.name, inputs, equations, outputs_of, words, inner.sizes, static)
        start = {n: v for n, v in cell.start.items() if n in (*cell.parameters, *cell.state)}
        constants = [*cell.constants, *end]
        return Cell.of(
            whole, output=Z, loss=LOSS, start=start, constants=constants, noise=cell.noise
        )

    # --- over a sequence --------------------------------------------------------------------------
    def read(self, p: Mapping[str, Any], xs: Any) -> Any:
        """What the network is given: rows for the numbers of symbols, or xs, or E · xs."""
        if self.vectors:
            rows = np.reshape(xs, (-1, self.vectors)).astype(p[E].dtype)
            return matvec(p[E], rows).reshape((*np.shape(xs)[:-1], -1))
        if not self.symbols:
            return xs
        numbers = np.asarray(xs)
        check_indices("symbols", numbers, self.symbols)
        if self.embeds:
            return p[E][numbers]
        return np.eye(self.symbols, dtype=p[W_Y].dtype)[numbers]

    def run(self, p: Mapping[str, Any], xs: Any, network: Any = None, **options: Any) -> Run:
        """The network over a sequence: `unroll` with these options.

        xs: (time, batch, …) or (time, …), of vectors or of numbers of symbols; network: its own,
        or `compiled` of it.
        """
        own = {name: p[name] for name in self.network.parameters}
        return unroll(network or self.network, own, self.read(p, xs), **options)

    def predict(self, p: Mapping[str, Any], run: Run, lengths: Any = None) -> Tensor:
        """z = W_y · h + b_y of a run: (time, batch, outputs), or (batch, outputs) at the end."""
        h = run[run.cell.output]
        if self.at == "end":
            last = ends(lengths, h.shape[0], h.shape[1:-1])
            h = h[(last, *np.indices(h.shape[1:-1]))]
        rows = h.reshape((-1, h.shape[-1]))  # one matrix product for all of them
        z: Tensor = matvec(p[W_Y], rows) + p[B_Y]
        return z.reshape((*h.shape[:-1], self.outputs))

    def batch_loss(
        self, p: Mapping[str, Any], run: Run, target: Any, weights: Any, lengths: Any
    ) -> Tensor:
        """The mean loss of a run over all positions that its sequences have."""
        if self.at == "every" and lengths is not None:
            steps = np.arange(len(run)).reshape(-1, *(1,) * np.ndim(lengths))
            weights = (steps < np.asarray(lengths)) * np.asarray(
                1.0 if weights is None else weights
            )
        found: Tensor = self.mean_loss(self.predict(p, run, lengths), target, weights)
        return found

    def mean_loss(self, z: Any, target: Any, weights: Any = None) -> Any:
        """The mean loss of predictions over all positions, or Σ w L / Σ w with weights w."""
        if (
            weights is not None
            and not self.loss.indices
            and self.loss.mean is LOSSES["squared-error"].mean
        ):
            weights = check_weights(weights, z.shape[:-1], z.dtype)[0]
            weights = np.broadcast_to(weights[..., None], z.shape)
        return self.loss.mean(z, target, weights)


def readout(
    network: Cell | System,
    outputs: int,
    *,
    loss: str = "cross-entropy",
    at: str = "every",
    symbols: int = 0,
    input: str = "embedding",
    vectors: int = 0,
) -> Readout:
    """A network with a linear read-out of `outputs` numbers and a loss, to be trained.

        model = readout(cells.lstm, outputs=80, symbols=80)        # reads and predicts symbols
        model = readout(cells.gru, outputs=1, loss="squared-error", at="end")

    loss: "cross-entropy" of softmax(z) and the index of what came; "squared-error", the mean over
    the outputs; "bernoulli", the negative log-likelihood of entries that are 1 with probability
    σ(z). at: whether "every" step has a target, or only the "end" of each sequence. symbols: how
    many there are, where the input is their numbers; input: what becomes of a number, a row of an
    "embedding" that is learnt, or a "one-hot" vector. vectors: how long the vectors are, where the
    network is to read them through a matrix that is learnt, E · x, since its own x has another
    length, as that of the cells MUT has: that of the state.
    """
    if not isinstance(network, Cell | System):
        raise CellError(f"readout needs a cell or a network, got {network!r}.")
    if isinstance(network, Grid) or (isinstance(network, System) and not network.is_one_step):
        what = "places along its axes" if isinstance(network, Grid) else "parts with other steps"
        raise CellError(
            f"readout predicts from a network's output at each step, but {network} has {what}.\n"
            f"  Declare its loss, @cell(loss=…), or compute one of what unroll returns, and train "
            f"by value_and_grad."
        )
    if loss not in LOSSES:
        raise unknown(f"there is no loss {loss!r}", "write one of", LOSSES)
    if at not in ("every", "end"):
        raise DataError(f"at is 'every' or 'end', got {at!r}.")
    if input not in INPUTS:
        raise DataError(f"input is {' or '.join(map(repr, INPUTS))}, got {input!r}.")
    counts = ("outputs", outputs, 1), ("symbols", symbols, 0), ("vectors", vectors, 0)
    for what, number, least in counts:
        if not isinstance(number, int | np.integer) or number < least:
            raise DataError(f"{what} is a whole number of at least {least}, got {number!r}.")
    if symbols and vectors:
        raise DataError("the input is either symbols or vectors; give one of the two.")
    return Readout(network, int(outputs), LOSSES[loss], at, int(symbols), input, int(vectors))


def ends(lengths: Any, time: int, batch_shape: tuple[int, ...]) -> Any:
    """The index of each sequence's last step."""
    return np.broadcast_to(time if lengths is None else np.asarray(lengths), batch_shape) - 1
