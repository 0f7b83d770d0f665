"""Cells of the family that are others where some parameters are zero or gates are closed."""

import math
from typing import Any

import numpy as np
import pytest

import equations
from tinygrad_lstm import Cell, cells, unroll
from tinygrad_lstm.cells import clocked
from tinygrad_lstm.errors import DataError

# --- identities -----------------------------------------------------------------------------------
HIDDEN, INPUTS, TIME = 4, 3, 5
SATURATED = {"one": 800.0, "zero": -800.0}  # σ is exactly 1, or exactly 0


def drawn(cell: Cell, seed: int = 3, **fills: float) -> tuple[Any, Any, dict[str, Any]]:
    """Parameters, a sequence and initial states at random; of the parameters some are filled."""
    random = np.random.default_rng(seed)
    wide = {"hidden": HIDDEN} | ({"inputs": INPUTS} if "inputs" in cell.sizes else {})
    fresh = cell.init(**wide)
    arrays = {n: random.normal(size=t.shape) for n, t in fresh.items()}
    p = cell.bind(arrays | {n: np.full(fresh[n].shape, v) for n, v in fills.items()})
    xs = random.normal(size=(TIME, wide.get("inputs", HIDDEN)))
    return p, xs, {name: random.normal(size=HIDDEN) for name in cell.state}


@pytest.mark.parametrize(
    ("name", "state", "fills"),
    [
        ("lstm", "C", {"b_f": "one", "b_i": "zero"}),
        ("lstm_peephole_gers", "C", {"b_f": "one", "b_i": "zero"}),
        ("lstm_peephole_output", "C", {"b_f": "one", "b_i": "zero"}),
        ("odyssey_vanilla", "c", {"b_f": "one", "b_i": "zero"}),
        ("nfg", "c", {"b_i": "zero"}),
        ("nog", "c", {"b_f": "one", "b_i": "zero"}),
        ("niaf", "c", {"b_f": "one", "b_i": "zero"}),
        ("noaf", "c", {"b_f": "one", "b_i": "zero"}),
        ("np", "c", {"b_f": "one", "b_i": "zero"}),
        ("fgr", "c", {"b_f": "one", "b_i": "zero"}),
        ("cifg", "c", {"b_i": "zero"}),
        ("gru_cho2014", "h", {"b_z": "one"}),
        ("gru_reset_after", "h", {"b_iz": "one"}),
        ("mut1", "h", {"b_z": "zero"}),
        ("mut2", "h", {"b_z": "zero"}),
        ("mut3", "h", {"b_z": "zero"}),
    ],
)
def test_saturated_gates_carry_the_state_and_its_gradient(
    name: str, state: str, fills: dict[str, str]
) -> None:
    cell = cells.all()[name]
    p, xs, initial = drawn(cell, **{n: SATURATED[v] for n, v in fills.items()})
    run = unroll(cell, p, xs, initial)
    assert np.array_equal(run[state].data, np.tile(initial[state], (TIME, 1)))
    seed = np.arange(1.0, HIDDEN + 1)
    gradients = equations.gradients(
        cell, p, xs, {state: np.r_[np.zeros((TIME - 1, HIDDEN)), [seed]]}, initial
    )
    assert np.array_equal(gradients[f"prev.{state}"], seed)


def test_a_closed_input_gate_keeps_the_state_of_1997() -> None:
    expand = np.kron(np.eye(2), np.ones((2, 1)))
    random = np.random.default_rng(0)
    p = cells.lstm_1997.init(blocks=2, cells=4, inputs=3, b_in=-800.0)
    initial = {"s_c": random.normal(size=4), "h": random.normal(size=4)}
    run = unroll(cells.lstm_1997, p, random.normal(size=(TIME, 3)), initial, expand=expand)
    assert np.array_equal(run["s_c"].data, np.tile(initial["s_c"], (TIME, 1)))


def test_the_cells_of_a_block_share_its_gates() -> None:
    """One block of two cells, step by step from the paper's sums."""
    random = np.random.default_rng(1)
    cell = cells.lstm_1997
    shapes = cell.init(blocks=1, cells=2, inputs=2)
    w = {n: random.normal(size=t.shape) for n, t in shapes.items()}
    xs = random.normal(size=(3, 2))
    run = unroll(cell, w, xs, expand=np.ones((2, 1)))

    def sigma(v: float) -> float:
        return 1 / (1 + math.exp(-v))

    y, s, y_in, y_out = [0.0, 0.0], [0.0, 0.0], 0.0, 0.0
    for t, x in enumerate(xs):
        z = [*x, *y, y_in, y_out]
        net = {
            n: [sum(a * b for a, b in zip(row, z, strict=True)) for row in w[f"W_{n}"]]
            for n in ("in", "out", "c")
        }
        y_in, y_out = (sigma(net[n][0] + w[f"b_{n}"][0]) for n in ("in", "out"))
        for j in range(2):
            s[j] += y_in * (4 * sigma(net["c"][j] + w["b_c"][j]) - 2)
            y[j] = y_out * (2 * sigma(s[j]) - 1)
        assert run["s_c"].data[t] == pytest.approx(s, rel=1e-13)
        assert run["h"].data[t] == pytest.approx(y, rel=1e-13)


