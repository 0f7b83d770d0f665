"""Finding a Graphviz, and SVG to PNG and PDF."""

import os
import re
import shutil
import struct
import sys
import sysconfig
import zlib
from pathlib import Path

import pytest

from tinygrad_lstm.errors import TinygradError
from viz import rendering
from viz.rendering import RendererError, render, svg_to_pdf, svg_to_png

PLACED = """digraph {
  layout=nop2
  outputorder=nodesfirst
  node [shape=box, fixedsize=true, label="", width=1, height=0.5]
  f [pos="136,118", class="layer", id="fig1-f"]
  m [pos="336,218", shape=circle, width=0.5]
  f -> m [pos="e,336,200 136,136 136,136 136,218 146,218 156,218 326,208 336,194", class="focus"]
}"""

FIGURE = (
    '<svg xmlns="http://www.w3.org/2000/svg" width="72pt" height="36pt" viewBox="0 0 72 36">'
    "<style>.focus path { stroke-width: 3 } .dim { opacity: 0.3 }</style>"
    '<g class="focus" transform="translate(4 4)" stroke="currentColor">'
    '<path fill="none" d="M0,0C10,0 20,10 20,20"/></g>'
    '<g class="dim"><rect x="30" y="5" width="20" height="10" rx="4" fill="#ffe066"/></g>'
    '<ellipse cx="60" cy="25" rx="8" ry="8" fill="#ffb3c1"/>'
    '<svg x="4" y="24" width="10" height="10" viewBox="0 0 1 1"><path d="M0,0h1v1h-1z"/></svg>'
    "</svg>"
)


@pytest.fixture(autouse=True)
def no_setting(monkeypatch):
    monkeypatch.delenv(rendering.SETTING, raising=False)


@pytest.fixture
def no_dot(monkeypatch, tmp_path):
    empty = tmp_path / "empty"
    empty.mkdir()
    monkeypatch.setenv("PATH", str(empty))


@pytest.fixture
def no_bundled(monkeypatch):
    monkeypatch.setattr(rendering, "_bundled", lambda: None)


def program(path: Path, lines: str) -> Path:
    path.parent.mkdir(exist_ok=True)
    path.write_text(f"#!/bin/sh\n{lines}\n", encoding="utf-8")
    path.chmod(0o755)
    return path


def message(*arguments, **options) -> str:
    with pytest.raises(RendererError) as caught:
        render(*arguments, **options)
    return str(caught.value)


# ---- the Graphviz that draws --------------------------------------------------------------------


@pytest.fixture(params=["bundled", "dot"])
def each_graphviz(request, monkeypatch):
    """Once with the Graphviz that pip installs, once with the system's where there is one."""
    if request.param == "bundled":
        request.getfixturevalue("no_dot")
    elif shutil.which("dot") is None:
        pytest.skip("no system Graphviz")
    else:
        request.getfixturevalue("no_bundled")


def test_given_coordinates_are_kept(each_graphviz):
    svg = render(PLACED)
    shift = re.search(r"translate\(([\d.]+) ([\d.]+)\)", svg)
    assert [float(number) for number in shift.groups()] == pytest.approx([4, 140], abs=1)

    def from_f(points: str) -> list[tuple[float, float]]:  # y grows downwards in SVG
        pairs = re.findall(r"(-?[\d.]+),(-?[\d.]+)", points)
        return [(float(x) - 36, -float(y) - 18) for x, y in pairs]

    ellipse = re.search(r'<ellipse .*cx="([\d.-]+)" cy="([\d.-]+)"', svg)
    assert from_f(",".join(ellipse.groups())) == [(200, 100)]
    edge = svg[svg.index('class="edge focus"') :]
    body, tip = re.search(r' d="([^"]+)"', edge)[1], re.search(r'points="([^"]+)"', edge)[1]
    assert from_f(body) == [(0, 18), (0, 18), (0, 100), (10, 100), (20, 100), (190, 90), (200, 76)]
    # newer versions keep the outline's mitre, too, behind the tip
    assert any(point == pytest.approx((200, 82), abs=2) for point in from_f(tip))
    assert 'id="fig1&#45;f" class="node layer"' in svg


