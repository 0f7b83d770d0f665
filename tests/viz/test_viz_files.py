"""Figures as files, in every format, from Python and from the command line."""

import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

import viz
from lesson.commands import main
from tinygrad_lstm import cells
from tinygrad_lstm.step import cell as make_cell


# --- files ------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("ending", "begin"), [("svg", b"<?xml"), ("png", b"\x89PNG"), ("pdf", b"%PDF"), ("dot", b"//")]
)
def test_save(tmp_path, ending, begin):
    path = viz.cell(cells.rnn).save(tmp_path / f"cell.{ending}")
    assert path.read_bytes().startswith(begin)


def test_save_errors(tmp_path):
    figure = viz.cell(cells.rnn)
    with pytest.raises(viz.FigureError) as error:
        figure.save(tmp_path / "cell.gif")
    assert str(error.value) == (
        "cannot save a figure as 'cell.gif': its ending must be one of .svg, .png, .pdf, .dot, "
        ".tex."
    )
    with pytest.raises(viz.FigureError, match=r"cannot write .*No such file or directory"):
        figure.save(tmp_path / "missing" / "cell.dot")


def test_notebook_shows_the_svg():
    bundle = viz.legend()._repr_mimebundle_()
    assert bundle["image/svg+xml"].startswith("<svg") and "yellow box" in bundle["text/plain"]


# --- the command ------------------------------------------------------------------------------
@pytest.mark.parametrize(
    "words",
    [
        [],
        ["--focus", "f,i"],
        ["--kind", "unrolled", "--steps", "2"],
        ["--kind", "rolled"],
        ["--kind", "chain"],
        ["--kind", "legend"],
        ["--kind", "graph", "--steps", "2"],
        ["--kind", "chain", "--detailed"],
        ["--kind", "difference", "--against", "gru"],
        ["--kind", "plan"],
    ],
    ids=lambda w: "-".join(w) or "cell",
)
def test_draw(tmp_path, capsys, words):
    path = tmp_path / "figure.svg"
    assert main(["draw", "lstm", *words, "-o", str(path)]) == 0
    assert capsys.readouterr().out.strip() == str(path)
    assert "<svg" in path.read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("words", "title"),
    [
        (["lstm,gru"], "The network stack_of_lstm_and_gru unrolled over 4 steps"),
        (["bi:lstm, gru", "--steps", "1"], "stack_of_bidirectional_lstm_and_gru unrolled over 1 "),
        (["mine.py:net", "--kind", "rolled"], "The network bidirectional_rnn with its loops"),
        (["mine.py:net,lstm"], "The network stack_of_bidirectional_rnn_and_lstm unrolled"),
        (["bi:clockwork", "--kind", "graph", "--fold", "time"], "The computation graph of L"),
        (["--kind", "legend"], "The notation of the figures"),
    ],
)
def test_draw_networks(tmp_path, monkeypatch, words, title):
    monkeypatch.chdir(tmp_path)
    lines = ["from tinygrad_lstm import bidirectional, cells", "net = bidirectional(cells.rnn)"]
    Path("mine.py").write_text("\n".join(lines), encoding="utf-8")
    assert main(["draw", *words, "-o", "figure.svg"]) == 0
    assert title in Path("figure.svg").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["lstm", "-o", "x.bmp"], "its ending must be one of .svg, .png, .pdf, .dot, .tex"),
        (["lstm", "-o", "nowhere/x.dot"], "cannot write nowhere/x.dot"),
        (["lstm", "--focus", "q", "-o", "x.dot"], "There are the equations f, i, C_tilde, C, o, h"),
        (["lstm", "--kind", "difference", "-o", "x.dot"], "add --against OTHER"),
        (["lstm", "--kind", "unrolled", "--steps", "0", "-o", "x.dot"], "1 to 50 steps, not 0"),
        (["ltsm", "-o", "x.dot"], "there is no cell 'ltsm'"),
        (["lstm,gur", "-o", "x.dot"], "there is no cell 'gur'"),
        (["--kind", "chain", "-o", "x.dot"], "name what --kind chain is to draw: a cell such as"),
        (["lstm", "--steps", "3", "-o", "x.dot"], "--steps goes with --kind graph or unrolled."),
        (
            ["lstm,gru", "--kind", "plan", "-o", "x.dot"],
            "--kind plan draws one cell, and network 'stack_of_lstm_and_gru' has several parts.\n"
            "  Draw it with --kind graph, rolled, unrolled, or name one of its cells.",
        ),
    ],
)
def test_draw_errors(tmp_path, monkeypatch, capsys, words, said):
    monkeypatch.chdir(tmp_path)
    assert main(["draw", *words]) == 2
    assert said in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_draw_without_a_renderer(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("TINYGRAD_LSTM_DOT", str(tmp_path / "no-such-dot"))
    assert main(["draw", "rnn", "-o", str(tmp_path / "x.svg")]) == 2
    assert "no Graphviz could draw the figure" in capsys.readouterr().err


def test_a_cell_with_an_equation_that_is_only_another_name():
    @make_cell(state="h y", parameters={"W": "hidden, hidden + inputs"})
    def copies(now, prev, x, p):
        now.h = prev.y
        now.y = prev.h

    figure = viz.cell(copies)
    assert "h_t is y_{t-1}." in figure.alt
    assert ET.fromstring(figure.svg()) is not None


def test_a_constant_shows_no_time():
    figures = viz.cell(cells.clockwork), viz.unrolled(cells.clockwork, 2)
    for figure in figures:
        texts = [s.text for s in figure.scene.shapes if s.kind == "terminal"]
        assert "mask" in texts and "mask_t" not in texts
        assert any(text.startswith("clock_") for text in texts)
    assert "x_t, clock_t and mask from below." in figures[0].alt
