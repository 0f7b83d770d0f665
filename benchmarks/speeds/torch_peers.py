"""The same cell in PyTorch: its Program's operations by torch's, differentiated by autograd.

Operations of a Program are written for one sample; here leading axes are those of the batch.
"""

from __future__ import annotations

import collections
import functools
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import torch
from torch.nn import functional

from tinygrad_lstm.kernels.rewriting import AHEAD, levels, rewrite, span
from tinygrad_lstm.program import Program
from tinygrad_lstm.tensor import Tensor, ancestors

Values = dict[Tensor, Any]


def _axes(axis: Any, ndim: int) -> Any:
    """An axis of one sample counted from the end, where a batch's axes do not reach."""
    if axis is None:
        return None
    if isinstance(axis, tuple):
        return tuple(_axes(a, ndim) for a in axis)
    return axis if axis < 0 else axis - ndim


def _reduced(x: Any, function: Callable[..., Any], axis: Any, keepdims: bool) -> Any:
    axis = tuple(range(-x.ndim, 0)) if axis is None else axis
    return function(x, dim=axis, keepdim=keepdims)


def _matvec(W: Any, x: Any) -> Any:
    return functional.linear(x, W) if W.ndim == 2 else (W @ x[..., None])[..., 0]


def _getitem(x: Any, index: Any, ndim: int) -> Any:
    index = index if isinstance(index, tuple) else (index,)
    index = tuple(torch.as_tensor(i) if hasattr(i, "dtype") else i for i in index)
    missing = ndim - sum(i is not None for i in index)
    return x[(..., *index, *(slice(None),) * missing)]


def _lead(x: Any, ndim: int) -> tuple[int, ...]:
    return tuple(x.shape[: x.ndim - ndim])


def _transposed(x: Any, axes: Any) -> Any:
    kept = x.ndim - len(axes)
    return x.permute(*range(kept), *(kept + a for a in axes))


def _where(c: Any, a: Any, b: Any) -> Any:
    return torch.where(c != 0, a, b)


SIMPLE: dict[str, Callable[..., Any]] = {
    "identity": lambda x: x, "detach": lambda x: x.detach(), "negative": torch.neg,
    "exp": torch.exp, "log": torch.log, "sqrt": torch.sqrt, "sin": torch.sin, "cos": torch.cos,
    "tanh": torch.tanh, "sigmoid": torch.sigmoid, "softplus": functional.softplus,
    "relu": torch.relu, "abs": torch.abs, "add": torch.add, "subtract": torch.sub,
    "multiply": torch.mul, "divide": torch.div, "power": torch.pow, "maximum": torch.maximum,
    "minimum": torch.minimum, "where": _where, "matmul": torch.matmul, "matvec": _matvec,
    "greater": lambda a, b: (a > b) * 1.0, "greater_equal": lambda a, b: (a >= b) * 1.0,
    "equal": lambda a, b: (a == b) * 1.0, "not_equal": lambda a, b: (a != b) * 1.0,
    "vecdot": lambda a, b: (a * b).sum(-1), "outer": lambda a, b: a[..., None] * b[..., None, :],
    "clip": lambda x, low, high: torch.clamp(x, low, high),
}  # fmt: skip
# operations on axes: (values, ndim of the first operand for one sample, attributes)
ON_AXES: dict[str, Callable[..., Any]] = {
    "sum": lambda v, n, axis, keepdims: _reduced(v[0], torch.sum, _axes(axis, n), keepdims),
    "mean": lambda v, n, axis, keepdims: _reduced(v[0], torch.mean, _axes(axis, n), keepdims),
    "max": lambda v, n, axis, keepdims: _reduced(v[0], torch.amax, _axes(axis, n), keepdims),
    "logsumexp": lambda v, n, axis, keepdims:
        _reduced(v[0], torch.logsumexp, _axes(axis, n), keepdims),
    "softmax": lambda v, n, axis: torch.softmax(v[0], _axes(axis, n)),
    "log_softmax": lambda v, n, axis: torch.log_softmax(v[0], _axes(axis, n)),
    "cumsum": lambda v, n, axis: torch.cumsum(v[0], _axes(axis, n)),
    "concat": lambda v, n, axis: torch.cat(_together(v, n), _axes(axis, n)),
    "stack": lambda v, n, axis: torch.stack(_together(v, n), _axes(axis, n + 1)),
    "reshape": lambda v, n, shape: v[0].reshape(_lead(v[0], n) + tuple(shape)),
    "transpose": lambda v, n, axes: _transposed(v[0], axes),
    "swapaxes": lambda v, n, a, b: torch.swapaxes(v[0], _axes(a, n), _axes(b, n)),
    "broadcast_to": lambda v, n, shape: v[0].expand(_lead(v[0], n) + tuple(shape)),
    "getitem": lambda v, n, index: _getitem(v[0], index, n),
}  # fmt: skip


