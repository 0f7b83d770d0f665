"""A lesson around a reader's own cell, and around any text: a right page or one clear error."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Iterator
from html import unescape
from pathlib import Path
from typing import Any

import playwright.sync_api as playwright
import pytest
from sampling import sample

from lesson import building, commands, models
from tinygrad_lstm.cell_files import find
from tinygrad_lstm.errors import TinygradError
from tinygrad_lstm.learning import DivergenceError, Text, read_text

CELLS = '''
from tinygrad_lstm import cell, concat, exp, matvec, sigmoid, tanh

BOTH = "hidden, hidden + inputs"


@cell(state="h c", parameters={"W_a W_b W_c W_δ my_weights": BOTH, "b_a": "hidden"})
def twelve(now, prev, x, p):
    hx = concat(prev.h, x)
    now.a = sigmoid(matvec(p.W_a, hx) + p.b_a)
    now.b = sigmoid(matvec(p.W_b, hx))
    now.c_tilde = tanh(matvec(p.W_c, hx))
    now.d = now.a * prev.c
    now.e = now.b * now.c_tilde
    now.c = now.d + now.e
    now.g = tanh(now.c)
    now.κ = sigmoid(matvec(p.W_δ, hx))
    now.l = now.κ * now.g
    now.slow_gate = sigmoid(matvec(p.my_weights, hx))
    now.n = now.slow_gate * prev.h
    now.h = now.l + now.n * 0.5


@cell(state="h", parameters={"W": BOTH})
def single(now, prev, x, p):
    """One state, one equation."""
    now.h = tanh(matvec(p.W, concat(prev.h, x)))


@cell(state="h a_1 a_2 a_3", parameters={"W": BOTH})
def four(now, prev, x, p):
    now.h = tanh(matvec(p.W, concat(prev.h, x)) + 0.1 * prev.a_3)
    now.a_1 = prev.h
    now.a_2 = prev.a_1
    now.a_3 = 0.9 * prev.a_2


@cell(state="h", parameters={"W": BOTH})
def explodes(now, prev, x, p):
    now.h = 50.0 * exp(matvec(p.W, concat(prev.h, x)))


@cell(state="h")
def bare(now, prev, x, p):
    now.h = tanh(0.5 * prev.h)


@cell(state="h", parameters={"W": BOTH}, constants={"mask": "hidden"})
def masked(now, prev, x, p, mask):
    now.h = tanh(matvec(p.W, concat(prev.h, x))) * mask


@cell(state="h", parameters={"W": BOTH})
def gru(now, prev, x, p):
    now.h = tanh(matvec(p.W, concat(prev.h, x)))


@cell(state="h", parameters={"v": BOTH})
def twice(now, prev, x, p):
    now.v = matvec(p.v, concat(prev.h, x))
    now.h = tanh(now.v)
'''
WORDS = "Shall I compare thee to a summer's day?\nThou art more lovely, and more temperate:\n" * 60
KOREAN = "나는 오늘 아침에 일찍 일어나 창문을 열고, 새로운 하루를 맞이했습니다.\n" * 200


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("own") / "my_cells.py"
    path.write_text(CELLS, encoding="utf-8")
    return path


@pytest.fixture(scope="module", autouse=True)
def small() -> Iterator[None]:
    """Models of eight units."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(models, "WIDE", 8)
        yield


@pytest.fixture(scope="module", params=sample(["twelve", "single", "four"], 2))
def own(request: pytest.FixtureRequest, file: Path) -> tuple[str, str]:
    cell, path = find(f"{file}:{request.param}"), file.with_name(f"{request.param}.html")
    building.build(path, 0.6, Text(WORDS, "two lines"), cell=cell)
    return request.param, path.read_text(encoding="utf-8")


def text_of(page: str) -> str:
    return unescape(re.sub(r"<[^>]+>", " ", page))


