"""Mistakes in the rule of one operation: its slope left out, squared, or of the wrong thing."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from tinygrad_lstm.diagnosis.changes import Change
from tinygrad_lstm.diagnosis.rules import Edge, Expression, Step, leaves_of
from tinygrad_lstm.functions import concat, swapaxes
from tinygrad_lstm.graph import ancestors, fold, unbroadcast
from tinygrad_lstm.operation import TABLE
from tinygrad_lstm.ops import matvec, sigmoid, tanh
from tinygrad_lstm.tensor import Tensor, apply, remade

# what hands an adjoint on as it is, or moves its entries
PASSING = {"add", "subtract", "negative", "identity", "concat", "getitem", "reshape", "stack"}
PASSING |= {"broadcast_to", "transpose", "swapaxes", "scatter"}
ACTIVATIONS: dict[str, Callable[[Any], Any]] = {
    "sigmoid": lambda y: y * (1 - y),
    "tanh": lambda y: 1 - y * y,
}
_FUNCTIONS: dict[str, Callable[[Any], Any]] = {"sigmoid": sigmoid, "tanh": tanh}


@dataclass(frozen=True, eq=False)
class Variant:
    """Another expression in the place of a rule, and how it is told."""

    key: str  # the same for the same mistake along another edge
    kind: str
    message: str
    change: Change
    rank: float
    words: Mapping[str, Any] = field(default_factory=dict)


def _variant(
    step: Step, edge: Edge, leaves: Mapping[str, Tensor], root: Any, message: str, rank: float,
    kind: str = "slope", **words: Any,
) -> Variant | None:  # fmt: skip
    if not isinstance(root, Tensor):
        return None
    try:
        found = unbroadcast(root, edge.source.shape)
    except Exception:
        return None
    if found.shape != edge.source.shape:
        return None
    rule = step.expression(found, edge.node, leaves)
    key = f"{message} {words.get('other', '')}"
    return Variant(key, kind, message, Change(rule), rank, words)


def slopes(step: Step, edge: Edge) -> Iterator[Variant]:
    """The slope as a whole: not there, twice, inverted, or that of something else."""
    node, op, leaves = edge.node, edge.op, leaves_of(edge.node)
    g, y, x = leaves["g"], leaves["y"], leaves[f"_{edge.k}"]
    unary = len(node.inputs) == 1

    def rule(g: Any, y: Any = y) -> Any:
        own = TABLE[op].rule(edge.k)
        assert own is not None
        return own(g, y, *(leaves[f"_{j}"] for j in range(len(node.inputs))), **node.attributes)

    found: list[Variant | None] = []
    if (unary or op in ("multiply", "divide")) and g.shape == edge.source.shape:
        found.append(_variant(step, edge, leaves, g * 1.0, "slope left out", 1.0))
        found.append(_variant(step, edge, leaves, rule(rule(g)), "slope squared", 1.2))
    if op == "multiply" and g.shape == leaves[f"_{1 - edge.k}"].shape == edge.source.shape:
        root = g / leaves[f"_{1 - edge.k}"]
        found.append(_variant(step, edge, leaves, root, "slope inverted", 1.4))
    elementwise = unary and TABLE[op].signature == "elementwise"
    if elementwise:
        again = TABLE[op].forward is not None and apply(op, y, **node.attributes)
        one = g * 0.0 + 1.0
        found += [
            _variant(step, edge, leaves, rule(g, y=x), "slope of input", 1.1),
            _variant(step, edge, leaves, _of_value(op, node, g, again, y), "slope twice", 1.2),
            _variant(step, edge, leaves, g * y, "value for slope", 1.1),
            _variant(step, edge, leaves, g * (1 - y), "rest for slope", 1.2),
            _variant(step, edge, leaves, g * again, "function for slope", 1.3),
            _variant(step, edge, leaves, g * x, "input for slope", 1.3),
            _variant(step, edge, leaves, g / rule(one), "slope inverted", 1.35),
        ]
        for other, slope in ACTIVATIONS.items():
            if other != op:
                root = g * slope(y)
                found.append(
                    _variant(step, edge, leaves, root, "slope of other", 1.25, other=other)
                )
                root = g * slope(_FUNCTIONS[other](x))
                found.append(
                    _variant(step, edge, leaves, root, "slope of other", 1.45, other=other)
                )
    yield from (variant for variant in found if variant is not None)


def _of_value(op: str, node: Tensor, g: Any, again: Any, y: Any) -> Any:
    """The slope at the value, as if the function had not been applied yet."""
    rule = TABLE[op].rule(0)
    assert rule is not None
    return rule(g, again, y, **node.attributes)


def within(step: Step, edge: Edge) -> Iterator[Variant]:
    """Mistakes in the rule itself: a factor left out or squared, a term lost or with its sign."""
    root, leaves = edge.rule.root, edge.rule.leaves
    inside = ancestors([root])
    upstream = {leaves["g"]}
    for n in inside:
        if any(i in upstream for i in n.inputs):
            upstream.add(n)
    for target in inside:
        for kind, message, make in _edits(target, upstream):
            try:
                other = _edited(root, target, make)
            except Exception:
                continue
            rank = 1.25 if target is root else 1.35
            variant = _variant(step, edge, leaves, other, message, rank, kind)
            if variant is not None:
                yield variant


Make = Callable[[list[Tensor]], Any]


def _edits(node: Tensor, upstream: Collection[Tensor]) -> Iterator[tuple[str, str, Make]]:
    ways = [k for k, i in enumerate(node.inputs) if i in upstream]
    if node.op == "multiply" and len(ways) == 1:
        up, factor = ways[0], 1 - ways[0]
        if node.inputs[up].shape == node.shape:
            yield "slope", "slope left out", lambda v: v[up] * 1.0
        yield "slope", "slope squared", lambda v: v[up] * v[factor] * v[factor]
    elif node.op == "divide" and ways == [0]:
        yield "slope", "slope left out", lambda v: v[0] * 1.0
        yield "slope", "slope squared", lambda v: v[0] / v[1] / v[1]
    elif node.op in ("add", "subtract") and len(ways) == 2:
        minus = node.op == "subtract"
        yield "missing term", "missing", lambda v: v[0] * 1.0
        yield "missing term", "missing", lambda v: -v[1] if minus else v[1] * 1.0
        yield "sign", "sign", lambda v: v[0] + v[1] if minus else v[0] - v[1]
        yield "sign", "sign", lambda v: -v[0] - v[1] if minus else v[1] - v[0]
    elif node.op in ("add", "subtract") and not ways:
        minus = node.op == "subtract"
        yield "slope", "slope wrong", lambda v: v[1] * 1.0
        yield "slope", "slope wrong", lambda v: v[0] * 1.0
        yield "slope", "slope wrong", lambda v: v[0] + v[1] if minus else v[0] - v[1]
    elif node.op == "multiply" and not ways:
        yield "slope", "slope wrong", lambda v: v[0] * 1.0
        yield "slope", "slope wrong", lambda v: v[1] * 1.0
    elif len(node.inputs) == 1 and not ways and TABLE[node.op or ""].signature == "elementwise":
        yield "slope", "slope wrong", lambda v: v[0] * 1.0
    elif node.op in ("sum", "mean") and ways:
        yield "sum", "sum left out", lambda v: v[0] * 1.0


def _edited(root: Tensor, target: Tensor, make: Make) -> Tensor:
    def made(node: Tensor, operands: list[Tensor]) -> Tensor:
        if not node.inputs:
            return node
        return make(operands) if node is target else remade(node, operands)

    found: Tensor = fold([root], {}, made)[root]
    return found


def apart(step: Step, edge: Edge, leaf: str) -> Iterator[Expression]:
    """The rule with another value, the leaf `other`, in one of the places where it reads a leaf."""
    own, root = edge.rule.leaves[leaf], edge.rule.root
    inside = ancestors([root])
    places = [(n, k) for n in inside for k, i in enumerate(n.inputs) if i is own]
    if len(places) < 2:
        return
    for place in places:
        other = Tensor.input("other", own.shape, own.dtype)
        found = _edited(root, place[0], _with(place, other))
        yield step.expression(found, edge.node, {**edge.rule.leaves, "other": other})


def _with(place: tuple[Tensor, int], other: Tensor) -> Make:
    """A node on its operands, with another one in one place."""
    node, at = place
    return lambda v: remade(node, [other if k == at else i for k, i in enumerate(v)])


def untransposed(step: Step, edge: Edge) -> Variant | None:
    """W · g in place of Wᵀ · g; of a matrix that is wider its square block at the front."""
    W = edge.node.inputs[0]
    if W.ndim != 2 or W.shape[0] > W.shape[1] or edge.node.ndim != 1:
        return None
    leaves = leaves_of(edge.node)
    W, g = leaves["_0"], leaves["g"]
    rows = W.shape[0]
    square = W[:, :rows]
    turned = swapaxes(square, 0, 1)
    mixed = concat(turned, W[:, rows:], axis=1) if W.shape[1] > rows else turned
    root = matvec(swapaxes(mixed, 0, 1), g)
    rule = step.expression(root, edge.node, leaves)
    return Variant("transposed", "transpose", "transposed matrix", Change(rule), 1.0)
