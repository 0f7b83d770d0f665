"""Grid LSTM (Kalchbrenner, Danihelka and Graves 2015): blocks with a memory along each axis.

    run = unroll(grid(grid_lstm), p, image)                        # rows × columns
    run = unroll(grid(grid_lstm, down="depth", depth=18), p, xs)   # time × depth, tied
    run = unroll(grid(grid_lstm_1, right="depth", depth=6), p, x)  # depth alone: 1-LSTM

The block of N axes reads H = [h_1; …; h_N; x] and gives each axis i a new (h_i, m_i) by an LSTM
transform with weights of its own, without biases:

    u = σ(W_u H), f = σ(W_f H), o = σ(W_o H), c = tanh(W_c H), m' = f ⊙ m + u ⊙ c, h' = tanh(o ⊙ m')

It is printed with the output gate inside the tanh; other programs write o ⊙ tanh(m').
Here x enters every block. Where it is to enter at the edge alone, project it to a first state:
`initial={"h_1": …, "m_1": …}`, and give the block an x of ones,
which makes its column of each matrix a bias, or of zeros.
"""

from __future__ import annotations

from collections.abc import Sequence

from tinygrad_lstm.ops import concat, matvec, sigmoid, tanh
from tinygrad_lstm.step import Cell, cell

# mypy: disallow-untyped-defs=False, disallow-untyped-calls=False

INSIDE, OUTSIDE = "tanh(o * m)", "o * tanh(m)"


def n_lstm(name: str, axes: int, hidden: str = INSIDE, priority: Sequence[int] = ()) -> Cell:
    """The listing of an N-LSTM block: for each axis i the equations u_i, f_i, o_i, c_i, m_i, h_i.

    axes: N, 1 to 3. hidden: `INSIDE` or `OUTSIDE`, how h_i is made. priority: axes that are
    computed last, from the new h of the others.
    """
    every = range(1, axes + 1)
    gates = " ".join(f"W_{gate}_{i}" for i in every for gate in "ufoc")
    order = [*(i for i in every if i not in priority), *priority]
    about = {1: "depth alone", 2: "two axes", 3: "three axes"}[axes]

    def step(now, prev, x, p):
        h = {i: getattr(prev, f"h_{i}") for i in every}
        new = dict(h)
        for i in order:
            H = concat(*((new if i in priority else h)[j] for j in every), x)
            u, f, o = (
                _written(now, f"{gate}_{i}", sigmoid(matvec(getattr(p, f"W_{gate}_{i}"), H)))
                for gate in "ufo"
            )
            c = _written(now, f"c_{i}", tanh(matvec(getattr(p, f"W_c_{i}"), H)))
            m = _written(now, f"m_{i}", f * getattr(prev, f"m_{i}") + u * c)
            made = _written(now, f"h_{i}", tanh(o * m) if hidden == INSIDE else o * tanh(m))
            if i not in priority:
                new[i] = made

    step.__name__ = step.__qualname__ = name
    step.__doc__ = f"Grid LSTM block of {about}, h = {hidden}" + (
        f"; axis {', '.join(map(str, priority))} last, from the new h of the others."
        if priority
        else "."
    )
    return cell(
        state=" ".join(f"h_{i} m_{i}" for i in every),
        parameters={gates: " + ".join(["hidden, inputs", *["hidden"] * axes])},
        axes={
            way: f"h_{i} m_{i}" for i, way in zip(every, ("right", "down", "deep"), strict=False)
        },
        output=f"h_{axes}",
        papers=["kalchbrenner2015"],
    )(step)


def _written(now, name, value):
    setattr(now, name, value)
    return getattr(now, name)


grid_lstm_1 = n_lstm("grid_lstm_1", 1)
grid_lstm = n_lstm("grid_lstm", 2)
grid_lstm_3 = n_lstm("grid_lstm_3", 3)
grid_lstm_1_outside = n_lstm("grid_lstm_1_outside", 1, OUTSIDE)
grid_lstm_outside = n_lstm("grid_lstm_outside", 2, OUTSIDE)
grid_lstm_3_outside = n_lstm("grid_lstm_3_outside", 3, OUTSIDE)
grid_lstm_priority = n_lstm("grid_lstm_priority", 2, priority=[2])
grid_lstm_3_priority = n_lstm("grid_lstm_3_priority", 3, priority=[3])
