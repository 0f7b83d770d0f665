"""A recurrent cell: one step, written as named equations by the `@cell` decorator."""

from __future__ import annotations

import importlib
import inspect
import linecache
import sys
import traceback
from collections.abc import Callable, Mapping
from html import escape
from pathlib import Path
from typing import Any

import numpy as np

from tinygrad_lstm import python_files
from tinygrad_lstm import sizes as dimensions
from tinygrad_lstm.dead_starts import warn_of_dead_starts
from tinygrad_lstm.declarations import Declarations, Step, check_name
from tinygrad_lstm.errors import (
    CellError,
    DTypeError,
    ShapeError,
    TinygradError,
    TracedError,
    UnknownNameError,
    unknown,
)
from tinygrad_lstm.notebook_html import bundle, table
from tinygrad_lstm.parameters import FILLS, Parameters, check_finite
from tinygrad_lstm.parts import Part, Sized, Tracing, lengths, states_of
from tinygrad_lstm.program import Program, named
from tinygrad_lstm.tensor import Array, Tensor, TensorLike, ancestors, apply, constant
from tinygrad_lstm.text import UNICODE


class Names:
    """Values by name, and no method that a name could meet: `p.count` is the parameter count."""

    __slots__ = ("_values", "_owner", "_missing", "_prefix")
    _empty = "none"

    def __init__(
        self, owner: str, values: Mapping[str, Any], missing: str, prefix: str = ""
    ) -> None:
        object.__setattr__(self, "_owner", owner)
        object.__setattr__(self, "_values", values)
        object.__setattr__(self, "_missing", missing)  # with {owner}, {name}, {known}
        object.__setattr__(self, "_prefix", prefix)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        full = self._prefix + name
        if full in self._values:
            return self._values[full]
        if any(known.startswith(f"{full}.") for known in self._values):  # of a part
            return Names(self._owner, self._values, self._missing, f"{full}.")
        names = [n.removeprefix(self._prefix) for n in self._values if n.startswith(self._prefix)]
        known = ", ".join(names) or self._empty
        raise UnknownNameError(self._missing.format(owner=self._owner, name=name, known=known))

    __getitem__ = __getattr__

    def __setattr__(self, name: str, value: Any) -> None:
        raise CellError(f"a step writes now.NAME alone; {name} cannot be set here.")


class Now(Names):
    """The values of this step: `now.f = …` records the equation f, `now.f` reads it."""

    __slots__ = ()
    _empty = "nothing"

    def __setattr__(self, name: str, value: Any) -> None:
        values, name_here, name = self._values, name, self._prefix + name
        if name in values:
            raise CellError(
                f"{self._owner}: equation {name} is written twice; defined so far: "
                f"{', '.join(values)}.\n  Give the second value a name of its own."
            )
        check_name(name_here)
        if not isinstance(value, Tensor):
            value = constant(value, np.dtype(float))
        if not value.traced:  # of outside: it keeps its own name
            value = apply("identity", value)
        values[name] = named(value, name)

    __setitem__ = __setattr__


_UNWRITTEN = (
    "{owner}: now.{name} is read before it is written; defined so far: {known}.\n  Write its "
    "equation above this line, or use prev.{name} for its value one step earlier, if it is a state."
)
_NO_STATE = (
    "{owner}: {name!r} is not a state, so there is no prev.{name}; the states are {known}.\n"
    '  Add it to state="…" if it is to be carried.'
)
_NO_PARAMETER = "{owner} has no parameter {name!r}; it declares {known}."
_NO_SIZE = "{owner} has no size {name!r}; it has {known}."
_NO_PART = "{owner} has no part {name!r}; it has {known}."


