"""Cells drawn at random from the table of operations, for Hypothesis.

    @given(programs.random_cells())
    def test_my_reading(cell):
        print(cell.program())

A cell has one to three states, vectors, matrices or numbers, and up to eight equations; every
operation of the table may occur, with operands and attributes that fit. Values stay tame: what
grows is led through tanh.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from hypothesis import strategies as st

from tinygrad_lstm.functions import normal_index
from tinygrad_lstm.step import Cell, cell
from tinygrad_lstm.tensor import TABLE, Array, apply

OPERATIONS = sorted(n for n, op in TABLE.items() if op.signature != "whole")
COMMON = ("matvec", "matvec", "matvec", "concat", "add", "multiply", "sigmoid", "tanh")  # in cells
COMPARISONS = ("greater", "greater_equal", "equal", "not_equal")
LARGEST = 4.0  # of a value at the sample point; beyond it stands a tanh


@dataclass(frozen=True)
class Line:
    """One operation on values before it, by their numbers; `name` makes it an equation."""

    op: str
    operands: tuple[int, ...]
    attributes: dict[str, Any]
    squash: str | None
    name: str | None

    def compute(self, operands: Sequence[Any]) -> Any:
        """The value, from Tensors or arrays."""
        low, high = TABLE[self.op].domain
        if low > 0:
            operands = [0.5 + apply("sigmoid", v) for v in operands]
        if self.op == "where":
            operands = [apply("greater", operands[0], 0.1), *operands[1:]]
        y = apply(self.op, *operands, **self.attributes)
        y = y * 1.0 if self.op in COMPARISONS else y
        return apply(self.squash, y) if self.squash else y


@st.composite
def random_cells(draw: st.DrawFn, operation: str | None = None, max_equations: int = 8) -> Cell:
    """A Cell of a few equations; `operation` is one that occurs in it."""
    n, m = draw(st.sampled_from((2, 3, 1))), draw(st.sampled_from((3, 2, 1)))
    forms: list[tuple[int, ...]] = [(n,), (n,), (n, m), ()]
    states: dict[str, tuple[int, ...]] = {"h": (n,)}
    states |= {s: draw(st.sampled_from(forms)) for s in ("c", "M")[: draw(st.integers(0, 2))]}
    weights: list[tuple[int, ...]] = [(n, n + m), (n, n), (n, m), (n,), (m,), ()]
    count = 6 - draw(st.integers(0, 6))
    parameters = {f"W_{k}": draw(st.sampled_from(weights)) for k in range(1, count + 1)}
    further = draw(st.booleans())
    sequences: dict[str, tuple[int, ...]] = {"mask": (n,)} if further else {}
    constants: dict[str, tuple[int, ...]] = {"memory": (2, n)} if further else {}
    random = np.random.default_rng(len(parameters))

    given = [*states.values(), (m,), *sequences.values()]
    values = [random.uniform(-1.0, 1.0, shape) for shape in given]
    values += [
        random.uniform(-1.0, 1.0, shape) for shape in (*constants.values(), *parameters.values())
    ]
    start, lines = len(values), list[Line]()
    length = max_equations - draw(st.integers(0, max_equations - 1))  # long ones first
    chosen = draw(st.integers(0, length - 1))

    def add(op: str, operands: tuple[int, ...], attributes: dict[str, Any], name: bool) -> None:
        label = f"v_{len(lines) + 1}" if name else None
        line = Line(op, operands, attributes, None, label)
        example = np.asarray(line.compute([values[k] for k in operands]))
        if np.max(np.abs(example), initial=0.0) > LARGEST:
            line = Line(op, operands, attributes, "tanh", label)
            example = np.tanh(example)
        lines.append(line)
        values.append(example)

    add("concat", (0, len(states)), {"axis": -1}, draw(st.booleans()))  # [h, x]
    for k in range(start):
        if values[k].shape == (n, n + m) and draw(st.booleans()):
            add("matvec", (k, start), {}, draw(st.booleans()))
    for k in range(length):
        forced = operation if k == chosen else None
        op = forced or draw(st.sampled_from((*COMMON * 3, *OPERATIONS)))
        found = draw(_fitting(op, values))
        if found is None:
            if forced:  # every operation takes vectors or the matrix that two of them make
                add("outer", (0, 0), {}, False)
            op = op if forced else "add"
            found = draw(_fitting(op, values))
        assert found is not None
        add(op, *found, draw(st.booleans()))
    read = {k for line in lines for k in line.operands}
    left = [k for k in range(start, len(values)) if k not in read]
    ends: dict[str, tuple[int, list[int]]] = {}
    for k, (state, shape) in enumerate(states.items()):
        late = [i for i in range(start, len(values)) if values[i].shape == shape]
        own = draw(st.sampled_from(late or [k]))
        ends[state] = own, [i for i in left[k :: len(states)] if i != own]
    squashes = {s: draw(st.sampled_from(("tanh", "sigmoid"))) for s in states}
    ranks = [v.ndim for v in values]

    def random_cell(now: Any, prev: Any, x: Any, p: Any, **more: Any) -> None:
        known = [*(getattr(prev, s) for s in states), x, *(more[s] for s in sequences)]
        known += [*(more[s] for s in constants), *(getattr(p, s) for s in parameters)]
        for line in lines:
            operands = [known[k] for k in line.operands]
            value = line.compute(operands)
            if line.name:
                setattr(now, line.name, value)
                value = getattr(now, line.name)
            known.append(value)
        for state, (own, others) in ends.items():
            value = known[own]
            for other in others:  # so that all that is computed counts
                value = value + _spread(known[other], ranks[other], ranks[own])
            setattr(now, state, apply(squashes[state], value))

    def words(shapes: dict[str, tuple[int, ...]]) -> dict[str, str]:
        return {name: ", ".join(map(str, shape)) for name, shape in shapes.items()}

    inputs: Any = {"sequences": words(sequences), "constants": words(constants)}
    return cell(state=words(states), parameters=words(parameters), x=str(m), **inputs)(random_cell)


def _spread(value: Any, rank: int, wanted: int) -> Any:
    """The mean of a sample's entries, with as many axes of length one as wanted."""
    shape = value.shape[len(value.shape) - rank :] if rank else ()
    size = int(np.prod(shape, dtype=int))
    value = value * np.linspace(0.5, 1.5, size).reshape(shape)  # so that their order counts
    for _ in range(rank):
        value = apply("mean", value, axis=-1, keepdims=False)
    return apply("reshape", value, shape=(*value.shape, *(1,) * wanted))


