"""Running a network over a sequence: `unroll`."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache, lru_cache, singledispatch
from typing import Any, overload

import numpy as np

from tinygrad_lstm import sizes as dimensions
from tinygrad_lstm.batching import Lifted
from tinygrad_lstm.errors import CellError, DataError, DTypeError, ShapeError, UnknownNameError
from tinygrad_lstm.notation import name_plain
from tinygrad_lstm.notebook_html import bundle, table
from tinygrad_lstm.ops import stack, where
from tinygrad_lstm.parameters import Parameters, check_finite
from tinygrad_lstm.program import Program, right_hand_side
from tinygrad_lstm.step import Cell
from tinygrad_lstm.tensor import Array, Tensor, ancestors, apply, constant


class Moments(Sequence[Any]):
    """A value at each step of a sequence, made when it is first looked at."""

    def __init__(self, time: int, at: Callable[[int], Any]) -> None:
        self._time, self._at = time, cache(at)

    @overload
    def __getitem__(self, t: int) -> Any: ...
    @overload
    def __getitem__(self, t: slice) -> list[Any]: ...
    def __getitem__(self, t: int | slice) -> Any:
        if isinstance(t, slice):
            return [self._at(k) for k in range(self._time)[t]]
        return self._at(range(self._time)[t])

    def __len__(self) -> int:
        return self._time


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
        self.initial, self.steps, self.final = initial, steps, final
        self.names = list(names or steps[0])
        self.whole = whole  # an equation at all steps, where no step has to be made for it
        self._stacked: dict[str, Tensor] = {}

    def __getitem__(self, name: str) -> Tensor:
        if name not in self._stacked:
            if name not in self.names:
                raise UnknownNameError(
                    f"{self.cell} has no equation {name!r}; it has {', '.join(self.names)}."
                )
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
        total: Tensor = whole.sum() / (whole.size // len(self))
        return total

    def __len__(self) -> int:
        return len(self.steps)

    def __repr__(self) -> str:
        return f"Run of {self.cell} over {len(self)} steps: {', '.join(self.names)}"

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, str]:
        rows = [(name, self[name].shape) for name in self.names]
        return bundle(repr(self), table(rows, ("equation", "shape over time")))


class Steps:
    """A sequence's value at a step, under its name; cut out of the graph if no gradient flows."""

    def __init__(self, sequence: Tensor, name: str) -> None:
        self.sequence, self._name = sequence, name
        self._made: dict[int, Tensor] = {}

    def __call__(self, t: int) -> Tensor:
        """The value at step t."""
        if t not in self._made:
            whole = self.sequence
            value: Tensor = whole[t] if whole.requires_grad else constant(whole.data[t])
            value.name, value.time = self._name, t
            self._made[t] = value
        return self._made[t]


class Fixed:
    """A value that is the same at every step."""

    def __init__(self, value: Tensor) -> None:
        self.value = value

    def __call__(self, t: int) -> Tensor:
        """The value, at any step."""
        return self.value


@dataclass(frozen=True)
class Reading:
    """A sequence as a network is to read it, once checked.

    x: its value at a step, a node that is made when it is first read, and `x.sequence`, all of
    them; time: the number of steps;
    lead: the axes of the batch; present: for each step which sequences of the batch have not
    ended, None where none has; reverse: from the last step to the first; initial, further: as
    given by the caller; below: what the layer below computed, for inputs that are named after it;
    prefix: the name of the part of the network that reads; seed: of the noise.
    """

    x: Any
    time: int
    lead: tuple[int, ...]
    present: list[Array | None]
    reverse: bool
    initial: Mapping[str, Any]
    further: Mapping[str, Any]
    below: Mapping[str, Any]
    prefix: str = ""
    seed: int = 0

    def part(self, name: str, **changes: Any) -> Reading:
        """The same for a part of the network: with its own initial states and names."""
        start = f"{name}."
        initial = {k.removeprefix(start): v for k, v in self.initial.items() if k.startswith(start)}
        return replace(self, initial=initial, prefix=f"{self.prefix}{start}", **changes)


