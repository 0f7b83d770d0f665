"""Programs: traced once, run, differentiated as programs, printed."""

from typing import Any

import numpy as np
import pytest

import tinygrad_lstm as tl
from tinygrad_lstm import Program
from tinygrad_lstm.errors import ShapeError, UnknownNameError


def dense(W: Any, x: Any, b: Any) -> Any:
    return {"y": tl.tanh(tl.matvec(W, x) + b)}


SHAPES = {"W": (2, 3), "x": (3,), "b": (2,)}
RANDOM = np.random.default_rng(0)
ARRAYS = {name: RANDOM.normal(size=shape) for name, shape in SHAPES.items()}


def test_trace_and_run() -> None:
    program = Program.trace(dense, **SHAPES)
    assert (program.name, list(program.inputs), list(program.outputs)) == (
        "dense",
        ["W", "x", "b"],
        ["y"],
    )
    values = program.run(**ARRAYS)
    np.testing.assert_array_equal(values["y"], np.tanh(ARRAYS["W"] @ ARRAYS["x"] + ARRAYS["b"]))
    assert (list(values), len(values)) == (["y"], 1)


def test_a_function_of_one_result_has_the_output_y() -> None:
    program = Program.trace(lambda x: x * x, x=(2,))
    np.testing.assert_array_equal(program.run(x=np.array([2.0, 3.0]))["y"], [4.0, 9.0])


def test_a_program_takes_batches_and_float32() -> None:
    program = Program.trace(dense, **SHAPES)
    xs = RANDOM.normal(size=(5, 3))
    batch = program.run(**{**ARRAYS, "x": xs})["y"]
    for row, x in zip(batch, xs, strict=True):
        np.testing.assert_allclose(row, program.run(**{**ARRAYS, "x": x})["y"], rtol=1e-15)
    small = {name: a.astype(np.float32) for name, a in ARRAYS.items()}
    assert program.run(**small)["y"].dtype == np.float32


def test_the_gradient_is_a_program() -> None:
    program = Program.trace(dense, **SHAPES)
    gradient = program.gradient()
    assert list(gradient.inputs) == ["W", "x", "b", "seed.y"]
    assert list(gradient.outputs) == ["W", "x", "b"]
    seed = np.array([1.0, -2.0])
    values = gradient.run(**ARRAYS, seed={"y": seed})
    leaves = {name: tl.Tensor(a, name) for name, a in ARRAYS.items()}
    dense(**leaves)["y"].backward(seed)
    for name, leaf in leaves.items():
        np.testing.assert_allclose(values[name], leaf.grad.data, rtol=1e-15)


def test_wrt_and_of_choose() -> None:
    program = tl.cells.lstm.program(inputs=2, hidden=3)
    gradient = program.gradient(wrt="W_f f", of="h")
    assert list(gradient.outputs) == ["W_f", "f"]
    assert [n for n in gradient.inputs if n.startswith("seed")] == ["seed.h"]


def test_the_gradient_of_a_gradient_is_a_program() -> None:
    """y = x³: the second derivative is 6x, the third 6."""
    cube = Program.trace(lambda x: x * x * x, x=())
    first = cube.gradient(wrt="x")
    second = first.gradient(wrt="x", of="x")
    third = second.gradient(wrt="x", of="x")
    seeds = {name: 1.0 for name in third.inputs if name.startswith("seed")}
    assert len(seeds) == 3
    given: dict[str, Any] = {"x": 2.0, **seeds}
    results = [
        float(p.run(**{k: v for k, v in given.items() if k in p.inputs})["x"])
        for p in (first, second, third)
    ]
    assert results == pytest.approx([12.0, 12.0, 6.0])


def test_an_output_that_does_not_depend_on_an_input() -> None:
    program = Program.trace(lambda a, b: a * 2.0, a=(2,), b=(3,))
    values = program.gradient().run(a=np.ones(2), b=np.ones(3), seed={"y": np.ones(2)})
    np.testing.assert_array_equal(values["b"], np.zeros(3))
    np.testing.assert_array_equal(values["a"], [2.0, 2.0])


def test_names_with_dots_come_as_keywords_or_mappings() -> None:
    program = tl.cells.rnn.program(inputs=2, hidden=3)
    p = tl.cells.rnn.init(inputs=2, hidden=3)
    x, h = np.ones(2), np.full(3, 0.5)
    nested = program.run(x=x, prev={"h": h}, **p)
    flat = program.run(**{"x": x, "prev.h": h, **p})
    np.testing.assert_array_equal(nested["h"], flat["h"])


