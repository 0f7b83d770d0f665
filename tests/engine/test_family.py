"""The family of cells against their papers: equations, parameter counts, identities."""

import math
from typing import Any

import numpy as np
import pytest

import equations
from tinygrad_lstm import Cell, cells, unroll
from tinygrad_lstm.cells import clocked
from tinygrad_lstm.errors import DataError

# --- the equations, copied by hand from the papers ------------------------------------------------
GATE = r"\sigma\left(%s\right)"
TANH = r"\tanh\left(%s\right)"
ALL = "[x_t, h_{t-1}, y_{in, t-1}, y_{\\mathrm{out}, t-1}]"
FULL = r" + R_{%si} \cdot i_{t-1} + R_{%sf} \cdot f_{t-1} + R_{%so} \cdot o_{t-1}"


def greff(star: str, peephole: str = "", further: str = "") -> str:
    """What stands inside a gate or block input of Greff et al. (2015)."""
    peep = rf" + p_{star} \odot {peephole}" if peephole else ""
    return rf"W_{star} \cdot x_t + R_{star} \cdot y_{{t-1}}{peep} + b_{star}{further}"


def hx(star: str, further: str = "") -> str:
    return rf"W_{star} \cdot [h_{{t-1}}, x_t]{further} + b_{star}"


VANILLA = {
    "z": "z_t = " + TANH % greff("z"),
    "i": "i_t = " + GATE % greff("i", "c_{t-1}"),
    "f": "f_t = " + GATE % greff("f", "c_{t-1}"),
    "c": r"c_t = z_t \odot i_t + c_{t-1} \odot f_t",
    "o": "o_t = " + GATE % greff("o", "c_t"),
    "y": r"y_t = \tanh\left(c_t\right) \odot o_t",
}


def vanilla(without: str = "", **changes: str) -> dict[str, str]:
    return {n: line for n, line in {**VANILLA, **changes}.items() if n != without}


LSTM = {
    "f": "f_t = " + GATE % hx("f"),
    "i": "i_t = " + GATE % hx("i"),
    "C_tilde": r"\tilde{C}_t = " + TANH % hx("C"),
    "C": r"C_t = f_t \odot C_{t-1} + i_t \odot \tilde{C}_t",
    "o": "o_t = " + GATE % hx("o", r" + p_o \odot C_t"),
    "h": r"h_t = o_t \odot \tanh\left(C_t\right)",
}
GERS = {n: f"{n}_t = " + GATE % hx(n, rf" + p_{n} \odot C_{{t-1}}") for n in "fi"}
CHO = r"h_t = z_t \odot h_{t-1} + \left(1 - z_t\right) \odot \tilde{h}_t"
MUT = r"h_t = \tilde{h}_t \odot z_t + h_{t-1} \odot \left(1 - z_t\right)"
RESET = r"W_{hh} \cdot \left(r_t \odot h_{t-1}\right)"
R_OF_X = r"r_t = " + GATE % r"W_{xr} \cdot x_t + W_{hr} \cdot h_{t-1} + b_r"

