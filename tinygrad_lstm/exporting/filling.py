"""What exported files have in common: the words they use, and texts with places to fill."""

from __future__ import annotations

import re
import tomllib
from functools import cache
from importlib import resources


@cache
def reserved(language: str) -> frozenset[str]:
    """Words that no author's name may be: the language's, and those that such files use."""
    return frozenset(tomllib.loads(_read("reserved.toml"))[language].split())


def filled(name: str, **words: object) -> str:
    """A template with `@WORD@` filled in; a line that is nothing but an empty one is left out."""
    text = _read(name).removesuffix("\n")
    for word, value in words.items():
        if not str(value):
            text = re.sub(rf"^ *@{word}@\n", "", text, flags=re.M)
    return re.sub(r"@([A-Z_]+)@", lambda found: str(words[found[1]]), text)


@cache
def _read(name: str) -> str:
    folder = resources.files("tinygrad_lstm.exporting").joinpath("templates")
    return folder.joinpath(name).read_text("utf-8")