def unroll(
    network: Any,
    p: Mapping[str, Any],
    xs: Any,
    initial: Mapping[str, Any] | None = None,
    *,
    lengths: Any = None,
    reverse: Any = False,
    seed: Any = 0,
    **further: Any,
) -> Run:
    """Run a network over a sequence.

    network: a cell, or a `stack` or `bidirectional` of cells. xs: (time, inputs) or (time, batch,
    inputs). A plain array is data; pass a Tensor where its gradient is wanted. initial: states
    before the first step, (hidden,) or (batch, hidden); where not given, what the cell's `start`
    says, or zero. lengths: the number of steps of each sequence of a padded batch, (batch,): what
    is computed past a sequence's end is zero, its final state is the one at its own end, and no
    gradient flows to its padding.
    reverse: read from the last step to the first; step t of the result is still that of x_t.
    further: the cell's other inputs by name, with a leading time axis where they are sequences;
    each has its own axes and is shared by the batch, or the axes of the batch before them. seed:
    of the noise that the cell declares, where it is not given.
    """
    if over.dispatch(type(network)) is over.dispatch(object):
        raise CellError(
            f"unroll needs a cell, got {network!r}; write cells.lstm, or cells.all()[name]."
        )
    known = isinstance(p, Parameters) and set(p) == set(network.parameters)
    bound: Parameters = p if known else network.bind(p)  # type: ignore[assignment]
    x_rank = len(dimensions.parse(network.x))
    xs = _floats(f"{network}: xs", xs)
    if 0 in xs.shape:
        raise DataError(
            f"{network}: xs is empty, its shape is {xs.shape}; a sequence needs at least one step."
        )
    if xs.ndim < x_rank + 1:
        raise ShapeError(
            f"{network}: xs must be (time, {network.x}) or (time, batch, {network.x}), "
            f"got shape {xs.shape}."
        )
    check_finite(f"{network}: xs", xs)
    _check_names(network, further)
    if not isinstance(seed, int | np.integer) or isinstance(seed, bool) or seed < 0:
        raise DataError(
            f"{network}: seed is a whole number of at least 0, from which noise is drawn, got "
            f"{seed!r}."
        )
    if not isinstance(initial, Mapping | None):
        states = ", ".join(f"{name!r}: …" for name in network.state)
        raise DTypeError(
            f"{network}: initial is a mapping of states to values, got {type(initial).__name__}; "
            f"write initial={{{states}}}."
        )
    for name in initial or {}:
        if name not in network.state:
            raise UnknownNameError(
                f"{network}: initial has {name!r}, but the states are {', '.join(network.state)}."
            )
    lead = xs.shape[1 : xs.ndim - x_rank]
    reading = Reading(
        Steps(xs, "x"),
        xs.shape[0],
        lead,
        _present(network, lengths, xs.shape[0], lead),
        reverse,
        initial or {},
        further,
        {},
        seed=int(seed),
    )
    return over(network, bound, reading)


@singledispatch
def over(network: Any, p: Parameters, reading: Reading) -> Run:
    """Run a network over a sequence that has been checked."""
    raise TypeError(type(network))


@over.register
def _(cell: Cell, p: Parameters, reading: Reading) -> Run:
    ready = prepared(cell, p, reading)
    lifted = _lifted(ready, reading)
    states = ready.initial
    fixed = {name: p[name] for name in cell.parameters}
    steps: list[dict[str, Tensor]] = []
    moments = range(reading.time)
    for t in reversed(moments) if reading.reverse else moments:
        values = {f"prev.{name}": state for name, state in states.items()} | fixed
        values |= {name: value(t) for name, value in ready.further.items()}
        values["x"] = reading.x(t)
        step = lifted.nodes([values[name] for name in lifted.inputs], t, reading.prefix)
        new = {name: step[name] for name in cell.state}
        present = reading.present[t]
        if present is None:
            states = new
        else:
            states = {n: _where(present, v, states[n]) for n, v in new.items()}
            step = {n: _where(present, v, np.zeros((), v.dtype)) for n, v in step.items()}
        steps.append(step)
    if reading.reverse:
        steps.reverse()
    return Run(cell, p, [reading.x(t) for t in moments], ready.initial, steps, states)


