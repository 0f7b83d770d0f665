"""A trace as compact data for the page: values once a node, every rule once a shape it has.

A pattern is what the events of one kind have in common: the rule with {0}, {1}, … where names
stand, and the arithmetic of each entry with {1.3} for entry 3 of name 1 and {=0.3333} for a
number. Name 0 is the adjoint of the operation's result, name 1 the result itself, the names after
it are its operands.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from lesson.parts.stepper import predictions
from tinygrad_lstm.errors import TinygradError
from tinygrad_lstm.notation import name_unicode
from tinygrad_lstm.step import Cell
from tinygrad_lstm.stepper.events import ENTRIES, Event, plain
from tinygrad_lstm.stepper.trace import Trace
from tinygrad_lstm.stepper.written import MORE, Entries, leaf, write_rule
from tinygrad_lstm.tensor import TABLE, Tensor
from tinygrad_lstm.text import NEGATIVE, Piece
from viz.anatomy import anatomy

MOST = 60_000  # numbers that a page can carry
SIGNIFICANT = 12  # digits: what a sum of them loses is not among those shown


@np.errstate(all="ignore")  # of a run that has left the finite numbers
def compact(trace: Trace, cell: Cell | None = None, columns: Sequence[str] = ()) -> dict[str, Any]:
    """The trace as the page's script takes it.

    cell: where the trace is a run of one, each operation is told its shape in the cell's figure.
    columns: what was read at each time step, if that can be said. Raises TinygradError where the
    trace holds more numbers than a page should.
    """
    nodes = [*trace.given, *trace.operations]
    shares = [k for k in range(len(trace.operations), len(trace))]
    size = sum(n.size for n in nodes) + sum(trace[k].subject.size for k in shares)
    if size > MOST:
        raise TinygradError(
            f"a stepper of {size:,} numbers is too large for a page, which takes {MOST:,}.\n"
            f"  Step through fewer time steps, or through a cell with fewer units."
        )
    ids = {node: k for k, node in enumerate(nodes)}
    parts = _parts(trace, cell)
    patterns = _Patterns(trace)
    events, closing = [], []
    for event in trace:
        which = patterns.of(event)
        closing.append(_closing(event))
        if event.direction == "forward":
            events.append([ids[event.node], which])
            continue
        local = event.local[1] if event.local and patterns.has_local(which) else None
        events.append(
            [
                ids[event.node],
                which,
                ids[event.subject],
                numbers(event.contribution),
                *([numbers(local)] if local is not None else []),
            ]
        )
    made = [_node(trace, node, ids, parts.get(node)) for node in nodes]
    return {
        "digits": trace.digits,
        "nodes": made,
        "given": len(trace.given),
        "events": events,
        "closing": closing,
        "patterns": patterns.made,
        "columns": list(columns),
    }


def _closing(event: Event) -> str:
    """How many more digits each line needs, a character a line, then those of the sum."""
    texts = (
        "".join("~" if more is None else str(more) for more in lines)
        for lines in (event.closing, event.sum_closing)
    )
    return " ".join(text if text.strip("0") else "" for text in texts).rstrip()


def _node(trace: Trace, node: Tensor, ids: dict[Tensor, int], part: str | None) -> dict[str, Any]:
    """A value: label, shape, numbers, and how it is shown; then, where there is one,

    "n" its name, "a" the same as it is read, "t" its time step, "e" that of its equation, "w" its
    equation's value, "o" the operation, "i" the operands, "p" the shape in the figure, "x" what it
    stands for; "c": it is a number that was written as such.
    """
    labels = trace.labels
    name, time = name_of(trace, node)
    base, below = split(symbol(trace, node))
    made: dict[str, Any] = {
        "l": labels[node],
        "d": list(node.shape),
        "v": numbers(node.data),
        "s": [base, below] if below else [base],
    }
    made |= {"n": name} if node.name is not None or labels[node] == "y" else {}
    if node.name is not None and (other := name_unicode(name, None)) != name:
        made["a"] = other
    made |= {} if time is None else {"t": time}
    if node.inputs:
        made |= {
            "w": ids[labels.owner(node)],
            "o": node.op,
            "i": [ids[i] for i in node.inputs],
            "x": labels.expression(node),
        }
        when = labels.time(node)
        made |= ({} if when is None else {"e": when}) | ({"p": part} if part else {})
    elif node.name is None and node.size == 1 and not labels[node].startswith("k"):
        made["c"] = 1
    return made


def numbers(value: Any) -> Any:
    """All entries of an array, row by row, rounded; what JSON has no number for becomes text."""
    flat = np.asarray(value).ravel()
    if flat.dtype.kind in "ib":
        return flat.astype(int).tolist()
    return plain(np.array([float(f"{v:.{SIGNIFICANT}g}") for v in flat.real]))


def name_of(trace: Trace, node: Tensor) -> tuple[str, int | None]:
    """What a value is called without its time step, and that time step."""
    return trace.labels.name(node), None if node.name is None else trace.labels.time(node)


def symbol(trace: Trace, node: Tensor, bar: bool = False) -> str:
    """A label, or its bar, as a page sets it: made-up names have a subscript, too."""
    labels = trace.labels
    if node.name is not None:
        return labels.bar(node) if bar else labels[node]
    return name_unicode(f"bar.{labels[node]}" if bar else labels[node], None)


def split(symbol: str) -> tuple[str, str]:
    """A symbol's base and its subscript: μ_{k,2} is μ and k,2."""
    base, line, below = symbol.rpartition("_")
    return (base, below.strip("{}")) if line else (symbol, "")