class Cell(Declarations):
    """A recurrent cell, made by the decorator `cell`. `cell.program()` is what every reading uses.

    Attributes: `name`, `state`, `parameters`, `sequences`, `constants` (names with their shapes in
    words), `x` (the shape of one input), `sizes` (their names), `output` (what a layer above reads:
    the equation declared; else h, or the first state where none has that name), `loss` (a scalar
    equation, or None), `noise` (the sequences that are drawn), `start` (start values), `papers`,
    `step` (the author's function, which is called to trace a Program and never again), `doc`.
    """

    def __init__(self, step: Step, **declared: Any) -> None:
        super().__init__(step, **declared)
        self._programs: dict[tuple[tuple[str, int], ...], Program] = {}
        self._inferred: dict[tuple[Any, ...], dict[str, int]] = {}
        self._examined: set[Any] = set()

    def __reduce__(self) -> Any:
        module = sys.modules.get(self.step.__module__)
        names = [name for name, value in vars(module).items() if value is self] if module else []
        if names:
            return _found_again, (self.step.__module__, names[0], "")
        file = self.step.__code__.co_filename
        if self.step.__module__.startswith("cells_of_"):
            return _found_again, (self.step.__module__, self.name, file)
        raise TypeError(
            f"{self} does not pickle: it is pickled by where it is found, and it stands in no "
            f"module under its name.\n  Define it at the top level of a file."
        )

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, str]:
        """What it declares, names of one shape together, then its equations."""
        inputs = {"x": self.x, **self.sequences, **self.constants}
        kinds = {"state": self.state, "input": inputs, "parameter": self.parameters}
        rows = [
            (kind, ", ".join(name for name in shapes if shapes[name] == words), f"({words})")
            for kind, shapes in kinds.items()
            for words in dict.fromkeys(shapes.values())
        ]
        try:
            program = self.program()
            for name in program.equations:
                left, equals, right = program.text(name, UNICODE).partition(" = ")
                rows.append(("equation", left, equals.lstrip() + right))
        except TinygradError as error:  # a cell that is not finished is shown all the same
            rows.append(("error", "", str(error)))
        summary = ": ".join([str(self), *self.doc.splitlines()[:1]])
        text = "\n".join([summary, *(" ".join(filter(None, row)) for row in rows)])
        return bundle(text, f"<p>{escape(summary)}</p>{table(rows)}")

    # --- the step as a Program --------------------------------------------------------------------
    def program(self, **sizes: int) -> Program:
        """One step as a Program, for one sample.

        Its inputs are the states before the step (`prev.h`), `x`, further inputs and parameters;
        its outputs are the states. Without any sizes it is made for small ones, all different.
        """
        full = self.complete(sizes or self.small_sizes())
        key = tuple(full.items())
        if key not in self._programs:
            self._programs[key] = self._trace(full)
        return self._programs[key]

    def _trace(self, sizes: Mapping[str, int]) -> Program:
        shapes, scope = self.shapes(), lengths(sizes)
        inputs = {n: Tensor.input(n, dimensions.shape(w, scope)) for n, w in shapes.items()}
        tracing = Tracing(str(self), "", inputs, {}, scope, [])
        written = self.written(tracing)
        handed_on = self.state or (self._output or next(reversed(written), "")).split()
        outputs = {name: written[name] for name in handed_on}
        static = {*self.parameters, *self.constants}
        inputs = {name: inputs[name] for name in shapes}
        program = Program(self.name, inputs, written, outputs, shapes, sizes, static, tracing.calls)
        for name, words in self.state.items():
            expected = dimensions.shape(words, sizes)
            if written[name].shape != expected:
                raise ShapeError(
                    f"in {self}, equation {program.text(name)}\n  the state {name} is "
                    f"({words}) = {expected}, but this value has shape {written[name].shape}."
                )
        return program

    def written(self, tracing: Tracing) -> dict[str, Tensor]:
        """The equations that the author's function writes, in `tracing.written`."""
        owner, written, values = str(self), tracing.written, tracing.values
        now = Now(owner, written, _UNWRITTEN, tracing.prefix)
        before = {n[5:]: value for n, value in values.items() if n.startswith("prev.")}
        prev = Names(owner, before, _NO_STATE)
        own = {n: value for n, value in values.items() if n not in ("x", *self.extra_inputs)}
        p = Names(owner, {n: v for n, v in own.items() if n[5:] not in before}, _NO_PARAMETER)
        extra_inputs: dict[str, Any] = {name: values[name] for name in self.extra_inputs}
        takes = inspect.signature(self.step).parameters
        if "size" in takes and "size" not in extra_inputs:
            extra_inputs["size"] = Names(owner, tracing.sizes, _NO_SIZE)
        if self.components and "part" not in extra_inputs:
            at_work = {name: Part(name, given, tracing) for name, given in self.components.items()}
            extra_inputs["part"] = Names(owner, at_work, _NO_PART)
        try:
            self._call(now, prev, values["x"], p, extra_inputs)
        except (ShapeError, TracedError) as error:
            place = self._place(error)
            declared = dimensions.declared(self.parameters, place)
            fix = declared if isinstance(error, ShapeError) else ""
            raise type(error)(f"{place}\n  {error}{fix}") from error
        except (TinygradError, KeyboardInterrupt):
            raise
        except BaseException as error:  # exit() too
            raise CellError(f"{self._place(error)}\n  {type(error).__name__}: {error}") from error
        self._check_written(tracing)
        return written

    def _call(self, now: Now, prev: Names, x: Tensor, p: Names, further: dict[str, Any]) -> None:
        self.step(now, prev, x, p, **further)

    def _check_written(self, tracing: Tracing) -> None:
        owner, prefix = str(self), tracing.prefix
        written = {
            name.removeprefix(prefix): node
            for name, node in tracing.written.items()
            if name.startswith(prefix)
        }
        for name in self.state:
            if name not in written:
                raise CellError(
                    f"{owner}: the state {name} is never written; the step defines "
                    f"{', '.join(written) or 'nothing'}.\n  Add an equation now.{name} = …, or "
                    f'take {name} out of state="{" ".join(self.state)}".'
                )
        wanted = [("output", self._output), ("loss", self.loss)]
        for what, several in wanted:
            for name in (several or "").split():
                if name not in written:
                    what = f"{owner}: the {what} {name!r} is never written"
                    raise unknown(what, "the step defines", written)
        if self.loss is not None and written[self.loss].shape:
            raise ShapeError(
                f"{owner}: the loss {self.loss} has shape {written[self.loss].shape}, but it is "
                f"one number a step.\n  Sum it: now.{self.loss} = sum(…)."
            )

    # --- parts ------------------------------------------------------------------------------------
    @property
    def results(self) -> tuple[str, ...]:
        """What it hands on where it is a part."""
        return (self.output,)

    def sized(self, **sizes: str) -> Sized:
        """The cell as a part whose sizes have these lengths of the cell around it, in words."""
        return Sized(self, sizes)

    def _take_parts(self) -> None:
        """Trace the step once, to learn what its parts read and how long that is."""
        for name, given in self.components.items():
            check_name(name)
            if not isinstance(given, Cell | Sized):
                raise CellError(
                    f"{self}: part {name!r} is a cell or a layer, made by @cell or @layer, got "
                    f"{given!r}."
                )
        if not self.components:
            return
        sized = {n: g if isinstance(g, Sized) else Sized(g, {}) for n, g in self.components.items()}
        taken = {name: part.cell for name, part in sized.items()}
        own = dimensions.names({**self.shapes(), **self.derived})
        of_parts = [size for part in sized.values() for size in part.named()]
        every = dict.fromkeys((*own, *of_parts))
        self.sizes = [name for name in every if name not in self.derived]
        self.bounds = {
            n: k for part in taken.values() for n, k in part.bounds.items()
        } | self.bounds
        scope = lengths(self.complete(self.small_sizes()))
        inputs = {n: Tensor.input(n, dimensions.shape(w, scope)) for n, w in self.shapes().items()}
        tracing = Tracing(str(self), "", inputs, {}, scope, [])
        early = states_of(self.components, tracing)
        self.written(tracing)
        for name in [n for n in early if n not in tracing.states]:
            if inputs[f"prev.{name}"] in {*ancestors(tracing.written.values())}:
                states = ", ".join((*self.state, *tracing.states))
                raise UnknownNameError(_NO_STATE.format(owner=self, name=name, known=states))
        self.parameters = {**self.parameters, **tracing.parameters}
        self.state = {**self.state, **tracing.states}
        known = {*self.parameters, *self.state}
        for name, part in taken.items():
            starts = {f"{name}.{n}": value for n, value in part.start.items()}
            self.start = {n: v for n, v in starts.items() if n in known} | self.start
        left = dimensions.names({**self.shapes(), **self.derived})
        self.bounds = {n: k for n, k in self.bounds.items() if n in left or n in own}

    def _place(self, error: BaseException) -> str:
        """The author's line that raised an error: the deepest one in the file of the step."""
        file = self.step.__code__.co_filename
        lines = [f for f in traceback.extract_tb(error.__traceback__) if f.filename == file]
        if not lines:
            return f"in {self}"
        last = lines[-1]
        source = (last.line or linecache.getline(file, last.lineno or 0)).split("#")[0].strip()
        return f"in {self}, {Path(file).name} line {last.lineno}: {source}"

    # --- its parameters ---------------------------------------------------------------------------
    def init(self, seed: int = 0, dtype: Any = np.float64, **sizes: Any) -> Parameters:
        """Fresh parameters: what `start` declares, else matrices uniform in ±1/√columns, vectors 0.

        Sizes are named, as in `lstm.init(inputs=3, hidden=4, seed=0)`. A parameter's name with a
        number or the name of an initialiser fills it: `lstm.init(inputs=3, hidden=4, b_f=1.0)` is
        an LSTM that at first forgets little, σ(1) = 0.73 kept a step and not σ(0) = 0.5, as Gers
        et al. (2000) and Jozefowicz et al. (2015) recommend; `W_f="orthogonal"` is a rotation.
        Initialisers: uniform, zero, one, glorot (Glorot and Bengio 2010: uniform in
        ±√(6 / (rows + columns))), orthogonal (Saxe et al. 2014), identity. The other parameters
        are the same with and without fills.
        """
        if np.dtype(dtype).kind != "f":
            raise DTypeError(f"{self}: parameters are floating-point, got dtype {np.dtype(dtype)}.")
        fills = {name: sizes.pop(name) for name in self.parameters if name in sizes}
        for name in sizes:
            if name not in self.sizes and name not in self.derived:
                have = f"its sizes are {', '.join(self.sizes)}, its parameters"
                raise unknown(f"{self} has no size or parameter {name!r}", have, self.parameters)
        own = {name: self.derived.get(name, name) for name in dimensions.names(self.parameters)}
        full = self.complete(sizes, dimensions.names(own))
        start = {**self.start, **fills}
        random = np.random.default_rng(seed)
        tensors = {}
        for k, (name, words) in enumerate(self.parameters.items()):
            shape = dimensions.shape(words, full)
            bound = shape[-1] ** -0.5 if len(shape) > 1 else 0.0
            array = random.uniform(-bound, bound, shape)  # drawn for all, whatever else is filled
            if name in start:
                array = self._filled(name, start[name], shape, np.random.default_rng([seed, k]))
            tensors[name] = Tensor(array.astype(dtype), name)
        key = tuple(sorted((name, str(value)) for name, value in start.items()))
        if key not in self._examined and self.parameters:
            self._examined.add(key)
            states = {name: f"prev.{name}" for name in self.state}
            inputs = (program := self.program()).inputs
            initial = {n: self.initial(n, inputs[p].shape, float) for n, p in states.items()}
            warn_of_dead_starts(self, program, initial, start, fills)
        return Parameters(tensors, str(self), full)

    def _filled(self, name: str, value: Any, shape: tuple[int, ...], random: Any) -> Array:
        value = self.check_start(name, value, finite=name in self.parameters)
        return np.full(shape, value) if not isinstance(value, str) else FILLS[value](random, shape)

    def initial(self, name: str, shape: tuple[int, ...], dtype: Any) -> Array:
        """What a state starts from where nobody says: `start`, or zeros."""
        random = np.random.default_rng(0)
        value: Array = self._filled(name, self.start.get(name, 0.0), shape, random).astype(dtype)
        return value

    def bind(self, arrays: Mapping[str, TensorLike], **sizes: int) -> Parameters:
        """Parameters from arrays, by name; names and shapes are checked and sizes inferred."""
        if not isinstance(arrays, Mapping):
            raise DTypeError(
                f"{self}: parameters are a mapping of names to arrays, got "
                f"{type(arrays).__name__}; make fresh ones with init."
            )
        strange = ", ".join(name for name in arrays if name not in self.parameters)
        missing = [name for name in self.parameters if name not in arrays]
        if strange or missing:
            problems = [f"no parameter is called {strange}"] * bool(strange)
            are = "is" if len(missing) == 1 else "are"
            problems += [f"{', '.join(missing)} {are} missing"] * bool(missing)
            what = f"{self}: {' and '.join(problems)}"
            raise unknown(what, "the parameters are", self.parameters)
        tensors = {}
        for name in self.parameters:
            value: Any = arrays[name]
            if not isinstance(value, Tensor):
                value = np.asarray(value)
                if value.dtype.kind not in "fc":
                    raise DTypeError(
                        f"{self}: parameter {name} holds {value.dtype}, but floating-point "
                        f"numbers are needed.\n  Write {name}.astype(float)."
                    )
                value = Tensor(value, name)
            check_finite(f"{self}: parameter {name}", value)
            tensors[name] = value
        inferred = self.infer_sizes(tensors, sizes)
        for name, n in inferred.items():
            self.check_size(name, n)
        for name, n in sizes.items():
            if inferred.get(name, n) != n:
                raise ShapeError(f"{self}: the arrays give {name}={inferred[name]}, not {n}.")
        return Parameters(tensors, str(self), inferred)

    def infer_sizes(
        self, parameters: Mapping[str, Any], given: Mapping[str, int] | None = None
    ) -> dict[str, int]:
        """The sizes that the shapes of parameters imply, and those they were made with."""
        given = given or (parameters.sizes if isinstance(parameters, Parameters) else {})
        shapes = {name: tuple(parameters[name].shape) for name in self.parameters}
        key = (*shapes.values(), tuple(given.items()))
        if key not in self._inferred:
            self._inferred[key] = dimensions.infer(
                self.parameters, shapes, str(self), self.derived, given
            )
        return dict(self._inferred[key])


