"""The ways in which people write a step otherwise, drawn by rule from any cell's own Program.

Each is a `Rewrite`. No rule knows a cell: what a bias, a peephole, a gate or a share is, is read
off the graph.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from functools import partial

import numpy as np

from tinygrad_lstm.diagnosis.expressions import Sites
from tinygrad_lstm.diagnosis.reads import other_reads
from tinygrad_lstm.diagnosis.resets import other_resets
from tinygrad_lstm.diagnosis.rewrites import At, Change, Rewrite
from tinygrad_lstm.operation import TABLE
from tinygrad_lstm.ops import clip, relu, sigmoid, tanh
from tinygrad_lstm.tensor import Tensor, apply, remade

Made = Callable[[Tensor], Tensor]
SATURATING = ("sigmoid", "tanh", "relu", "softsign", "softplus", "silu", "gelu", "erf")
ACTIVATIONS: dict[str, Made] = {
    "sigmoid": sigmoid,
    "tanh": tanh,
    "relu": relu,
    "hard_sigmoid": lambda x: clip(0.2 * x + 0.5, 0.0, 1.0),  # of Keras 1 and 2
    "hard_sigmoid (x / 6 + 1 / 2)": lambda x: clip(x / 6.0 + 0.5, 0.0, 1.0),  # of Keras 3
    "hard_tanh": lambda x: clip(x, -1.0, 1.0),
    "softsign": lambda x: apply("softsign", x),
}
_PLAIN = ("identity", "negative", "detach", "broadcast_to", "spread", "floor", "sign")


def step_mistakes(sites: Sites, over_time: bool) -> Iterator[Rewrite]:
    """Every way that the rules know; over_time: those in which a sequence is gone through, too."""
    for node in sites.nodes:
        op = node.op or ""
        if op in ("add", "subtract"):
            yield from _terms(sites, node)
        if op in ("multiply", "divide"):
            yield from _factors(sites, node)
        if op == "subtract" and sites.is_one(node.inputs[0]):
            yield sites.one(node, "exchange", "one minus missing", lambda ops, at: ops[1])
        if len(node.inputs) == 1 and TABLE[op].signature == "elementwise" and op not in _PLAIN:
            yield from _activations(sites, node)
        if op in ("matvec", "matmul") and node.inputs[0].ndim == 2:
            yield from _transposed(sites, node)
        yield from other_reads(sites, node)
        yield from other_resets(sites, node)
    yield from _everywhere(sites)
    yield from _shares(sites)
    yield from _gates(sites)
    yield from _states(sites)
    if over_time:
        for kind, over in (
            ("carried", "not carried"), ("step", "reversed"), ("step", "late"), ("order", "axes"),
        ):  # fmt: skip
            name = next(iter(sites.program.outputs))
            yield Rewrite(kind, over, name, rank=1.1, over=over)


# --- sums and products ---------------------------------------------------------------------------
def _terms(sites: Sites, node: Tensor) -> Iterator[Rewrite]:
    signs = (1.0, -1.0 if node.op == "subtract" else 1.0)
    if node.op == "subtract" and sites.is_one(node.inputs[0]):
        return  # 1 - z is one thing
    for k, term in enumerate(node.inputs):
        if term.op in ("add", "subtract") and term not in sites.known:
            continue  # a partial sum, whose terms come by themselves
        what = sites.role(term)
        words = {"term": sites.text(term)}
        yield sites.one(
            node, "missing term", f"{what} missing", partial(_weighed, signs, k, 0.0), words=words
        )
        double = partial(_weighed, signs, k, 2.0)
        yield sites.one(node, "double term", f"{what} twice", double, 1.1, words=words)
        yield sites.one(
            node, "sign", "term sign", partial(_weighed, signs, k, -1.0), 1.1, words=words
        )


def _weighed(
    signs: Sequence[float], k: int, weight: float, operands: Sequence[Tensor], at: At
) -> Tensor:
    """A sum with its k-th term times a number."""
    other = operands[1 - k] if signs[1 - k] > 0 else -operands[1 - k]
    if not weight:
        return other
    own = operands[k] if abs(weight) == 1 else abs(weight) * operands[k]
    return other + own if signs[k] * weight > 0 else other - own


def _factors(sites: Sites, node: Tensor) -> Iterator[Rewrite]:
    for k in range(1 if node.op == "divide" else 2):
        dropped = sites.text(node.inputs[1 - k])
        kept: Change = lambda ops, at, k=k: ops[k]  # type: ignore[misc] # noqa: E731
        yield sites.one(node, "factor", "factor missing", kept, 1.1, words={"term": dropped})
    if node.op == "multiply" and node.inputs[0] is not node.inputs[1]:
        added: Change = lambda ops, at: ops[0] + ops[1]  # noqa: E731
        yield sites.one(
            node, "value", "sum for product", added, 1.4, words={"term": sites.formula(node)}
        )


# --- functions -----------------------------------------------------------------------------------
def _activations(sites: Sites, node: Tensor) -> Iterator[Rewrite]:
    op = node.op or ""
    words = {"operation": sites.operation(op), "term": sites.formula(node)}
    yield sites.one(node, "activation", "activation missing", lambda ops, at: ops[0], words=words)
    if op not in SATURATING:
        return
    twice: Change = lambda ops, at: apply(op, apply(op, ops[0]))  # noqa: E731
    yield sites.one(node, "activation", "activation twice", twice, 1.4, words=words)
    for other, make in ACTIVATIONS.items():
        if other != op:
            change: Change = lambda ops, at, make=make: make(ops[0])  # type: ignore[misc] # noqa: E731
            yield sites.one(
                node, "activation", "activation other", change, 1.1, words={**words, "other": other}
            )
    if op == "sigmoid":
        for number in (1.0, 2.0, -1.0):
            more: Change = lambda ops, at, c=number: sigmoid(ops[0] + c)  # type: ignore[misc] # noqa: E731
            words = {**words, "number": f"{number:g}"}
            yield sites.one(
                node, "value", "constant added", more, 1.1 + 0.1 * (number != 1), words=words
            )


def _everywhere(sites: Sites) -> Iterator[Rewrite]:
    """The same in all places: every sigmoid another function, every joined vector turned round."""
    for op in SATURATING:
        nodes = [n for n in sites.nodes if n.op == op]
        for other, make in ACTIVATIONS.items():
            if len(nodes) > 1 and other != op:
                change: Change = lambda ops, at, make=make: make(ops[0])  # type: ignore[misc] # noqa: E731
                words = {"operation": sites.operation(op), "other": other}
                yield sites.several(nodes, "activation", "activation all", change, 1.2, words=words)
        if len(nodes) > 1:
            words = {"operation": sites.operation(op)}
            gone: Change = lambda ops, at: ops[0]  # noqa: E731
            yield sites.several(nodes, "activation", "activation none", gone, 1.2, words=words)
    joined = [n for n in sites.nodes if n.op == "concat" and n.ndim == 1]
    turned: Change = lambda ops, at: apply("concat", *ops[::-1], axis=-1)  # noqa: E731
    if len(joined) > 1:
        words = {"theirs": "[x, h]", "term": "[h, x]"}
        yield sites.several(joined, "order", "order all", turned, 0.9, words=words)
    for node in joined:
        for places in itertools.permutations(range(len(node.inputs))):
            if places == tuple(range(len(places))) or len(places) > 4:
                continue
            change = partial(_permuted, places)
            parts = [sites.text(node.inputs[k]) for k in places]
            words = {"theirs": f"[{', '.join(parts)}]", "term": sites.formula(node)}
            yield sites.one(node, "order", "order of the parts", change, words=words)
    square = [n for n in sites.nodes if _is_square(n)]
    if len(square) > 1:
        yield sites.several(square, "transpose", "transposed all", _turned, 1.0)


def _permuted(places: Sequence[int], operands: Sequence[Tensor], at: At) -> Tensor:
    return apply("concat", *[operands[k] for k in places], axis=-1)


def _is_square(node: Tensor) -> bool:
    W = node.inputs[0] if node.op == "matvec" else None
    return W is not None and W.ndim == 2 and W.shape[0] == W.shape[1] > 1


def _turned(operands: Sequence[Tensor], at: At) -> Tensor:
    return apply("matvec", operands[0].T, operands[1])


def _transposed(sites: Sites, node: Tensor) -> Iterator[Rewrite]:
    if _is_square(node):
        words = {"term": sites.formula(node)}
        yield sites.one(node, "transpose", "transposed step", _turned, words=words)


# --- gates and states ----------------------------------------------------------------------------
def _shares(sites: Sites) -> Iterator[Rewrite]:
    """z where 1 - z belongs and 1 - z where z belongs: the share kept for the share written."""
    for one_minus in [n for n in sites.nodes if n.op == "subtract" and sites.is_one(n.inputs[0])]:
        share = one_minus.inputs[1]
        changes: dict[Tensor, Change] = {}
        for reader in sites.nodes:
            if any(i is share for i in reader.inputs):
                if reader.op == "subtract" and sites.is_one(reader.inputs[0]):
                    changes[reader] = lambda ops, at: ops[1]
                else:
                    changes[reader] = partial(_complemented, reader, share)
        if len(changes) > 1:
            equation = sites.first(changes)
            words = {"operand": sites.text(share)}
            yield Rewrite("exchange", "shares", equation, changes, (), 0.9, words)


def _complemented(reader: Tensor, share: Tensor, operands: Sequence[Tensor], at: At) -> Tensor:
    return remade(
        reader, [1.0 - o if i is share else o for i, o in zip(reader.inputs, operands, strict=True)]
    )


def _gates(sites: Sites) -> Iterator[Rewrite]:
    """The parameters of two equations exchanged."""
    own = {name: sites.parameters(name) for name in sites.program.equations}
    for a, b in itertools.combinations(own, 2):
        shapes = [[p.shape for p in own[name]] for name in (a, b)]
        if shapes[0] == shapes[1] and own[a] and not set(own[a]) & set(own[b]):
            there = dict(zip(own[a], own[b], strict=True))
            changes: dict[Tensor, Change] = {}
            for p, q in [*there.items(), *((q, p) for p, q in there.items())]:
                changes[p] = lambda ops, at, q=q: q  # type: ignore[misc]
            words = {"a": sites.label(a), "b": sites.label(b)}
            yield Rewrite("exchange", "gates exchanged", a, changes, (), 1.0, words)
    parameters = [n for name, n in sites.program.inputs.items() if sites.is_parameter(n)]
    for p, q in itertools.combinations(parameters, 2):
        if p.shape == q.shape:
            swap: dict[Tensor, Change] = {p: lambda ops, at, q=q: q, q: lambda ops, at, p=p: p}  # type: ignore[misc]
            words = {"a": sites.text(p), "b": sites.text(q)}
            equation = sites.first([n for n in sites.nodes if {p, q} & set(n.inputs)])
            yield Rewrite("exchange", "gates exchanged", equation, swap, (), 1.2, words)


def _states(sites: Sites) -> Iterator[Rewrite]:
    program = sites.program
    for name, node in program.equations.items():
        if name in program.outputs:
            old = program.inputs[f"prev.{name}"]
            kept: dict[Tensor, Change] = {node: lambda ops, at, old=old: old}  # type: ignore[misc]
            words = {"operand": sites.text(old), "name": name}
            yield Rewrite("carried", "not updated", name, kept, (), 1.0, words)
        if np.issubdtype(node.dtype, np.floating):
            for factor in (-1.0, 2.0, 0.5):
                times: Change = lambda ops, at, n=node, f=factor: f * _anew(n, ops)  # type: ignore[misc] # noqa: E731
                kind, message = ("sign", "value sign") if factor < 0 else ("factor", "value factor")
                words = {"number": f"{factor:g}"}
                yield Rewrite(kind, message, name, {node: times}, (), 1.3, words)


def _anew(node: Tensor, operands: Sequence[Tensor]) -> Tensor:
    """A node once more, without its name."""
    return apply(node.op or "", *operands, **node.attributes)
