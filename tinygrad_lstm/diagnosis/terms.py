"""The terms of a cell's adjoints as text: f̄_t ⊙ f_t ⊙ (1 - f_t), C̄_{t+1} ⊙ f_{t+1}."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from tinygrad_lstm.diagnosis.backward import Edge, Recorded
from tinygrad_lstm.graph import ancestors, fold, pullback, unbroadcast
from tinygrad_lstm.operation import TABLE
from tinygrad_lstm.program import Program
from tinygrad_lstm.tensor import Tensor, apply, remade
from tinygrad_lstm.text import UNICODE, expression


@dataclass(frozen=True)
class Term:
    """A term of the adjoint of `value`: what its reader hands on; the loss, if `reader` is None."""

    value: str
    reader: str | None
    text: str


class Terms:
    """The terms of every adjoint of a step, as text."""

    def __init__(self, program: Program) -> None:
        self.program = program
        self.owner = {node: name for name, node in program.equations.items()}
        self.known = {node: name for name, node in program.inputs.items()} | self.owner
        self.readers: dict[Tensor, str] = {}  # which equation an unnamed node is a part of
        for name, root in program.equations.items():
            stack = [root]
            while stack:
                node = stack.pop()
                self.readers[node] = name
                stack += [i for i in node.inputs if i not in self.known]

    def adjoint(self, name: str, time: str = "t") -> str:
        """The adjoint of a value, as in C̄_t; of a parameter, of all steps: W̄_f."""
        static = self.program.static
        steady = static is not None and name in static
        return UNICODE.name(f"bar.{name}", None if steady else time)

    def of(self, name: str) -> list[Term]:
        """All terms of a value's adjoint, without the loss's."""
        return list(self._of(name))

    def _of(self, name: str) -> Iterator[Term]:
        for source in (name, f"prev.{name}"):
            node = self.program.equations.get(source, self.program.inputs.get(source))
            if node is None:
                continue
            for reader, root in self.program.equations.items():
                if node in self._reads(root):
                    leaf = self._leaf(reader)
                    below = [n for n in self._reads(root) if n.requires_grad]
                    found = pullback({root: leaf}, numeric=False, wrt=below).get(node)
                    if found is not None:
                        yield Term(name, reader, self._text(found, source.startswith("prev.")))

    def _reads(self, root: Tensor) -> set[Tensor]:
        inside = ancestors([root], stop=[n for n in self.known if n is not root])
        return {n for n in inside if n in self.known and n is not root}

    def _leaf(self, name: str) -> Tensor:
        node = self.program.equations[name]
        return Tensor.input(f"bar.{name}", node.shape, node.dtype)

    def _text(self, node: Tensor, later: bool) -> str:
        time, names = "t+1" if later else "t", {}
        static = self.program.static or frozenset()
        for n in ancestors([node]):
            if n.name is not None:
                own = n.name.removeprefix("bar.")
                steady = own in static and own == n.name
                names[n] = UNICODE.name(n.name, None if steady else time)
        leaves = {n: n for n in names}
        return expression(fold([node], leaves, _squared)[node], UNICODE, names)

    def along(self, graph: Recorded, edge: Edge) -> Term | None:
        """The term that one edge of a run's step contributes to."""
        node = self._in_program(graph, edge)
        if node is None or node not in self.readers:
            return None
        reader = self.readers[node]
        root, leaf = self.program.equations[reader], self._leaf(reader)
        g = leaf if node is root else pullback({root: leaf}, False, wrt=[node]).get(node)
        if g is None:
            return None
        source, rule = node.inputs[edge.k], TABLE[node.op or "identity"].rule(edge.k)
        part = rule(g, node, *node.inputs, **node.attributes) if rule else None
        if part is None:
            return None
        part = unbroadcast(part, source.shape)
        if source not in self.known:
            below = [n for n in self._reads(source) if n.requires_grad]
            further = pullback({source: part}, False, wrt=below)
            if not further:
                return None
            source, part = min(
                further.items(), key=lambda way: self.known[way[0]].startswith("prev.")
            )
        name = self.known[source]
        return Term(name.removeprefix("prev."), reader, self._text(part, name.startswith("prev.")))

    def _in_program(self, graph: Recorded, edge: Edge) -> Tensor | None:
        """The Program's node that a run's node is; on a batch there are a few more in between."""
        nodes = [n for n in ancestors(self.program.equations.values()) if n.inputs]
        own = [node for place, node in graph.of_step[edge.t].items() if isinstance(place, int)]
        found, waiting = None, iter(nodes)
        expected = next(waiting, None)
        for node in own:
            while expected is not None and not expected.requires_grad:
                expected = next(waiting, None)
            if expected is not None and node.op == expected.op:
                if node is edge.node:
                    found = expected
                expected = next(waiting, None)
        return found


def _squared(node: Tensor, operands: list[Tensor]) -> Tensor:
    """The node on other operands; a slope's y * y as the square that readers know."""
    if node.op == "multiply" and operands[0] is operands[1]:
        return apply("power", operands[0], 2.0)
    return remade(node, operands)
