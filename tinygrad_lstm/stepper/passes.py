"""A forward and a backward pass as the engine computed them: what there is to step through."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping, Sequence

import numpy as np

from tinygrad_lstm.stepper.labels import Labels
from tinygrad_lstm.stepper.written import leaf
from tinygrad_lstm.tensor import TABLE, Array, Tensor, ancestors, contributions, pullback

_REMEMBERED = 64  # operations whose contributions are kept at hand


def _renames(node: Tensor) -> bool:
    """Whether a node is but the name of what a caller gave: it is given, too."""
    if node.op != "identity" or node.name is None:
        return False
    return not node.inputs[0].inputs and node.inputs[0].name is None


class Passes:
    """The operations of a computation in order, then the contributions to its adjoints.

    `given` are the leaves, known from the start; `named` are the values that have an equation;
    `labels` tells how each is written; `terms` lists the places of a value's contributions.
    """

    def __init__(
        self,
        seeds: Mapping[Tensor, Array],
        roots: Sequence[Tensor],
        digits: int = 4,
        labels_of_step: bool = False,
    ) -> None:
        every = ancestors([*seeds, *roots])
        self.digits = digits
        self.operations = [n for n in every if n.inputs and not _renames(n)]
        known = {*self.operations, *(n.inputs[0] for n in every if _renames(n))}
        self.given = [n for n in every if n not in known]
        self.labels = Labels(every, set(seeds) | set(roots), labels_of_step)
        self.named = [n for n in self.operations if self.labels.owner(n) is n]
        self.adjoints: dict[Tensor, Array] = pullback(seeds, numeric=True)
        self._seeds = dict(seeds)
        order = reversed(ancestors(seeds, requires_grad=True))
        self._edges: list[tuple[Tensor, int]] = [(root, -1) for root in seeds]
        self._edges += [
            (node, k)
            for node in order
            if node in self.adjoints and node.op is not None and not _renames(node)
            for k, i in enumerate(node.inputs)
            if i.requires_grad and TABLE[node.op].rule(k) is not None
        ]
        self._made = {node: k for k, node in enumerate(self.operations)}
        self.terms: dict[Tensor, list[int]] = {}  # the events that add to a value's adjoint
        self._first_back: dict[Tensor, int] = {}
        for at, (node, k) in enumerate(self._edges, start=len(self.operations)):
            self.terms.setdefault(node if k < 0 else node.inputs[k], []).append(at)
            if k >= 0:
                self._first_back.setdefault(node, at)
        self._totals: dict[Tensor, tuple[int, Array]] = {}
        self._shares: dict[Tensor, list[Array]] = {}
        self._leaves: tuple[Tensor, dict[Tensor, Tensor]] | None = None

    def __len__(self) -> int:
        return len(self.operations) + len(self._edges)

    def place(self, index: int) -> tuple[Tensor, int | None]:
        """An event's operation, and which of its inputs the gradient goes to; -1 at the seed."""
        forward = len(self.operations)
        return (self.operations[index], None) if index < forward else self._edges[index - forward]

    def equation_at(self, index: int) -> str:
        """The label of the equation that an event belongs to."""
        return self.labels[self.labels.owner(self.place(index)[0])]

    def contribution(self, index: int) -> Array:
        """What a backward event adds to the adjoint of its subject."""
        node, k = self._edges[index - len(self.operations)]
        if k < 0:
            return self._seeds[node]
        if node not in self._shares:  # of all its inputs at once
            if len(self._shares) >= _REMEMBERED:
                self._shares.clear()
            found = contributions(node, self.adjoints[node], numeric=True)
            self._shares[node] = [np.asarray(share) for _, share in found]
        return self._shares[node][index - self._first_back[node]]

    def total(self, subject: Tensor, count: int) -> Array:
        """The sum of the first `count` contributions to an adjoint, in the engine's order."""
        known, total = self._totals.get(subject, (0, np.zeros(())))
        if known > count or not known:
            known, total = 1, self.contribution(self.terms[subject][0])
        for at in self.terms[subject][known:count]:
            total = total + self.contribution(at)
        self._totals[subject] = (count, total)
        return total

    def leaves(self, node: Tensor) -> dict[Tensor, Tensor]:
        """The operands and the result of an operation as named leaves, to put into a rule."""
        if self._leaves is None or self._leaves[0] is not node:
            found = {}
            for n in {*node.inputs, node}:
                number = not n.inputs and n.name is None and n.size == 1 and not n.requires_grad
                found[n] = leaf(n.data, None if number else self.labels[n])
            self._leaves = node, found
        return self._leaves[1]

    def lookup(self, name: str) -> list[Tensor]:
        """The values a name stands for: `f` at all time steps, `f@1` or `f_1` at one."""
        return self.labels.lookup(name)

    def gradient_at(self, subject: Tensor, index: int) -> tuple[int, Array] | None:
        """How many contributions to an adjoint there are by then, and their sum; None before."""
        count = bisect_right(self.terms.get(subject, []), index)
        return (count, self.total(subject, count)) if count else None

    def known_at(self, node: Tensor, index: int) -> bool:
        """Whether a value has been computed by then."""
        return self._made.get(node, -1) <= index
