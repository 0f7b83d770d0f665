"""Parts: cells, and layers without state, at work inside a cell's step.

    @layer(x="inputs", parameters={"W": "outputs, inputs", "b": "outputs"})
    def dense(now, x, p):
        now.y = relu(matvec(p.W, x) + p.b)

    @cell(state="h", parts={"phi": dense.sized(outputs="features"), "rnn": gru})
    def reader(now, prev, x, p, part):
        now.h = part.rnn(part.phi(x), prev)

What a part writes has names of its own, `phi.y` and `rnn.z`, and so have its parameters: `phi.W`.
A size of a part follows from what the part is given (`inputs`), else it is the cell's size of that
name, unless `sized` says otherwise. A Program stays flat; `Call`s say which equations are a part's.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from tinygrad_lstm import sizes as dimensions
from tinygrad_lstm.declarations import Declarations
from tinygrad_lstm.errors import CellError, ShapeError, unknown
from tinygrad_lstm.tensor import Tensor, TensorLike, ancestors, constant


@dataclass(frozen=True)
class Sized:
    """A part whose sizes are these of the cell: `mlp.sized(outputs="features")`."""

    cell: Declarations
    sizes: Mapping[str, str]

    def __post_init__(self) -> None:
        for name, words in self.sizes.items():
            if name not in self.cell.sizes:
                raise unknown(f"{self.cell} has no size {name!r}", "its sizes are", self.cell.sizes)
            if not isinstance(words, str) or len(dimensions.parse(words)) != 1:
                raise CellError(
                    f"{self.cell}: the size {name} is called by one length in words, as in "
                    f'{name}="2 * hidden", got {words!r}.'
                )

    def named(self) -> list[str]:
        """The sizes of the cell around it that it may name."""
        return [*dimensions.names(self.sizes), *(n for n in self.cell.sizes if n not in self.sizes)]


@dataclass(frozen=True)
class Call:
    """A part in a Program: what it was given, by the names of its own inputs, and its results.

    name: the part's, with those of the parts around it; prefix: how the names of its equations
    begin, `phi_x.`, or `phi_x.2.` where it is called again; results: the equations it hands on.
    """

    name: str
    prefix: str
    cell: Declarations
    operands: Mapping[str, Tensor]
    results: tuple[str, ...]


@dataclass
class Tracing:
    """A step that is being traced, for the parts in it.

    values: the inputs of the step by its own names; written: the equations so far, of all cells
    around it too; sizes: the step's own, which know what they are in sizes of the outermost cell.
    An input that is not there yet is made, and `parameters` or `states` get its shape in words.
    """

    owner: str
    prefix: str
    values: dict[str, Tensor]
    written: dict[str, Tensor]
    sizes: Mapping[str, int]
    calls: list[Call]
    parameters: dict[str, str] = field(default_factory=dict)
    states: dict[str, str] = field(default_factory=dict)

    def input(self, name: str, shape: tuple[int, ...], found: dict[str, str]) -> Tensor:
        """The input of a name; a new one where there is none yet."""
        if name not in self.values:
            self.values[name] = Tensor.input(name, shape)
        found[name.removeprefix("prev.")] = words_of(shape)
        return self.values[name]


class Part:
    """A part as the step calls it: `part.phi(x)`, `part.rnn(x, prev)`.

    A layer, or a cell without `prev`, gives its output; a cell without `prev` carries states of its
    own, `rnn.h`. With `prev`, the states of the cell around it that have its states' names, the
    part gives the new states, one or several in the order in which it declares them.
    """

    def __init__(self, name: str, given: Declarations | Sized, tracing: Tracing) -> None:
        self._name, self._tracing = name, tracing
        sized = given if isinstance(given, Sized) else Sized(given, {})
        self._cell, self._renamed = sized.cell, sized.sizes

    def __repr__(self) -> str:
        return f"{self._tracing.owner}, part {self._name!r} ({self._cell})"

    def __call__(self, x: TensorLike, prev: Any = None, **further: TensorLike) -> Any:
        """Write the part's equations for these values, and give its results."""
        cell, tracing, own = self._cell, self._tracing, f"{self._name}."
        name, again = tracing.prefix + self._name, ""
        if times := sum(call.name == name for call in tracing.calls):
            again = f"{times + 1}."  # the same parameters, and equations of other names
        given = {"x": x, **self._further(further)}
        if prev is not None:
            given |= {f"prev.{state}": prev[state] for state in cell.state}
        operands = {
            n: v if isinstance(v, Tensor) else constant(v, np.dtype(float))
            for n, v in given.items()
        }
        sizes = self._sizes(operands)
        shapes = {n: dimensions.shape(words, sizes) for n, words in cell.shapes().items()}
        values = dict(operands)
        for parameter in cell.parameters:
            shape = shapes[parameter]
            values[parameter] = tracing.input(own + parameter, shape, tracing.parameters)
        for state in cell.state if prev is None else ():
            mine, shape = f"prev.{own}{again}{state}", shapes[f"prev.{state}"]
            before = tracing.input(mine, shape, tracing.states)
            values[f"prev.{state}"] = operands[f"prev.{state}"] = before
        for n, value in values.items():
            if value.shape != shapes[n]:
                raise ShapeError(
                    f"{self!r}: {n} is ({cell.shapes()[n]}) = {shapes[n]}, but what it is given "
                    f"has shape {value.shape}."
                )
        prefix = f"{name}.{again}"
        inside = Tracing(str(cell), prefix, values, tracing.written, sizes, tracing.calls)
        written = cell.written(inside)
        names = tuple(cell.state) if prev is not None and cell.state else cell.results
        every = tuple(dict.fromkeys((*names, *cell.state)))
        tracing.calls.append(Call(name, prefix, cell, operands, every))
        results = tuple(written[f"{prefix}{n}"] for n in names)
        return results[0] if len(results) == 1 else results

    def _further(self, further: Mapping[str, TensorLike]) -> Mapping[str, TensorLike]:
        cell = self._cell
        for name in further:
            if name not in cell.extra_inputs:
                have = "its further inputs are"
                raise unknown(f"{self!r} has no further input {name!r}", have, cell.extra_inputs)
        missing = ", ".join(f"{name}=…" for name in cell.extra_inputs if name not in further)
        if missing:
            raise CellError(f"{self!r} needs further inputs: part.{self._name}(x, {missing}).")
        return further

    def _sizes(self, operands: Mapping[str, Tensor]) -> dict[str, int]:
        """Each size of the part; it knows what it is in sizes of the outermost cell."""
        cell, shapes, scope = self._cell, self._cell.shapes(), self._tracing.sizes
        found = {n: _length(words, scope, f"{self!r}: {n}") for n, words in self._renamed.items()}
        for name, value in operands.items():
            axes = dimensions.parse(shapes[name])
            if len(axes) != value.ndim:
                raise ShapeError(
                    f"{self!r}: {name} is ({shapes[name]}), but what it is given has shape "
                    f"{value.shape}."
                )
            for axis, n in zip(axes, value.shape, strict=True):
                if list(axis.values()) == [1] and len(size := next(iter(axis))) == 1:
                    found.setdefault(size[0], n)
        for name in cell.sizes:
            if name not in found and name not in scope:
                raise CellError(
                    f"{self!r} does not know its size {name!r}.\n"
                    f'  Say it: parts={{"{self._name}": {cell.name}.sized({name}="…")}}.'
                )
            found.setdefault(name, scope.get(name, 0))
        return _derived(cell, found)


