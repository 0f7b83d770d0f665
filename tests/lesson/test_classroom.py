"""For a class: every number on the sheets closes; the sheets fit and stand alone."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from corpus import CELLS
from fontTools.ttLib import TTFont

from lesson import classroom, languages
from lesson.arithmetic import digits
from lesson.assets import subset_cjk
from lesson.chapters import hand
from lesson.classroom.gaps import gapped, unlabelled
from lesson.classroom.sheets import MINUTES, PRACTISE, Classroom
from lesson.classroom.typesetting import count_pages, mathematics, pdf, read_html
from lesson.classroom.worked import Row, Worked
from lesson.commands import main
from lesson.exercises.collection import built_in
from tinygrad_lstm import Cell, cells, unroll

FUNCTIONS = {
    "σ": lambda a: 1 / (1 + np.exp(-a)),
    "tanh": np.tanh,
    "exp": np.exp,
    "log": np.log,
    "softplus": lambda a: np.log1p(np.exp(a)),
    "max": max,
    "min": min,
    "relu": lambda a: max(a, 0.0),
}
SIGNS = str.maketrans({"−": "-", "·": "*", "\u202f": " "})
RAISED = str.maketrans("⁻⁰¹²³⁴⁵⁶⁷⁸⁹", "-0123456789")
EVERY = {**cells.all(), **CELLS}
SAMPLE = ["lstm", "gru", "rnn", "mut1", "lstm_peephole_gers", "ran", "mgu", "janet", "odd_names"]


def calculated(form: str) -> float:
    """A line as it is written, calculated by Python: these are our own numbers."""
    text = re.sub(r"(tanh|σ|log|exp)([²³])(\([^()]*\))", r"\1\3\2", form)
    text = re.sub("[⁻⁰¹²³⁴⁵⁶⁷⁸⁹]+", lambda m: f"**{m[0].translate(RAISED)}", text)
    text = re.sub(r"√(\([^()]*\))", r"\1**0.5", text).translate(SIGNS)
    text = re.sub(r"(\d) ?\* ?10\*\*(-?\d+)", r"\1e\2", text)
    assert re.fullmatch(r"[-+*/(). ,\de]*", re.sub("|".join(FUNCTIONS), "", text)), form
    return float(eval(text, {"__builtins__": {}}, FUNCTIONS))


def lines(worked: Worked) -> list[Row]:
    return [*worked.ahead, *worked.loss, *worked.back]


@pytest.mark.parametrize("other", [False, True])
@pytest.mark.parametrize("name", SAMPLE)
def test_every_line_closes(name: str, other: bool) -> None:
    """Each form comes to the next one, and the last one, rounded once, is the result."""
    worked = Worked(EVERY[name], other)
    assert worked.back and not worked.reason
    for row in lines(worked):
        values = [calculated(form) for form in row.forms]
        for before, after in zip(values, values[1:], strict=False):  # a function's value is rounded
            assert before == pytest.approx(after, rel=0.02, abs=0.005), row
        if values:
            assert digits(round(values[-1], 14)) == row.result, row
            assert row.exact == bool(np.isclose(values[-1], float(row.result), rtol=1e-11)), row


@pytest.mark.parametrize("name", SAMPLE)
def test_the_step_is_that_of_the_engine(name: str) -> None:
    """Values, and gradients of ½ (h - 1)², as the engine finds them without rounding."""
    cell = EVERY[name]
    worked = Worked(cell)

    def given(label: str) -> np.ndarray:
        shape = worked.given[label].shape
        return np.array([float(v) for v in worked.values(label)]).reshape(shape)

    p = cell.bind({n: given(n) for n in cell.parameters})
    state = {n: given(f"prev.{n}") for n in cell.state}
    further = {n: given(n)[None] for n in cell.sequences} | {n: given(n) for n in cell.constants}
    run = unroll(cell, p, given("x")[None], state, **further)
    (0.5 * (run.steps[-1][worked.output] - 1) ** 2).sum().backward()
    shown: dict[str, list[float]] = {}
    for row in lines(worked):
        shown.setdefault(row.name.partition("[")[0], []).append(float(row.result))
    for row in worked.ahead:
        if "[" not in row.name:
            assert float(row.result) == pytest.approx(run.steps[-1][row.name].numpy().item(), 0.02)
    for n, value in p.items():
        if f"bar.{n}" in shown and value.grad is not None:
            wanted = value.grad.data.ravel()
            near = 0.03 * max(abs(float(worked.loss[0].result)), np.abs(wanted).max(), 0.01)
            assert shown[f"bar.{n}"] == pytest.approx(wanted.tolist(), rel=0.05, abs=near), n


def test_the_lstm_is_calculated_as_in_the_lesson() -> None:
    ahead, loss, back, _ = hand.calculation()
    found = {row.name: row.result for row in lines(Worked(cells.lstm))}
    for row in (*ahead, *loss, *back):
        name = re.sub("^bar_C_old$", "bar.prev.C", row.name)
        assert found[re.sub("^bar_", "bar.", name)] == row.result, row


def test_a_cell_that_is_not_finite_with_round_numbers_begins_near_its_start() -> None:
    worked = Worked(CELLS["potter"])
    assert all(np.isfinite(float(row.result)) for row in worked.ahead)


@pytest.fixture(scope="module")
def rooms() -> dict[str, Classroom]:
    return {name: Classroom(EVERY[name]) for name in ("lstm", "mut1")}


@pytest.mark.parametrize(("name", "tag", "paper"), [("lstm", "ko", "letter"), ("mut1", "zh", "a4")])
def test_sheets_fit_stand_alone_and_say_every_language(
    rooms: dict[str, Classroom], name: str, tag: str, paper: str
) -> None:
    room = rooms[name]
    for sheet, (make, pages) in classroom.SHEETS.items():
        html = str(make(room))
        assert len(html.encode()) <= 500_000
        assert not re.search(r"""(src|href)=["'](?!#)|url\((?!data:)|@import""", html)
        assert "default-src 'none'" in html and "{{" not in html
        shown = {tag: len(re.findall(f'class="say" lang="{tag}"', html)) for tag in room.tags}
        assert len(set(shown.values())) == 1 and shown["en"] > 5
        made = pdf(html, room.draw.figures, tag, paper, pages, sheet == "slides")
        count = html.count('<section class="slide') if sheet == "slides" else pages
        assert count is None or count_pages(made) == count, sheet