PAPERS: dict[str, dict[str, str]] = {
    "lstm_1997": {
        "y_in": r"y_{in, t} = " + GATE % (r"W_{in} \cdot " + ALL + r" + b_{in}"),
        "y_out": r"y_{\mathrm{out}, t} = "
        + GATE % (r"W_{\mathrm{out}} \cdot " + ALL + r" + b_{\mathrm{out}}"),
        "g": "g_t = 4 " + GATE % (r"W_c \cdot " + ALL + " + b_c") + " - 2",
        "s_c": r"s_{c, t} = s_{c, t-1} + \left(\mathrm{expand} \cdot y_{in, t}\right) \odot g_t",
        "h": r"h_t = \left(\mathrm{expand} \cdot y_{\mathrm{out}, t}\right) \odot "
        r"\left(2 \sigma\left(s_{c, t}\right) - 1\right)",
    },
    "lstm_peephole_gers": {**GERS, **{n: line for n, line in LSTM.items() if n not in "fi"}},
    "lstm_peephole_output": LSTM,
    "gru_cho2014": {
        "r": "r_t = " + GATE % r"W_r \cdot x_t + U_r \cdot h_{t-1} + b_r",
        "z": "z_t = " + GATE % r"W_z \cdot x_t + U_z \cdot h_{t-1} + b_z",
        "h_tilde": r"\tilde{h}_t = "
        + TANH % r"W \cdot x_t + U \cdot \left(r_t \odot h_{t-1}\right) + b",
        "h": CHO,
    },
    "gru_reset_after": {
        "r": "r_t = " + GATE % r"W_r \cdot x_t + b_{ir} + U_r \cdot h_{t-1} + b_{hr}",
        "z": "z_t = " + GATE % r"W_z \cdot x_t + b_{iz} + U_z \cdot h_{t-1} + b_{hz}",
        "h_tilde": r"\tilde{h}_t = "
        + TANH % r"W_n \cdot x_t + b_{in} + r_t \odot \left(U_n \cdot h_{t-1} + b_{hn}\right)",
        "h": CHO,
    },
    "odyssey_vanilla": VANILLA,
    "nig": vanilla("i", c=r"c_t = z_t + c_{t-1} \odot f_t"),
    "nfg": vanilla("f", c=r"c_t = z_t \odot i_t + c_{t-1}"),
    "nog": vanilla("o", y=r"y_t = \tanh\left(c_t\right)"),
    "niaf": vanilla(z="z_t = " + greff("z")),
    "noaf": vanilla(y=r"y_t = c_t \odot o_t"),
    "cifg": vanilla(f="f_t = 1 - i_t"),
    "np": {**VANILLA, **{n: f"{n}_t = " + GATE % greff(n) for n in "ifo"}},
    "fgr": {
        **VANILLA,
        "i": "i_t = " + GATE % greff("i", "c_{t-1}", FULL % ("i", "i", "i")),
        "f": "f_t = " + GATE % greff("f", "c_{t-1}", FULL % ("f", "f", "f")),
        "o": "o_t = " + GATE % greff("o", "c_t", FULL % ("o", "o", "o")),
    },
    "mut1": {
        "z": "z_t = " + GATE % r"W_{xz} \cdot x_t + b_z",
        "r": R_OF_X,
        "h_tilde": r"\tilde{h}_t = " + TANH % (RESET + r" + \tanh\left(x_t\right) + b_h"),
        "h": MUT,
    },
    "mut2": {
        "z": "z_t = " + GATE % r"W_{xz} \cdot x_t + W_{hz} \cdot h_{t-1} + b_z",
        "r": "r_t = " + GATE % r"x_t + W_{hr} \cdot h_{t-1} + b_r",
        "h_tilde": r"\tilde{h}_t = " + TANH % (RESET + r" + W_{xh} \cdot x_t + b_h"),
        "h": MUT,
    },
    "mut3": {
        "z": "z_t = " + GATE % r"W_{xz} \cdot x_t + W_{hz} \cdot \tanh\left(h_{t-1}\right) + b_z",
        "r": R_OF_X,
        "h_tilde": r"\tilde{h}_t = " + TANH % (RESET + r" + W_{xh} \cdot x_t + b_h"),
        "h": MUT,
    },
    "depth_gated": {
        "i": LSTM["i"],
        "f": LSTM["f"],
        "d": "d_t = " + GATE % r"b_d + W_{xd} \cdot x_t + w_{cd} \odot C_{t-1} + "
        r"w_{ld} \odot C_{\mathrm{below}, t}",
        "C_tilde": r"\tilde{C}_t = " + TANH % r"W_C \cdot [h_{t-1}, x_t]",
        "C": r"C_t = d_t \odot C_{\mathrm{below}, t} + f_t \odot C_{t-1} + i_t \odot \tilde{C}_t",
        "o": "o_t = " + GATE % hx("o"),
        "h": LSTM["h"],
    },
    "clockwork": {
        "y_tilde": r"\tilde{y}_t = "
        + TANH % r"\left(\mathrm{mask} \odot W_H\right) \cdot y_{H, t-1} + W_I \cdot x_t + b",
        "y_H": r"y_{H, t} = \mathrm{clock}_t \odot \tilde{y}_t + "
        r"\left(1 - \mathrm{clock}_t\right) \odot y_{H, t-1}",
    },
}


@pytest.mark.parametrize("name", PAPERS)
def test_the_lines_are_the_paper_s(name: str) -> None:
    lines = {line.name: line.latex() for line in equations.forward(cells.all()[name])}
    assert lines == PAPERS[name]


# --- parameter counts as published ----------------------------------------------------------------
def count(cell: Cell, **sizes: int) -> int:
    return cell.init(**sizes).count


@pytest.mark.parametrize("N, M", [(1, 1), (4, 3), (100, 39)])
def test_counts_of_the_odyssey(N: int, M: int) -> None:
    V = 4 * (N * M + N * N + N) + 3 * N
    less = 3 * (N * M + N * N + N) + 2 * N
    published = {
        "odyssey_vanilla": V,
        "nig": less,
        "nfg": less,
        "nog": less,
        "niaf": V,
        "noaf": V,
        "cifg": less,
        "np": V - 3 * N,
        "fgr": V + 9 * N * N,
    }
    assert {n: count(cells.all()[n], hidden=N, inputs=M) for n in published} == published


