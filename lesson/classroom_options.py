"""The options of `tinygrad-lstm lesson` that make material for a class in place of the page."""

from __future__ import annotations

import argparse
from pathlib import Path

from lesson import languages
from tinygrad_lstm.cell_files import find
from tinygrad_lstm.errors import DataError

WANTED = {
    "handout": ("handout", "worksheet", "answers", "lesson-plan"),
    "slides": ("slides", "lesson-plan"),
    "plan": ("lesson-plan",),
}
_OTHERS = ("watch", "edit", "text", "seconds", "port", "start")  # are of the page


def add(parser: argparse.ArgumentParser) -> None:
    """What to make, and for which paper."""
    group = parser.add_argument_group(
        "for a class", "without a training; -o names the folder, or a file in it"
    )
    group.add_argument(
        "--handout",
        action="store_true",
        help="write a handout of two pages, a worksheet with gaps and its key, and a lesson plan",
    )
    group.add_argument("--slides", action="store_true", help="write slides, and a lesson plan")
    group.add_argument("--plan", action="store_true", help="write only the lesson plan")
    group.add_argument("--paper", metavar="SIZE", help="of the PDF: a4 or letter (default: a4)")


def asked(options: argparse.Namespace) -> bool:
    """Whether class material is wanted; a DataError where it is wanted together with the page."""
    chosen = [name for name in WANTED if getattr(options, name)]
    if not chosen:
        if options.paper:
            raise DataError("--paper is of --handout, --slides and --plan: add one of them.")
        return False
    for name in _OTHERS:
        if getattr(options, name, None):
            raise DataError(
                f"--{chosen[0]} makes sheets and trains nothing, so that --{name} has no meaning "
                f"for it: leave out one of the two."
            )
    return True


def write(options: argparse.Namespace) -> int:
    """Write the sheets, and say in one line where they are."""
    from lesson import classroom

    languages.check_language(options.language)
    names = [sheet for name, sheets in WANTED.items() if getattr(options, name) for sheet in sheets]
    folder: Path = options.output
    if folder.suffix.lower() in (".html", ".pdf"):
        folder = folder.parent
    sheets = [name for name in classroom.SHEETS if name in names]
    paper = (options.paper or "a4").lower()
    written = classroom.write(find(options.cell), folder, sheets, options.language, paper)
    shown = ", ".join(f"{path.name}" for path in written)
    print(f"In {folder.resolve()}: {shown}")
    for path in written:
        if path.suffix == ".pdf" and (pages := classroom.excess(path)):
            print(
                f"  {path.name} has {pages} pages in place of two: the equations of "
                f"{options.cell} and their numbers do not fit in letters that can be read."
            )
    return 0