def cell(
    *,
    state: str | Mapping[str, str],
    parameters: Mapping[str, str] | None = None,
    papers: list[str] | tuple[str, ...] = (),
    x: str = "inputs",
    sequences: Mapping[str, str] | None = None,
    constants: Mapping[str, str] | None = None,
    start: Mapping[str, Any] | None = None,
    output: str | None = None,
    loss: str | None = None,
    noise: Mapping[str, str] | None = None,
    sizes: Mapping[str, str] | None = None,
    parts: Mapping[str, Cell | Sized] | None = None,
) -> Callable[[Step], Cell]:
    """Make a Cell of a function `step(now, prev, x, p)` that writes one step's equations.

    They are written for one sample; `unroll` carries them out on batches. The function is called
    to record them, once for given sizes, and never while it runs.

    state: the names that are carried from step to step, each of shape (hidden,), as in "h C"; a
    mapping gives them other shapes. parameters: names and their shapes in words, as in
    {"W_f W_i": "hidden, hidden + inputs", "b_f b_i": "hidden"}; several names may share a shape.
    x: the shape of one input, `"inputs"` unless told. sequences, constants: further inputs of the
    step (masks, clocks, memories), keyword arguments of the function by the same names; those of
    `sequences` have a value for each time step. papers: where the equations are from.

    start: what parameters and states start from, numbers or initialisers (`Cell.init`), as in
    {"s_i s_f": 1, "W_h": "orthogonal", "n": 1}. output: the equation that a layer above reads.
    loss: a scalar equation; a run's loss is its sum over the steps, mean over the batch. noise:
    sequences that are drawn from N(0, 1) where they are not given. sizes: bounds and sizes that
    others determine, as in {"patch": "at least 2", "glimpse": "2 * patch * patch"}. A step that
    has an argument `size` gets the sizes by name: `size.hidden`. parts: cells and layers at work
    inside the step, which has an argument `part` for them, see `parts.py`.
    """
    declared = locals()  # the arguments, and nothing else yet
    return lambda step: Cell(step, **declared)


