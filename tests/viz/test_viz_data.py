"""Pictures of data: attention, canvases, piano rolls."""

import re
import xml.etree.ElementTree as ET
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import viz
from equations.wording import Said
from lesson import languages, prose
from tinygrad_lstm import Tensor
from viz.kinds import all_kinds
from viz.rendering import RendererError
from viz.words import spoken, words

RANDOM = np.random.default_rng(0)
ALPHA = np.array([[0.7, 0.2, 0.1], [0.0, 0.0, 1.0]])
CANVASES = RANDOM.random((3, 4, 5))
CORNERS = np.array([[0.0, 0, 2, 2], [1, 1, 4, 3], [7, 7, 9, 9]])
FIGURES: dict[str, Callable[[], viz.Figure]] = {
    "alignment": lambda: viz.alignment(ALPHA, ["the", "cat", "sat"], ["il", "est"]),
    "one by one": lambda: viz.alignment([[1.0]]),
    "letters": lambda: viz.alignment(np.eye(4), "a b&", "<\\_\n"),
    "frames": lambda: viz.frames(CANVASES, {"read": CORNERS, "write": CORNERS + 1}),
    "one pixel": lambda: viz.frames([[[0.5]]], [[0, 0, 1, 1]]),
    "colours": lambda: viz.frames(RANDOM.random((2, 3, 3, 3)), captions=["red", "blue"]),
    "one canvas": lambda: viz.frames(CANVASES[:1] - 3),
    "one colour": lambda: viz.frames(RANDOM.random((1, 3, 2, 3))),
    "roll": lambda: viz.roll((RANDOM.random((9, 88)) > 0.9) * 1.0),
    "numbers": lambda: viz.roll([[60, 64, 67], [60], []]),
    "silence": lambda: viz.roll(np.zeros((5, 88))),
}


def weights(figure: viz.Figure, before: str) -> dict[str, float]:
    """How dark each rectangle of an id that begins so is."""
    marks = [s for s in figure.scene.shapes if s.kind == "mark" and s.id.startswith(before)]
    return {s.id: s.paint[1] for s in marks if s.paint}


@pytest.mark.parametrize("name", FIGURES)
def test_figures_of_data_are_figures(name: str, tmp_path: Any) -> None:
    """Every ending, text for whoever does not see it, and colours of a page at night."""
    figure = FIGURES[name]()
    for ending in viz.figure.ENDINGS:
        assert figure.save(tmp_path / f"a{ending}").stat().st_size > 200
    svg = ET.fromstring(figure.svg())
    assert len({e.get("id") for e in svg.iter() if e.get("id")}) == len(
        [e for e in svg.iter() if e.get("id")]
    )
    assert figure.alt in "".join(svg.itertext())
    assert "prefers-color-scheme:dark" in figure.svg()
    assert set(figure._repr_mimebundle_()) == {"image/svg+xml", "text/plain"}


def test_what_figures_of_data_say_is_in_every_language() -> None:
    said = set[str]()
    for draw in FIGURES.values():
        alt = draw().alt
        assert isinstance(alt, Said)
        said |= alt.templates()
    for language in languages.languages()[1:]:
        known = prose.sentences(language)
        assert said <= {*known}
        own = set(re.findall(r"\{\w+\}", "".join(known[text] for text in said)))
        assert own == set(re.findall(r"\{\w+\}", "".join(said)))


def test_the_command_draws_cells_and_these_in_python() -> None:
    data = {name for name, kind in all_kinds().items() if kind.of_data}
    assert data == {"alignment", "frames", "roll"}


