"""What others show of the page where its address is sent: a picture beside the page.

A preview's picture is asked for by an address of its own, so the page, one file, cannot hold it;
and that address must be whole, so it can be told only by whoever puts the page somewhere.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import viz
from tinygrad_lstm.errors import DataError
from tinygrad_lstm.step import Cell
from viz.palette import light
from viz.rendering import svg_to_png

WIDTH, HEIGHT, MARGIN = 1200, 630, 60  # pixels; what previews cut their pictures to
_HEAD = re.compile(r"<svg[^>]*>")
_PIXELS = 4 / 3  # in a point


@dataclass(frozen=True)
class Address:
    """Where the page will stand, and the picture beside it."""

    page: str
    picture: str
    width: int = WIDTH
    height: int = HEIGHT


def read_address(text: str, file: Path) -> Address:
    """The address of a page that is written to `file`; a folder's is that of the file in it.

    Raises DataError for what is no address of the web.
    """
    parts = urlsplit(text.strip())
    if parts.scheme not in ("http", "https") or not parts.netloc or re.search(r"[\s<>\"]", text):
        raise DataError(
            f"{text!r} is not an address of the web; one is https://example.org/{file.name}."
        )
    folder = f"{parts.scheme}://{parts.netloc}{parts.path.rpartition('/')[0]}/"
    page = f"{parts.scheme}://{parts.netloc}{parts.path or '/'}"
    return Address(page, folder + picture_file(file).name)


def picture_file(file: Path) -> Path:
    """The picture of the page `file`, in the same folder."""
    return file.with_suffix(".png")


def picture(cell: Cell) -> bytes:
    """A PNG of the cell's figure on a ground of the shape that previews have."""
    figure = viz.cell(cell)
    width, height = (side * _PIXELS for side in figure.size)
    scale = min((WIDTH - 2 * MARGIN) / width, (HEIGHT - 2 * MARGIN) / height)
    left, top = (WIDTH - scale * width) / 2, (HEIGHT - scale * height) / 2
    inside = figure.svg(css=False)
    turned = f'<g transform="translate({left:g} {top:g}) scale({scale:g})">{inside}</g>'
    around = f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{HEIGHT}">'
    return svg_to_png(f"{around}{turned}</svg>", 1.0, light("ground"))
