"""A recurrent cell: one step, written as named equations by the `@cell` decorator."""

from __future__ import annotations

import importlib
import inspect
import keyword
import linecache
import sys
import traceback
import unicodedata
import warnings
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from tinygrad_lstm import sizes as dimensions
from tinygrad_lstm.errors import (
    CellError,
    DataError,
    DTypeError,
    ShapeError,
    TinygradError,
    TracedError,
    UnknownNameError,
)
from tinygrad_lstm.notebook_html import listing
from tinygrad_lstm.parameters import FILLS, Parameters, check_finite, dead_starts
from tinygrad_lstm.program import Program, named
from tinygrad_lstm.tensor import Array, Tensor, apply, constant

Step = Callable[..., None]


class Names:
    """Values by name, and no method that a name could meet: `p.count` is the parameter count."""

    __slots__ = ("_values", "_missing")

    def __init__(self, values: Mapping[str, Any], missing: Callable[[str], str]) -> None:
        object.__setattr__(self, "_values", values)
        object.__setattr__(self, "_missing", missing)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        if name not in self._values:
            raise UnknownNameError(self._missing(name))
        return self._values[name]

    __getitem__ = __getattr__

    def __setattr__(self, name: str, value: Any) -> None:
        raise CellError(f"a step writes now.NAME alone; {name} cannot be set here.")


class Now(Names):
    """The values of this step: `now.f = …` records the equation f, `now.f` reads it."""

    __slots__ = ("_owner",)

    def __init__(self, owner: str) -> None:
        super().__init__({}, self._unwritten)
        object.__setattr__(self, "_owner", owner)

    def _unwritten(self, name: str) -> str:
        return (
            f"{self._owner}: now.{name} is read before it is written; defined so far: "
            f"{', '.join(self._values) or 'nothing'}.\n  Write its equation above this line, or "
            f"use prev.{name} for its value one step earlier, if it is a state."
        )

    def __setattr__(self, name: str, value: Any) -> None:
        values = self._values
        if name in values:
            raise CellError(
                f"{self._owner}: equation {name} is written twice; defined so far: "
                f"{', '.join(values)}.\n  Give the second value a name of its own."
            )
        _check_name(name)
        if not isinstance(value, Tensor):
            value = constant(value, np.dtype(float))
        if not value.traced:  # of outside: it keeps its own name
            value = apply("identity", value)
        values[name] = named(value, name)

    __setitem__ = __setattr__


