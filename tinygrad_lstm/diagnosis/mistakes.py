"""The mistakes that people make in a backward pass, drawn by rule from any cell's own graph.

Each is a way to change what an edge hands on, what the loss hands in, or what is read off
(`backward.Changes`), with the words for it. No rule knows a cell.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from tinygrad_lstm.diagnosis.backward import Array, Change, Changes, Edge, Place, Recorded
from tinygrad_lstm.graph import ancestors, fold, unbroadcast
from tinygrad_lstm.operation import TABLE
from tinygrad_lstm.tensor import Tensor

LINEAR = {"add", "subtract", "negative", "identity", "concat", "getitem", "reshape", "broadcast_to"}
ACTIVATIONS: dict[str, Callable[[Array], Array]] = {
    "sigmoid": lambda y: y * (1 - y),
    "tanh": lambda y: 1 - y * y,
}


@dataclass(frozen=True)
class Mistake:
    """One mistake: its kind, how it is told, and what it changes.

    message: a key of words.toml, filled with `words`. place: the edge whose term it is about, if it
    is about one. rank: of two that give the same numbers the one with the lower rank is told.
    """

    kind: str
    message: str
    changes: Changes
    rank: float = 1.0
    place: Place | None = None
    words: Mapping[str, Any] = field(default_factory=dict)


def mistakes(graph: Recorded, given: Mapping[str, Array]) -> Iterator[Mistake]:
    """Every single mistake that the rules know, for the gradients that are given."""
    yield from _read_off(graph, given)
    yield from _over_time(graph)
    for place, edge in _edges(graph):
        yield from _along(graph, place, edge)


def _edges(graph: Recorded) -> Iterator[tuple[Place, Edge]]:
    """The edges of a step that is neither the first nor, if there are enough, the last."""
    t = min(1, len(graph) - 1)
    for node, ways in graph.edges:
        if graph.at[node][0] == t:
            yield from ways


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
        return unbroadcast(part, edge.source.shape)

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
                words = {"by": by, "value": value(edge), "part": part}
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


# --- what the loss hands in, what is carried, which steps are done -------------------------------
def _over_time(graph: Recorded) -> Iterator[Mistake]:
    last = len(graph) - 1
    only_last = np.arange(len(graph)) == last
    for name in graph.seeds:
        words = {"name": name}
        if last:
            alone = _seeds(name, only_last)
            yield Mistake("missing term", "loss at the last step only", alone, words=words)
            yield Mistake("step", "last step left out", _seeds(name, ~only_last), words=words)
        yield Mistake("double term", "loss twice", _seeds(name, 2.0), 1.2, words=words)
        yield Mistake("sign", "loss sign", _seeds(name, -1.0), 1.2, words=words)
    if last:
        carried = {place: graph.carries(edge) for place, edge in _edges(graph)}
        every = {place: _nothing for place, state in carried.items() if state}
        yield Mistake("carried", "nothing carried", Changes(every))
        for name in graph.start:
            own = {place: _nothing for place, state in carried.items() if state == name}
            if 1 < len(own) < len(every):
                yield Mistake("carried", "lost", Changes(own), words={"name": name})


def _nothing(edge: Edge, g: Array) -> Array | None:
    return None


def _seeds(name: str, factor: Any) -> Changes:
    """What the loss hands in, times a number or one for each step."""

    def change(seeds: dict[str, Array]) -> dict[str, Array]:
        axes = (1,) * (seeds[name].ndim - 1)
        scale = np.reshape(factor, (-1, *axes)) if np.ndim(factor) else factor
        return {**seeds, name: scale * seeds[name]}

    return Changes(seeds=change)


# --- what is read off ----------------------------------------------------------------------------
def _read_off(graph: Recorded, given: Mapping[str, Array]) -> Iterator[Mistake]:
    parameters = [name for name in graph.parameters if name in given]
    steps, batch = len(graph), int(np.prod(graph.xs.shape[1:-1], dtype=int))
    for names in _groups(parameters):
        for kind, message, change in _sums(steps):
            rank = 1.0 + 0.1 * (len(names) == 1)
            yield Mistake(kind, message, _each(names, change), rank, words={"names": names})
    for names in _groups(list(given), parameters):
        for factor, kind, message in _factors(steps, batch):
            words = {"names": names, "factor": factor}
            rank = 1.2 + 0.1 * (len(names) == 1)
            yield Mistake(kind, message, _each(names, _times(factor)), rank, words=words)
    yield from _rearranged(graph, parameters)
    yield from _exchanged(graph, given)


def _groups(*several: list[str]) -> list[list[str]]:
    """All names together, then each alone."""
    found = [names for names in several if names]
    found += [[name] for name in several[0] if len(several[0]) > 1]
    return [names for k, names in enumerate(found) if names not in found[:k]]


def _rearranged(graph: Recorded, parameters: list[str]) -> Iterator[Mistake]:
    matrices = [name for name in parameters if len(graph.parameters[name].shape) == 2]
    for name in matrices:
        rows, columns = graph.parameters[name].shape
        if rows == columns:
            turned = _each([name], lambda right, parts: np.swapaxes(right, 0, 1))
            yield Mistake("transpose", "gradient transposed", turned, words={"name": name})
        for cut in graph.cuts(name):
            yield Mistake("order", "order of columns", _rolled({name: cut}), words={"name": name})
    joined = {name: cuts[0] for name in matrices if len(cuts := graph.cuts(name)) == 1}
    if len(joined) > 1:
        yield Mistake("order", "order of all columns", _rolled(joined))


def _rolled(cuts: Mapping[str, int]) -> Changes:
    def result(found: dict[str, Array], parts: Any) -> dict[str, Array]:
        return {**found, **{n: np.roll(found[n], -c, axis=1) for n, c in cuts.items()}}

    return Changes(result=result)


def _exchanged(graph: Recorded, given: Mapping[str, Array]) -> Iterator[Mistake]:
    """Two gradients, or those of two equations' parameters: W_f and b_f for W_i and b_i."""
    read = {equation: graph.parameters_of(equation) for equation in graph.program.equations}
    own = {name: [p for p in names if p in given] for name, names in read.items()}
    groups = {name: [name] for name in given} | {n: p for n, p in own.items() if len(p) > 1}
    for a, b in itertools.combinations(groups, 2):
        shapes = [[np.shape(given[n]) for n in groups[name]] for name in (a, b)]
        if shapes[0] == shapes[1] and not set(groups[a]) & set(groups[b]):
            there = dict(zip(groups[a], groups[b], strict=True))
            swapped = _swapped({**there, **{y: x for x, y in there.items()}})
            yield Mistake("exchange", "exchanged", swapped, words={"a": a, "b": b})


