"""Plausible wrong rules, for a reader who is asked which one is right.

A rule is changed the way people get it wrong: a factor left out, f(1 - f) cut to 1 - f, a sign, a
transpose forgotten, a term dropped. Every wrong rule is tried on random numbers and kept only if
it gives something else than the right one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from tinygrad_lstm.errors import TinygradError
from tinygrad_lstm.stepper.written import leaf, write_rule
from tinygrad_lstm.tensor import Tensor, ancestors, apply, fold, remade

MOST = 4
# kinds of mistakes; each one is explained in lesson/languages/TAG/stepper.toml
KINDS = ("factor", "sign", "transpose", "term", "order", "function", "operation", "part", "extra")
_TURNED = {"sigmoid": "tanh", "tanh": "sigmoid", "exp": "log", "log": "exp"}
_ORDERED = ("subtract", "divide", "concat", "outer")

Change = tuple[Tensor, str]


def wrong_rules(written: Tensor, digits: int = 4) -> list[tuple[str, str]]:
    """Up to four wrong forms of a rule, each with the kind of its mistake.

    written: the rule applied to leaves with names; what has none stays as it is. The forms are
    ordered so that different kinds come first.
    """
    right = write_rule(written, digits)
    random = np.random.default_rng(7)
    tried = _rebuilt(written, lambda old: leaf(random.uniform(0.5, 1.5, old.shape), old.name))
    found: dict[str, str] = {}
    given = [tried]  # what the rules found so far give: no two answers are the same
    with np.errstate(all="ignore"):
        backward = _reads(tried, "{0}")
        changes = list(_changes(tried, backward))
        changes += [(apply("negative", tried), "sign")] if backward else []
        for changed, kind in changes:
            text = write_rule(changed, digits)
            if text != right and not any(_same(changed, other) for other in given):
                found[text] = kind
                given.append(changed)
    for text, kind in _by_text(right):
        found.setdefault(text, kind)
    by_kind: dict[str, list[str]] = {}
    for text, kind in found.items():
        by_kind.setdefault(kind, []).append(text)
    rounds = max(map(len, by_kind.values()), default=0)
    ordered = [
        (texts[k], kind) for k in range(rounds) for kind, texts in by_kind.items() if k < len(texts)
    ]
    return ordered[:MOST]


def _rebuilt(node: Tensor, fresh: Callable[[Tensor], Tensor]) -> Tensor:
    """The same operations on other leaves; a leaf without a name is kept."""
    leaves = {n: fresh(n) for n in ancestors([node]) if not n.inputs and n.name is not None}
    made: Tensor = fold([node], leaves, remade)[node]
    return made


def _reads(node: Tensor, name: str) -> bool:
    return any(n.name == name for n in ancestors([node]))


def _same(a: Tensor, b: Tensor) -> bool:
    return a.shape == b.shape and bool(np.allclose(a.data, b.data, equal_nan=True))


def _changes(node: Tensor, backward: bool) -> Iterator[Change]:
    """The rule with one mistake at its root, then with one further in."""
    yield from _here(node, backward)
    for k, below in enumerate(node.inputs):
        for changed, kind in _changes(below, backward):
            operands = [*node.inputs[:k], changed, *node.inputs[k + 1 :]]
            made = _applied(node.op or "", *operands, **node.attributes)
            if made is not None:
                yield made, kind


def _here(node: Tensor, backward: bool) -> Iterator[Change]:
    op, inputs = node.op or "", node.inputs
    if op == "multiply":
        for kept in inputs:
            if _reads(kept, "{0}") or not _reads(node, "{0}"):
                yield kept, "factor"
        if not backward:
            yield apply("add", *inputs), "operation"
    elif op == "add":
        yield from ((kept, "term") for kept in inputs)
        if not backward:
            yield apply("multiply", *inputs), "operation"
    elif op == "negative":
        yield inputs[0], "sign"
    elif op == "subtract":
        yield apply("add", *inputs), "sign"
    elif op in _TURNED:
        yield apply(_TURNED[op], *inputs), "function"
    elif op == "getitem" and (other := _other_part(node)) is not None:
        yield apply("getitem", *inputs, index=other), "part"
    made = _applied(op, *reversed(inputs), **node.attributes) if op in _ORDERED else None
    if made is not None:
        yield made, "order"


def _applied(op: str, *operands: Tensor, **attributes: Any) -> Tensor | None:
    """The operation, or None where a mistake made its operands' shapes no longer fit."""
    try:
        made: Tensor = apply(op, *operands, **attributes)
    except TinygradError:
        return None
    return made


def _other_part(node: Tensor) -> Any:
    """The slice beside the one that is taken, if there is one."""
    index, shape = node.attributes["index"], node.inputs[0].shape
    for axis, found in enumerate(index if isinstance(index, tuple) else (index,)):
        if isinstance(found, slice) and found.step is None and found != slice(None):
            start, stop, _ = found.indices(shape[axis])
            other = slice(0, start) if start else slice(stop, shape[axis])
            inner = other.start < other.stop
            return (*(slice(None),) * axis, other) if inner else None
    return None


def _by_text(right: str) -> Iterator[tuple[str, str]]:
    """Mistakes whose shapes would not fit: they cannot be tried, and are wrong for that."""
    if "ᵀ" in right:
        yield right.replace("ᵀ", ""), "transpose"
    elif right == "{2}·{3}":
        yield "{2}ᵀ·{3}", "transpose"
        yield "{2} ⊙ {3}", "operation"
    elif right == "{0}":
        yield "{0} ⊙ {1}", "extra"
