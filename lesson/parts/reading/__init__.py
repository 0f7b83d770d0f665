"""The first screen: a trained model reads a line that the reader may change, letter by letter.

Each letter is coloured by what one unit of the model's last state holds after it; bars show which
letters it expects next. Without JavaScript both stand there for the line that was chosen.
"""

from __future__ import annotations

from typing import Any

from markupsafe import Markup

from lesson.meaning import Held
from lesson.numbers import percent, short, titled
from lesson.page import render
from lesson.prose import Texts
from lesson.subject import Subject
from tinygrad_lstm.notation import visible

GUESSES, LONGEST = 6, 200


def markup(subject: Subject) -> Markup:
    """The line, its colours and the guesses after it."""
    text = subject.opening
    seen, held = subject.model.observe(text), subject.held
    values = seen.run[list(subject.cell.state)[-1]].data.reshape(len(text), -1)
    at = max(1, text.rfind(" ", 0, len(text) - 1))  # what follows is not clear there
    unit = subject.unit % values.shape[1]
    known = {each.unit: each for each in held[subject.cell.name]}
    scale = known[unit].scale if unit in known else float(abs(values[:, unit]).max()) or 1.0
    kind = known[unit].kind if unit in known else "none"
    facts = {
        "unit": str(unit + 1),
        "units": str(values.shape[1]),
        "cell": titled(subject.cell.name),
        "shown": list(subject.cell.state)[-1],
        "first": short(float(values[0, unit])),
        "at": str(at + 1),
        "last": short(float(values[-1, unit])),
    }
    return render(
        __name__,
        t=Texts("reading", facts),
        kind=kind,
        text=text,
        longest=LONGEST,
        letters=[colour(c, v, scale) for c, v in zip(text, values[:, unit], strict=True)],
        guesses=[
            {"letter": visible(letter), "share": percent(p), "width": f"{100 * p:.1f}"}
            for letter, p in seen.expected(at, GUESSES)
        ],
        reading={
            "text": text,
            "at": at,
            "cell": subject.cell.name,
            "unit": unit,
            "longest": LONGEST,
            "count": GUESSES,
            "networks": {name: networks(subject, name, held[name]) for name in subject.models},
        },
    )


def networks(subject: Subject, name: str, held: list[Held]) -> dict[str, Any]:
    """What the part tells of a network: the state it shows, and the units that hold something."""
    return {
        "title": titled(name),
        "state": list(subject.models[name].model.cell.state)[-1],
        "held": [
            {"unit": each.unit, "kind": each.kind, "scale": round(each.scale, 4)} for each in held
        ],
    }


def colour(letter: str, value: float, scale: float) -> dict[str, Any]:
    """A letter with how far a value is from zero, in percent of a scale."""
    return {
        "letter": visible(letter),
        "share": min(100, round(100 * abs(float(value)) / scale)),
        "below": value < 0,
        "value": short(float(value)),
    }
