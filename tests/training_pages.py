"""The page's training alone, with the frame that it needs: quick to build, for a browser."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

from lesson import figures, languages, prose
from lesson.page import asset
from lesson.parts import style, training
from tinygrad_lstm import learning
from tinygrad_lstm.step import Cell

POLICY = (
    "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; worker-src blob:"
)


def subject(cell: Cell, text: str = "") -> Any:
    """What the part asks of a lesson's subject."""
    characters = text or learning.shakespeare().characters[:60_000]
    return SimpleNamespace(cell=cell, text=learning.Text(characters))


def written(cell: Cell, file: Path, text: str = "") -> Path:
    """A page with the training of a cell, and of those that are built in."""
    tags = languages.languages()
    radios = "".join(
        f'<input type="radio" name="language" id="language-{tag}" value="{tag}" aria-label="{tag}">'
        for tag in tags
    ).replace(">", " checked>", 1)
    title = prose.Texts("live").line("training")
    scripts = [asset("lesson.page", name) for name in ("base.js", "later.js")]
    scripts.append(asset(training.__name__, "training.js"))
    file.write_text(
        f'<!doctype html><html lang="en"><meta charset="utf-8"><meta name="viewport" '
        f'content="width=device-width"><meta http-equiv="Content-Security-Policy" '
        f'content="{POLICY}"><title>T</title><style>{figures.colours()}{style("training")}</style>'
        f'{radios}<p id="announcement" aria-live="polite"></p><h1>{title}</h1><main><section>'
        f"{training.markup(subject(cell, text))}</section></main>"
        + "".join(f"<script>{script}</script>" for script in scripts),
        encoding="utf-8",
    )
    return file
