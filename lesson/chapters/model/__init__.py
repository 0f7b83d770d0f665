"""The trained model: what it learned, how, what it writes and where it is surprised."""

from __future__ import annotations

from typing import Any

from lesson import languages, measurements
from lesson.chapters import Content
from lesson.charts import Curve, chart
from lesson.numbers import titled
from lesson.prose import Texts
from lesson.subject import Subject
from tinygrad_lstm.learning import Training
from tinygrad_lstm.learning.texts import SHAKESPEARE
from tinygrad_lstm.notation import visible

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
        "seconds": f"{subject.trained.training.state.seconds:.0f}",
        "bits": f"{subject.trained.training.history[-1].validation_bits:.2f}",
    }
    history = subject.trained.training.history
    seen = [(r.step, r.train_bits) for r in history if r.train_bits is not None]
    held = [(r.step, r.validation_bits) for r in history]
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
        "models": [
            {
                "name": titled(name),
                "count": f"{t.model.count:,}",
                "seconds": f"{t.training.state.seconds:.0f}",
                "characters": f"{_read(t.training) / 1e6:.1f} M",
                "bits": f"{t.training.history[-1].validation_bits:.2f}",
            }
            for name, t in subject.models.items()
        ],
        "samples": _samples(subject.trained.training),
        "surprise": _surprise(subject),
    }
    return Content(facts, more=more)


def _read(training: Training) -> int:
    settings = training.settings
    return training.state.step * settings.batch * settings.length


def _samples(training: Training) -> list[dict[str, Any]]:
    """What the model wrote at its start, early, halfway and at its end."""
    history = training.history
    early = min(1, len(history) - 1)
    chosen = sorted({0, early, len(history) // 2, len(history) - 1})
    return [
        {
            "steps": f"{history[k].step:,}",
            "bits": f"{history[k].validation_bits:.2f}",
            "text": history[k].sample,
        }
        for k in chosen
    ]


def _surprise(subject: Subject) -> list[dict[str, Any]]:
    costs = [None, *subject.line.bits]
    return [
        {
            "text": visible(c),
            "bits": "" if b is None else f"{b:.1f}",
            "share": 0 if b is None else min(100, round(b * 12)),
        }
        for c, b in zip(subject.line.text, costs, strict=True)
    ]
