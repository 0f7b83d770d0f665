"""Networks and sizes at their edges: one step, four sizes, an axis that nothing determines."""

from __future__ import annotations

import numpy as np
import pytest

from tinygrad_lstm import cell, cells, matvec, stack, tanh, unroll
from tinygrad_lstm.errors import ShapeError


def test_a_layer_reads_the_one_below_over_a_single_step() -> None:
    network = stack([cells.lstm, cells.depth_gated])
    p = network.init(inputs=2, hidden=3, seed=1)
    xs = np.random.default_rng(2).normal(size=(1, 2))
    run = unroll(network, p, xs)
    both = unroll(network, p, np.concatenate([xs, xs]))
    assert run["h"].shape == (1, 3)
    np.testing.assert_allclose(run["h"].numpy()[0], both["h"].numpy()[0], rtol=1e-14)
    run["h"].sum().backward()
    assert all(np.isfinite(t.grad.numpy()).all() for t in p.values() if t.grad is not None)
    below = unroll(cells.lstm, {n[2:]: t for n, t in p.items() if n.startswith("1.")}, xs)
    np.testing.assert_allclose(run["1.C"].numpy(), below["C"].numpy(), rtol=1e-14)


@cell(
    state={"h": "hidden", "s": "slots"},
    parameters={"W": "hidden, inputs", "V": "slots, hidden", "R": "hidden, keys"},
    constants={"K": "keys"},
)
def four(now, prev, x, p, K):
    """A cell of four sizes."""
    now.h = tanh(matvec(p.W, x) + matvec(p.R, K) + prev.h)
    now.s = tanh(matvec(p.V, now.h)) + prev.s


def test_a_network_of_four_sizes_is_traced_without_any_being_told() -> None:
    network = stack([four])
    program = network.program()
    sizes = dict(program.sizes)
    assert len(sizes) == 4 and len(set(sizes.values())) == 4 and min(sizes.values()) >= 2
    shapes = {name: node.shape for name, node in program.inputs.items()}
    assert shapes["1.V"] == (sizes["slots"], sizes["hidden"])
    assert shapes["1.R"] == (sizes["hidden"], sizes["keys"])
    assert all(n >= 1 for shape in shapes.values() for n in shape)
    random = np.random.default_rng(0)
    values = {name: random.normal(size=shape) for name, shape in shapes.items()}
    h = np.tanh(values["1.W"] @ values["x"] + values["1.R"] @ values["1.K"] + values["prev.1.h"])
    np.testing.assert_allclose(program.run(**values)["1.h"], h, rtol=1e-13)


@cell(state={"h": "a"}, parameters={"v": "a", "W": "a + b + c"})
def summed(now, prev, x, p):
    """Whose b and c no shape tells apart."""
    now.h = p.v * prev.h + p.W.sum()


@pytest.mark.parametrize("shapes", [{"v": 2, "W": 5}, {"W": 5, "v": 2}])
def test_an_axis_that_the_shapes_do_not_determine_is_named(shapes: dict[str, int]) -> None:
    with pytest.raises(ShapeError, match=r"the shapes given do not determine b\."):
        summed.bind({name: np.zeros(n) for name, n in shapes.items()})