def same_as(cell: Cell, other: Cell, zero: str = "", **fills: float) -> None:
    """`cell` computes what `other` does whose parameters named in `zero` are zero."""
    p, xs, initial = drawn(other, **dict.fromkeys(zero.split(), 0.0), **fills)
    a = unroll(cell, {n: p[n] for n in cell.parameters}, xs, {n: initial[n] for n in cell.state})
    b = unroll(other, p, xs, initial)
    for name in a.steps[0]:
        np.testing.assert_allclose(a[name].data, b[name].data, rtol=1e-13, err_msg=name)


def test_variants_are_the_vanilla_lstm_with_a_gate_set() -> None:
    V, odyssey = cells.odyssey_vanilla, cells.all()
    same_as(odyssey["nig"], V, b_i=800.0)
    same_as(odyssey["nfg"], V, b_f=800.0)
    same_as(odyssey["nog"], V, b_o=800.0)
    same_as(odyssey["np"], V, zero="p_i p_f p_o")
    nine = " ".join(f"R_{a}{b}" for a in "ifo" for b in "ifo")
    same_as(V, cells.fgr, zero=nine)
    same_as(cells.lstm, cells.lstm_peephole_gers, zero="p_f p_i p_o")
    same_as(cells.lstm_peephole_output, cells.lstm_peephole_gers, zero="p_f p_i")


def test_an_activation_function_is_left_out() -> None:
    V = cells.odyssey_vanilla
    p, xs, initial = drawn(V)
    full = unroll(V, p, xs[:1], initial)
    no_g, no_h = (unroll(cells.all()[n], p, xs[:1], initial) for n in ("niaf", "noaf"))
    np.testing.assert_allclose(np.tanh(no_g["z"].data), full["z"].data, rtol=1e-13)
    np.testing.assert_allclose(no_h["y"].data, (full["c"] * full["o"]).data, rtol=1e-13)
    np.testing.assert_allclose(no_h["c"].data, full["c"].data, rtol=1e-13)


def test_coupled_gates_add_up_to_one() -> None:
    run = unroll(cells.cifg, *drawn(cells.cifg))
    np.testing.assert_array_equal(run["f"].data, 1 - run["i"].data)
    assert 0 < run["i"].data.min() < run["i"].data.max() < 1


def test_the_direction_of_z_is_the_sign_of_its_weights() -> None:
    """The essay's GRU with -W_z is Cho's without biases."""
    p, xs, initial = drawn(cells.gru_cho2014, b_r=0.0, b_z=0.0, b=0.0)
    W = {n: np.concatenate([p[f"U{n}"].data, p[f"W{n}"].data], 1) for n in ("_r", "_z", "")}
    other = unroll(cells.gru, {"W_z": -W["_z"], "W_r": W["_r"], "W_h": W[""]}, xs, initial)
    run = unroll(cells.gru_cho2014, p, xs, initial)
    np.testing.assert_allclose(run["h"].data, other["h"].data, rtol=1e-12)
    np.testing.assert_allclose(run["z"].data, 1 - other["z"].data, rtol=1e-12)


def test_reset_before_and_after_the_product_differ() -> None:
    p, xs, initial = drawn(cells.gru_cho2014)
    w = {f"{m}_{n}": p[f"{m}_{n}"] for m in "WU" for n in "rz"} | {"W_n": p["W"], "U_n": p["U"]}
    w |= {"b_ir": p["b_r"], "b_iz": p["b_z"], "b_in": p["b"]}
    w |= dict.fromkeys(["b_hr", "b_hz", "b_hn"], np.zeros(HIDDEN))
    before, after = (
        unroll(c, q, xs, initial) for c, q in [(cells.gru_cho2014, p), (cells.gru_reset_after, w)]
    )
    np.testing.assert_array_equal(before["r"].data[0], after["r"].data[0])
    assert np.max(np.abs(before["h"].data - after["h"].data)) > 0.01
    # a reset gate that is 1, or a diagonal matrix, hides the difference
    same = [{**dict(p), "U": np.diag([1.0, 2, 3, 4])}, {**w, "U_n": np.diag([1.0, 2, 3, 4])}]
    a, b = (
        unroll(c, q, xs, initial)
        for c, q in zip([cells.gru_cho2014, cells.gru_reset_after], same, strict=True)
    )
    np.testing.assert_allclose(a["h"].data, b["h"].data, rtol=1e-12)


@pytest.mark.parametrize(("r", "z", "h"), [(1, 0.2, 0.888), (0, 0.2, 0.550), (1, 1, 0.9)])
def test_a_worked_step_of_cho_s_gru(r: float, z: float, h: float) -> None:
    def bias(share: float) -> float:
        return {0: -800.0, 1: 800.0}.get(share) or math.log(share / (1 - share))

    p = cells.gru_cho2014.init(
        hidden=1, inputs=1, W=1.0, U=1.0, W_r=0, W_z=0, U_r=0, U_z=0, b_r=bias(r), b_z=bias(z)
    )
    run = unroll(cells.gru_cho2014, p, np.array([[0.5]]), {"h": np.array([0.9])})
    assert run.final["h"].item() == pytest.approx(h, abs=5e-4)


