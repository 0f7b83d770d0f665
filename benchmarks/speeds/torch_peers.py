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

from tinygrad_lstm.kernels.patterns import span
from tinygrad_lstm.kernels.rewriting import AHEAD, levels, rewrite
from tinygrad_lstm.program import Program
from tinygrad_lstm.tensor import Tensor, ancestors

Values = dict[int, Any]  # by id of a node: torch.compile takes no other objects as keys


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


def _index(index: Any, ndim: int) -> tuple[Any, ...]:
    """The same index where an array has leading axes."""
    index = index if isinstance(index, tuple) else (index,)
    index = tuple(torch.as_tensor(i) if hasattr(i, "dtype") else i for i in index)
    missing = ndim - sum(i is not None for i in index)
    return (..., *index, *(slice(None),) * missing)


def _lead(x: Any, ndim: int) -> tuple[int, ...]:
    return tuple(x.shape[: x.ndim - ndim])


def _transposed(x: Any, axes: Any) -> Any:
    kept = x.ndim - len(axes)
    return x.permute(*range(kept), *(kept + a for a in axes))


def _where(c: Any, a: Any, b: Any) -> Any:
    return torch.where(c != 0, a, b)


SIMPLE: dict[str, Callable[..., Any]] = {
    "identity": lambda x: x,
    "detach": lambda x: x.detach(),
    "negative": torch.neg,
    "exp": torch.exp,
    "log": torch.log,
    "sqrt": torch.sqrt,
    "sin": torch.sin,
    "cos": torch.cos,
    "tanh": torch.tanh,
    "sigmoid": torch.sigmoid,
    "softplus": functional.softplus,
    "relu": torch.relu,
    "abs": torch.abs,
    "add": torch.add,
    "subtract": torch.sub,
    "multiply": torch.mul,
    "divide": torch.div,
    "power": torch.pow,
    "maximum": torch.maximum,
    "minimum": torch.minimum,
    "where": _where,
    "matmul": torch.matmul,
    "matvec": _matvec,
    "greater": lambda a, b: (a > b) * 1.0,
    "greater_equal": lambda a, b: (a >= b) * 1.0,
    "equal": lambda a, b: (a == b) * 1.0,
    "not_equal": lambda a, b: (a != b) * 1.0,
    "vecdot": lambda a, b: (a * b).sum(-1),
    "outer": lambda a, b: a[..., None] * b[..., None, :],
    "clip": lambda x, low, high: torch.clamp(x, low, high),
}
# operations on axes: (values, ndim of the first operand for one sample, attributes)
ON_AXES: dict[str, Callable[..., Any]] = {
    "sum": lambda v, n, axis, keepdims: _reduced(v[0], torch.sum, _axes(axis, n), keepdims),
    "mean": lambda v, n, axis, keepdims: _reduced(v[0], torch.mean, _axes(axis, n), keepdims),
    "max": lambda v, n, axis, keepdims: _reduced(v[0], torch.amax, _axes(axis, n), keepdims),
    "logsumexp": lambda v, n, axis, keepdims: _reduced(
        v[0], torch.logsumexp, _axes(axis, n), keepdims
    ),
    "softmax": lambda v, n, axis: torch.softmax(v[0], _axes(axis, n)),
    "log_softmax": lambda v, n, axis: torch.log_softmax(v[0], _axes(axis, n)),
    "cumsum": lambda v, n, axis: torch.cumsum(v[0], _axes(axis, n)),
    "concat": lambda v, n, axis: torch.cat(_together(v, n), _axes(axis, n)),
    "stack": lambda v, n, axis: torch.stack(_together(v, n), _axes(axis, n + 1)),
    "reshape": lambda v, n, shape: v[0].reshape(_lead(v[0], n) + tuple(shape)),
    "transpose": lambda v, n, axes: _transposed(v[0], axes),
    "swapaxes": lambda v, n, a, b: torch.swapaxes(v[0], _axes(a, n), _axes(b, n)),
    "broadcast_to": lambda v, n, shape: v[0].expand(_lead(v[0], n) + tuple(shape)),
}


def _together(values: list[Any], ndim: int) -> list[Any]:
    """Parts of a concatenation with the same leading axes."""
    lead = tuple(torch.broadcast_shapes(*(_lead(v, ndim) for v in values)))
    return [
        v if _lead(v, ndim) == lead else v.expand(lead + tuple(v.shape[v.ndim - ndim :]))
        for v in values
    ]


