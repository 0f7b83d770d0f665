"""Questions of a chapter: predictions on the way, and a check at its end; answers explain.

`questions.toml` of each language has a table for each chapter, and in it one for each question:
what is asked, the answers, the right one first, and why. Those called `before…` stand on the way,
those called `at-FIGURE` folded above a figure; all others at the end.
"""

from __future__ import annotations

import hashlib
from typing import Any

from markupsafe import Markup

from lesson import languages
from lesson.page import render
from lesson.prose import Texts, inline
from lesson.subject import Subject


def markup(subject: Subject, chapter: str, kind: str) -> Markup:
    """The questions of a chapter that are asked on the way ("before"), at its end ("after"), or at
    a figure, by its key `at-FIGURE`.
    """
    texts = Texts("questions")
    every: dict[str, Any] = texts.files[languages.DEFAULT].get(chapter, {})
    asked = {key: q for key, q in every.items() if kind in (key, _kind(key))}
    shown = [
        {
            "name": f"question-{chapter}-{key}",
            "ask": texts.line(f"{chapter}.{key}.ask"),
            "answers": [(k, _answer(texts, f"{chapter}.{key}", k)) for k in _order(key, question)],
            "why": texts.line(f"{chapter}.{key}.why"),
        }
        for key, question in asked.items()
    ]
    check = kind == "after" and bool(shown)
    return render(__name__, t=texts, questions=shown, check=check, folded=_kind(kind) == "at")


def _kind(key: str) -> str:
    """Where a question is asked, by its key."""
    return next((kind for kind in ("before", "at") if key.startswith(kind)), "after")


def _answer(texts: Texts, question: str, k: int) -> Markup:
    """One answer in every language."""
    words = {
        tag: str(file[question.split(".")[0]][question.split(".")[1]]["answers"][k])
        for tag, file in texts.files.items()
    }
    return Markup("").join(
        Markup('<span class="say" lang="{}">{}</span>').format(tag, inline(text, {}, tag))
        for tag, text in words.items()
    )


def _order(key: str, question: dict[str, Any]) -> list[int]:
    """The answers mixed, each time alike; the first of the file is the right one."""
    count = range(len(question["answers"]))
    text = question["ask"]
    return sorted(count, key=lambda k: hashlib.sha256(f"{text}{key}{k}".encode()).digest())
