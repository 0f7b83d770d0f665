"""The stepper: a computation and its gradient as a sequence of events, one an operation.

    for event in step_through(loss):
        print(event)

A trace serves terminal, notebook and page alike. It is made lazily: what an event says is worked
out when it is looked at, from the engine's own rules and the engine's own adjoints.
"""

from __future__ import annotations

import json
from bisect import bisect_right
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from typing import Any, overload

import numpy as np

from tinygrad_lstm.errors import ShapeError, TinygradError, UnknownNameError
from tinygrad_lstm.notebook_html import bundle, table
from tinygrad_lstm.program import Program, _flat
from tinygrad_lstm.stepper.breakpoints import Breakpoint
from tinygrad_lstm.stepper.events import Event, State, plain
from tinygrad_lstm.stepper.labels import Labels
from tinygrad_lstm.stepper.written import array, leaf
from tinygrad_lstm.tensor import (
    TABLE,
    Array,
    Tensor,
    ancestors,
    constant,
    contributions,
    fold,
    pullback,
    remade,
)

GROUPS = ("operation", "equation", "time", "pass")
_REMEMBERED = 64  # operations whose contributions are kept at hand
_SHOWN = 200  # events in a notebook's table


def step_through(
    what: Tensor | Program,
    arrays: Mapping[str, Any] | None = None,
    *,
    seed: Any = None,
    digits: int = 4,
) -> Trace:
    """The trace of a Tensor's computation and gradient, or of a Program run on arrays.

    what: a Tensor that holds a value, such as a loss; its whole graph is walked, forward and then
    backward. Or a Program, with `arrays` for its inputs as in `Program.run`, flat or nested:
    {"x": x, "prev": {"h": h}, "W": W}. seed: the adjoint to start the backward pass from, of the
    Tensor's shape, 1 where it has one entry; for a Program a mapping of its outputs' names,
    ones where not given. digits: significant digits in the text; values keep all of theirs.
    """
    if not 1 <= digits <= 17:
        raise ShapeError(f"digits must be 1 to 17, which is all that a number has, got {digits}.")
    if isinstance(what, Program):
        nodes = _evaluated(what, dict(_flat(arrays or {})))
        given = dict(seed or {})
        for name in given:
            if name not in what.outputs:
                raise UnknownNameError(
                    f"{what.name} has no output {name!r}; it has {', '.join(what.outputs)}."
                )
        seeds: dict[Tensor, Array] = {}
        for name, node in what.outputs.items():
            root = nodes[node]
            seeds[root] = seeds.get(root, 0.0) + _seed(root, given.get(name, 1.0), name)
        return Trace(seeds, [nodes[n] for n in what.nodes()], digits, labels_of_step=True)
    if not isinstance(what, Tensor):
        raise TinygradError(
            f"step_through walks through a Tensor or a Program, got {what!r:.60}.\n  Of a cell's "
            f'run take a number: step_through(unroll(cell, p, xs)["h"].sum()).'
        )
    if arrays is not None:
        raise TinygradError("arrays are the inputs of a Program; a Tensor holds its values.")
    if seed is None and what.data.size != 1:
        raise ShapeError(
            f"step_through starts backward from one number, but this Tensor has shape "
            f"{what.shape}.\n  Reduce it first, as in t.sum(), or pass the adjoint to start from: "
            f"step_through(t, seed=…) with a seed of shape {what.shape}."
        )
    root_seed = _seed(what, 1.0 if seed is None else seed, what.name or "the result")
    if any(node.op == "sequence" for node in ancestors([what])):  # compiled: one node for many
        from tinygrad_lstm.kernels.whole_sequences import expanded

        (what,) = expanded([what])
    return Trace({what: root_seed}, [what], digits)


def _seed(root: Tensor, given: Any, name: str) -> Array:
    value = np.asarray(given, dtype=root.dtype)
    if value.shape not in ((), root.shape):
        raise ShapeError(f"the seed has shape {value.shape}, but {name} has shape {root.shape}.")
    return np.broadcast_to(value, root.shape).copy()


def _evaluated(program: Program, arrays: dict[str, Any]) -> dict[Tensor, Tensor]:
    """Every node of a Program with its value."""
    program.run(**arrays)  # checks names and shapes
    nodes: dict[Tensor, Tensor] = {}
    for name, node in program.inputs.items():
        if name in arrays:
            value = np.asarray(arrays[name])
            nodes[node] = Tensor(value) if value.dtype.kind in "fc" else constant(value)
            nodes[node].name = name
    return fold(program.nodes(), nodes, remade)


