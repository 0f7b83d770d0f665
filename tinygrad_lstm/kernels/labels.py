"""How the values of a plan are called and written, in its text, its picture and its code."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from tinygrad_lstm.kernels.patterns import WEIGHT, span
from tinygrad_lstm.kernels.plan import Plan
from tinygrad_lstm.notation import index_of, name_unicode
from tinygrad_lstm.tensor import Tensor, fold
from tinygrad_lstm.text import UNICODE, Piece

CARRIED = {"carry": "from the step after", "given": "from the loss"}  # where an adjoint comes from


@dataclass(frozen=True)
class Term:
    """A value as it is written; `name` is its name in the notation, if it has one.

    time: the index it shows there; rows: which of its entries, where it is not all of them.
    """

    piece: Piece
    name: str = ""
    time: str | None = None
    rows: tuple[int, int] | None = None

    def __str__(self) -> str:
        return self.piece.text


def term_of(name: str, static: bool = False) -> Term:
    """A named input or equation: `bar.W.1` is W̄_1, x is x_t. static: the same at every step."""
    own = name.replace("bar.", "")
    bars = "bar." * ((len(name) - len(own)) // 4)
    if own.startswith(WEIGHT):
        own, static = own.removeprefix(WEIGHT), True
        own = f"W{own}" if own.isdigit() else own
    space, _, state = own.partition(".")
    if space in CARRIED and state:
        return Term(Piece(f"{space}.{name_unicode(state, None)}"), own)
    time = None if static else index_of(bars + own)
    return Term(Piece(name_unicode(bars + own, time)), bars + own, time)


class Labels:
    """Names for equations, and u1, u2, … for what several lines read.

    `onto` holds the sums of a product and hoisted rows: they are written as the rows.
    """

    def __init__(self, plan: Plan) -> None:
        self.terms: dict[Tensor, Term] = {}
        self.onto: dict[Tensor, Tensor] = {}
        taken = [*plan.step.inputs, *plan.step.equations]
        letter = next(c for c in "uvwyz" if not any(re.fullmatch(rf"{c}_?\d+", n) for n in taken))
        numbered = _shared(plan)
        count = 0
        for stage in (*plan.ahead, *plan.forward, *plan.backward):
            for node in stage.made:
                if node in self.terms:
                    continue  # computed again
                if node.name and not node.name.startswith(f"bar.{WEIGHT}"):
                    self.terms[node] = term_of(node.name)
                elif stage.product and stage.operands[2:]:
                    (self.onto[node],) = stage.operands[2:]
                    self.terms[node] = self.term(self.onto[node])
                elif node in numbered or node in plan.layout.stores:
                    count += 1
                    self.terms[node] = term_of(f"{letter}{count}", static=True)

    def term(self, root: Tensor, opened: bool = False) -> Term:
        """A value down to the next ones that have a name here; opened: not by its own."""
        leaves = {node: term for node, term in self.terms.items() if node is not root or not opened}
        return fold([root], leaves, _written)[root]  # type: ignore[no-any-return]

    def names(self, roots: Iterable[Tensor]) -> list[Term]:
        """What values are made of: the names of this plan that occur in them."""
        found: dict[Term, None] = {}
        stack = list(roots)
        while stack:
            node = stack.pop()
            if node in self.terms and node not in self.onto:
                found[self.terms[node]] = None
            elif node.inputs:
                stack += node.inputs[1:] if node in self.onto else node.inputs
            elif node.name:
                found[term_of(node.name)] = None
        return list(found)


def _shared(plan: Plan) -> set[Tensor]:
    """Values that are more than a part of one line."""
    found = {n for d in plan.deferred() for n in (d.left, d.right) if n.inputs}
    for section in ([*plan.ahead, *plan.forward], plan.backward):
        users = Counter(i for stage in section for node in stage.made for i in node.inputs)
        found |= {n for n, count in users.items() if count > 1}
        for stage in section:
            alone = stage.made if stage.shape is None else []
            found |= {*alone, *(n for n, _ in stage.copies if n.inputs)}
    return found


def _written(node: Tensor, parts: list[Term]) -> Term:
    if node.name and not node.inputs:
        return term_of(node.name)
    rows = node.op == "getitem" and span(node.attributes["index"], node.inputs[0].shape)
    if not rows or not parts[0].name:
        return Term(UNICODE.node(node, [part.piece for part in parts]))
    (whole,), index = parts, node.attributes["index"]
    if whole.rows:  # rows of rows: [6:12][:3] is [6:9]
        first = whole.rows[0]
        rows = first + rows[0], first + rows[1]
        whole, index = term_of(whole.name, whole.time is None), slice(*rows) if first else index
    return Term(
        UNICODE.operation("getitem", [whole.piece], {"index": index}), whole.name, whole.time, rows
    )
