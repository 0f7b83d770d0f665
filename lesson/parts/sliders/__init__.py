"""Sliders: a cell of one unit, every number of which can be moved, forward and one step backward.

Python writes a table for one setting; the page moves it, by JavaScript that was printed from the
same equations (`equations.javascript`).
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from markupsafe import Markup
from sympy import Expr, Function, preorder_traversal

import equations
from equations.algebra import SymbolicOperation, SymbolicValue, named_values
from equations.evaluation import evaluate
from equations.javascript_code import Script
from equations.lines import Equation
from lesson.formulas import sign
from lesson.page import render
from lesson.prose import Texts, as_json
from lesson.subject import Subject
from tinygrad_lstm.cells import lstm
from tinygrad_lstm.errors import TinygradError
from tinygrad_lstm.notation import number
from tinygrad_lstm.step import Cell
from tinygrad_lstm.tensor import Array

RANGES = {"prev": 2.0, "x": 2.0, "seeds": 2.0, "p": 3.0, "pre": 8.0}  # of the sliders, both ways
WIDTH, HEIGHT, POINTS = 120, 48, 65  # of a curve


def markup(subject: Subject) -> Markup:
    """The sliders of the lesson's cell."""
    return sliders(subject.cell)


def sliders(cell: Cell) -> Markup:
    """Sliders of any cell; where its equations cannot be taken apart, a sentence that says so."""
    t = Texts("sliders")
    try:
        board = _Board(cell)
        code = board.script.text()
    except TinygradError as error:
        return render(__name__, t=t, refused=str(error))
    return render(
        __name__,
        t=t,
        refused="",
        is_lstm=cell is lstm,
        key=f"{cell.name}-{hashlib.sha256(code.encode()).hexdigest()[:8]}",
        setting=as_json(board.setting()),
        code=code,
        inlined=code.replace("</", "<\\/"),
        rows=lambda *spaces: [number for space in spaces for number in board.numbers(space)],
        sign=_sign,
        written=written,
    )


@dataclass(frozen=True)
class _Curve:
    """The function of a pre-activation: a line, and the point on it where the number is."""

    name: str
    equation: Markup
    low: str
    high: str
    switch: bool
    line: str
    zero: str
    x: str
    y: str
    width: int = WIDTH
    height: int = HEIGHT


@dataclass(frozen=True)
class _Number:
    """One number on the board: where the printed functions hold it, its sign, its derivative's."""

    space: str
    name: str
    entry: int
    latex: str
    symbol: str
    value: float
    slope: str = ""  # LaTeX of the derivative
    derivative: float = 0.0
    curve: _Curve | None = None


