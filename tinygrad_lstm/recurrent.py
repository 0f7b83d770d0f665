"""A recurrent cell: one step, written as named equations by the `@cell` decorator."""

from __future__ import annotations

import linecache
import traceback
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from tinygrad_lstm import sizes as dimensions
from tinygrad_lstm import tables
from tinygrad_lstm.errors import (
    CellError,
    DataError,
    DTypeError,
    ShapeError,
    TinygradError,
    TracedError,
    UnknownNameError,
)
from tinygrad_lstm.program import Program, named
from tinygrad_lstm.tensor import Tensor, constant

Step = Callable[..., None]


class Parameters(Mapping[str, Tensor]):
    """The weights of a cell: a mapping of names to Tensors, which are attributes too (`p.W_f`)."""

    def __init__(self, tensors: Mapping[str, Tensor], owner: str) -> None:
        self._tensors = dict(tensors)
        self._owner = owner

    def __getattr__(self, name: str) -> Tensor:
        if name.startswith("__"):
            raise AttributeError(name)
        return self[name]

    def __getitem__(self, name: str) -> Tensor:
        found = self.__dict__.get("_tensors", {}).get(name)
        if found is None:
            raise UnknownNameError(
                f"{self._owner} has no parameter {name!r}; it declares "
                f"{', '.join(self._tensors) or 'none'}."
            )
        return found  # type: ignore[no-any-return]

    def __iter__(self) -> Iterator[str]:
        return iter(self._tensors)

    def __len__(self) -> int:
        return len(self._tensors)

    def __repr__(self) -> str:
        shapes = ", ".join(f"{k} {t.shape}" for k, t in self._tensors.items())
        return f"Parameters of {self._owner}: {shapes}"

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, str]:
        rows = [(name, str(t.shape), t.size) for name, t in self.items()]
        rows.append(("together", "", self.count))
        return tables.bundle(repr(self), tables.table(rows, ("parameter", "shape", "numbers")))

    def replace(self, tensors: Mapping[str, Any]) -> Parameters:
        """The same parameters with some of them exchanged."""
        new = {k: v if isinstance(v, Tensor) else Tensor(v, k) for k, v in tensors.items()}
        return Parameters({**self._tensors, **new}, self._owner)

    @property
    def count(self) -> int:
        """How many numbers there are in all."""
        return sum(t.size for t in self._tensors.values())


class Now:
    """The values of this step: `now.f = …` records the equation f, `now.f` reads it."""

    __slots__ = ("_values", "_time", "_owner", "_prefix")
    _values: dict[str, Tensor]
    _time: int | None
    _owner: str
    _prefix: str

    def __init__(self, owner: str, time: int | None = None, prefix: str = "") -> None:
        object.__setattr__(self, "_values", {})
        object.__setattr__(self, "_time", time)
        object.__setattr__(self, "_owner", owner)
        object.__setattr__(self, "_prefix", prefix)

    def __setattr__(self, name: str, value: Any) -> None:
        values = self._values
        if name in values:
            raise CellError(
                f"{self._owner}: equation {name} is written twice; defined so far: "
                f"{', '.join(values)}.\n  Give the second value a name of its own."
            )
        if not isinstance(value, Tensor):
            value = constant(value, np.dtype(float))
        values[name] = named(value, self._prefix + name, self._time)

    def __getattr__(self, name: str) -> Tensor:
        values = self._values
        if name not in values:
            raise UnknownNameError(
                f"{self._owner}: now.{name} is read before it is written; defined so far: "
                f"{', '.join(values) or 'nothing'}.\n  Write its equation above this line, or use "
                f"prev.{name} for its value one step earlier, if it is a state."
            )
        return values[name]


class Prev:
    """The states before this step: `prev.C` is C_{t-1}."""

    __slots__ = ("_states", "_owner")
    _states: Mapping[str, Tensor]
    _owner: str

    def __init__(self, owner: str, states: Mapping[str, Tensor]) -> None:
        self._states, self._owner = states, owner

    def __getattr__(self, name: str) -> Tensor:
        if name not in self._states:
            raise UnknownNameError(
                f"{self._owner}: {name!r} is not a state, so there is no prev.{name}; the states "
                f"are {', '.join(self._states)}.\n  Add it to state=\"…\" if it is to be carried."
            )
        return self._states[name]


