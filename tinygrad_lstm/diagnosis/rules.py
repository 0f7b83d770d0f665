"""What an edge of a step's graph hands on, as an expression that is carried out for many at once.

The derivative rule of an operation is traced once, on the edge's own operands: an expression in the
adjoint `g`, the value `y` and the operands `_0`, `_1`. What does not depend on g, such as a slope,
is computed once for a step; the rest for a batch of samples, and of wrong backward passes, at once.
A mistake in the rule is another expression of the same leaves.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from tinygrad_lstm.batching import Lifted
from tinygrad_lstm.graph import ancestors, unbroadcast
from tinygrad_lstm.operation import TABLE
from tinygrad_lstm.program import Program
from tinygrad_lstm.tensor import Tensor

Array = npt.NDArray[Any]


def shifted(array: Array, by: int) -> Array:
    """Along the first axis, what stands so many steps later; 0 where there is no such step."""
    moved = np.zeros_like(array)
    if by > 0:
        moved[:-by] = array[by:]
    else:
        moved[-by:] = array[:by]
    return moved


class Point(NamedTuple):
    """A node of a step; of an unnamed one that several equations share, each has its own."""

    owner: str  # the equation that it is a part of; "" of a named value
    node: Tensor


class Place(NamedTuple):
    """Where an edge is in a step: which equation, which of its nodes, which input of that."""

    owner: str
    node: int
    k: int


class Expression:
    """An expression linear in the leaf g, for one sample; carried out for many.

    leaves: `g`, `y`, `_0`, … by name. shared: those that all samples share.
    """

    def __init__(self, root: Tensor, leaves: Mapping[str, Tensor], shared: Collection[str]) -> None:
        self.root, self.leaves, self.shared = root, leaves, frozenset(shared)
        g = leaves["g"]
        nodes = ancestors([root])
        self._down = {g}
        for node in nodes:
            if any(i in self._down for i in node.inputs):
                self._down.add(node)
        below = {
            i for n in nodes if n in self._down for i in n.inputs if i not in self._down
        }  # what the part with g reads of the part without
        self._read = sorted(below, key=lambda n: n.order)
        self._names = [f"c{k}" for k in range(len(self._read))]
        given = {leaf for name, leaf in leaves.items() if name not in self.shared}
        self._each = [bool(given & set(ancestors([n]))) for n in self._read]
        self._slopes: dict[tuple[int, Any], Lifted] = {}
        self._lifted: dict[tuple[int, int, Any], tuple[Lifted, bool]] = {}

    @cached_property
    def vanishes(self) -> bool:
        """Whether it does not depend on g at all."""
        return self.root not in self._down

    @cached_property
    def outer(self) -> bool:
        """Whether it is g ⊗ c, the part of a matrix's gradient."""
        root = self.root
        vectors = all(i.ndim == 1 for i in root.inputs)
        return root.op == "outer" and vectors and root.inputs[0] is self.leaves["g"]

    def slopes(self, values: Mapping[str, Array], batch: int, dtype: Any) -> list[Array]:
        """What does not depend on g, for values of the leaves (batch, own axes), or shared."""
        lifted = self._slopes.get((batch, dtype))
        if lifted is None:
            leaves = {n: t for n, t in self.leaves.items() if n != "g"}
            roots = dict(zip(self._names, self._read, strict=True))
            each = [n for n in leaves if n not in self.shared]
            lifted = Lifted(roots, leaves, (batch,), each, np.dtype(dtype))
            self._slopes[batch, dtype] = lifted
        found = lifted.arrays([values[name] for name in lifted.inputs])
        return [
            found[n][None] if own else found[n][0]
            for n, own in zip(self._names, self._each, strict=True)
        ]

    def __call__(self, g: Array, slopes: list[Array]) -> Array:
        """The value for g (passes, batch, own axes); a matrix's as (passes, batch, …), too."""
        key = g.shape[0], g.shape[1], g.dtype
        if key not in self._lifted:
            self._lifted[key] = self._lift(*key)
        lifted, whole = self._lifted[key]
        values = [g]
        for c, own, node in zip(slopes, self._each, self._read, strict=True):
            full = (*key[:2], *node.shape)
            values.append(np.broadcast_to(c, full) if own and whole and c.shape != full else c)
        return lifted.arrays(values)["found"]

    def _lift(self, passes: int, batch: int, dtype: Any) -> tuple[Lifted, bool]:
        leaves = {"g": self.leaves["g"], **dict(zip(self._names, self._read, strict=True))}
        each = ["g", *(n for n, own in zip(self._names, self._each, strict=True) if own)]
        lifted = Lifted({"found": self.root}, leaves, (passes, batch), each, dtype)
        fits = ("elementwise", "(")  # what broadcasts over the axes of the batch by itself
        whole = not all(TABLE[c.op].signature.startswith(fits) for c in lifted.calls)
        return lifted, whole

    def summed(self, g: Array, slopes: list[Array]) -> Array:
        """The same, summed over the batch: (passes, own axes)."""
        if self.outer:
            rows, columns = np.swapaxes(g, 1, 2), slopes[0]  # (passes, m, batch), (1, batch, n)
            if not self._each[0]:
                columns = np.broadcast_to(columns, (1, g.shape[1], *columns.shape))
            found: Array = np.matmul(rows, columns)
        else:
            found = self(g, slopes).sum(axis=1)
        return found


