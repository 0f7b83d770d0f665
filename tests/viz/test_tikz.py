"""Figures as TikZ: the scene's own coordinates, well formed, and accepted by a TeX engine."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import viz_cells

import viz
from tinygrad_lstm import cells, unroll
from viz.figure import Figure
from viz.palette import COLOURS
from viz.scene import Scene, Shape, Wire, number, rounded
from viz.tikz import document, picture

ENGINE = next(filter(None, map(shutil.which, ("pdflatex", "lualatex", "tectonic"))), None)
PAIR = r"\((-?[\d.]+), (-?[\d.]+)\)"


def computation(fold: str) -> Figure:
    """The graph of a small run after backward: values, gradients, and curves where it is by op."""
    p = cells.lstm.init(inputs=1, hidden=1, seed=3)
    run = unroll(cells.lstm, p, np.array([[1.0], [-0.5]]))
    loss = (run.final["h"] ** 2).sum()
    loss.backward()
    return viz.graph(loss, fold=fold)


FIGURES: dict[str, Callable[[], Figure]] = {
    **{name: lambda c=c: viz.cell(c) for name, c in cells.all().items()},  # type: ignore[misc]
    "deep": lambda: viz.cell(viz_cells.deep),
    "exotic": lambda: viz.cell(viz_cells.exotic),
    "focus": lambda: viz.cell(cells.lstm, focus=("f", "belt:C")),
    "unrolled": lambda: viz.unrolled(cells.lstm, steps=4),
    "rolled": lambda: viz.rolled(cells.rnn),
    "chain": lambda: viz.chain(cells.gru),
    "legend": viz.legend,
    "difference": lambda: viz.difference(cells.lstm, cells.lstm_peephole),
    "equations": lambda: computation("equation"),
    "operations": lambda: computation("op"),
}


def pairs(text: str) -> list[tuple[float, float]]:
    """Every coordinate in a line."""
    return [(float(x), float(y)) for x, y in re.findall(PAIR, text)]


def written(points: tuple[tuple[float, float], ...]) -> list[tuple[float, float]]:
    """Points as they are written: with two decimals."""
    return [(float(number(x)), float(number(y))) for x, y in points]


@pytest.mark.parametrize("name", FIGURES)
def test_every_coordinate_is_the_scenes(name: str) -> None:
    figure = FIGURES[name]()
    lines = figure.tikz.splitlines()
    nodes = [line for line in lines if line.startswith(r"  \node")]
    places = {m[1]: m for line in nodes if (m := re.search(rf"\(([^()]+)\) at {PAIR}", line))}
    assert len(places) == len(figure.scene.shapes)
    for shape, found in zip(figure.scene.shapes, places.values(), strict=True):
        assert pairs(found[0]) == written(((shape.x, shape.y),))
        line = found.string
        if shape.kind not in ("label", "caption"):
            size = f"viz {shape.kind}={{{number(shape.width)}}}{{{number(shape.height)}}}"
            assert size in line
        assert ("viz dim" in line) is shape.dim
    for shape in figure.scene.shapes:
        if shape.latex:
            assert any(f"{{${shape.latex}$}};" in line for line in nodes)
    draws = [line for line in lines if line.startswith(r"  \draw")]
    for wire, line in zip(figure.scene.wires, draws, strict=True):
        tip = (wire.tip,) if wire.curve and wire.tip else ()
        assert pairs(line) == written((*wire.points, *tip))
        assert ("viz arrow" in line) is wire.arrow
        assert f"viz line={number(wire.width)}" in line
        assert ("viz dim" in line) is wire.dim


@pytest.mark.parametrize("name", FIGURES)
def test_it_is_well_formed_and_defines_what_it_uses(name: str) -> None:
    text = FIGURES[name]().tikz
    depth = 0
    for character in re.sub(r"\\[{}\\]|(?<!\\)%.*", "", text):
        depth += (character == "{") - (character == "}")
        assert depth >= 0
    assert depth == 0
    assert text.count("\\begin{") == text.count("\\end{") == 1
    assert text.count("$") % 2 == 0
    defined = re.findall(r"\\node\[.*?\] \(([^()]+)\) at", text)
    assert len(defined) == len(set(defined))
    assert all(re.fullmatch(r"[A-Za-z0-9_-]+", own) for own in defined)
    assert set(re.findall(r"\] at \(([A-Za-z][^()]*)\)", text)) <= set(defined)
    colours = set(re.findall(r"\\definecolor\{viz-([\w-]+)\}", text))
    assert colours <= set(COLOURS)
    assert set(re.findall(r"(?:fill|draw|text)=viz-([\w-]+)", text)) == colours
    styles = set(re.findall(r"viz ([\w-]+)/\.style", text))
    assert set(re.findall(r"viz ([\w-]+)(?=[=,\]])", text)) <= styles


@pytest.mark.parametrize("name", ["lstm", "fgr", "clockwork", "equations"])
def test_corners_have_the_radii_of_the_drawn_spline(name: str) -> None:
    figure = FIGURES[name]()
    draws = [line for line in figure.tikz.splitlines() if line.startswith(r"  \draw")]
    seen = 0
    for wire, line in zip(figure.scene.wires, draws, strict=True):
        spline, _ = rounded(wire)
        radius = 0.0
        radii = []
        for step in re.findall(r"rounded corners=([\d.]+)bp|-- \(", line):
            radius = float(step) if step else radius
            radii += [] if step else [radius]
        # the spline is straight, corner, straight, …: a corner ends where it began, turned
        for k, corner in enumerate(wire.points[1:-1]):
            start = spline[6 * k + 3]
            far = abs(start[0] - corner[0]) + abs(start[1] - corner[1])
            assert radii[k] == pytest.approx(far, abs=0.006)
            seen += 1
    assert seen > 3


def test_names_titles_and_words_are_made_safe() -> None:
    scene = Scene(
        [
            Shape("part-α.1", "op", 0, 0, 28, 28, r"\alpha", "α", round=True),
            Shape("part-β.1", "op", 50, 0, 40, 28, r"\beta", "β", round=True, classes=("changed",)),
            Shape("said", "caption", 0, 60, 20, 20, r"\text{100\%}", "100%", dim=True),
            Shape("empty", "label", 9, 9, 1, 1),
        ],
        [Wire("w", ((14, 0), (30, 0)), "a", "b", arrow=True, classes=("forward",))],
    )
    text = picture(scene, "50 % of\nall } cells")
    assert text.startswith("% 50 % of all } cells\n\\begin{tikzpicture}")
    assert r"\node[viz op={28}{28}, circle] (part--1) at (0, 0) {};" in text
    assert r"\node[viz op={40}{28}, rounded corners=14bp, viz changed] (part--1-2)" in text
    assert r"text=viz-quiet, viz dim] (said) at (0, 60) {$\text{100\%}$};" in text
    assert r"(empty) at (9, 9) {};" in text
    assert r"\draw[viz line=1.5, viz arrow, viz forward] (14, 0) -- (30, 0);" in text
    plain = replace(scene.shapes[1], classes=())
    assert "changed" not in picture(Scene([plain], []), "")


def test_a_figure_saves_as_a_whole_latex_file(tmp_path: Path) -> None:
    figure = viz.cell(cells.gru)
    text = figure.save(tmp_path / "gru.tex").read_text("utf-8")
    assert text == document(figure.tikz)
    assert text.startswith("\\documentclass[tikz, border=10bp]{standalone}")
    assert text.endswith("\\end{tikzpicture}\n\\end{document}\n")


@pytest.mark.skipif(not ENGINE, reason="no TeX engine is installed")
def test_a_tex_engine_draws_the_figures_at_their_size(tmp_path: Path) -> None:
    names = ["lstm", "clockwork", "deep", "unrolled", "difference", "legend", "operations"]
    figures = [FIGURES[name]() for name in names]
    file = tmp_path / "figures.tex"
    file.write_text(document("".join(figure.tikz for figure in figures)), "utf-8")
    options = [] if "tectonic" in str(ENGINE) else ["-interaction=nonstopmode", "-halt-on-error"]
    run = subprocess.run(
        [str(ENGINE), *options, file.name], cwd=tmp_path, capture_output=True, encoding="utf-8"
    )
    assert run.returncode == 0, run.stdout[-2000:]
    assert "Warning" not in run.stdout
    if pdfinfo := shutil.which("pdfinfo"):
        told = subprocess.run(
            [pdfinfo, "-l", str(len(names)), "figures.pdf"],
            cwd=tmp_path,
            capture_output=True,
            encoding="utf-8",
            check=True,
        ).stdout
        sizes = re.findall(r"Page +\d+ size: +([\d.]+) x ([\d.]+)", told)
        assert len(sizes) == len(names)
        for figure, (width, height) in zip(figures, sizes, strict=True):
            assert float(width) == pytest.approx(figure.size[0], abs=14)  # letters differ
            assert float(height) == pytest.approx(figure.size[1], abs=14)
