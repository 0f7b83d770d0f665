"""The space of a search, read from a TOML file: cells, a task, and what is drawn for each trial.

    name = "odyssey"
    cells = ["odyssey_vanilla", "nig", "my_cells.py:keeper"]
    configurations = 60                     # drawn for each cell
    steps = 200

    [task]
    name = "temporal-order"
    lag = 20

    [sizes]
    hidden = { from = 20, to = 100, log = true }

    [optimiser]
    name = ["sgd", "adam"]                  # a list: one of them is drawn
    rate = { from = 0.001, to = 3.0, log = true }

Every configuration follows from the file alone: the same seed draws the same ones.
"""

from __future__ import annotations

import math
import re
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

import numpy as np

from tinygrad_lstm.errors import TinygradError

Scalar = bool | int | float | str
TOP = {
    "name": str, "cells": list, "configurations": int, "steps": int, "batch": int, "seed": int,
    "clip": float, "value": str, "start": dict, "task": dict, "sizes": dict, "optimiser": dict,
    "noise": dict, "mutations": dict, "input": str,
}  # fmt: skip
DRAWN = ("task", "sizes", "optimiser", "start", "noise")
OPTIMISERS = {
    "adam": ("rate", "beta1", "beta2", "epsilon"),
    "rmsprop": ("rate", "decay", "momentum", "epsilon"),
    "sgd": ("rate", "momentum", "nesterov"),
}
NOISES = ("input", "weights")
MUTATIONS = {"cells": int, "most": int, "keep": int, "afresh": float}
_RANGE = ("from", "to", "log", "integer")


class SearchError(TinygradError, ValueError):
    """A search file, a storage or a result that cannot be used."""


@dataclass(frozen=True)
class Range:
    """Numbers from `low` to `high`: uniform, or uniform in the logarithm; whole ones on request."""

    low: float
    high: float
    log: bool = False
    integer: bool = False

    def draw(self, random: np.random.Generator) -> int | float:
        """One of them."""
        if self.integer and not self.log:
            return int(random.integers(int(self.low), int(self.high) + 1))
        low, high = (math.log(v) if self.log else v for v in (self.low, self.high))
        drawn = float(random.uniform(low, high))
        value = math.exp(drawn) if self.log else drawn
        value = min(max(value, self.low), self.high)
        return round(value) if self.integer else value

    def __str__(self) -> str:
        kinds = " log" * self.log + " whole" * self.integer
        return f"{self.low:g} … {self.high:g}{kinds}"


@dataclass(frozen=True)
class Choice:
    """One of several values."""

    values: tuple[Scalar, ...]

    def draw(self, random: np.random.Generator) -> Scalar:
        """One of them."""
        return self.values[int(random.integers(len(self.values)))]

    def __str__(self) -> str:
        return " | ".join(map(str, self.values))


Variable = Range | Choice


@dataclass(frozen=True)
class Mutations:
    """How cells are mutated: see `mutations.py`.

    cells: how many mutants are tried; most: changes of a parent at most; keep: of how many of the
    best a parent is drawn; afresh: the share of mutants whose parent is one of the search's cells.
    """

    cells: int
    most: int = 3
    keep: int = 20
    afresh: float = 0.2


@dataclass(frozen=True)
class Space:
    """A search, as its file says it: what is fixed, and what is drawn.

    text: the file's; fixed, drawn: by dotted names, as in "optimiser.rate"; tasks: the name and
    options of each; value: what is minimised, the "loss" on held-out data or a measure's name.
    """

    name: str
    text: str
    cells: tuple[str, ...]
    tasks: tuple[tuple[str, Mapping[str, Scalar]], ...]
    configurations: int
    steps: int
    batch: int
    seed: int
    clip: float | None
    input: str
    value: str
    fixed: Mapping[str, Scalar]
    drawn: Mapping[str, Variable]
    mutations: Mutations | None

    @property
    def trials(self) -> int:
        """How many trials there are in all."""
        return self.mutations.cells if self.mutations else len(self.cells) * self.configurations

    def configurations_drawn(self) -> list[dict[str, Scalar]]:
        """What each trial is given, in order: the same for the same file.

        Beside what is drawn it has its "cell" and its "seed"; cells take turns, so that a search
        that is stopped early has tried all alike. Of mutants the cell is found when it is their
        turn, and their parent is drawn by a random generator of this seed.
        """
        random = np.random.default_rng(self.seed)
        found = []
        for k in range(self.trials):
            values: dict[str, Scalar] = {name: v.draw(random) for name, v in self.drawn.items()}
            if self.mutations is None:
                values["cell"] = self.cells[k % len(self.cells)]
            values["seed"] = int(random.integers(2**31))
            found.append(values)
        return found


def read_space(path: str | Path) -> Space:
    """The space that a file holds; SearchError names its line, the key, and what is known."""
    path = Path(path)
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        why = getattr(error, "strerror", None) or "it is no text in UTF-8"
        raise SearchError(f"search file {path} cannot be read: {why}.") from error
    return parse_space(text, str(path), path.stem)


