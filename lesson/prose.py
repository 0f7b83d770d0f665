"""The lesson's text: files in each language, numbers put in, Markdown with mathematics to HTML."""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Callable, Mapping
from functools import lru_cache
from importlib import resources
from typing import Any

from markdown_it import MarkdownIt
from markupsafe import Markup, escape
from mdit_py_plugins.dollarmath import dollarmath_plugin

from equations.markup import math, mathml_row
from equations.wording import translated
from tinygrad_lstm.errors import UnknownNameError

LANGUAGES = ("en", "ko", "zh")  # the first one is the one a page opens in

# Chinese has no spaces between words: a line that ends in the middle of a sentence leaves none.
_UNSPACED = re.compile(r"(?<=[\u3000-\u9fff\uff00-\uffef])\n(?=[\u3000-\u9fff\uff00-\uffef])")

# Browsers break a line between a formula and a wide sign beside it; no line may begin with a comma.
_FORMULA = r'<span class="math inline">(?:(?!</span>).)*</span>'
_BESIDE = re.compile(
    rf"（{_FORMULA}[，。：；、）！？]*|{_FORMULA}[，。：；、）！？]+"
    # Nor with the particle that Korean adds to a formula or a year.
    rf"|(?:{_FORMULA}\)?|\(\d+\))[가-힣]+[.,]?",
    re.DOTALL,
)

_MARKDOWN = MarkdownIt("commonmark", {"html": False}).use(
    dollarmath_plugin, renderer=lambda latex, options: _mathematics(latex, options)
)


@lru_cache(maxsize=2048)
def _formula(latex: str) -> str:
    return mathml_row(latex)


def _mathematics(latex: str, options: Mapping[str, Any]) -> str:
    return math(_formula(latex), display=bool(options["display_mode"]))


def load(*path: str) -> dict[str, Any]:
    """A file of `lesson/texts`: `load("ko", "page")`, `load("papers")`."""
    file = resources.files("lesson").joinpath("texts", *path[:-1], f"{path[-1]}.toml")
    return tomllib.loads(file.read_text(encoding="utf-8"))


def languages(name: str) -> tuple[str, ...]:
    """The languages that have a text of this name."""
    texts = resources.files("lesson").joinpath("texts")
    return tuple(x for x in LANGUAGES if texts.joinpath(x, f"{name}.toml").is_file())


class Texts:
    """The texts `lesson/texts/LANGUAGE/NAME.toml` in every language.

    A key is dotted as the tables of the file are nested: "loops.title". `facts` fill {{name}} in
    all of them; a fact may also be a mapping from language to text.
    """

    def __init__(self, name: str, facts: Mapping[str, Any] | None = None) -> None:
        self.name = name
        self.facts = dict(facts or {})
        self.files = {language: load(language, name) for language in languages(name)}

    def plain(self, key: str, **facts: Any) -> dict[str, str]:
        """The text of a key by language, as it stands in the files, facts filled in."""
        return {x: filled(self._found(x, key), self._facts(x, facts)) for x in self.files}

    def block(self, key: str, **facts: Any) -> Markup:
        """Paragraphs, lists and quotations: a <div> with one <div class="say"> a language."""
        return Markup('<div class="text">{}</div>').format(self._say("div", html, key, facts))

    def line(self, key: str, **facts: Any) -> Markup:
        """Words within a line: one <span class="say"> a language."""
        return self._say("span", inline, key, facts)

    def script(self, *keys: str) -> Markup:
        """The texts of some keys, or of all, as JSON for `lesson.text(name, key)` on the page."""
        chosen = self.files
        if keys:
            chosen = {x: {key: file[key] for key in keys} for x, file in self.files.items()}
        script = Markup('<script type="application/json" class="texts" data-texts="{}">{}</script>')
        return script.format(self.name, as_json(chosen))

    def _found(self, language: str, key: str) -> str:
        value: Any = self.files[language]
        for word in key.split("."):
            value = value[word]
        return _UNSPACED.sub("", str(value))

    def _facts(self, language: str, facts: Mapping[str, Any]) -> dict[str, str]:
        every = {**self.facts, **facts}
        return {k: v[language] if isinstance(v, Mapping) else v for k, v in every.items()}

    def _say(
        self,
        tag: str,
        make: Callable[[str, Mapping[str, str]], Markup],
        key: str,
        facts: Mapping[str, Any],
    ) -> Markup:
        return Markup("").join(
            said(x, make(self._found(x, key), self._facts(x, facts)), tag) for x in self.files
        )


def said(language: str, content: str, tag: str = "span") -> Markup:
    """Content in one language; its siblings in the others are hidden by the page."""
    return Markup(f'<{tag} class="say" lang="{language}">{escape(content)}</{tag}>')


@lru_cache(maxsize=8)
def catalogue(language: str) -> dict[str, str]:
    """The sentences of figures and derivations: from their English templates to a language's."""
    return {each["en"]: each[language] for each in load("sentences")["sentence"]}


def told(text: str) -> Markup:
    """A sentence that figures or derivations are described with, in every language of the page."""
    return Markup("").join(
        said(language, translated(text, catalogue(language))) for language in languages("page")
    )


def as_json(value: Any) -> Markup:
    """JSON that may stand in a <script> of the page."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    for sign in "<>&":
        text = text.replace(sign, f"\\u{ord(sign):04x}")
    return Markup(text)


def data(part: str, value: Any) -> Markup:
    """A part's data for its script, as `<script type="application/json" id="PART-data">`."""
    return Markup('<script type="application/json" id="{}-data">{}</script>').format(
        part, as_json(value)
    )


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
    return _kept(_MARKDOWN.render(filled(text, escaped)))


def inline(text: str, facts: Mapping[str, str]) -> Markup:
    """Markdown within a line as HTML."""
    escaped = {name: _literal(value) for name, value in facts.items()}
    return _kept(_MARKDOWN.renderInline(filled(text, escaped)))


def _kept(html: str) -> Markup:
    """HTML whose formulas stay on one line with the punctuation or particle beside them."""
    return Markup(_BESIDE.sub(r'<span class="whole">\g<0></span>', html))


def _literal(value: str) -> str:
    """A fact as Markdown that reads as it is: a line of a play may hold any sign."""
    return re.sub(r"([\\`*_{}\[\]()#+.!|<>$~-])", r"\\\1", value)