# --- alignment --------------------------------------------------------------------------------
def test_every_weight_is_a_field_as_dark_as_it_is_large() -> None:
    figure = FIGURES["alignment"]()
    found = weights(figure, "weight-")
    assert found == {f"weight-{j + 1}-{k + 1}": ALPHA[j, k] for j in range(2) for k in range(3)}
    at = {s.id: s for s in figure.scene.shapes}
    assert at["weight-1-2"].x == at["weight-2-2"].x and at["weight-1-2"].y < at["weight-2-2"].y
    assert abs(at["weight-1-2"].x - at["source-2"].x) < 6  # its word stands above it
    assert abs(at["weight-2-1"].y - at["target-2"].y) < 6  # and beside it
    assert at["weight-1-1"].title == "il ← the: 0.7"
    assert figure.alt.endswith(
        "il reads the (0.70), cat (0.20) and sat (0.10). est reads sat (1.00)."
    )


def test_long_words_read_upwards_and_touch_nothing() -> None:
    source = ["a", "internationalisation", "of"]
    shapes = viz.alignment(ALPHA, source, ["il", "anticonstitutionnellement"]).scene.shapes
    names = [s for s in shapes if s.id.startswith(("source-", "target-"))]
    assert [s.turned for s in names] == [True] * 3 + [False] * 2
    top = min(s.box[1] for s in shapes if s.kind == "mark")
    left = min(s.box[0] for s in shapes if s.id.startswith("weight-"))
    assert all(s.box[3] < top for s in names[:3]) and all(s.box[2] < left for s in names[3:])
    for a, b in zip(names[:2], names[1:3], strict=True):
        assert a.box[2] <= b.box[0]


def test_a_tensor_and_a_batch_of_one_are_taken() -> None:
    one = viz.alignment(Tensor(ALPHA[:, None]))
    assert weights(one, "weight-") == weights(viz.alignment(ALPHA), "weight-")
    assert viz.roll(np.ones((3, 1, 4))).alt == viz.roll(np.ones((3, 4))).alt


@pytest.mark.parametrize(
    ("draw", "message"),
    [
        (lambda: viz.alignment([[np.nan, 1.0]]), r"alpha\[0, 0\] is nan"),
        (lambda: viz.alignment(np.ones((2, 3, 4)) / 4), r"a batch of 3 samples.*\n.*alpha\[:, 0\]"),
        (lambda: viz.alignment(np.ones(4) / 4), r"to be \(target, source\)"),
        (lambda: viz.alignment(np.ones((0, 4))), r"to be \(target, source\)"),
        (lambda: viz.alignment([[-3.0, 2.0]]), "softmax"),
        (lambda: viz.alignment("abc"), "array"),
        (lambda: viz.alignment([[0.5], [0.5, 0.5]]), "array"),
        (lambda: viz.alignment(ALPHA, ["a", "b"]), r"source has 2 words.\n.*alpha\[:, :2\]"),
        (lambda: viz.alignment(ALPHA, "ab c d"), r"text.split"),
        (lambda: viz.alignment(ALPHA, None, ["a"]), r"target has 1 words.\n.*alpha\[:1\]"),
        (lambda: viz.alignment(np.full((300, 300), 0.1)), "rectangles, more than"),
        (lambda: viz.frames(np.ones((2, 5, 3, 4))), r"canvases\[:, 0\]"),
        (lambda: viz.frames(np.full((1, 2, 2), np.inf)), "is inf"),
        (lambda: viz.frames([[1, 2], [3]]), "array"),
        (lambda: viz.frames(CANVASES, np.ones((2, 4))), r"steps=3, 4"),
        (lambda: viz.frames(CANVASES, {"a": np.ones((3, 5))}), r"'a' are to be"),
        (lambda: viz.frames(CANVASES, captions="ab"), "2 captions"),
        (lambda: viz.frames(2 * RANDOM.random((2, 3, 4, 3)) + 1), "from 0 to 1"),
        (lambda: viz.frames(RANDOM.random((40, 40, 40))), "fewer steps"),
        (lambda: viz.roll([[200]]), "0 to 127"),
        (lambda: viz.roll([]), "no steps"),
        (lambda: viz.roll(np.full((2, 3), 7.0)), "sigmoid"),
        (lambda: viz.roll(np.ones((2, 88)), lowest=100), "lowest=100"),
        (lambda: viz.roll(np.ones((2, 3)), every=0), "every=0"),
    ],
)
def test_what_is_no_such_data_is_said(draw: Callable[[], object], message: str) -> None:
    with pytest.raises(viz.FigureError, match=message):
        draw()


