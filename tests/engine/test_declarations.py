"""What a cell declares beside its equations: start, output, loss, noise and sizes."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest

from tinygrad_lstm import Tensor, bidirectional, cell, cells, compiled, matvec, stack, tanh, unroll
from tinygrad_lstm.errors import ShapeError

RANDOM = np.random.default_rng(5)
HOW = [None, "numpy"]


def as_asked(network: Any, code: str | None) -> Any:
    return compiled(network, code) if code else network


# --- start ----------------------------------------------------------------------------------------
@cell(
    state="h m n",
    parameters={"W": "hidden, inputs", "R": "hidden, hidden", "s b": "hidden", "c": ""},
    start={"s b": 1, "b": 0.5, "R": "orthogonal", "c": "one", "m": -np.inf, "n": "one", "h": 2.0},
)
def begun(now: Any, prev: Any, x: Any, p: Any) -> None:
    """Every kind of start."""
    from tinygrad_lstm import maximum

    a = matvec(p.W, x) + matvec(p.R, prev.h) + p.b
    now.m = maximum(prev.m, a)
    now.n = prev.n * p.s
    now.h = tanh(a) * p.c + 0 * now.n


def test_parameters_start_from_numbers_and_initialisers() -> None:
    p = begun.init(inputs=2, hidden=4, seed=3)
    np.testing.assert_array_equal(p.s.data, np.ones(4))
    np.testing.assert_array_equal(p.b.data, np.full(4, 0.5))  # the later of two says it
    assert p.c.item() == 1.0
    np.testing.assert_allclose(p.R.data @ p.R.data.T, np.eye(4), atol=1e-14)
    assert np.all(np.abs(p.W.data) <= 2**-0.5) and len(np.unique(p.W.data)) == 8
    again = begun.init(inputs=2, hidden=4, seed=3, s=3, R="identity", W="zero")
    np.testing.assert_array_equal(again.s.data, np.full(4, 3.0))
    np.testing.assert_array_equal(again.R.data, np.eye(4))
    np.testing.assert_array_equal(again.W.data, np.zeros((4, 2)))
    assert not np.array_equal(begun.init(inputs=2, hidden=4, seed=4).R.data, p.R.data)
    glorot = begun.init(inputs=200, hidden=100, W="glorot").W.data
    assert 0.95 * 0.02**0.5 < np.abs(glorot).max() <= 0.02**0.5
    assert begun.init(inputs=2, hidden=4, dtype=np.float32).R.dtype == np.float32


@pytest.mark.parametrize("code", HOW)
def test_states_start_from_numbers_minus_infinity_too(code: Any) -> None:
    p, xs = begun.init(inputs=2, hidden=4, seed=3), RANDOM.normal(size=(5, 3, 2))
    network = as_asked(begun, code)
    run = unroll(network, p, xs)
    for name, value in (("h", 2.0), ("m", -np.inf), ("n", 1.0)):
        np.testing.assert_array_equal(run.initial[name].data, np.full((3, 4), value))
    h, m = np.full((3, 4), 2.0), np.full((3, 4), -np.inf)
    for t in range(5):
        a = xs[t] @ p.W.data.T + h @ p.R.data.T + 0.5
        m, h = np.maximum(m, a), np.tanh(a)
        np.testing.assert_allclose(run["m"].data[t], m, rtol=1e-12)
    given = unroll(network, p, xs, {"h": np.zeros(4)})
    np.testing.assert_allclose(given["m"].data[0], xs[0] @ p.W.data.T + 0.5, rtol=1e-12)
    (run["m"].sum() + run["h"].sum()).backward()
    assert all(np.isfinite(p[name].grad.data).all() for name in ("W", "R", "b", "c"))
    layers = unroll(
        as_asked(stack([begun, begun]), code), stack([begun, begun]).init(inputs=2, hidden=4), xs
    )
    np.testing.assert_array_equal(layers.initial["2.m"].data, np.full((3, 4), -np.inf))


# --- output ---------------------------------------------------------------------------------------
@cell(state="h", parameters={"W": "hidden, inputs", "V": "answers, hidden"}, output="y", x="inputs")
def answering(now: Any, prev: Any, x: Any, p: Any) -> None:
    """The output is no state."""
    now.h = tanh(matvec(p.W, x) + 0.5 * prev.h)
    now.y = matvec(p.V, now.h)


@pytest.mark.parametrize("code", HOW)
def test_a_layer_above_reads_the_output(code: Any) -> None:
    assert (answering.output, cells.lstm.output, begun.output) == ("y", "h", "h")
    net = stack([answering, cells.rnn])
    p = net.init(inputs=3, hidden=4, answers=2)
    assert p["2.W"].shape == (4, 4 + 2) and p["1.V"].shape == (2, 4)
    xs = RANDOM.normal(size=(4, 2, 3))
    run = unroll(as_asked(net, code), p, xs)
    low = unroll(answering, {"W": p["1.W"], "V": p["1.V"]}, xs)
    top = unroll(cells.rnn, {"W": p["2.W"], "b": p["2.b"]}, low["y"])
    np.testing.assert_allclose(run["h"].data, top["h"].data, rtol=1e-12)
    both = bidirectional(answering)
    q = both.init(inputs=3, hidden=4, answers=2)
    joined = unroll(as_asked(both, code), q, xs)["h"]
    assert joined.shape == (4, 2, 4)
    own = {n.removeprefix("backward."): t for n, t in q.items() if n.startswith("backward.")}
    half = unroll(answering, own, xs, reverse=True)["y"]
    np.testing.assert_allclose(joined.data[..., 2:], half.data, rtol=1e-12)


# --- loss -----------------------------------------------------------------------------------------
@cell(
    state="h",
    parameters={"W": "hidden, inputs", "U": "hidden, hidden"},
    loss="L",
    sequences={"target": "hidden"},
)
def judged(now: Any, prev: Any, x: Any, p: Any, target: Any) -> None:
    """A squared error of its own."""
    now.h = tanh(matvec(p.W, x) + matvec(p.U, prev.h))
    now.L = 0.5 * ((now.h - target) ** 2).sum()


@pytest.mark.parametrize("code", HOW)
@pytest.mark.parametrize("lengths", [None, [4, 2, 1]])
def test_a_run_s_loss_is_the_sum_over_present_steps_and_the_mean_over_the_batch(
    code: Any, lengths: Any
) -> None:
    p = judged.init(inputs=2, hidden=3, seed=1)
    xs, target = RANDOM.normal(size=(4, 3, 2)), RANDOM.normal(size=(4, 3, 3))
    run = unroll(as_asked(judged, code), p, xs, lengths=lengths, target=target)
    run.loss.backward()
    W, U = p.W.data, p.U.data
    loss, d_W, d_U = 0.0, np.zeros_like(W), np.zeros_like(U)
    for k, time in enumerate(lengths or [4, 4, 4]):  # backpropagation through time, by hand
        h = [np.zeros(3)]
        for t in range(time):
            h.append(np.tanh(W @ xs[t, k] + U @ h[-1]))
            loss += 0.5 * np.sum((h[-1] - target[t, k]) ** 2) / 3
        carry = np.zeros(3)
        for t in reversed(range(time)):
            a = (carry + (h[t + 1] - target[t, k]) / 3) * (1 - h[t + 1] ** 2)
            d_W += np.outer(a, xs[t, k])
            d_U += np.outer(a, h[t])
            carry = U.T @ a
    assert run.loss.item() == pytest.approx(loss, rel=1e-12)
    np.testing.assert_allclose(p.W.grad.data, d_W, rtol=1e-10)
    np.testing.assert_allclose(p.U.grad.data, d_U, rtol=1e-10)
    if lengths is None:
        one = unroll(judged, p, xs[:, 0], target=target[:, 0])
        assert one.loss.item() == pytest.approx(one["L"].data.sum(), rel=1e-12)


# --- noise ----------------------------------------------------------------------------------------
@cell(state="h", parameters={"W": "hidden, inputs", "S": "hidden, latent"}, noise={"eps": "latent"})
def sampling(now: Any, prev: Any, x: Any, p: Any, eps: Any) -> None:
    """A state that is moved at random."""
    now.e = eps * 1.0
    now.h = 0.5 * prev.h + matvec(p.W, x) + matvec(p.S, eps)


@pytest.mark.parametrize("code", HOW)
def test_noise_is_drawn_from_the_seed_unless_it_is_given(code: Any) -> None:
    p, xs = sampling.init(inputs=2, hidden=3, latent=2), np.ones((500, 8, 2))
    network = as_asked(sampling, code)
    one, same, other = (unroll(network, p, xs, seed=s)["e"].data for s in (1, 1, 2))
    np.testing.assert_array_equal(one, same)
    assert one.shape == (500, 8, 2) and not np.any(one == other)
    assert abs(one.mean()) < 0.05 and abs(one.std() - 1) < 0.05  # 8,000 numbers of N(0, 1)
    assert abs(np.corrcoef(one[:-1].ravel(), one[1:].ravel())[0, 1]) < 0.05
    np.testing.assert_array_equal(
        unroll(network, p, xs)["e"].data, unroll(sampling, p, xs, seed=0)["e"].data
    )
    eps = Tensor(RANDOM.normal(size=(500, 8, 2)))
    given = unroll(network, p, xs, eps=eps, seed=1)
    np.testing.assert_array_equal(given["e"].data, eps.data)
    given["h"].sum().backward()
    # h_t holds 0.5^(T - t) of each step's noise: its sum over all later steps is 2 (1 - 0.5^…)
    share = 2 * (1 - 0.5 ** np.arange(500, 0, -1))[:, None, None] * p.S.data.sum(axis=0)
    np.testing.assert_allclose(eps.grad.data, np.broadcast_to(share, eps.shape), rtol=1e-10)
    single = sampling.init(inputs=2, hidden=3, latent=2, dtype=np.float32)
    run = unroll(network, single, xs.astype(np.float32))
    assert {run[name].dtype.name for name in run.names} == {"float32"}
    run["h"].sum().backward()
    assert single.S.grad.dtype == np.float32


@pytest.mark.parametrize("code", HOW)
def test_each_part_of_a_network_draws_noise_of_its_own(code: Any) -> None:
    xs = np.ones((6, 2, 3))
    for net, parts in (
        (stack([sampling, sampling]), ("1", "2")),
        (bidirectional(sampling), ("forward", "backward")),
    ):
        p = net.init(inputs=3, hidden=3, latent=2)
        run, again = (unroll(as_asked(net, code), p, xs, seed=4) for _ in range(2))
        first, second = (run[f"{part}.e"].data for part in parts)
        assert not np.any(first == second)
        np.testing.assert_array_equal(again[f"{parts[1]}.e"].data, second)
        given = unroll(as_asked(net, code), p, xs, **{f"{parts[1]}.eps": first})
        np.testing.assert_array_equal(given[f"{parts[1]}.e"].data, first)


# --- sizes ----------------------------------------------------------------------------------------
def sized(**sizes: str) -> Any:
    @cell(state="h", parameters={"W": "hidden, inputs"}, sizes=sizes)
    def sized(now: Any, prev: Any, x: Any, p: Any) -> None:
        now.h = tanh(matvec(p.W, x)) + prev.h

    return sized


def test_sizes_that_are_bounded_and_determined() -> None:
    derived = sized(inputs="2 * hidden * hidden + 1", hidden="at least 2")
    assert derived.sizes == ["hidden"]
    p = derived.init(hidden=3)
    assert p.W.shape == (3, 19) and derived.init(hidden=3, inputs=19).W.shape == (3, 19)
    assert derived.infer_sizes(p) == {"hidden": 3, "inputs": 19}
    assert derived.program(hidden=2).inputs["x"].shape == (9,)
    assert derived.program().inputs["prev.h"].shape >= (2,)
    assert unroll(derived, {"W": np.ones((2, 9))}, np.ones((4, 9)))["h"].shape == (4, 2)
    chain = sized(inputs="2 * hidden", hidden="units + 1")
    assert chain.sizes == ["units"] and chain.init(units=2).W.shape == (3, 6)
    assert chain.infer_sizes(chain.init(units=2)) == {"units": 2, "hidden": 3, "inputs": 6}


@pytest.mark.parametrize(
    ("call", "kind", "message"),
    [
        (
            lambda c: c.init(hidden=1),
            ShapeError,
            "hidden must be a whole number of at least 2, got 1.",
        ),
        (
            lambda c: c.bind({"W": np.ones((1, 3))}),
            ShapeError,
            "hidden must be a whole number of at least 2, got 1.",
        ),
        (
            lambda c: unroll(c, {"W": np.ones((1, 3))}, np.ones((2, 3))),
            ShapeError,
            "hidden must be a whole number of at least 2, got 1.",
        ),
        (
            lambda c: c.init(hidden=2, inputs=4),
            ShapeError,
            "inputs is 2 * hidden * hidden + 1 = 9 here, not 4.",
        ),
        (lambda c: c.init(), ShapeError, "needs hidden=…: its sizes are hidden."),
        (
            lambda c: c.bind({"W": np.ones((2, 8))}),
            ShapeError,
            "inputs is (2 * hidden * hidden + 1) = (9,), hidden=2 by W, inputs=8 by W, but the "
            "array given has shape (8,).",
        ),
    ],
)
def test_sizes_that_do_not_fit(call: Any, kind: type[Exception], message: str) -> None:
    with pytest.raises(kind) as caught:
        call(sized(inputs="2 * hidden * hidden + 1", hidden="at least 2"))
    assert re.sub(r"^cell 'sized':? ", "", str(caught.value)) == message