def _lifted(ready: Prepared, reading: Reading) -> Lifted:
    """The step of a cell for this batch; made once for each kind of batch."""
    program, lead = ready.program, reading.lead
    batched = {
        name
        for name in program.inputs
        if name == "x" or name.startswith("prev.") or name in ready.each
    }
    return lift_program(program, lead, frozenset(batched), ready.dtype)


@lru_cache(maxsize=256)
def lift_program(
    program: Program, lead: tuple[int, ...], batched: frozenset[str], dtype: Any
) -> Lifted:
    """A Program's equations on a batch."""
    return Lifted(program.equations, program.inputs, lead, batched, dtype)


@dataclass(frozen=True)
class Prepared:
    """What a cell needs to read a sequence, checked.

    program: its step at the sequence's sizes; initial: its states before the first step; further:
    its further inputs, `Steps` or `Fixed`; each: those of them of which every sample has its own;
    dtype: that of what it computes.
    """

    program: Program
    initial: dict[str, Tensor]
    further: dict[str, Any]
    each: frozenset[str]
    dtype: np.dtype[Any]


def prepared(cell: Cell, p: Parameters, reading: Reading) -> Prepared:
    """Check a cell's parameters and inputs against one another."""
    x = reading.x(0)
    x_rank = len(dimensions.parse(cell.x))
    reading = _with_noise(cell, p, reading, x.shape[x.ndim - x_rank :])
    sizes = _sizes_of(cell, p, reading, x.shape[x.ndim - x_rank :])
    program = cell.program(**sizes)
    _check_x(cell, program, x.shape)
    further, each = _further(cell, program, reading)
    dtype = np.result_type(x.dtype, *(p[n].dtype for n in cell.parameters))
    initial = _initial(cell, program, reading, dtype)
    given = [f(0).dtype for f in further.values() if f(0).dtype.kind in "fc"]
    dtype = np.result_type(dtype, *given, *(v.dtype for v in initial.values()))
    return Prepared(program, initial, further, each, dtype)


def _where(present: Array, value: Tensor, otherwise: Any) -> Tensor:
    """`value` for the sequences of the batch that have not ended."""
    condition = present.reshape(present.shape + (1,) * (value.ndim - present.ndim))
    chosen: Tensor = where(condition, value, otherwise)
    return chosen


_MASK = "(time, batch) with padding at the end"
_SHIFT = "\n  For padding at the front shift each sequence to step 0 first."


def _check_names(network: Any, further: Mapping[str, Any]) -> None:
    """Further inputs that a cell or a part of a network declares."""
    known = getattr(network, "further", None)
    if known is None:
        known = [*network.sequences, *network.constants]
    taken = {*known, *(name.rsplit(".", 1)[-1] for name in known)}
    for name in further:
        if name == "mask" and name not in taken:
            raise UnknownNameError(
                f"{network} has no further input 'mask'; padding is told by lengths: unroll(…, "
                f"lengths=mask.sum(axis=0)) for mask {_MASK}.{_SHIFT}"
            )
        if name not in taken:
            raise UnknownNameError(
                f"{network} has no further input {name!r}; it has {', '.join(known) or 'none'}."
            )


def _present(network: Any, lengths: Any, time: int, lead: tuple[int, ...]) -> list[Array | None]:
    if lengths is None:
        return [None] * time
    given = np.asarray(lengths)
    if given.dtype.kind not in "iu":
        raise DTypeError(
            f"{network}: lengths are whole numbers of steps, got {given.dtype}."
            + (
                f"\n  Of a mask {_MASK} they are mask.sum(axis=0).{_SHIFT}"
                if given.dtype.kind == "b"
                else ""
            )
        )
    if given.shape != lead:
        raise ShapeError(
            f"{network}: lengths has shape {given.shape}, but the batch is {lead}: one for each "
            f"sequence."
        )
    wrong = np.argwhere((given < 1) | (given > time))
    if len(wrong):
        place = tuple(int(k) for k in wrong[0])
        raise DataError(
            f"{network}: lengths holds {given[place]} at index {list(place)}, but xs has {time} "
            f"steps: a length is between 1 and {time}."
        )
    return [None if (given > t).all() else given > t for t in range(time)]


