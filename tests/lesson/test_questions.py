"""Questions of the chapters: one at every figure, five at every end, in every language."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from lesson import chapters, languages
from lesson.chapters import appendices

FILES = {tag: languages.own_texts(tag, "questions") for tag in languages.languages()}
CHAPTERS = sorted(key for key, value in FILES["en"].items() if isinstance(value, dict))
FOLDER = Path(chapters.__file__).parent
# what a reader is shown; a part that asks by itself needs no further question
SHOWN = re.compile(
    r"\bfigure\(|<figure|strip\(|part\(\"(?:unrolling|valves|reach|units|heatmap|training)"
)
ASKED = re.compile(r"\b(?:at|ask)\(")
TABLES = re.compile(r'class="(?:numbers|sample)"|"any\.')  # tables, samples, pages of other cells


def test_every_chapter_ends_with_five_questions() -> None:
    named = {folder.name for folder in FOLDER.iterdir() if (folder / "__init__.py").is_file()}
    assert set(CHAPTERS) == named - set(appendices())
    for chapter in CHAPTERS:
        after = [key for key in FILES["en"][chapter] if re.fullmatch(r"\d", key)]
        assert after == ["1", "2", "3", "4", "5"], chapter


@pytest.mark.parametrize("chapter", CHAPTERS)
def test_something_is_asked_at_every_figure(chapter: str) -> None:
    lines = (FOLDER / chapter / f"{chapter}.html").read_text(encoding="utf-8").splitlines()
    for number, line in enumerate(lines):
        if SHOWN.search(line) and not TABLES.search(line):
            near = lines[max(0, number - 8) : number + 3]
            assert any(ASKED.search(other) for other in near), line


@pytest.mark.parametrize("chapter", CHAPTERS)
def test_every_question_at_a_figure_is_asked_there(chapter: str) -> None:
    text = (FOLDER / chapter / f"{chapter}.html").read_text(encoding="utf-8")
    keys = {key.removeprefix("at-") for key in FILES["en"][chapter] if key.startswith("at-")}
    asked = set(re.findall(rf'\bat\("{chapter}", "(\w+)"\)', text))
    if re.search(rf'\bat\("{chapter}", name\)', text):
        asked |= {"peephole", "coupled", "gru"}
    assert asked == keys


@pytest.mark.parametrize("tag", languages.languages())
def test_answers_differ_and_are_as_many_in_every_language(tag: str) -> None:
    for chapter in CHAPTERS:
        assert list(FILES[tag][chapter]) == list(FILES["en"][chapter]), chapter
        for key, question in FILES[tag][chapter].items():
            answers = question["answers"]
            assert len(set(answers)) == len(answers) == len(FILES["en"][chapter][key]["answers"])
            assert question["ask"] and question["why"]