class Straight:
    """Nodes of a Program in order, to be computed again and again; `kept` are read elsewhere.

    What one would write as one call is one: W · x + b, W · x + row, and parts of one vector.
    """

    def __init__(self, nodes: Iterable[Tensor], dtype: Any, kept: Iterable[Tensor] = ()) -> None:
        nodes = [n for n in nodes if n.inputs or not n.traced]
        self._nodes = nodes  # whose ids are in use
        self._fixed = {
            id(n): torch.as_tensor(n.numpy().astype(dtype)) for n in nodes if not n.inputs
        }
        users = collections.Counter([*kept, *(i for n in nodes for i in n.inputs)])
        inside = {n for n in nodes if n.inputs}
        fused = {n: p for n in inside if (p := _product_of(n)) in inside and users[p] == 1}
        absorbed = set(fused.values())
        parts = _parts(nodes, set(users))
        self._steps: list[tuple[list[int], Any, list[int]]] = []

        def step(made: Iterable[Tensor], function: Any, *operands: Tensor) -> None:
            self._steps.append(([id(n) for n in made], function, [id(n) for n in operands]))

        for node in nodes:
            if node in fused:
                W, x = fused[node].inputs
                step([node], _linear, x, W, node.inputs[1])
            elif node in parts:
                widths = [n.size for n in parts[node]]
                split = functools.partial(torch.split, split_size_or_sections=widths, dim=-1)
                step(parts[node], split, *node.inputs)
                absorbed.update(parts[node])
                parts = {n: group for n, group in parts.items() if n not in absorbed}
            elif node.inputs and node not in absorbed:
                step([node], self._function(node), *node.inputs)

    @staticmethod
    def _function(node: Tensor) -> Callable[..., Any]:
        op, attributes = node.op or "", dict(node.attributes)
        if op in SIMPLE:
            simple = SIMPLE[op]
            return (lambda *v: simple(*v, **attributes)) if attributes else simple
        if op == "getitem":
            index = _index(attributes["index"], node.inputs[0].ndim)
            return lambda x: x[index]
        if op not in ON_AXES:
            raise LookupError(f"the operation {op!r} has no counterpart in torch_peers.py.")
        on_axes, ndim = ON_AXES[op], node.inputs[0].ndim
        return lambda *v: on_axes(list(v), ndim, **attributes)

    def __call__(self, values: Values) -> Values:
        """Add the value of every node to those of the leaves."""
        values.update(self._fixed)
        for made, function, operands in self._steps:
            found = function(*[values[i] for i in operands])
            if len(made) == 1:
                values[made[0]] = found
            else:
                values.update(zip(made, found, strict=True))
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
    inputs, outputs = _ids(program.inputs), _ids(program.outputs)
    zeros, output, timed = _zeros(program), cell.output, list(cell.sequences)

    def run(xs: Any, p: Mapping[str, Any], further: Mapping[str, Any]) -> Any:
        states = zeros(xs)
        found = []
        for t in range(xs.shape[0]):
            values: Values = {inputs[n]: v for n, v in p.items()}
            values[inputs["x"]] = xs[t]
            for name, value in further.items():
                values[inputs[name]] = value[t] if name in timed else value
            for name, value in states.items():
                values[inputs[f"prev.{name}"]] = value
            step(values)
            states = {name: values[k] for name, k in outputs.items()}
            found.append(states[output])
        return torch.stack(found)

    return run


def packed(cell: Any, program: Program, dtype: Any) -> Callable[..., Any]:
    """As one writes them by hand: weights joined, products with x before the loop."""
    rewritten = rewrite(program, {*cell.parameters, *cell.constants})
    once, new = rewritten.once, rewritten.step
    weights = Straight(ancestors(once.outputs.values()), dtype)
    level = levels(new, set(once.outputs))
    nodes = [n for n in new.nodes() if n not in set(new.inputs.values())]
    late = [n for n in nodes if level[n] > AHEAD]
    read = {
        i
        for i in (*new.outputs.values(), *(i for n in late for i in n.inputs))
        if level[i] <= AHEAD
    }
    before = Straight([n for n in nodes if level[n] <= AHEAD], dtype, kept=read)
    step = Straight(late, dtype)
    by_step = [id(n) for n in read if level[n] == AHEAD]
    constant = [id(n) for n in read if level[n] < AHEAD]
    given, made = _ids(once.inputs), _ids(once.outputs)
    inputs, outputs = _ids(new.inputs), _ids(new.outputs)
    zeros, output, timed = _zeros(new), cell.output, list(cell.sequences)

    def run(xs: Any, p: Mapping[str, Any], further: Mapping[str, Any]) -> Any:
        packs = weights({given[n]: v for n, v in {**p, **further}.items() if n in given})
        values: Values = {inputs[n]: packs[k] for n, k in made.items()}
        values[inputs["x"]] = xs
        for name in timed:
            values[inputs[name]] = further[name]
        before(values)
        rows = {k: values[k].unbind(0) for k in by_step}
        fixed = {k: values[k] for k in constant}
        states = zeros(xs)
        found = []
        for t in range(xs.shape[0]):
            values = {**fixed, **{k: row[t] for k, row in rows.items()}}
            for name, value in states.items():
                values[inputs[f"prev.{name}"]] = value
            step(values)
            states = {name: values[k] for name, k in outputs.items()}
            found.append(states[output])
        return torch.stack(found)

    return run


def _ids(nodes: Mapping[str, Tensor]) -> dict[str, int]:
    return {name: id(node) for name, node in nodes.items()}


def _zeros(program: Program) -> Callable[[Any], dict[str, Any]]:
    """States before the first step, for a batch like that of xs."""
    shapes = {name: program.inputs[f"prev.{name}"].shape for name in program.outputs}
    return lambda xs: {n: xs.new_zeros(xs.shape[1], *shape) for n, shape in shapes.items()}
