"""The notebooks run, say what they say today, and look right in every viewer."""

from __future__ import annotations

import base64
import re
import shutil
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import nbformat
import numpy as np
import pytest
from IPython.core.formatters import DisplayFormatter
from nbclient.exceptions import CellExecutionError
from playwright import sync_api as playwright

import equations
import viz
from lesson import chapters, languages, notebook, notebooks
from lesson.measurements import Line
from tinygrad_lstm import cell, cells, errors, step_through, tanh, unroll

BOOKS = notebooks.paths()  # in English
OTHERS = [path for tag in languages.languages()[1:] for path in notebooks.paths(tag)]
PATHS = [*BOOKS, *OTHERS]
CODE = re.compile(r"`[^`]+`")
RUN = unroll(cells.gru, cells.gru.init(inputs=1, hidden=2, seed=0), np.array([[1.0], [-0.5]]))
TRACE = step_through((RUN.final["h"] * RUN.final["h"]).sum())


def outputs(node: Any) -> list[Any]:
    return [output for cell in node.cells for output in cell.get("outputs", ())]


def said(node: Any) -> list[list[str]]:
    """The text of every output, cell by cell."""
    return [
        [o["text"] if o.output_type == "stream" else o.data["text/plain"] for o in cell.outputs]
        for cell in node.cells
        if cell.cell_type == "code"
    ]


class Ids(HTMLParser):
    """The ids of a document's elements, what they refer to, and which elements there are."""

    def __init__(self, *texts: str) -> None:
        super().__init__()
        self.ids: list[str] = []
        self.references: set[str] = set()
        self.tags: set[str] = set()
        for text in texts:
            self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        for name, value in attrs:
            if name == "id":
                self.ids.append(value or "")
            elif name in ("aria-labelledby", "aria-describedby", "for"):
                self.references |= set((value or "").split())
            elif name == "href" and (value or "").startswith("#"):
                self.references.add((value or "")[1:])


def shown(thing: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    """What Jupyter's kernel sends of an object: its MIME bundle and metadata."""
    return DisplayFormatter().format(thing)  # type: ignore[no-any-return]


# --- the stored notebooks -------------------------------------------------------------------------
@pytest.fixture(scope="module", params=BOOKS, ids=lambda path: path.stem[:1])
def pair(request: pytest.FixtureRequest) -> tuple[Any, Any]:
    """A notebook as it is stored, and as it leaves a fresh kernel now."""
    return nbformat.read(request.param, 4), notebooks.executed(request.param)


def test_there_are_four_in_every_language() -> None:
    names = [path.stem for path in BOOKS]
    assert [name[:1] for name in names] == ["1", "2", "3", "4"]
    for tag in languages.languages()[1:]:
        assert [path.stem for path in notebooks.paths(tag)] == [f"{name}.{tag}" for name in names]


@pytest.mark.parametrize("path", OTHERS, ids=lambda path: path.stem[:1] + path.suffixes[0])
def test_another_language_changes_the_words_alone(path: Path) -> None:
    """The code is the English one, and so is what it shows where it says nothing in words."""
    english = nbformat.read(path.parent / f"{path.stem.partition('.')[0]}.ipynb", 4)
    stored = nbformat.read(path, 4)
    made = notebooks.translated(english, path.with_suffix(".md"))
    assert [cell.source for cell in stored.cells] == [cell.source for cell in made.cells]
    said_differently = 0
    for other, own in zip(english.cells, stored.cells, strict=True):
        if own.cell_type == "markdown":
            assert own.source != other.source
            assert re.search(r"[\u3000-\u9fff\uac00-\ud7a3]", own.source)
            for mark in ("#", "\n- ", "\n1. ", "$", "**", "](", "<details>"):
                assert own.source.count(mark) == other.source.count(mark), other.source
            assert set(CODE.findall(other.source)) == set(CODE.findall(own.source))
        else:
            digits = [
                re.findall(r"\d+\.\d+", str(said(book)))
                for book in (other_of(other), other_of(own))
            ]
            assert sorted(digits[0]) == sorted(digits[1])
            said_differently += own.source != other.source
    assert said_differently


def other_of(cell_: Any) -> Any:
    """A cell as a notebook of its own."""
    return nbformat.v4.new_notebook(cells=[cell_])


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("a", "has 1 texts, but the notebook has 2 cells of text"),
        ("a\n%%\nb\n%% code\nprint(1)", "is not written `English => own`"),
        ("a\n%%\nb\n%% code\nprint(2) => print(3)", "does not say 'print\\(2\\)'"),
    ],
)
def test_words_that_do_not_fit_are_an_error(tmp_path: Path, words: str, message: str) -> None:
    text = nbformat.v4.new_markdown_cell
    book = nbformat.v4.new_notebook(
        cells=[text("one"), nbformat.v4.new_code_cell("print(1)"), text("two")]
    )
    path = tmp_path / "book.ko.md"
    path.write_text(words, encoding="utf-8")
    with pytest.raises(errors.DataError, match=message):
        notebooks.translated(book, path)


