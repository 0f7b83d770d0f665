"""A recurrent cell: one step, written as named equations by the `@cell` decorator."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Collection, Mapping
from html import escape
from pathlib import Path
from typing import Any

import numpy as np

from tinygrad_lstm import python_files
from tinygrad_lstm import sizes as dimensions
from tinygrad_lstm.dead_starts import warn_of_dead_starts
from tinygrad_lstm.declarations import Declarations, Step, check_name
from tinygrad_lstm.errors import CellError, DTypeError, ShapeError, TinygradError, unknown
from tinygrad_lstm.notebook_html import bundle, table
from tinygrad_lstm.parameters import FILLS, Parameters, check_finite, generator
from tinygrad_lstm.parts import Sized, Tracing, lengths, take_parts
from tinygrad_lstm.program import Program
from tinygrad_lstm.tensor import Array, Tensor, TensorLike
from tinygrad_lstm.text import UNICODE
from tinygrad_lstm.tracing import write_equations


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
        self._declared, self._varied = declared, False
        self._programs: dict[tuple[tuple[str, int], ...], Program] = {}
        self._inferred: dict[tuple[Any, ...], dict[str, int]] = {}
        self._examined: set[Any] = set()
        self.prepared: dict[Any, Any] = {}  # what `sequence_inputs.prepare` found, by shapes

    def __reduce__(self) -> Any:
        module = sys.modules.get(self.step.__module__)
        names = [name for name, value in vars(module).items() if value is self] if module else []
        if names:
            return _found_again, (self.step.__module__, names[0], "")
        for where, module in list(sys.modules.items()):  # made of another: otherwise, with_parts
            if getattr(module, "__dict__", {}).get(self.name) is self:
                return _found_again, (where, self.name, "")
        file = self.step.__code__.co_filename
        if self.step.__module__.startswith("cells_of_") and not self._varied:
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

    @staticmethod
    def of(program: Program, **declared: Any) -> Cell:
        """The cell whose step is a Program: `Cell.of(lstm.program(inputs=3, hidden=4))`.

        Its states are the Program's outputs, which it finds as the inputs `prev.NAME`; `x` is its
        input, what is `static` its parameters, all else its sequences. It has the Program's sizes
        and no others. declared: `name`, and as in `cell` `output`, `loss`, `start` and `papers`;
        `constants` and `noise` are the names of those inputs that are such. CellError says what a
        Program lacks that is to be a step.
        """
        return _OfProgram(program, **declared)

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
        handed_on = self.state or (self.declared_output or next(reversed(written), "")).split()
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
        """The equations of a step that is being traced, the author's function called for them."""
        return write_equations(self, tracing)

    # --- as a part, and its own parts -------------------------------------------------------------
    def sized(self, **sizes: str) -> Sized:
        """The cell as a part whose sizes have these lengths of the cell around it, in words."""
        return Sized(self, sizes)

    def with_parts(self, **parts: Cell | Sized) -> Cell:
        """The same listing with other cells or layers at work in it: `vrnn.with_parts(rnn=gru)`.

        CellError names what is no part of it; what does not fit in is said as for any part.
        """
        for name in parts:
            if name not in self.components:
                raise unknown(f"{self} has no part {name!r}", "its parts are", self.components)
        made = type(self)(self.step, **{**self._declared, "parts": {**self.components, **parts}})
        made._varied = True
        return made

    def _take_parts(self) -> None:
        """Trace the step once, to learn what its parts read and how long that is."""
        for name, given in self.components.items():
            check_name(name)
            if not isinstance(given, Cell | Sized):
                raise CellError(
                    f"{self}: part {name!r} is a cell or a layer, made by @cell or @layer, got "
                    f"{given!r}."
                )
        if self.components:
            take_parts(self)

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
        random = generator(str(self), seed, dtype)
        fills = {name: sizes.pop(name) for name in self.parameters if name in sizes}
        for name in sizes:
            if name not in self.sizes and name not in self.derived:
                have = f"its sizes are {', '.join(self.sizes)}, its parameters"
                raise unknown(f"{self} has no size or parameter {name!r}", have, self.parameters)
        own = {name: self.derived.get(name, name) for name in dimensions.names(self.parameters)}
        full = self.complete(sizes, dimensions.names(own))
        start = {**self.start, **fills}
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
            if name not in (known := [*self.sizes, *self.derived]):
                raise unknown(f"{self} has no size {name!r}", "its sizes are", known)
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
    axes: Mapping[str, str] | None = None,
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
    inside the step, which has an argument `part` for them, see `parts.py`. axes: of a block of a
    `grid` the states that move along each axis, {"right": "h_1 m_1", "down": "h_2 m_2"}.
    """
    declared = locals()  # the arguments, and nothing else yet
    return lambda step: Cell(step, **declared)


class _OfProgram(Cell):
    """A cell that nobody wrote as a function: its step is a Program, of one set of sizes."""

    def __init__(
        self,
        program: Program,
        *,
        name: str | None = None,
        output: str | None = None,
        loss: str | None = None,
        start: Mapping[str, Any] | None = None,
        constants: Collection[str] = (),
        noise: Collection[str] = (),
        papers: Collection[str] = (),
    ) -> None:
        self.name, self.papers, self.loss = name or program.name, tuple(papers), loss
        self.step = _unwritten
        self.doc = self.__doc__ = f"The step of {program.name}, as a Program."
        self._program, self._examined, self.prepared = program, set(), {}
        own = {f"prev.{state}" for state in program.outputs}
        inputs = [n for n in program.inputs if n not in own and n != "x"]
        static = set(inputs) if program.static is None else program.static
        self._check(own, {"constants": (constants, inputs), "noise": (noise, inputs)})
        self.x = self._words("x")
        self.state = {state: self._words(f"prev.{state}") for state in program.outputs}
        words = {n: self._words(n) for n in inputs}
        self.constants = {n: words[n] for n in constants}
        self.parameters = {n: words[n] for n in inputs if n in static and n not in constants}
        self.noise = {n: words[n] for n in noise}
        known = {*self.constants, *self.parameters}
        self.sequences = {n: words[n] for n in inputs if n not in known}
        self.sizes, self.derived, self.bounds = list(program.sizes), {}, {}
        self.declared_output, self.components = output, {}
        self._check(
            own,
            {w: ([n], program.equations) for w in ("output", "loss") if (n := getattr(self, w))},
        )
        if loss and program.equations[loss].shape:
            raise ShapeError(f"{self}: the loss {loss} is no number, but {program.text(loss)}.")
        self.start = {
            n: self.check_start(n, v, n in self.parameters) for n, v in (start or {}).items()
        }
        self._check(own, {"start": (self.start, {**self.parameters, **self.state})})

    def _check(
        self, previous: set[str], named: Mapping[str, tuple[Collection[str], Collection[str]]]
    ) -> None:
        program = self._program
        if not program.outputs or not {"x", *previous} <= {*program.inputs}:
            wanted = ", ".join(["x", *previous]) if previous else "an output, its state"
            raise CellError(f"{program.name} is no step of a cell, which has {wanted}.")
        for state, node in program.outputs.items():
            own = program.inputs[f"prev.{state}"].shape
            if state not in program.equations or node.shape != own:
                raise CellError(f"{program.name}: the state {state} needs an equation of {own}.")
        for what, (names, known) in named.items():
            for name in (name for name in names if name not in known):
                said = f"{self}: {what} names {name!r}, which is not there"
                raise unknown(said, "there are", known)

    def _words(self, name: str) -> str:
        """The shape of an input in words, or in numbers where they do not tell it."""
        program, shape = self._program, self._program.inputs[name].shape
        words = program.dimensions.get(name, "")
        known = set(dimensions.names({name: words})) <= {*program.sizes}
        fit = known and dimensions.shape(words, program.sizes) == shape
        return words if fit else ", ".join(map(str, map(int, shape)))

    def __reduce__(self) -> Any:
        raise TypeError(f"{self} does not pickle: it was made of a Program. Make it there again.")

    def complete(
        self, given: Mapping[str, float], needed: Collection[str] | None = None
    ) -> dict[str, int]:
        """The sizes of the Program, which are all that there are."""
        own = self._program.sizes
        full = super().complete({**own, **given}, needed)
        if full != own:
            have = ", ".join(f"{name}={n}" for name, n in own.items())
            raise ShapeError(f"{self} was made of a Program with {have}; it has no other sizes.")
        return full

    def small_sizes(self) -> dict[str, int]:
        """The sizes of the Program."""
        return dict(self._program.sizes)

    def infer_sizes(
        self, parameters: Mapping[str, Any], given: Mapping[str, int] | None = None
    ) -> dict[str, int]:
        """The sizes of the Program, once the shapes of parameters are found to be its own."""
        for name in self.parameters:
            node, shape = self._program.inputs[name], tuple(parameters[name].shape)
            if shape != node.shape:
                raise ShapeError(
                    f"{self}: {name} has shape {shape}, but it is {self._program.shape_text(node)}."
                )
        return self.complete(given or {})

    def program(self, **sizes: int) -> Program:
        """The Program itself."""
        self.complete(sizes)
        return self._program


def _unwritten(*given: Any, **further: Any) -> None:
    raise CellError("the step of a cell that was made of a Program is that Program.")


# --- cells by where they are found ----------------------------------------------------------------
def _found_again(module: str, name: str, file: str) -> Cell:
    """The cell that was pickled: of a module that can be imported, or of its file."""
    found = python_files.run(Path(file)) if file else vars(importlib.import_module(module))
    cell = found.get(name)
    if not isinstance(cell, Cell):
        raise CellError(f"{file or module} has no cell {name!r} any more, which was pickled.")
    return cell
