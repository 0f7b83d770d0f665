"""Long-term dependencies: a near gap, a far gap, and what is left of a gradient across each."""

from __future__ import annotations

from typing import Any

import viz
from equations.wording import Said
from lesson import measurements
from lesson.belt import belt
from lesson.chapters import Content
from lesson.charts import Curve, chart
from lesson.figures import marked, signs
from lesson.formulas import forward
from lesson.numbers import percent, titled
from lesson.prose import Texts
from lesson.subject import Subject
from tinygrad_lstm.cells import rnn
from viz import Figure
from viz.sentences import listed

ORDER = 20

LAGS, PIECES, NEAR, FAR = 60, 64, 10, 40
SHORT, LONG = (3, (1, 2, 3)), (9, (1,))  # steps in the figure; the inputs that matter


def content(subject: Subject) -> Content:
    """The gaps as figures, and as curves measured on every model."""
    lags = min(LAGS, len(subject.held_out) - 2)
    pieces = min(PIECES, len(subject.held_out) // (lags + 2))
    curves = {
        name: measurements.reach(trained.model, subject.held_out, lags, pieces)
        for name, trained in subject.models.items()
    }
    near, far = min(NEAR, lags), min(FAR, lags)
    facts: dict[str, Any] = {"pieces": str(pieces), "near": str(near), "far": str(far)}
    for name in ("rnn", "lstm", "gru"):
        if name in curves:
            facts[f"{name}_near"] = percent(curves[name][near])
            facts[f"{name}_far"] = percent(curves[name][far])
    along = {
        n: belt(one.model, subject.held_out, lags, pieces) for n, one in subject.models.items()
    }
    told = along.get("lstm")
    if told is not None:
        settings = subject.models["lstm"].training.settings
        facts |= {
            "belt_near": percent(told.curve[near]),
            "belt_far": percent(told.curve[far]),
            "holding": str(told.holding),
            "held_size": f"{told.size:.1f}",
            "held_slope": percent(told.slope),
            "steps": f"{subject.models['lstm'].training.state.step:,}",
            "batch": str(settings.batch),
            "length": str(settings.length),
        }
    facts["cell_far"] = percent(curves[subject.cell.name][far])
    words = Texts("page")
    settings = subject.trained.training.settings
    facts |= {"clip": f"{settings.clip:g}", "chunk": str(settings.length)}
    if {"rnn", "lstm", "gru"} <= set(curves):
        ratio = float(curves["lstm"][far] / curves["rnn"][far]) if curves["rnn"][far] else 0.0
        facts["lstm_over_rnn"] = f"{ratio:,.0f}" if ratio >= 10 else f"{ratio:.2g}"
        above = "gru" if curves["gru"][far] > curves["lstm"][far] else "lstm"
        facts["gru_says"] = words.plain(f"forgets.{above}_above", far=str(far))
    drawn = [
        Curve(titled(name), list(enumerate(map(float, curve))), f"c{k}")
        for k, (name, curve) in enumerate(curves.items())
    ]
    for name, one in along.items():
        if one is not None:
            label = f"{titled(name)}: {one.state}"
            drawn.append(Curve(label, list(enumerate(map(float, one.curve))), "c3"))
            curves[label] = one.curve
    return Content(
        facts,
        {"near_gap": _gap("near", *SHORT), "far_gap": _gap("far", *LONG), "rnn": viz.cell(rnn)},
        {
            "forward": forward(rnn),
            "signs": [subject.draw(f"legend-{sign.title}", sign) for sign in signs()],
            "chart": chart(
                drawn,
                words.plain("forgets.chart_x"),
                words.plain("forgets.chart_y"),
                "reach-caption",
                log=True,
            ),
            "curves": curves,
            "belt": Texts("reach", facts).block("belt_text") if subject.is_lstm else "",
            "lags": [k for k in (1, 2, 5, 10, 20, 40, 60) if k <= lags],
        },
    )


def _gap(name: str, steps: int, read: tuple[int, ...]) -> Figure:
    """An unrolled network in which the last output needs the inputs of some steps."""
    path = {f"m{steps}-wire-out", f"m{steps}-out"}
    path |= {f"m{k}-{part}" for k in read for part in ("in-x", "wire-x")}
    path |= {f"pass-h-{k}" for k in range(read[0], steps)}
    source = listed(f"x_{k}" for k in read)
    told = Said(
        "The path of {source} to {target} is highlighted.", source=source, target=f"h_{steps}"
    )
    return marked(viz.unrolled(rnn, steps), name, "forward", path.__contains__, told)
