"""A Program with some of its nodes made in another way: what somebody else computes, perhaps.

    rewritten(program, [Rewrite("sign", …, {node: lambda operands, at: …})])

A change makes a node from its operands, as Tensors; `at` tells what other nodes have become.
`Values` carries Programs out on a batch. What a change does not reach is computed once for all.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from tinygrad_lstm.batching import lift
from tinygrad_lstm.operation import TABLE
from tinygrad_lstm.program import Program, named
from tinygrad_lstm.tensor import Tensor, apply, fold, remade

Array = npt.NDArray[Any]
At = Callable[[Tensor], Tensor]
Change = Callable[[Sequence[Tensor], At], Tensor]


@dataclass(frozen=True)
class Rewrite:
    """One way to write a step otherwise: its kind, how it is told, which nodes it changes.

    message: a key of the words, filled with `words`. equation: the first that is written otherwise.
    changes: by node what is made in its place; needs: the nodes that a change reads beside its
    operands. over: what is done otherwise with whole sequences, a key of `sequences.OVER`.
    rank: of two that give the same numbers the one with the lower rank is told.
    """

    kind: str
    message: str
    equation: str
    changes: Mapping[Tensor, Change] = field(default_factory=dict)
    needs: tuple[Tensor, ...] = ()
    rank: float = 1.0
    words: Mapping[str, Any] = field(default_factory=dict)
    over: str = ""


def rewritten(program: Program, rewrites: Iterable[Rewrite]) -> Program | None:
    """The Program with these changes; None where one would need what is computed after it."""
    changes: dict[Tensor, list[Change]] = {}
    needs: dict[Tensor, list[Tensor]] = {}
    for rewrite in rewrites:
        for node, change in rewrite.changes.items():
            changes.setdefault(node, []).append(change)
            needs.setdefault(node, []).extend(rewrite.needs)
    order = _order([*program.equations.values()], needs)
    if order is None:
        return None
    owners = {node: name for name, node in program.equations.items()}
    newest = max(node.order for node in order)  # a node that there was is not given a name
    became: dict[Tensor, Tensor] = {}
    for node in order:
        operands = [became[i] for i in node.inputs]
        same = all(a is b for a, b in zip(operands, node.inputs, strict=True))
        made = node if same else remade(node, operands)
        for change in changes.get(node, ()):
            found = change(made.inputs if node.inputs else (), became.__getitem__)
            if found.shape != node.shape:
                return None
            made = found
        if node in owners and made is not node and made.name != node.name:
            found = made if made.order > newest else apply("identity", made)
            made = named(found, owners[node])
        became[node] = made
    equations = {name: became[node] for name, node in program.equations.items()}
    outputs = {name: became[node] for name, node in program.outputs.items()}
    return Program(
        program.name, program.inputs, equations, outputs,
        program.dimensions, program.sizes, program.static,
    )  # fmt: skip


def _order(
    roots: Sequence[Tensor], needs: Mapping[Tensor, Sequence[Tensor]]
) -> list[Tensor] | None:
    """Every node below the roots, after what it is made of; None where there is a circle."""
    done: dict[Tensor, bool] = {}
    found: list[Tensor] = []
    stack = [(root, False) for root in reversed(roots)]
    while stack:
        node, ready = stack.pop()
        if ready:
            done[node] = True
            found.append(node)
        elif node not in done:
            done[node] = False
            stack.append((node, True))
            for i in (*node.inputs, *needs.get(node, ())):
                if i not in done:
                    stack.append((i, False))
                elif not done[i]:
                    return None
    return found


class Values:
    """Programs on a batch whose samples have their own values of every input, parameters too.

    leaves: by the node of an input its values, (samples, own axes).
    """

    def __init__(self, leaves: Mapping[Tensor, Array], samples: int) -> None:
        self.known: dict[Tensor, Array] = dict(leaves)
        self.batch = (samples,)

    def add(self, program: Program) -> None:
        """Keep what the Program computes, for all that share nodes with it."""
        self.known = self._fold(program.equations.values())

    def __call__(self, program: Program) -> dict[str, Array]:
        """Every equation's values, (samples, own axes)."""
        with np.errstate(all="ignore"):
            found = self._fold(program.equations.values())
        return {
            name: np.broadcast_to(found[node], (*self.batch, *node.shape))
            for name, node in program.equations.items()
        }

    def _fold(self, roots: Iterable[Tensor]) -> dict[Tensor, Array]:
        with np.errstate(all="ignore"):
            return fold(roots, self.known, self._make)

    def _make(self, node: Tensor, operands: list[Array]) -> Array:
        if not node.inputs:
            return node.data
        ready = list(operands)
        batched = [
            array.ndim > i.ndim for array, i in zip(operands, node.inputs, strict=True)
        ]  # a constant is the same for all
        steps, whole = lift(node, batched, self.batch)
        for op, k, attributes in steps:
            ready[k] = TABLE[op].forward(ready[k], **attributes)
        return np.asarray(TABLE[node.op or ""].forward(*ready, **whole))
