"""What `unroll` is given, checked: a sequence, first states, further inputs, lengths."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from tinygrad_lstm import sizes as dimensions
from tinygrad_lstm.errors import DataError, DTypeError, ShapeError, UnknownNameError, unknown
from tinygrad_lstm.lengths import MASK, SHIFT, lengths_of, mask_of
from tinygrad_lstm.notation import name_plain
from tinygrad_lstm.parameters import Parameters, check_finite, under
from tinygrad_lstm.program import Program
from tinygrad_lstm.step import Cell
from tinygrad_lstm.tensor import Array, Tensor, ancestors, apply, constant
from tinygrad_lstm.text import expression
from tinygrad_lstm.types import Network

_KNOWN = 256  # kinds of call that a cell remembers


class Steps:
    """A sequence's value at a step, under its name; cut out of the graph if no gradient flows."""

    def __init__(self, sequence: Tensor, name: str) -> None:
        self.sequence, self._name = sequence, name  # (time, …)
        self._made: dict[int, Tensor] = {}

    def like(self) -> tuple[tuple[int, ...], np.dtype[Any]]:
        """Shape and dtype of the value at a step."""
        return self.sequence.shape[1:], self.sequence.dtype

    def __call__(self, t: int) -> Tensor:
        """The value at step t."""
        if t not in self._made:
            whole = self.sequence
            value = whole[t] if whole.requires_grad else constant(whole.data[t])
            value.name, value.time = self._name, t
            self._made[t] = value
        return self._made[t]


class Fixed:
    """A value that is the same at every step."""

    def __init__(self, value: Tensor) -> None:
        self.value = value

    def like(self) -> tuple[tuple[int, ...], np.dtype[Any]]:
        """Shape and dtype of the value."""
        return self.value.shape, self.value.dtype

    def __call__(self, t: int) -> Tensor:
        """The value, at any step."""
        return self.value


@dataclass(frozen=True)
class SequenceInputs:
    """A sequence as a network is to read it, once checked.

    x: its value at a step, a node that is made when it is first read, and `x.sequence`, all of
    them; time: the number of steps; mask: for each step which sequences of the batch have not
    ended, None where none has; ragged: whether any step has one; reverse: from the last step to
    the first; initial, extra_inputs: as
    given by the caller; below: what the layer below computed, for inputs that are named after it;
    prefix: the name of the part of the network that reads; seed: of the noise; lengths: those of
    inputs of a system with steps of their own.
    """

    x: Any
    time: int
    batch_shape: tuple[int, ...]
    mask: list[Array | None]
    reverse: bool
    initial: Mapping[str, Any]
    extra_inputs: Mapping[str, Any]
    below: Mapping[str, Any]
    prefix: str = ""
    seed: int = 0
    ragged: bool = False
    lengths: Mapping[str, Any] = field(default_factory=dict)

    def part(self, name: str, **changes: Any) -> SequenceInputs:
        """The same for a part of the network: with its own initial states and names."""
        initial = under(f"{name}.", self.initial)
        return replace(self, initial=initial, prefix=f"{self.prefix}{name}.", **changes)


@dataclass(frozen=True)
class Prepared:
    """What a cell needs to read a sequence, checked.

    program: its step at the sequence's sizes; initial: its states before the first step;
    extra_inputs: `Steps` or `Fixed`; each: those of them of which every sample has its own;
    dtype: that of what it computes.
    """

    program: Program
    initial: dict[str, Tensor]
    extra_inputs: dict[str, Any]
    each: frozenset[str]
    dtype: np.dtype[Any]


