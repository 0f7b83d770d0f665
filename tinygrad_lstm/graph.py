"""Walks over a graph of nodes: what a value depends on, folds, and reverse-mode differentiation.

A graph is the references of its nodes to the inputs that they were computed from; a `Tensor` is a
node. Every walk is iterative: 100,000 steps of a sequence meet no limit of recursion.
"""

from __future__ import annotations

import itertools
import operator
from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Any, NamedTuple, TypeVar

import numpy as np

from tinygrad_lstm.operation import TABLE

N = TypeVar("N", bound="Node")
fresh = itertools.count().__next__  # the order of a new node
_order = operator.attrgetter("order")


class Letter(NamedTuple):
    """A letter that stands for each place of an axis: its name, how many, and when it was opened.

    Of two that are open at once, the one opened first stands around the other.
    """

    order: int
    name: str
    length: int


LETTERED = ("index", "row", "each", "total")  # what `each` and `total` write, to be read


class Node:
    """A node: what was computed, by which operation, from which inputs, in which order.

    `order` numbers nodes as they are made, so that inputs come before what uses them;
    `requires_grad` says whether a gradient is wanted of anything that it depends on.
    """

    __slots__ = ("_data", "op", "inputs", "attributes", "name", "time", "requires_grad", "order")

    _data: Any
    op: str | None
    inputs: tuple[Any, ...]
    attributes: Mapping[str, Any]
    name: str | None
    time: int | None
    requires_grad: bool
    order: int

    @property
    def letters(self) -> tuple[Letter, ...]:
        """The letters at each place of which it has a value."""
        return ()


def ancestors(roots: Iterable[N], requires_grad: bool = False, stop: Collection[N] = ()) -> list[N]:
    """Every node that the roots depend on, roots included, inputs before what uses them.

    The order of making is a topological order, and for a cell it is the author's. `requires_grad`:
    leave out what no gradient flows through. `stop`: go no further than these nodes.
    """
    seen, stop = set(roots), set(stop)
    stack = list(seen)
    while stack:
        node = stack.pop()
        if node in stop:
            continue
        for i in node.inputs:
            if i not in seen and (i.requires_grad or not requires_grad):
                seen.add(i)
                stack.append(i)
    return sorted(seen, key=_order)


def fold(
    roots: Iterable[N], leaves: Mapping[N, Any], make: Callable[[N, list[Any]], Any]
) -> dict[N, Any]:
    """What each node below the roots becomes: `make(node, what its inputs became)`, inputs first.

    `leaves` says what some nodes become, and the walk goes no further there. Every reading of a
    graph is a fold: values for arrays, a copy on other leaves, text, SymPy, C.
    """
    results = dict(leaves)
    for node in ancestors(roots, stop=results):
        if node not in results:
            results[node] = make(node, [results[i] for i in node.inputs])
    return results


def opened(op: str, operands: Iterable[Any], make: Callable[[Any, list[Any]], Any]) -> Any:
    """What a composite becomes: a fold over its definition, whose inputs become the operands."""
    definition = TABLE[op].definition
    (root,) = definition.outputs.values()
    leaves = dict(zip(definition.inputs.values(), operands, strict=True))
    return fold([root], leaves, make)[root]


def contributions(node: N, g: Any, numeric: bool) -> list[tuple[N, Any]]:
    """What the adjoint of each input of `node` receives when that of `node` is `g`."""
    rules, inputs = TABLE[node.op or "identity"].derivatives, node.inputs
    rule_of = rules if callable(rules) else rules.__getitem__
    y: Any = node._data if numeric else node
    values: Any = [i._data for i in inputs] if numeric else inputs
    received = []
    for k, i in enumerate(inputs):
        rule = rule_of(k) if i.requires_grad else None
        if rule is not None:
            value = values[k]
            part = rule(g, y, *values, **node.attributes)
            if part is None:
                continue  # nothing flows here, which is not to say that zero does
            if part.shape != value.shape:
                part = unbroadcast(part, value.shape)
            if not numeric and node.letters != i.letters:
                part = over_letters(node, i, part)
            if numeric and part.dtype is not value.dtype and part.dtype.kind == value.dtype.kind:
                part = part.astype(value.dtype)
            received.append((i, part))
    return received


def pullback(
    seeds: Mapping[N, Any],
    numeric: bool,
    wrt: Collection[N] = (),
    named: Callable[[N, Any], Any] | None = None,
) -> dict[N, Any]:
    """Adjoints of the nodes below the keys of `seeds`, whose own adjoints are the values.

    `numeric`: compute with arrays, which is fast; otherwise with Tensors, so that the adjoints are
    nodes themselves and can be differentiated, printed and drawn. `wrt`: stop at these nodes and
    keep no others. `named` is told each finished adjoint and may replace it.
    """
    wrt = set(wrt)
    adjoints = dict(seeds)
    sums: set[N] = set()  # whose adjoint is an array of our own that may be added to in place
    for node in reversed(ancestors(seeds, requires_grad=True, stop=wrt)):
        g = adjoints.get(node)
        if g is None:
            continue
        if named is not None:
            g = adjoints[node] = named(node, g)
        if not node.inputs or node in wrt:
            continue
        for i, part in contributions(node, g, numeric):
            total = adjoints.get(i)
            if total is None:
                adjoints[i] = part
            elif i in sums and total.dtype == part.dtype:
                total += part
            else:
                adjoints[i] = total = total + part
                if numeric and type(total) is np.ndarray:
                    sums.add(i)
        if wrt:
            del adjoints[node]
    return adjoints


def letters_of(nodes: Iterable[Any]) -> tuple[Letter, ...]:
    """The letters that stand in any of several values, the outermost first."""
    found = {letter for node in nodes for letter in node.letters}
    return tuple(sorted(found)) if found else ()


def over_letters(node: Any, i: Any, part: Any) -> Any:
    """What an input receives that is read at every place of a letter: the sum over the places."""
    own = node.attributes.get("letter")
    for letter in reversed(node.letters):
        if letter not in i.letters and letter != own:
            total = "total", [part], part.shape, part.dtype
            left = tuple(n for n in part.letters if n != letter)
            part = type(node).lettered(*total, left, {"letter": letter})
    return part


def unbroadcast(g: Any, shape: tuple[int, ...]) -> Any:
    """Sum `g` over the axes along which an operand of `shape` was repeated."""
    if g.shape == shape:
        return g
    front = len(g.shape) - len(shape)
    if front > 0:
        g = g.sum(axis=tuple(range(front)), keepdims=False)
    repeated = tuple(k for k, n in enumerate(shape) if n == 1 and g.shape[k] != 1)
    return g.sum(axis=repeated, keepdims=True) if repeated else g
