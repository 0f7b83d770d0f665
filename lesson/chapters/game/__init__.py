"""What the networks of the page do: a letter goes in, chances come out, and it costs some bits."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from lesson import measurements
from lesson.chapters import Content
from lesson.numbers import percent, quoted, short
from lesson.subject import Subject
from tinygrad_lstm.notation import visible

ORDER = 5

TOP, ROUNDS, FIRST = 5, 3, 8  # guesses shown, letters to be guessed, letters read before


def content(subject: Subject) -> Content:
    """One guess from end to end on the page's line, and rounds of a game against the network."""
    model, text = subject.model, subject.line.text
    seen = model.observe(text)
    bet = measurements.safe_bet(subject.text.characters)
    at = _telling(subject.line.bits)
    embedding = model.parameters.get("input.E")
    inside = np.asarray(seen.run[subject.cell.output].data).reshape(len(text), -1)[at]
    bars = [
        {"letter": visible(letter), "share": percent(p), "width": f"{100 * p:.1f}", "came": came}
        for letter, p in seen.expected(at, TOP)
        for came in [letter == text[at + 1]]
    ]
    facts: dict[str, Any] = {
        "symbols": str(len(model.vocabulary)),
        "inputs": str(model.sizes.get("inputs", 1)),
        "hidden": str(model.sizes.get("hidden", 1)),
        "bet_before": bet.before,
        "bet_next": bet.after,
        "bet_share": percent(bet.share),
        "top": str(len(bars)),
        "shown_before": quoted(text[max(0, at - 11) : at]),
        "shown_char": quoted(text[at]),
        "shown_next": quoted(text[at + 1]),
        "shown_bits": f"{subject.line.bits[at]:.1f}",
    }
    numbers = [] if embedding is None else embedding[model.vocabulary.encode(text[at])[0]]
    shown = {
        "letter": visible(text[at]),
        "numbers": [short(float(v)) for v in np.ravel(numbers)[:3]],
        "inside": [short(float(v)) for v in inside[:3]],
        "bars": bars,
        "bits": f"{subject.line.bits[at]:.1f}",
    }
    return Content(facts, more={"shown": shown})


def _telling(bits: list[float]) -> int:
    """A place with letters before it whose guess was fair, neither sure nor hopeless."""
    fair = [abs(cost - 1.5) if k >= FIRST else math.inf for k, cost in enumerate(bits)]
    return int(np.argmin(fair)) if any(map(math.isfinite, fair)) else 0


def rounds(subject: Subject) -> list[dict[str, Any]]:
    """Letters to be guessed: what was read, what comes, and what the network expected."""
    seen, text = subject.model.observe(subject.line.text), subject.line.text
    step = max(1, (len(text) - 1 - FIRST) // ROUNDS)
    places = [k for k in range(FIRST, len(text) - 1) if text[k + 1].isalpha()][::step][:ROUNDS]
    return [
        {
            "before": text[: k + 1],
            "next": text[k + 1],
            "bits": f"{subject.line.bits[k]:.1f}",
            "guesses": [[letter, percent(p)] for letter, p in seen.expected(k, 3)],
        }
        for k in places
    ]