def parse_space(text: str, where: str = "search file", name: str = "search") -> Space:
    """The space that a text says; `where` it is from, for errors."""
    return _Reader(text, where).space(name)


class _Reader:
    def __init__(self, text: str, where: str) -> None:
        self.text, self.where = text, where
        try:
            self.found: dict[str, Any] = tomllib.loads(text)
        except tomllib.TOMLDecodeError as error:
            raise SearchError(f"{where} is not TOML: {error}.") from error

    def fail(self, key: str, what: str, fix: str = "") -> NoReturn:
        line = self._line(key)
        place = f"{self.where}, line {line}" if line else self.where
        raise SearchError(f"{place}: {key} {what}." + (f"\n  {fix}" if fix else ""))

    def _line(self, key: str) -> int | None:
        """The line on which a key or its table stands."""
        table, _, own = key.rpartition(".")
        inside = ""
        for number, line in enumerate(self.text.splitlines(), 1):
            if header := re.match(r"\s*\[+\s*([\w.\"'-]+)\s*\]+", line):
                inside = header[1].strip("\"'")
                if inside == key:
                    return number
            name = re.escape(own)
            if inside == table and re.match(rf"\s*[\"']?{name}[\"']?\s*[=.]", line):
                return number
            if not inside and table and re.match(rf"\s*{re.escape(table)}\s*[=.]", line):
                return number
        return None

    def unknown(self, key: str, known: Sequence[str]) -> NoReturn:
        self.fail(key, "is not known here", f"Known are {', '.join(known)}.")

    def space(self, name: str) -> Space:
        found = self.found
        for key, value in found.items():
            if key not in TOP:
                self.unknown(key, [*TOP])
            several = key == "task" and isinstance(value, list)
            if not several and not _is(value, TOP[key]):
                self.fail(key, f"is {_called(TOP[key])}, not {value!r}")
        for key in ("cells", "task", "steps"):
            if key not in found:
                self.fail(key, "is missing", "A search needs cells, a task and steps.")
        cells = found["cells"]
        if not cells or not all(isinstance(c, str) for c in cells) or len({*cells}) < len(cells):
            self.fail("cells", 'is a list of different names, as in ["lstm", "my.py:keeper"]')
        fixed: dict[str, Scalar] = {}
        drawn: dict[str, Variable] = {}
        for table in DRAWN:
            if table != "task":
                for key, value in found.get(table, {}).items():
                    self._variable(f"{table}.{key}", value, fixed, drawn)
        self._check_optimiser(fixed, drawn)
        for key in found.get("noise", {}):
            if key not in NOISES:
                self.unknown(f"noise.{key}", NOISES)
            for value in _values(f"noise.{key}", fixed, drawn, []):
                if not _is(value, float) or not 0 <= float(value) < math.inf:
                    self.fail(f"noise.{key}", f"is a number of at least 0, not {value!r}")
        for key in found.get("sizes", {}):
            for value in _values(f"sizes.{key}", fixed, drawn, []):
                if not _is(value, float) or float(value) < 1 or float(value) % 1:
                    self.fail(f"sizes.{key}", f"is a whole number of at least 1, not {value!r}")
        mutations = self._mutations()
        space = Space(
            name=found.get("name", name),
            text=self.text,
            cells=tuple(cells),
            tasks=self._tasks(),
            configurations=self._whole("configurations", 20, 1),
            steps=self._whole("steps", 0, 1),
            batch=self._whole("batch", 32, 1),
            seed=self._whole("seed", 0, 0),
            clip=self._clip(),
            input=found.get("input", "one-hot"),
            value=found.get("value", "loss"),
            fixed=fixed,
            drawn=drawn,
            mutations=mutations,
        )
        if space.input not in ("one-hot", "embedding"):
            self.fail("input", f'is "one-hot" or "embedding", not {space.input!r}')
        if not re.fullmatch(r"[\w.-]+", space.name):
            self.fail("name", f"is made of letters, digits, _, . and -, not {space.name!r}")
        return space

    def _clip(self) -> float | None:
        clip = self.found.get("clip", 1.0)
        if not clip > 0:
            self.fail("clip", f"is a number above 0, not {clip}")
        return None if math.isinf(clip) else float(clip)

    def _whole(self, key: str, default: int, least: int) -> int:
        value = int(self.found.get(key, default))
        if value < least:
            self.fail(key, f"is at least {least}, not {value}")
        return value

    def _tasks(self) -> tuple[tuple[str, Mapping[str, Scalar]], ...]:
        given = self.found["task"]
        several = given if isinstance(given, list) else [given]
        for task in several:
            if not isinstance(task, dict) or not isinstance(task.get("name"), str):
                self.fail("task", "needs a name", 'Write [task] and name = "temporal-order".')
            for key, value in task.items():
                if not isinstance(value, bool | int | float | str):
                    self.fail(f"task.{key}", f"is a number or a word, not {value!r}")
        if not several:
            self.fail("task", "needs a name", 'Write [task] and name = "temporal-order".')
        return tuple((t["name"], {k: v for k, v in t.items() if k != "name"}) for t in several)

    def _mutations(self) -> Mutations | None:
        given = self.found.get("mutations")
        if given is None:
            return None
        if "configurations" in self.found:
            self.fail("configurations", "and [mutations] do not go together: cells says how many")
        for key, value in given.items():
            if key not in MUTATIONS:
                self.unknown(f"mutations.{key}", [*MUTATIONS])
            if not _is(value, MUTATIONS[key]) or value < (key != "afresh"):
                least = "of at least 1" if key != "afresh" else "between 0 and 1"
                self.fail(f"mutations.{key}", f"is {_called(MUTATIONS[key])} {least}")
        if "cells" not in given:
            self.fail("mutations.cells", "is missing", "It says how many mutants are tried.")
        if not 0 <= given.get("afresh", 0.2) <= 1:
            self.fail("mutations.afresh", "is a number between 0 and 1")
        return Mutations(**given)

    def _variable(
        self, key: str, value: Any, fixed: dict[str, Scalar], drawn: dict[str, Variable]
    ) -> None:
        if isinstance(value, bool | int | float | str):
            fixed[key] = value
        elif isinstance(value, list):
            if not value or not all(isinstance(v, bool | int | float | str) for v in value):
                self.fail(key, f"is a list of numbers or words to choose from, not {value!r}")
            drawn[key] = Choice(tuple(value))
        elif isinstance(value, dict):
            drawn[key] = self._range(key, value)
        else:
            self.fail(key, f"is a number, a list or a range, not {value!r}")

    def _range(self, key: str, given: Mapping[str, Any]) -> Range:
        for name in given:
            if name not in _RANGE:
                self.fail(key, f"has {name!r}", "Write { from = 0.001, to = 1.0, log = true }.")
        low, high = given.get("from"), given.get("to")
        log, integer = given.get("log", False), given.get("integer")
        numbers = all(_is(v, float) and math.isfinite(v or 0) for v in (low, high))
        if not numbers or not isinstance(log, bool) or not isinstance(integer, bool | None):
            self.fail(
                key, "needs numbers from and to, and true or false as log and integer",
                "Write { from = 0.001, to = 1.0, log = true }.",
            )  # fmt: skip
        if integer is None:  # a size is whole
            integer = key.startswith("sizes.")
        assert low is not None and high is not None
        if not low < high:
            self.fail(key, f"goes from {low:g} to {high:g}, which is not above it")
        if log and low <= 0:
            self.fail(key, f"goes from {low:g}, which has no logarithm")
        if integer and not (float(low).is_integer() and float(high).is_integer()):
            self.fail(key, "is whole, but its ends are not")
        return Range(float(low), float(high), log, bool(integer))

    def _check_optimiser(self, fixed: Mapping[str, Scalar], drawn: Mapping[str, Variable]) -> None:
        names = list(_values("optimiser.name", fixed, drawn, ["adam"]))
        for name in names:
            if name not in OPTIMISERS:
                self.fail("optimiser.name", f"is {name!r}", f"Known are {', '.join(OPTIMISERS)}.")
        known = list(dict.fromkeys(key for name in names for key in OPTIMISERS[str(name)]))
        for key in self.found.get("optimiser", {}):
            whole = f"optimiser.{key}"
            if key != "name" and key not in known:
                self.unknown(whole, ["name", *known])
            for value in _values(whole, fixed, drawn, []):
                if key in ("name", "nesterov"):
                    continue
                share = key not in ("rate", "epsilon")
                good = not isinstance(value, bool | str) and (
                    0 <= value < 1 if share else 0 < value < math.inf
                )
                if not good:
                    wanted = "at least 0 and below 1" if share else "a number above 0"
                    self.fail(whole, f"is {wanted}, not {value!r}")


def _values(
    key: str, fixed: Mapping[str, Scalar], drawn: Mapping[str, Variable], default: Sequence[Scalar]
) -> Iterator[Scalar]:
    """The values that a key can have: of a range its ends."""
    variable = drawn.get(key)
    if isinstance(variable, Range):
        yield from (variable.low, variable.high)
    elif variable is not None:
        yield from variable.values
    elif key in fixed:
        yield fixed[key]
    else:
        yield from default


def _is(value: Any, kind: type) -> bool:
    if kind is float:
        return isinstance(value, int | float) and not isinstance(value, bool)
    return isinstance(value, kind) and not (kind is int and isinstance(value, bool))


def _called(kind: type) -> str:
    names = {int: "a whole number", float: "a number", str: "a word", list: "a list"}
    return names.get(kind, "a table")