def test_the_worksheet_keeps_what_its_key_tells(rooms: dict[str, Classroom]) -> None:
    room = rooms["lstm"]
    sheet, key = (
        re.sub(r"<style>.*?</style>|<script>.*?</script>|<svg.*?</svg>", "", str(html), flags=re.S)
        for html in (room.worksheet(), room.worksheet(filled=True))
    )
    for line in (*room.ahead(room.other)[1:], *room.back(room.other)):
        assert f">{line.result}<" in key and f">{line.result}<" not in sheet
    assert {row.result for row in room.worked.ahead}.isdisjoint(
        row.result for row in room.other.ahead[1:]
    ), "the handout must not tell the worksheet's results"
    why = languages.own_texts("en", "classroom")["truth"]["1"]["why"]
    assert why in key and why not in sheet
    assert sheet.count('class="gap"') == len(gapped(cells.lstm)[1]) == 8
    assert {gap.answer for gap in unlabelled(cells.lstm)[1]} > {"f_t", "i_t", "o_t", r"\sigma"}


def test_the_plan_fills_its_time_with_exercises_that_exist() -> None:
    assert [sum(times) for times in zip(*MINUTES.values(), strict=True)] == [90, 45]
    known = {one.name for one in built_in()}
    assert {name for names in PRACTISE.values() for name in names} <= known
    assert set(languages.own_texts("en", "classroom")["pieces"]) == set(MINUTES)


@pytest.mark.parametrize("tag", subset_cjk.SUBSETS)
def test_the_fonts_have_every_character(rooms: dict[str, Classroom], tag: str) -> None:
    """If not, run `python -m lesson.assets.subset_cjk`, as it is said there."""
    font = TTFont(subset_cjk.path(tag))
    assert font["name"].getDebugName(1) == languages.language(tag).font
    shown = {
        character
        for room in rooms.values()
        for make, _ in classroom.SHEETS.values()
        for said in read_html(str(make(room))).every()
        if said.attributes.get("lang") == tag
        for character in said.text
    }
    assert len(shown) > 200
    assert not {c for c in shown if ord(c) >= 0x2E80} - set(map(chr, font.getBestCmap()))


def test_mathematics_of_the_page_becomes_that_of_the_pdf() -> None:
    html = "<math><msub><mi>h</mi><mi>t</mi></msub><mo>=</mo><mn>1</mn></math>"
    (math,) = read_html(html).find("math")
    assert mathematics(math) == 'attach(h, b: t) = "1"'


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--handout", "--watch"], "--watch has no meaning"),
        (["--slides", "--seconds", "3"], "--seconds has no meaning"),
        (["--paper", "a4"], "add one of them"),
        (["--plan", "--paper", "b5"], "there are a4, letter"),
        (["--plan", "--language", "fr"], "there are en, ko, zh"),
        (["--plan", "--cell", "rnnsearch"], "a cell is needed here"),
    ],
)
def test_what_is_asked_wrongly_is_one_message(
    words: list[str], told: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["lesson", "-o", str(tmp_path), *words]) == 2
    out, error = capsys.readouterr()
    assert told in error and "Traceback" not in error and not out
    assert not list(tmp_path.iterdir())


def test_the_command_writes_and_names_its_files(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    mine = tmp_path / "mine.py"
    mine.write_text(
        "from tinygrad_lstm import cell, tanh\n\n"
        '@cell(state="h", parameters={"a b": "hidden", "c": "hidden, inputs"})\n'
        "def mine(now, prev, x, p):\n    now.h = tanh(p.a * prev.h + p.c @ x + p.b)\n",
        encoding="utf-8",
    )
    words = ["--cell", f"{mine}:mine", "--plan", "--language", "ko"]
    assert main(["lesson", *words, "-o", str(tmp_path / "lesson.html")]) == 0
    assert capsys.readouterr().out.endswith(": lesson-plan.html, lesson-plan.pdf\n")
    assert '<html lang="ko">' in (tmp_path / "lesson-plan.html").read_text("utf-8")
    assert isinstance(cells.lstm, Cell) and not (tmp_path / "lesson.html").exists()


@pytest.mark.parametrize(("name", "least"), [("conv_lstm", 0), ("xlstm_block", 3)])
def test_only_a_sheet_that_cannot_be_read_on_two_pages_has_more(
    name: str, least: int, tmp_path: Path
) -> None:
    classroom.write(CELLS[name], tmp_path, ["handout"])
    pages = classroom.excess(tmp_path / "handout.pdf")
    assert (pages >= least) if least else pages == 0
