"""Folders that describe themselves: a language, a part and a chapter more, and no other change."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from importlib import resources
from pathlib import Path

import pytest
from lesson_pages import about
from stepper_pages import trace_of

from lesson import building, chapters, languages, parts, prose
from lesson.parts import stepper

PART = '''"""A part."""

from lesson.page import render
from lesson.prose import Texts


def markup(subject):
    return render(__name__, t=Texts("sham_part"), cell=subject.cell.name)
'''
CHAPTER = '''"""A chapter."""

from lesson.chapters import Content

ORDER = 62


def content(subject):
    return Content({"answer": "42"}, more={"states": list(subject.cell.state)})
'''
FILES = {
    "parts/sham_part/__init__.py": PART,
    "parts/sham_part/sham_part.html": '<p class="sham">{{ t.line("word", cell=cell) }}</p>',
    "parts/sham_part/sham_part.js": "// a sham script",
    "parts/sham_part/sham_part.css": ".sham { color: inherit; }",
    "chapters/sham_chapter/__init__.py": CHAPTER,
    "chapters/sham_chapter/sham_chapter.html": '{{ t.block("sham_chapter.text") }}'
    '{{ part("sham_part") }}<p>{{ sham_chapter.states|join(" and ") }}</p>',
    "languages/en/sham_part.toml": 'word = "A part of {{cell}}"',
    "languages/en/page.toml": '[sham_chapter]\ntitle = "A sham"\ngoals = "all"\n'
    'text = "It is {{answer}}."',
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder with a copy of English as a language of its own, a part and a chapter."""
    folder = tmp_path_factory.mktemp("more")
    english = folder / "languages" / "xx"
    shutil.copytree(str(resources.files("lesson.languages").joinpath("en")), english)
    (english / "language.toml").write_text('name = "Sham"\n', encoding="utf-8")
    (english / "language.css").write_text(":lang(xx) { --sans: sham; }\n", encoding="utf-8")
    texts = (english / "page.toml").read_text(encoding="utf-8")
    texts = texts.replace('title = "How an LSTM remembers"', 'title = "Sham title"', 1)
    texts = texts.replace('contents = "On this page"\n', "", 1)
    (english / "page.toml").write_text(texts, encoding="utf-8")
    (english / "sentences.toml").write_text('"sigmoid" = "shamoid"\n', encoding="utf-8")
    for name, text in FILES.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text, encoding="utf-8")
    with pytest.MonkeyPatch.context() as patch:
        for package in (languages, parts, chapters):
            more = str(folder / package.__name__.rpartition(".")[2])
            patch.setattr(package, "__path__", [*package.__path__, more])
        yield folder


@pytest.fixture(scope="module")
def sham(folder: Path) -> str:
    return building.render(about(), "xx")


def shown(page: str, tag: str) -> list[str]:
    """What lines of text show in a language, in order."""
    return re.findall(rf'<span class="say" lang="{tag}">(.*?)</span>(?=<|\s)', page, re.S)


class TestLanguage:
    def test_is_found(self, folder: Path) -> None:
        assert languages.languages() == ("en", "ko", "xx", "zh")
        languages.check_language("xx")

    def test_has_the_whole_page(self, sham: str) -> None:
        assert sham.startswith('<!doctype html>\n<html lang="xx">')
        assert "<title>Sham title</title>" in sham
        assert re.search(r'value="xx" checked><label for="language-xx" lang="xx">Sham<', sham)
        assert ":lang(xx) { --sans: sham; }" in sham
        counts = {tag: sham.count(f'class="say" lang="{tag}"') for tag in languages.languages()}
        assert len(set(counts.values())) == 1 and counts["xx"] > 400

    def test_says_what_english_says(self, sham: str) -> None:
        """A text that was changed is the new one, and one that is missing is English."""
        other = [a for a, b in zip(shown(sham, "xx"), shown(sham, "en"), strict=True) if a != b]
        assert "Sham title" in other and "On this page" not in other
        assert all(text == "Sham title" or "shamoid" in text for text in other)
        assert "On this page" in shown(sham, "xx")

    def test_is_in_the_frame_of_a_notebook(self, folder: Path) -> None:
        page = stepper.document(trace_of("rnn"), "xx")
        assert 'lang="xx"' in page and prose.Texts("stepper").plain("title")["xx"] in page
        assert '{"xx":{"space":" "}}' in page  # of English, which it does not say anything else of

    @pytest.mark.parametrize("words", ["exercise", "exercise 1 --seed 3"])
    def test_sets_exercises(self, folder: Path, words: str, tmp_path: Path) -> None:
        """What a terminal says in it is what it says in English."""
        program = (
            "import sys, lesson.languages as l; l.__path__.append(sys.argv.pop(1)); "
            "from lesson.commands import main; sys.exit(main())"
        )
        told = []
        for tag in ("xx", "en"):
            (tmp_path / tag).mkdir()
            arguments = [program, str(folder / "languages"), *words.split(), "--language", tag]
            done = subprocess.run(
                [sys.executable, "-c", *arguments], cwd=tmp_path / tag, capture_output=True
            )
            assert done.returncode == 0, done.stderr.decode()
            told.append(done.stdout.decode().replace(f"--language {tag}", ""))
        assert told[0] == told[1]


def test_a_part_and_a_chapter_are_found(sham: str) -> None:
    assert list(chapters.chapters())[5:8] == ["steps", "gradients", "sham_chapter"]
    assert (
        '<section id="sham_chapter" class="chapter" aria-labelledby="title-sham_chapter">' in sham
    )
    assert "<p>It is 42.</p>" in sham and "<p>h and C</p>" in sham
    assert 'class="sham"><span class="say" lang="en">A part of lstm</span>' in sham
    assert "// a sham script" in sham and ".sham { color: inherit; }" in sham


def test_no_language_is_named_where_it_is_not_at_home() -> None:
    """What a page does in a language follows from the language's folder."""
    home = Path(str(resources.files("lesson")))
    named = re.compile(r"""["'](?:ko|zh)["'](?!: "…")|lang\((?:ko|zh)\)""")  # save in examples
    found = [
        f"{file.relative_to(home)}: {line.strip()}"
        for file in sorted(home.rglob("*"))
        if file.suffix in (".py", ".js", ".css", ".html") and "languages" not in file.parts
        for line in file.read_text(encoding="utf-8").splitlines()
        if named.search(line)
    ]
    assert not found