class Cell:
    """A recurrent cell, made by the decorator `cell`. `cell.program()` is what every reading uses.

    Attributes: `name`, `state`, `parameters`, `sequences`, `constants` (names with their shapes in
    words), `x` (the shape of one input), `output` (what a layer above reads: h, or the first state
    where none has that name), `papers`, `step` (the author's function), `doc`.
    """

    def __init__(
        self, step: Step, state: Mapping[str, str], parameters: Mapping[str, str], x: str,
        sequences: Mapping[str, str], constants: Mapping[str, str], papers: tuple[str, ...],
    ) -> None:  # fmt: skip
        self.step, self.state, self.parameters, self.x = step, state, parameters, x
        self.sequences, self.constants, self.papers = sequences, constants, papers
        self.name = step.__name__
        self.doc = self.__doc__ = (step.__doc__ or "").strip()
        self._programs: dict[tuple[tuple[str, int], ...], Program] = {}
        self._inferred: dict[tuple[tuple[int, ...], ...], dict[str, int]] = {}
        declared = [*state, *parameters, *sequences, *constants]
        for name in declared:
            if declared.count(name) > 1:
                raise CellError(f"{self}: {name!r} is declared twice.")
        self.sizes = dimensions.names(self._shapes())
        self.output = "h" if "h" in state else next(iter(state))

    def __str__(self) -> str:
        return f"cell {self.name!r}"

    __repr__ = __str__

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, str]:
        return tables.listing(self)

    def _shapes(self) -> dict[str, str]:
        """Every input of the step with its shape in words, in the order of a Program's inputs."""
        previous = {f"prev.{name}": words for name, words in self.state.items()}
        return {**previous, "x": self.x, **self.sequences, **self.constants, **self.parameters}

    def _complete(self, given: Mapping[str, float]) -> dict[str, int]:
        for name, n in given.items():
            if name not in self.sizes:
                raise UnknownNameError(
                    f"{self} has no size {name!r}; its sizes are {', '.join(self.sizes)}."
                )
            if not isinstance(n, int | np.integer) or isinstance(n, bool) or n < 1:
                raise ShapeError(f"{self}: {name} must be a whole number of at least 1, got {n!r}.")
        missing = [name for name in self.sizes if name not in given]
        if missing:
            raise ShapeError(
                f"{self} needs {', '.join(f'{m}=…' for m in missing)}: "
                f"its sizes are {', '.join(self.sizes)}."
            )
        return {name: int(given[name]) for name in self.sizes}

    def program(self, batch: int | None = None, **sizes: int) -> Program:
        """One step as a Program, for one sample or for a batch.

        Its inputs are the states before the step (`prev.h`), `x`, further inputs and parameters;
        its outputs are the states. Without any sizes it is made for small ones, all different.
        """
        if not sizes:
            sizes = {name: 3 + k for k, name in enumerate(self.sizes)}
        full = self._complete(sizes)
        key = (*full.items(), ("batch", batch or 0))
        if key not in self._programs:
            self._programs[key] = self._trace(full, () if batch is None else (batch,))
        return self._programs[key]

    def _trace(self, sizes: Mapping[str, int], lead: tuple[int, ...]) -> Program:
        shapes = self._shapes()
        inputs = {}
        for name, words in shapes.items():
            own = () if name in self.parameters or name in self.constants else lead
            inputs[name] = Tensor.input(name, own + dimensions.shape(words, sizes))
        now = self.run_step(inputs)
        outline = Program(self.name, inputs, now, {}, shapes, sizes)
        for name, words in self.state.items():
            expected = lead + dimensions.shape(words, sizes)
            if now[name].shape != expected:
                raise ShapeError(
                    f"in {self}, equation {outline.text(name)}\n  the state {name} is "
                    f"({words}) = {expected}, but this value has shape {now[name].shape}."
                )
        outline.outputs = {name: now[name] for name in self.state}
        return outline

    def run_step(
        self, values: Mapping[str, Any], time: int | None = None, prefix: str = ""
    ) -> dict[str, Tensor]:
        """Run the author's function on one step's inputs; return the named equations in order.

        Their nodes are marked with the time and named with the prefix, such as `2.` for a layer.
        """
        owner = str(self)
        now = Now(owner, time, prefix)
        prev = Prev(owner, {name: values[f"prev.{name}"] for name in self.state})
        p = Parameters({name: values[name] for name in self.parameters}, owner)
        further = {name: values[name] for name in (*self.sequences, *self.constants)}
        try:
            self.step(now, prev, values["x"], p, **further)
        except (ShapeError, TracedError) as error:
            place = self._place(error)
            declared = dimensions.declared(self.parameters, place)
            fix = declared if isinstance(error, ShapeError) else ""
            raise type(error)(f"{place}\n  {error}{fix}") from error
        except TinygradError:
            raise
        except Exception as error:
            raise CellError(
                f"{self._place(error)}\n  {type(error).__name__}: {error}"
            ) from error
        written: dict[str, Tensor] = now._values
        for name in self.state:
            if name not in written:
                raise CellError(
                    f"{owner}: the state {name} is never written; the step defines "
                    f"{', '.join(written) or 'nothing'}.\n  Add an equation now.{name} = …, or "
                    f"take {name} out of state=\"{' '.join(self.state)}\"."
                )
        return written

    def _place(self, error: Exception) -> str:
        """The author's line that raised an error: the deepest one in the file of the step."""
        file = self.step.__code__.co_filename
        lines = [f for f in traceback.extract_tb(error.__traceback__) if f.filename == file]
        if not lines:
            return f"in {self}"
        last = lines[-1]
        source = (last.line or linecache.getline(file, last.lineno or 0)).split("#")[0].strip()
        return f"in {self}, {Path(file).name} line {last.lineno}: {source}"

    def init(self, seed: int = 0, dtype: Any = np.float64, **sizes: float) -> Parameters:
        """Fresh parameters: matrices uniform in ±1/√columns, vectors zero.

        Sizes are named, as in `lstm.init(inputs=3, hidden=4, seed=0)`. A parameter's name with a
        number fills it: `lstm.init(inputs=3, hidden=4, b_f=1.0)` is an LSTM that at first forgets
        little, σ(1) = 0.73 kept a step and not σ(0) = 0.5, as Gers et al. (2000) and Jozefowicz et
        al. (2015) recommend. The other parameters are the same with and without fills.
        """
        if np.dtype(dtype).kind != "f":
            raise DTypeError(f"{self}: parameters are floating-point, got dtype {np.dtype(dtype)}.")
        fills = {name: sizes.pop(name) for name in self.parameters if name in sizes}
        for name in sizes:
            if name not in self.sizes:
                raise UnknownNameError(
                    f"{self} has no size or parameter {name!r}; its sizes are "
                    f"{', '.join(self.sizes)}, its parameters "
                    f"{', '.join(self.parameters) or 'none'}."
                )
        full = self._complete(sizes)
        random = np.random.default_rng(seed)
        tensors = {}
        for name, words in self.parameters.items():
            shape = dimensions.shape(words, full)
            bound = shape[-1] ** -0.5 if len(shape) > 1 else 0.0
            array = random.uniform(-bound, bound, shape).astype(dtype)
            if name in fills:
                array = np.full(shape, self._number(name, fills[name]), dtype)
            tensors[name] = Tensor(array, name)
        return Parameters(tensors, str(self))

    def _number(self, name: str, value: Any) -> float:
        real = isinstance(value, int | float | np.integer | np.floating)
        if not real or isinstance(value, bool) or not np.isfinite(value):
            raise DataError(
                f"{self}: {name} is filled with one finite number, got {value!r}.\n"
                f"  For an array, exchange it afterwards: p.replace({{{name!r}: array}})."
            )
        return float(value)

    def bind(self, arrays: Mapping[str, Any], **sizes: int) -> Parameters:
        """Parameters from arrays, by name; names and shapes are checked and sizes inferred."""
        if not isinstance(arrays, Mapping):
            raise DTypeError(
                f"{self}: parameters are a mapping of names to arrays, got "
                f"{type(arrays).__name__}; make fresh ones with init."
            )
        tensors = {}
        unknown = [name for name in arrays if name not in self.parameters]
        missing = [name for name in self.parameters if name not in arrays]
        if unknown or missing:
            raise UnknownNameError(
                f"{self}: "
                + " and ".join(
                    [f"no parameter is called {', '.join(unknown)}"] * bool(unknown)
                    + [f"{', '.join(missing)} {'is' if len(missing) == 1 else 'are'} missing"]
                    * bool(missing)
                )
                + f"; the parameters are {', '.join(self.parameters) or 'none'}."
            )
        for name in self.parameters:
            value = arrays[name]
            if np.asarray(value).dtype.kind not in "fc" and not isinstance(value, Tensor):
                raise DTypeError(
                    f"{self}: parameter {name} holds {np.asarray(value).dtype}, but floating-point "
                    f"numbers are needed.\n  Write {name}.astype(float)."
                )
            tensors[name] = value if isinstance(value, Tensor) else Tensor(value, name)
            _finite(f"{self}: parameter {name}", tensors[name])
        found = self.infer_sizes(tensors)
        for name, n in sizes.items():
            if found.get(name, n) != n:
                raise ShapeError(f"{self}: the arrays give {name}={found[name]}, not {n}.")
        return Parameters(tensors, str(self))

    def infer_sizes(self, parameters: Mapping[str, Any]) -> dict[str, int]:
        """The sizes that the shapes of parameters imply."""
        shapes = {name: tuple(parameters[name].shape) for name in self.parameters}
        key = tuple(shapes.values())
        if key not in self._inferred:
            self._inferred[key] = dimensions.infer(self.parameters, shapes, str(self))
        return dict(self._inferred[key])


