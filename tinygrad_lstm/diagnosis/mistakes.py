"""The mistakes that people make in a backward pass, drawn by rule from any cell's own graph.

Each is a way to change what an edge hands on, what the loss hands in, or what is read off
(`backward.Changes`), with the words for it. No rule knows a cell.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from typing import Any

import numpy as np

from tinygrad_lstm.diagnosis.backward import Array, Change, Changes, Edge, Mistake, Place, Recorded
from tinygrad_lstm.diagnosis.overall import over_time, read_off
from tinygrad_lstm.graph import ancestors, fold, unbroadcast
from tinygrad_lstm.operation import TABLE
from tinygrad_lstm.tensor import Tensor

LINEAR = {"add", "subtract", "negative", "identity", "concat", "getitem", "reshape", "broadcast_to"}
ACTIVATIONS: dict[str, Callable[[Array], Array]] = {
    "sigmoid": lambda y: y * (1 - y),
    "tanh": lambda y: 1 - y * y,
}


def mistakes(graph: Recorded, given: Mapping[str, Array]) -> Iterator[Mistake]:
    """Every single mistake that the rules know, for the gradients that are given."""
    yield from read_off(graph, given)
    yield from over_time(graph)
    for place, edge in graph.ways_of_a_step():
        yield from _along(graph, place, edge)


# --- along an edge -------------------------------------------------------------------------------
def _along(graph: Recorded, place: Place, edge: Edge) -> Iterator[Mistake]:
    def one(kind: str, message: str, change: Change, rank: float = 1.0, **words: Any) -> Mistake:
        return Mistake(kind, message, Changes({place: change}), rank, place, words)

    back = graph.carries(edge)
    lost = "carried" if back and graph.only_way(edge) else "missing term"
    yield one(lost, "lost" if lost == "carried" else "missing", lambda e, g: None, 1.0)
    if not graph.only_way(edge):
        yield one("double term", "double", _scaled(2.0), 1.1)
    elif edge.source not in graph.names:  # of a parameter it is read off
        yield one("factor", "double", _scaled(2.0), 1.2)
    yield one("sign", "sign", _scaled(-1.0), 1.0)
    op = edge.node.op or "identity"
    if op not in LINEAR:
        yield from _slopes(one, edge, op)
        yield from _within(one, edge)
        yield from _operands(graph, one, edge, op)
    if op == "multiply" and edge.k == 0 and edge.node.inputs[1].requires_grad:
        own = {(place[0], k): _replaced(f"_{1 - k}", _operand(k)) for k in (0, 1)}
        words = {"a": edge.node.inputs[0].name, "b": edge.node.inputs[1].name}
        if all(words.values()):
            yield Mistake("exchange", "factors exchanged", Changes(own), 1.3, place, words)
    if op in ("matvec", "matmul") and edge.k == 1:
        yield one("transpose", "transposed matrix", _untransposed, 1.0)
        for other in _matrices_like(graph, edge):
            swapped = _replaced("_0", _parameter(graph, other))
            yield one("exchange", "other matrix", swapped, 1.4, other=other)
    if op == "concat" and len({i.shape for i in edge.node.inputs}) < len(edge.node.inputs):
        yield one("order", "order of parts", _other_part, 1.2)


def _operand(k: int) -> Callable[[Edge], Array]:
    return lambda e: e.node.inputs[k].data


def _parameter(graph: Recorded, name: str) -> Callable[[Edge], Array]:
    return lambda e: graph.parameters[name].data


def _scaled(factor: float) -> Change:
    def change(edge: Edge, g: Array) -> Array | None:
        part = edge.part(g)
        return None if part is None else factor * part

    return change


def _slopes(one: Callable[..., Mistake], edge: Edge, op: str) -> Iterator[Mistake]:
    def omitted(e: Edge, g: Array) -> Array | None:
        return g if g.shape == e.source.shape else e.part(g)

    def squared(e: Edge, g: Array) -> Array | None:
        part = e.part(g)
        return part if part is None or part.shape != g.shape else e.part(part)

    unary = len(edge.node.inputs) == 1
    if unary or op in ("multiply", "divide"):
        yield one("slope", "slope left out", omitted, 1.0)
        yield one("slope", "slope squared", squared, 1.2)
    if not unary or op in ("sum", "mean"):
        return
    forward = TABLE[op].forward
    yield one("slope", "slope of input", _y(lambda e: e.source.data), 1.1)
    yield one("slope", "slope twice", _y(lambda e: forward(e.node.data)), 1.2)
    yield one("slope", "value for slope", lambda e, g: g * e.node.data, 1.1)
    yield one("slope", "rest for slope", lambda e, g: g * (1 - e.node.data), 1.2)
    for other, slope in ACTIVATIONS.items():
        if other != op:
            yield one("slope", "slope of other", _by(slope), 1.3, other=other)


def _by(slope: Callable[[Array], Array]) -> Change:
    return lambda e, g: g * slope(e.node.data)


def _within(one: Callable[..., Mistake], edge: Edge) -> Iterator[Mistake]:
    """Mistakes in the rule itself: a factor left out or squared, a term lost or with its sign."""
    node = edge.node
    rule = TABLE[node.op or "identity"].rule(edge.k)
    assert rule is not None
    leaves = [Tensor.input(f"_{j}", i.shape) for j, i in enumerate(node.inputs)]
    g, y = Tensor.input("g", node.shape), Tensor.input("y", node.shape)
    root = rule(g, y, *leaves, **node.attributes)
    if not isinstance(root, Tensor):
        return
    inside = ancestors([root])
    upstream = {g}
    for n in inside:
        if any(i in upstream for i in n.inputs):
            upstream.add(n)
    for target in inside:
        for kind, message, made in _variants(target, upstream):
            change = _by_rule([g, y, *leaves], root, target, made)
            yield one(kind, message, change, 1.25 if target is root else 1.35)


def _variants(
    node: Tensor, upstream: Collection[Tensor]
) -> Iterator[tuple[str, str, Callable[[list[Array]], Array]]]:
    ways = [k for k, i in enumerate(node.inputs) if i in upstream]
    if node.op == "multiply" and len(ways) == 1:
        up, factor = ways[0], 1 - ways[0]
        if node.inputs[up].shape == node.shape:
            yield "slope", "slope left out", lambda v: v[up]
        yield "slope", "slope squared", lambda v: v[up] * v[factor] * v[factor]
    elif node.op == "divide" and ways == [0]:
        yield "slope", "slope left out", lambda v: v[0] + 0 * v[1]
        yield "slope", "slope squared", lambda v: v[0] / v[1] / v[1]
    elif node.op in ("add", "subtract") and len(ways) == 2:
        for k in ways:
            sign = -1.0 if node.op == "subtract" and k == 1 else 1.0
            other = -1.0 if node.op == "subtract" and k == 0 else 1.0
            yield "missing term", "missing", lambda v, k=k, o=other: o * v[1 - k] + 0 * v[k]  # type: ignore[misc]
            yield "sign", "sign", lambda v, k=k, o=other, s=sign: o * v[1 - k] - s * v[k]  # type: ignore[misc]
    elif node.op == "subtract" and not ways:
        yield "slope", "slope wrong", lambda v: v[1] + 0 * v[0]


def _by_rule(
    leaves: list[Tensor], root: Tensor, target: Tensor, made: Callable[[list[Array]], Array]
) -> Change:
    def make(node: Tensor, values: list[Array]) -> Array:
        if not node.inputs:
            return node.data
        if node is target:
            return made(values)
        found: Array = TABLE[node.op or "identity"].forward(*values, **node.attributes)
        return found

    def change(edge: Edge, g: Array) -> Array | None:
        known = [g, edge.node.data, *(i.data for i in edge.node.inputs)]
        part = fold([root], dict(zip(leaves, known, strict=True)), make)[root]
        received: Array = unbroadcast(part, edge.source.shape)
        return received

    return change


def _y(value: Callable[[Edge], Array]) -> Change:
    return lambda e, g: e.part(g, y=value(e))


def _replaced(j: str, value: Callable[[Edge], Array | None]) -> Change:
    def change(edge: Edge, g: Array) -> Array | None:
        other = value(edge)
        return None if other is None else edge.part(g, **{j: other})

    return change


def _operands(
    graph: Recorded, one: Callable[..., Mistake], edge: Edge, op: str
) -> Iterator[Mistake]:
    """Values in a rule that are taken from another step, or are another equation's."""
    node = edge.node
    read: list[tuple[str, Callable[[Edge], Tensor]]] = [
        (f"_{j}", lambda e, j=j: e.node.inputs[j])  # type: ignore[misc]
        for j in range(len(node.inputs))
        if j != edge.k or op == "power"
    ]
    if len(node.inputs) == 1:
        read = [("y", lambda e: e.node)]
    for key, value in read:
        for by in (-1, 1):
            for part in _shiftable(graph, value(edge)):
                words: dict[str, Any] = {"by": by, "value": value(edge), "part": part}
                change = _from_step(graph, key, value, by, part)
                yield one("step", "step", change, 1.1 + 0.1 * (by > 0), **words)
        if value(edge).name is None and value(edge).op == "concat":
            continue
        for other in _equations_like(graph, edge, value(edge)):
            change = _other_value(key, _equation(graph, other))
            gate = value(edge).name in graph.steps[0]
            words = {"other": other, "value": value(edge)}
            yield one("exchange" if gate else "value", "other value", change, 1.5, **words)