# --- what fits ------------------------------------------------------------------------------------
@st.composite
def _fitting(
    draw: st.DrawFn, op: str, values: Sequence[Array]
) -> tuple[tuple[int, ...], dict[str, Any]] | None:
    """Operands and attributes of an operation; None where no value will do."""
    row = TABLE[op]

    def pick(fits: Any) -> int | None:
        found = [k for k in reversed(range(len(values))) if fits(values[k])]
        return draw(st.sampled_from(found)) if found else None

    if row.signature == "elementwise":
        count = len(row.derivatives) if isinstance(row.derivatives, tuple) else 1
        chosen: list[int] = []
        for _ in range(count):
            before = [values[k] for k in chosen]
            k = pick(lambda v, before=before: _works(np.broadcast_arrays, *before, v))
            assert k is not None  # the first one fits itself
            chosen.append(k)
        return tuple(chosen), {}
    if row.signature.startswith("("):
        return draw(_factors(op, values))
    if op == "einsum":
        found = draw(_factors("matvec", values))
        how = draw(st.sampled_from(("ij,j->i", "ij,j->ij", "ij,j->ji")))
        return found and (found[0], {"subscripts": how})
    if op in ("concat", "stack"):
        first = pick(lambda v: op == "stack" or v.shape)
        if first is None:
            return None
        one, operands = values[first], [first]
        axis = -draw(st.integers(1, len(one.shape) + (op == "stack")))
        for _ in range(draw(st.integers(0, 2))):
            k = pick(lambda v: v.ndim == one.ndim and _works(row.forward, one, v, axis=axis))
            assert k is not None
            operands.append(k)
        return tuple(operands), {"axis": axis}
    least = {"swapaxes": 2, "transpose": 2, "clip": 0, "reshape": 0, "broadcast_to": 0}.get(op, 1)
    first = pick(lambda v: len(v.shape) >= least)
    if first is None:
        return None
    return (first,), draw(_attributes(op, row.signature, values[first].shape))