def test_an_engine_places_the_nodes(each_graphviz):
    assert render("digraph { a -> b }").count("<ellipse") == 2
    assert '"pos"' in render("digraph { a -> b }", "neato", format="json")


def test_words_of_other_scripts_arrive(each_graphviz):
    assert "순환 신경망 循环" in render('digraph { a [label="순환 신경망 循环"] }')


# ---- the order of the search --------------------------------------------------------------------


def test_the_setting_comes_first(monkeypatch, tmp_path):
    mine = program(tmp_path / "my dot", 'echo "drawn with $*"')
    monkeypatch.setenv(rendering.SETTING, str(mine))
    assert render("digraph {}") == "drawn with -Kdot -Tsvg\n"
    assert render("digraph {}", "neato") == "drawn with -Kneato -Tsvg\n"
    other = program(tmp_path / "other", "echo another")
    assert render("digraph {}", dot=other) == "another\n"


def test_dot_on_path_comes_before_the_bundled_one(monkeypatch, tmp_path):
    program(tmp_path / "bin" / "dot", "echo mine")
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}{os.pathsep}{os.environ['PATH']}")
    assert render("digraph {}") == "mine\n"


def test_a_broken_dot_on_path_does_not_stop_the_bundled_one(monkeypatch, tmp_path):
    program(tmp_path / "bin" / "dot", "exit 1")
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    assert "<svg" in render("digraph { a }")


def test_the_bundled_one_is_found_where_pip_put_it(no_dot, monkeypatch, tmp_path):
    program(tmp_path / "bin" / "graphviz-pure", "echo for all")
    program(tmp_path / "own" / "graphviz-pure", "echo for me")
    get_path = sysconfig.get_path
    where = {"scripts": tmp_path / "bin"}  # of a virtual environment that is not activated
    monkeypatch.setattr(
        sysconfig,
        "get_path",
        lambda name, scheme=None: str(tmp_path / "own" if scheme else where[name]),
    )
    assert render("digraph {}") == "for all\n"
    where["scripts"] = tmp_path / "none"
    assert render("digraph {}") == "for me\n"  # pip install --user
    monkeypatch.setattr(sysconfig, "get_path", get_path)
    assert "<svg" in render("digraph {}")


# ---- errors -------------------------------------------------------------------------------------


def test_a_missing_renderer(no_dot, no_bundled):
    assert message("digraph {}") == (
        "no Graphviz could draw the figure. Tried:\n"
        "  dot on PATH: not found\n"
        "  the program of the package graphviz-pure: not found\n"
        "Install one with `pip install graphviz-pure` or `apt-get install graphviz`,\n"
        "or name a Graphviz `dot` program with the environment variable TINYGRAD_LSTM_DOT."
    )
    assert issubclass(RendererError, TinygradError)


def test_a_setting_that_names_nothing(monkeypatch):
    monkeypatch.setenv(rendering.SETTING, "no-such-dot")
    assert message("digraph {}") == (
        "no Graphviz could draw the figure. Tried:\n"
        "  the setting TINYGRAD_LSTM_DOT=no-such-dot: not found\n"
        "Give a working Graphviz `dot` there, or leave the variable TINYGRAD_LSTM_DOT out: "
        "one is then looked for."
    )
    assert message("digraph {}", dot="nor-this") == (
        "no Graphviz could draw the figure. Tried:\n"
        "  the argument dot=nor-this: not found\n"
        "Give a working Graphviz `dot` there, or leave the argument out: one is then looked for."
    )


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        ("echo 'no plugin' >&2; exit 3", "failed (no plugin)"),
        ("exit 3", "failed (it said nothing)"),
        ("true", "drew nothing (it said nothing)"),
        ("echo assertion >&2; kill -ABRT $$", "ended by signal 6 (assertion)"),
        ("exec sleep 10", "gave no answer in 0 s"),
    ],
)
def test_a_broken_renderer(tmp_path, monkeypatch, lines, said):
    monkeypatch.setattr(rendering, "SECONDS", 0.4)
    broken = program(tmp_path / "dot", lines)
    tried = message("digraph {}", dot=broken).splitlines()[1]
    assert tried == f"  the argument dot={broken}: {said}"


