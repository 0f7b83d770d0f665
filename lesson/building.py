"""Building the lesson: train, measure, draw, and put it into one HTML file."""

from __future__ import annotations

import base64
import inspect
from collections.abc import Callable, Mapping
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

import equations
import viz
from lesson import measurements, prose
from lesson.charts import Curve, chart
from lesson.figures import embedded
from lesson.models import Trained, train
from lesson.parts import PARTS, part
from lesson.prose import Texts
from lesson.subject import Subject
from tinygrad_lstm import Tensor, cells, unroll
from tinygrad_lstm.cells import lstm, rnn
from tinygrad_lstm.errors import TinygradError
from tinygrad_lstm.learning import Progress, Text, Training, shakespeare
from tinygrad_lstm.recurrent import Cell
from tinygrad_lstm.tensor import Array

Report = Callable[[str, Progress], Any]
LAGS, PIECES, FAR = 60, 64, 40
STAGES = {"f": ("f",), "i": ("i", "C_tilde"), "C": ("C",), "o": ("o", "h")}


class BuildError(TinygradError):
    """A lesson that cannot be written."""


def build(
    path: Path, seconds: float = 75.0, text: Text | None = None, folder: Path | None = None,
    report: Report | None = None,
) -> Path:  # fmt: skip
    """Write the lesson to `path`, one HTML file that needs nothing else, and return the path.

    seconds: of training in all, a fifth of it for the plain network. folder: where checkpoints
    are kept between builds. report: told the cell's name and the progress of every step.
    """
    writable(path)
    text = text or shakespeare()
    models = {}
    for cell, share in ((lstm, 0.8), (rnn, 0.2)):
        tell = (lambda p, name=cell.name: report(name, p)) if report else None
        models[cell.name] = train(cell, text, share * seconds, folder, tell)
    page = render(models["lstm"], models["rnn"], text)
    try:
        path.write_text(page, encoding="utf-8")
    except OSError as error:
        raise BuildError(f"cannot write {path}: {error.strerror}.") from error
    return path


def writable(path: Path) -> None:
    """Find out before the training whether the page can be written after it."""
    there = path.exists()
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("a"):
            pass
        if not there:
            path.unlink()
    except FileExistsError as error:
        raise BuildError(f"cannot write {path}: {path.parent} is not a folder.") from error
    except OSError as error:
        raise BuildError(f"cannot write {path}: {error.strerror}.") from error


