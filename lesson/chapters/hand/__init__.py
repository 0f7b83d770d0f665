"""One step of an LSTM with one unit, calculated on paper, forward and backward."""

from __future__ import annotations

import math
from dataclasses import dataclass
from decimal import Decimal

import numpy as np
from markupsafe import Markup

import viz
from lesson.annotated import ACROSS, Note, noted, stretched
from lesson.arithmetic import digits, plus, times, written
from lesson.chapters import Content
from lesson.formulas import sign
from lesson.subject import Subject
from tinygrad_lstm import Tensor, unroll
from tinygrad_lstm.cells import lstm
from viz import Figure

ORDER = 65

X, H, C, WANTED = (Decimal(v) for v in ("1", "0.5", "0.4", "1"))
WEIGHTS = {  # of each layer: for h, for x, and the bias
    "f": ("1", "1", "0.5"),
    "i": ("2", "0.5", "-0.5"),
    "C": ("1", "0.5", "0"),
    "o": ("-1", "1", "0.5"),
}
PLACES = {"f": 79, "i": 145, "C": 212, "o": 280}  # of the layers in the figure


@dataclass(frozen=True)
class Row:
    """A line of the calculation: its formula, the numbers put in, and the result."""

    name: str
    latex: str
    numbers: str
    result: Decimal

    @property
    def shown(self) -> tuple[Markup, str, str]:
        """The formula as mathematics, the numbers, the result as it is shown."""
        return sign(self.latex), self.numbers, written(self.result)


def content(subject: Subject) -> Content:
    """All lines of the step and of its way back, and the cell with its weights."""
    ahead, loss, back, weights = calculation()
    found = {row.name: row.result for row in (*ahead, *loss, *back, *weights)}
    facts = {
        "hand_x": written(X),
        "hand_h": written(H),
        "hand_C": written(C),
        "hand_y": written(WANTED),
        "hand_engine": written(digits(engine()["W_f"].flat[0])),
        "hand_paper": written(found["W_f.h"]),
    }
    parts = {"forward": ahead, "loss": loss, "backward": back, "weights": weights}
    shown = {name: [row.shown for row in rows] for name, rows in parts.items()}
    return Content(facts, {"by_hand": _figure(found)}, shown)


def calculation() -> tuple[list[Row], list[Row], list[Row], list[Row]]:
    """Forward, the loss, backward and the forget gate's weights, each result from those shown."""
    n = {"C_old": C, "h_old": H}
    rows: list[Row] = []

    def line(name: str, latex: str, numbers: str, result: Decimal) -> None:
        n[name] = result
        given = {key: _operand(value) for key, value in n.items()}
        rows.append(Row(name, latex, numbers.format(**given), result))

    for key, label in (("f", "f_t"), ("i", "i_t"), ("C", r"\tilde{C}_t"), ("o", "o_t")):
        if key == "o":
            line(
                "C",
                r"C_t = f_t\,C_{t-1} + i_t\,\tilde{C}_t",
                "{f} · {C_old} + {i} · {C_tilde}",
                plus(times(n["f"], C), times(n["i"], n["C_tilde"])),
            )
        h, x, b = (Decimal(v) for v in WEIGHTS[key])
        inside = h * H + x * X + b
        name = "tanh" if key == "C" else "σ"
        value = math.tanh(inside) if key == "C" else 1 / (1 + math.exp(-inside))
        numbers = f"{name}({_sum(h, x, b)}) = {name}({written(inside)})"
        sigma = r"\tanh" if key == "C" else r"\sigma"
        own = "C_tilde" if key == "C" else key
        line(own, rf"{label} = {sigma}(w_h\,h_{{t-1}} + w_x\,x_t + b)", numbers, digits(value))
    n["tanh"] = digits(math.tanh(n["C"]))
    line("h", r"h_t = o_t\,\tanh C_t", "{o} · tanh {C} = {o} · {tanh}", times(n["o"], n["tanh"]))
    ahead, rows = rows, []
    lack = plus(n["h"], -WANTED)
    line("L", r"L = \frac{1}{2}(h_t - y)^2", f"½ · ({{h}} − {WANTED})²", times(lack, lack, _HALF))
    loss, rows = rows, []
    line("bar_h", r"\bar{h}_t = h_t - y", f"{{h}} − {WANTED}", lack)
    line(
        "bar_o", r"\bar{o}_t = \bar{h}_t\,\tanh C_t", "{bar_h} · {tanh}", _product(n, "bar_h tanh")
    )
    n["slope"] = plus(Decimal(1), -times(n["tanh"], n["tanh"]))
    line(
        "bar_C",
        r"\bar{C}_t = \bar{h}_t\,o_t\,(1 - \tanh^2 C_t)",
        "{bar_h} · {o} · (1 − {tanh}²)",
        _product(n, "bar_h o slope"),
    )
    for name, latex, factors in (
        ("bar_f", r"\bar{f}_t = \bar{C}_t\,C_{t-1}", "bar_C C_old"),
        ("bar_i", r"\bar{i}_t = \bar{C}_t\,\tilde{C}_t", "bar_C C_tilde"),
        ("bar_C_tilde", r"\bar{\tilde{C}}_t = \bar{C}_t\,i_t", "bar_C i"),
        ("bar_C_old", r"\bar{C}_{t-1} = \bar{C}_t\,f_t", "bar_C f"),
    ):
        line(name, latex, _dots(factors), _product(n, factors))
    back, rows = rows, []
    n["flat"] = plus(Decimal(1), -n["f"])
    line(
        "delta_f",
        r"\delta^f_t = \bar{f}_t\,f_t\,(1 - f_t)",
        "{bar_f} · {f} · {flat}",
        _product(n, "bar_f f flat"),
    )
    line(
        "W_f.h",
        r"\bar{w}_h = \delta^f_t\,h_{t-1}",
        "{delta_f} · {h_old}",
        _product(n, "delta_f h_old"),
    )
    line(
        "W_f.x",
        r"\bar{w}_x = \delta^f_t\,x_t",
        f"{{delta_f}} · {written(X)}",
        times(n["delta_f"], X),
    )
    line("b_f", r"\bar{b} = \delta^f_t", "{delta_f}", n["delta_f"])
    return ahead, loss, back, rows


