"""The table of operations: what is known of each is one record, which every reading reads."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

Rule = Callable[..., Any]


@dataclass(frozen=True, slots=True)
class Operation:
    """All that is known of an operation: one record (`ops.py`), read by every reading.

    `derivatives` holds a rule for each input, `rule(g, y, *inputs, **attributes)`: the contribution
    to the input's adjoint from the adjoint `g` of the result `y`; None where there is no
    derivative. A variadic operation has one function that makes the rule of its k-th input.
    `signature` is "elementwise", a NumPy signature such as "(m,n),(n)->(m)", or the family of an
    operation on axes: "reduction", "along", "structural". `domain` is where tests may sample it,
    `distance` how far inputs are from its nearest kink (None: smooth), `examples` the shapes and
    attributes tests use where the signature does not tell. `batch(node, batch_shape)`: the
    attributes that do the same to each sample of a batch.

    How it is written: `infix` as (template, how tightly it binds, how tightly its operands must),
    `c` and `js` as templates of an entry, `sympy` as the name SymPy has for it. A composite has a
    `definition`, a Program of other operations from which all of these follow; `slopes` is the
    Program of the derivatives where its author gave them. `expand(roots)`: the same values with
    every operation that a node of this one stands for.
    """

    name: str
    forward: Callable[..., Any]
    derivatives: tuple[Rule | None, ...] | Callable[[int], Rule]
    signature: str
    domain: tuple[float, float]
    distance: Callable[..., Any] | None
    examples: tuple[tuple[tuple[tuple[int, ...], ...], dict[str, Any]], ...]
    batch: Callable[[Any, tuple[int, ...]], dict[str, Any]] | None = None
    infix: tuple[str, int, tuple[int, ...]] | None = None
    c: str | None = None
    js: str | None = None
    sympy: str | None = None
    definition: Any = None
    slopes: Any = None
    expand: Callable[[list[Any]], list[Any]] | None = None

    def rule(self, k: int) -> Rule | None:
        """The derivative rule of the k-th input."""
        return self.derivatives(k) if callable(self.derivatives) else self.derivatives[k]

    def letters(self) -> tuple[list[list[str]], list[str]]:
        """The axes that a signature names: "(m,n),(n)->(m)" is ([[m, n], [n]], [m])."""
        *before, after = [g.split(",") for g in re.findall(r"\(([^)]*)\)", self.signature)]
        return before, [letter for letter in after if letter]

    def core(self, inputs: Sequence[Any]) -> list[int]:
        """How many axes of each input the operation itself works on; those before broadcast."""
        if self.signature == "elementwise":
            return [0] * len(inputs)
        if self.signature.startswith("("):
            return [len(group) for group in self.letters()[0]]
        return [i.ndim for i in inputs]


TABLE: dict[str, Operation] = {}