def _parts(trace: Trace, cell: Cell | None) -> dict[Tensor, str]:
    """The shape of the cell's figure that stands for an operation, where there is just one."""
    if cell is None:
        return {}
    shapes: dict[str, list[str]] = {}
    for part in anatomy(cell).parts.values():
        shapes.setdefault(part.equation, []).append(part.key)
    own: dict[Tensor, list[Tensor]] = {}
    for node in trace.operations:
        own.setdefault(trace.labels.owner(node), []).append(node)
    found = {}
    for owner, made in own.items():
        keys = shapes.get(owner.name or "", [])
        if len(keys) == len(made):
            pairs = zip(made, keys, strict=True)
            found.update({node: f"part-{key.replace('.', '-')}" for node, key in pairs})
    return found


class _Slots(Entries):
    """Arithmetic with places for the numbers, each as one that may be negative."""

    def __init__(self, digits: int, places: dict[Tensor, int]) -> None:
        super().__init__(digits)
        self._places = places

    def number(self, value: Any) -> Piece:
        """A number that was written as such; in braces where a line may need more of it."""
        found, exact = super().number(value), Entries(self.digits + MORE).number(value).text
        return found if found.text == exact else found._replace(text=f"{{={exact}}}")

    def entry(self, node: Tensor, at: tuple[int, ...]) -> Piece:
        if node not in self._places:
            return super().entry(node, at)
        flat = int(np.ravel_multi_index(at, node.shape)) if at else 0
        return Piece(f"{{{self._places[node]}.{flat}}}", NEGATIVE)


class _Patterns:
    """The patterns of a trace's events, each kept once."""

    def __init__(self, trace: Trace) -> None:
        self._trace = trace
        self.made: list[dict[str, Any]] = []
        self._known: dict[tuple[Any, ...], int] = {}

    def has_local(self, which: int) -> bool:
        return "l" in self.made[which]

    def of(self, event: Event) -> int:
        """The number of an event's pattern."""
        digits, (leaves, g) = self._trace.digits, _leaves(event)
        written = event.restate(leaves, g)
        slots = {
            found: int(found.name[1:-1])
            for found in (*leaves.values(), g)
            if found is not None and found.name
        }
        entries = _Slots(digits, slots)
        texts = [
            entries.entry(written, at).text
            for at, _ in zip(np.ndindex(written.shape), range(ENTRIES), strict=False)
        ]
        rule = write_rule(written, digits)
        key = (event.operation, event.direction, rule, *texts)
        if key not in self._known:
            made: dict[str, Any] = {"r": rule, "n": texts}
            if event.operation != "seed":
                made |= self._local(event, leaves) if event.direction == "backward" else {}
                made["w"] = predictions.wrong_rules(written, digits)
            self._known[key] = len(self.made)
            self.made.append(made)
        return self._known[key]

    def _local(self, event: Event, leaves: dict[Tensor, Tensor]) -> dict[str, Any]:
        """The local derivative: a factor for each entry ("l"), or a linear map of g ("m")."""
        node, digits = event.node, self._trace.digits
        if TABLE[node.op or ""].signature != "elementwise":
            g = leaf(np.ones(node.shape, node.dtype), "g")
            return {"m": write_rule(event.derive(leaves, g), digits)}
        found = event.derive(leaves, leaf(np.ones((), node.dtype), None))
        return {"l": write_rule(found, digits)} if found.inputs else {}


def _leaves(event: Event) -> tuple[dict[Tensor, Tensor], Tensor | None]:
    """What a rule reads, each named by its place in the pattern, and the result's adjoint.

    A number that was written as such stays one.
    """
    node, known = event.node, event.trace.leaves(event.node)
    found = {}
    for place, n in enumerate(dict.fromkeys((node, *node.inputs)), start=1):
        found[n] = leaf(n.data, None if known[n].name is None else f"{{{place}}}")
    return found, leaf(event.upstream.value, "{0}") if event.upstream else None
