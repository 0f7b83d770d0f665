"""The engine's errors in the reader's language: what a cell does wrong, said where it is learned.

`errors.toml` of a language has the engine's English lines, with {fields}, and beside each its own
line. What stands in a field may be such a text itself: the owner, a Python error. So a new error
takes one line in each language, and what none has stays as the engine says it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache

from lesson import languages

_FIELD = re.compile(r"\{(\w+)\}")


def in_language(message: str, language: str) -> str:
    """An error's message in a language, line by line; lines that it has no words for stay."""
    templates = tuple(languages.texts(language, "errors").items())
    return "\n".join(_line(line, templates) for line in message.split("\n"))


def _line(line: str, templates: tuple[tuple[str, str], ...]) -> str:
    text = line.lstrip(" ")
    for english, own in templates:
        if found := _pattern(english).fullmatch(text):
            parts = {
                name: value if value == text else _line(value, templates)
                for name, value in found.groupdict().items()
            }
            return line[: len(line) - len(text)] + _filled(own, parts)
    return line


def _filled(text: str, parts: Mapping[str, str]) -> str:
    return _FIELD.sub(lambda field: parts[field[1]], text)


@lru_cache(maxsize=512)
def _pattern(english: str) -> re.Pattern[str]:
    pieces = _FIELD.split(english)  # text, field, text, …
    return re.compile(
        "".join(f"(?P<{p}>.+?)" if k % 2 else re.escape(p) for k, p in enumerate(pieces))
    )
