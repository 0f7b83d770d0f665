"""Every cell of the corpus and of the package through every reading: one table.

A cell enters the table by being written in a file of `tests/corpus` or in a family of the package.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from compiling import MISSING

import equations
import viz
from lesson.checking import sympy_against_engine
from lesson.commands.step import small_run
from readings.subjects import CELLS, Result, alone, close, draw, equal_sizes
from tinygrad_lstm import cells, check_gradients, compiled, concat, step_through, unroll
from tinygrad_lstm.stepping import to_json
from tinygrad_lstm.tensor import fold
from tinygrad_lstm.testing.strategies import Case

LANGUAGES = ("en", "ko", "zh")


# --- numbers --------------------------------------------------------------------------------------
def complex_step_on_all_equations(cell: Any) -> None:
    q = draw(cell, time=2, batch=None)

    def every(p: Any, xs: Any, initial: Any, further: Any) -> Any:
        begin = {name.removeprefix("initial "): value for name, value in initial.items()}
        run = unroll(cell, p, xs, begin, **further)
        values = [run[name] for name in run.names if run[name].dtype.kind in "fc"]
        return concat(*(value.reshape(-1) for value in values))

    begin = {f"initial {name}": value for name, value in q.initial.items()}
    assert check_gradients(every, q.p, q.xs, begin, q.further).entries


def a_batch_is_its_samples(cell: Any) -> None:
    n, same = equal_sizes(cell)
    for time, batch, sizes in ((2, 3, {}), (n, n, same)):  # all different; all the same
        q = draw(cell, time, batch, **sizes)
        whole, parts = Result(q), [Result(alone(q, k)) for k in range(batch)]
        for name in whole.run.names:
            singles = np.stack([part.value(name) for part in parts], axis=1)
            close(whole.value(name), singles, 1e-12, name)
        for name, gradient in whole.gradients.items():
            found = [part.gradients[name] for part in parts]
            if gradient is None:
                assert all(g is None for g in found)
                continue
            axis = 1 if name == "xs" or name in cell.sequences else 0
            other = np.stack(found, axis) if name not in q.p else sum(found)
            close(gradient, other, 1e-12, f"the gradient of {name}")


def two_halves_are_the_whole(cell: Any) -> None:
    q = draw(cell, time=4, batch=2)
    whole = unroll(cell, q.p, q.xs, q.initial, **q.further)
    states: Any = q.initial
    for part in (slice(0, 3), slice(3, 4)):
        further = {n: v[part] if n in cell.sequences else v for n, v in q.further.items()}
        run = unroll(cell, q.p, q.xs[part], states, **further)
        states = run.final
        for name in run.names:
            close(run[name].data, whole[name].data[part], 1e-13, name)


def compiled_is_interpreted(cell: Any) -> None:
    n, same = equal_sizes(cell)
    for time, batch, sizes in ((4, 3, {}), (n, n, same), (2, None, {})):
        q = draw(cell, time, batch, **sizes)
        plain = Result(q)
        for options in ({"code": "numpy"}, {"code": "numpy", "memory": "low", "every": 2}):
            agree(plain, Result(q, compiled(cell, **options)), 1e-12, str(options))


def compiled_c_is_interpreted(cell: Any) -> None:
    if MISSING:
        pytest.skip(MISSING)
    q = draw(cell, 3, 3, **equal_sizes(cell)[1])
    agree(Result(q), Result(q, compiled(cell, code="c")), 1e-10, "C")


def agree(plain: Result, fast: Result, tolerance: float, how: str) -> None:
    assert plain.run.names == fast.run.names
    for name in plain.run.names:
        assert plain.run[name].dtype == fast.run[name].dtype, f"{how}: {name}"
        close(fast.value(name), plain.value(name), tolerance, f"{how}: {name}")
    for name, gradient in plain.gradients.items():
        other = fast.gradients[name]
        assert (gradient is None) == (other is None), f"{how}: the gradient of {name}"
        if gradient is not None:
            close(other, gradient, tolerance, f"{how}: the gradient of {name}")


def sympy_is_the_engine(cell: Any) -> None:
    q = draw(cell, time=2, batch=2)
    case = Case(cell, q.sizes, q.p, q.xs, q.initial, q.further)
    assert sympy_against_engine(case) < 1e-9


# --- formulas -------------------------------------------------------------------------------------
def printed(*found: Any) -> None:
    for each in found:
        for text in (each.latex(), each.unicode(), each.mathml()):
            assert text.strip()
            assert "Ellipsis" not in text and "array(" not in text


def equations_are_printed(cell: Any) -> None:
    printed(equations.forward(cell), equations.backward(cell), equations.unrolled(cell, steps=2))
    if cell is not cells.lstm:
        printed(equations.difference(cell, cells.lstm))


def parameters_are_derived(cell: Any) -> None:
    of_each_shape = {words: name for name, words in cell.parameters.items()}
    for name in of_each_shape.values():
        printed(equations.derive(cell, name))


def sizes_are_printed_by_name(cell: Any) -> None:
    """The formulas of a cell are the same whatever sizes it was traced with."""
    program = cell.program()
    larger = cell.program(**{n: k + 4 for n, k in cell.small_sizes().items()})
    for name, node in program.equations.items():
        arrays = [n for n in fold([node], {}, lambda n, i: None) if n.ndim and not n.inputs]
        if all(n.traced or len(np.unique(n.data)) == 1 for n in arrays):  # no array as numbers
            assert program.text(name) == larger.text(name)


def sliders_have_code(cell: Any) -> None:
    text = equations.javascript(cell)
    assert text.startswith(("//", "const", "function"))


# --- pictures -------------------------------------------------------------------------------------
def figures_are_drawn(cell: Any) -> None:
    for figure in (viz.cell(cell), viz.unrolled(cell, steps=2)):
        assert "<svg" in figure.svg()
        for language in LANGUAGES:
            assert figure.alt_text(language) if hasattr(figure, "alt_text") else True
    assert "<svg" in viz.difference(cell, cells.lstm).svg()


def graphs_are_drawn(cell: Any) -> None:
    assert "<svg" in viz.graph(cell.program()).svg()
    assert "<svg" in viz.plan(compiled(cell, "numpy").plan(**cell.small_sizes())).svg()


# --- steps ----------------------------------------------------------------------------------------
def steps_can_be_walked(cell: Any) -> None:
    q = draw(cell, time=2, batch=None)
    result = Result(q)
    root = result.run[cell.output]
    trace = step_through((root * root).sum())
    assert len(json.loads(to_json(trace))["events"]) == len(trace)
    loss, about = small_run(cell, 1, 0, {})
    for line in step_through(loss).text():
        assert "Ellipsis" not in line
    assert about


READINGS: dict[str, Callable[[Any], None]] = {
    f.__name__: f
    for f in (
        complex_step_on_all_equations, a_batch_is_its_samples, two_halves_are_the_whole,
        compiled_is_interpreted, compiled_c_is_interpreted, sympy_is_the_engine,
        equations_are_printed, parameters_are_derived, sizes_are_printed_by_name,
        sliders_have_code, figures_are_drawn, graphs_are_drawn, steps_can_be_walked,
    )
}  # fmt: skip


@pytest.mark.parametrize("name", CELLS)
@pytest.mark.parametrize("reading", READINGS)
def test_every_reading_of_every_cell(reading: str, name: str) -> None:
    READINGS[reading](CELLS[name])