class Edge(NamedTuple):
    """One way that a gradient takes within a step: from a node to its k-th input."""

    place: Place
    node: Tensor
    k: int
    target: Point  # what receives the gradient
    rule: Expression
    original: tuple[Tensor, int]  # the same for all copies of an edge

    @property
    def source(self) -> Tensor:
        """The input that receives the gradient."""
        return self.target.node

    @property
    def op(self) -> str:
        """The operation that is differentiated."""
        return self.node.op or "identity"

    def reads(self) -> dict[str, Tensor]:
        """The nodes that the leaves of the rule stand for."""
        return {"y": self.node, **{f"_{j}": i for j, i in enumerate(self.node.inputs)}}


class Step:
    """The graph of one step of a cell, for one sample: its points and edges, from the loss on."""

    def __init__(self, program: Program, each: Collection[str]) -> None:
        self.program = program
        self.owner = {node: name for name, node in program.equations.items()}
        self.known = {node: name for name, node in program.inputs.items()} | self.owner
        self.nodes = program.nodes()
        leaves = {node for name, node in program.inputs.items() if name in each}
        self.each = set[Tensor]()  # what depends on the sample
        for node in self.nodes:
            if node in leaves or any(i in self.each for i in node.inputs):
                self.each.add(node)
        self.edges = list(self._edges())
        self.at = {edge.place: edge for edge in self.edges}
        self.into: dict[Point, list[Edge]] = {}
        for edge in self.edges:
            self.into.setdefault(edge.target, []).append(edge)

    def inside(self, equation: str) -> list[Tensor]:
        """The nodes of an equation, from its own to those that read named values alone."""
        root = self.program.equations[equation]
        stop = [n for n in self.known if n is not root]
        nodes = ancestors([root], requires_grad=True, stop=stop)
        return [n for n in reversed(nodes) if n.inputs and (n is root or n not in self.known)]

    def point(self, owner: str, node: Tensor) -> Point:
        """The point of a node that an equation reads."""
        return Point("" if node in self.known else owner, node)

    def _edges(self) -> Iterator[Edge]:
        rules: dict[tuple[Tensor, int], Expression | None] = {}
        for name in reversed(self.program.equations):
            for m, node in enumerate(self.inside(name)):
                for k, source in enumerate(node.inputs):
                    if not source.requires_grad:
                        continue
                    if (node, k) not in rules:
                        rules[node, k] = self._rule(node, k)
                    rule = rules[node, k]
                    if rule is not None:
                        target = self.point(name, source)
                        yield Edge(Place(name, m, k), node, k, target, rule, (node, k))

    def _rule(self, node: Tensor, k: int) -> Expression | None:
        rule = TABLE[node.op or "identity"].rule(k)
        if rule is None:
            return None
        leaves = leaves_of(node)
        operands = [leaves[f"_{j}"] for j in range(len(node.inputs))]
        part = rule(leaves["g"], leaves["y"], *operands, **node.attributes)
        if not isinstance(part, Tensor):
            return None
        return self.expression(unbroadcast(part, node.inputs[k].shape), node, leaves)

    def expression(self, root: Tensor, node: Tensor, leaves: Mapping[str, Tensor]) -> Expression:
        """An expression in the leaves of a node's rule; others may have a value for each sample."""
        reads = {"y": node, **{f"_{j}": i for j, i in enumerate(node.inputs)}}
        return Expression(root, leaves, [n for n, t in reads.items() if t not in self.each])


def leaves_of(node: Tensor) -> dict[str, Tensor]:
    """Leaves for the rules of a node: its adjoint g, its value y, its operands."""
    leaves = {"g": Tensor.input("g", node.shape), "y": Tensor.input("y", node.shape)}
    for j, i in enumerate(node.inputs):
        leaf = Tensor.input(f"_{j}", i.shape, i.dtype)
        leaf.requires_grad = i.requires_grad
        leaves[f"_{j}"] = leaf
    return leaves
