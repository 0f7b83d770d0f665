"""The answer key: every exercise with its solution for a seed, as text or as one HTML file."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from markupsafe import Markup, escape

from lesson.exercises.tasks import Exercise, ExerciseError
from lesson.exercises.words import say, table
from lesson.terminal_text import wrap_paragraphs
from tinygrad_lstm.atomic import replace_whole

_STYLE = """
body { font: 16px/1.5 sans-serif; max-width: 46em; margin: 2em auto; padding: 0 1em; }
pre { background: #8881; padding: .5em 1em; white-space: pre-wrap; }
section { border-top: 1px solid #8888; break-inside: avoid; }
"""
_POLICY = "default-src 'none'; style-src 'unsafe-inline'"


def text(every: Sequence[Exercise], seed: int, language: str, width: int) -> str:
    """Titles, tasks and solutions in lines of a terminal."""
    words = table("answers")
    lines = [say(words["head"], language, seed=seed), ""]
    for one, title in _titled(every, seed, language):
        lines += [title, ""]
        for key, found in (("task", one.task), ("solution", one.hints[-1])):
            lines += [say(words[key], language), ""]
            lines += [wrap_paragraphs(one.fill(found, seed, language), width), ""]
    return "\n".join(lines)


def html(every: Sequence[Exercise], seed: int, language: str) -> str:
    """The same as an HTML document that needs nothing else and asks for nothing."""
    words = table("answers")
    head = say(words["head"], language, seed=seed)
    made = Markup("").join(
        Markup("<section><h2>{}</h2><h3>{}</h3>{}<h3>{}</h3>{}</section>\n").format(
            title,
            say(words["task"], language),
            _paragraphs(one.fill(one.task, seed, language)),
            say(words["solution"], language),
            _paragraphs(one.fill(one.hints[-1], seed, language)),
        )
        for one, title in _titled(every, seed, language)
    )
    title = say(words["title"], language)
    return Markup(
        '<!doctype html>\n<html lang="{}"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        '<meta http-equiv="Content-Security-Policy" content="{}">'
        "<title>{}</title><style>{}</style></head>\n<body><h1>{}</h1><p>{}</p>\n{}</body></html>\n"
    ).format(language, Markup(_POLICY), title, Markup(_STYLE), title, head, made)


def write(path: Path, content: str) -> None:
    """Write a file; what was there is replaced whole."""
    try:
        with replace_whole(path) as file:
            file.write(content.encode())
    except OSError as error:
        raise ExerciseError(f"{path} cannot be written: {error.strerror or error}.") from error


def _titled(every: Sequence[Exercise], seed: int, language: str) -> Iterator[tuple[Exercise, str]]:
    for number, one in enumerate(every, 1):
        title = one.fill(one.title, seed, language)
        yield one, f"{one.place or number}. {title}" if len(every) > 1 else title


def _paragraphs(content: str) -> Markup:
    """Paragraphs; lines that begin with spaces are code."""
    made = Markup("")
    for paragraph in content.strip("\n").split("\n\n"):
        lines = paragraph.split("\n")
        if all(line.startswith("    ") for line in lines):
            code = "\n".join(line.removeprefix("    ") for line in lines)
            made += Markup("<pre>{}</pre>").format(code)
        else:
            made += Markup("<p>{}</p>").format(Markup("<br>").join(map(escape, lines)))
    return made
