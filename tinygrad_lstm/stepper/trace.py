"""The stepper: a computation and its gradient as a sequence of events, one an operation.

    for event in step_through(loss):
        print(event)

A trace serves terminal, notebook and page alike. It is made lazily: what an event says is worked
out when it is looked at, from the engine's own rules and the engine's own adjoints.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from typing import Any, overload

import numpy as np

from tinygrad_lstm.errors import ShapeError, TinygradError, UnknownNameError
from tinygrad_lstm.notebook_html import bundle, table
from tinygrad_lstm.program import Program, flatten
from tinygrad_lstm.stepper.breakpoints import Breakpoint
from tinygrad_lstm.stepper.events import Event, plain
from tinygrad_lstm.stepper.passes import Passes
from tinygrad_lstm.stepper.state import State
from tinygrad_lstm.stepper.written import array
from tinygrad_lstm.tensor import TABLE, Array, Tensor, ancestors, constant, fold, remade

GROUPS = ("operation", "equation", "time", "pass")
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
        nodes = _evaluated(what, dict(flatten(arrays or {})))
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
    whole: Tensor = what
    for expand in {TABLE[node.op].expand for node in ancestors([what]) if node.op}:
        if expand is not None:  # a node stands for many
            (whole,) = expand([whole])
    return Trace({whole: root_seed}, [whole], digits)


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


class Trace(Passes, Sequence[Event]):
    """The events of a forward and a backward pass, in the order in which they happen.

    `len`, indexing and iteration are those of a sequence; `operations`, `given`, `named`, `labels`
    and `terms` are what it goes through, see `Passes`. Time steps count from 1, so that
    h_1 = …(h_0, x_1): they are the engine's `Tensor.time` plus one.
    """

    @overload
    def __getitem__(self, index: int) -> Event: ...
    @overload
    def __getitem__(self, index: slice) -> list[Event]: ...
    def __getitem__(self, index: int | slice) -> Event | list[Event]:
        if isinstance(index, slice):
            return [self[k] for k in range(*index.indices(len(self)))]
        if not -len(self) <= index < len(self):
            raise IndexError(f"event {index} of a trace of {len(self)} events")
        return Event(self, index % len(self))

    def __iter__(self) -> Iterator[Event]:
        return (self[k] for k in range(len(self)))

    def __repr__(self) -> str:
        return (
            f"Trace of {len(self.operations)} operations forward and {len(self._edges)} "
            f"contributions backward"
        )

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

    def state_at(self, index: int) -> State:
        """What is known once the event `index` has happened."""
        return State(self, range(len(self))[index])

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
