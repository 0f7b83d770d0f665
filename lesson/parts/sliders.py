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
from sympy import Expr, Function

import equations
from equations.algebra import Operation, Quantity, quantities, walk
from equations.evaluation import evaluate
from equations.javascript_code import Script
from equations.lines import Equation
from equations.markup import math, mathml_row
from lesson import prose
from lesson.subject import Subject
from tinygrad_lstm.cells import lstm
from tinygrad_lstm.errors import TinygradError
from tinygrad_lstm.step import Cell
from tinygrad_lstm.tensor import Array

RANGES = {"prev": 2.0, "x": 2.0, "seeds": 2.0, "p": 3.0, "pre": 8.0}  # of the sliders, both ways
WIDTH, HEIGHT, POINTS = 120.0, 48.0, 65  # of a curve
_ROW = Markup(
    '<tr data-space="{space}" data-name="{name}" data-entry="{entry}" data-symbol="{symbol}"'
    '{more}><th scope="row">{sign}</th><td class="value"><span class="number">{value}</span>'
    '{beside}</td><td class="slope">{slope}</td></tr>'
)


def markup(subject: Subject) -> Markup:
    """The sliders of the lesson's cell."""
    return sliders(subject.cell)


def sliders(cell: Cell) -> Markup:
    """Sliders of any cell; where its equations cannot be taken apart, a sentence that says so."""
    t = prose.Texts("sliders")
    try:
        board = _Board(cell)
        code = board.script.text()
    except TinygradError as error:
        return Markup("<h3>{}</h3>{}<pre>{}</pre>").format(
            t.line("title"), t.block("impossible"), str(error)
        )
    key = f"{cell.name}-{hashlib.sha256(code.encode()).hexdigest()[:8]}"
    inlined = code.replace("</", "<\\/")
    script = Markup(
        '<script>(window.cellSteps ??= {{}})["{}"] = (() => {{ "use strict";\n{}'
        "return {{ forward, backward }};\n}})();</script>"
    ).format(key, Markup(inlined))
    left = [board.table(t, "incoming", "prev", "x"), board.table(t, "inside", "pre")]
    right = [board.table(t, "computed", "now"), board.table(t, "arriving", "seeds")]
    weights = board.table(t, "weights", "p")
    if weights:
        fold = Markup('<details class="weights"><summary>{}</summary>{}</details>')
        left.append(fold.format(t.line("weights_summary"), weights))
    return Markup(
        '<h3>{title}</h3>{intro}<div class="sliders" data-part="sliders" data-step="{key}">'
        '{texts}{data}{script}<p class="still">{still}</p><div class="board"><div>{left}</div>'
        '<div class="results">{right}</div></div>'
        '<details class="code"><summary>{summary}</summary><pre class="scroll"><code>{code}</code>'
        "</pre></details></div>"
    ).format(
        title=t.line("title"),
        key=key,
        intro=t.block("intro") + t.block("try_lstm" if cell is lstm else "try"),
        texts=t.script("page"),
        data=board.data(),
        script=script,
        still=t.line("still"),
        left=Markup("").join(left),
        right=Markup("").join(right),
        summary=t.line("code"),
        code=code,
    )


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


