"""What notebooks show of objects that have no picture: the plain text, and an HTML table of it.

A table is plain markup without a style sheet, script or id: it survives the cleaning that GitHub
and an untrusted JupyterLab do, takes the notebook's colours, and cannot disturb another output.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape
from typing import TYPE_CHECKING

from tinygrad_lstm.errors import TinygradError
from tinygrad_lstm.text import UNICODE

if TYPE_CHECKING:
    from tinygrad_lstm.step import Cell

_LEFT = ' style="text-align:left"'  # JupyterLab sets every table's text to the right


def table(rows: Iterable[Sequence[object]], header: Sequence[str] = ()) -> str:
    """An HTML table of rows of text."""
    head = _row(header, "th") if header else ""
    return f"<table>{head}{''.join(_row(row, 'td') for row in rows)}</table>"


def bundle(text: str, html: str) -> dict[str, str]:
    """A notebook's MIME bundle."""
    return {"text/plain": text, "text/html": html}


def listing(cell: Cell) -> dict[str, str]:
    """A cell's MIME bundle: what it declares, names of one shape together, then its equations."""
    kinds = {
        "state": cell.state,
        "input": {"x": cell.x, **cell.sequences, **cell.constants},
        "parameter": cell.parameters,
    }
    rows = [
        (kind, ", ".join(name for name in found if found[name] == words), f"({words})")
        for kind, found in kinds.items()
        for words in dict.fromkeys(found.values())
    ]
    try:
        program = cell.program()
        for name in program.equations:
            left, equals, right = program.text(name, UNICODE).partition(" = ")
            rows.append(("equation", left, equals.lstrip() + right))
    except TinygradError as error:  # a cell that is not finished is shown all the same
        rows.append(("error", "", str(error)))
    summary = ": ".join([str(cell), *cell.doc.splitlines()[:1]])
    text = "\n".join([summary, *(" ".join(filter(None, row)) for row in rows)])
    return bundle(text, f"<p>{escape(summary)}</p>{table(rows)}")


def _row(entries: Iterable[object], tag: str) -> str:
    return "<tr>" + "".join(f"<{tag}{_LEFT}>{escape(str(e))}</{tag}>" for e in entries) + "</tr>"