# --- what any network is given --------------------------------------------------------------------
def read_inputs(
    network: Network,
    xs: Any,
    initial: Any,
    lengths: Any,
    reverse: bool,
    seed: Any,
    extra_inputs: Mapping[str, Any],
) -> SequenceInputs:
    """The arguments of `unroll`, checked."""
    x_rank = len(dimensions.parse(network.x))
    called = getattr(network, "first", "xs")
    if xs is None:
        raise DataError(f"{network} needs a sequence to read: unroll(network, p, {called}).")
    what = f"{network}: xs"
    xs = tensor_of(what, xs)
    if 0 in xs.shape:
        raise DataError(
            f"{network}: xs is empty, its shape is {xs.shape}; a sequence needs at least one step."
        )
    spatial = getattr(network, "spatial", 1)  # axes in front of the batch's
    if xs.ndim < x_rank + spatial:
        if spatial != 1:
            raise ShapeError(
                f"{network}: xs needs {spatial} axes before those of the batch and of x "
                f"({network.x}), got shape {xs.shape}."
            )
        raise ShapeError(
            f"{network}: xs must be (time, {network.x}) or (time, batch, {network.x}), "
            f"got shape {xs.shape}."
        )
    check_finite(what, xs)
    if extra_inputs:
        _check_names(network, extra_inputs)
    if not isinstance(seed, (int, np.integer)) or seed is True or seed is False or seed < 0:
        raise DataError(
            f"{network}: seed is a whole number of at least 0, from which noise is drawn, got "
            f"{seed!r}."
        )
    if initial is not None and not isinstance(initial, Mapping):
        states = ", ".join(f"{name!r}: …" for name in network.state)
        raise DTypeError(
            f"{network}: initial is a mapping of states to values, got {type(initial).__name__}; "
            f"write initial={{{states}}}."
        )
    for name in initial or {}:
        if name not in network.state:
            states = ", ".join(network.state)
            raise UnknownNameError(f"{network}: initial has {name!r}, but the states are {states}.")
    time, batch_shape = xs.shape[0], xs.shape[spatial : xs.ndim - x_rank]
    lengths, others = lengths_of(network, lengths)
    mask = mask_of(network, lengths, time, batch_shape)
    x = Steps(xs, "x")
    ragged = lengths is not None and any(present is not None for present in mask)
    own = initial or {}
    return SequenceInputs(
        *(x, time, batch_shape, mask, reverse, own, extra_inputs, {}),
        seed=int(seed),
        ragged=ragged,
        lengths=others,
    )


def _check_names(network: Network, extra_inputs: Mapping[str, Any]) -> None:
    """Further inputs that a cell or a part of a network declares."""
    known = network.extra_inputs
    taken = {*known, *(name.rsplit(".", 1)[-1] for name in known)}
    for name in extra_inputs:
        if name not in taken:
            what = f"{network} has no further input {name!r}"
            if name != "mask":
                raise unknown(what, "it has", known)
            raise UnknownNameError(
                f"{what}; padding is told by lengths: unroll(…, lengths=mask.sum(axis=0)) for mask "
                f"{MASK}.{SHIFT}"
            )


def tensor_of(what: str, value: Any) -> Tensor:
    """A value as a Tensor; errors call it `what`."""
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


# --- what a cell is given -------------------------------------------------------------------------
def prepare(cell: Cell, p: Parameters, inputs: SequenceInputs) -> Prepared:
    """Check a cell's parameters and inputs against one another.

    What no value decides is found once for sequences and parameters of the same shapes.
    """
    shape, dtype = inputs.x.like()
    known, key = cell.prepared, None
    if not (inputs.extra_inputs or inputs.initial or inputs.below or cell.noise):
        own = [(name, t.shape, t.dtype) for name, t in p.tensors.items()]
        key = (shape, dtype, inputs.batch_shape, inputs.prefix, *p.sizes.items(), *own)
        if key in known:
            found: Prepared = known[key]
            return replace(found, initial=_again(found.initial))
    ready = _prepared(cell, p, inputs, shape[len(inputs.batch_shape) :], dtype)
    if key is not None:
        if len(known) >= _KNOWN:
            known.clear()
        known[key] = ready
    return ready


