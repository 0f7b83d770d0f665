"""The mistakes that people make in a backward pass, drawn by rule from any cell's own graph.

Each is a way to change what an edge hands on, what the loss hands in, or what is read off
(`backward.Changes`), with the words for it. No rule knows a cell.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from tinygrad_lstm.diagnosis.backward import Array, Change, Changes, Edge, Place, Recorded
from tinygrad_lstm.operation import TABLE
from tinygrad_lstm.tensor import Tensor

KINDS = (
    "missing term", "double term", "sign", "slope", "step", "exchange", "order", "transpose", "sum",
    "factor", "carried", "value", "unexplained",
)  # fmt: skip
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
    yield one("double term", "double", _scaled(2.0), 1.1)
    yield one("sign", "sign", _scaled(-1.0), 1.0)
    op = edge.node.op or "identity"
    if op not in LINEAR:
        yield from _slopes(one, edge, op)
        yield from _operands(graph, one, edge, op)
    if op in ("matvec", "matmul") and edge.k == 1:
        yield one("transpose", "transposed matrix", _untransposed, 1.0)
        for other in _matrices_like(graph, edge):
            swapped = _replaced("_0", lambda e, name=other: graph.parameters[name].data)
            yield one("exchange", "other matrix", swapped, 1.4, other=other)
    if op == "concat" and len({i.shape for i in edge.node.inputs}) < len(edge.node.inputs):
        yield one("order", "order of parts", _other_part, 1.2)


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
            yield one("slope", "slope of other", lambda e, g, f=slope: g * f(e.node.data), 1.3,
                      other=other)  # fmt: skip


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
                yield one("step", "step", _from_step(graph, key, value, by, part), 1.1 + 0.1 * (by > 0),
                          by=by, value=value(edge), part=part)  # fmt: skip
        if value(edge).name is None and value(edge).op == "concat":
            continue
        for other in _equations_like(graph, edge, value(edge)):
            change = _other_value(key, lambda e, name=other: graph.steps[e.t][name].data)  # type: ignore[misc]
            gate = value(edge).name in graph.steps[0]
            yield one("exchange" if gate else "value", "other value", change, 1.5,
                      other=other, value=value(edge))  # fmt: skip


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
    for name in graph.seeds:

        def only_last(seeds: dict[str, Array], name: str = name) -> dict[str, Array]:
            return {**seeds, name: np.concatenate([0 * seeds[name][:last], seeds[name][last:]])}

        def but_last(seeds: dict[str, Array], name: str = name) -> dict[str, Array]:
            return {**seeds, name: np.concatenate([seeds[name][:last], 0 * seeds[name][last:]])}

        if last:
            yield Mistake("missing term", "loss at the last step only", Changes(seeds=only_last), 1.0,
                          words={"name": name})  # fmt: skip
            yield Mistake("step", "last step left out", Changes(seeds=but_last), 1.0)
        for factor, kind, message in (
            (2.0, "double term", "loss twice"),
            (-1.0, "sign", "loss sign"),
        ):
            changed = lambda seeds, f=factor, name=name: {**seeds, name: f * seeds[name]}  # noqa: E731
            yield Mistake(kind, message, Changes(seeds=changed), 1.2, words={"name": name})
    if last:
        carried = {
            place: (lambda e, g: None) for place, edge in _edges(graph) if graph.carries(edge)
        }
        yield Mistake("carried", "nothing carried", Changes(carried), 1.0)
        for name in graph.start:
            own = {
                place: (lambda e, g: None)
                for place, edge in _edges(graph)
                if graph.carries(edge) == name
            }
            if 1 < len(own) < len(carried):
                yield Mistake("carried", "lost", Changes(own), 1.0, words={"name": name})


# --- what is read off ----------------------------------------------------------------------------
def _read_off(graph: Recorded, given: Mapping[str, Array]) -> Iterator[Mistake]:
    parameters = [name for name in graph.parameters if name in given]
    everywhere = [*parameters]
    T, B = len(graph), int(np.prod(graph.xs.shape[1:-1], dtype=int))
    groups = [everywhere] + ([[name] for name in parameters] if len(parameters) > 1 else [])
    for names in groups:
        for kind, message, change in _sums(T):
            yield Mistake(kind, message, Changes(result=_each(names, change)), 1.0 + 0.1 * (len(names) == 1),
                          words={"names": names})  # fmt: skip
    whole = [list(given)] + ([everywhere] if everywhere and len(everywhere) < len(given) else [])
    whole += [[name] for name in given if len(given) > 1]
    for names in whole:
        for factor, kind, message in _factors(T, B):
            scaled = lambda right, parts, f=factor: f * right  # noqa: E731
            yield Mistake(kind, message, Changes(result=_each(names, scaled)), 1.2 + 0.1 * (len(names) == 1),
                          words={"names": names, "factor": factor})  # fmt: skip
    for name in parameters:
        shape = graph.parameters[name].shape
        if len(shape) == 2 and shape[0] == shape[1]:
            turned = _each([name], lambda right, parts: np.swapaxes(right, 0, 1))
            yield Mistake(
                "transpose",
                "gradient transposed",
                Changes(result=turned),
                1.0,
                words={"name": name},
            )
        if len(shape) == 2:
            for cut in graph.cuts(name):
                moved = lambda right, parts, c=cut: np.roll(right, -c, axis=1)  # noqa: E731
                yield Mistake("order", "order of columns", Changes(result=_each([name], moved)), 1.0,
                              words={"name": name})  # fmt: skip
    wide = [(name, graph.cuts(name)) for name in parameters]
    together = {name: cuts[0] for name, cuts in wide if len(cuts) == 1}
    if len(together) > 1:

        def rolled(found: dict[str, Array], parts: Any) -> dict[str, Array]:
            return {**found, **{n: np.roll(found[n], -c, axis=1) for n, c in together.items()}}

        yield Mistake("order", "order of all columns", Changes(result=rolled), 1.0)
    for k, a in enumerate(given):
        for b in list(given)[k + 1 :]:
            if np.shape(given[a]) == np.shape(given[b]):

                def swapped(
                    found: dict[str, Array], parts: Any, a: str = a, b: str = b
                ) -> dict[str, Array]:
                    return {**found, a: found[b], b: found[a]}

                yield Mistake(
                    "exchange", "exchanged", Changes(result=swapped), 1.0, words={"a": a, "b": b}
                )
    gates = _gates(graph, given)
    for k, (a, of_a) in enumerate(gates):
        for b, of_b in gates[k + 1 :]:
            pairs = dict(zip(of_a, of_b, strict=False))
            if len(pairs) > 1 and all(
                np.shape(given[x]) == np.shape(given[y]) for x, y in pairs.items()
            ):

                def gates_swapped(
                    found: dict[str, Array], parts: Any, pairs: Mapping[str, str] = pairs
                ) -> dict[str, Array]:
                    return {
                        **found,
                        **{x: found[y] for x, y in pairs.items()},
                        **{y: found[x] for x, y in pairs.items()},
                    }

                yield Mistake(
                    "exchange",
                    "exchanged",
                    Changes(result=gates_swapped),
                    1.0,
                    words={"a": a, "b": b},
                )


def _gates(graph: Recorded, given: Mapping[str, Array]) -> list[tuple[str, list[str]]]:
    """Equations with the given parameters that they read: W_f and b_f of f."""
    read = {name: graph.parameters_of(name) for name in graph.program.equations}
    return [(name, own) for name, all_ in read.items() if (own := [p for p in all_ if p in given])]


def _each(names: list[str], change: Callable[[Array, Array], Array]) -> Any:
    def result(found: dict[str, Array], parts: Mapping[str, Array]) -> dict[str, Array]:
        return {**found, **{n: change(found[n], parts.get(n, found[n])) for n in names}}

    return result


def _sums(T: int) -> Iterator[tuple[str, str, Callable[[Array, Array], Array]]]:
    if T > 1:
        yield "sum", "mean over steps", lambda right, parts: right / T
        yield "sum", "last step only", lambda right, parts: parts[-1]
        yield "sum", "first step only", lambda right, parts: parts[0]
    if T > 2:
        yield "step", "first step not summed", lambda right, parts: right - parts[0]
        yield "step", "last step not summed", lambda right, parts: right - parts[-1]


def _factors(T: int, B: int) -> Iterator[tuple[float, str, str]]:
    if B > 1:
        yield 1 / B, "sum", "mean over batch"
        yield float(B), "factor", "factor"
    if T > 1:
        yield float(T), "factor", "factor"
        if B > 1:
            yield 1 / (B * T), "sum", "mean over both"
    for factor in (2.0, 0.5):
        if factor not in (B, T):
            yield factor, "factor", "factor"
    yield -1.0, "sign", "sign of all"
