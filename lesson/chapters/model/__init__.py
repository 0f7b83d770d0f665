"""The trained model: what it learned, how, what it writes and where it is surprised."""

from __future__ import annotations

from typing import Any

from lesson import languages, measurements
from lesson.chapters import Content
from lesson.charts import Curve, chart
from lesson.measurements import context_bits
from lesson.prose import Texts
from lesson.subject import Subject
from tinygrad_lstm.learning.texts import SHAKESPEARE

ORDER = 90


def content(subject: Subject) -> Content:
    """The models in a table, the learning curve, samples, and the cost of each character."""
    model = subject.model
    words, text = Texts("page"), subject.text.name
    named = {tag: languages.language(tag).set_apart(text) for tag in words.files}
    facts: dict[str, Any] = {
        "characters": f"{len(subject.text):,}",
        "symbols": str(len(model.vocabulary)),
        "text": words.plain("model.shakespeare") if text == SHAKESPEARE else named,
        "uniform": f"{measurements.uniform_bits(len(model.vocabulary)):.2f}",
        **{f"bits_{k + 1}": f"{context_bits(subject.text.characters, k):.2f}" for k in range(3)},
        "seconds": f"{subject.trained.training.state.seconds:.0f}",
        "bits": f"{subject.trained.training.history[-1].validation_bits:.2f}",
    }
    history = subject.trained.training.history
    seen = [(r.step, r.train_bits) for r in history if r.train_bits is not None]
    held = [(r.step, r.validation_bits) for r in history]
    # what it wrote at its start, early, halfway and at its end
    chosen = sorted({0, min(1, len(history) - 1), len(history) // 2, len(history) - 1})
    curves = [
        Curve(words.plain("model.held_out"), held, "c0"),
        Curve(words.plain("model.training"), seen, "c1"),
    ]
    more = {
        "chart": chart(
            [curve for curve in curves if curve.points],  # a very short training has one alone
            words.plain("model.curve_x"),
            words.plain("model.curve_y"),
            "learning-caption",
        ),
        "samples": [history[k] for k in chosen],
        "surprise": list(zip(subject.line.text, [0, *subject.line.bits], strict=True)),
    }
    return Content(facts, more=more)