def test_the_equations_of_a_gradient_are_named_after_what_they_belong_to() -> None:
    program = tl.cells.rnn.program(inputs=2, hidden=3)
    gradient = program.gradient()
    assert list(gradient.equations) == ["h", "bar.h", "bar.b", "bar.W", "bar.x", "bar.prev.h"]


def test_text() -> None:
    program = tl.cells.lstm.program(inputs=3, hidden=4)
    assert [program.text(name) for name in program.equations] == [
        "f = sigmoid(W_f · [h_{t-1}, x_t] + b_f)",
        "i = sigmoid(W_i · [h_{t-1}, x_t] + b_i)",
        "C_tilde = tanh(W_C · [h_{t-1}, x_t] + b_C)",
        "C = f * C_{t-1} + i * C_tilde",
        "o = sigmoid(W_o · [h_{t-1}, x_t] + b_o)",
        "h = o * tanh(C)",
    ]
    assert str(tl.cells.gru.program(inputs=3, hidden=4)) == (
        "gru: inputs h_{t-1} (hidden=4), x_t (inputs=3), W_z (hidden=4, hidden + inputs=7), "
        "W_r (hidden=4, hidden + inputs=7), W_h (hidden=4, hidden + inputs=7)\n"
        "  z = sigmoid(W_z · [h_{t-1}, x_t])\n"
        "  r = sigmoid(W_r · [h_{t-1}, x_t])\n"
        "  h_tilde = tanh(W_h · [r * h_{t-1}, x_t])\n"
        "  h = (1 - z) * h_{t-1} + z * h_tilde"
    )


@pytest.mark.parametrize(
    ("function", "text"),
    [
        (lambda a, b: a - (b - a), "y = a - (b - a)"),
        (lambda a, b: a - b - a, "y = a - b - a"),
        (lambda a, b: (a + b) * a / b, "y = (a + b) * a / b"),
        (lambda a, b: a / (b / a), "y = a / (b / a)"),
        (lambda a, b: a / (b * a), "y = a / (b * a)"),
        (lambda a, b: -(a + b), "y = -(a + b)"),
        (lambda a, b: a * -b, "y = a * (-b)"),
        (lambda a, b: (a * b) ** 2.0, "y = (a * b) ** 2"),
        (lambda a, b: tl.where(a > b, a, b), "y = where(a > b, a, b)"),
        (lambda a, b: a[1:] * b[:-1], "y = a[1:] * b[:-1]"),
        (lambda a, b: tl.softmax(a) * b, "y = softmax(a, axis=-1) * b"),
    ],
    ids=lambda v: v if isinstance(v, str) else "",
)
def test_brackets_where_the_order_needs_them(function: Any, text: str) -> None:
    assert Program.trace(function, a=(3,), b=(3,)).text("y") == text


def test_a_program_is_as_deep_as_memory_allows() -> None:
    def long(x: Any) -> Any:
        for _ in range(20_000):
            x = x * 0.9999
        return x

    program = Program.trace(long, x=())
    assert float(program.gradient().run(x=1.0, seed={"y": 1.0})["x"]) == pytest.approx(
        0.9999**20_000
    )


def test_bad_names_and_shapes() -> None:
    program = tl.cells.rnn.program(inputs=2, hidden=3)
    good: dict[str, Any] = {"x": np.ones(2), "prev": {"h": np.ones(3)}}
    good |= {"W": np.ones((3, 5)), "b": np.ones(3)}
    with pytest.raises(UnknownNameError) as caught:
        program.run(**good, U=np.ones(3))
    assert str(caught.value) == "rnn has no input 'U'; it takes prev.h, x, W, b."
    with pytest.raises(UnknownNameError) as caught:
        program.run(x=good["x"], b=good["b"])
    assert str(caught.value) == "rnn needs values for prev.h, W."
    with pytest.raises(ShapeError) as caught:
        program.run(**{**good, "W": np.ones((3, 4))})
    assert str(caught.value) == (
        "rnn: input W has shape (3, 4), but (hidden=3, hidden + inputs=5) was declared."
    )
    with pytest.raises(UnknownNameError) as caught:
        program.gradient(wrt="U")
    assert str(caught.value) == "rnn has no 'U'; it has prev.h, x, W, b, h."
    with pytest.raises(UnknownNameError) as caught:
        program.run(**good)["C"]
    assert str(caught.value) == "no value 'C'; there are: h."
