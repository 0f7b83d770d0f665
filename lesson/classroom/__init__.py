"""For a class: a handout, a worksheet with its key, slides and a lesson plan, of any cell.

All of them are made from the cell's Program, in the languages of the lesson: as HTML, one file each
that needs nothing else and holds every language, and as PDF in one of them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from markupsafe import Markup

from lesson import languages
from lesson.classroom.sheets import Classroom
from lesson.classroom.typesetting import PAPERS, TypesettingError, count_pages, pdf
from tinygrad_lstm.atomic import replace_whole
from tinygrad_lstm.errors import TinygradError
from tinygrad_lstm.step import Cell
from viz.rendering import ready

SHEETS: dict[str, tuple[Callable[[Classroom], Markup], int | None]] = {
    "handout": (lambda room: room.handout(), 2),
    "worksheet": (lambda room: room.worksheet(), 2),
    "answers": (lambda room: room.worksheet(filled=True), 2),
    "slides": (lambda room: room.slides(), None),
    "lesson-plan": (lambda room: room.plan(), None),
}


class ClassroomError(TinygradError):
    """Class material that cannot be made or written."""


def write(
    cell: Cell,
    folder: Path,
    sheets: Sequence[str] = tuple(SHEETS),
    language: str = languages.DEFAULT,
    paper: str = "a4",
) -> list[Path]:
    """Write sheets of a cell into a folder, each as NAME.html and NAME.pdf; return the paths.

    sheets: of handout, worksheet, answers, slides, lesson-plan. language: in which the HTML opens,
    and the language of the PDF. paper: of the PDF, a4 or letter; the HTML fits on both.

    ClassroomError for what is no single cell, and for a folder that cannot be written to.
    """
    languages.check_language(language)
    if paper not in PAPERS:
        raise ClassroomError(f"there is no paper {paper!r}; there are {', '.join(PAPERS)}.")
    if not isinstance(cell, Cell):
        raise ClassroomError(
            f"{cell}: class material is made of one cell, and this is made of several.\n"
            f"  Name one of its cells."
        )
    ready()
    tags = sorted(languages.languages(), key=lambda tag: tag != language)
    room = Classroom(cell, tags)
    written: list[Path] = []
    for name in sheets:
        make, pages = SHEETS[name]
        path = folder / f"{name}.html"
        html = str(make(room))
        _save(path, html.encode())
        longer = room.t.plain("longer")[language]
        made = pdf(html, room.draw.figures, language, paper, pages, name == "slides", longer)
        _save(path.with_suffix(".pdf"), made)
        written += [path, path.with_suffix(".pdf")]
    return written


def _save(path: Path, content: bytes) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with replace_whole(path) as file:
            file.write(content)
    except OSError as error:
        raise ClassroomError(f"cannot write {path}: {error.strerror or error}.") from error


def excess(path: Path) -> int:
    """The pages of a PDF that `write` made where they are more than the sheet promises, else 0."""
    _, most = SHEETS[path.stem]
    pages = count_pages(path.read_bytes())
    return pages if most and pages > most else 0


__all__ = ["SHEETS", "Classroom", "ClassroomError", "TypesettingError", "excess", "write"]