_HALF = Decimal("0.5")


def _product(n: dict[str, Decimal], factors: str) -> Decimal:
    return times(*(n[name] for name in factors.split()))


def _dots(factors: str) -> str:
    return " · ".join(f"{{{name}}}" for name in factors.split())


def _operand(value: Decimal) -> str:
    return written(value) if value >= 0 else f"({written(value)})"


def _sum(h: Decimal, x: Decimal, b: Decimal) -> str:
    text = f"{_operand(h)} · {written(H)} + {_operand(x)} · {written(X)}"
    return f"{text} {'+' if b > 0 else '−'} {written(abs(b))}" if b else text


def engine() -> dict[str, np.ndarray[tuple[int, ...], np.dtype[np.float64]]]:
    """The gradients of this step's parameters as the engine finds them, unrounded."""
    p = lstm.bind(
        {
            f"{kind}_{key}": np.array([[float(h), float(x)]] if kind == "W" else [float(b)])
            for key, (h, x, b) in WEIGHTS.items()
            for kind in "Wb"
        }
    )
    state = {"h": np.array([float(H)]), "C": np.array([float(C)])}
    run = unroll(lstm, p, np.array([[float(X)]]), state)
    loss: Tensor = 0.5 * (run.steps[-1]["h"] - float(WANTED)) ** 2
    loss.sum().backward()
    return {name: value.grad.data for name, value in p.items() if value.grad is not None}


def _figure(found: dict[str, Decimal]) -> Figure:
    """The cell with weights below its layers and values on its lines."""
    notes = {}
    for key, place in PLACES.items():
        h, x, b = WEIGHTS[key]
        tail = f"+{b}" if Decimal(b) > 0 else b if Decimal(b) else ""
        terms = f"{h}h+{x}x{tail}".replace("1h", "h").replace("+1x", "+x")
        notes[f"weights-{key}"] = Note(terms, place * ACROSS, 260, 0)
    shown = {
        "label-f": (r"f_t", "f", 84, 110, 1),
        "label-i": (r"i_t", "i", 150, 170, 1),
        "label-C_tilde": (r"\tilde{C}_t", "C_tilde", 217, 168, 1),
        "label-o": (r"o_t", "o", 285, 170, 1),
        "label-C": (r"C_t", "C", 446, 40, 1),
        "label-h": (r"h_t", "h", 446, 246, 1),
    }
    for own, (latex, name, x_at, y, side) in shown.items():
        notes[own] = Note(f"{latex}={found[name]:f}", x_at * ACROSS, y, side)
    notes["label-prev.C"] = Note(f"C_{{t-1}}={C}", -38 * ACROSS, 40, -1)
    notes["label-prev.h"] = Note(f"h_{{t-1}}={H}", -38 * ACROSS, 246, -1)
    notes["value-x"] = Note(f"={X}", 62 * ACROSS, 320, 1)
    return noted(stretched(viz.cell(lstm)), "by-hand", notes)