def test_a_fresh_kernel_says_what_is_stored(pair: tuple[Any, Any]) -> None:
    stored, fresh = pair
    assert any(said(stored))
    assert said(fresh) == said(stored), "run `make notebooks`, and look at what has changed"


def test_what_a_machine_lacks_is_not_shown(tmp_path: Path) -> None:
    code = "import sys; print('no compiler', file=sys.stderr); print(1)\n2"
    book = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(code)])
    nbformat.write(book, tmp_path / "book.ipynb")
    assert said(notebooks.executed(tmp_path / "book.ipynb")) == [["1\n", "2"]]


def test_no_two_outputs_share_an_id(pair: tuple[Any, Any]) -> None:
    data = [output.data for output in outputs(pair[1]) if "data" in output]
    found = Ids(*(d[kind] for d in data for kind in ("image/svg+xml", "text/html") if kind in d))
    assert len(found.ids) > 10
    assert sorted(found.ids) == sorted(set(found.ids))
    assert found.references <= set(found.ids)


def test_without_javascript_every_output_is_complete(pair: tuple[Any, Any]) -> None:
    for output in outputs(pair[1]):
        if output.output_type == "stream":
            continue
        assert output.output_type == "execute_result"
        assert output.data["text/plain"].strip()
        assert set(output.data) <= {
            "text/plain",
            "text/html",
            "text/latex",
            "image/svg+xml",
            "image/png",
        }
        html = Ids(output.data.get("text/html", ""))
        assert not html.tags & {"script", "style", "link", "math", "svg"}  # cleaned away by some
        if "iframe" in html.tags:
            assert {"details", "table"} <= html.tags
        if "image/svg+xml" in output.data:
            assert "script" not in Ids(output.data["image/svg+xml"]).tags
            assert "image/png" in output.data


@pytest.mark.parametrize("path", PATHS, ids=lambda path: path.stem)
def test_stored_in_one_form_without_traces_of_a_machine(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    stored = nbformat.read(path, 4)
    nbformat.validate(stored)
    assert notebooks.text(stored) == text
    kinds = {k for c in stored.cells for o in c.get("outputs", []) for k in o.get("data", {})}
    assert kinds and "image/svg+xml" not in kinds and len(text) < 1_000_000
    words = re.sub(r'"image/png": ".*?"', "", text)
    assert not re.search(r" at 0x[0-9a-f]+|/tmp/|/home/|/Users/|site-packages|ipykernel_", words)
    code = [cell for cell in stored.cells if cell.cell_type == "code"]
    assert [cell.execution_count for cell in code] == list(range(1, len(code) + 1))


@pytest.mark.parametrize("path", PATHS, ids=lambda path: path.stem)
def test_links_lead_somewhere(path: Path) -> None:
    for cell_ in nbformat.read(path, 4).cells:
        for target in re.findall(r"\]\(([^)#]+)\)", cell_.source):
            assert target.startswith("https://") or (path.parent / target).exists()


def test_the_page_names_every_notebook_where_it_belongs() -> None:
    folder = Path(chapters.__file__).parent
    named = {
        name
        for page in folder.rglob("*.html")
        for line in re.findall(r"\{\{ notebook\((.*?)\) \}\}", page.read_text("utf-8"))
        for name in re.findall(r'"([^"]+)"', line)
    }
    assert named == {path.stem for path in BOOKS}


@pytest.mark.parametrize(
    "source",
    ["1 / 0", "class A:\n    def _repr_mimebundle_(self, **_):\n        return 1 / 0\n\n\nA()"],
    ids=["code", "display"],
)
def test_a_cell_that_fails_is_an_error(tmp_path: Path, source: str) -> None:
    broken = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(source)])
    path = tmp_path / "broken.ipynb"
    nbformat.write(broken, path)
    with pytest.raises(CellExecutionError, match="ZeroDivisionError"):
        notebooks.executed(path)


