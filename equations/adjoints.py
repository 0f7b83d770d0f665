"""`backward`: one step backward through time, adjoint by adjoint, assembled by the chain rule."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sympy import Expr

from equations.algebra import (
    Nothing,
    Operation,
    Quantity,
    SumOverTime,
    detach,
    operation,
    plus,
    quantities,
    terms,
    walk,
)
from equations.differentiation import Differentiated, Share, differentiated
from equations.lines import Equation, Equations, Note
from equations.printer import CellPrinter
from equations.reading import Reading, read
from equations.wording import Said
from tinygrad_lstm.errors import UnknownNameError
from tinygrad_lstm.networks import Backward, Stack
from tinygrad_lstm.notation import name_latex, name_unicode, space_of, step_before
from tinygrad_lstm.program import Program
from tinygrad_lstm.step import Cell
from tinygrad_lstm.text import LATEX, UNICODE


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
    def owners(self) -> dict[str, str]:
        """Whose inside each `delta.` belongs to."""
        return {f"delta.{k}": name for name, part in self.parts.items() for k in part.deltas}

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
        right = plus(*terms) if terms else Nothing(self.silence(label))
        given = self.given(label)
        if given is not None and given.time is None:
            right = SumOverTime(right) if terms else right
            return Equation(label, Quantity(label, None), right, apart=self.reading.apart)
        return Equation(label, Quantity(label), right, apart=self.reading.apart)

    def given(self, label: str) -> Quantity | None:
        """The input whose adjoint this is, if it is one's."""
        own = (q for q in self.reading.given.values() if q.time in (0, None))
        return next((q for q in own if f"bar.{q.label}" == label), None)

    def silence(self, label: str) -> str:
        """Why an adjoint has no terms."""
        equations = self.reading.equations
        read, todo = set[str](), list(self.loss)
        while todo:  # all that the loss's value depends on
            found = {q.label for q in quantities(equations[todo.pop()])} - read
            read |= found
            todo += [name for name in found if name in equations]
        if space_of(label)[1] in read:
            return "none (no derivative passes to it)"
        return "none (no loss reaches it)"


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
        for label, own in parts[name].deltas.items():
            shares[f"delta.{label}"] = own if name in reached else []
    for name, symbol in reading.given.items():
        if space_of(name)[0] != "prev":
            shares[f"bar.{symbol.label}"] = received(symbol)
    return Adjoints(reading, loss, {k: _put_together(v) for k, v in shares.items()}, parts)


def _put_together(shares: list[Share]) -> list[Share]:
    """Shares of slices that together are the whole as one: [a, b] for pad(a) + pad(b)."""
    found: dict[tuple[int, int, bool], dict[int, tuple[int, Share]]] = {}
    for share in shares:
        slot = _slot(share.value)
        if slot is not None:
            axis, length, span = slot
            later = any(q.time == 1 for q in quantities(share.value))
            parts = found.setdefault((axis, length, later), {})
            parts.setdefault(span.start, (span.stop, share))
    for (axis, length, _), parts in found.items():
        ends = [parts[start][0] for start in sorted(parts)]
        if len(parts) > 1 and [*sorted(parts), length] == [0, *ends]:
            own = [parts[start][1] for start in sorted(parts)]
            whole = operation("concat", *(s.value.operands[0] for s in own), axis=axis)
            rules = dict.fromkeys(rule for share in own for rule in share.through)
            place = shares.index(own[0])
            joined = Share(own[0].target, whole, None, tuple(rules))
            shares = [joined if k == place else s for k, s in enumerate(shares) if s not in own[1:]]
    return shares


def _slot(value: Expr) -> tuple[int, int, range] | None:
    """Of a padded slice its axis, counted from the end, the length there, and its entries."""
    if not isinstance(value, Operation) or value.op != "scatter":
        return None
    index, shape = value.attributes["index"], value.attributes["shape"]
    if not isinstance(index, tuple) or not all(isinstance(part, slice) for part in index):
        return None
    cut = [(k, part) for k, part in enumerate(index) if part != slice(None)]
    span = range(int(shape[cut[0][0]]))[cut[0][1]] if len(cut) == 1 else range(0, 0, 2)
    return (cut[0][0] - len(shape), int(shape[cut[0][0]]), span) if span.step == 1 else None


def _checked(cell: Cell, reading: Reading, loss: tuple[str, ...] | None) -> tuple[str, ...]:
    loss = (getattr(cell, "loss", None) or _output(cell),) if loss is None else loss
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
    return str(network.output)


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
    told, or the loss that the cell declares. Lines are named `bar.h`, `delta.o`, `bar.W_f`, ….
    SymPy derives them; the engine's rules are not consulted.
    """
    names = tuple(loss.split()) if isinstance(loss, str) else loss
    adjoints = assembled(cell, names)
    lines = [adjoints.line(label) for label in adjoints.shares]
    return Equations(lines, _legend(adjoints, lines))


def _legend(adjoints: Adjoints, lines: list[Equation]) -> list[Note]:
    def named(name: str, words: str, **fields: str) -> Note:
        apart = adjoints.reading.apart
        signs = name_latex(name, "t", apart), name_unicode(name, "t", apart)
        return Note(*signs, Said(words, **fields))

    shown = [part for line in lines for part in walk(line.right)]
    state = adjoints.loss[0]
    letter = "ℒ" if "seed." in adjoints.reading.apart else "L"
    notes = [
        named(
            f"bar.{state}",
            "the adjoint: the derivative of the loss {loss} in this value, along "
            "all paths by which it reaches the loss, later steps included",
            loss=letter,
        ),
        named(f"seed.{state}", "the part of it that comes from the loss's own use of this value"),
    ]
    if any(isinstance(p, Quantity) and p.time == 1 for p in shown):
        words = Said("what comes back from the next step; nothing at the last")
        notes.append(Note("t+1", "t+1", words))
    parts = adjoints.parts.values()
    deltas = {f"delta.{label}": e for part in parts for label, e in part.insides.items()}
    if deltas:
        label, inside = next(iter(deltas.items()))
        notes.append(
            named(
                label,
                "the adjoint of what stands inside the function, here of {inside}",
                inside=CellPrinter(UNICODE, apart=adjoints.reading.apart).write(inside),
            )
        )
    block = next((p for p in shown if isinstance(p, Operation) and p.op == "block"), None)
    if block is not None:
        part = CellPrinter(UNICODE, timed=block.attributes["timed"]).write(block.operands[1])
        notes.append(
            Note(
                CellPrinter(LATEX).write(block),
                CellPrinter(UNICODE).write(block),
                Said(
                    "the entries of the vector that belong to {part} in the concatenation",
                    part=part,
                ),
            )
        )
    whole = (p for e in adjoints.reading.equations.values() for p in walk(e))
    kept = next((p for p in whole if isinstance(p, detach)), None)
    if kept is not None:
        words = Said("a constant to the backward pass: no derivative goes through detach")
        notes.append(Note(CellPrinter(LATEX).write(kept), CellPrinter(UNICODE).write(kept), words))
    if any(isinstance(p, Operation) and p.op == "scatter" for p in shown):
        words = Said("zeros, but for these entries: what is read in part is sent back to that part")
        notes.append(Note(r"\mathrm{pad}", "pad", words))
    if any(isinstance(p, SumOverTime) for p in shown):
        words = Said("a parameter is used at every step: its shares add")
        notes.append(Note(r"\sum_{t}", "Σ_t", words))
    return notes