def test_counts_of_chung_et_al() -> None:
    music = [(cells.lstm_peephole_gers, 36), (cells.gru_cho2014, 46), (cells.rnn, 100)]
    assert [count(c, hidden=n, inputs=100) for c, n in music] == [19836, 20286, 20100]
    speech = [(cells.lstm_peephole_gers, 195), (cells.gru_cho2014, 227), (cells.rnn, 400)]
    assert [count(c, hidden=n, inputs=20) for c, n in speech] == [169065, 168888, 168400]


@pytest.mark.parametrize("n", [1, 5, 64])
def test_counts_of_jozefowicz_et_al(n: int) -> None:
    assert count(cells.mut1, hidden=n) == 4 * n * n + 3 * n
    assert count(cells.mut2, hidden=n) == 5 * n * n + 3 * n
    assert count(cells.mut3, hidden=n, inputs=n) == 6 * n * n + 3 * n
    assert count(cells.gru_cho2014, hidden=n, inputs=n) == 6 * n * n + 3 * n
    assert count(cells.lstm, hidden=n, inputs=n) == 8 * n * n + 4 * n
    assert count(cells.rnn, hidden=n, inputs=n) == 2 * n * n + n


def test_counts_of_whole_networks_of_jozefowicz_et_al() -> None:
    """64 units, 40 symbols: an embedding and a softmax with biases round each cell."""
    around = 40 * 64 + 64 * 40 + 40
    published = [(cells.rnn, 13416), (cells.lstm, 38184), (cells.gru_cho2014, 29928)]
    for cell, whole in published:
        assert count(cell, hidden=64, inputs=64) + around == whole


# task: blocks, cells a block, inputs, outputs, biases, weights
TASKS_1997 = {
    "1 with 4 blocks": (4, 1, 7, 7, "gates", 264),
    "1 with 3 blocks": (3, 2, 7, 7, "gates", 276),
    "2c": (2, 1, 54, 2, "none", 364),
    "3": (3, 1, 1, 1, "hidden", 102),
    "4 and 5": (2, 2, 2, 1, "all", 93),
    "6a": (2, 2, 8, 4, "all", 156),
    "6b": (3, 2, 8, 8, "all", 308),
}


@pytest.mark.parametrize("task", TASKS_1997)
def test_counts_of_1997(task: str) -> None:
    B, S, inputs, outputs, biases, published = TASKS_1997[task]
    p = cells.lstm_1997.init(blocks=B, cells=B * S, inputs=inputs)
    unused = {"none": ["b_in", "b_out", "b_c"], "gates": ["b_c"]}.get(biases, [])
    hidden = p.count - sum(p[name].size for name in unused)
    assert hidden + outputs * (B * S + (biases == "all")) == published


@pytest.mark.parametrize("H, I", [(3, 3), (4, 2)])
def test_counts_of_the_depth_gate_and_of_peepholes(H: int, I: int) -> None:
    lstm = count(cells.lstm, hidden=H, inputs=I)
    assert count(cells.depth_gated, hidden=H, inputs=I) == lstm - H + H * I + 3 * H
    assert count(cells.lstm_peephole_gers, hidden=H, inputs=I) == lstm + 3 * H
    assert count(cells.lstm_peephole_output, hidden=H, inputs=I) == lstm + H
    assert count(cells.gru_reset_after, hidden=H, inputs=I) == 3 * H * (I + H + 2)


def test_counts_of_clockwork() -> None:
    for g, k in [(1, 4), (3, 2), (9, 5)]:
        ones = clocked.mask([2**n for n in range(g)], g * k).sum()
        assert ones == k * k * g * (g + 1) / 2
    # 9 unequal modules; with an output unit and the biases of all units
    for hidden, weights in [(11, 91), (19, 240), (27, 460), (40, 971)]:
        assert clocked.mask([2**n for n in range(9)], hidden).sum() + 2 * hidden + 1 == weights


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


# --- initial values -------------------------------------------------------------------------------
def test_the_forget_bias_is_an_initial_value() -> None:
    plain = cells.lstm.init(inputs=3, hidden=4, seed=5)
    p = cells.lstm.init(inputs=3, hidden=4, seed=5, b_f=1.0, dtype=np.float64)
    assert p["b_f"].data.tolist() == [1.0] * 4 and plain["b_f"].data.tolist() == [0.0] * 4
    for name in set(p) - {"b_f"}:
        np.testing.assert_array_equal(p[name].data, plain[name].data)
    run = unroll(cells.lstm, p.replace({"W_f": np.zeros((4, 7))}), np.zeros((1, 3)))
    assert run["f"].data[0, 0] == pytest.approx(0.731, abs=5e-4)