def _renames(node: Tensor) -> bool:
    """Whether a node is but the name of what a caller gave: it is given, too."""
    if node.op != "identity" or node.name is None:
        return False
    return not node.inputs[0].inputs and node.inputs[0].name is None


class Trace(Sequence[Event]):
    """The events of a forward and a backward pass, in the order in which they happen.

    `len`, indexing and iteration are those of a sequence. `given` are the leaves, known from the
    start; `named` are the values that have an equation; `labels` tells how each is written. Time
    steps count from 1, so that h_1 = …(h_0, x_1): they are the engine's `Tensor.time` plus one.
    """

    def __init__(
        self,
        seeds: Mapping[Tensor, Array],
        roots: Sequence[Tensor],
        digits: int = 4,
        labels_of_step: bool = False,
    ) -> None:
        every = ancestors([*seeds, *roots])
        self.digits = digits
        self.operations = [n for n in every if n.inputs and not _renames(n)]
        known = {*self.operations, *(n.inputs[0] for n in every if _renames(n))}
        self.given = [n for n in every if n not in known]
        self.labels = Labels(every, set(seeds) | set(roots), labels_of_step)
        self.named = [n for n in self.operations if self.labels.owner(n) is n]
        self.adjoints: dict[Tensor, Array] = pullback(seeds, numeric=True)
        self._seeds = dict(seeds)
        order = reversed(ancestors(seeds, requires_grad=True))
        self._edges: list[tuple[Tensor, int]] = [(root, -1) for root in seeds]
        self._edges += [
            (node, k)
            for node in order
            if node in self.adjoints and node.op is not None and not _renames(node)
            for k, i in enumerate(node.inputs)
            if i.requires_grad and TABLE[node.op].rule(k) is not None
        ]
        self._made = {node: k for k, node in enumerate(self.operations)}
        self.terms: dict[Tensor, list[int]] = {}  # the events that add to a value's adjoint
        self._first_back: dict[Tensor, int] = {}
        for at, (node, k) in enumerate(self._edges, start=len(self.operations)):
            self.terms.setdefault(node if k < 0 else node.inputs[k], []).append(at)
            if k >= 0:
                self._first_back.setdefault(node, at)
        self._totals: dict[Tensor, tuple[int, Array]] = {}
        self._shares: dict[Tensor, list[Array]] = {}
        self._leaves: tuple[Tensor, dict[Tensor, Tensor]] | None = None

    # --- a sequence ------------------------------------------------------------------------------
    def __len__(self) -> int:
        return len(self.operations) + len(self._edges)

    @overload
    def __getitem__(self, index: int) -> Event: ...
    @overload
    def __getitem__(self, index: slice) -> list[Event]: ...
    def __getitem__(self, index: int | slice) -> Event | list[Event]:
        if isinstance(index, slice):
            return [self[k] for k in range(*index.indices(len(self)))]
        if not -len(self) <= index < len(self):
            raise IndexError(f"event {index} of a trace of {len(self)} events")
        index %= len(self)
        if index < len(self.operations):
            return Event(self, index, self.operations[index], None)
        return Event(self, index, *self._edges[index - len(self.operations)])

    def __iter__(self) -> Iterator[Event]:
        return (self[k] for k in range(len(self)))

    def __repr__(self) -> str:
        return (
            f"Trace of {len(self.operations)} operations forward and {len(self._edges)} "
            f"contributions backward"
        )

    # --- what the engine computed ----------------------------------------------------------------
    def share(self, index: int) -> Array:
        """What a backward event adds to the adjoint of its subject."""
        node, k = self._edges[index - len(self.operations)]
        if k < 0:
            return self._seeds[node]
        if node not in self._shares:  # of all its inputs at once
            if len(self._shares) >= _REMEMBERED:
                self._shares.clear()
            found = contributions(node, self.adjoints[node], numeric=True)
            self._shares[node] = [np.asarray(share) for _, share in found]
        return self._shares[node][index - self._first_back[node]]

    def total(self, subject: Tensor, count: int) -> Array:
        """The sum of the first `count` contributions to an adjoint, in the engine's order."""
        known, total = self._totals.get(subject, (0, np.zeros(())))
        if known > count or not known:
            known, total = 1, self.share(self.terms[subject][0])
        for at in self.terms[subject][known:count]:
            total = total + self.share(at)
        self._totals[subject] = (count, total)
        return total

    def leaves(self, node: Tensor) -> dict[Tensor, Tensor]:
        """The operands and the result of an operation as named leaves, to put into a rule."""
        if self._leaves is None or self._leaves[0] is not node:
            found = {}
            for n in {*node.inputs, node}:
                number = not n.inputs and n.name is None and n.size == 1 and not n.requires_grad
                found[n] = leaf(n.data, None if number else self.labels[n])
            self._leaves = node, found
        return self._leaves[1]

    # --- moving about ----------------------------------------------------------------------------
    def next(self, index: int, by: str = "operation") -> int:
        """The event after `index`, or the last one of the equation, time step or pass under way.

        Where that is where one stands already, the next one is run to its end.
        """
        last = len(self) - 1
        if index >= last:
            return last
        index += 1
        key = self._key(index, by)
        while by != "operation" and index < last and self._key(index + 1, by) == key:
            index += 1
        return index

    def back(self, index: int, by: str = "operation") -> int:
        """The event before `index`, or the last one of the equation, time step or pass before."""
        if by == "operation":
            return max(index - 1, 0)
        key = self._key(index, by)
        while index > 0 and self._key(index, by) == key:
            index -= 1
        return index

    def _key(self, index: int, by: str) -> tuple[Any, ...]:
        if by not in GROUPS:
            raise UnknownNameError(f"a trace goes by {', '.join(GROUPS)}, not by {by!r}.")
        event = self[index]
        names = {"equation": (event.time, event.equation), "time": (event.time,)}
        return (event.direction, *names.get(by, ()))

    def across(self, index: int) -> int:
        """The event of the other pass at the same operation: its first contribution, or its value.

        Where no gradient flows back through the operation, the start of the other pass.
        """
        event = self[index]
        if event.direction == "forward":
            return self._first_back.get(event.node, len(self.operations))
        return self._made.get(event.node, 0)

    def find(self, condition: str, start: int = -1) -> int | None:
        """The first event after `start` at a breakpoint, or None: see `breakpoints.FORMS`."""
        stop = Breakpoint.read(condition, self)
        return next((k for k in range(start + 1, len(self)) if stop.reached(self[k])), None)

    def lookup(self, name: str) -> list[Tensor]:
        """The values a name stands for: `f` at all time steps, `f@1` or `f_1` at one."""
        return self.labels.lookup(name)

    def state_at(self, index: int) -> State:
        """What is known once the event `index` has happened."""
        return State(self, range(len(self))[index])

    def gradient_at(self, subject: Tensor, index: int) -> tuple[int, Array] | None:
        """How many contributions to an adjoint there are by then, and their sum; None before."""
        count = bisect_right(self.terms.get(subject, []), index)
        return (count, self.total(subject, count)) if count else None

    def known_at(self, node: Tensor, index: int) -> bool:
        """Whether a value has been computed by then."""
        return self._made.get(node, -1) <= index

    # --- other forms -----------------------------------------------------------------------------
    def equations(self) -> dict[str, str]:
        """Each equation in the order in which it is finished, by the name of its value."""
        return {self.labels[n]: self.labels.expression(n) for n in self.named}

    def as_dict(self) -> dict[str, Any]:
        """The whole trace as JSON knows it: lists, numbers and text."""
        return {
            "format": 1,
            "given": [
                {"name": self.labels[n], "shape": list(n.shape), "value": plain(n.data)}
                for n in self.given
            ],
            "equations": self.equations(),
            "events": [event.as_dict() for event in self],
        }

    def text(self, stop: int | None = None, watches: Sequence[str] = ()) -> Iterator[str]:
        """The first `stop` events, or all, as lines of plain text; after each one the watches."""
        yield "given"
        for node in self.given:
            if node.name is not None or node.size > 1:
                yield f"  {self.labels[node]} = {array(node.data, self.digits)}"
        for event in islice(self, stop):
            yield ""
            yield from str(event).splitlines()
            state = self.state_at(event.index)
            yield from (f"    watch {state.watch(name)}" for name in watches)

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, str]:
        rows = [
            (e.index + 1, e.direction, e.time or "", e.rule, e.value_text) for e in self[:_SHOWN]
        ]
        html = table(rows, ("", "pass", "time", "rule", "result"))
        lines = [repr(self), *("  ".join(map(str, row)) for row in rows)]
        if len(self) > _SHOWN:
            html += f"<p>… {len(self) - _SHOWN} more events</p>"
            lines.append(f"… {len(self) - _SHOWN} more events")
        return bundle("\n".join(lines), html)


def to_json(trace: Trace) -> str:
    """The trace as one JSON text; numbers keep full precision, nan and inf become strings."""
    return json.dumps(trace.as_dict(), ensure_ascii=False, allow_nan=False)


__all__ = ["Event", "State", "Trace", "step_through", "to_json"]
