"""Running a cell over a sequence: `unroll`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from tinygrad_lstm import sizes as dimensions
from tinygrad_lstm.errors import CellError, DataError, DTypeError, ShapeError, UnknownNameError
from tinygrad_lstm.functions import stack
from tinygrad_lstm.program import Program, right_hand_side, spelled
from tinygrad_lstm.recurrent import Cell, Parameters, _finite
from tinygrad_lstm.tensor import Tensor, ancestors, constant


class Run:
    """What a cell computed over a sequence.

    `run["f"]` is the named equation f at all steps, a Tensor (time, batch, hidden); `run.final`
    maps each state to its value after the last step; `run.steps[t]` maps names to the Tensors of
    step t, counted from 0; `run.initial` maps each state to the value it started from.
    """

    def __init__(
        self, cell: Cell, parameters: Parameters, inputs: list[Tensor],
        initial: dict[str, Tensor], steps: list[dict[str, Tensor]],
    ) -> None:  # fmt: skip
        self.cell, self.parameters, self.inputs = cell, parameters, inputs
        self.initial, self.steps = initial, steps
        self.final = {name: steps[-1][name] for name in cell.state}
        self._stacked: dict[str, Tensor] = {}

    def __getitem__(self, name: str) -> Tensor:
        if name not in self._stacked:
            if name not in self.steps[0]:
                raise UnknownNameError(
                    f"{self.cell} has no equation {name!r}; it has {', '.join(self.steps[0])}."
                )
            self._stacked[name] = stack([step[name] for step in self.steps])
        return self._stacked[name]

    def __len__(self) -> int:
        return len(self.steps)

    def __repr__(self) -> str:
        return f"Run of {self.cell} over {len(self)} steps: {', '.join(self.steps[0])}"


def unroll(
    cell: Cell, p: Mapping[str, Any], xs: Any, initial: Mapping[str, Any] | None = None,
    **further: Any,
) -> Run:  # fmt: skip
    """Run a cell over a sequence, from the first step to the last.

    xs: (time, inputs) or (time, batch, inputs). A plain array is data; pass a Tensor where its
    gradient is wanted. initial: states before the first step, (hidden,) or (batch, hidden); zero
    where not given. further: the cell's other inputs by name, with a leading time axis where
    they are declared as sequences.
    """
    if not isinstance(cell, Cell):
        raise CellError(
            f"unroll needs a cell, got {cell!r}; write cells.lstm, or cells.all()[name]."
        )
    if not isinstance(p, Parameters) or set(p) != set(cell.parameters):
        p = cell.bind(p)
    sizes = cell.infer_sizes(p)
    x_rank = len(dimensions.parse(cell.x))
    xs = _floats(f"{cell}: xs", xs)
    if 0 in xs.shape:
        raise DataError(
            f"{cell}: xs is empty, its shape is {xs.shape}; a sequence needs at least one step."
        )
    if xs.ndim < x_rank + 1:
        raise ShapeError(
            f"{cell}: xs must be (time, {cell.x}) or (time, batch, {cell.x}), got shape {xs.shape}."
        )
    _finite(f"{cell}: xs", xs)
    lead = xs.shape[1 : xs.ndim - x_rank]
    sizes = {**_sizes_of(cell, xs.shape[xs.ndim - x_rank :]), **sizes}
    program = cell.program(**_sizes_from(cell, further, sizes))
    _check_x(cell, program, xs)

    dtype = np.result_type(xs.dtype, *(p[name].dtype for name in cell.parameters))
    states = _initial(cell, program, initial or {}, lead, dtype)
    begin = dict(states)
    extra = _further(cell, program, further, xs.shape[0])
    inputs: list[Tensor] = []
    steps: list[dict[str, Tensor]] = []
    for t in range(xs.shape[0]):
        x = _at(xs, "x", t)
        values = {f"prev.{name}": state for name, state in states.items()}
        values |= {"x": x, **{name: p[name] for name in cell.parameters}}
        for name, value in extra.items():
            values[name] = _at(value, name, t) if name in cell.sequences else value
        step = cell.run_step(values, t)
        states = {name: step[name] for name in cell.state}
        inputs.append(x)
        steps.append(step)
    return Run(cell, p, inputs, begin, steps)


def _at(sequence: Tensor, name: str, t: int) -> Tensor:
    """Step t of a sequence, under its name; a node of the graph only if a gradient flows to it."""
    value: Tensor = sequence[t] if sequence._live else constant(sequence.data[t])
    value.name, value.time = name, t
    return value


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


def _sizes_of(cell: Cell, shape: tuple[int, ...]) -> dict[str, int]:
    """Sizes that only the input's own shape tells, for a cell without parameters on x."""
    axes = dimensions.parse(cell.x)
    return {
        next(iter(axis)): n
        for axis, n in zip(axes, shape, strict=True)
        if len(axis) == 1 and "" not in axis and next(iter(axis.values())) == 1
    }