def _prepared(
    cell: Cell, p: Parameters, inputs: SequenceInputs, x_shape: tuple[int, ...], dtype: Any
) -> Prepared:
    weights = np.result_type(dtype, *(p[n].dtype for n in cell.parameters))
    inputs = _with_noise(cell, p, inputs, x_shape, weights)
    program = cell.program(**_sizes_of(cell, p, inputs, x_shape))
    _check_x(cell, program, x_shape)
    extra_inputs, each = _extra_inputs(cell, program, inputs)
    initial = _initial(cell, program, inputs, weights)
    kinds = [f.like()[1] for f in extra_inputs.values()]
    data = [kind for kind in kinds if kind.kind in "fc"]
    dtype = np.result_type(weights, *data, *(v.dtype for v in initial.values()))
    return Prepared(program, initial, extra_inputs, each, dtype)


def _sizes_of(
    cell: Cell, p: Parameters, inputs: SequenceInputs, x: tuple[int, ...]
) -> dict[str, int]:
    """The sizes that parameters, x, further inputs and first states tell, in this order."""
    declared = {**cell.sequences, **cell.constants}
    extra = {
        **inputs.extra_inputs,
        **{name: value.like()[0] for name, value in inputs.below.items()},
    }
    if missing := [name for name in declared if name not in extra]:
        wanted = ", ".join(f"{name}=… ({declared[name]})" for name in missing)
        raise UnknownNameError(f"{cell} has further inputs; pass them by name: {wanted}.")
    known = {**cell.infer_sizes(p)}
    dimensions.learn(known, cell.x, x)
    for name, words in {**declared, **cell.state}.items():
        value = extra.get(name) if name in declared else inputs.initial.get(name)
        if value is not None:
            dimensions.learn(known, words, value if name in inputs.below else np.shape(value))
    known = {**p.sizes, **known}  # what the parameters were made for, where nothing else tells
    left = {name for name in cell.sizes if name not in known}
    if left:
        of = {n: f"the first state, initial={{{n!r}: …}}" for n in cell.state}
        of |= {n: f"{n}=… ({words})" for n, words in cell.noise.items()}
        declared = {**cell.state, **cell.noise}
        tells = [n for n in of if left & set(dimensions.names({n: declared[n]}))]
        fix = f"; pass {of[tells[0]]}" if tells else ""
        names = ", ".join(name for name in cell.sizes if name in left)
        raise ShapeError(f"{cell}: nothing given tells {names}{fix}.")
    return {name: known[name] for name in cell.sizes}


def _with_noise(
    cell: Cell, p: Parameters, inputs: SequenceInputs, x: tuple[int, ...], dtype: Any
) -> SequenceInputs:
    """The inputs with the noise drawn that the cell declares and nobody gave."""
    names = [name for name in cell.noise if name not in inputs.extra_inputs]
    if not names:
        return inputs
    # a size that only the noise has cannot be told from it
    plain = {**inputs.extra_inputs, **{n: np.zeros(()) for n in names}}
    full = cell.complete(_sizes_of(cell, p, replace(inputs, extra_inputs=plain), x))
    # each part of a network draws numbers of its own
    random = np.random.default_rng([inputs.seed, *inputs.prefix.encode()])
    front = (inputs.time, *inputs.batch_shape)
    shapes = {name: (*front, *dimensions.shape(cell.noise[name], full)) for name in names}
    noise = {n: random.standard_normal(shape).astype(dtype) for n, shape in shapes.items()}
    return replace(inputs, extra_inputs={**inputs.extra_inputs, **noise})


def _check_x(cell: Cell, program: Program, actual: tuple[int, ...]) -> None:
    x = program.inputs["x"]
    if actual == x.shape:
        return
    if len(actual) != 1:
        raise ShapeError(
            f"{cell}: x has shape {actual}, but it is {program.shape_text(x)}.\n"
            f"  Build the parameters for the shape of x, or pass x of shape {x.shape}."
        )
    declared = f"x has {actual[-1]}, the cell was built for {cell.x}={x.shape[-1]}"
    place, clash = f"in {cell}", declared
    for name, node in program.equations.items():
        used = ancestors([node], stop={e for e in program.equations.values() if e is not node})
        if x in set(used):
            place = f"in {cell}, equation {program.text(name)}"
            surplus = actual[-1] - x.shape[-1]
            clash = _product_with_x(program, used, surplus, declared) or declared
            break
    raise ShapeError(
        f"{place}\n  {clash}.\n"
        f"  Build the parameters with {cell.x}={actual[-1]}, "
        f"or pass x with {x.shape[-1]} features."
    )