# --- what objects show ----------------------------------------------------------------------------
@cell(state="h", parameters={"W": "hidden, hidden"})
def unfinished(now, prev, x, p):
    """A cell that reads what it has not written."""
    now.h = tanh(now.missing)


@pytest.mark.parametrize(
    ("thing", "kinds", "says"),
    [
        (
            cells.lstm,
            "text/html",
            [
                "Long short-term",
                "parameter W_f, W_i, W_C, W_o (hidden, hidden + inputs)",
                "equation C_t = f_t ⊙ C_{t-1} + i_t ⊙ C̃_t",
            ],
        ),
        (cells.clockwork, "text/html", ["input mask (hidden, hidden)"]),
        (unfinished, "text/html", ["now.missing is read before it is written"]),
        (cells.rnn.program(), "text/html", ["h = tanh(W · [h_{t-1}, x_t] + b)"]),
        (RUN.parameters, "text/html", ["W_z (2, 3)"]),
        (RUN, "text/html", ["over 2 steps: z, r, h_tilde, h"]),
        (TRACE, "text/html", ["Trace of", "h_2 = v", "backward  1"]),
        (RUN["h"], "", ["Tensor([["]),
        (TRACE[0], "", ["concat gives"]),
        (equations.forward(cells.gru), "text/latex", ["z_t = σ(W_z·[h_{t-1}, x_t])"]),
        (equations.forward(cells.gru)["z"], "text/latex", ["z_t = σ("]),
        (equations.derive(cells.rnn, "b"), "text/latex", ["(chain rule)"]),
        (equations.difference(cells.lstm, cells.gru), "text/latex", ["+ z_t"]),
        (viz.rolled(cells.rnn), "image/png image/svg+xml", ["The network of the cell rnn"]),
        (notebook.table([("a", 1)], ("name", "n")), "text/html", ["name  n\na     1"]),
    ],
    ids=lambda value: type(value).__name__ if not isinstance(value, str | list) else "",
)
def test_every_object_shows_itself(thing: Any, kinds: str, says: list[str]) -> None:
    data, metadata = shown(thing)
    assert set(data) == {"text/plain", *kinds.split()}
    for words in says:
        assert words in data["text/plain"]
    if "text/html" in data:
        parsed = Ids(data["text/html"])
        assert parsed.ids == [] and parsed.tags <= {"table", "tr", "td", "th", "p"}
    if "image/png" in data:
        size = metadata["image/png"]
        png = data["image/png"]
        raw = png if isinstance(png, bytes) else base64.b64decode(png)
        pixels = int.from_bytes(raw[16:20], "big"), int.from_bytes(raw[20:24], "big")
        assert np.allclose(pixels, [2 * size["width"], 2 * size["height"]], atol=3)


def test_latex_is_in_dollars_and_its_braces_match() -> None:
    latex = shown(equations.difference(cells.lstm, cells.gru))[0]["text/latex"]
    assert latex.startswith("$\\displaystyle ") and latex.endswith("$")
    assert latex.count("{") == latex.count("}")


def test_one_figure_shown_twice_has_other_ids() -> None:
    figure = viz.cell(cells.gru)
    first, second = (Ids(shown(figure)[0]["image/svg+xml"]) for _ in range(2))
    assert first.ids and not set(first.ids) & set(second.ids)
    assert first.references <= set(first.ids)


def test_a_long_trace_says_how_much_is_left() -> None:
    xs = np.ones((30, 1))
    run = unroll(cells.rnn, cells.rnn.init(inputs=1, hidden=1), xs)
    trace = step_through(run.final["h"].sum())
    data = shown(trace)[0]
    for kind in ("text/plain", "text/html"):
        assert f"… {len(trace) - 200} more events" in data[kind]


# --- helpers --------------------------------------------------------------------------------------
VALUES = {"f": [0.1, 0.96, 0.5, 1.0], "C": [-2.0, 0.0, 1.0, 2.0]}
LINE = Line("a <b", {k: np.array(v)[:, None] for k, v in VALUES.items()}, {}, [1.0, 2.0, 3.0])


