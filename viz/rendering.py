"""From DOT text to a picture: finds a Graphviz, and turns its SVG into PNG and PDF.

A Graphviz is looked for in this order:

1. the user's setting: the argument `dot=`, or the environment variable `TINYGRAD_LSTM_DOT`
   (a program's name or path; when it is set nothing else is tried),
2. a `dot` program on PATH,
3. the Graphviz inside the pygraphviz wheel, so that `pip install` alone is enough to draw.

The third runs in a subprocess: a failed C assertion must not take the user's process down.

>>> svg = layout('digraph { a [pos="27,18"]; }', no_layout=True)
>>> "<ellipse" in svg
True
"""

import importlib.resources
import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Literal, overload

from tinygrad_lstm.errors import TinygradError

SETTING = "TINYGRAD_LSTM_DOT"
SECONDS = 120.0  # a figure takes a tenth of one; a renderer that hangs is ended

Engine = Literal["dot", "neato", "fdp", "sfdp", "circo", "twopi"]
Format = Literal["svg", "json", "dot", "plain", "xdot"]


class RendererError(TinygradError):
    """No renderer could draw the figure; the message lists what was tried, and the fix."""


class _Failed(Exception):
    """One renderer could not; its message becomes a line of the RendererError."""


_Renderer = Callable[[list[str], str, str], list[str]]


@overload
def layout(
    dot_text: str,
    engine: Engine = ...,
    no_layout: bool = ...,
    format: Format = ...,
    *,
    dot: str | os.PathLike[str] | None = ...,
) -> str: ...
@overload
def layout(
    dot_text: list[str],
    engine: Engine = ...,
    no_layout: bool = ...,
    format: Format = ...,
    *,
    dot: str | os.PathLike[str] | None = ...,
) -> list[str]: ...
def layout(
    dot_text: str | list[str],
    engine: Engine = "dot",
    no_layout: bool = False,
    format: Format = "svg",
    *,
    dot: str | os.PathLike[str] | None = None,
) -> str | list[str]:
    """Draw one DOT text, or several at once, with Graphviz.

    Several figures in one call share one process where the renderer starts slowly.

    `no_layout` keeps the given coordinates: nodes are drawn at their `pos` (points, y upwards) and
    edges along their `pos` splines, as by `neato -n2`; the engine is then not asked for anything.
    A spline has 1 + 3n points, and an arrow names its tip first: `pos="e,x,y p0 p1 p2 p3"`. With
    any other number of points Graphviz draws a straight line and says nothing.

    Raises RendererError where no Graphviz is found or none can draw the text.
    """
    graphs = [dot_text] if isinstance(dot_text, str) else dot_text
    if not graphs:
        return []
    tried: list[str] = []
    for place, renderer in _renderers(dot):
        try:
            drawn = renderer(graphs, "nop2" if no_layout else engine, format)
        except _Failed as failure:
            tried.append(f"  {place}: {failure}")
            continue
        return drawn[0] if isinstance(dot_text, str) else drawn
    raise RendererError(_nothing_drew(tried, dot))


def _renderers(dot: str | os.PathLike[str] | None) -> list[tuple[str, _Renderer]]:
    """Every renderer that may be tried, in order, with the name that a message gives it."""
    setting = dot or os.environ.get(SETTING)
    if setting:
        place = "the argument dot=" if dot else f"the setting {SETTING}="
        return [(f"{place}{os.fspath(setting)}", _with_program(os.fspath(setting)))]
    return [
        ("dot on PATH", _with_program("dot")),
        ("the Graphviz inside the package pygraphviz", _with_pygraphviz),
    ]


def _nothing_drew(tried: list[str], dot: str | os.PathLike[str] | None) -> str:
    if any("syntax error" in line for line in tried):
        fix = "The DOT text itself is not right: correct it at the line that is named."
    elif dot or os.environ.get(SETTING):
        name = "the argument" if dot else f"the variable {SETTING}"
        fix = f"Give a working Graphviz `dot` there, or leave {name} out: one is then looked for."
    else:
        fix = (
            "Install one with `pip install pygraphviz` or `apt-get install graphviz`,\n"
            f"or name a Graphviz `dot` program with the environment variable {SETTING}."
        )
    return "\n".join(["no Graphviz could draw the figure. Tried:", *tried, fix])


def _with_program(name: str) -> _Renderer:
    """A renderer that runs the Graphviz program `name`, once a figure: it starts in 10 ms."""

    def render(graphs: list[str], engine: str, format: str) -> list[str]:
        program = shutil.which(name)
        if program is None:
            raise _Failed("not found")
        return [_run([program, f"-K{engine}", f"-T{format}"], graph) for graph in graphs]

    return render


