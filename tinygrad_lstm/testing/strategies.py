"""Hypothesis strategies: operands of an operation; sizes, parameters and sequences of a cell.

@given(strategies.cases(my_cell))
def test_my_cell(case):
    run = unroll(my_cell, case.parameters, case.xs, case.initial, **case.further)
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from tinygrad_lstm.grids import Grid
from tinygrad_lstm.step import Cell
from tinygrad_lstm.tensor import TABLE, Array, Operation
from tinygrad_lstm.testing.inputs import Case as Case

SMOOTH, GRID = 1024, 64


@st.composite
def shapes(
    draw: st.DrawFn, signature: str, operands: int = 1, max_axes: int = 2, max_length: int = 3
) -> tuple[tuple[int, ...], ...]:
    """Shapes that fit a signature: "elementwise" (they broadcast) or "(m,n),(n)->(m)".

    A signature of NumPy's form gets leading axes that broadcast. `operands` counts them where the
    signature does not tell.
    """
    options: dict[str, Any] = {"max_dims": max_axes, "min_side": 1, "max_side": max_length}
    if signature == "elementwise":
        found = draw(hnp.mutually_broadcastable_shapes(num_shapes=operands, **options))
    else:
        found = draw(hnp.mutually_broadcastable_shapes(signature=signature, **options))
    return tuple(found.input_shapes)


def arrays(
    shape: tuple[int, ...], domain: tuple[float, float] = (-2.0, 2.0), dtype: Any = np.float64
) -> st.SearchStrategy[Array]:
    """Arrays with entries in [low, high], which shrink towards few digits.

    Entries are multiples of 1/1024, exact in float32 and float64 alike.
    """
    low, high = (round(edge * SMOOTH) for edge in domain)
    low += low < domain[0] * SMOOTH
    high -= high > domain[1] * SMOOTH
    integers = hnp.arrays(np.int64, shape, elements=st.integers(low, high), fill=st.nothing())
    return integers.map(lambda whole: np.asarray(whole / SMOOTH, dtype=dtype))


@st.composite
def apart(
    draw: st.DrawFn, several: tuple[tuple[int, ...], ...], domain: tuple[float, float]
) -> tuple[Array, ...]:
    """Arrays whose entries are all different, for operations with kinks.

    Entries are odd multiples of 1/128: kinks, where two of them meet or at 0, 1/2 and 1, are
    farther away than 1/128.
    """
    low, high = (round(edge * GRID) for edge in domain)
    counts = [int(np.prod(shape, dtype=int)) for shape in several]
    total = sum(counts)
    drawn = draw(st.lists(st.integers(low, high - 1), min_size=total, max_size=total, unique=True))
    flat = (np.array(drawn, dtype=float).reshape(-1) + 0.5) / GRID
    parts = np.split(flat, np.cumsum(counts)[:-1])
    return tuple(part.reshape(shape) for part, shape in zip(parts, several, strict=True))


@st.composite
def operands(
    draw: st.DrawFn, operation: Operation | str
) -> tuple[tuple[Array, ...], dict[str, Any]]:
    """Operands and attributes of an operation of the table, in its domain, away from its kinks.

    An operand that has no derivative where others have one is a condition: booleans.
    """
    row = TABLE[operation] if isinstance(operation, str) else operation
    attributes: dict[str, Any] = {}
    if row.examples:
        several, attributes = draw(st.sampled_from(row.examples))
    else:
        count = len(row.derivatives) if isinstance(row.derivatives, tuple) else 2
        several = draw(shapes(row.signature, count))
    if row.distance is None:
        values = [draw(arrays(shape, row.domain)) for shape in several]
    else:
        values = list(draw(apart(several, row.domain)))
    rules = [row.rule(k) for k in range(len(several))]
    for k, shape in enumerate(several):
        if rules[k] is None and any(rules):
            values[k] = draw(hnp.arrays(np.bool_, shape, fill=st.nothing()))
    return tuple(values), dict(attributes)


# --- cells ----------------------------------------------------------------------------------------
@st.composite
def sizes(draw: st.DrawFn, cell: Cell, max_size: int = 3) -> dict[str, int]:
    """Sizes of a cell within their bounds, such as {"hidden": 2, "inputs": 3}; often all equal."""
    same = draw(st.sampled_from((None, *range(1, max_size + 1))))
    return {
        name: max(cell.bounds.get(name, 1), same or draw(st.integers(1, max_size)))
        for name in cell.sizes
    }


@st.composite
def parameters(
    draw: st.DrawFn,
    cell: Cell,
    sizes: Mapping[str, int],
    dtype: Any = np.float64,
    reach: float = 1.0,
) -> dict[str, Array]:
    """Arrays for every parameter of a cell, around its declared start or else within ±reach."""
    shapes = cell.input_shapes(**sizes)
    of = isinstance(cell, Grid) and cell.layers and cell.block.input_shapes(**sizes)
    return {
        name: draw(
            _around(cell, name, of[name.partition(".")[2]] if of else shapes[name], reach, dtype)
        )
        for name in cell.parameters
    }


def _around(
    cell: Cell, name: str, shape: tuple[int, ...], reach: float, dtype: Any
) -> st.SearchStrategy[Array]:
    """Arrays near a start value that is a number other than 0, or else within ±reach."""
    start = cell.start.get(name, 0.0)
    if not isinstance(start, str) and start and np.isfinite(start):
        return arrays(shape, (start - 0.5, start + 0.5), dtype)
    return arrays(shape, (-reach, reach), dtype)


@st.composite
def sequences(
    draw: st.DrawFn,
    cell: Cell,
    sizes: Mapping[str, int],
    time: int,
    batch: int | None,
    dtype: Any = np.float64,
    reach: float = 2.0,
) -> tuple[Array, dict[str, Array]]:
    """A sequence xs, (time, inputs) or (time, batch, inputs), and the cell's further inputs.

    Of a batch each sample has its own further inputs, or all share them.
    """
    shapes = cell.input_shapes(**sizes)
    batch_shape = () if batch is None else (batch,)
    domain = (-reach, reach)
    front = (time,) * getattr(cell, "spatial", 1)
    xs = draw(arrays((*front, *batch_shape, *shapes["x"]), domain, dtype))
    further = {}
    for name in cell.extra_inputs:
        own = shapes[name]
        steps = front if name in cell.sequences else ()
        each = batch_shape if draw(st.booleans()) else ()
        further[name] = draw(arrays((*steps, *each, *own), domain, dtype))
    return xs, further


@st.composite
def cases(
    draw: st.DrawFn,
    cell: Cell,
    max_time: int = 3,
    max_batch: int = 3,
    max_size: int = 3,
    min_time: int = 1,
    batched: bool | None = None,
    dtype: Any = np.float64,
) -> Case:
    """A Case of a cell: sizes, parameters, a sequence, initial states and further inputs.

    `batched`: whether xs has a batch axis; drawn where it is None. Sizes, batch and time often
    coincide, and values are often large. Cases shrink to one unit, one step and zeros.
    """
    small = draw(sizes(cell, max_size))
    with_batch = draw(st.booleans()) if batched is None else batched
    equal = len(set(small.values())) == 1 and draw(st.booleans())
    n = next(iter(small.values()), 1)
    batch = min(n, max_batch) if equal else draw(st.integers(1, max_batch))
    time = min(max(n, min_time), max_time) if equal else draw(st.integers(min_time, max_time))
    reach = draw(st.sampled_from((1.0, 3.0)))
    weights = draw(parameters(cell, small, dtype, reach))
    in_batch = batch if with_batch else None
    xs, further = draw(sequences(cell, small, time, in_batch, dtype, 2 * reach))
    batch_shape = (batch,) if with_batch else ()
    shapes = cell.input_shapes(**small)
    initial = {
        name: draw(_around(cell, name, (*batch_shape, *shapes[f"prev.{name}"]), reach, dtype))
        for name in cell.state
        if name not in getattr(cell, "wired_states", ())
    }
    return Case(cell, small, weights, xs, initial, further)