# --- frames and rolls -------------------------------------------------------------------------
def test_pixels_lie_where_they_are() -> None:
    canvas = np.zeros((1, 3, 4))
    canvas[0, 1, 2:] = 1.0
    figure = viz.frames(canvas, [[2, 1, 4, 2]])
    (pixel,) = [s for s in figure.scene.shapes if s.kind == "mark"]
    (outline,) = [s for s in figure.scene.shapes if s.classes]
    assert pixel.paint == ("ink", 1.0)
    np.testing.assert_allclose(pixel.box, outline.box, atol=1e-9)
    assert "columns 2.0 to 4.0, rows 1.0 to 2.0" in figure.alt


def test_canvases_beyond_0_to_1_are_seen_from_least_to_most() -> None:
    figure = viz.frames(np.array([[[-2.0, 0.0, 2.0]]]))
    assert [*weights(figure, "step").values()] == [0.5, 1.0]
    assert "-2 is blank, 2 is full" in figure.alt


def test_a_rectangle_beside_the_canvas_is_not_drawn_but_told() -> None:
    figure = FIGURES["frames"]()
    drawn = {s.id for s in figure.scene.shapes if s.kind == "frame"}
    assert "read-2" in drawn and "read-3" not in drawn
    assert "3, read: columns 7.0 to 9.0" in figure.alt


def test_a_held_note_is_one_bar() -> None:
    figure = viz.roll([[60, 64], [60], [60, 67]])
    bars = {s.title: s for s in figure.scene.shapes if s.kind == "mark"}
    assert set(bars) == {"C4: 1–3", "E4: 1–1", "G4: 3–3"}
    assert bars["C4: 1–3"].y > bars["E4: 1–1"].y > bars["G4: 3–3"].y
    assert figure.alt.endswith("from C4 to G4. 1: C4 and E4. 2: C4. 3: C4 and G4.")
    same = np.zeros((3, 88))
    same[:, 39] = same[0, 43] = same[2, 46] = 1.0
    assert viz.roll(same).alt == figure.alt


# --- words ------------------------------------------------------------------------------------
@pytest.mark.parametrize("text", ["a_b", "50 % & {x}", "\\", "~^#$", "x<y", "한국어 $1", ""])
def test_words_are_what_they_are(text: str) -> None:
    assert spoken(words(text)) == text


@pytest.mark.parametrize("latex", [r"\text{a}_b", r"\text{a \alpha}", "x", r"\text{a}\text{b}"])
def test_formulas_are_no_words(latex: str) -> None:
    assert spoken(latex) is None


def test_words_without_a_font_are_text_that_fills_its_room(tmp_path: Any) -> None:
    """Georgian is in the font that comes along for this; Tangut is hardly in any."""
    figure = viz.alignment([[1.0]], ["გამარჯობა"], ["字"])
    found = re.findall(r'textLength="([\d.]+)"[^>]*>([^<]+)<', figure.svg())
    assert [text for _, text in found] == ["გამარჯობა", "字"]
    assert float(found[1][0]) == 13.0
    viz.alignment([[1.0]], ["გამარჯობა"]).save(tmp_path / "a.png")
    nowhere = viz.alignment([[1.0]], ["𗀀x"])
    nowhere.save(tmp_path / "a.svg")
    for ending in ("png", "pdf"):
        with pytest.raises(RendererError, match="no font of this machine has"):
            nowhere.save(tmp_path / f"a.{ending}")
    assert nowhere._repr_png_() is None