@st.composite
def _factors(
    draw: st.DrawFn, op: str, values: Sequence[Array]
) -> tuple[tuple[int, ...], dict[str, Any]] | None:
    """Two factors of a product, with the axes of one sample."""
    axes = [len(group) for group in TABLE[op].letters()[0]]
    pairs = [
        (k, m)
        for k, a in enumerate(values)
        for m, b in enumerate(values)
        if [a.ndim, b.ndim] == axes and _works(TABLE[op].forward, a, b)
    ]
    return (draw(st.sampled_from(pairs[::-1])), {}) if pairs else None


def _works(f: Any, *operands: Array, **attributes: Any) -> bool:
    """Whether a function takes operands of these shapes."""
    try:
        f(*operands, **attributes)
    except ValueError:
        return False
    return True


@st.composite
def _attributes(draw: st.DrawFn, op: str, signature: str, shape: tuple[int, ...]) -> dict[str, Any]:
    """Attributes of an operation on one operand; axes are counted from the end."""
    rank = len(shape)
    if signature == "reduction":
        several = draw(st.sets(st.integers(-rank, -1), min_size=1))
        axis = tuple(sorted(several)) if len(several) > 1 else min(several)
        return {"axis": axis, "keepdims": draw(st.booleans())}
    if signature == "along":
        return {"axis": draw(st.integers(-rank, -1))}
    if op == "clip":
        low, high = draw(st.sampled_from((None, -0.3))), draw(st.sampled_from((0.4, 0.6)))
        return {"low": low, "high": high}
    if op == "swapaxes":
        return {"a": -1, "b": -2}
    if op == "transpose":
        return {"axes": tuple(draw(st.permutations(range(rank))))}
    if op == "broadcast_to":
        return {"shape": tuple(draw(st.sampled_from((1, 2))) if n == 1 else n for n in shape)}
    size = int(np.prod(shape, dtype=int))
    if op == "reshape":
        rows = draw(st.sampled_from([k for k in range(1, size + 1) if size % k == 0]))
        return {"shape": draw(st.sampled_from(((size,), (rows, size // rows), (1, size))))}
    if op == "scatter":
        before, after = draw(st.integers(0, 1)), draw(st.integers(0, 1))
        place: Any = slice(before, before + shape[-1])
        if draw(st.booleans()):
            place = np.arange(shape[-1])[::-1] + before
        places = (*(slice(None),) * (rank - 1), place)
        return {"index": places, "shape": (*shape[:-1], before + shape[-1] + after)}
    index, _ = normal_index((Ellipsis, *draw(_index(shape))), shape)
    return {"index": index}


@st.composite
def _index(draw: st.DrawFn, shape: tuple[int, ...]) -> tuple[Any, ...]:
    """Where to read along the last axes: a run, every other entry, one entry, or a list of them."""
    n = shape[-1]
    start = draw(st.integers(0, n - 1))
    run = slice(start, draw(st.integers(start + 1, n)))
    every = slice(None, None, -1), slice(start, None, 2)
    last = draw(st.sampled_from([run, *every, start, np.array([start, 0, start])]))
    if len(shape) > 1 and draw(st.booleans()):
        return (draw(st.sampled_from((slice(0, 1), slice(None, None, -1)))), last)
    return (last,)


__all__ = ["OPERATIONS", "random_cells"]