def cell(
    *, state: str | Mapping[str, str], parameters: Mapping[str, str] | None = None,
    papers: list[str] | tuple[str, ...] = (), x: str = "inputs",
    sequences: Mapping[str, str] | None = None, constants: Mapping[str, str] | None = None,
) -> Callable[[Step], Cell]:  # fmt: skip
    """Make a Cell of a function `step(now, prev, x, p)` that writes one step's equations.

    state: the names that are carried from step to step, each of shape (hidden,), as in "h C"; a
    mapping gives them other shapes. parameters: names and their shapes in words, as in
    {"W_f W_i": "hidden, hidden + inputs", "b_f b_i": "hidden"}; several names may share a shape.
    x: the shape of one input, `"inputs"` unless told. sequences, constants: further inputs of the
    step (noise, masks, clocks, memories), keyword arguments of the function by the same names;
    those of `sequences` have a value for each time step. papers: where the equations are from.
    """
    if not isinstance(state, str | Mapping):
        raise CellError(f'state is a string of names, as in "h C", or a mapping, got {state!r}.')
    states = _spread(state if isinstance(state, Mapping) else {state: "hidden"})
    if not states:
        raise CellError('a cell needs at least one state: @cell(state="h", …).')

    def decorate(step: Step) -> Cell:
        return Cell(
            step, states, _spread(parameters or {}), x, _spread(sequences or {}),
            _spread(constants or {}), tuple(papers),
        )  # fmt: skip

    return decorate


def _spread(declarations: Mapping[str, str]) -> dict[str, str]:
    """{"a b": shape} as {"a": shape, "b": shape}, with readable errors."""
    spread: dict[str, str] = {}
    for several, words in declarations.items():
        dimensions.parse(words)
        for name in several.split():
            if not name.isidentifier() or name.startswith("__"):
                raise CellError(f"{name!r} cannot be a name in a cell; use letters, digits and _.")
            if name in spread:
                raise CellError(f"{name!r} is declared twice.")
            spread[name] = words
    return spread


def _finite(what: str, tensor: Tensor) -> None:
    finite = np.isfinite(tensor.data)
    if not finite.all():
        place = tuple(int(k) for k in np.argwhere(~finite)[0])
        raise DataError(
            f"{what} holds {tensor.data[place]} at index {list(place)}; "
            f"{np.count_nonzero(~finite)} of {finite.size} entries are not finite."
        )
