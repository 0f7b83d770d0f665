"""`backward`: one step backward through time, adjoint by adjoint, assembled by the chain rule."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from sympy import Expr, preorder_traversal

from equations.algebra import (
    Nothing,
    SumOverTime,
    SymbolicOperation,
    SymbolicValue,
    detach,
    named_values,
    operation,
    plus,
    shift_time,
    terms,
)
from equations.differentiation import Contribution, Differentiated, differentiate
from equations.lines import Equation, Equations, Note
from equations.places import for_each, is_lettered, letter_of, written_for_one_place
from equations.printer import CellPrinter
from equations.symbolic import SymbolicStep, symbolic_step, wire_notes
from equations.wording import Said
from tinygrad_lstm.errors import UnknownNameError
from tinygrad_lstm.networks import output_of
from tinygrad_lstm.notation import name_latex, name_unicode, space_of, step_before
from tinygrad_lstm.program import Program
from tinygrad_lstm.step import Cell
from tinygrad_lstm.text import LATEX, UNICODE


@dataclass(frozen=True)
class Adjoints:
    """The backward pass of a cell: what every adjoint is the sum of, in the order to compute them.

    `contributions` has the keys `bar.f`, `delta.f`, …; a parameter's are to be summed over time.
    `parts` holds each equation's derivatives.
    """

    step: SymbolicStep
    loss: tuple[str, ...]
    contributions: dict[str, list[Contribution]]
    parts: dict[str, Differentiated]

    @property
    def owners(self) -> dict[str, str]:
        """Whose inside each `delta.` belongs to."""
        return {f"delta.{k}": name for name, part in self.parts.items() for k in part.insides}

    @property
    def insides(self) -> dict[str, Expr]:
        """What stands inside functions, by name: `pre.f`."""
        return {
            f"pre.{label}": for_each(e, part.places[label])
            for part in self.parts.values()
            for label, e in part.insides.items()
        }

    @property
    def inside_names(self) -> dict[Expr, Expr]:
        """What stands inside functions, as it stands there, with its name."""
        return {e: sign for part in self.parts.values() for e, sign in part.names.items()}

    @property
    def opened(self) -> dict[str, Expr]:
        """The equations, and before each what stands inside its functions, by name."""
        return {label: e for part in self.parts.values() for label, e in part.opened.items()}

    def terms(self, label: str) -> list[Expr]:
        """The terms of an adjoint, nested sums opened."""
        return [term for each in self.contributions[label] for term in terms(each.value)]

    @property
    def within_step(self) -> dict[str, tuple[SymbolicValue, list[Expr]]]:
        """The sign and the terms of each adjoint as far as it comes from its own step.

        What the states before the step receive of it is `bar.prev.h`, ….
        """
        found, later = {}, {}
        for label in self.contributions:
            every = self.terms(label)
            next_ones = [e for e in every if any(q.time == 1 for q in named_values(e))]
            found[label] = self.sign(label), [e for e in every if e not in next_ones]
            later[label] = [shift_time(e, -1) for e in next_ones]
        for name in self.step.cell.state:
            found[f"bar.prev.{name}"] = SymbolicValue(f"bar.{name}", -1), later[f"bar.{name}"]
        return found

    def sign(self, label: str) -> SymbolicValue:
        """An adjoint's own name; a parameter's has no time."""
        source = self.source(label)
        return SymbolicValue(label, 0 if source is None else source.time)

    def line(self, label: str) -> Equation:
        """An adjoint as an equation; a parameter's is summed over time."""
        sign = self.sign(label)
        left, shown = written_for_one_place(sign, self.terms(label))
        right = plus(*shown) if shown else Nothing(self.silence(label))
        if shown and sign.time is None:
            right = SumOverTime(right)
        return Equation(label, left, right, apart=self.step.apart)

    def source(self, label: str) -> SymbolicValue | None:
        """The input whose adjoint this is, if it is one's."""
        own = (q for q in self.step.given.values() if q.time in (0, None))
        return next((q for q in own if f"bar.{q.label}" == label), None)

    def silence(self, label: str) -> str:
        """Why an adjoint has no terms."""
        equations = self.step.equations
        uses = {name: [q.label for q in named_values(e)] for name, e in equations.items()}
        if space_of(label)[1] in _reachable(uses, self.loss) - set(self.loss):
            return "none (no derivative passes to it)"
        return "none (no loss reaches it)"


