"""What a reader multiplies is what is shown: worked sentences, and the calculation by hand."""

from __future__ import annotations

import re
from decimal import Decimal
from functools import reduce

import numpy as np
import pytest
from lesson_pages import about

from lesson import arithmetic, languages
from lesson.chapters import hand
from lesson.parts.stages import calculated, told
from lesson.prose import Texts
from lesson.stages import stages

# In the sentences of a stage: what is multiplied or added, and the result.
RELATIONS = {
    "f": [("*", "f before", "kept")],
    "i": [("*", "i C_tilde", "written")],
    "C": [("+", "kept written", "C")],
    "o": [("*", "o tanh", "h")],
}
BACK = {
    "f": [("*", "bar_C before", "bar_f")],
    "i": [("*", "bar_C C_tilde", "bar_i"), ("*", "bar_C i", "bar_C_tilde")],
    "C": [
        ("*", "bar_h o slope", "from_h"),
        ("*", "next_C next_f", "from_next"),
        ("+", "from_h from_next", "bar_C"),
    ],
    "o": [("*", "bar_h tanh", "bar_o")],
}
NUMBER = "−?[0-9][0-9.]*?(?:\u202f·\u202f10[⁻⁰¹²³⁴⁵⁶⁷⁸⁹]+)?"
OTHER = ("char", "at", "unit")  # fields that are no numbers of the calculation


def numbers_in(template: str, sentence: str) -> dict[str, Decimal]:
    """The numbers of a sentence by field, read from its text as a reader reads them."""
    pattern, fields = "", []
    for k, piece in enumerate(re.split(r"\{(\w+)\}", template)):
        if k % 2:
            fields.append(piece)
            pattern += "(.+?)" if piece in OTHER else f"({NUMBER})"
        else:
            pattern += re.escape(piece)
    found = re.fullmatch(pattern, sentence)
    assert found, (template, sentence)
    texts = [(f, text) for f, text in zip(fields, found.groups(), strict=True) if f not in OTHER]
    read = {field: arithmetic.read(text) for field, text in texts}
    assert all(read[field] == arithmetic.read(text) for field, text in texts)
    return read


@pytest.mark.parametrize("language", languages.languages())
def test_every_worked_sentence_closes(language: str) -> None:
    """At every character and stage the numbers that are read give the result that is read."""
    texts, closed = Texts("stages"), 0
    for stage in stages(about().cell):
        for k in range(len(about().line.text)):
            pairs = zip(told(about(), stage, k), (RELATIONS, BACK), strict=True)
            for (key, facts), relations in pairs:
                template = texts.plain(key)[language]
                sentence = re.sub(r"\{(\w+)\}", lambda m, f=facts: f[m[1]], template)
                read = numbers_in(template, sentence)
                for sign, operands, result in relations[stage.key] if "last" not in key else ():
                    values = [read[name] for name in operands.split()]
                    exact = reduce(lambda a, b, s=sign: a * b if s == "*" else a + b, values)
                    assert arithmetic.plus(exact) == read[result], sentence
                    closed += 1
    assert closed > 5 * len(about().line.text)


def test_shown_numbers_are_those_of_the_model() -> None:
    """Three digits, and sums of two such: as near as that to what the model computed."""
    subject = about()
    for k in range(len(subject.line.text)):
        shown = calculated(subject, k)
        for name in ("f", "i", "o", "C", "h"):
            value = float(subject.values(name)[k])
            assert abs(float(shown[name]) - value) < 0.012 * max(abs(value), 0.2), (k, name)
        for name in ("C", "f", "i", "o"):
            largest = float(np.abs(subject.gradients(name)).max())
            off = abs(float(shown[f"bar_{name}"]) - float(subject.gradients(name)[k]))
            assert off < 0.02 * largest, (k, name)


def test_the_calculation_by_hand_is_that_of_the_engine() -> None:
    parts = hand.calculation()
    found = {row.name: float(row.result) for part in parts for row in part}
    engine = hand.engine()
    for name, value in (("W_f.h", engine["W_f"][0, 0]), ("W_f.x", engine["W_f"][0, 1])):
        assert found[name] == pytest.approx(value, rel=0.02)
    assert found["b_f"] == pytest.approx(engine["b_f"][0], rel=0.02)
    assert [row.name for row in parts[0]] == ["f", "i", "C_tilde", "C", "o", "h"]


def test_each_line_by_hand_closes() -> None:
    """What stands before the result, calculated as it is written there."""
    names = {"σ": lambda a: 1 / (1 + np.exp(-a)), "tanh": np.tanh}
    for row in (row for part in hand.calculation() for row in part):
        text = row.numbers.rpartition(" = ")[2].replace("−", "-").replace("·", "*")
        text = text.replace("²", "**2").replace("½", "0.5")
        value = float(eval(text, {"__builtins__": {}}, names))  # our own numbers
        assert value == pytest.approx(float(row.result), rel=0.005), row


@pytest.mark.parametrize("value", [0.0, 1.0, -0.5, 0.0955, 2.4e-6, -3.51e-12, 123.4, 9.996, 1e9])
def test_what_is_written_is_read_again(value: float) -> None:
    shown = arithmetic.digits(value)
    assert arithmetic.read(arithmetic.written(shown)) == shown
    assert float(shown) == pytest.approx(value, rel=0.005)
