"""`backward`: one step backward through time, adjoint by adjoint, assembled by the chain rule."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sympy import Expr, Integer

from equations.algebra import Operation, Quantity, SumOverTime, plus, terms, walk
from equations.differentiation import Differentiated, Share, differentiated
from equations.lines import Equation, Equations, Note
from equations.printer import CellLatexPrinter, CellTextPrinter
from equations.reading import Reading, read
from equations.wording import Said
from tinygrad_lstm.errors import UnknownNameError
from tinygrad_lstm.networks import Backward, Stack
from tinygrad_lstm.notation import name_latex, name_unicode, step_before
from tinygrad_lstm.program import Program
from tinygrad_lstm.recurrent import Cell


@dataclass(frozen=True)
class Adjoints:
    """The backward pass of a cell: the terms of every adjoint, in the order to compute them.

    `shares` maps `bar.f`, `delta.f`, … to the shares whose sum they are; a parameter's are to be
    summed over time. `parts` holds each equation's derivatives.
    """

    reading: Reading
    loss: tuple[str, ...]
    shares: dict[str, list[Share]]
    parts: dict[str, Differentiated]

    @property
    def terms(self) -> dict[str, list[Expr]]:
        """The terms of every adjoint, nested sums opened."""
        return {
            label: [term for share in shares for term in terms(share.value)]
            for label, shares in self.shares.items()
        }

    def line(self, label: str) -> Equation:
        """One adjoint as an equation."""
        return self.written(label, self.terms[label])

    def written(self, label: str, terms: list[Expr]) -> Equation:
        """The equation that says an adjoint is the sum of terms, over time for a parameter."""
        right = plus(*terms) if terms else Integer(0)
        given = self.reading.given.get(label.removeprefix("bar."))
        if given is not None and given.time is None and label.startswith("bar."):
            right = SumOverTime(right) if terms else right
            return Equation(label, Quantity(label, None), right)
        return Equation(label, Quantity(label), right)


def assembled(
    cell: Cell, loss: tuple[str, ...] | None = None, program: Program | None = None
) -> Adjoints:
    """Differentiate every equation of a cell and collect what each value receives."""
    reading = read(cell, program)
    loss = _checked(cell, reading, loss)
    parts = {name: differentiated(reading, name) for name in reading.equations}
    reached = _reached(parts, loss)

    def received(target: Quantity) -> list[Share]:
        return [
            share
            for name in reading.equations
            if name in reached
            for share in parts[name].shares
            if share.target == target
        ]

    shares: dict[str, list[Share]] = {}
    for name in reversed(reading.equations):
        seed = Quantity(f"seed.{name}")
        own = [Share(Quantity(name), seed)] if name in loss else []
        before = step_before(name)
        later = [share.shifted(-before) for share in received(Quantity(name, before))]
        shares[f"bar.{name}"] = own + received(Quantity(name)) + later
        for label, share in parts[name].deltas.items():
            shares[f"delta.{label}"] = [share] if name in reached else []
    for name, symbol in reading.given.items():
        if not name.startswith("prev."):
            shares[f"bar.{name}"] = received(symbol)
    return Adjoints(reading, loss, shares, parts)


def _checked(cell: Cell, reading: Reading, loss: tuple[str, ...] | None) -> tuple[str, ...]:
    loss = (_output(cell),) if loss is None else loss
    for name in loss:
        if name not in reading.equations:
            raise UnknownNameError(
                f"{cell}: the loss cannot read {name!r}; the step computes "
                f"{', '.join(reading.equations)}."
            )
    return loss


def _output(network: Any) -> str:
    """The name of the equation that a layer above, or a prediction, reads."""
    if isinstance(network, Stack | Backward):
        name, top = list(network.parts.items())[-1]
        return f"{name}.{_output(top)}"
    output: str = network.output
    return output


def _reached(parts: dict[str, Differentiated], loss: tuple[str, ...]) -> set[str]:
    """The equations that the loss depends on, at this step or through later ones."""
    reached: set[str] = set()
    todo = list(loss)
    while todo:
        name = todo.pop()
        if name not in reached:
            reached.add(name)
            todo += [s.target.label for s in parts[name].shares if s.target.label in parts]
    return reached


def backward(cell: Cell, loss: str | tuple[str, ...] | None = None) -> Equations:
    r"""One step backward through time: the adjoint of every named value, last written first.

    A bar is the derivative of the loss along all paths, \bar{C}_t = dL/dC_t; terms with t+1 come
    from the next step, and the gradients of parameters are sums over time. `legend` explains
    every sign. loss: the names that the loss reads, as in "h" or "h C"; the output unless
    told. Lines are named `bar.h`, `delta.o`, `bar.W_f`, …. SymPy derives them; the engine's rules
    are not consulted.
    """
    names = tuple(loss.split()) if isinstance(loss, str) else loss
    adjoints = assembled(cell, names)
    lines = [adjoints.line(label) for label in adjoints.shares]
    return Equations(lines, _legend(adjoints, lines))


def _legend(adjoints: Adjoints, lines: list[Equation]) -> list[Note]:
    def named(name: str, words: str, **fields: str) -> Note:
        return Note(name_latex(name, "t"), name_unicode(name, "t"), Said(words, **fields))

    shown = [part for line in lines for part in walk(line.right)]
    state = adjoints.loss[0]
    notes = [
        named(f"bar.{state}", "the adjoint: the derivative of the loss L in this value, along "
              "all paths by which it reaches the loss, later steps included"),
        named(f"seed.{state}", "the part of it that comes from the loss's own use of this value"),
    ]  # fmt: skip
    if any(isinstance(p, Quantity) and p.time == 1 for p in shown):
        words = Said("what comes back from the next step; nothing at the last")
        notes.append(Note("t+1", "t+1", words))
    parts = adjoints.parts.values()
    deltas = {f"delta.{label}": e for part in parts for label, e in part.insides.items()}
    if deltas:
        label, inside = next(iter(deltas.items()))
        notes.append(
            named(label, "the adjoint of what stands inside the function, here of {inside}",
                  inside=CellTextPrinter()._print(inside))
        )  # fmt: skip
    block = next((p for p in shown if isinstance(p, Operation) and p.op == "block"), None)
    if block is not None:
        part = CellTextPrinter(timed=block.attributes["timed"])._print(block.operands[1])
        notes.append(
            Note(
                CellLatexPrinter()._print(block), CellTextPrinter()._print(block),
                Said("the entries of the vector that belong to {part} in the concatenation",
                     part=part),
            )
        )  # fmt: skip
    if any(isinstance(p, SumOverTime) for p in shown):
        words = Said("a parameter is used at every step: its shares add")
        notes.append(Note(r"\sum_{t}", "Σ_t", words))
    return notes
