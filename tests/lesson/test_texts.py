"""The lesson's languages: one structure, everything translated, the glossary's terms used."""

from __future__ import annotations

import re
from collections.abc import Iterator
from importlib import resources
from typing import Any

import pytest
from figure_kinds import figures_of

import equations
import viz
from equations.wording import Said
from lesson import languages, prose
from lesson.figures import backward
from tinygrad_lstm import cells

SCRIPT = {"ko": re.compile(r"[가-힣]"), "zh": re.compile(r"[一-鿿]")}
MATHEMATICS = re.compile(r"\$[^$]+\$")
CODE = re.compile(r"`[^`]+`")
FIELDS = re.compile(r"\{+\w+\}+")
# Where the English text has one of these words, a translation has its own term for it. Longer terms
# come first and hide the shorter ones in them; common words (state, cell, layer) may be left out.
SINGLE = {"gradient", "adjoint", "peephole", "candidate", "attention", "sequence", "breakpoint"}


def leaves(texts: dict[str, Any], before: str = "") -> dict[str, str]:
    """Dotted keys of a text file and their texts."""
    found: dict[str, str] = {}
    for key, value in texts.items():
        if isinstance(value, dict):
            found |= leaves(value, f"{before}{key}.")
        elif isinstance(value, list):
            found |= leaves({str(k): item for k, item in enumerate(value)}, f"{before}{key}.")
        else:
            found[before + key] = str(value)
    return found


def pairs() -> Iterator[tuple[str, str]]:
    """(language, name) for every text that is not English."""
    folder = resources.files("lesson.languages")
    for language in languages.languages()[1:]:
        names = {f.name for x in languages.languages() for f in folder.joinpath(x).iterdir()}
        for name in sorted(
            names - {"language.toml", "language.css", "sentences.toml", "errors.toml"}
        ):
            yield language, name.removesuffix(".toml")


def words(text: str) -> str:
    """A text without mathematics, code and fields."""
    for other in (MATHEMATICS, CODE, FIELDS):
        text = other.sub(" ", text)
    return text


@pytest.mark.parametrize(("language", "name"), list(pairs()))
class TestTranslations:
    def test_have_the_same_parts(self, language: str, name: str) -> None:
        english, other = (
            leaves(languages.own_texts("en", name)),
            leaves(languages.own_texts(language, name)),
        )
        missing, extra = set(english) - set(other), set(other) - set(english)
        assert not missing and not extra, f"{language}/{name}: missing {missing}, extra {extra}"
        assert list(english) == list(other), "the order is that of the English file"

    def test_are_translated(self, language: str, name: str) -> None:
        """A text with English words is in the other language's script, or has no words."""
        english, other = (
            leaves(languages.own_texts("en", name)),
            leaves(languages.own_texts(language, name)),
        )
        for key, text in english.items():
            if re.search(r"\b[a-z]{3,}\b", words(text)):
                told = f"{language}/{name}: {key} is not translated"
                plain = not re.search("[A-Za-z]", other[key])  # a number or a sign
                own = SCRIPT[language].search(other[key])
                assert own or plain or in_glossary(text, other[key]), told

    def test_show_the_same_mathematics(self, language: str, name: str) -> None:
        english, other = (
            leaves(languages.own_texts("en", name)),
            leaves(languages.own_texts(language, name)),
        )
        for key, text in english.items():
            for kind in (MATHEMATICS, CODE, FIELDS):
                ours, theirs = set(kind.findall(text)), set(kind.findall(other[key]))
                assert ours == theirs, f"{language}/{name}: {key}: {ours ^ theirs}"

    def test_use_the_terms_of_the_glossary(self, language: str, name: str) -> None:
        english, other = (
            leaves(languages.own_texts("en", name)),
            leaves(languages.own_texts(language, name)),
        )
        terms = languages.own_texts(language, "glossary")
        lost = [
            f"{key}: {term} is {terms[term_key]}"
            for key, text in english.items()
            for term_key, term in terms_in(text).items()
            if terms[term_key] not in other[key]
        ]
        assert not lost, f"{language}/{name}: " + "; ".join(lost)