def _sizes_from(
    cell: Cell, further: Mapping[str, Any], sizes: Mapping[str, int]
) -> dict[str, int]:
    """Add the sizes that only the further inputs tell, such as the length of a memory."""
    missing = [name for name in (*cell.sequences, *cell.constants) if name not in further]
    if missing:
        declared = {**cell.sequences, **cell.constants}
        wanted = ", ".join(f"{name}=… ({declared[name]})" for name in missing)
        raise UnknownNameError(f"{cell} has further inputs; pass them by name: {wanted}.")
    known = dict(sizes)
    for name in (*cell.sequences, *cell.constants):
        words = {**cell.sequences, **cell.constants}[name]
        axes = dimensions.parse(words)
        shape = np.shape(further[name])
        if len(shape) < len(axes):
            continue
        for axis, n in zip(axes, shape[len(shape) - len(axes) :], strict=True):
            unknown = [s for s in axis if s and s not in known]
            if len(unknown) == 1 and len(axis) == 1:
                known[unknown[0]] = n // axis[unknown[0]]
    return known


def _check_x(cell: Cell, program: Program, xs: Tensor) -> None:
    expected = program.inputs["x"].shape
    actual = xs.shape[xs.ndim - len(expected) :]
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
            vector = spelled(v.name) if v.name else right_hand_side(v)
            return (
                f"{W.name} is {program.shape_text(W)} but {vector} has "
                f"{v.shape[-1] + surplus} entries: {{x}}"
            )
    return None


def _initial(
    cell: Cell, program: Program, given: Mapping[str, Any], lead: tuple[int, ...], dtype: Any
) -> dict[str, Tensor]:
    for name in given:
        if name not in cell.state:
            raise UnknownNameError(
                f"{cell}: initial has {name!r}, but the states are {', '.join(cell.state)}."
            )
    states = {}
    for name in cell.state:
        own = program.inputs[f"prev.{name}"].shape
        if name not in given:
            node = constant(np.zeros(lead + own, dtype))
        else:
            node = _floats(f"{cell}: initial {name}", given[name])
            if node.shape not in (own, lead + own):
                raise ShapeError(
                    f"{cell}: initial {name} has shape {node.shape}, but the state is "
                    f"({cell.state[name]}) = {own}"
                    + (f", or {lead + own} for this batch." if lead else ".")
                )
            _finite(f"{cell}: initial {name}", node)
            if node.shape != lead + own:
                node = node + np.zeros(lead + own, node.dtype)
        if node.name is None:
            node.name = f"prev.{name}"
        states[name] = node
    return states


def _further(
    cell: Cell, program: Program, given: Mapping[str, Any], time: int
) -> dict[str, Tensor]:
    for name in given:
        if name not in cell.sequences and name not in cell.constants:
            known = ", ".join([*cell.sequences, *cell.constants]) or "none"
            raise UnknownNameError(f"{cell} has no further input {name!r}; it has {known}.")
    found = {}
    for name, value in given.items():
        node = _floats(f"{cell}: {name}", value)
        own = program.inputs[name].shape
        if node.shape[max(node.ndim - len(own), 0) :] != own:
            raise ShapeError(
                f"{cell}: {name} has shape {node.shape}, but "
                f"({program.dimensions[name]}) = {own} was declared."
            )
        if name in cell.sequences and (node.ndim < len(own) + 1 or node.shape[0] != time):
            raise ShapeError(
                f"{cell}: {name} is a sequence and needs {time} steps on its first axis, "
                f"as xs has; its shape is {node.shape}."
            )
        _finite(f"{cell}: {name}", node)
        found[name] = node
    return found