def lengths(sizes: Mapping[str, int]) -> dict[str, int]:
    """Sizes that know their names."""
    return {name: dimensions.Size(n, {(name,): 1}) for name, n in sizes.items()}


def words_of(shape: tuple[int, ...]) -> str:
    """A shape in words: its lengths know them."""
    return ", ".join(n.words if isinstance(n, dimensions.Size) else str(n) for n in shape)


def take_parts(cell: Declarations) -> None:
    """Trace a step once, to declare what its parts bring: parameters, states, starts, bounds."""
    sized = {n: g if isinstance(g, Sized) else Sized(g, {}) for n, g in cell.components.items()}
    own = dimensions.names({**cell.shapes(), **cell.derived})
    of_parts = [size for part in sized.values() for size in part.named()]
    cell.sizes = [n for n in dict.fromkeys((*own, *of_parts)) if n not in cell.derived]
    bounds = {n: least for part in sized.values() for n, least in part.cell.bounds.items()}
    cell.bounds = bounds | cell.bounds
    scope = lengths(cell.complete(cell.small_sizes()))
    inputs = {n: Tensor.input(n, dimensions.shape(w, scope)) for n, w in cell.shapes().items()}
    tracing = Tracing(str(cell), "", inputs, {}, scope, [])
    early = [name for part, s in sized.items() for name in _states(part, s, tracing)]
    cell.written(tracing)
    read = {*ancestors(tracing.written.values())}
    for name in early:
        if name not in tracing.states and inputs[f"prev.{name}"] in read:
            part = name.partition(".")[0]
            raise CellError(
                f"{cell}: prev.{name} is read, but part {part!r} carries no state of its own.\n"
                f"  Call it without prev: part.{part}(x)."
            )
    cell.parameters = {**cell.parameters, **tracing.parameters}
    cell.state = {**cell.state, **tracing.states}
    known = {*cell.parameters, *cell.state}
    for part, s in sized.items():
        starts = {f"{part}.{name}": value for name, value in s.cell.start.items()}
        cell.start = {n: v for n, v in starts.items() if n in known} | cell.start
    left = {*own, *dimensions.names({**cell.shapes(), **cell.derived})}
    cell.bounds = {n: least for n, least in cell.bounds.items() if n in left}


def _states(name: str, sized: Sized, tracing: Tracing) -> list[str]:
    """Inputs for the states that a part may carry, which are read before it is called."""
    renamed = {n: _length(w, tracing.sizes, name) for n, w in sized.sizes.items()}
    sizes = _derived(sized.cell, {**tracing.sizes, **renamed})
    made = []
    for state, words in sized.cell.state.items():
        made.append(f"{name}.{state}")
        own = f"prev.{made[-1]}"
        tracing.values[own] = Tensor.input(own, dimensions.shape(words, sizes))
    return made


def _length(words: str, scope: Mapping[str, int], what: str) -> int:
    (axis,) = dimensions.parse(words)
    for size in dimensions.names_in(axis):
        if size not in scope:
            raise unknown(f"{what} is called {words!r}: no size {size!r}", "there are", scope)
    return dimensions.value(axis, scope)


def _derived(cell: Declarations, found: dict[str, int]) -> dict[str, int]:
    """Sizes with those that others determine."""
    for _ in cell.derived:
        for name, words in cell.derived.items():
            (axis,) = dimensions.parse(words)
            if all(n in found for n in dimensions.names_in(axis)):
                found[name] = dimensions.value(axis, found)
    return found