def in_glossary(english: str, other: str) -> bool:
    """Whether a text is a term that this language leaves as it is."""
    every = [languages.own_texts(tag, "glossary") for tag in languages.languages()]
    return any(
        term == english and other in {g[key] for g in every} for key, term in every[0].items()
    )


def terms_in(text: str) -> dict[str, str]:
    """The terms of the glossary that a translation of an English text has to have, by key."""
    terms = languages.own_texts("en", "glossary")
    rest = words(text).lower().replace("\n", " ")
    found = {}
    for key, term in sorted(terms.items(), key=lambda item: -len(item[1])):
        whole = re.compile(rf"\b{re.escape(term.lower())}s?\b")
        if whole.search(rest):
            rest = whole.sub(" ", rest)
            if " " in term or term in SINGLE:
                found[key] = term
    return found


def test_english_is_complete() -> None:
    assert languages.languages()[0] == "en"
    for key, text in leaves(languages.texts("en", "page")).items():
        assert text.strip(), f"{key} is empty"


def test_longer_terms_hide_shorter_ones() -> None:
    found = terms_in("The forget gates and a vanishing gradient of $gate$")
    assert set(found.values()) == {"forget gate", "vanishing gradient"}


def test_json_on_the_page_cannot_end_its_script() -> None:
    shown = str(prose.data("x", {"a": "</script><b>&"}))
    assert shown.count("<") == 2 and "\\u003c/script\\u003e\\u003cb\\u003e\\u0026" in shown


def test_sentences_of_figures_and_derivations_are_in_every_language() -> None:
    """Whatever figures and derivations of the family say can be said in each language."""
    said: set[str] = set()
    for cell in cells.all().values():
        weight = next(iter(cell.parameters))
        figures = [draw() for draw in figures_of(cell, cell is cells.lstm).values()]
        figures += [viz.graph(cell.program()), backward(viz.cell(cell), [])]
        texts = [figure.alt for figure in figures]
        texts += [note.words for note in equations.backward(cell).legend]
        texts += [step.rule for step in equations.derive(cell, weight)]
        for text in texts:
            assert isinstance(text, Said), text
            said |= text.templates()
    for language in languages.languages()[1:]:
        sentences = prose.sentences(language)
        assert said - set(sentences) <= {"{left} = {right}"}
        assert list(sentences) == list(prose.sentences("ko"))
        for english, other in sentences.items():
            assert set(FIELDS.findall(english)) == set(FIELDS.findall(other)), other


def test_a_sentence_is_translated_with_everything_in_it() -> None:
    text = Said("{left} is {right}", left="h", right=Said("nothing"))
    assert text == "h is nothing"
    assert prose.translate(text, "ko") == "h 값은 없음입니다"
    assert text.translated({}) == "h is nothing"


def test_chinese_lines_are_joined_without_a_space() -> None:
    texts = prose.Texts("page")
    texts.files = {"zh": {"a": "第一行，\n第二行\n\n另一段"}}
    assert "第一行，第二行" in texts.block("a")
    assert texts.block("a").count("<p>") == 2


def test_korean_particles_fit_whatever_stands_before_them() -> None:
    """은 or 는 depends on how a value is read; so none of these follows a field."""
    files = [languages.own_texts("ko", name) for language, name in pairs() if language == "ko"]
    every = [text for file in files for text in leaves(file).values()]
    every += prose.sentences("ko").values()
    every += languages.own_texts("ko", "errors").values()
    known = "{layer}을"  # every name of a layer ends in 층
    particle = re.compile(r"\}`?(?:은|는|이|가|을|를|과|와|로|으로|라는|였습니다)(?![가-힣])")
    assert not [x for x in every if particle.search(x.replace(known, "")) or "(는)" in x]


def test_a_line_does_not_break_before_the_particle_of_a_formula() -> None:
    shown = str(prose.inline("$h_t$에서 온다 (모두 $C_t$)입니다. 2014년 (2014)과", {}, "ko"))
    kept = [re.sub("<[^>]+>", "", x).split(" ")[0] for x in shown.split('<span class="whole">')]
    assert kept == ["", "ht에서", "Ct)입니다.", "(2014)과"]
