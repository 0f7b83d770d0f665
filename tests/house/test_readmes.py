"""The README says the same in every language: its commands, headings, tables and links."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from lesson import languages

ROOT = Path(__file__).parents[2]
ENGLISH = (ROOT / "README.md").read_text(encoding="utf-8")
BLOCK = re.compile(r"^```.*?^```$", re.M | re.S)


def code(text: str) -> list[str]:
    """The blocks of code without their comments."""
    return [re.sub(r"[ \t]+# .*", "", block) for block in BLOCK.findall(text)]


def skeleton(text: str) -> list[str]:
    """Where headings, paragraphs, rows of tables, items, pictures and blocks stand."""
    kinds = {"#": r"#+ ", "|": r"\|", "1.": r"\d\.", "- ": "- ", "<": "<", "```": "```"}
    found: list[str] = []
    for line in BLOCK.sub("```", text).splitlines():
        kind = next((key for key, form in kinds.items() if re.match(form, line)), line and "text")
        if kind == "#":
            kind = line.split(" ")[0]
        if kind != "text" or found[-1:] != ["text"]:
            found.append(kind)
    return found


def links(text: str) -> set[str]:
    """What is linked to; notebooks and READMEs by their English names."""
    targets = set(re.findall(r"\]\(([^)]+)\)", BLOCK.sub("", text)))
    return {re.sub(r"\.(?:ko|zh)(?=\.)", "", target) for target in targets}


@pytest.mark.parametrize("tag", languages.languages()[1:])
def test_a_readme_in_another_language_is_the_english_one(tag: str) -> None:
    own = (ROOT / f"README.{tag}.md").read_text(encoding="utf-8")
    assert code(own) == code(ENGLISH)
    assert skeleton(own) == skeleton(ENGLISH)
    assert links(own) | {"README.md"} == links(ENGLISH) | {"README.md"}
    named = [set(re.findall(r"`([^`\n]+)`", BLOCK.sub("", text))) for text in (own, ENGLISH)]
    assert named[0] == named[1]
    for target in re.findall(r"\]\(([^)#]+)", BLOCK.sub("", own)):
        assert (ROOT / target).exists(), target


def test_the_first_line_leads_to_the_other_languages() -> None:
    for tag in languages.languages():
        text = (ROOT / ("README.md" if tag == "en" else f"README.{tag}.md")).read_text("utf-8")
        second = text.splitlines()[2]
        others = {f"README{'' if x == 'en' else '.' + x}.md" for x in languages.languages()} - {
            "README.md" if tag == "en" else f"README.{tag}.md"
        }
        assert set(re.findall(r"\]\(([^)]+)\)", second)) == others
