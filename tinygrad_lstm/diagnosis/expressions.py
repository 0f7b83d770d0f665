"""A step's nodes with the equations that they are parts of, and what each is to a reader."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

from tinygrad_lstm.diagnosis.rewrites import Change, Rewrite
from tinygrad_lstm.program import Program
from tinygrad_lstm.tensor import Tensor, ancestors
from tinygrad_lstm.text import UNICODE, expression


class Sites:
    """The places of a step in which it can be written otherwise.

    nodes: what is computed, in the order of computing; known: inputs and equations, by name.
    """

    def __init__(self, program: Program) -> None:
        self.program = program
        self.known: dict[Tensor, str] = {node: name for name, node in program.inputs.items()}
        self.known |= {node: name for name, node in program.equations.items()}
        self.nodes = [n for n in ancestors(program.equations.values()) if n.inputs]
        self.owner: dict[Tensor, str] = {}
        self._inside: dict[str, list[Tensor]] = {}
        for name, root in program.equations.items():
            inside = ancestors([root], stop=[n for n in self.known if n is not root])
            self._inside[name] = inside
            for node in inside:
                if node is root or node not in self.known:
                    self.owner.setdefault(node, name)
        inputs, equations = program.inputs.items(), program.equations.items()
        self._names = {node: program.label(name, UNICODE, True) for name, node in inputs}
        self._names |= {node: program.label(name, UNICODE) for name, node in equations}

    # --- in words --------------------------------------------------------------------------------
    def text(self, node: Tensor) -> str:
        """A node as a reader writes it: U_r·h_{t-1}."""
        if node in self._names:
            return self._names[node]
        return expression(node, UNICODE, self._names)

    def formula(self, node: Tensor) -> str:
        """What computes a node, also where it has a name: tanh(C_t)."""
        names = {n: label for n, label in self._names.items() if n is not node}
        return expression(node, UNICODE, names) if node.inputs else self.text(node)

    def label(self, name: str) -> str:
        """An equation's value: h_t."""
        return self.program.label(name, UNICODE)

    def operation(self, op: str) -> str:
        """An operation's sign."""
        return UNICODE.functions.get(op, op)

    # --- what a node is --------------------------------------------------------------------------
    def is_parameter(self, node: Tensor) -> bool:
        """Whether it is the same at every step."""
        static = self.program.static or frozenset()
        return not node.inputs and self.known.get(node) in static

    def is_one(self, node: Tensor) -> bool:
        """Whether it is the number 1."""
        return not node.inputs and not node.traced and bool((node.data == 1).all())

    def role(self, node: Tensor) -> str:
        """What a term of a sum is called: a bias, a peephole, or a term."""
        if self.is_parameter(node):
            return "bias"
        if node.op == "multiply" and node not in self.known:
            own = [self.is_parameter(i) for i in node.inputs]
            if any(own) and self.state_of(node.inputs[own.index(True) - 1]):
                return "peephole"
        return "term"

    def state_of(self, node: Tensor) -> str | None:
        """The state that a node is, of this step or of the one before."""
        name = self.known.get(node, "").removeprefix("prev.")
        return name if name in self.program.outputs else None

    def parameters(self, equation: str) -> list[Tensor]:
        """The parameters that an equation reads itself, in the order in which they are declared."""
        inside = set(self._inside[equation])
        return [n for n in self.program.inputs.values() if n in inside and self.is_parameter(n)]

    # --- rewrites --------------------------------------------------------------------------------
    def first(self, nodes: Iterable[Tensor]) -> str:
        """The first equation that one of these nodes is a part of."""
        order = list(self.program.equations)
        return min((self.owner[n] for n in nodes if n in self.owner), key=order.index)

    def one(
        self,
        node: Tensor,
        kind: str,
        message: str,
        change: Change,
        rank: float = 1.0,
        needs: Sequence[Tensor] = (),
        words: Mapping[str, Any] | None = None,
    ) -> Rewrite:
        """One node made otherwise."""
        return Rewrite(
            kind, message, self.owner[node], {node: change}, tuple(needs), rank, words or {}
        )

    def several(
        self,
        nodes: Collection[Tensor],
        kind: str,
        message: str,
        change: Change,
        rank: float = 1.0,
        words: Mapping[str, Any] | None = None,
    ) -> Rewrite:
        """Several nodes made otherwise, all in the same way."""
        changes = dict.fromkeys(nodes, change)
        return Rewrite(kind, message, self.first(nodes), changes, (), rank, words or {})
