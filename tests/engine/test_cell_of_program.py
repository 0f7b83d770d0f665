"""A Program as a cell: what `Cell.program` gives, `Cell.of` takes."""

import pickle

import numpy as np
import pytest

import equations
from tinygrad_lstm import (
    Cell,
    Program,
    Tensor,
    cell,
    cells,
    check_gradients,
    compiled,
    matvec,
    stack,
    tanh,
    unroll,
)
from tinygrad_lstm.errors import CellError, ShapeError, UnknownNameError
from tinygrad_lstm.program import named

RNG = np.random.default_rng(5)


def again(which):
    kinds = {name: getattr(which, name) for name in ("output", "loss", "start", "noise")}
    return Cell.of(which.program(), **kinds, constants=which.constants)


@pytest.mark.parametrize("which", list(cells.all().values()), ids=str)
def test_there_and_back(which):
    made, program = again(which), which.program()
    p, q = which.init(**which.small_sizes()), made.init()
    assert {n: t.numpy().tolist() for n, t in p.items()} == {
        n: t.numpy().tolist() for n, t in q.items()
    }
    xs = RNG.normal(size=(4, 2, *program.inputs["x"].shape))
    further = {n: RNG.normal(size=(4, *program.inputs[n].shape)) for n in which.sequences}
    further |= {n: RNG.normal(size=program.inputs[n].shape) for n in which.constants}
    expected = unroll(which, p, xs, **further)
    for network in (made, compiled(made, code="numpy")):
        run = unroll(network, network.bind({n: t.numpy() for n, t in p.items()}), xs, **further)
        assert run.names == expected.names
        for name in run.names:
            np.testing.assert_allclose(run[name].data, expected[name].data, rtol=1e-12, atol=1e-14)
    assert made.program() is made.program(**program.sizes) is program
    assert made.output == which.output and equations.forward(made).latex()


def test_one_that_was_put_together():
    """A Program with an equation more, and dots in its names."""
    old = cells.rnn.program(inputs=2, hidden=3)
    inputs = {n: Tensor.input(n, t.shape) for n, t in old.inputs.items()}
    inputs["top.V"] = Tensor.input("top.V", (2, 3))
    written = old.on({n: inputs[n] for n in old.inputs}, lambda n: n)
    written["top.y"] = named(tanh(matvec(inputs["top.V"], written["h"])), "top.y")
    static = {*old.static, "top.V"}
    program = Program("two", inputs, written, {"h": written["h"]}, static=static)
    made = Cell.of(program, output="top.y", name="three", start={"top.V": 0.5})
    assert str(made) == "cell 'three'" and made.parameters["top.V"] == "2, 3"
    p, xs = made.init(seed=2), RNG.normal(size=(4, 2, 2))
    assert (p["top.V"].data == 0.5).all()
    runs = [unroll(network, p, xs) for network in (made, compiled(made), compiled(made, "numpy"))]
    h = np.zeros((2, 3))
    for t, x in enumerate(xs):
        h = np.tanh(np.concatenate([h, x], -1) @ p["W"].data.T + p["b"].data)
        for run in runs:
            np.testing.assert_allclose(run["top.y"].data[t], np.tanh(h @ p["top.V"].data.T), 1e-12)
    above = stack([made, cells.rnn])
    unroll(above, above.init(hidden=2, inputs=2), xs[..., :2])
    check_gradients(lambda V: unroll(made, {**p, "top.V": V}, xs)["top.y"].sum(), p["top.V"].data)


@cell(state="h", parameters={"W": "hidden, hidden"})
def plain(now, prev, x, p):
    now.h = matvec(p.W, prev.h)


def test_what_is_no_step_is_named():
    program = plain.program()
    for wrong, message in [
        (Program.trace(lambda x: tanh(x), x=(3,)), r"no step of a cell, which has .*prev\.y"),
        (Program("p", program.inputs, {}, program.outputs), "state h needs an equation"),
    ]:
        with pytest.raises(CellError, match=message):
            Cell.of(wrong)
    for options in ({"output": "y"}, {"loss": "L"}, {"constants": ["k"]}, {"start": {"b": 1}}):
        with pytest.raises(UnknownNameError, match="names '.', which is not there"):
            Cell.of(program, **options)
    with pytest.raises(ShapeError, match="the loss h is no number"):
        Cell.of(program, loss="h")
    made = again(plain)
    with pytest.raises(ShapeError, match=r"made of a Program with inputs=\d, hidden=\d|hidden=\d"):
        made.program(hidden=9, inputs=4)
    with pytest.raises(ShapeError, match=r"W has shape \(9, 9\)"):
        made.bind({"W": np.ones((9, 9))})
    with pytest.raises(TypeError, match="was made of a Program"):
        pickle.dumps(made)