def assemble(
    cell: Cell, loss: tuple[str, ...] | None = None, program: Program | None = None
) -> Adjoints:
    """Differentiate every equation of a cell and collect what each value receives."""
    step = symbolic_step(cell, program)
    if loss is None:
        losses = getattr(cell, "losses", None) or (getattr(cell, "loss", None),)
        loss = tuple(name for name in losses if name) or (output_of(cell),)
        if len(loss) > 1 and "loss" in step.equations:
            loss = ("loss",)
        # what a later part has gathered has an adjoint that comes from there
        loss += tuple(n for n in getattr(cell, "gathered", {}) if n in step.equations)
    for name in loss:
        if name not in step.equations:
            raise UnknownNameError(
                f"{cell}: the loss cannot read {name!r}; the step computes "
                f"{', '.join(step.equations)}."
            )
    parts = {name: differentiate(step, name) for name in step.equations}
    uses = {name: [c.target.label for c in part.contributions] for name, part in parts.items()}
    reached = _reachable(uses, loss)
    received: dict[SymbolicValue, list[Contribution]] = {}
    for name in step.equations:
        for each in parts[name].contributions if name in reached else ():
            received.setdefault(each.target, []).append(each)

    found: dict[str, list[Contribution]] = {}
    for name in reversed(step.equations):
        value, before = SymbolicValue(name), step_before(name)
        seeds = [Contribution(value, SymbolicValue(f"seed.{name}"))] if name in loss else []
        later = [each.shift_time(-before) for each in received.get(SymbolicValue(name, before), [])]
        found[f"bar.{name}"] = [*seeds, *received.get(value, []), *later]
        for label, own in parts[name].deltas.items():
            found[f"delta.{label}"] = own if name in reached else []
    for name, symbol in step.given.items():
        if space_of(name)[0] != "prev":
            # what a wire carries one step later
            before = SymbolicValue(symbol.label, step_before(name))
            later = [each.shift_time(-step_before(name)) for each in received.get(before, [])]
            found[f"bar.{symbol.label}"] = [*received.get(symbol, []), *later]
    return Adjoints(step, loss, {k: _join_slices(v) for k, v in found.items()}, parts)


def _reachable(uses: Mapping[str, Iterable[str]], loss: Iterable[str]) -> set[str]:
    """What a loss depends on, itself included, at this step or through later ones."""
    reached: set[str] = set()
    todo = list(loss)
    while todo:
        name = todo.pop()
        if name not in reached:
            reached.add(name)
            todo += uses.get(name, ())
    return reached


def _join_slices(received: list[Contribution]) -> list[Contribution]:
    """Contributions of slices that together are the whole as one: [a, b] for pad(a) + pad(b)."""
    found: dict[tuple[int, int, bool], dict[int, tuple[int, Contribution]]] = {}
    for each in received:
        slot = _slot(each.value)
        if slot is not None:
            axis, length, span = slot
            later = any(q.time == 1 for q in named_values(each.value))
            parts = found.setdefault((axis, length, later), {})
            parts.setdefault(span.start, (span.stop, each))
    for (axis, length, _), parts in found.items():
        ends = [parts[start][0] for start in sorted(parts)]
        if len(parts) > 1 and [*sorted(parts), length] == [0, *ends]:
            own = [parts[start][1] for start in sorted(parts)]
            whole = operation("concat", *(each.value.operands[0] for each in own), axis=axis)
            rules = dict.fromkeys(rule for each in own for rule in each.through)
            joined = Contribution(own[0].target, whole, None, tuple(rules))
            received = [joined if c is own[0] else c for c in received if c not in own[1:]]
    return received


def _slot(value: Expr) -> tuple[int, int, range] | None:
    """Of a padded slice its axis, counted from the end, the length there, and its entries."""
    if not isinstance(value, SymbolicOperation) or value.op != "scatter":
        return None
    index, shape = value.attributes["index"], value.attributes["shape"]
    if not isinstance(index, tuple) or not all(isinstance(part, slice) for part in index):
        return None
    cut = [(k, part) for k, part in enumerate(index) if part != slice(None)]
    span = range(int(shape[cut[0][0]]))[cut[0][1]] if len(cut) == 1 else range(0, 0, 2)
    return (cut[0][0] - len(shape), int(shape[cut[0][0]]), span) if span.step == 1 else None


