"""The lesson's text in its languages: numbers put in, Markdown with mathematics to HTML."""

from __future__ import annotations

import base64
import json
import re
import zlib
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import Any

from markdown_it import MarkdownIt
from markupsafe import Markup, escape
from mdit_py_plugins.dollarmath import dollarmath_plugin

from equations.markup import math, mathml_row
from equations.wording import translated
from lesson import languages
from tinygrad_lstm.errors import UnknownNameError
from viz.kinds import sentences as figure_sentences

_CJK = r"[\u3000-\u9fff\uff00-\uffef]"
_UNSPACED = re.compile(rf"(?<={_CJK})\n(?={_CJK})")  # a line ends where no words are parted
_FORMULA = r'<span class="math inline">(?:(?!</span>).)*</span>'


@lru_cache(maxsize=2048)
def _mathematics(latex: str, display: bool) -> str:
    return math(mathml_row(latex), display=display)


_MARKDOWN = MarkdownIt("commonmark", {"html": False}).use(
    dollarmath_plugin,
    renderer=lambda latex, options: _mathematics(latex, bool(options["display_mode"])),
)


class Texts:
    """The texts `lesson/languages/TAG/NAME.toml` in every language, or in those named.

    A key is dotted as the tables of the file are nested: "loops.title". `facts` fill {{name}} in
    all of them; a fact may also be a mapping from language to text.
    """

    def __init__(
        self, name: str, facts: Mapping[str, Any] | None = None, tags: Sequence[str] | None = None
    ) -> None:
        self.name = name
        self.facts = dict(facts or {})
        self.files = {tag: languages.texts(tag, name) for tag in tags or languages.languages()}

    def plain(self, key: str, **facts: Any) -> dict[str, str]:
        """The text of a key by language, as it stands in the files, facts filled in."""
        return {tag: fill(self._found(tag, key), self._facts(tag, facts)) for tag in self.files}

    def english(self, key: str) -> str:
        """The English text of a key as it stands in its file."""
        return self._found(languages.DEFAULT, key)

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
            chosen = {tag: {key: file[key] for key in keys} for tag, file in self.files.items()}
        script = Markup('<script type="application/json" class="texts" data-texts="{}">{}</script>')
        return script.format(self.name, as_json(chosen))

    def _found(self, tag: str, key: str) -> str:
        value: Any = self.files[tag]
        for word in key.split("."):
            value = value[word]
        unspaced = not languages.language(tag).space
        return _UNSPACED.sub("", str(value)) if unspaced else str(value)

    def _facts(self, tag: str, facts: Mapping[str, Any]) -> dict[str, str]:
        every = {**self.facts, **facts}
        return {k: v[tag] if isinstance(v, Mapping) else v for k, v in every.items()}

    def _say(
        self,
        element: str,
        make: Callable[[str, Mapping[str, str], str], Markup],
        key: str,
        facts: Mapping[str, Any],
    ) -> Markup:
        return Markup("").join(
            in_language(tag, make(self._found(tag, key), self._facts(tag, facts), tag), element)
            for tag in self.files
        )


def in_language(tag: str, content: str, element: str = "span") -> Markup:
    """Content in one language; its siblings in the others are hidden by the page."""
    return Markup(f'<{element} class="say" lang="{tag}">{escape(content)}</{element}>')


def sentences(tag: str) -> dict[str, str]:
    """What figures, derivations and cells are described with: from English to a language."""
    return {**figure_sentences(tag), **languages.texts(tag, "sentences")}


def translate(text: str, tag: str) -> str:
    """A sentence that figures or derivations are described with, in a language."""
    return translated(text, sentences(tag))


def translate_html(text: str) -> Markup:
    """A sentence of figures or derivations in every language of the page."""
    every = languages.languages()
    return Markup("").join(in_language(tag, translate(text, tag)) for tag in every)


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


def packed(part: str, text: str) -> Markup:
    """A part's data as text for `lesson.unpacked(PART)`, deflated: of use to scripts alone."""
    script = Markup('<script type="text/plain" id="{}-data">{}</script>')
    return script.format(part, base64.b64encode(zlib.compress(text.encode(), 9)).decode())


def fill(text: str, facts: Mapping[str, str]) -> str:
    """`text` with every {{name}} replaced by the fact of that name."""

    def fact(found: re.Match[str]) -> str:
        if found[1] not in facts:
            raise UnknownNameError(
                f"the lesson's text asks for {{{{{found[1]}}}}}, which is not measured; "
                f"there are {', '.join(sorted(facts))}."
            )
        return facts[found[1]]

    return re.sub(r"\{\{(\w+)\}\}", fact, text)


def html(text: str, facts: Mapping[str, str], tag: str = languages.DEFAULT) -> Markup:
    """Markdown paragraphs of a language as HTML."""
    return _keep_together(_MARKDOWN.render(fill(text, _literal(facts))), tag)


def inline(text: str, facts: Mapping[str, str], tag: str = languages.DEFAULT) -> Markup:
    """Markdown within a line as HTML."""
    return _keep_together(_MARKDOWN.renderInline(fill(text, _literal(facts))), tag)


def _keep_together(html: str, tag: str) -> Markup:
    """HTML whose formulas stay on one line with the punctuation or particle beside them.

    Browsers break a line between a formula and a wide sign beside it; no line may begin with one.
    """
    rule = languages.language(tag).together.replace("{formula}", _FORMULA)
    if not rule:
        return Markup(html)
    return Markup(re.sub(rule, r'<span class="whole">\g<0></span>', html, flags=re.DOTALL))


def _literal(facts: Mapping[str, str]) -> dict[str, str]:
    """Facts as Markdown that reads as they are: a line of a play may hold any sign."""
    signs = re.compile(r"([\\`*_{}\[\]()#+.!|<>$~-])")
    return {name: signs.sub(r"\\\1", value) for name, value in facts.items()}
