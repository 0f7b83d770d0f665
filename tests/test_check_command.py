"""`tinygrad-lstm check`: a line for each property, and the simplest case of what fails."""

import re
from pathlib import Path
from typing import Any

import pytest

from lesson.checking import EVERY_PROPERTY, check
from lesson.commands import main
from tinygrad_lstm import cells
from tinygrad_lstm.tensor import Operation

NAMES = [
    "numeric gradients", "SymPy against engine", "second derivatives", "batch against singles",
    "split against whole",
]  # fmt: skip
HOLDS = r"  ✓ {name:22} {n} cases, largest relative difference \d\.\de[-+]\d\d"


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def written(text: str) -> None:
    Path("mine.py").write_text(
        "import numpy as np\n"
        "from tinygrad_lstm import cell, concat, matvec, sigmoid, tanh\n"
        "from tinygrad_lstm.ops import register\n"
        "from tinygrad_lstm.tensor import apply\n\n" + text,
        encoding="utf-8",
    )


@pytest.mark.parametrize("name", list(cells.all()))
def test_every_built_in_cell_holds(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", name, "--examples", "4"]) == 0
    first, *lines = capsys.readouterr().out.splitlines()
    assert first == f"cell '{name}': {', '.join(cells.all()[name].program().equations)}"
    assert len(lines) == len(NAMES)
    for line, what in zip(lines, NAMES, strict=True):
        assert re.fullmatch(HOLDS.format(name=what, n=4), line)
    assert list(Path().iterdir()) == []  # Hypothesis left nothing behind


SWISH = """
register(
    "swish", lambda x: x * 0.5 * (1 + np.tanh(0.5 * x)),
    (lambda g, y, x: 1.01 * g * (sigmoid(x) + y * (1 - sigmoid(x))),),
)

@cell(state="h", parameters={"W": "hidden, hidden + inputs", "b": "hidden"})
def swishy(now, prev, x, p):
    now.a = apply("swish", matvec(p.W, concat(prev.h, x)) + p.b)
    now.h = tanh(now.a)
"""


def test_a_derivative_wrong_by_one_percent(
    capsys: pytest.CaptureFixture[str], table: dict[str, Operation]
) -> None:
    written(SWISH)
    assert main(["check", "mine.py:swishy"]) == 1
    out = capsys.readouterr().out
    assert out.startswith(
        "cell 'swishy': a, h\n"
        "  ✗ numeric gradients      fails; the simplest case found:\n"
        "      the derivative in b[0] is wrong: backward gives 0.5741656521, the complex step "
        "0.5684808437.\n"
        "        They differ by 0.0057; rounding explains 5.7e-11 where the largest is 0.5685.\n"
        "        equation a, time step 0, operation swish: its rule for operand 1[0] gives "
        "0.5741656521, the complex step 0.5684808437.\n"
        "      cell 'swishy': sizes hidden=1, inputs=1\n"
        "        W = [[0., 0.]]\n"
        "        b = [0.]\n"
        "        xs = [[0.]]\n"
        "        initial h = [0.]\n"
        "  · SymPy against engine   no verdict\n"
        "      SymPy has no derivative for this cell: "
    )
    assert "  ✗ second derivatives     fails like numeric gradients\n" in out
    assert "  ✓ batch against singles  25 cases" in out
    assert out.endswith("2 of 5 properties fail.\n")


def test_a_cell_that_mixes_the_batch(capsys: pytest.CaptureFixture[str]) -> None:
    written(
        """
@cell(state="h", parameters={"W": "hidden, hidden + inputs", "b": "hidden"})
def mixing(now, prev, x, p):
    now.a = matvec(p.W, concat(prev.h, x)) + p.b
    now.h = tanh(now.a - now.a.mean(axis=0))
"""
    )
    assert main(["check", "mine.py:mixing"]) == 1
    out = capsys.readouterr().out
    assert "  ✓ numeric gradients      25 cases" in out
    assert re.search(
        r"  ✗ batch against singles  fails; the simplest case found:\n"
        r"      h, sample 0 at \[0, 0\] is 0 in the batch of 1, -0\.\d+ alone\.\n"
        r"      cell 'mixing': sizes hidden=2, inputs=1\n"
        r"        W = \[\[0\., 0\., 0\.\],\n"
        r"             \[0\., 0\., 0\.\]\]\n"
        r"        b = \[0\. +, 0\.\d+\]\n"
        r"        xs = \[\[\[0\.\]\]\]\n"
        r"        initial h = \[\[0\., 0\.\]\]\n",
        out,
    )
    assert "  ✓ split against whole    25 cases" in out


def test_a_rule_that_is_wrong_in_a_built_in_operation(table: dict[str, Operation]) -> None:
    """SymPy knows nothing of the engine's rules: it disagrees where one is wrong."""
    import dataclasses

    row = table["tanh"]
    table["tanh"] = dataclasses.replace(
        row, derivatives=(lambda g, y, x: 1.01 * row.rule(0)(g, y, x),)
    )
    verdicts = {o.property.name: o for o in check(cells.rnn, examples=3)}
    assert [o.verdict for o in verdicts.values()] == [False, False, False, True, True]
    assert "by backward" in verdicts["SymPy against engine"].text
    assert "by the equations that SymPy derived" in verdicts["SymPy against engine"].text


def test_the_output_is_the_same_each_time(
    capsys: pytest.CaptureFixture[str], table: dict[str, Operation]
) -> None:
    written(SWISH)
    outs = []
    for _ in range(2):
        table.pop("swish", None)
        main(["check", "mine.py:swishy", "--examples", "5", "--seed", "3"])
        outs.append(capsys.readouterr().out)
    assert outs[0] == outs[1]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["lstn"], "there is no cell 'lstn'; built in are "),
        (["none.py:x"], "cell file none.py does not exist."),
        (["lstm", "--examples", "0"], "--examples must be at least 1, got 0."),
        (["mine.py:broken"], "cell 'broken': the state h is never written; the step defines g."),
    ],
)
def test_bad_input(words: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    written('@cell(state="h")\ndef broken(now, prev, x, p):\n    now.g = tanh(x)\n')
    assert main(["check", *words]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith(f"tinygrad-lstm check: {message}")


def test_options_that_are_no_numbers(capsys: pytest.CaptureFixture[Any]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["check", "lstm", "--examples", "many"])
    assert caught.value.code == 2


def test_the_properties_are_these() -> None:
    assert [p.name for p in EVERY_PROPERTY] == NAMES