def test_no_cell_below_is_an_lstm() -> None:
    p, xs, initial = drawn(cells.depth_gated)
    run = unroll(cells.depth_gated, p, xs, initial, C_below=np.zeros((TIME, HIDDEN)))
    w = {n: p[n] for n in cells.lstm.parameters if n in p} | {"b_C": np.zeros(HIDDEN)}
    lstm = unroll(cells.lstm, w, xs, initial)
    np.testing.assert_allclose(run["h"].data, lstm["h"].data, rtol=1e-13)


def test_an_open_depth_gate_adds_the_state_below() -> None:
    p, xs, initial = drawn(cells.depth_gated, b_d=800.0, b_f=800.0, b_i=-800.0)
    below = np.random.default_rng(2).normal(size=(TIME, HIDDEN))
    run = unroll(cells.depth_gated, p, xs, initial, C_below=below)
    expected = initial["C"] + np.cumsum(below, 0)
    np.testing.assert_allclose(run["C"].data, expected, rtol=1e-12)


# --- the clockwork network ------------------------------------------------------------------------
def test_the_clock() -> None:
    np.testing.assert_array_equal(
        clocked.clock([1, 2, 4], 4, 5),  # the first module has the unit that is left over
        [[1, 1, 1, 1], [1, 1, 0, 0], [1, 1, 1, 0], [1, 1, 0, 0], [1, 1, 1, 1]],
    )
    late = clocked.clock([4, 1], 2, 4, start=1)  # sorted from fast to slow
    np.testing.assert_array_equal(late, [[1, 0], [1, 0], [1, 0], [1, 1]])


def test_the_mask_is_block_upper_triangular() -> None:
    expected = np.kron(np.triu(np.ones((3, 3))), np.ones((2, 2)))
    np.testing.assert_array_equal(clocked.mask([4, 1, 2], 6), expected)


def test_units_hold_still_off_their_tick() -> None:
    periods, units = [1, 2, 4], 6
    random = np.random.default_rng(4)
    p = cells.clockwork.init(hidden=units, inputs=2, seed=1)
    ticks, mask = clocked.clock(periods, units, 9), clocked.mask(periods, units)
    xs, begin = random.normal(size=(9, 2)), random.normal(size=units)
    run = unroll(cells.clockwork, p, xs, {"y_H": begin}, clock=ticks, mask=mask)
    y = np.concatenate([[begin], run["y_H"].data])
    moved = y[1:] != y[:-1]
    np.testing.assert_array_equal(moved, ticks == 1)
    # the slow units do not hear the fast ones
    other = begin + np.array([1.0, 1, 0, 0, 0, 0])
    again = unroll(cells.clockwork, p, xs, {"y_H": other}, clock=ticks, mask=mask)
    np.testing.assert_array_equal(again["y_H"].data[:, 2:], y[1:, 2:])
    assert np.all(again["y_H"].data[0, :2] != y[1, :2])


def test_weights_under_the_mask_have_no_gradient() -> None:
    units = 4
    mask = clocked.mask([1, 2], units)
    ticks = clocked.clock([1, 2], units, 5)
    p = cells.clockwork.init(hidden=units, inputs=2, seed=1)
    xs = np.random.default_rng(4).normal(size=(5, 2))
    run = unroll(cells.clockwork, p, xs, clock=ticks, mask=mask)
    (run["y_H"] * run["y_H"]).sum().backward()
    np.testing.assert_array_equal(p["W_H"].grad.data != 0, mask == 1)


def test_one_period_is_the_plain_network() -> None:
    p, xs, initial = drawn(cells.clockwork)
    ticks, mask = clocked.clock([1], HIDDEN, TIME), clocked.mask([1], HIDDEN)
    run = unroll(cells.clockwork, p, xs, initial, clock=ticks, mask=mask)
    W = np.concatenate([p["W_H"].data, p["W_I"].data], axis=1)
    plain = unroll(cells.rnn, {"W": W, "b": p["b"]}, xs, {"h": initial["y_H"]})
    np.testing.assert_allclose(run["y_H"].data, plain["h"].data, rtol=1e-13)


@pytest.mark.parametrize("periods", [[1, 2, 2], [0, 1], [1.5], [], [1, 2, 4, 8]])
def test_periods_that_cannot_be(periods: list[Any]) -> None:
    expected = (
        f"periods {periods} for 3 units: give different whole numbers of at least 1, one for each "
        f"module, and no more of them than units."
    )
    for make in (lambda: clocked.clock(periods, 3, 2), lambda: clocked.mask(periods, 3)):
        with pytest.raises(DataError) as error:
            make()
        assert str(error.value) == expected
