"""Cells and layers inside cells."""

from typing import Any

import numpy as np
import pytest
from corpus.inside import canvas, twice
from generative import perceptron, variational

from tinygrad_lstm import Cell, cell, cells, compiled, concat, layer, matvec, tanh, unroll
from tinygrad_lstm.errors import CellError, ShapeError, TinygradError


def test_the_sizes_of_a_part_follow_from_what_it_is_given() -> None:
    """Else they are the cell's of that name, or what `sized` says."""
    assert {*variational.sizes} == {"hidden", "inputs", "latent", "features", "mlp"}
    assert variational.parameters["phi_x.V"] == "mlp, inputs"
    assert variational.parameters["phi_z.V"] == "mlp, latent"
    assert variational.parameters["enc.M"] == "latent, features + hidden"
    assert variational.parameters["rnn.W_z"] == "hidden, hidden + 2 * features"
    p = variational.init(inputs=2, hidden=3, latent=4, features=5, mlp=6)
    assert p["dec.W"].shape == (2, 6)
    assert p.dec.W is p["dec.W"]


def test_a_part_with_prev_computes_what_the_cell_computes() -> None:
    """An LSTM inside a cell is the LSTM."""

    @cell(state="h C", parts={"net": cells.lstm})
    def around(now: Any, prev: Any, x: Any, p: Any, part: Any) -> None:
        now.h, now.C = part.net(x, prev)

    random = np.random.default_rng(0)
    p = cells.lstm.init(inputs=3, hidden=4, seed=1)
    xs = random.normal(size=(6, 2, 3))
    inside = unroll(around, {f"net.{n}": t for n, t in p.items()}, xs)
    plain = unroll(cells.lstm, p, xs)
    for name in ("h", "C"):
        np.testing.assert_array_equal(inside[name].numpy(), plain[name].numpy())
    np.testing.assert_array_equal(inside["net.f"].numpy(), plain["f"].numpy())


def test_a_part_without_prev_carries_states_of_its_own() -> None:
    """Stacked by hand: what the second reads is the first one's output."""

    @cell(state={"y": "hidden"}, parts={"below above": cells.gru})
    def tower(now: Any, prev: Any, x: Any, p: Any, part: Any) -> None:
        now.y = part.above(part.below(x))

    assert list(tower.state) == ["y", "below.h", "above.h"]
    p = tower.init(inputs=3, hidden=4)
    xs = np.random.default_rng(0).normal(size=(5, 2, 3))
    run = unroll(tower, p, xs)
    first = unroll(cells.gru, {n[6:]: t for n, t in p.items() if n.startswith("below.")}, xs)
    own = {n[6:]: t for n, t in p.items() if n.startswith("above.")}
    second = unroll(cells.gru, own, first["h"])
    np.testing.assert_allclose(run["y"].numpy(), second["h"].numpy(), atol=1e-14)
    np.testing.assert_allclose(run.final["below.h"].numpy(), first.final["h"].numpy(), atol=1e-14)


def test_a_part_called_twice_has_one_set_of_parameters() -> None:
    """Its second call has equations of other names."""
    assert [n for n in twice.parameters if n.startswith("block.")] == [
        f"block.inner.{n}" for n in "VWab"
    ]
    assert {"block.y", "block.2.y", "block.2.inner.h"} <= {*twice.program().equations}


def test_states_of_a_part_are_read_before_it_is_called() -> None:
    """As the read head of an encoder reads the decoder's state."""
    assert list(canvas.state) == ["c", "enc.h", "enc.C", "dec.h", "dec.C"]
    assert canvas.program().text("r") == "r = [c_{t-1}, dec.h_{t-1}]"
    with pytest.raises(CellError, match="carries no state of its own"):

        @cell(state="h", parts={"net": cells.gru})
        def wrong(now: Any, prev: Any, x: Any, p: Any, part: Any) -> None:
            now.h = part.net(x, prev) + prev.net.h


def test_a_folded_program_names_its_parts() -> None:
    """What a part computes is told by its name."""
    folded = variational.program().folded()
    assert folded.text("phi_x") == "phi_x = phi_x(x_t)"
    assert folded.text("mu_0") == "mu_0 = prior_mu(h_{t-1})"
    assert folded.text("h") == "h = rnn([phi_x, phi_z], h_{t-1})"
    assert not any("." in name for name in folded.equations)
    assert canvas.program().folded().text("enc.C") == "enc.C = enc_C(r, enc.h_{t-1}, enc.C_{t-1})"
    twofold = twice.program().folded()
    assert twofold.text("h") == "h = tanh(block(a))"


def test_parts_compile() -> None:
    """Flat, as any Program."""
    p = variational.init(inputs=2, hidden=3, latent=4, features=5, mlp=6, seed=3)
    random = np.random.default_rng(0)
    xs, eps = random.integers(0, 2, (5, 2, 2)).astype(float), random.normal(size=(5, 2, 4))
    slow = unroll(variational, p, xs, eps=eps)
    slow.loss.backward()
    before = {n: p[n].grad.numpy() for n in p}  # type: ignore[union-attr]
    q = p.replace({n: p[n].numpy() for n in p})
    fast = unroll(compiled(variational), q, xs, eps=eps)
    fast.loss.backward()
    for n in p:
        np.testing.assert_allclose(q[n].grad.numpy(), before[n], atol=1e-12)  # type: ignore[union-attr]


def _declared(**declared: Any) -> Cell:
    def step(now: Any, prev: Any, x: Any, p: Any, part: Any) -> None:
        now.h = tanh(part.net(concat(prev.h, x)))

    return cell(**{"state": "h", **declared})(step)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: _declared(parts={"net": 3}), "is a cell or a layer"),
        (lambda: _declared(parts={"other": perceptron}), "has no part 'net'"),
        (lambda: _declared(parts={"net": perceptron.sized(outputs="hidden, 2")}), "one length"),
        (lambda: perceptron.sized(depth="hidden"), "has no size 'depth'"),
        (lambda: _declared(parts={"net": perceptron.sized(outputs="2 * hidden")}), "state h"),
        (lambda: layer(parameters={"W": "outputs, inputs"})(lambda x: x), "takes|argument"),
    ],
)
def test_what_is_wrong_with_a_part_is_said(make: Any, message: str) -> None:
    """One message each."""
    with pytest.raises((TinygradError, TypeError), match=message):
        made = make()
        made.program()


def test_a_part_given_another_shape_is_told_by_name() -> None:
    """The line, the part, and the shapes."""

    @cell(state={"h": "hidden, 2"}, parts={"net": perceptron.sized(outputs="hidden")})
    def wide(now: Any, prev: Any, x: Any, p: Any, part: Any) -> None:
        now.h = prev.h + matvec(prev.h, part.net(x)[:2])[:, None]

    with pytest.raises(ShapeError, match=r"part 'net' .*x is \(inputs\), but what it is given"):

        @cell(state={"h": "hidden, 2"}, parts={"net": perceptron.sized(outputs="hidden")})
        def wrong(now: Any, prev: Any, x: Any, p: Any, part: Any) -> None:
            now.h = part.net(prev.h)