def _together(values: list[Any], ndim: int) -> list[Any]:
    """Parts of a concatenation with the same leading axes."""
    lead = max((_lead(v, ndim) for v in values), key=len)
    return [v if _lead(v, ndim) == lead else v.expand(lead + tuple(v.shape)) for v in values]


class Straight:
    """Nodes of a Program in order, to be computed again and again; `kept` are read elsewhere.

    What one would write as one call is one: W · x + b, W · x + row, and parts of one vector.
    """

    def __init__(self, nodes: Iterable[Tensor], dtype: Any, kept: Iterable[Tensor] = ()) -> None:
        nodes = [n for n in nodes if n.inputs or not n.traced]
        self._fixed = {n: torch.as_tensor(n.numpy().astype(dtype)) for n in nodes if not n.inputs}
        users = collections.Counter([*kept, *(i for n in nodes for i in n.inputs)])
        inside = {n for n in nodes if n.inputs}
        fused = {n: p for n in inside if (p := _product_of(n)) in inside and users[p] == 1}
        absorbed = set(fused.values())
        parts = _parts(nodes, set(users))
        self._steps: list[tuple[tuple[Tensor, ...], Any, tuple[Tensor, ...]]] = []
        for node in nodes:
            if node in fused:
                W, x = fused[node].inputs
                self._steps.append(((node,), _linear, (x, W, node.inputs[1])))
            elif node in parts:
                widths = [n.size for n in parts[node]]
                split = functools.partial(torch.split, split_size_or_sections=widths, dim=-1)
                self._steps.append((parts[node], split, node.inputs))
                absorbed.update(parts[node])
                parts = {n: group for n, group in parts.items() if n not in absorbed}
            elif node.inputs and node not in absorbed:
                self._steps.append(((node,), self._function(node), node.inputs))

    @staticmethod
    def _function(node: Tensor) -> Callable[..., Any]:
        op, attributes = node.op or "", dict(node.attributes)
        if op in SIMPLE:
            simple = SIMPLE[op]
            return (lambda *v: simple(*v, **attributes)) if attributes else simple
        if op not in ON_AXES:
            raise LookupError(f"the operation {op!r} has no counterpart in torch_peers.py.")
        on_axes, ndim = ON_AXES[op], node.inputs[0].ndim
        return lambda *v: on_axes(list(v), ndim, **attributes)

    def __call__(self, values: Values) -> Values:
        """Add the value of every node to those of the leaves."""
        values.update(self._fixed)
        for nodes, function, operands in self._steps:
            found = function(*[values[i] for i in operands])
            if len(nodes) == 1:
                values[nodes[0]] = found
            else:
                values.update(zip(nodes, found, strict=True))
        return values


def _product_of(node: Tensor) -> Tensor | None:
    """The product in W · x + b."""
    if node.op != "add" or node.inputs[0].op != "matvec" or node.shape != node.inputs[1].shape:
        return None
    product = node.inputs[0]
    return product if product.name is None and product.inputs[0].ndim == 2 else None


def _linear(x: Any, W: Any, b: Any) -> Any:
    if b.ndim == 1:
        return functional.linear(x, W, b)
    return torch.addmm(b, x, W.T) if b.ndim == x.ndim == 2 else functional.linear(x, W) + b


