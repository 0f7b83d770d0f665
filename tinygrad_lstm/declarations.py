"""What `@cell` declares, read and checked: names with shapes in words, starts, bounds of sizes."""

from __future__ import annotations

import inspect
import keyword
import unicodedata
from collections.abc import Callable, Collection, Mapping
from typing import Any

import numpy as np

from tinygrad_lstm import sizes as dimensions
from tinygrad_lstm.errors import CellError, DataError, ShapeError, UnknownNameError, unknown
from tinygrad_lstm.parameters import FILLS
from tinygrad_lstm.tensor import Tensor

Step = Callable[..., None]
_MAPPINGS = ("parameters", "sequences", "constants", "noise", "start", "sizes", "parts")
# the names of unroll's own arguments
TAKEN = ("network", "p", "xs", "initial", "lengths", "reverse", "seed", "now", "prev", "x")


class Declarations:
    """What the decorator `cell` is given; the attributes are those of a `Cell`."""

    least_states = 1

    def __init__(self, step: Step, state: str | Mapping[str, str], **declared: Any) -> None:
        self.step, self.name = step, step.__name__
        self.papers, self.x = tuple(declared.get("papers", ())), declared.get("x", "inputs")
        self.doc = self.__doc__ = (step.__doc__ or "").strip()
        if not isinstance(state, str | Mapping):
            raise CellError(
                f'state is a string of names, as in "h C", or a mapping, got {state!r}.'
            )
        self.axes, state = _axes(state, declared.get("axes"))
        states = state if isinstance(state, Mapping) else {state: "hidden"}
        self.state: Mapping[str, str] = _shapes(states)
        moving = [name for words in self.axes.values() for name in str(words).split()]
        for moves in moving:
            if moves not in self.state:
                raise unknown(f"axes names {moves!r}, which is no state", "states are", self.state)
        if len(self.state) < self.least_states:
            raise CellError('a cell needs at least one state: @cell(state="h", …).')
        for what in _MAPPINGS:
            if not isinstance(given := declared.get(what), Mapping | None):
                raise CellError(f'{what} is a mapping, as in {what}={{"NAME": …}}, got {given!r}.')
        parameters, sequences, constants, noise, start, sizes, parts = (
            declared.get(what) or {} for what in _MAPPINGS
        )
        self.components: Mapping[str, Any] = _each(parts)
        output, self.loss = declared.get("output"), declared.get("loss")
        for what, name in {"output": output, "loss": self.loss}.items():
            if not isinstance(name, str | None):
                raise CellError(f"{what} is the name of an equation, got {name!r}.")
        for several, words in sizes.items():
            if not isinstance(words, str) or not dimensions.is_size(words):
                raise CellError(
                    f"cannot read the size {several!r}: {words!r}.\n"
                    f"  Write a bound, 'at least 2', or what determines it, '2 * hidden + 1'."
                )
        self.parameters: Mapping[str, str] = _shapes(parameters)
        steps, self.constants, self.noise = map(_shapes, (sequences, constants, noise))
        names = [*self.state, *self.parameters, *steps, *self.noise, *self.constants]
        self.sequences = {**steps, **self.noise}
        said = _each(sizes)
        self.bounds = {n: least for n, words in said.items() if (least := dimensions.bound(words))}
        self.derived = {n: words for n, words in said.items() if n not in self.bounds}
        self.declared_output, self.start = output, _each(start)
        self._take_parts()
        every = dimensions.names({**self.shapes(), **self.derived})
        if not self.least_states:  # what a layer makes may have sizes that it is not given
            every += [name for name in said if name not in every]
        self.sizes = [name for name in every if name not in self.derived]
        self._check_names(names, every, said)
        self.complete(self.small_sizes())
        for name, value in self.start.items():
            if name not in self.parameters and name not in self.state:
                raise UnknownNameError(
                    f"{self}: start names {name!r}, which is neither a parameter "
                    f"({', '.join(self.parameters) or 'none'}) nor a state "
                    f"({', '.join(self.state)})."
                )
            self.check_start(name, value, finite=name in self.parameters)

    @property
    def output(self) -> str:
        """What a layer above reads: the equation declared; else h, or the first state."""
        if self.declared_output:
            return str(self.declared_output.split()[0])
        return "h" if "h" in self.state else [*self.state, *self._written_last()][0]

    @output.setter
    def output(self, name: str) -> None:
        self.declared_output = name

    def _written_last(self) -> tuple[str, ...]:
        return ()

    def call(self, now: Any, prev: Any, x: Any, p: Any, further: Mapping[str, Any]) -> None:
        """Call the author's function."""
        self.step(now, prev, x, p, **further)

    @property
    def results(self) -> tuple[str, ...]:
        """What it hands on where it is a part."""
        return (self.output,)

    def written(self, tracing: Any) -> dict[str, Tensor]:
        """The equations of a step that is being traced (`parts.Tracing`)."""
        raise NotImplementedError

    def _take_parts(self) -> None:
        """Declare what parts bring along: parameters, states, starts and bounds."""

    def _check_names(self, declared: list[str], every: list[str], said: Collection[str]) -> None:
        takes = inspect.signature(self.step).parameters
        for name in declared:
            if declared.count(name) > 1:
                raise CellError(f"{self}: {name!r} is declared twice.")
            if name in every and name in self.parameters:
                raise CellError(f"{self}: {name!r} is a parameter and a size; rename one of them.")
            if name in ("x", "prev") and name not in self.state:
                raise CellError(f"{self}: {name!r} is the step's own {name}; choose another name.")
        own = [*takes][: 4 if self.least_states else 3]  # a layer has no step before
        for name in self.extra_inputs:
            if name in TAKEN or name in own:
                raise CellError(
                    f"{self}: a further input cannot be called {name!r}, which is an argument of "
                    f"{'the step' if name in own else 'unroll'}; choose another name."
                )
        lacks = [name for name in self.extra_inputs if name not in takes]
        if lacks and not any(p.kind is p.VAR_KEYWORD for p in takes.values()):
            raise CellError(
                f"{self}: the step does not take {', '.join(lacks)}; write "
                f"def {self.name}({', '.join([*takes, *lacks])})."
            )
        for name in said:
            if name not in every:
                what = f"{self}: sizes speaks of {name!r}, which no shape names"
                raise unknown(what, "the sizes are", every)

    def __str__(self) -> str:
        return f"cell {self.name!r}"

    __repr__ = __str__

    @property
    def extra_inputs(self) -> list[str]:
        """The names of the further inputs, sequences and constants."""
        return [*self.sequences, *self.constants]

    def shapes(self) -> dict[str, str]:
        """Every input of the step with its shape in words, in the order of a Program's inputs."""
        previous = {f"prev.{name}": words for name, words in self.state.items()}
        return {**previous, "x": self.x, **self.sequences, **self.constants, **self.parameters}

    def input_shapes(self, **sizes: int) -> dict[str, tuple[int, ...]]:
        """The shape of each input of the step, parameters and states before it included."""
        full = self.complete(sizes)
        return {name: dimensions.shape(words, full) for name, words in self.shapes().items()}

    # --- sizes ------------------------------------------------------------------------------------
    def complete(
        self, given: Mapping[str, float], needed: Collection[str] | None = None
    ) -> dict[str, int]:
        """Every size, those that others determine too, from the ones that are free; checked.

        `needed`: which must be given, all of them unless told.
        """
        known = [*self.sizes, *self.derived]
        for name, n in given.items():
            if name not in known:
                raise unknown(f"{self} has no size {name!r}", "its sizes are", known)
            self.check_size(name, n)
        wanted = self.sizes if needed is None else needed
        missing = [name for name in self.sizes if name not in given and name in wanted]
        if missing:
            raise ShapeError(
                f"{self} needs {', '.join(f'{m}=…' for m in missing)}: "
                f"its sizes are {', '.join(self.sizes)}."
            )
        full = {name: int(given[name]) for name in self.sizes if name in given}
        for _ in self.derived:  # one may depend on another
            for name, words in self.derived.items():
                (axis,) = dimensions.parse(words)
                if all(n in full for n in dimensions.names_in(axis)):
                    full[name] = dimensions.value(axis, full)
        left = [name for name in self.derived if name not in full]
        if left and needed is None:
            raise CellError(f"{self}: the sizes {', '.join(left)} depend on one another.")
        for name, n in given.items():
            if full.get(name, n) != n:
                raise ShapeError(
                    f"{self}: {name} is {self.derived[name]} = {full[name]} here, not {n}."
                )
        return full

    def check_size(self, name: str, n: Any) -> None:
        """ShapeError for what is no whole number within the bounds of a size."""
        least = self.bounds.get(name, 1)
        if not isinstance(n, int | np.integer) or isinstance(n, bool) or n < least:
            raise ShapeError(
                f"{self}: {name} must be a whole number of at least {least}, got {n!r}."
            )

    def small_sizes(self) -> dict[str, int]:
        """Small sizes, all different, for a Program to look at."""
        return {name: max(3, self.bounds.get(name, 1)) + k for k, name in enumerate(self.sizes)}

    # --- starts -----------------------------------------------------------------------------------
    def check_start(self, name: str, value: Any, finite: bool = True) -> str | float:
        """A start value, checked: the name of an initialiser, or a number."""
        if isinstance(value, str):
            words = self.parameters.get(name) or self.state.get(name, "")
            if value in ("orthogonal", "identity", "glorot") and len(dimensions.parse(words)) < 2:
                raise ShapeError(f"{self}: {name} is ({words}); {value} is for matrices.")
            if value not in FILLS:
                what = f"{self}: {name} cannot start as {value!r}"
                raise unknown(what, "write a number or one of", FILLS)
            return value
        number = isinstance(value, int | float | np.integer | np.floating)
        number = number and not isinstance(value, bool)
        if not number or not (np.isfinite(value) if finite else value == value):
            fix = f"exchange it afterwards: p.replace({{{name!r}: array}})"
            if name in self.state:
                fix = f"pass it to unroll: initial={{{name!r}: array}}"
            raise DataError(
                f"{self}: {name} is filled with one {'finite ' * finite}number, got {value!r}.\n"
                f"  For an array, {fix}."
            )
        return float(value)


