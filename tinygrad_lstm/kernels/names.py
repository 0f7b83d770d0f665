"""What generated source is made of: an author's names and numbers, made harmless; files; lines."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from functools import cache
from importlib import resources
from typing import Any

import numpy as np


def distinct(name: str, taken: set[str], ascii_only: bool = False) -> str:
    """A name that may be part of an identifier; `taken`, the others, takes it in.

    Words of the language and names around are avoided by what is put before or behind it.
    """
    base = re.sub(r"\W+", "_", unicodedata.normalize("NFKC", name))  # as Python reads it
    if ascii_only:
        base = re.sub(r"[^\x00-\x7f]", lambda found: f"u{ord(found[0]):x}", base)
    made, k = base, 2
    while made in taken:
        made, k = f"{base}_{k}", k + 1
    taken.add(made)
    return made


def number(value: Any, infinity: str, nan: str) -> str:
    """A number as source text; the language's own names for the two that are no digits."""
    value = float(value)
    if np.isnan(value):
        return nan
    return repr(value) if np.isfinite(value) else f"{'-' * (value < 0)}{infinity}"


def comment_text(line: str, length: int) -> str:
    """A line of the plan for a comment."""
    text = " ".join(line.split())
    return text if len(text) <= length else f"{text[: length - 1]}…"


@cache
def file(name: str) -> str:
    """A file of this room."""
    return resources.files("tinygrad_lstm.kernels").joinpath(name).read_text(encoding="utf-8")


def indented(lines: Iterable[str], depth: int = 0, space: str = "    ") -> str:
    """Lines of a language with braces, each as deep as they say."""
    done = []
    for line in lines:
        depth -= line.startswith("}")
        done.append(line if line.startswith("#") else space * depth + line)
        depth += line.endswith("{")
    return "\n".join(done)