class Cell:
    """A recurrent cell, made by the decorator `cell`. `cell.program()` is what every reading uses.

    Attributes: `name`, `state`, `parameters`, `sequences`, `constants` (names with their shapes in
    words), `x` (the shape of one input), `sizes` (their names), `output` (what a layer above reads:
    the equation declared; else h, or the first state where none has that name), `loss` (a scalar
    equation, or None), `noise` (the sequences that are drawn), `start` (start values), `papers`,
    `step` (the author's function, which is called to trace a Program and never again), `doc`.
    """

    def __init__(
        self,
        step: Step,
        state: Mapping[str, str],
        parameters: Mapping[str, str],
        x: str,
        sequences: Mapping[str, str],
        constants: Mapping[str, str],
        papers: tuple[str, ...],
        *,
        start: Mapping[str, Any] | None = None,
        output: str | None = None,
        loss: str | None = None,
        noise: Mapping[str, str] | None = None,
        sizes: Mapping[str, str] | None = None,
    ) -> None:
        self.step, self.state, self.parameters, self.x = step, state, parameters, x
        self.noise = noise or {}
        self.sequences, self.constants = {**sequences, **self.noise}, constants
        self.papers, sizes = papers, sizes or {}
        self.name = step.__name__
        self.doc = self.__doc__ = (step.__doc__ or "").strip()
        self.bounds = {n: least for n, words in sizes.items() if (least := dimensions.bound(words))}
        self.derived = {n: words for n, words in sizes.items() if n not in self.bounds}
        declared = [*state, *parameters, *sequences, *self.noise, *constants]
        self._programs: dict[tuple[tuple[str, int], ...], Program] = {}
        self._inferred: dict[tuple[tuple[int, ...], ...], dict[str, int]] = {}
        self._examined: set[Any] = set()
        every = dimensions.names({**self._shapes(), **self.derived})
        self.sizes = [name for name in every if name not in self.derived]
        self._check_names(declared, every, sizes)
        self.complete(self.small_sizes())
        self.start = dict(start or {})
        for name, value in self.start.items():
            if name not in parameters and name not in state:
                raise UnknownNameError(
                    f"{self}: start names {name!r}, which is neither a parameter "
                    f"({', '.join(parameters) or 'none'}) nor a state ({', '.join(state)})."
                )
            self._fill(name, value, finite=name in parameters)
        self.loss = loss
        self.output: str = output or ("h" if "h" in state else next(iter(state)))

    def _check_names(
        self, declared: list[str], sizes: list[str], written: Mapping[str, str]
    ) -> None:
        step_takes = list(inspect.signature(self.step).parameters)[:4]
        for name in declared:
            if declared.count(name) > 1:
                raise CellError(f"{self}: {name!r} is declared twice.")
            if name in sizes and name in self.parameters:
                raise CellError(f"{self}: {name!r} is a parameter and a size; rename one of them.")
            if name in ("x", "prev") and name not in self.state:
                raise CellError(f"{self}: {name!r} is the step's own {name}; choose another name.")
        for name in (*self.sequences, *self.constants):
            if name in _TAKEN or name in step_takes:
                raise CellError(
                    f"{self}: a further input cannot be called {name!r}, which is an argument of "
                    f"{'the step' if name in step_takes else 'unroll'}; choose another name."
                )
        takes = inspect.signature(self.step).parameters
        lacks = [name for name in (*self.sequences, *self.constants) if name not in takes]
        if lacks and not any(p.kind is p.VAR_KEYWORD for p in takes.values()):
            raise CellError(
                f"{self}: the step does not take {', '.join(lacks)}; write "
                f"def {self.name}({', '.join([*takes, *lacks])})."
            )
        for name in written:
            if name not in sizes:
                raise UnknownNameError(
                    f"{self}: sizes speaks of {name!r}, which no shape names; the sizes are "
                    f"{', '.join(sizes)}."
                )

    def __str__(self) -> str:
        return f"cell {self.name!r}"

    __repr__ = __str__

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
        return listing(self)

    @property
    def extra_inputs(self) -> list[str]:
        """The names of the further inputs, sequences and constants."""
        return [*self.sequences, *self.constants]

    def _shapes(self) -> dict[str, str]:
        """Every input of the step with its shape in words, in the order of a Program's inputs."""
        previous = {f"prev.{name}": words for name, words in self.state.items()}
        return {**previous, "x": self.x, **self.sequences, **self.constants, **self.parameters}

    def complete(
        self, given: Mapping[str, float], needed: Collection[str] | None = None
    ) -> dict[str, int]:
        """Every size, those that others determine too, from the ones that are free; checked.

        `needed`: which must be given, all of them unless told.
        """
        known = [*self.sizes, *self.derived]
        for name, n in given.items():
            if name not in known:
                raise UnknownNameError(
                    f"{self} has no size {name!r}; its sizes are {', '.join(known) or 'none'}."
                )
            self._check_size(name, n)
        wanted = self.sizes if needed is None else needed
        missing = [name for name in self.sizes if name not in given and name in wanted]
        if missing:
            raise ShapeError(
                f"{self} needs {', '.join(f'{m}=…' for m in missing)}: "
                f"its sizes are {', '.join(self.sizes)}."
            )
        found = {name: int(given[name]) for name in self.sizes if name in given}
        for _ in self.derived:  # one may depend on another
            for name, words in self.derived.items():
                (axis,) = dimensions.parse(words)
                if all(n in found for n in dimensions.names_in(axis)):
                    found[name] = dimensions.value(axis, found)
        left = [name for name in self.derived if name not in found]
        if left and needed is None:
            raise CellError(f"{self}: the sizes {', '.join(left)} depend on one another.")
        for name, n in given.items():
            if found.get(name, n) != n:
                raise ShapeError(
                    f"{self}: {name} is {self.derived[name]} = {found[name]} here, not {n}."
                )
        return found

    def _check_size(self, name: str, n: Any) -> None:
        least = self.bounds.get(name, 1)
        if not isinstance(n, int | np.integer) or isinstance(n, bool) or n < least:
            raise ShapeError(
                f"{self}: {name} must be a whole number of at least {least}, got {n!r}."
            )

    def small_sizes(self) -> dict[str, int]:
        """Small sizes, all different, for a Program to look at."""
        return {name: max(3, self.bounds.get(name, 1)) + k for k, name in enumerate(self.sizes)}

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
        shapes = self._shapes()
        inputs = {
            name: Tensor.input(name, dimensions.shape(words, sizes))
            for name, words in shapes.items()
        }
        written = self._written(inputs, sizes)
        static = {*self.parameters, *self.constants}
        outline = Program(self.name, inputs, written, {}, shapes, sizes, static)
        for name, words in self.state.items():
            expected = dimensions.shape(words, sizes)
            if written[name].shape != expected:
                raise ShapeError(
                    f"in {self}, equation {outline.text(name)}\n  the state {name} is "
                    f"({words}) = {expected}, but this value has shape {written[name].shape}."
                )
        outline.outputs = {name: written[name] for name in self.state}
        return outline

    def _written(self, values: Mapping[str, Any], sizes: Mapping[str, int]) -> dict[str, Tensor]:
        """The equations that the author's function writes for these inputs."""
        owner = str(self)
        now = Now(owner)
        prev = Names(
            {name: values[f"prev.{name}"] for name in self.state},
            lambda name: (
                f"{owner}: {name!r} is not a state, so there is no prev.{name}; the states are "
                f'{", ".join(self.state)}.\n  Add it to state="…" if it is to be carried.'
            ),
        )
        p = Names(
            {name: values[name] for name in self.parameters},
            lambda name: (
                f"{owner} has no parameter {name!r}; it declares "
                f"{', '.join(self.parameters) or 'none'}."
            ),
        )
        further = {name: values[name] for name in (*self.sequences, *self.constants)}
        if "size" in inspect.signature(self.step).parameters and "size" not in further:
            known = {name: dimensions.Size(n, {(name,): 1}) for name, n in sizes.items()}
            further["size"] = Names(
                known, lambda name: f"{owner} has no size {name!r}; it has {', '.join(known)}."
            )
        try:
            self.step(now, prev, values["x"], p, **further)
        except (ShapeError, TracedError) as error:
            place = self._place(error)
            declared = dimensions.declared(self.parameters, place)
            fix = declared if isinstance(error, ShapeError) else ""
            raise type(error)(f"{place}\n  {error}{fix}") from error
        except (TinygradError, KeyboardInterrupt):
            raise
        except BaseException as error:  # exit() too
            raise CellError(f"{self._place(error)}\n  {type(error).__name__}: {error}") from error
        written: dict[str, Tensor] = now._values
        for name in self.state:
            if name not in written:
                raise CellError(
                    f"{owner}: the state {name} is never written; the step defines "
                    f"{', '.join(written) or 'nothing'}.\n  Add an equation now.{name} = …, or "
                    f'take {name} out of state="{" ".join(self.state)}".'
                )
        for what, wanted in (("output", self.output), ("loss", self.loss)):
            if wanted is not None and wanted not in written:
                raise UnknownNameError(
                    f"{owner}: the {what} {wanted!r} is never written; the step defines "
                    f"{', '.join(written)}."
                )
        if self.loss is not None and written[self.loss].shape:
            raise ShapeError(
                f"{owner}: the loss {self.loss} has shape {written[self.loss].shape}, but it is "
                f"one number a step.\n  Sum it: now.{self.loss} = sum(…)."
            )
        return written

    def _place(self, error: BaseException) -> str:
        """The author's line that raised an error: the deepest one in the file of the step."""
        file = self.step.__code__.co_filename
        lines = [f for f in traceback.extract_tb(error.__traceback__) if f.filename == file]
        if not lines:
            return f"in {self}"
        last = lines[-1]
        source = (last.line or linecache.getline(file, last.lineno or 0)).split("#")[0].strip()
        return f"in {self}, {Path(file).name} line {last.lineno}: {source}"

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
                raise UnknownNameError(
                    f"{self} has no size or parameter {name!r}; its sizes are "
                    f"{', '.join(self.sizes)}, its parameters "
                    f"{', '.join(self.parameters) or 'none'}."
                )
        own = {name: self.derived.get(name, name) for name in dimensions.names(self.parameters)}
        full = self.complete(sizes, dimensions.names(own))
        start = {**self.start, **fills}
        random = np.random.default_rng(seed)
        tensors = {}
        for name, words in self.parameters.items():
            shape = dimensions.shape(words, full)
            bound = shape[-1] ** -0.5 if len(shape) > 1 else 0.0
            array = random.uniform(-bound, bound, shape)
            if name in start:
                array = self._filled(name, start[name], shape, seed)
            tensors[name] = Tensor(array.astype(dtype), name)
        self._say_what_cannot_learn(start, fills)
        return Parameters(tensors, str(self), full)

    def _fill(self, name: str, value: Any, finite: bool = True) -> Any:
        """A start value, checked: the name of an initialiser, or a number."""
        if isinstance(value, str):
            words = self.parameters.get(name) or self.state.get(name, "")
            if value in ("orthogonal", "identity", "glorot") and len(dimensions.parse(words)) < 2:
                raise ShapeError(f"{self}: {name} is ({words}); {value} is for matrices.")
            if value in FILLS:
                return value
            raise UnknownNameError(
                f"{self}: {name} cannot start as {value!r}; write a number or one of "
                f"{', '.join(FILLS)}."
            )
        real = isinstance(value, int | float | np.integer | np.floating)
        if (
            not real
            or isinstance(value, bool)
            or not (np.isfinite(value) if finite else value == value)
        ):
            fix = f"exchange it afterwards: p.replace({{{name!r}: array}})"
            if name in self.state:
                fix = f"pass it to unroll: initial={{{name!r}: array}}"
            raise DataError(
                f"{self}: {name} is filled with one {'finite ' * finite}number, got {value!r}.\n"
                f"  For an array, {fix}."
            )
        return float(value)

    def _filled(self, name: str, value: Any, shape: tuple[int, ...], seed: int) -> Array:
        value = self._fill(name, value)
        if not isinstance(value, str):
            return np.full(shape, value)
        own = np.random.default_rng([seed, list(self.parameters).index(name)])
        return np.asarray(FILLS[value](own, shape))

    def initial(self, name: str, shape: tuple[int, ...], dtype: Any) -> Array:
        """What a state starts from where nobody says: `start`, or zeros."""
        value = self._fill(name, self.start.get(name, 0.0), finite=False)
        if isinstance(value, str):
            return np.asarray(FILLS[value](np.random.default_rng(0), shape), dtype)
        return np.full(shape, value, dtype)

    def _say_what_cannot_learn(self, start: Mapping[str, Any], fills: Mapping[str, Any]) -> None:
        """Warn of start values with which gradients stay 0, so that nothing is ever learned."""
        key = tuple(sorted((name, str(value)) for name, value in start.items()))
        if key in self._examined or not self.parameters:
            return
        self._examined.add(key)
        fixed = {
            name: float(start.get(name, 0.0))
            for name, words in self.parameters.items()
            if name in start
            and not isinstance(start[name], str)
            or name not in start
            and len(dimensions.parse(words)) < 2
        }
        program = self.program()
        initial = {
            name: self.initial(name, program.inputs[f"prev.{name}"].shape, float)
            for name in self.state
        }
        dead, stuck = dead_starts(
            program, initial, self.loss or self.output, fixed, self.parameters, fills
        )
        if dead:
            warnings.warn(
                f"{self}: {', '.join(stuck)} cannot learn from {', '.join(dead)} = "
                f"{fixed[dead[0]]:g}: at this start the gradient stays 0.\n"
                f'  Declare another start: @cell(start={{"{" ".join(dead)}": 1}}), or '
                f"init({', '.join(f'{name}=1.0' for name in dead)}).",
                stacklevel=3,
            )

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
            if not isinstance(value, Tensor) and np.asarray(value).dtype.kind not in "fc":
                raise DTypeError(
                    f"{self}: parameter {name} holds {np.asarray(value).dtype}, but floating-point "
                    f"numbers are needed.\n  Write {name}.astype(float)."
                )
            tensors[name] = value if isinstance(value, Tensor) else Tensor(value, name)
            check_finite(f"{self}: parameter {name}", tensors[name])
        found = self.infer_sizes(tensors, sizes)
        for name, n in found.items():
            self._check_size(name, n)
        for name, n in sizes.items():
            if found.get(name, n) != n:
                raise ShapeError(f"{self}: the arrays give {name}={found[name]}, not {n}.")
        return Parameters(tensors, str(self), found)

    def infer_sizes(
        self, parameters: Mapping[str, Any], given: Mapping[str, int] | None = None
    ) -> dict[str, int]:
        """The sizes that the shapes of parameters imply, and those they were made with."""
        given = given or parameters.sizes if isinstance(parameters, Parameters) else {}
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
    has an argument `size` gets the sizes by name: `size.hidden`.
    """
    if not isinstance(state, str | Mapping):
        raise CellError(f'state is a string of names, as in "h C", or a mapping, got {state!r}.')
    states = _spread(state if isinstance(state, Mapping) else {state: "hidden"})
    if not states:
        raise CellError('a cell needs at least one state: @cell(state="h", …).')
    for what, given in (
        ("parameters", parameters),
        ("sequences", sequences),
        ("constants", constants),
        ("start", start),
        ("noise", noise),
        ("sizes", sizes),
    ):
        if not isinstance(given, Mapping | None):
            raise CellError(f'{what} is a mapping, as in {what}={{"NAME": …}}, got {given!r}.')
    for what, name in (("output", output), ("loss", loss)):
        if not isinstance(name, str | None):
            raise CellError(f"{what} is the name of an equation, got {name!r}.")
    for several, words in (sizes or {}).items():
        if not isinstance(words, str) or not dimensions.is_size(words):
            raise CellError(
                f"cannot read the size {several!r}: {words!r}.\n"
                f"  Write a bound, 'at least 2', or what determines it, '2 * hidden + 1'."
            )

    def decorate(step: Step) -> Cell:
        return Cell(
            step,
            states,
            _spread(parameters or {}),
            x,
            _spread(sequences or {}),
            _spread(constants or {}),
            tuple(papers),
            start=_each(start or {}),
            output=output,
            loss=loss,
            noise=_spread(noise or {}),
            sizes=_each(sizes or {}),
        )

    return decorate


# the names of unroll's own arguments
_TAKEN = ("network", "p", "xs", "initial", "lengths", "reverse", "seed", "now", "prev", "x")


def _each(several: Mapping[str, Any]) -> dict[str, Any]:
    """{"a b": value} as {"a": value, "b": value}."""
    return {name: value for names, value in several.items() for name in _names(names)}


def _names(several: str) -> list[str]:
    """The names in a text, as Python reads them: p.Wᵢ is p.Wi to it."""
    return unicodedata.normalize("NFKC", several).split()


def _spread(declarations: Mapping[str, str]) -> dict[str, str]:
    """{"a b": shape} as {"a": shape, "b": shape}, with readable errors."""
    spread: dict[str, str] = {}
    for several, words in declarations.items():
        if not isinstance(words, str):
            raise CellError(
                f"the shape of {several!r} is written in words, as 'hidden, hidden + inputs', "
                f"got {words!r}."
            )
        dimensions.parse(words)
        for name in _names(several):
            _check_name(name)
            if name in spread:
                raise CellError(f"{name!r} is declared twice.")
            spread[name] = words
    return spread


def _check_name(name: str) -> None:
    if not name.isidentifier() or name.startswith("_") or keyword.iskeyword(name):
        fix = f"write {name}_" if keyword.iskeyword(name) else "use letters, digits and _"
        fix += ", a letter first" if name.startswith("_") else ""
        raise CellError(f"{name!r} cannot be a name in a cell; {fix}.")


# --- cells by where they are found ----------------------------------------------------------------
def _found_again(module: str, name: str, file: str) -> Cell:
    """The cell that was pickled: of a module that can be imported, or of its file."""
    from tinygrad_lstm import cell_files

    found: Mapping[str, Any] = (
        cell_files.load(Path(file)) if file else vars(importlib.import_module(module))
    )
    cell = found.get(name)
    if not isinstance(cell, Cell):
        raise CellError(f"{file or module} has no cell {name!r} any more, which was pickled.")
    return cell
