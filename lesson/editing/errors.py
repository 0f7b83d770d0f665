"""An error in a cell's file: at which line it is, and in which words it is told."""

from __future__ import annotations

import ast
import re
from pathlib import Path

from lesson import languages
from lesson.error_texts import in_language
from lesson.watching import line_of
from tinygrad_lstm.errors import TinygradError

Words = dict[str, str]  # by language
# the page says both already: which file it is, and at which line
_FILE = re.compile(r"\w+ file .*? does not run:\n  (?:(?:Cell|Shape|UnknownName)Error: )?")
_LINE = re.compile(r" \([^()]+\.py, line \d+\)$")


def in_words(error: BaseException) -> Words:
    """What is wrong, by language."""
    ours = isinstance(error, TinygradError)
    message = str(error) if ours else f"{type(error).__name__}: {error}"
    message = _FILE.sub("", message)
    return {tag: _LINE.sub("", in_language(message, tag)).strip() for tag in languages.languages()}


def place(error: BaseException, path: Path, text: str) -> int | None:
    """The line of a file that an error belongs to, counted from 1; None if there is none."""
    line = _line_of_equation(str(error), text)
    return line or line_of(error, path, text.splitlines())


def _line_of_equation(message: str, text: str) -> int | None:
    """Where the equation that a message names is written in the cell that it names."""
    found = re.search(r"cell '(\w+)', equation (\w+)", message)
    if not found:
        return None
    try:
        tree = ast.parse(text)
    except (SyntaxError, ValueError):
        return None
    for step in ast.walk(tree):
        if isinstance(step, ast.FunctionDef) and step.name == found[1]:
            now = step.args.args[0].arg if step.args.args else ""
            for node in ast.walk(step):
                if isinstance(node, ast.Assign) and any(
                    isinstance(target, ast.Attribute)
                    and target.attr == found[2]
                    and isinstance(target.value, ast.Name)
                    and target.value.id == now
                    for target in node.targets
                ):
                    return node.lineno
    return None
