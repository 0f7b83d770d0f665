"""One character of the line, chosen by the reader, for all stages of a cell at once."""

from __future__ import annotations

import numpy as np
from markupsafe import Markup

import equations
from lesson.numbers import percent, quoted, short
from lesson.page import render
from lesson.prose import Texts
from lesson.stages import Stage, stages
from lesson.subject import Subject
from tinygrad_lstm.notation import visible

Facts = dict[str, str]


def markup(subject: Subject) -> Markup:
    """The characters as radio buttons, and as data what each stage does there, in words."""
    t = Texts("stages")
    tell = _lstm if subject.is_lstm else _any
    count = range(len(subject.line.text))
    told = {
        stage.key: [_sentences(t, *tell(subject, stage, k)) for k in count]
        for stage in stages(subject.cell)
    }
    moved = np.abs(np.diff(subject.values(list(subject.cell.state)[-1])))
    data = {"told": told, "first": int(np.argmax(moved)) + 1 if moved.size else 0}
    return render(__name__, t=t, stages=data, characters=list(visible(subject.line.text)))


def _sentences(t: Texts, ahead: str, back: str, facts: Facts) -> list[tuple[str, Facts]]:
    """The keys of two texts, each with the facts that the text has a field for."""
    texts = {key: t.english(key) for key in (ahead, back)}
    return [
        (key, {name: fact for name, fact in facts.items() if f"{{{name}}}" in texts[key]})
        for key in (ahead, back)
    ]


def _lstm(subject: Subject, stage: Stage, k: int) -> tuple[str, str, Facts]:
    """What a stage of the LSTM does at character k, forward and back."""
    v = {name: float(subject.values(name)[k]) for name in subject.line.values}
    g = {name: float(subject.gradients(name)[k]) for name in subject.line.values}
    before = float(subject.values("C")[k - 1]) if k else 0.0
    kept, written = v["f"] * before, v["i"] * v["C_tilde"]
    slope = 1 - np.tanh(v["C"]) ** 2
    from_h = g["h"] * v["o"] * slope
    facts = {name: short(value) for name, value in v.items()}
    facts |= {f"bar_{name}": short(value) for name, value in g.items()}
    facts |= {
        "char": quoted(subject.line.text[k]),
        "at": str(k + 1),
        "unit": str(subject.unit + 1),
        "before": short(before),
        "kept": short(kept),
        "written": short(written),
        "f_share": percent(v["f"]),
        "i_share": percent(v["i"]),
        "o_share": percent(v["o"]),
        "tanh": short(np.tanh(v["C"])),
        "from_h": short(from_h),
        "from_next": short(g["C"] - from_h),
        "slope": short(slope),
    }
    level = {"f": _level(v["f"]), "i": _level(v["i"]), "C": "new", "o": _level(v["o"])}[stage.key]
    last = stage.key == "C" and k == len(subject.line.text) - 1
    return f"{stage.key}.{level}", f"{stage.key}.{'last' if last else 'back'}", facts


def _level(gate: float) -> str:
    return "open" if gate > 0.9 else "closed" if gate < 0.1 else "half"


def _any(subject: Subject, stage: Stage, k: int) -> tuple[str, str, Facts]:
    """What an equation of any cell does at character k, forward and back."""
    name = stage.names[0]
    values, slope = subject.values(name), float(subject.gradients(name)[k])
    facts = {
        "char": quoted(subject.line.text[k]),
        "at": str(k + 1),
        "unit": str(subject.unit + 1),
        "name": equations.name_unicode(name, None),
        "value": short(values[k]),
        "before": short(values[k - 1] if k else 0.0),
        "share": percent(max(values[k], 0.0)),
        "slope": short(slope),
    }
    way = "rise" if slope > 0 else "fall" if slope < 0 else "none"
    return f"any.{stage.kind}", f"any.{way}", facts