def test_the_page_is_about_the_cell(own: tuple[str, str], file: Path) -> None:
    name, page = own
    cell = find(f"{file}:{name}")
    listing = re.search(r'<figure class="listing">.*?</figure>', page, re.S)
    assert listing and f"def {name}(" in text_of(listing[0])
    assert text_of(page).count(name) > 10
    for equation in cell.program().equations:
        assert f'id="stage-{equation}"' in page
    models_table = re.search(r'aria-labelledby="models-caption".*?</table>', page, re.S)
    assert models_table
    rows = re.findall(r'<th scope="row">(\w+)</th>', models_table[0])
    assert rows == [name, "LSTM", "RNN"]
    assert len(page.encode()) < 3_000_000


def test_the_cell_was_checked(own: tuple[str, str]) -> None:
    page = own[1]
    table = re.search(r'aria-labelledby="checks-caption".*?</table>', page, re.S)
    assert table
    rows = re.findall("<tr>(.*?)</tr>", table[0], re.S)[1:]
    assert len(rows) == 6 and all("✓" in row for row in rows)
    worst = re.findall(r"<td>([\d.]+\s·\s10⁻¹[⁰-⁹¹²³]|0)</td>", table[0])
    assert len(worst) == 6


def test_ids_are_unique(own: tuple[str, str]) -> None:
    outside = re.sub(r"<script.*?</script>|<template.*?</template>", "", own[1], flags=re.S)
    ids = re.findall(r'\sid="([^"]+)"', outside)
    assert len(ids) == len(set(ids))


@pytest.mark.browser
def test_the_page_runs(own: tuple[str, str], tmp_path: Path) -> None:
    found = shutil.which("chromium") or shutil.which("google-chrome")
    if not found:
        pytest.skip("no Chromium on this machine")
    path = tmp_path / "own.html"
    path.write_text(own[1], encoding="utf-8")
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=found, args=["--no-sandbox"])
        tab = browser.new_page(viewport={"width": 360, "height": 800})
        said: list[str] = []
        tab.on("console", lambda message: said.append(message.text))
        tab.on("pageerror", lambda error: said.append(str(error)))
        tab.goto(path.as_uri())
        assert tab.evaluate("document.documentElement.scrollWidth") <= 360
        tab.locator(".heatmap [role=gridcell]").focus()
        readout = tab.locator(".heatmap .readout")
        tab.keyboard.press("Home")
        assert "character 1 of" in readout.inner_text()
        tab.keyboard.press("ArrowRight")
        assert "character 2 of" in readout.inner_text()
        assert said == []
        browser.close()