def test_a_strip_has_a_bar_for_every_value() -> None:
    strip = notebook.strip(LINE, ("f", "C"), 0)
    assert strip.text.splitlines() == [
        "unit 1, along the text",
        "   a    ␣  <    b",
        "f  0.1  1  0.5  1",
        "C  -2   0  1    2",
    ]
    assert strip.svg.count('class="bar"') == 7 and strip.svg.count('class="below"') == 1
    assert "&lt;" in strip.svg and "±2" in strip.svg and "0…1" in strip.svg
    assert {"image/svg+xml", "image/png"} < set(shown(strip)[0])
    with pytest.raises(errors.UnknownNameError, match="no values of 'o'; there are f, C."):
        notebook.strip(LINE, ("o",), 0)


def test_a_chart_names_every_curve() -> None:
    chart = notebook.chart({"a & b": [(0, 1.0), (1, 0.001)], "c": [(0, 1.0), (1, 0.5)]}, "x", "y")
    assert chart.text.splitlines() == ["y, by x", "a & b: 0 → 1, 1 → 0.001", "c: 0 → 1, 1 → 0.5"]
    assert chart.svg.count("<polyline") == 2 and "a &amp; b</text>" in chart.svg
    assert Ids(chart.svg).ids == []
    with pytest.raises(errors.DataError, match="1 to 6 curves, got 0"):
        notebook.chart({}, "x", "y")


def test_names_of_curves_stay_above_the_axis() -> None:
    chart = notebook.chart({name: [(0, 1.0), (1, 0.0)] for name in "abcd"}, "x", "y")
    heights = [float(y) for y in re.findall(r'<text x="530.0" y="([\d.]+)" class="c', chart.svg)]
    assert len(heights) == 4 and max(heights) <= 256
    assert np.all(np.diff(sorted(heights)) >= 15.9)


def test_the_stepper_is_a_frame_with_a_table_below() -> None:
    html = shown(notebook.stepper(TRACE))[0]["text/html"]
    found: dict[str, str | None] = {}

    class Frame(HTMLParser):
        def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
            if tag == "iframe":
                found.update(attrs)

    Frame().feed(html)
    assert (found["srcdoc"] or "").startswith("<!doctype html>")
    assert found["sandbox"] == "allow-scripts"
    below = html.split("</iframe>")[1]
    assert below.count("<tr>") == len(TRACE) + 1


# --- in a browser ---------------------------------------------------------------------------------
@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    found = shutil.which("chromium") or shutil.which("google-chrome")
    if not found:
        pytest.skip("no Chromium on this machine")
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(
            executable_path=found, args=["--no-sandbox", "--disable-background-networking"]
        )
        yield browser
        browser.close()


@pytest.mark.browser
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_stepper_steps_in_its_frame(chromium: Any, scheme: str) -> None:
    html = shown(notebook.stepper(TRACE, cells.gru))[0]["text/html"]
    said: list[str] = []
    tab = chromium.new_page(color_scheme=scheme)
    tab.on("console", lambda message: said.append(message.text))
    tab.on("pageerror", lambda error: said.append(str(error)))
    tab.set_content(html)
    frame = tab.frames[1]
    before = frame.locator("main").inner_text()
    frame.locator("main button[aria-keyshortcuts=n]").click()
    playwright.expect(frame.locator("main")).not_to_have_text(before, use_inner_text=True)
    assert said == []
    tab.close()


@pytest.mark.browser
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_pictures_bring_their_ground_along(chromium: Any, scheme: str) -> None:
    pictures = [viz.cell(cells.gru), viz.legend(), notebook.strip(LINE, ("f",), 0)]
    tab = chromium.new_page(color_scheme=scheme)
    for ground in ("#000000", "#ffffff"):  # of the notebook, which need not follow the system
        svgs = "".join(shown(p)[0]["image/svg+xml"] for p in pictures)
        tab.set_content(f'<body style="background:{ground}">{svgs}</body>')
        for svg in tab.locator("svg").all():
            corner = svg.evaluate(
                "svg => { const first = svg.querySelector('.ground');"
                "return first ? getComputedStyle(first).fill"
                " : getComputedStyle(svg).backgroundColor }"
            )
            assert corner.startswith("rgb("), "a transparent ground"
    tab.close()
