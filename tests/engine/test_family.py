"""The family of cells against their papers: equations, parameter counts, identities."""

import numpy as np
import pytest

import equations
from tinygrad_lstm import Cell, cells, unroll
from tinygrad_lstm.cells import clocked

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


# --- initial values -------------------------------------------------------------------------------
def test_the_forget_bias_is_an_initial_value() -> None:
    plain = cells.lstm.init(inputs=3, hidden=4, seed=5)
    p = cells.lstm.init(inputs=3, hidden=4, seed=5, b_f=1.0, dtype=np.float64)
    assert p["b_f"].data.tolist() == [1.0] * 4 and plain["b_f"].data.tolist() == [0.0] * 4
    for name in set(p) - {"b_f"}:
        np.testing.assert_array_equal(p[name].data, plain[name].data)
    run = unroll(cells.lstm, p.replace({"W_f": np.zeros((4, 7))}), np.zeros((1, 3)))
    assert run["f"].data[0, 0] == pytest.approx(0.731, abs=5e-4)
