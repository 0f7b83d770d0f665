"""Errors of the engine in the learner's language: cells that are wrong in many ways."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

from lesson import languages
from lesson.error_texts import in_language
from tinygrad_lstm import cell_files, unroll
from tinygrad_lstm.errors import TinygradError

HEAD = """from tinygrad_lstm import cell, concat, matvec, sigmoid, tanh

@cell(state="{state}", {declared}={{"{W}": "{size}", "b": "hidden"}})
def own({takes}):
    hx = concat(prev.h, x)
"""
LINES = {  # the step's lines, each wrong in its own way
    "star": ["now.h = sigmoid(p.W * hx + p.b)"],
    "a vector too short": ["now.h = tanh(matvec(p.W, x))"],
    "a name": ["now.h = tanh(matvec(p.W, hy))"],
    "read before it is written": ["now.g = now.f * x", "now.h = tanh(matvec(p.W, hx))"],
    "no parameter": ["now.h = tanh(matvec(p.V, hx))"],
    "no state": ["now.h = tanh(matvec(p.W, hx)) * prev.C"],
    "twice": ["now.h = tanh(p.b)", "now.h = tanh(p.b)"],
    "never written": ["now.f = tanh(p.b)"],
    "the state's shape": ["now.h = hx"],
    "a bracket": ["now.h = tanh(matvec(p.W, hx)"],
    "syntax": ["now.h = tanh(matvec(p.W hx))"],
    "indent": ["    now.h = tanh(p.b)"],
    "an argument": ["now.h = tanh(matvec(p.W))"],
    "an attribute": ["now.h = prev.h.nothing"],
    "if": ["if prev.h > 0:", "    now.h = prev.h"],
    "a string": ["now.h = 'a' * prev.h"],
    "prev": ["prev.h = tanh(p.b)"],
    "a call": ["now.h = prev.h(0)"],
}
DECLARED = {
    "a dimension": {"size": "hidden hidden"},
    "a bad name": {"W": "2W"},
    "a reserved name": {"W": "x"},
    "two of one name": {"state": "h h"},
    "no such option": {"declared": "parameter"},
    "no input": {"takes": "now, prev, p"},
}
USUAL = {
    "state": "h",
    "declared": "parameters",
    "W": "W",
    "size": "hidden, hidden + inputs",
    "takes": "now, prev, x, p",
}


def error_of(folder: Path, text: str) -> str:
    path = folder / "cell_of_mine.py"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(TinygradError) as found:
        own = cell_files.find(f"{path}:own")
        unroll(own, own.init(inputs=4, hidden=3, seed=0), np.zeros((2, 4)))
    return str(found.value)


def cases() -> dict[str, str]:
    whole = {name: HEAD.format(**USUAL) + _body(lines) for name, lines in LINES.items()}
    body = _body(["now.h = tanh(p.b)"])
    return whole | {n: HEAD.format(**{**USUAL, **d}) + body for n, d in DECLARED.items()}


def _body(lines: list[str]) -> str:
    return "".join(f"    {line}\n" for line in lines)


@pytest.mark.parametrize("name", cases())
def test_what_a_learner_does_wrong_is_told_in_each_language(name: str, tmp_path: Path) -> None:
    """Of every line of the message nothing stays English but names, code and what was given."""
    text = cases()[name]
    message = error_of(tmp_path, text)
    assert in_language(message, "en") == message
    code = {line.strip() for line in text.splitlines()} | {str(tmp_path)}
    for language in languages.languages()[1:]:
        told = in_language(message, language).split("\n")
        assert len(told) == len(message.split("\n"))
        for line in told:
            assert re.search(r"[\u3000-\u9fff\uac00-\ud7a3]", line), (line, message)
            for part in code:
                line = line.replace(part, "")
            assert not re.search(r"\b(is|are|the|not|does|cannot|of|got)\b", line), line


def test_templates_are_the_same_in_every_language_and_keep_their_fields() -> None:
    field = re.compile(r"\{\w+\}")
    files = [languages.own_texts(x, "errors") for x in languages.languages()[1:]]
    assert all(list(file) == list(files[0]) for file in files)
    for file in files:
        for english, own in file.items():
            assert set(field.findall(own)) <= set(field.findall(english)), own


def test_what_nobody_foresaw_stays_as_it_is() -> None:
    text = "a message\n  of two lines with {braces} and \\1"
    assert in_language(text, "ko") == text
    assert in_language("in cell 'a', b.py line 1: x\n  an odd line", "zh") == (
        "单元 a，b.py 第 1 行：x\n  an odd line"
    )