class _Board:
    """The numbers of a cell of one unit, for one setting, and everything computed from them."""

    def __init__(self, cell: Cell) -> None:
        self.cell = cell
        self.script = Script(cell)
        self.step = self.script.adjoints.step
        self.given = self._setting()
        self.values = {**self.given, **self.script.program.run(**self.given)}
        self.gates = dict(self._gates())

    def _setting(self) -> dict[str, Array]:
        """A number for every input of the script's Program; further inputs are 1."""
        cell = self.cell
        fresh = cell.init(seed=5, **self.script.sizes)
        states = dict(zip(cell.state, (0.5, 0.8, -0.4, 0.3), strict=False))
        given = {}
        for name, node in self.script.program.inputs.items():
            own = name.removeprefix("input.")
            if own in cell.parameters:
                given[name] = np.round(fresh[own].numpy() * 20) / 20
            elif name.startswith("seed."):
                given[name] = np.full(node.shape, float(name == f"seed.{cell.output}"))
            else:
                given[name] = np.full(node.shape, states.get(name.removeprefix("prev."), 1.0))
        return given

    def _gates(self) -> Iterator[tuple[str, tuple[str, Expr]]]:
        """Pre-activations that a function is applied to, with the equation they belong to."""
        for name, part in self.script.adjoints.parts.items():
            *insides, opened = part.opened.values()
            for label in list(part.opened)[: len(insides)]:
                pre = Quantity(label)
                applied = (p for p in walk(opened) if isinstance(p, Function))
                if any(f.args == (pre,) for f in applied) and self.values[label].size == 1:
                    yield label.removeprefix("pre."), (name, opened)

    # --- numbers --------------------------------------------------------------------------------
    def numbers(self, space: str) -> list[_Number]:
        """What stands in one space of the board."""
        cell, labels = self.cell, {n: q.label for n, q in self.step.given.items()}
        rows = {  # name: (its value, its derivative) in the Program
            "prev": {name: (f"prev.{name}", f"bar.prev.{name}") for name in cell.state},
            "x": {"x": (labels["x"], f"bar.{labels['x']}")},
            "p": {name: (labels[name], f"bar.{labels[name]}") for name in cell.parameters},
            "pre": {label: (f"pre.{label}", f"delta.{label}") for label in self.gates},
            "now": {name: (name, f"bar.{name}") for name in self.step.equations},
            "seeds": {name: (f"seed.{name}", "") for name in self.script.seeds},
        }
        return [
            number
            for name, (value, slope) in rows[space].items()
            for number in self._entries(space, name, value, slope)
        ]

    def _entries(self, space: str, name: str, label: str, slope: str) -> Iterator[_Number]:
        value, derivative = self.values[label], self.values[slope] if slope else None
        time = None if space == "p" else "t"
        marks = self._places(name, value.size) if space == "p" else None
        label = name if space in ("p", "x") else label
        for k, number in enumerate(np.ravel(value)):
            latex, symbol = equations.name_latex(label, time), equations.name_unicode(label, time)
            sloped = equations.name_latex(slope, time) if derivative is not None else ""
            if value.size > 1:
                below, text = marks[k] if marks else (str(k + 1), str(k + 1))
                latex, symbol = rf"[{latex}]_{{{below}}}", f"[{symbol}]_{text}"
                sloped = rf"[{sloped}]_{{{below}}}" if sloped else ""
            found = 0.0 if derivative is None else float(np.ravel(derivative)[k])
            yield _Number(space, name, k, latex, symbol, float(number), sloped, found)

    def _places(self, weight: str, size: int) -> list[tuple[str, str]] | None:
        """What the columns of a weight are multiplied with: h, x of a concatenation."""
        for expr in self.step.equations.values():
            for part in walk(expr):
                if not isinstance(part, Operation) or part.op != "matvec":
                    continue
                W, vector = part.operands
                joined = isinstance(vector, Operation) and vector.op == "concat"
                if Quantity(weight, None) == W and joined and len(vector.operands) == size:
                    names = [q.label for q in vector.operands if isinstance(q, Quantity)]
                    if len(set(names)) == size:
                        return [
                            (equations.name_latex(n, None), equations.name_unicode(n, None))
                            for n in names
                        ]
        return None

    # --- markup ---------------------------------------------------------------------------------
    def data(self) -> Markup:
        """The setting, as the printed functions take it."""

        def plain(array: Array) -> Any:
            flat = np.ravel(array).tolist()
            return flat[0] if len(flat) == 1 else flat

        cell = self.cell
        given = {n: self.given.get(f"input.{n}", self.given.get(n)) for n in cell.program().inputs}
        further = (*cell.sequences, *cell.constants)
        setting = {
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
        script = Markup('<script type="application/json" class="sliders-data">{}</script>')
        return script.format(prose.as_json(setting))

    def table(self, t: prose.Texts, title: str, *spaces: str) -> Markup:
        """The rows of some spaces under a title; nothing where there are none."""
        rows = [self._row(number) for space in spaces for number in self.numbers(space)]
        if not rows:
            return Markup("")
        second = t.line("derivative") if spaces[0] != "seeds" else Markup("")
        return Markup(
            "<table><caption>{}</caption><thead><tr><td></td>"
            '<th scope="col">{}</th>{}</tr></thead><tbody>{}</tbody></table>'
        ).format(
            t.line(title),
            t.line("value"),
            Markup('<th scope="col">{}</th>').format(second) if second else Markup("<td></td>"),
            Markup("").join(rows),
        )

    def _row(self, number: _Number) -> Markup:
        slope = Markup("")
        if number.slope:
            slope = Markup('{} = <span class="number">{}</span>').format(
                _math(number.slope), written(number.derivative)
            )
        curve, more = Markup(""), Markup("")
        if number.space == "pre":
            curve, more = self._curve(number.name, number.value)
        return _ROW.format(
            space=number.space,
            name=number.name,
            entry=number.entry,
            symbol=number.symbol,
            sign=_math(number.latex, number.symbol),
            value=written(number.value),
            slope=slope,
            beside=curve,
            more=more,
        )

    def _curve(self, label: str, at: float) -> tuple[Markup, Markup]:
        """The function of a pre-activation with a point on it, and what the page must know."""
        name, opened = self.gates[label]
        pre = Quantity(f"pre.{label}")
        if quantities(opened) != [pre]:
            return Markup(""), Markup("")
        far = RANGES["pre"]
        xs = np.linspace(-far, far, POINTS)
        ys = np.asarray(evaluate(opened, {pre: xs}), float)
        low, high = float(np.round(ys.min(), 2)), float(np.round(ys.max(), 2))
        if not np.isfinite([low, high]).all() or low == high:
            return Markup(""), Markup("")

        def place(x: float, y: float) -> tuple[float, float]:
            across = (x + far) / (2 * far) * WIDTH
            return round(across, 1), round((high - y) / (high - low) * HEIGHT, 1)

        line = " ".join(
            f"{a:g},{b:g}" for a, b in (place(x, y) for x, y in zip(xs, ys, strict=True))
        )
        value = float(self.values[name].item())
        cx, cy = place(float(np.clip(at, -far, far)), float(np.clip(value, low, high)))
        equation = Equation(name, Quantity(name), opened)
        picture = Markup(
            '<span class="curve"><svg viewBox="-4 -4 {w:g} {h:g}" aria-hidden="true">'
            '<path class="axis" d="M0 {zero:g}H{width:g}M{half:g} 0V{height:g}"/>'
            '<polyline points="{line}"/><path class="drop" d="M{cx:g} {zero:g}V{cy:g}"/>'
            '<circle cx="{cx:g}" cy="{cy:g}" r="4.5"/></svg>{equation}</span>'
        ).format(
            w=WIDTH + 8,
            h=HEIGHT + 8,
            width=WIDTH,
            half=WIDTH / 2,
            height=HEIGHT,
            line=line,
            zero=place(0, float(np.clip(0.0, low, high)))[1],
            cx=cx,
            cy=cy,
            equation=Markup(equation.mathml()),
        )
        switch = getattr(opened, "op", "") == "sigmoid"
        more = Markup(' data-equation="{}" data-low="{:g}" data-high="{:g}"{}').format(
            name, low, high, Markup(" data-switch") if switch else Markup("")
        )
        return picture, more


def _math(latex: str, spoken: str = "") -> Markup:
    """A sign within a line; `spoken` names it where it is a header of a row."""
    sign = Markup(math(mathml_row(latex), display=False))
    return (
        sign.replace("<math", Markup('<math aria-label="{}"').format(spoken), 1) if spoken else sign
    )


def written(value: float) -> str:
    """A number as the page writes it: four significant digits."""
    if not np.isfinite(value):
        return "nan" if np.isnan(value) else "∞" if value > 0 else "−∞"
    if value and not 1e-3 <= abs(value) < 1e6:
        digits, _, power = f"{value:.2e}".partition("e")
        return f"{digits}e{int(power)}".replace("-", "−")
    return f"{float(f'{value:.4g}') + 0.0:g}".replace("-", "−")
