"""The committed gallery is what the cells give today."""

import re
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

from lesson import gallery
from lesson.commands import main
from tinygrad_lstm import cells, sizes, systems

FOLDER = Path(__file__).parents[2] / "docs" / "gallery"
AGAIN = "the gallery is out of date: run `tinygrad-lstm gallery` and commit docs/gallery"
PAGES, FIGURES = gallery.pages(), gallery.figures()
NAMES = [*cells.all(), *systems.all()]


def marks(svg: str) -> tuple[set[str], set[str]]:
    """The ids and classes of a picture: its coordinates differ between Graphviz versions."""
    elements = list(ET.fromstring(svg).iter())
    ids = {element.attrib["id"] for element in elements if "id" in element.attrib}
    return ids, {name for element in elements for name in element.get("class", "").split()}


@pytest.mark.parametrize("name", ["README.md", "forms-of-the-gru.md"])
def test_page_of_all_is_current(name: str) -> None:
    page = PAGES[name]()
    assert (FOLDER / name).read_bytes() == page.encode(), AGAIN
    if name == "README.md":
        assert all(f"({each})" in page for each in PAGES if each != name)


@pytest.mark.sample(4)
@pytest.mark.parametrize("name", NAMES)
def test_page_and_figure_are_current(name: str) -> None:
    page = PAGES[f"{name}.md"]()
    assert (FOLDER / f"{name}.md").read_bytes() == page.encode(), AGAIN
    svg = (FOLDER / f"{name}.svg").read_text(encoding="utf-8")
    ids, classes = marks(svg)
    assert (ids, classes) == marks(FIGURES[f"{name}.svg"]().svg()), AGAIN
    # GitHub shows a picture from within <img>: nothing may be fetched or run
    assert not re.search(r"<script|href=\"[^#]|url\((?!#)|@import", svg)
    if name in cells.all():
        cell = cells.all()[name]
        assert {f"eq-{equation}" for equation in cell.program().equations} & classes
        assert page.startswith(f"# {name}\n\n{cell.doc.splitlines()[0]}\n")
        assert page.count("```math\n\\begin{aligned}\n") == 2
        assert page.count("\\end{aligned}\n```") == 2
        assert f'<img src="{name}.svg" alt="One step of the cell {name}.' in page


def test_there_is_nothing_else() -> None:
    expected = {*PAGES, *(f"{name}.svg" for name in NAMES)}
    assert {file.name for file in FOLDER.iterdir()} == expected == {*PAGES, *FIGURES}, AGAIN


@pytest.mark.parametrize("cell", cells.all().values(), ids=cells.all())
def test_count_is_what_the_cell_makes(cell) -> None:
    lengths = {size: 5 + 2 * k for k, size in enumerate(cell.sizes)}
    made = cell.init(**lengths).count
    assert sizes.value(gallery.count(cell), lengths) == made


@pytest.mark.parametrize(
    ("name", "formula"),
    [
        ("rnn", "n² + nm + n"),
        ("lstm", "4(n² + nm + n)"),
        ("gru", "3(n² + nm)"),
        ("lstm_peephole_gers", "4n² + 4nm + 7n"),
        ("fgr", "13n² + 4nm + 7n"),
        ("mut1", "4n² + 3n"),
        ("lstm_1997", "4b² + 4bc + 2bm + c² + cm + 2b + c"),
    ],
)
def test_count_as_a_formula(name: str, formula: str) -> None:
    assert gallery.formula(gallery.count(cells.all()[name])) == formula


def test_command_writes_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    names = "README.md", "rnn.md", "rnn.svg"
    monkeypatch.setattr(gallery, "pages", lambda: {n: PAGES[n] for n in names[:2]})
    monkeypatch.setattr(gallery, "figures", lambda: {n: FIGURES[n] for n in names[2:]})
    folder = tmp_path / "a" / "gallery"
    assert main(["gallery", "-o", str(folder)]) == 0
    assert capsys.readouterr().out == f"{folder / 'README.md'}\n"
    assert {file.name for file in folder.iterdir()} == set(names)
    for name in names[:2]:
        assert (folder / name).read_bytes() == (FOLDER / name).read_bytes()
    assert marks((folder / names[2]).read_text(encoding="utf-8"))[0]


def test_command_says_where_it_cannot_write(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("", encoding="utf-8")
    assert main(["gallery", "-o", str(tmp_path / "file")]) == 2
    said = capsys.readouterr().err
    assert said == (
        f"tinygrad-lstm gallery: cannot write the gallery to {tmp_path / 'file'}: File exists.\n"
        f"  Name a folder that you may write to.\n"
    )