class _Board:
    """The numbers of a cell of one unit, for one setting, and everything computed from them."""

    def __init__(self, cell: Cell) -> None:
        self.cell = cell
        self.script = Script(cell)
        self.step = self.script.adjoints.step
        self.labels = {name: symbol.label for name, symbol in self.step.given.items()}
        self.labels |= {f"prev.{name}": f"prev.{name}" for name in cell.state}
        self.given = self._setting()
        self.values = {**self.given, **self.script.program.run(**self.given)}
        self.gates = dict(self._gates())

    def _setting(self) -> dict[str, Array]:
        """A number for every input of the script's Program; further inputs are 1."""
        cell, inputs = self.cell, self.script.program.inputs
        fresh = cell.init(seed=5, **self.script.sizes)
        states = dict(zip(cell.state, (0.5, 0.8, -0.4, 0.3), strict=False))
        given = {
            name: np.full(inputs[name].shape, float(name == f"seed.{cell.output}"))
            for name in (f"seed.{each}" for each in self.script.seeds)
        }
        for name, label in self.labels.items():
            if name in cell.parameters:
                given[label] = np.round(fresh[name].numpy() * 20) / 20
            else:
                start = states.get(name.removeprefix("prev."), 1.0)
                given[label] = np.full(inputs[label].shape, start)
        return given

    def _gates(self) -> Iterator[tuple[str, tuple[str, Expr]]]:
        """Pre-activations that a function is applied to, with the equation they belong to."""
        for name, part in self.script.adjoints.parts.items():
            opened = part.opened[name]
            for pre in (p for p in reversed(part.names.values()) if isinstance(p, SymbolicValue)):
                applied = (p for p in preorder_traversal(opened) if isinstance(p, Function))
                if any(f.args == (pre,) for f in applied) and self.values[pre.label].size == 1:
                    yield pre.label.removeprefix("pre."), (name, opened)

    # --- numbers --------------------------------------------------------------------------------
    def numbers(self, space: str) -> list[_Number]:
        """What stands in one space of the board."""
        cell, labels = self.cell, self.labels
        rows = {  # a name, how it is written, its value and its derivative in the script's Program
            "prev": [(n, f"prev.{n}", f"prev.{n}", f"bar.prev.{n}") for n in cell.state],
            "x": [("x", "x", labels["x"], f"bar.{labels['x']}")],
            "p": [(n, n, labels[n], f"bar.{labels[n]}") for n in cell.parameters],
            "pre": [(n, f"pre.{n}", f"pre.{n}", f"delta.{n}") for n in self.gates],
            "now": [(n, n, n, f"bar.{n}") for n in self.step.equations],
            "seeds": [(n, f"seed.{n}", f"seed.{n}", "") for n in self.script.seeds],
        }
        return [number for row in rows[space] for number in self._entries(space, *row)]

    def _entries(self, space: str, name: str, label: str, of: str, slope: str) -> Iterator[_Number]:
        value, derivative = self.values[of], self.values[slope] if slope else None
        time = None if space == "p" else "t"
        marks = self._places(name, value.size) if space == "p" else None
        for k, entry in enumerate(np.ravel(value)):
            latex, symbol = equations.name_latex(label, time), equations.name_unicode(label, time)
            sloped = equations.name_latex(slope, time) if derivative is not None else ""
            if value.size > 1:
                below, text = marks[k] if marks else (str(k + 1), str(k + 1))
                latex, symbol = rf"[{latex}]_{{{below}}}", f"[{symbol}]_{text}"
                sloped = rf"[{sloped}]_{{{below}}}" if sloped else ""
            found = 0.0 if derivative is None else float(np.ravel(derivative)[k])
            curve = self._curve(name, float(entry)) if space == "pre" else None
            yield _Number(space, name, k, latex, symbol, float(entry), sloped, found, curve)

    def _places(self, weight: str, size: int) -> list[tuple[str, str]] | None:
        """What the columns of a weight are multiplied with: h, x of a concatenation."""
        for expr in self.step.equations.values():
            for part in preorder_traversal(expr):
                if not isinstance(part, SymbolicOperation) or part.op != "matvec":
                    continue
                W, vector = part.operands
                joined = isinstance(vector, SymbolicOperation) and vector.op == "concat"
                if SymbolicValue(weight, None) == W and joined and len(vector.operands) == size:
                    names = [q.label for q in vector.operands if isinstance(q, SymbolicValue)]
                    if len(set(names)) == size:
                        return [
                            (equations.name_latex(n, None), equations.name_unicode(n, None))
                            for n in names
                        ]
        return None

    # --- markup ---------------------------------------------------------------------------------
    def setting(self) -> dict[str, Any]:
        """The setting, as the printed functions take it."""

        def plain(array: Array) -> Any:
            flat = np.ravel(array).tolist()
            return flat[0] if len(flat) == 1 else flat

        cell, given = self.cell, {name: self.given[own] for name, own in self.labels.items()}
        further = (*cell.sequences, *cell.constants)
        return {
            "values": {
                "prev": {name: plain(given[f"prev.{name}"]) for name in cell.state},
                "x": plain(given["x"]),
                "p": {name: plain(given[name]) for name in cell.parameters},
                "given": {name: plain(given[name]) for name in further},
            },
            "seeds": {name: plain(self.values[f"seed.{name}"]) for name in self.script.seeds},
            "ranges": RANGES,
            "output": cell.output,
        }

    def _curve(self, label: str, at: float) -> _Curve | None:
        """The function of a pre-activation with a point on it, if it has a curve."""
        name, opened = self.gates[label]
        pre = SymbolicValue(f"pre.{label}")
        if named_values(opened) != [pre]:
            return None
        far = RANGES["pre"]
        xs = np.linspace(-far, far, POINTS)
        ys = np.asarray(evaluate(opened, {pre: xs}), float)
        low, high = float(np.round(ys.min(), 2)), float(np.round(ys.max(), 2))
        if not np.isfinite([low, high]).all() or low == high:
            return None

        def place(x: float, y: float) -> tuple[str, str]:
            across = (x + far) / (2 * far) * WIDTH
            return f"{round(across, 1):g}", f"{round((high - y) / (high - low) * HEIGHT, 1):g}"

        value = float(self.values[name].item())
        x, y = place(float(np.clip(at, -far, far)), float(np.clip(value, low, high)))
        return _Curve(
            name,
            Markup(Equation(name, SymbolicValue(name), opened).mathml()),
            f"{low:g}",
            f"{high:g}",
            getattr(opened, "op", "") == "sigmoid",
            " ".join(",".join(place(x, y)) for x, y in zip(xs, ys, strict=True)),
            place(0, float(np.clip(0.0, low, high)))[1],
            x,
            y,
        )


def _sign(latex: str, spoken: str = "") -> Markup:
    """A sign within a line; `spoken` names it where it is a header of a row."""
    named = Markup('<math aria-label="{}"').format(spoken) if spoken else Markup("<math")
    return sign(latex).replace("<math", named, 1)


def written(value: float) -> str:
    """A number as the page writes it: four significant digits."""
    if not np.isfinite(value):
        return "nan" if np.isnan(value) else "∞" if value > 0 else "−∞"
    if value and not 1e-3 <= abs(value) < 1e6:
        digits, _, power = f"{value:.2e}".partition("e")
        return f"{digits}e{int(power)}".replace("-", "−")
    return number(value)