def _with_pygraphviz(graphs: list[str], engine: str, format: str) -> list[str]:
    """The Graphviz inside pygraphviz, once for all figures: starting it takes 0.1 s."""
    if importlib.util.find_spec("pygraphviz") is None:
        raise _Failed("not installed")
    # -P: this package's folder must not shadow modules of the standard library
    worker = [sys.executable, "-P", str(Path(__file__).with_name("graphviz_worker.py"))]
    job = json.dumps({"engine": engine, "format": format, "graphs": graphs})
    drawn = [json.loads(line) for line in _run(worker, job).splitlines()]
    if len(drawn) != len(graphs):
        raise _Failed(f"drew {len(drawn)} of {len(graphs)} figures")
    return drawn


def _run(command: list[str], text: str) -> str:
    try:
        done = subprocess.run(
            command, input=text.encode(), capture_output=True, timeout=SECONDS, check=False
        )
    except OSError as error:
        raise _Failed(f"cannot be run ({error.strerror})") from None
    except subprocess.TimeoutExpired:
        raise _Failed(f"gave no answer in {SECONDS:.0f} s") from None
    if done.returncode == 0 and done.stdout:
        return done.stdout.decode("utf-8")
    lines = done.stderr.decode("utf-8", "replace").strip().splitlines()
    said = "; ".join(line.strip() for line in lines[-3:]) or "it said nothing"
    if done.returncode < 0:
        raise _Failed(f"ended by signal {-done.returncode} ({said})")
    if done.returncode:
        raise _Failed(f"failed ({said})")
    raise _Failed(f"drew nothing ({said})")


@cache
def _font() -> Path | None:
    """A plain font that came with a package: words must not vanish on a machine without fonts."""
    path = Path(str(importlib.resources.files("ziafont"))) / "fonts" / "DejaVuSans.ttf"
    return path if path.exists() else None


def svg_to_png(svg: str, scale: float = 2.0, background: str | None = None) -> bytes:
    """A picture of `svg`, `scale` pixels a CSS pixel (96 of these are an inch).

    `background` is a CSS colour; without one the picture is transparent. Drawn by resvg, which
    comes as a wheel for every platform. `currentColor` is black.

    Raises RendererError where the package resvg-py is missing or the text is not SVG.
    """
    try:
        import resvg_py
    except ImportError as error:
        raise _missing("resvg-py", "PNG", error) from None
    font = _font()
    try:
        return bytes(
            resvg_py.svg_to_bytes(
                svg_string=svg,
                zoom=scale,
                dpi=96,
                background=background,
                font_files=[str(font)] if font else None,
                font_family="DejaVu Sans",
                sans_serif_family="DejaVu Sans",
            )
        )
    except ValueError as error:
        raise RendererError(f"this is not SVG that can be drawn as PNG: {error}") from None


def svg_to_pdf(svg: str) -> bytes:
    """The same picture as vector PDF: one page of the figure's size, without a date in it.

    Typst draws it. Of what was tried it is the one that is right after `pip install` alone on
    Linux, macOS and Windows: CairoSVG wants the system's libcairo; svglib with reportlab loses the
    place of drawn formulas, which are SVGs inside an SVG; fpdf2 stops at a Korean word;
    svg2pdf-py, the same Rust code at a thirteenth of the size, has no wheel for older Linux, for
    Linux on ARM or for macOS on Intel, and takes a point for a pixel.

    Raises RendererError where the package typst is missing or the text is not SVG.
    """
    try:
        import typst
    except ImportError as error:
        raise _missing("typst", "PDF", error) from None
    page = (
        "#set document(date: none)\n"
        "#set page(width: auto, height: auto, margin: 0pt, fill: none)\n"
        '#image(bytes(sys.inputs.svg), format: "svg")'
    )
    font = _font()
    fonts = typst.Fonts(font_paths=[font.parent] if font else [])
    # Typst has no idea of "sans-serif" and would take a serif.
    svg = re.sub(r'(?i)(font-family[:=]\s*"?[^";]*?)\bsans-serif', r"\1DejaVu Sans", svg)
    try:
        return typst.compile(page.encode(), font_paths=fonts, sys_inputs={"svg": svg})
    except RuntimeError as error:
        reason = re.sub(r"( at \d+:\d+)+", "", str(error))  # a place in the page, not in the SVG
        raise RendererError(f"this is not SVG that can be drawn as PDF: {reason}") from None


def _missing(package: str, kind: str, error: ImportError) -> RendererError:
    return RendererError(
        f"{kind} needs the package {package}, which cannot be imported: {error}\n"
        f"Install it with `pip install {package}`; the SVG needs no package."
    )
