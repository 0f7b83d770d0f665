"""`tinygrad-lstm check`: a line for each property, and the simplest case of what fails."""

import re
from pathlib import Path
from typing import Any

import pytest

from lesson.cell_checks import EVERY_PROPERTY, check
from lesson.commands import main
from lesson.prose import Texts
from tinygrad_lstm import cells
from tinygrad_lstm.tensor import Operation

NAMES = [
    "numeric gradients",
    "SymPy against engine",
    "second derivatives",
    "batch against singles",
    "split against whole",
    "compiled against interpreter",
]
HOLDS = r"  ✓ {name:28} {n} cases, largest relative difference \d\.\de[-+]\d\d"


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


@pytest.mark.sample(5)
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
    number = r"-?\d\.\d+"
    assert re.match(
        r"cell 'swishy': a, h\n"
        r"  ✗ numeric gradients            fails; the simplest case found:\n"
        rf"      the derivative with respect to b\[0\] is wrong: backward gives {number}, "
        rf"the complex step {number}\.\n"
        rf"        They differ by 0\.0\d+; rounding explains \S+ where the largest is {number}\.\n"
        rf"        equation a, time step 1, operation swish: its rule for operand 1\[0\] gives "
        rf"{number}, the complex step {number}\.\n"
        r"      cell 'swishy': sizes hidden=1, inputs=1\n"
        r"        W = \[\[0\., 0\.\]\]\n"
        r"        b = \[0\.\]\n"
        r"        xs = \[\[0\.\]\]\n"
        r"        initial h = \[0\.\]\n"
        r"  · SymPy against engine         no verdict\n"
        r"      SymPy has no derivative for this cell: ",
        out,
    )
    assert "  ✗ second derivatives           fails" in out
    assert "  ✓ batch against singles        25 cases" in out
    assert out.endswith("2 of 6 properties fail.\n")


def test_a_cell_is_written_for_one_sample(capsys: pytest.CaptureFixture[str]) -> None:
    """Its first axis is no batch's: a mean over it is one over the units."""
    written(
        """
@cell(state="h", parameters={"W": "hidden, hidden + inputs", "b": "hidden"})
def centred(now, prev, x, p):
    now.a = matvec(p.W, concat(prev.h, x)) + p.b
    now.h = tanh(now.a - now.a.mean(axis=0))
"""
    )
    assert main(["check", "mine.py:centred"]) == 0


def test_a_rule_that_is_wrong_in_a_built_in_operation(table: dict[str, Operation]) -> None:
    """SymPy knows nothing of the engine's rules: it disagrees where one is wrong."""
    import dataclasses

    row = table["tanh"]
    table["tanh"] = dataclasses.replace(
        row, derivatives=(lambda g, y, x: 1.01 * row.rule(0)(g, y, x),)
    )
    verdicts = {o.property.name: o for o in check(cells.rnn, examples=3)}
    assert [o.verdict for o in verdicts.values()] == [False, False, False, True, True, True]
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


def test_the_page_has_words_for_every_property() -> None:
    words = [Texts("checks").plain(what.name.split()[0].lower()) for what in EVERY_PROPERTY]
    assert all(text.strip() for said in words for text in said.values())
    assert len({said["en"] for said in words}) == len(NAMES)
