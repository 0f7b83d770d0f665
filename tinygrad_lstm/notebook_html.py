"""What notebooks show of objects that have no picture: the plain text, and an HTML table of it.

A table is plain markup without a style sheet, script or id: it survives the cleaning that GitHub
and an untrusted JupyterLab do, takes the notebook's colours, and cannot disturb another output.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape

_LEFT = ' style="text-align:left"'  # JupyterLab sets every table's text to the right


def table(rows: Iterable[Sequence[object]], header: Sequence[str] = ()) -> str:
    """An HTML table of rows of text."""
    head = _row(header, "th") if header else ""
    return f"<table>{head}{''.join(_row(row, 'td') for row in rows)}</table>"


def bundle(text: str, html: str) -> dict[str, str]:
    """A notebook's MIME bundle."""
    return {"text/plain": text, "text/html": html}


def _row(entries: Iterable[object], tag: str) -> str:
    return "<tr>" + "".join(f"<{tag}{_LEFT}>{escape(str(e))}</{tag}>" for e in entries) + "</tr>"