def _parts(nodes: list[Tensor], read: set[Tensor]) -> dict[Tensor, tuple[Tensor, ...]]:
    """Slices that together are the whole of one vector, each with all of them in order."""
    groups: dict[Tensor, list[Tensor]] = {}
    for n in nodes:
        if n.op == "getitem" and n.ndim == 1 and n.inputs[0].ndim == 1 and n in read:
            groups.setdefault(n.inputs[0], []).append(n)
    found: dict[Tensor, tuple[Tensor, ...]] = {}
    for whole, group in groups.items():
        spans = {n: span(n.attributes["index"], whole.shape) for n in group}
        ordered = sorted(group, key=lambda n: spans[n] or (0, 0))
        edges = [0, *(s[1] for n in ordered if (s := spans[n]))]
        starts = [s[0] for n in ordered if (s := spans[n])]
        if len(group) > 1 and starts == edges[:-1] and edges[-1] == whole.size:
            found |= {n: tuple(ordered) for n in group}
    return found


def loop(cell: Any, program: Program, dtype: Any) -> Callable[..., Any]:
    """The cell's equations as they are written, step by step."""
    step = Straight(program.nodes(), dtype)

    def run(xs: Any, p: Mapping[str, Any], further: Mapping[str, Any]) -> Any:
        states = _zeros(program, xs)
        outputs = []
        for t in range(xs.shape[0]):
            values: Values = {program.inputs[n]: v for n, v in p.items()}
            values[program.inputs["x"]] = xs[t]
            for name, value in further.items():
                values[program.inputs[name]] = value[t] if name in cell.sequences else value
            for name, value in states.items():
                values[program.inputs[f"prev.{name}"]] = value
            step(values)
            states = {name: values[node] for name, node in program.outputs.items()}
            outputs.append(states[cell.output])
        return torch.stack(outputs)

    return run


def packed(cell: Any, program: Program, dtype: Any) -> Callable[..., Any]:
    """As somebody in a hurry writes them: weights joined, products with x before the loop."""
    rewritten = rewrite(program, {*cell.parameters, *cell.constants})
    once, new = rewritten.once, rewritten.step
    weights = Straight(ancestors(once.outputs.values()), dtype)
    level = levels(new, set(once.outputs))
    nodes = [n for n in new.nodes() if n not in set(new.inputs.values())]
    early = [n for n in nodes if level[n] <= AHEAD]
    late = [n for n in nodes if level[n] > AHEAD]
    read = {i for n in late for i in n.inputs if level[i] <= AHEAD} | {
        n for n in new.outputs.values() if level[n] <= AHEAD
    }
    timed = [n for n in read if level[n] == AHEAD]
    constant = [n for n in read if level[n] < AHEAD]
    before, step = Straight(early, dtype, kept=read), Straight(late, dtype)

    def run(xs: Any, p: Mapping[str, Any], further: Mapping[str, Any]) -> Any:
        given = {once.inputs[n]: v for n, v in {**p, **further}.items() if n in once.inputs}
        made = weights(given)
        first = {new.inputs[n]: made[node] for n, node in once.outputs.items()}
        first[new.inputs["x"]] = xs
        first |= {new.inputs[n]: further[n] for n in cell.sequences}
        before(first)
        rows = {n: first[n].unbind(0) for n in timed}
        fixed = {n: first[n] for n in constant}
        states = _zeros(new, xs)
        outputs = []
        for t in range(xs.shape[0]):
            values = {**fixed, **{n: row[t] for n, row in rows.items()}}
            for name, value in states.items():
                values[new.inputs[f"prev.{name}"]] = value
            step(values)
            states = {name: values[node] for name, node in new.outputs.items()}
            outputs.append(states[cell.output])
        return torch.stack(outputs)

    return run


def _zeros(program: Program, xs: Any) -> dict[str, Any]:
    return {
        name: xs.new_zeros(xs.shape[1], *program.inputs[f"prev.{name}"].shape)
        for name in program.outputs
    }
