"""One character of the line, chosen by the reader, for all stages of a cell at once."""

from __future__ import annotations

import math
from decimal import Decimal
from typing import Any

import numpy as np
from markupsafe import Markup

import equations
from lesson.arithmetic import digits, plus, times, written
from lesson.page import render
from lesson.prose import Texts
from lesson.stages import Stage, stages
from lesson.subject import Subject
from tinygrad_lstm.notation import visible

Facts = dict[str, str]
SCRIPTS = ("telling", "stages")


def markup(subject: Subject) -> Markup:
    """The characters as radio buttons, and what the page needs to say what each stage does there.

    The sentences are those of `told`; the page puts them together from the numbers of the heat map,
    for any character and unit.
    """
    cell, line = subject.cell, subject.line
    moved = np.abs(np.diff(subject.values(list(cell.state)[-1])))
    followed: dict[str, Any] = {
        "text": line.text,
        "letter": int(np.argmax(moved)) + 1 if moved.size else 0,
        "unit": subject.unit,
        "lstm": subject.is_lstm,
        "stages": [
            [s.key, s.kind, s.names[0], equations.name_unicode(s.names[0], None)]
            for s in stages(cell)
        ],
    }
    return render(
        __name__, t=Texts("stages"), followed=followed, characters=list(visible(line.text))
    )


def told(subject: Subject, stage: Stage, k: int) -> list[tuple[str, Facts]]:
    """What a stage does at character k, forward and back: a text's key, and what is filled in."""
    tell = _lstm if subject.is_lstm else _any
    ahead, back, facts = tell(subject, stage, k)
    t = Texts("stages")
    texts = {key: t.english(key) for key in (ahead, back)}
    return [
        (key, {name: fact for name, fact in facts.items() if f"{{{name}}}" in texts[key]})
        for key in (ahead, back)
    ]


def _lstm(subject: Subject, stage: Stage, k: int) -> tuple[str, str, Facts]:
    """What a stage of the LSTM does at character k, forward and back."""
    n = calculated(subject, k)
    level = "new" if stage.key == "C" else _level(n[stage.key])
    last = stage.key == "C" and k == len(subject.line.text) - 1
    facts = {name: written(number) for name, number in n.items()} | {
        "char": visible(subject.line.text[k]),
        "at": str(k + 1),
        "unit": str(subject.unit + 1),
    }
    return f"{stage.key}.{level}", f"{stage.key}.{'last' if last else 'back'}", facts


def calculated(subject: Subject, k: int) -> dict[str, Decimal]:
    """The LSTM's step and its way back at character k, each number from those that are shown."""
    v = {name: digits(subject.values(name)[k]) for name in subject.line.values}
    n = {**v, "before": digits(subject.values("C")[k - 1] if k else 0.0)}
    n["bar_h"] = digits(subject.gradients("h")[k])
    n["kept"], n["written"] = times(n["f"], n["before"]), times(n["i"], n["C_tilde"])
    n["C"] = plus(n["kept"], n["written"])
    n["tanh"] = digits(math.tanh(n["C"]))
    n["h"] = times(n["o"], n["tanh"])
    n["slope"] = plus(Decimal(1), -times(n["tanh"], n["tanh"]))
    n["from_h"] = times(n["bar_h"], n["o"], n["slope"])
    later = k + 1 < len(subject.line.text)
    for own, name, values in (("next_C", "C", subject.gradients), ("next_f", "f", subject.values)):
        n[own] = digits(values(name)[k + 1]) if later else Decimal(0)
    n["from_next"] = times(n["next_C"], n["next_f"])
    n["bar_C"] = plus(n["from_h"], n["from_next"])
    n["bar_o"] = times(n["bar_h"], n["tanh"])
    n["bar_f"], n["bar_i"] = times(n["bar_C"], n["before"]), times(n["bar_C"], n["C_tilde"])
    n["bar_C_tilde"] = times(n["bar_C"], n["i"])
    return n


def _level(gate: Decimal) -> str:
    return "open" if gate > Decimal("0.9") else "closed" if gate < Decimal("0.1") else "half"


def _any(subject: Subject, stage: Stage, k: int) -> tuple[str, str, Facts]:
    """What an equation of any cell does at character k, forward and back."""
    name = stage.names[0]
    value, slope = digits(subject.values(name)[k]), digits(subject.gradients(name)[k])
    facts = {
        "char": visible(subject.line.text[k]),
        "at": str(k + 1),
        "unit": str(subject.unit + 1),
        "name": equations.name_unicode(name, None),
        "value": written(value),
        "before": written(digits(subject.values(name)[k - 1] if k else 0.0)),
        "share": f"{written(max(value, Decimal(0)).scaleb(2))}\u202f%",
        "slope": written(slope),
    }
    way = "rise" if slope > 0 else "fall" if slope < 0 else "none"
    return f"any.{stage.kind}", f"any.{way}", facts