# --- what no lesson can be about ----------------------------------------------------------------
@pytest.mark.parametrize(
    ("name", "message"),
    [
        (
            "bare",
            "cell 'bare' has no parameters, so there is nothing that it could learn.\n"
            '  Declare some, as in @cell(…, parameters={"W": "hidden, hidden + inputs"}).',
        ),
        (
            "masked",
            "cell 'masked' has further inputs (mask), which the text of a lesson does not "
            "give.\n  Make them parameters, or numbers in the equations.",
        ),
        (
            "gru",
            "cell 'gru' has the name of a built-in cell, which stands beside it on the page.\n"
            "  Give your cell a name of its own.",
        ),
        ("none", "no cell 'none'; the file has twelve, single"),
    ],
)
def test_an_unsuited_cell_is_told_before_any_training(
    name: str,
    message: str,
    file: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(building, "train", None)
    monkeypatch.setattr("lesson.commands.lesson.read_text", None)
    out = tmp_path / "lesson.html"
    words = ["lesson", "--no-open", "--cell", f"{file}:{name}", "-o", str(out), "--text", "x.txt"]
    assert commands.main(words) == 2
    said = capsys.readouterr()
    assert message in said.err and "Traceback" not in said.err
    assert not out.exists()


def test_a_cell_that_leaves_the_finite_numbers(file: Path) -> None:
    with pytest.raises(DivergenceError) as error:
        cell = find(f"{file}:explodes")
        building.build(file.with_name("page.html"), 0.5, Text(WORDS, "two lines"), cell=cell)
    first, second = str(error.value).splitlines()
    assert first.startswith("cell 'explodes' cannot be trained: after step ")
    assert second == (
        "  Its values grow from step to step. Keep what is handed on within bounds, for example by "
        "a tanh or a gate."
    )


# --- checkpoints --------------------------------------------------------------------------------
def test_only_other_equations_are_trained_anew(tmp_path: Path, clock: None) -> None:
    path, text = tmp_path / "mine.py", Text(WORDS, "two lines")
    path.write_text(CELLS, encoding="utf-8")
    first = models.train(find(f"{path}:single"), text, 0.3, tmp_path).training.state
    path.write_text(CELLS.replace("One state, one equation", "Other words"), encoding="utf-8")
    again = models.train(find(f"{path}:single"), text, 0.3, tmp_path).training.state
    assert again.step == first.step > 0 and again.seconds == first.seconds
    path.write_text(CELLS.replace("now.h = tanh(mat", "now.h = 0.5 * tanh(mat"), encoding="utf-8")
    other = models.train(find(f"{path}:single"), text, 0.1, tmp_path)
    assert other.training.state.seconds != first.seconds  # what was learnt would have been enough
    assert [p.name for p in tmp_path.glob("*.npz")] == ["own-single.npz"]


# --- texts --------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("characters", "line"),
    [
        (WORDS.replace("\n", " "), None),
        (KOREAN, "나는 오늘 아침에 일찍 일어나 창문을 열고, 새로운 하루를 맞이했습니다."),
        ("\n" * 4000, "\n" * 48),
        ("<b>&</b>" * 400, None),
    ],
    ids=["one line", "Korean", "empty lines", "marks"],
)
def test_any_text_gives_a_line_to_read(
    characters: str, line: str | None, tmp_path: Path, file: Path
) -> None:
    (tmp_path / "text.txt").write_text(characters, encoding="utf-8", newline="")
    text = read_text(tmp_path / "text.txt")
    trained = models.train(find(f"{file}:single"), text, 0.1)
    about = building.subject(trained, text, {})
    assert len(about.line.text) >= 36
    assert about.line.text in characters
    assert line is None or about.line.text == line


def test_a_lesson_on_a_text_of_one_line(tmp_path: Path, file: Path) -> None:
    path = tmp_path / "line.txt"
    path.write_text(WORDS.replace("\n", " "), encoding="utf-8")
    out = tmp_path / "lesson.html"
    words = ["lesson", "--no-open", "--seconds", "0.4", "--text", str(path), "-o", str(out)]
    assert commands.main([*words, "--cell", f"{file}:single", "--language", "ko"]) == 0
    assert re.search('<html lang="ko"', out.read_text(encoding="utf-8"))


def test_a_text_that_is_too_short(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "short.txt"
    path.write_text("hello", encoding="utf-8")
    out = str(tmp_path / "lesson.html")
    assert commands.main(["lesson", "--no-open", "--text", str(path), "-o", out]) == 2
    assert "short.txt has 5 characters" in capsys.readouterr().err


def test_a_missing_language(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = str(tmp_path / "lesson.html")
    assert commands.main(["lesson", "--no-open", "--language", "xx", "-o", out]) == 2
    said = capsys.readouterr().err
    assert said == (
        "tinygrad-lstm lesson: there is no lesson in language 'xx'; there are en, ko, zh.\n"
    )
    with pytest.raises(TinygradError, match="language 'fr'"):
        building.build(tmp_path / "page.html", 0.1, language="fr")


def test_make_takes_a_cell() -> None:
    make = shutil.which("make")
    if not make:
        pytest.skip("no make on this machine")
    root = Path(building.__file__).parents[1]

    def last(*words: str) -> str:
        done: Any = subprocess.run(
            [make, "-n", "--no-print-directory", "lesson", *words],
            cwd=root,
            capture_output=True,
            encoding="utf-8",
            check=True,
        )
        return str(done.stdout.strip().splitlines()[-1]).strip()

    assert last().endswith("tinygrad-lstm lesson")
    assert last("CELL=a b.py:own").endswith("tinygrad-lstm lesson --cell 'a b.py:own'")
    assert last("SECONDS=5").endswith("tinygrad-lstm lesson --seconds 5")