def _axes(
    state: str | Mapping[str, str], axes: Mapping[str, str] | None
) -> tuple[dict[str, str], str | Mapping[str, str]]:
    """The states that move along each axis of a grid, and all states.

    `state` may say it itself, {"right": "h_1 m_1", "down": "h_2 m_2"}: then all are (hidden).
    """
    if axes is None and isinstance(state, Mapping) and state:
        words = [w for w in state.values() if isinstance(w, str)]
        plain = all(w and all(n.isidentifier() for n in w.split()) for w in words)
        if plain and len(words) == len(state) and any(len(w.split()) > 1 for w in words):
            return dict(state), " ".join(words)
    if not isinstance(axes, Mapping | None):
        raise CellError(f'axes is a mapping, as in axes={{"right": "h_1 m_1"}}, got {axes!r}.')
    return dict(axes or {}), state


def _each(several: Mapping[str, Any]) -> dict[str, Any]:
    """{"a b": value} as {"a": value, "b": value}, names as Python reads them: p.Wᵢ is p.Wi."""
    return {
        name: value
        for names, value in several.items()
        for name in unicodedata.normalize("NFKC", names).split()
    }


def _shapes(declarations: Mapping[str, str]) -> dict[str, str]:
    """{"a b": shape} as {"a": shape, "b": shape}, with readable errors."""
    shapes: dict[str, str] = {}
    for several, words in declarations.items():
        if not isinstance(words, str):
            raise CellError(
                f"the shape of {several!r} is written in words, as 'hidden, hidden + inputs', "
                f"got {words!r}."
            )
        dimensions.parse(words)
        names = unicodedata.normalize("NFKC", several).split()
        for name in names:
            first, *inside = name.split(".")  # of a part, and of its second call
            for piece in (first, *(p for p in inside if not p.isdigit())):
                check_name(piece)
            if name in shapes or names.count(name) > 1:
                raise CellError(f"{name!r} is declared twice.")
        shapes |= dict.fromkeys(names, words)
    return shapes


def check_name(name: str) -> None:
    """CellError for what cannot be a name in a cell."""
    if not name.isidentifier() or name.startswith("_") or keyword.iskeyword(name):
        fix = f"write {name}_" if keyword.iskeyword(name) else "use letters, digits and _"
        fix += ", a letter first" if name.startswith("_") else ""
        raise CellError(f"{name!r} cannot be a name in a cell; {fix}.")
