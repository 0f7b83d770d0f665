"""Steps that are not written as they must be, and cells that are not found."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from test_errors import raises

from tinygrad_lstm import cell, cells, concat, matvec, systems, tanh, unroll
from tinygrad_lstm.cell_files import find
from tinygrad_lstm.errors import (
    CellError,
    DataError,
    DTypeError,
    ShapeError,
    TinygradError,
    UnknownNameError,
)


# --- steps that are not written as they must be ---------------------------------------------------
def forgets(now: Any, prev: Any, x: Any, p: Any) -> None:
    now.g = tanh(matvec(p.W, concat(prev.h, x)))


def twice(now: Any, prev: Any, x: Any, p: Any) -> None:
    now.h = prev.h * 2.0
    now.h = tanh(now.h)


def early(now: Any, prev: Any, x: Any, p: Any) -> None:
    now.z = tanh(prev.h)
    now.h = now.f * now.z


def no_such_state(now: Any, prev: Any, x: Any, p: Any) -> None:
    now.h = prev.C


def no_such_parameter(now: Any, prev: Any, x: Any, p: Any) -> None:
    now.h = matvec(p.U, prev.h)


def wrong_state_shape(now: Any, prev: Any, x: Any, p: Any) -> None:
    now.h = tanh(x)


def misspelt(now: Any, prev: Any, x: Any, p: Any) -> None:
    now.h = tanh(prev.h) + undefined  # type: ignore[name-defined]  # noqa: F821


def too_few(now: Any, prev: Any, x: Any) -> None:
    now.h = x


@pytest.mark.parametrize(
    ("step", "kind", "message"),
    [
        (
            forgets,
            CellError,
            "cell 'forgets': the state h is never written; the step defines g.\n"
            '  Add an equation now.h = …, or take h out of state="h".',
        ),
        (
            twice,
            CellError,
            "cell 'twice': equation h is written twice; defined so far: h.\n"
            "  Give the second value a name of its own.",
        ),
        (
            early,
            UnknownNameError,
            "cell 'early': now.f is read before it is written; defined so far: z.\n"
            "  Write its equation above this line, or use prev.f for its value one step earlier, "
            "if it is a state.",
        ),
        (
            no_such_state,
            UnknownNameError,
            "cell 'no_such_state': 'C' is not a state, so there is no prev.C; the states are h.\n"
            '  Add it to state="…" if it is to be carried.',
        ),
        (
            no_such_parameter,
            UnknownNameError,
            "cell 'no_such_parameter' has no parameter 'U'; it declares W.",
        ),
        (
            wrong_state_shape,
            ShapeError,
            "in cell 'wrong_state_shape', equation h = tanh(x_t)\n"
            "  the state h is (hidden) = (4,), but this value has shape (3,).",
        ),
        (
            misspelt,
            CellError,
            f"in cell 'misspelt', test_step_errors.py line {misspelt.__code__.co_firstlineno + 1}: "
            "now.h = tanh(prev.h) + undefined\n"
            "  NameError: name 'undefined' is not defined",
        ),
        (
            too_few,
            CellError,
            "in cell 'too_few'\n"
            "  TypeError: too_few() takes 3 positional arguments but 4 were given",
        ),
    ],
    ids=lambda v: getattr(v, "__name__", None) if callable(v) else None,
)
def test_steps(step: Any, kind: type[TinygradError], message: str) -> None:
    made = cell(state="h", parameters={"W": "hidden, hidden + inputs"})(step)
    raises(kind, message, lambda: made.program(inputs=3, hidden=4))


def test_a_matrix_that_is_not_declared_as_it_is_used() -> None:
    def wrong(now: Any, prev: Any, x: Any, p: Any) -> None:
        now.h = tanh(matvec(p.W, x))

    made = cell(state="h", parameters={"W": "hidden, hidden + inputs"})(wrong)
    with pytest.raises(ShapeError) as caught:
        made.program(inputs=3, hidden=4)
    line = wrong.__code__.co_firstlineno + 1
    assert str(caught.value) == (
        f"in cell 'wrong', test_step_errors.py line {line}: now.h = tanh(matvec(p.W, x))\n"
        f"  matvec, which takes (m,n),(n)->(m), got shapes W (4, 7), x (3,): n is 7 by W, 3 by x\n"
        f"  Declared: W (hidden, hidden + inputs). Change the declaration, or what it meets here."
    )


def test_an_equation_that_asks_for_a_value() -> None:
    def wrong(now: Any, prev: Any, x: Any, p: Any) -> None:
        now.h = tanh(prev.h) if prev.h > 0 else prev.h

    made = cell(state="h")(wrong)
    with pytest.raises(TinygradError, match=r"(?s)line \d+: now.h = tanh.*write where\(cond"):
        made.program()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"state": ""}, 'a cell needs at least one state: @cell(state="h", …).'),
        ({"state": ["h"]}, "state is a string of names, as in \"h C\", or a mapping, got ['h']."),
        (
            {"state": "h", "parameters": {"W-f": "hidden"}},
            "'W-f' cannot be a name in a cell; use letters, digits and _.",
        ),
        (
            {"state": "h", "parameters": {"W": "hidden - inputs"}},
            "cannot read the dimension 'hidden - inputs' in 'hidden - inputs'.\n"
            "  Write sums of names and numbers: 'hidden, hidden + inputs', '3 * hidden'.",
        ),
        ({"state": "h", "parameters": {"h": "hidden"}}, "cell 'forgets': 'h' is declared twice."),
    ],
    ids=["no state", "list", "name", "dimension", "twice"],
)
def test_declarations(options: Any, message: str) -> None:
    raises(CellError, message, lambda: cell(**options)(forgets))


# --- finding cells --------------------------------------------------------------------------------
def test_an_unknown_cell() -> None:
    known = ", ".join(cells.all())
    raises(
        UnknownNameError,
        f"there is no cell 'lstn'; built in are {known}.\n"
        f"  Systems are {', '.join(systems.all())}.\n"
        f"  For a cell of your own write path/to/file.py:NAME.",
        lambda: find("lstn"),
    )


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, "cell file {path} does not exist."),
        ("x = 1\ndef f(:\n", "cell file {path}, line 2 does not run:\n  SyntaxError: {syntax}"),
        (
            "\nraise RuntimeError('boom')\n",
            "cell file {path}, line 2 does not run:\n  RuntimeError: boom",
        ),
        ("import sys\nsys.exit(3)\n", "cell file {path}, line 2 does not run:\n  SystemExit: 3"),
        (
            "import no_such_module\n",
            "cell file {path}, line 1 does not run:\n"
            "  ModuleNotFoundError: No module named 'no_such_module'",
        ),
    ],
    ids=["missing", "syntax", "exception", "exit", "import"],
)
@pytest.mark.parametrize("relative", [True, False], ids=["relative", "absolute"])
def test_cell_files_that_do_not_run(
    text: str | None, message: str, relative: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    path = Path("mine.py") if relative else tmp_path / "mine.py"
    if text is not None:
        path.write_text(text, encoding="utf-8")
    with pytest.raises(CellError) as caught:
        find(f"{path}:gate")
    syntax = str(caught.value.__cause__)
    assert str(caught.value) == message.format(path=path, syntax=syntax)


def test_a_file_without_the_cell(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("mine.py").write_text("from tinygrad_lstm.cells import gru, lstm\n", encoding="utf-8")
    raises(
        UnknownNameError,
        "mine.py:gate: no cell 'gate'; the file has gru, lstm.\n  Write mine.py:NAME.",
        lambda: find("mine.py:gate"),
    )
    raises(
        UnknownNameError,
        "mine.py: no cell named after the path; the file has gru, lstm.\n  Write mine.py:NAME.",
        lambda: find("mine.py"),
    )
    raises(CellError, f"cell file {tmp_path} is not a file.", lambda: find(f"{tmp_path}:gate"))
    Path("none.py").write_text("x = 1\n", encoding="utf-8")
    raises(
        UnknownNameError,
        "none.py:x: no cell 'x'; the file has no cells (use the decorator @cell).\n"
        "  Write none.py:NAME.",
        lambda: find("none.py:x"),
    )


def test_a_cell_of_ones_own_is_found(tmp_path: Path) -> None:
    path = tmp_path / "mine.py"
    path.write_text(
        "from tinygrad_lstm import cell, matvec, tanh\n\n"
        '@cell(state="h", parameters={"U": "hidden, hidden"}, x="hidden")\n'
        "def leaky(now, prev, x, p):\n"
        "    now.h = 0.9 * prev.h + 0.1 * tanh(matvec(p.U, prev.h) + x)\n",
        encoding="utf-8",
    )
    leaky = find(f"{path}:leaky")
    run = unroll(leaky, leaky.init(hidden=2), np.ones((3, 2)))
    assert run["h"].shape == (3, 2)


def test_every_error_is_one_kind() -> None:
    for kind in (CellError, DataError, DTypeError, ShapeError, UnknownNameError):
        assert issubclass(kind, TinygradError)


def test_a_cell_file_is_read_as_it_is_now(tmp_path: Path) -> None:
    path = tmp_path / "mine.py"
    text = (
        "from tinygrad_lstm import cell\n\n"
        '@cell(state="h", x="hidden")\n'
        "def leaky(now, prev, x, p):\n"
        "    now.h = 0.9 * prev.h + x\n"
    )
    for share in ("0.9", "0.8", "0.7"):  # of one size, within a second
        path.write_text(text.replace("0.9", share), encoding="utf-8")
        assert share in find(f"{path}:leaky").program().text("h")
    assert list(tmp_path.iterdir()) == [path]