def _equation(graph: Recorded, name: str) -> Callable[[Edge], Array]:
    return lambda e: graph.steps[e.t][name].data


def _other_value(key: str, value: Callable[[Edge], Array]) -> Change:
    if key == "y":
        return _y(value)
    return _replaced(key, value)


def _shiftable(graph: Recorded, node: Tensor) -> list[int | None]:
    """None: the value itself has a neighbour; else the parts of a joined vector that have one."""
    if node in graph.names or not node.requires_grad:
        return []
    if node.op == "concat" and node.name is None:
        return [k for k, i in enumerate(node.inputs) if i not in graph.names]
    return [None]


def _from_step(
    graph: Recorded, key: str, value: Callable[[Edge], Tensor], by: int, part: int | None
) -> Change:
    def at(node: Tensor) -> Array:
        other = graph.neighbour(node, by)
        return np.zeros(node.shape) if other is None else other.data

    def change(edge: Edge, g: Array) -> Array | None:
        node = value(edge)
        if part is None:
            data = at(node)
        else:
            inputs = [at(i) if k == part else i.data for k, i in enumerate(node.inputs)]
            data = TABLE["concat"].forward(*inputs, **node.attributes)
        return edge.part(g, y=data) if key == "y" else edge.part(g, **{key: data})

    return change


def _equations_like(graph: Recorded, edge: Edge, node: Tensor) -> list[str]:
    return [
        name
        for name, other in graph.steps[edge.t].items()
        if other.shape == node.shape and other is not node and name != node.name
    ]


def _matrices_like(graph: Recorded, edge: Edge) -> list[str]:
    W = edge.node.inputs[0]
    return [name for name, p in graph.parameters.items() if p.shape == W.shape and p is not W]


def _untransposed(edge: Edge, g: Array) -> Array | None:
    """W · g in place of Wᵀ · g; of a matrix that is wider its square block at the front."""
    W, rows = edge.node.inputs[0].data, edge.node.inputs[0].shape[0]
    if W.ndim != 2 or W.shape[1] < rows:
        return edge.part(g)
    mixed = np.concatenate([np.swapaxes(W[:, :rows], 0, 1), W[:, rows:]], axis=1)
    return edge.part(g, _0=mixed)


def _other_part(edge: Edge, g: Array) -> Array | None:
    """The part of a joined vector's adjoint that belongs to another part of the same length."""
    inputs = edge.node.inputs
    same = [k for k, i in enumerate(inputs) if i.shape == edge.source.shape and k != edge.k]
    return edge._replace(k=same[0]).part(g) if same else edge.part(g)
