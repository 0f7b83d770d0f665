"""The order of a plan: nodes in stages, each as early as what it reads allows."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from tinygrad_lstm.kernels import patterns
from tinygrad_lstm.kernels.plan import Buffer, Layout, Place, Space, Stage
from tinygrad_lstm.program import Program
from tinygrad_lstm.tensor import Tensor


@dataclass(frozen=True)
class Graph:
    """The nodes of a step, and what is known of them before any has a place.

    level: what each depends on; onto: sums of a product in the loop and of hoisted rows, and the
    two; transposes: those of weights that are only multiplied by vectors.
    """

    step: Program
    forward: list[Tensor]
    level: Mapping[Tensor, int]
    onto: Mapping[Tensor, tuple[Tensor, Tensor]]
    transposes: set[Tensor]

    @property
    def equations(self) -> set[Tensor]:
        """The named values."""
        return set(self.step.equations.values())

    @property
    def hidden(self) -> set[Tensor]:
        """What no stage computes."""
        return {product for product, _ in self.onto.values()} | self.transposes


def schedule(
    nodes: Iterable[Tensor],
    graph: Graph,
    layout: Layout,
    written: Iterable[tuple[Tensor, Place]] = (),
    totals: Iterable[tuple[Tensor, Place]] = (),
) -> list[Stage]:
    """Stages in order: each equation in the first pass in which all it reads is there.

    What one stage leaves to another, and numbers that are no scalars, are given places.
    """
    hidden, stages = graph.hidden, list[Stage]()
    at: dict[Tensor, int] = {}

    def source(node: Tensor) -> Tensor:
        while node not in at and patterns.is_view(node):
            node = node.inputs[0]
        return node

    def after(node: Tensor) -> int:
        """The first stage in which a node can be computed."""
        first = 0
        for i in node.inputs:
            base = source(i)
            if base in at:
                fused = base is i and stages[at[base]].shape == node.shape
                first = max(first, at[base] + (not fused))
        return first

    def a_pass(shape: tuple[int, ...], first: int) -> int:
        for k, stage in enumerate(stages[first:], first):
            if stage.shape == shape:
                return k
        stages.append(Stage([], [], shape))
        return len(stages) - 1

    def pass_for(node: Tensor) -> Stage:
        """The pass that computes a node, else the first after it."""
        if node in at and stages[at[node]].shape is not None:
            return stages[at[node]]
        return stages[a_pass(node.shape, at.get(patterns.viewed(node), -1) + 1)]

    nodes = [n for n in nodes if n not in hidden and not patterns.is_view(n)]
    for node in nodes:
        if patterns.elementwise(node) and node not in graph.onto:
            at[node] = k = a_pass(node.shape, after(node))
            stages[k].made.append(node)
            stages[k].operands += node.inputs
        else:
            product, rows = graph.onto.get(node, (node, None))
            operands = [*product.inputs, *([] if rows is None else [rows])]
            stages.append(Stage([node], operands, product=patterns.weight_product(product)))
            at[node] = len(stages) - 1
    for node, place in written:
        if node in at and node not in layout.stores:
            layout.put(node, place.buffer, place.start)
        else:
            pass_for(node).copies.append((node, place))
    for node, total in totals:
        for part, place in _parts(node, total.buffer, 0):
            pass_for(part).totals.append((part, place))
    read = {node for stage in stages if stage.shape is None for node in stage.made}
    for k, stage in enumerate(stages):
        for i in stage.read:
            scalar = i.size == 1 and stage.shape is not None
            if not (i.inputs or i.traced or i in layout.stores or scalar):
                layout.give(i, Space.FIXED)
            base = source(i)
            if base in at and (at[base] != k or base is not i):
                read.add(base)
    for node in nodes:
        if node in read and node not in layout.stores:
            layout.give(node, Space.ROW)
    return stages


def _parts(node: Tensor, buffer: Buffer, start: int) -> Iterator[tuple[Tensor, Place]]:
    """The parts of a concatenation of concatenations, with their places in it."""
    if not patterns.end_to_end(node):
        yield node, Place(buffer, start, node.shape)
        return
    for part in node.inputs:
        if part.inputs or part.name:
            yield from _parts(part, buffer, start)
        start += part.size
