"""Running a network over a sequence: `unroll`."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from tinygrad_lstm.batching import Lifted
from tinygrad_lstm.errors import CellError, UnknownNameError, unknown
from tinygrad_lstm.functions import stack
from tinygrad_lstm.notebook_html import bundle, table
from tinygrad_lstm.ops import where
from tinygrad_lstm.parameters import Parameters
from tinygrad_lstm.program import Program
from tinygrad_lstm.sequence_inputs import SequenceInputs, prepare, read_inputs
from tinygrad_lstm.step import Cell
from tinygrad_lstm.tensor import Array, Tensor, TensorLike
from tinygrad_lstm.types import Network


class Moments(Sequence[Any]):
    """A value at each step of a sequence, made when it is first looked at."""

    def __init__(self, time: int, at: Callable[[int], Any]) -> None:
        self._time, self._at = time, at
        self._made: dict[int, Any] = {}

    def __getitem__(self, t: int | slice) -> Any:
        if isinstance(t, slice):
            return [self[k] for k in range(self._time)[t]]
        t = range(self._time)[t]
        if t not in self._made:
            self._made[t] = self._at(t)
        return self._made[t]

    def __len__(self) -> int:
        return self._time


class Final(Mapping[str, Tensor]):
    """The states after the last step, each made when it is first looked at."""

    def __init__(self, names: Iterable[str], at: Callable[[str], Tensor]) -> None:
        self._names, self._at = [*names], at
        self._made: dict[str, Tensor] = {}

    def __getitem__(self, name: str) -> Tensor:
        if name not in self._made:
            if name not in self._names:
                raise UnknownNameError(
                    f"there is no final state {name!r}; the states are {', '.join(self)}.\n"
                    f"  The last value of an equation is run.steps[-1][{name!r}]."
                )
            self._made[name] = self._at(name)
        return self._made[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)

    def __repr__(self) -> str:
        return repr(dict(self))


class Run:
    """What a network computed over a sequence.

    `run["f"]` is the named equation f at all steps, a Tensor (time, batch, hidden); `run.final`
    maps each state to its value after the last step that was read; `run.steps[t]` maps names to
    the Tensors of step t, counted from 0; `run.initial` maps each state to the value it started
    from; `run.inputs[t]` is x. Names within a stack or a bidirectional network carry the part's
    name: `run["2.f"]`, `run.final["backward.C"]`.
    """

    def __init__(
        self,
        network: Any,
        parameters: Parameters,
        inputs: Sequence[Tensor],
        initial: Mapping[str, Tensor],
        steps: Sequence[dict[str, Tensor]],
        final: Mapping[str, Tensor],
        whole: Callable[[str], Tensor | None] | None = None,
        names: Sequence[str] = (),
    ) -> None:
        self.cell, self.parameters, self.inputs = network, parameters, inputs
        self.initial, self.steps = initial, steps
        self.final = final if isinstance(final, Final) else Final(final, final.__getitem__)
        self.names = list(names or steps[0])
        self.whole = whole  # an equation at all steps, where no step has to be made for it
        self._stacked: dict[str, Tensor] = {}

    def __getitem__(self, name: str) -> Tensor:
        if name not in self._stacked:
            if name not in self.names:
                raise unknown(f"{self.cell} has no equation {name!r}", "it has", self.names)
            whole = self.whole(name) if self.whole else None
            if whole is None:
                whole = stack([step[name] for step in self.steps])
            self._stacked[name] = whole
        return self._stacked[name]

    @property
    def loss(self) -> Tensor:
        """The loss that the cell declares: its sum over the present steps, mean over the batch."""
        name = getattr(self.cell, "loss", None)
        if name is None:
            raise UnknownNameError(
                f'{self.cell} declares no loss; write @cell(loss="NAME") for a scalar equation, '
                f'or compute one from run["{self.cell.output}"].'
            )
        whole = self[name]
        return whole.sum() / (whole.size // len(self))

    def __len__(self) -> int:
        return len(self.steps)

    def __repr__(self) -> str:
        return f"Run of {self.cell} over {len(self)} steps: {', '.join(self.names)}"

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, str]:
        rows = [(name, self[name].shape) for name in self.names]
        return bundle(repr(self), table(rows, ("equation", "shape over time")))


def unroll(
    network: Network,
    p: Mapping[str, TensorLike],
    xs: TensorLike | None = None,
    initial: Mapping[str, TensorLike] | None = None,
    *,
    lengths: ArrayLike | Mapping[str, ArrayLike] | None = None,
    reverse: Any = False,  # not bool: a type checker lets **further, a mapping, hold any argument
    seed: Any = 0,
    **further: TensorLike,
) -> Run:
    """Run a network over a sequence.

    network: a cell, or a `stack`, `bidirectional` or `system` of cells. xs: (time, inputs) or
    (time, batch, inputs); of a system its first input, and each input may be given by its name,
    `unroll(net, p, source=xs, target=ys)`. A plain array is data; pass a Tensor where its gradient
    is wanted. initial: states before the first step, (hidden,) or (batch, hidden); where not given,
    what the cell's `start` says, or zero. lengths: the number of steps of each sequence of a padded
    batch, (batch,): what is computed past a sequence's end is zero, its final state is the one at
    its own end, and no gradient flows to its padding. Where inputs of a system have steps of their
    own, lengths are a mapping: {"source": [5, 3]}.
    reverse: read from the last step to the first; step t of the result is still that of x_t.
    further: the cell's other inputs by name, with a leading time axis where they are sequences;
    each has its own axes and is shared by the batch, or the axes of the batch before them. seed:
    of the noise that the cell declares, where it is not given.
    """
    if not isinstance(network, Cell) and not hasattr(network, "over"):
        raise CellError(
            f"unroll needs a cell, got {network!r}; write cells.lstm, or cells.all()[name]."
        )
    if not network.state:
        raise CellError(f"{network} has no state to carry over a sequence; it is a part of cells.")
    known = isinstance(p, Parameters) and p.tensors.keys() == network.parameters.keys()
    bound: Parameters = p if known else network.bind(p)  # type: ignore[assignment]
    first = getattr(network, "first", "x")
    if xs is None and first in further:
        xs = further.pop(first)
    inputs = read_inputs(network, xs, initial, lengths, reverse, seed, further)
    return over(network, bound, inputs)


def over(network: Any, p: Parameters, inputs: SequenceInputs) -> Run:
    """Run a network over a sequence that has been checked.

    A system of cells or a compiled cell has a way of its own, its method `over`; any other cell is
    interpreted.
    """
    own = getattr(network, "over", None)
    return interpret(network, p, inputs) if own is None else own(p, inputs)


def interpret(cell: Cell, p: Parameters, inputs: SequenceInputs) -> Run:
    """Run a cell step by step, each operation a node of the graph."""
    ready = prepare(cell, p, inputs)
    program = ready.program
    batched = {n for n in program.inputs if n == "x" or n.startswith("prev.") or n in ready.each}
    lifted = _lift(program, inputs.batch_shape, frozenset(batched), ready.dtype)
    states = ready.initial  # (batch, hidden) each
    fixed = {name: p[name] for name in cell.parameters}
    steps: list[dict[str, Tensor]] = []
    moments = range(inputs.time)
    for t in reversed(moments) if inputs.reverse else moments:
        values = {f"prev.{name}": state for name, state in states.items()} | fixed
        values |= {name: value(t) for name, value in ready.extra_inputs.items()}
        values["x"] = inputs.x(t)  # (batch, inputs)
        step = lifted.nodes([values[name] for name in lifted.inputs], t, inputs.prefix)
        new = {name: step[name] for name in cell.state}
        mask = inputs.mask[t]  # (batch)
        if mask is None:
            states = new
        else:  # a sequence that has ended keeps its state; what is computed is zero
            states = {n: _where(mask, v, states[n]) for n, v in new.items()}
            step = {n: _where(mask, v, np.zeros((), v.dtype)) for n, v in step.items()}
        steps.append(step)
    if inputs.reverse:
        steps.reverse()
    return Run(cell, p, [inputs.x(t) for t in moments], ready.initial, steps, states)


@lru_cache(maxsize=256)
def _lift(
    program: Program, batch_shape: tuple[int, ...], batched: frozenset[str], dtype: Any
) -> Lifted:
    """The step of a cell, ready for a kind of batch."""
    return Lifted(program.equations, program.inputs, batch_shape, batched, dtype)


def _where(mask: Array, value: Tensor, otherwise: TensorLike) -> Tensor:
    """`value` for the sequences of the batch that have not ended."""
    return where(mask.reshape(mask.shape + (1,) * (value.ndim - mask.ndim)), value, otherwise)