def _product_with_x(
    program: Program, nodes: list[Tensor], surplus: int, declared: str
) -> str | None:
    for node in nodes:
        if node.op == "matvec" and program.inputs["x"] in set(ancestors([node.inputs[1]])):
            W, v = node.inputs
            vector = name_plain(v.name) if v.name else expression(v)
            return (
                f"{W.name} is {program.shape_text(W)} but {vector} has "
                f"{v.shape[-1] + surplus} entries: {declared}"
            )
    return None


def _initial(cell: Cell, program: Program, inputs: SequenceInputs, dtype: Any) -> dict[str, Tensor]:
    batch_shape = inputs.batch_shape
    states = {}
    for name in cell.state:
        own = program.inputs[f"prev.{name}"].shape
        full = batch_shape + own
        if name not in inputs.initial:
            start = np.broadcast_to(cell.initial(name, own, dtype), full).copy()
            start.flags.writeable = False  # so that no second copy is made
            node = constant(start)
        else:
            node = tensor_of(f"{cell}: initial {name}", inputs.initial[name])
            if node.shape not in (own, full):
                raise ShapeError(
                    f"{cell}: initial {name} has shape {node.shape}, but the state is "
                    f"({cell.state[name]}) = {own}"
                    + (f", or {full} for this batch." if batch_shape else ".")
                )
            if name not in cell.start:
                check_finite(f"{cell}: initial {name}", node)
            if node.shape != full:
                node = apply("broadcast_to", node, shape=full)
        states[name] = _called(node, f"prev.{inputs.prefix}{name}")
    return states


def _again(states: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """First states as nodes of a graph of their own."""
    made = {name: constant(state.data) for name, state in states.items()}
    for name, state in states.items():
        made[name].name = state.name
    return made


def _called(node: Tensor, name: str) -> Tensor:
    """A node under a name; a Tensor of the caller's keeps its own."""
    if node.name is not None:
        return node
    if node.requires_grad:
        node = apply("identity", node)
    node.name = name
    return node


def _extra_inputs(
    cell: Cell, program: Program, inputs: SequenceInputs
) -> tuple[dict[str, Any], frozenset[str]]:
    """The cell's further inputs, checked, as functions of the step; those each sample has."""
    time, batch_shape = inputs.time, inputs.batch_shape
    values = dict(inputs.below)
    each = {n for n, v in values.items() if len(v.like()[0]) > program.inputs[n].ndim}
    for name, value in inputs.extra_inputs.items():
        node = tensor_of(f"{cell}: {name}", value)
        own = program.inputs[name].shape
        steps = name in cell.sequences
        if steps and (node.ndim < len(own) + 1 or node.shape[0] != time):
            raise ShapeError(
                f"{cell}: {name} is a sequence and needs {time} steps on its first axis, "
                f"as xs has; its shape is {node.shape}."
            )
        shared = ((time,) if steps else ()) + own
        full = ((time,) if steps else ()) + batch_shape + own
        if node.shape == full and batch_shape:
            each.add(name)
        elif node.shape != shared:
            batch = f", shared by the batch, or {full}, one for each sample" if batch_shape else ""
            raise ShapeError(
                f"{cell}: {name} has shape {node.shape}, but ({cell.shapes()[name]}) = {own} was "
                f"declared.\n  Pass {shared}{batch}."
            )
        check_finite(f"{cell}: {name}", node)
        called = inputs.prefix + name
        values[name] = Steps(node, called) if steps else Fixed(_called(node, called))
    return values, frozenset(each)