def _swapped(other: Mapping[str, str]) -> Changes:
    def result(found: dict[str, Array], parts: Any) -> dict[str, Array]:
        return {**found, **{name: found[n] for name, n in other.items()}}

    return Changes(result=result)


def _each(names: list[str], change: Callable[[Array, Array], Array]) -> Changes:
    def result(found: dict[str, Array], parts: Mapping[str, Array]) -> dict[str, Array]:
        return {**found, **{n: change(found[n], parts.get(n, found[n])) for n in names}}

    return Changes(result=result)


def _times(factor: float) -> Callable[[Array, Array], Array]:
    return lambda right, parts: factor * right


def _sums(steps: int) -> Iterator[tuple[str, str, Callable[[Array, Array], Array]]]:
    if steps > 1:
        yield "sum", "mean over steps", lambda right, parts: right / steps
        yield "sum", "last step only", lambda right, parts: parts[-1]
        yield "sum", "first step only", lambda right, parts: parts[0]
    if steps > 2:
        yield "step", "first step not summed", lambda right, parts: right - parts[0]
        yield "step", "last step not summed", lambda right, parts: right - parts[-1]


def _factors(steps: int, batch: int) -> Iterator[tuple[float, str, str]]:
    if batch > 1:
        yield 1 / batch, "sum", "mean over batch"
        yield float(batch), "factor", "factor"
    if steps > 1:
        yield float(steps), "factor", "factor"
    if batch > 1 and steps > 1:
        yield 1 / (batch * steps), "sum", "mean over both"
    for factor in (2.0, 0.5):
        if factor not in (batch, steps):
            yield factor, "factor", "factor"
    yield -1.0, "sign", "sign of all"