def _floats(what: str, value: Any) -> Tensor:
    if isinstance(value, Tensor):
        return value
    try:
        array = np.asarray(value)
    except ValueError as error:
        raise ShapeError(f"{what} is ragged: its rows differ in length.") from error
    if array.dtype.kind not in "fc":
        raise DTypeError(
            f"{what} holds {array.dtype}, but floating-point numbers are needed.\n"
            f"  Write {what.split()[-1]}.astype(float); for token numbers, one-hot rows or an "
            f"embedding."
        )
    return constant(array)


def _sizes_of(cell: Cell, p: Parameters, reading: Reading, x: tuple[int, ...]) -> dict[str, int]:
    """The sizes that parameters, x, further inputs and first states tell, in this order."""
    declared = {**cell.sequences, **cell.constants}
    further = {**reading.further, **{name: value(0) for name, value in reading.below.items()}}
    missing = [name for name in declared if name not in further]
    if missing:
        wanted = ", ".join(f"{name}=… ({declared[name]})" for name in missing)
        raise UnknownNameError(f"{cell} has further inputs; pass them by name: {wanted}.")
    known = {**cell.infer_sizes(p)}
    told = [(cell.x, x)]
    told += [(words, np.shape(further[name])) for name, words in declared.items()]
    told += [
        (words, np.shape(reading.initial[name]))
        for name, words in cell.state.items()
        if name in reading.initial
    ]
    for words, shape in told:
        axes = dimensions.parse(words)
        if len(shape) < len(axes):
            continue
        for axis, n in zip(axes, shape[len(shape) - len(axes) :], strict=True):
            unknown = [s for s in dimensions.names_in(axis) if s not in known]
            if len(unknown) == 1 and (found := dimensions.solved(axis, n, unknown[0], known)):
                known[unknown[0]] = found
    known = {**p._sizes, **known}  # what the parameters were made for, where nothing else tells
    left = [name for name in cell.sizes if name not in known]
    if left:
        states = [
            name
            for name, words in cell.state.items()
            if set(left) & set(dimensions.names({name: words}))
        ]
        drawn = [
            name
            for name, words in cell.noise.items()
            if set(left) & set(dimensions.names({name: words}))
        ]
        raise ShapeError(
            f"{cell}: nothing given tells {', '.join(left)}"
            + (
                f"; pass the first state, initial={{{states[0]!r}: …}}."
                if states
                else f"; pass {drawn[0]}=… ({cell.noise[drawn[0]]})."
                if drawn
                else "."
            )
        )
    return {name: known[name] for name in cell.sizes}


def _with_noise(cell: Cell, p: Parameters, reading: Reading, x: tuple[int, ...]) -> Reading:
    """The reading with the noise drawn that the cell declares and nobody gave."""
    names = [name for name in cell.noise if name not in reading.further]
    if not names:
        return reading
    # a size that only the noise has cannot be told from it
    plain = {n: np.zeros(()) for n in names}
    sizes = _sizes_of(cell, p, replace(reading, further={**reading.further, **plain}), x)
    # each part of a network draws numbers of its own
    random = np.random.default_rng([reading.seed, *reading.prefix.encode()])
    full = cell.complete(sizes)
    drawn = {
        name: random.standard_normal(
            (reading.time, *reading.lead, *dimensions.shape(cell.noise[name], full))
        ).astype(np.result_type(reading.x(0).dtype, *(p[n].dtype for n in cell.parameters)))
        for name in names
    }
    return replace(reading, further={**reading.further, **drawn})