class Layer(Cell):
    """A cell without state, made by the decorator `layer`: a part of other cells."""

    least_states = 0

    @property
    def output(self) -> str:
        """The first equation declared as output, the last one written unless told."""
        return self.results[0]

    @property
    def results(self) -> tuple[str, ...]:
        """The equations declared as output, the last one written unless told."""
        return tuple(self.program().outputs)

    def _call(self, now: Now, prev: Names, x: Tensor, p: Names, further: dict[str, Any]) -> None:
        self.step(now, x, p, **further)

    def __str__(self) -> str:
        return f"layer {self.name!r}"

    __repr__ = __str__


def layer(
    *,
    x: str = "inputs",
    parameters: Mapping[str, str] | None = None,
    papers: list[str] | tuple[str, ...] = (),
    constants: Mapping[str, str] | None = None,
    start: Mapping[str, Any] | None = None,
    output: str | None = None,
    sizes: Mapping[str, str] | None = None,
    parts: Mapping[str, Cell | Sized] | None = None,
) -> Callable[[Step], Layer]:
    """Make a Layer, a cell without state, of a function `step(now, x, p)`; it is a part of cells.

    output: the equations that it hands on, as in "mu sigma"; the last one written unless told. The
    other arguments are those of `cell`.
    """
    declared = locals()
    return lambda step: Layer(step, state={}, **declared)


# --- cells by where they are found ----------------------------------------------------------------
def _found_again(module: str, name: str, file: str) -> Cell:
    """The cell that was pickled: of a module that can be imported, or of its file."""
    found = python_files.run(Path(file)) if file else vars(importlib.import_module(module))
    cell = found.get(name)
    if not isinstance(cell, Cell):
        raise CellError(f"{file or module} has no cell {name!r} any more, which was pickled.")
    return cell
