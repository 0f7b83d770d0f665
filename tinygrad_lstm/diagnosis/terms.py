"""The terms of a cell's adjoints as text: f̄_t ⊙ f_t ⊙ (1 - f_t), C̄_{t+1} ⊙ f_{t+1}."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from tinygrad_lstm.diagnosis.changes import Change, Taken
from tinygrad_lstm.diagnosis.rules import Edge
from tinygrad_lstm.graph import ancestors, fold, pullback, unbroadcast
from tinygrad_lstm.program import Program
from tinygrad_lstm.tensor import Tensor, apply, remade
from tinygrad_lstm.text import UNICODE, expression

_LATER = {("t", -1): "t-1", ("t", 0): "t", ("t", 1): "t+1"}
_LATER |= {("t+1", -1): "t", ("t+1", 0): "t+1", ("t+1", 1): "t+2"}


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

    def adjoint(self, name: str, time: str = "t") -> str:
        """The adjoint of a value, as in C̄_t; of a parameter, of all steps: W̄_f."""
        return UNICODE.name(f"bar.{name}", None if self.steady(name) else time)

    def steady(self, name: str) -> bool:
        """Whether a value is the same at every step, as a parameter is."""
        return self.program.static is not None and name in self.program.static

    def of(self, name: str) -> list[Term]:
        """All terms of a value's adjoint, without the loss's."""
        return list(self._of(name))

    def _of(self, name: str) -> Iterator[Term]:
        for source in (name, f"prev.{name}"):
            node = self.program.inputs.get(source)
            if node is None or not (self.steady(source) or source == "x" or source != name):
                node = self.program.equations.get(source, node)
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

    def _text(self, node: Tensor, later: bool, taken: Mapping[Tensor, str] | None = None) -> str:
        time, names = "t+1" if later else "t", dict(taken or {})
        for n in ancestors([node]):
            if n.name is not None and n not in names:
                own = n.name.removeprefix("bar.")
                steady = self.steady(own) and own == n.name
                names[n] = UNICODE.name(n.name, None if steady else time)
        leaves = {n: n for n in names}
        return expression(fold([node], leaves, squared)[node], UNICODE, names)

    # --- the term of one edge --------------------------------------------------------------------
    def along(self, edge: Edge, carried: bool = False) -> Term | None:
        """The term that one edge of a step contributes to: of several, a carried one if asked."""
        return self._along(edge, None, carried)

    def theirs(self, edge: Edge, change: Change, carried: bool = False) -> Term | None:
        """The same term as a mistake makes it; None where nothing is handed on."""
        return None if change.rule is None else self._along(edge, change, carried)

    def _along(self, edge: Edge, change: Change | None, carried: bool) -> Term | None:
        reader, node = edge.place.owner, edge.node
        root, leaf = self.program.equations[reader], self._leaf(reader)
        g = leaf if node is root else pullback({root: leaf}, False, wrt=[node]).get(node)
        if g is None:
            return None
        source = edge.source
        own = self.known.get(source)
        below = [n for n in self._reads(source) if n.requires_grad]
        if own is None and not below:
            return None
        names = [own] if own is not None else [self.known[n] for n in below]
        later = all(name.startswith("prev.") for name in names)
        part, labels = self._handed(edge, change, g, "t+1" if later else "t")
        if own is None:
            further = pullback({source: part}, False, wrt=below)
            if not further:
                return None
            source, part = min(
                further.items(), key=lambda way: self.known[way[0]].startswith("prev.") != carried
            )
        name = self.known[source]
        text = self._text(part, name.startswith("prev."), labels)
        return Term(name.removeprefix("prev."), reader, text)

    def _handed(
        self, edge: Edge, change: Change | None, g: Tensor, time: str
    ) -> tuple[Tensor, dict[Tensor, str]]:
        """What an edge hands on, as an expression, and what values from elsewhere are called."""
        rule = change.rule if change is not None and change.rule is not None else edge.rule
        labels: dict[Tensor, str] = {}
        leaves = {rule.leaves["g"]: g}
        reads = edge.reads()
        for leaf, own in rule.leaves.items():
            taken = change.taken.get(leaf) if change else None
            if taken is not None:
                leaves[own] = self._taken(taken, time, labels)
            elif leaf in reads:
                leaves[own] = reads[leaf]
        part = fold([rule.root], leaves, _plain)[rule.root]
        part = unbroadcast(part, edge.source.shape)
        factor = change.factor if change else 1.0
        if factor != 1.0:
            part = -part if factor == -1.0 else factor * part
        return part, labels

    def _taken(self, taken: Taken, time: str, labels: dict[Tensor, str]) -> Tensor:
        """A value of another step or of another equation, under its own name."""

        def moved(node: Tensor, by: int) -> Tensor:
            leaves = {}
            for n in ancestors([node], stop=self.known):
                if n in self.known:
                    name = self.known[n]
                    leaf = Tensor.input(name, n.shape, n.dtype)
                    at = None if self.steady(name) else _LATER[time, by]
                    labels[leaf] = UNICODE.name(name, at)
                    leaves[n] = leaf
            found: Tensor = fold([node], leaves, _made)[node]
            return found

        if taken.part is None:
            return moved(taken.node, taken.by)
        parts = [
            moved(i, taken.by if k == taken.part else 0) for k, i in enumerate(taken.node.inputs)
        ]
        return apply("concat", *parts, **taken.node.attributes)


def _made(node: Tensor, operands: list[Tensor]) -> Tensor:
    return remade(node, operands) if node.inputs else node


def _plain(node: Tensor, operands: list[Tensor]) -> Tensor:
    """The node on other operands, without what stands in a mistake's rule to keep its shape."""
    if node.op in ("multiply", "add"):
        neutral = 1.0 if node.op == "multiply" else 0.0
        for k in (1, 0):
            other = operands[k]
            alone = not other.inputs and not other.traced and other.shape == ()
            if alone and float(other.data) == neutral:
                return operands[1 - k]
    return _made(node, operands)


def squared(node: Tensor, operands: list[Tensor]) -> Tensor:
    """The node on other operands; a slope's y * y as the square that readers know."""
    if node.op == "multiply" and operands[0] is operands[1]:
        return apply("power", operands[0], 2.0)
    return remade(node, operands)