def _check_x(cell: Cell, program: Program, shape: tuple[int, ...]) -> None:
    expected = program.inputs["x"].shape
    actual = shape[len(shape) - len(expected) :]
    if actual == expected:
        return
    declared = f"x has {actual[-1]}, the cell was built for {cell.x}={expected[-1]}"
    place, clash = f"in {cell}", declared
    for name, node in program.equations.items():
        used = ancestors([node], stop={e for e in program.equations.values() if e is not node})
        if program.inputs["x"] in set(used):
            place = f"in {cell}, equation {program.text(name)}"
            clash = _product_with_x(program, used, actual[-1] - expected[-1]) or declared
            clash = clash.replace("{x}", declared)
            break
    raise ShapeError(
        f"{place}\n  {clash}.\n"
        f"  Build the parameters with {cell.x}={actual[-1]}, "
        f"or pass x with {expected[-1]} features."
    )


def _product_with_x(program: Program, nodes: list[Tensor], surplus: int) -> str | None:
    x = program.inputs["x"]
    for node in nodes:
        if node.op == "matvec" and x in set(ancestors([node.inputs[1]])):
            W, v = node.inputs
            vector = name_plain(v.name) if v.name else right_hand_side(v)
            return (
                f"{W.name} is {program.shape_text(W)} but {vector} has "
                f"{v.shape[-1] + surplus} entries: {{x}}"
            )
    return None


def _initial(cell: Cell, program: Program, reading: Reading, dtype: Any) -> dict[str, Tensor]:
    given, lead = reading.initial, reading.lead
    states = {}
    for name in cell.state:
        own = program.inputs[f"prev.{name}"].shape
        if name not in given:
            node = constant(np.broadcast_to(cell.initial(name, own, dtype), lead + own).copy())
        else:
            node = _floats(f"{cell}: initial {name}", given[name])
            if node.shape not in (own, lead + own):
                raise ShapeError(
                    f"{cell}: initial {name} has shape {node.shape}, but the state is "
                    f"({cell.state[name]}) = {own}"
                    + (f", or {lead + own} for this batch." if lead else ".")
                )
            if name not in cell.start:
                check_finite(f"{cell}: initial {name}", node)
            if node.shape != lead + own:
                node = apply("broadcast_to", node, shape=lead + own)
        states[name] = _called(node, f"prev.{reading.prefix}{name}")
    return states


def _called(node: Tensor, name: str) -> Tensor:
    """A node under a name; a Tensor of the caller's keeps its own."""
    if node.name is not None:
        return node
    if node.requires_grad:
        node = apply("identity", node)
    node.name = name
    return node


def _further(
    cell: Cell, program: Program, reading: Reading
) -> tuple[dict[str, Any], frozenset[str]]:
    """The cell's further inputs, checked, as functions of the step; those each sample has."""
    time, lead = reading.time, reading.lead
    found = dict(reading.below)
    each = {n for n, below in found.items() if below(0).ndim > program.inputs[n].ndim}
    for name, value in reading.further.items():
        node = _floats(f"{cell}: {name}", value)
        own, words = program.inputs[name].shape, f"({program.dimensions[name]})"
        steps = name in cell.sequences
        if steps and (node.ndim < len(own) + 1 or node.shape[0] != time):
            raise ShapeError(
                f"{cell}: {name} is a sequence and needs {time} steps on its first axis, "
                f"as xs has; its shape is {node.shape}."
            )
        front = (time,) if steps else ()
        if node.shape == front + lead + own:
            if lead:
                each.add(name)
        elif node.shape != front + own:
            batch = f", or {front + lead + own}, one for each sample" if lead else ""
            raise ShapeError(
                f"{cell}: {name} has shape {node.shape}, but {words} = {own} was declared.\n"
                f"  Pass {front + own}" + (f", shared by the batch{batch}." if lead else ".")
            )
        check_finite(f"{cell}: {name}", node)
        if steps:
            found[name] = Steps(node, reading.prefix + name)
        else:
            found[name] = Fixed(_called(node, reading.prefix + name))
    return found, frozenset(each)