def backward(cell: Cell, loss: str | tuple[str, ...] | None = None) -> Equations:
    r"""One step backward through time: the adjoint of every named value, last written first.

    A bar is the derivative of the loss along all paths, \bar{C}_t = dL/dC_t; terms with t+1 come
    from the next step, and the gradients of parameters are sums over time. `legend` explains
    every sign. loss: the names that the loss reads, as in "h" or "h C"; the output unless
    told, or the loss that the cell declares. Lines are named `bar.h`, `delta.o`, `bar.W_f`, ….
    SymPy derives them; the engine's rules are not consulted.
    """
    names = tuple(loss.split()) if isinstance(loss, str) else loss
    adjoints = assemble(cell, names)
    lines = [adjoints.line(label) for label in adjoints.contributions]
    notes = [*_legend(adjoints, lines), *wire_notes(cell, adjoints.step.apart)]
    return Equations(lines, notes)


def _legend(adjoints: Adjoints, lines: list[Equation]) -> list[Note]:
    apart, state = adjoints.step.apart, adjoints.loss[0]

    def named(name: str, words: str, **fields: str) -> Note:
        signs = name_latex(name, "t", apart), name_unicode(name, "t", apart)
        return Note(*signs, Said(words, **fields))

    def printed(expr: Expr, words: str, **fields: str) -> Note:
        latex, unicode = (CellPrinter(style).write(expr) for style in (LATEX, UNICODE))
        return Note(latex, unicode, Said(words, **fields))

    shown = [part for line in lines for part in preorder_traversal(line.right)]
    ops = {part.op: part for part in reversed(shown) if isinstance(part, SymbolicOperation)}
    whole = (p for e in adjoints.step.equations.values() for p in preorder_traversal(e))
    kept = next((p for p in whole if isinstance(p, detach)), None)
    notes = [
        named(
            f"bar.{state}",
            "the adjoint: the derivative of the loss {loss} with respect to this value, "
            "along all paths by which it reaches the loss, later steps included",
            loss="ℒ" if "seed." in apart else "L",
        ),
        named(f"seed.{state}", "the part of it that comes from the loss's own use of this value"),
    ]
    if any(isinstance(p, SymbolicValue) and p.time == 1 for p in shown):
        words = Said("what comes back from the next step; nothing at the last")
        notes.append(Note("t+1", "t+1", words))
    for label, inside in list(adjoints.insides.items())[:1]:
        about = "the adjoint of what stands inside the function, here of {inside}"
        text = CellPrinter(UNICODE, apart=apart).write(inside)
        notes.append(named(label.replace("pre.", "delta.", 1), about, inside=text))
    if "block" in ops:
        about = "the entries of the vector that belong to {part} in the concatenation"
        block = ops["block"]
        part = CellPrinter(UNICODE, timed=block.attributes["timed"]).write(block.operands[1])
        notes.append(printed(block, about, part=part))
    if kept is not None:
        about = "a constant to the backward pass: no derivative goes through detach"
        notes.append(printed(kept, about))
    if "scatter" in ops:
        words = Said("zeros, but for these entries: what is read in part is sent back to that part")
        notes.append(Note(r"\mathrm{pad}", "pad", words))
    for letter in dict.fromkeys(letter_of(p).name for p in shown if is_lettered(p)):
        words = Said("every place of an axis: the line holds at each {letter}", letter=letter)
        notes.append(Note(letter, letter, words))
    totals = [p for p in shown if is_lettered(p, "total")]
    if totals:
        letter = letter_of(totals[0]).name
        about = "what is read at every place {letter} collects from all of them"
        latex, unicode = (style.sum_over(letter).strip() for style in (LATEX, UNICODE))
        notes.append(Note(latex, unicode, Said(about, letter=letter)))
    if any(isinstance(p, SumOverTime) for p in shown):
        words = Said("a parameter is used at every step: its shares add")
        notes.append(Note(r"\sum_{t}", "Σ_t", words))
    return notes