def render(trained: Trained, plain: Trained, text: Text) -> str:
    """The page's HTML from two trained models."""
    held_out = text.characters[-len(trained.training.validation_ids) :]
    line = measurements.read_line(trained.model, measurements.choose_line(held_out))
    subject = Subject(trained, text, line, measurements.telling_unit(line, "f"))
    lags = min(LAGS, len(held_out) - 2)
    pieces = min(PIECES, len(held_out) // (lags + 2))
    curves = {
        "lstm": measurements.reach(trained.model, held_out, "C", lags, pieces),
        "rnn": measurements.reach(plain.model, held_out, "h", lags, pieces),
    }
    facts = _facts(trained, plain, text, line, subject.unit, curves)
    words = Texts("page", {**facts, "pieces": str(pieces)})
    environment = Environment(
        loader=PackageLoader("lesson", "page"), autoescape=True, undefined=StrictUndefined,
        trim_blocks=True, lstrip_blocks=True,
    )  # fmt: skip
    papers = prose.load("papers")
    return environment.get_template("page.html").render(
        t=words, languages=list(words.files), css=_inlined("style", *PARTS, ending="css"),
        scripts=[_inlined(name, ending="js") for name in ("base", *PARTS)],
        part=lambda name: part(name, subject),
        font=base64.b64encode(_asset("assets", "STIXTwoMath-subset.woff2")).decode(),
        listing=_listing(lstm), figures=_figures(), math=_mathematics(),
        strips={stage: _strip(line, subject.unit, stage) for stage in STAGES},
        charts=_charts(trained, words, curves), stages=list(STAGES), surprise=_surprise(line),
        samples=_samples(trained.training), papers=papers,
        sources=list(words.files["en"]["sources"]),
    )  # fmt: skip


def _inlined(*names: str, ending: str) -> Markup:
    """Files of `lesson/page` to be put into the page; a part need not have one of each kind."""
    files = [resources.files("lesson").joinpath("page", f"{name}.{ending}") for name in names]
    return Markup("\n".join(f.read_text(encoding="utf-8") for f in files if f.is_file()))


def _asset(folder: str, name: str) -> bytes:
    return resources.files("lesson").joinpath(folder, name).read_bytes()


def _listing(cell: Cell) -> str:
    return inspect.getsource(cell.step).rstrip()


# --- numbers --------------------------------------------------------------------------------------
def _facts(
    trained: Trained, plain: Trained, text: Text, line: measurements.Line, unit: int,
    curves: Mapping[str, Array],
) -> dict[str, str]:  # fmt: skip
    own = {name: values[:, unit] for name, values in line.values.items()}
    lowest, most = int(np.argmin(own["f"])), int(np.argmax(own["i"]))
    far = min(FAR, len(curves["rnn"]) - 1)
    facts = {
        "hidden": str(trained.model.sizes["hidden"]), "unit": str(unit + 1),
        "line": line.text, "count": str(len(line.text)),
        "seconds": f"{trained.training.state.seconds:.0f}",
        "rnn_seconds": f"{plain.training.state.seconds:.0f}",
        "characters": f"{len(text):,}", "symbols": str(len(trained.model.vocabulary)),
        "uniform": f"{measurements.uniform_bits(len(trained.model.vocabulary)):.2f}",
        "lstm_bits": f"{trained.training.history[-1].validation_bits:.2f}",
        "rnn_bits": f"{plain.training.history[-1].validation_bits:.2f}",
        "f_high": str(int(np.sum(own["f"] > 0.9))), "f_low": _short(own["f"][lowest]),
        "f_low_char": _quoted(line.text[lowest]), "f_low_at": str(lowest + 1),
        "i_high": _short(own["i"][most]), "i_high_char": _quoted(line.text[most]),
        "i_high_at": str(most + 1), "far": str(far), "nine": _percent(0.9**10),
    }  # fmt: skip
    for name in ("C_tilde", "C", "o"):
        facts[f"{name}_low"] = _short(own[name].min())
        facts[f"{name}_high"] = _short(own[name].max())
    for name, curve in curves.items():
        facts[f"{name}_10"], facts[f"{name}_far"] = _percent(curve[10]), _percent(curve[far])
    return facts


def _short(value: float) -> str:
    return f"{value:.2f}".replace("-", "−")


def _percent(share: float) -> str:
    if share >= 0.001:
        return f"{100 * share:.2g} %" if share < 0.1 else f"{100 * share:.0f} %"
    exponent = int(np.floor(np.log10(share)))
    power = str(exponent).translate(str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹"))
    return f"{share / 10.0**exponent:.0f} · 10{power}"


def _quoted(character: str) -> str:
    return f"‘{_visible(character)}’"


def _visible(character: str) -> str:
    return {" ": "␣", "\n": "⏎", "\t": "⇥"}.get(character, character)


def _strip(line: measurements.Line, unit: int, stage: str) -> dict[str, Any]:
    """A table of one unit's values along the line, and the gradients in them."""
    rows, names = [], STAGES[stage]
    for name in names:
        values = line.values[name][:, unit]
        scale = max(1.0, float(np.max(np.abs(values))))
        rows.append(_row(equations.name_latex(name), values, scale, "value"))
    for name in names:
        values = line.gradients[name][:, unit]
        scale = float(np.max(np.abs(values))) or 1.0
        rows.append(_row(equations.name_latex(f"bar.{name}"), values, scale, "gradient"))
    return {"name": stage, "characters": [_visible(c) for c in line.text], "rows": rows}


def _row(latex: str, values: Array, scale: float, kind: str) -> dict[str, Any]:
    cells = [
        {"text": _tight(float(v)), "height": round(100 * abs(float(v)) / scale), "below": v < 0}
        for v in values
    ]
    return {"label": Markup(prose.inline(f"${latex}$", {})), "cells": cells, "kind": kind}


def _tight(value: float) -> str:
    text = f"{value:.2f}"
    return "0" if float(text) == 0 else text.replace("0.", ".", 1).replace("-", "−")


def _surprise(line: measurements.Line) -> list[dict[str, Any]]:
    costs = [None, *line.bits]
    return [
        {"text": _visible(c), "bits": "" if b is None else f"{b:.1f}",
         "share": 0 if b is None else min(100, round(b * 12))}
        for c, b in zip(line.text, costs, strict=True)
    ]  # fmt: skip


def _samples(training: Training) -> list[dict[str, Any]]:
    """What the model wrote at its start, early, halfway and at its end."""
    history = training.history
    early = min(1, len(history) - 1)
    chosen = sorted({0, early, len(history) // 2, len(history) - 1})
    return [
        {"steps": f"{history[k].step:,}", "bits": f"{history[k].validation_bits:.2f}",
         "text": history[k].sample}
        for k in chosen
    ]  # fmt: skip


# --- figures, charts, formulas --------------------------------------------------------------------
def _figures() -> dict[str, Any]:
    figures = {
        "rolled": viz.rolled(rnn), "unrolled": viz.unrolled(rnn, steps=4),
        "rnn": viz.cell(rnn), "lstm": viz.cell(lstm), "legend": viz.legend(),
        "plain_chain": viz.chain(rnn), "lstm_chain": viz.chain(lstm),
        "belt": viz.cell(lstm, focus=("belt:C",)), "gate": viz.cell(lstm, focus=("f", "belt:C")),
        "peephole": viz.difference(lstm, cells.lstm_peephole),
        "coupled": viz.difference(lstm, cells.lstm_coupled), "gru": viz.cell(cells.gru),
        "graph": viz.graph(_small_run(), fold="equation"),
    }  # fmt: skip
    for stage, names in STAGES.items():
        figures[f"stage_{stage}"] = viz.cell(lstm, focus=names)
    return {name: embedded(name, figure) for name, figure in figures.items()}


def _small_run() -> Tensor:
    """A one-unit LSTM over two inputs, after backward."""
    p = lstm.init(inputs=1, hidden=1, seed=3)
    run = unroll(lstm, p, np.array([[1.0], [-0.5]]))
    loss: Tensor = 0.5 * (run.final["h"] - 1.0) ** 2
    loss = loss.sum()
    loss.name = "L"
    loss.backward()
    return loss


def _charts(trained: Trained, words: Texts, curves: Mapping[str, Array]) -> dict[str, Markup]:
    history = trained.training.history
    seen = [(r.step, r.train_bits) for r in history if r.train_bits is not None]
    held = [(r.step, r.validation_bits) for r in history]
    reach = [
        Curve(label, [(k, float(v)) for k, v in enumerate(curves[name])], name)
        for label, name in (("LSTM", "lstm"), ("RNN", "rnn"))
    ]
    learning = [
        Curve(words.plain("model.training"), seen, "rnn"),
        Curve(words.plain("model.held_out"), held, "lstm"),
    ]
    across = {key: words.plain(key) for key in ("forgets.chart_x", "model.curve_x")}
    up = {key: words.plain(key) for key in ("forgets.chart_y", "model.curve_y")}
    return {
        "reach": chart(
            reach, across["forgets.chart_x"], up["forgets.chart_y"], "reach-caption", log=True
        ),
        "learning": chart(
            learning, across["model.curve_x"], up["model.curve_y"], "learning-caption"
        ),
    }


def _mathematics() -> dict[str, Any]:
    """Every formula of the page as MathML."""
    forward, backward = equations.forward(lstm), equations.backward(lstm)
    plain = equations.backward(rnn)
    stages = {}
    for stage, names in STAGES.items():
        stages[stage] = {
            "forward": [Markup(forward[name].mathml(display=True)) for name in names],
            "backward": [
                Markup(backward[f"bar.{name}"].mathml(display=True, width=44)) for name in names
            ],
        }
    relatives = {
        "peephole": cells.lstm_peephole, "coupled": cells.lstm_coupled, "gru": cells.gru
    }  # fmt: skip
    return {
        "rnn": Markup(equations.forward(rnn).mathml()),
        "rnn_back": [
            Markup(plain[name].mathml(display=True)) for name in ("bar.h", "delta.h")
        ],
        "stages": stages,
        "forward": Markup(forward.mathml()),
        "backward": Markup(backward.mathml(width=44)),
        "legend": [
            {"math": prose.inline(f"${note.latex}$", {}), "words": note.words}
            for note in backward.legend
        ],
        "derivation": equations.derive(lstm, "W_f"),
        "relatives": {
            name: {
                "difference": Markup(equations.difference(lstm, cell).mathml()),
                "forward": Markup(equations.forward(cell).mathml()),
            }
            for name, cell in relatives.items()
        },
    }
