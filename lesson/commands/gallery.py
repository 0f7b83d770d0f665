"""`tinygrad-lstm gallery`: write a page and a figure for every built-in cell."""

from __future__ import annotations

import argparse
from pathlib import Path

from lesson import gallery


def arguments(parser: argparse.ArgumentParser) -> None:
    """Where it goes."""
    parser.add_argument(
        "-o",
        "--output",
        metavar="FOLDER",
        type=Path,
        default=Path("docs/gallery"),
        help="default: docs/gallery",
    )


def run(options: argparse.Namespace) -> int:
    """Write the gallery and say where it is."""
    gallery.write(options.output)
    print(options.output / "README.md")
    return 0