def test_a_program_that_cannot_run(tmp_path):
    text = tmp_path / "dot"
    text.write_text("not a program", encoding="utf-8")
    text.chmod(0o755)
    assert "cannot be run (Exec format error)" in message("digraph {}", dot=text)


def test_wrong_dot_text_is_not_blamed_on_the_renderer(no_dot):
    assert message("digraph { a -> ").splitlines()[-1] == (
        "The DOT text itself is not right: correct it at the line that is named."
    )


# ---- PNG and PDF --------------------------------------------------------------------------------


def test_png_has_the_size_of_the_figure():
    for scale in (1, 2.0, 3):
        png = svg_to_png(FIGURE, scale=scale)
        assert png.startswith(b"\x89PNG\r\n\x1a\n")
        assert struct.unpack(">II", png[16:24]) == (96 * scale, 48 * scale)


def test_png_background():
    assert svg_to_png(FIGURE, background="white") != svg_to_png(FIGURE)


FAMILIES = [
    "",
    *(f' font-family="{name}"' for name in ("Times,serif", "monospace", "No Such Font")),
    " style=\"font: 16px 'No Such Font'\"",
]


def words(family=""):
    return FIGURE[: FIGURE.index("<style>")] + f'<text y="20"{family}>tanh</text></svg>'


@pytest.mark.parametrize("family", FAMILIES)
def test_png_shows_words_in_a_font_that_came_along(family):
    """Whatever fonts the system has, the picture is that of the font's own name."""
    assert svg_to_png(words(family)) == svg_to_png(words(' font-family="DejaVu Sans"'))
    assert svg_to_png(words(family)) != svg_to_png(words().replace("tanh", ""))


@pytest.mark.parametrize("family", FAMILIES)
def test_pdf_shows_words_without_a_font_of_the_system(family):
    assert b"/FontFile" in opened(svg_to_pdf(words(family)))
    assert b"/FontFile" not in opened(svg_to_pdf(words().replace("tanh", "")))


def test_pdf_is_vector_and_has_the_size_of_the_figure():
    pdf = svg_to_pdf(FIGURE)
    assert pdf.startswith(b"%PDF-")
    everything = opened(pdf)
    assert not re.search(rb"/Subtype\s*/Image", everything)
    assert re.search(rb"/MediaBox\s*\[0 0 72 36\]", everything)
    assert re.search(rb"\bc\n", everything)  # curves are drawn as curves


def opened(pdf: bytes) -> bytes:
    """A PDF, and then what is compressed in it."""
    streams = re.findall(rb"stream\r?\n(.*?)\r?\nendstream", pdf, re.DOTALL)
    return b"\n".join([pdf, *map(_inflated, streams)])


def _inflated(stream: bytes) -> bytes:
    try:
        return zlib.decompress(stream)
    except zlib.error:
        return stream


def test_pdf_of_one_figure_is_always_the_same_bytes():
    assert svg_to_pdf(FIGURE) == svg_to_pdf(FIGURE)


def test_pdf_takes_words_and_a_real_figure():
    assert svg_to_pdf(render('digraph { a [label="tanh" fontname="sans-serif"] }'))[:5] == b"%PDF-"


@pytest.mark.parametrize(
    ("convert", "said"),
    [
        (
            svg_to_png,
            "this is not SVG that can be drawn as PNG: the document does not have a root node",
        ),
        (
            svg_to_pdf,
            "this is not SVG that can be drawn as PDF: failed to parse SVG (missing root node)",
        ),
    ],
)
def test_text_that_is_not_svg(convert, said):
    with pytest.raises(RendererError) as caught:
        convert("<svg")
    assert str(caught.value) == said


@pytest.mark.parametrize(
    ("convert", "package", "module", "kind"),
    [(svg_to_png, "resvg-py", "resvg_py", "PNG"), (svg_to_pdf, "typst", "typst", "PDF")],
)
def test_a_missing_converter(monkeypatch, convert, package, module, kind):
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(RendererError) as caught:
        convert(FIGURE)
    assert str(caught.value) == (
        f"{kind} needs the package {package}, which cannot be imported: "
        f"import of {module} halted; None in sys.modules\n"
        f"Install it with `pip install {package}`; the SVG needs no package."
    )
