"""The lesson's text: language files, numbers put in, Markdown with mathematics to HTML."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from importlib import resources
from typing import Any

from markdown_it import MarkdownIt
from markupsafe import Markup
from mdit_py_plugins.dollarmath import dollarmath_plugin

from equations.markup import math, mathml_row
from tinygrad_lstm.errors import UnknownNameError

_MARKDOWN = MarkdownIt("commonmark", {"html": False}).use(
    dollarmath_plugin, renderer=lambda latex, options: _mathematics(latex, options)
)


def _mathematics(latex: str, options: Mapping[str, Any]) -> str:
    return math(mathml_row(latex), display=bool(options["display_mode"]))


def load(name: str) -> dict[str, Any]:
    """A file of `lesson/texts`, such as "en"."""
    file = resources.files("lesson").joinpath("texts", f"{name}.toml")
    return tomllib.loads(file.read_text(encoding="utf-8"))


def filled(text: str, facts: Mapping[str, str]) -> str:
    """`text` with every {{name}} replaced by the fact of that name."""

    def fact(found: re.Match[str]) -> str:
        if found[1] not in facts:
            raise UnknownNameError(
                f"the lesson's text asks for {{{{{found[1]}}}}}, which is not measured; "
                f"there are {', '.join(sorted(facts))}."
            )
        return facts[found[1]]

    return re.sub(r"\{\{(\w+)\}\}", fact, text)


def html(text: str, facts: Mapping[str, str]) -> Markup:
    """Markdown paragraphs as HTML."""
    escaped = {name: _literal(value) for name, value in facts.items()}
    return Markup(_MARKDOWN.render(filled(text, escaped)))


def inline(text: str, facts: Mapping[str, str]) -> Markup:
    """Markdown within a line as HTML."""
    escaped = {name: _literal(value) for name, value in facts.items()}
    return Markup(_MARKDOWN.renderInline(filled(text, escaped)))


def _literal(value: str) -> str:
    """A fact as Markdown that reads as it is: a line of a play may hold any sign."""
    return re.sub(r"([\\`*_{}\[\]()#+.!|<>$~-])", r"\\\1", value)
