"""Wrong answers to the exercises that join a cell, a training or a whole sequence."""

from __future__ import annotations

import numpy as np
from exercise_answers import (
    CONVERT,
    GRU,
    LSTM,
    PEEPHOLE,
    Change,
    both,
    converting,
    filled,
    gru,
    memory,
    reading,
    replaced,
    share,
    states,
    unrolled,
)

from lesson.exercises import over_time

FURTHER: list[tuple[str, int, Change, tuple[str, ...]]] = [
    ("peepholes", 7, lambda t, s: t, ("blind", "o_blind")),
    (
        "peepholes",
        7,
        both(PEEPHOLE, replaced(("p.v_o * now.C", "p.v_o * prev.C"))),
        ("o_sees_old",),
    ),
    (
        "peepholes",
        7,
        both(PEEPHOLE, replaced(("p.W_C, hx) +", "p.W_C, hx) + p.v_f * prev.C +"))),
        ("candidate_sees",),
    ),
    ("peepholes", 7, both(PEEPHOLE, replaced(("now.f = sigmoid(", "now.f = ("))), ("no_sigmoid",)),
    (
        "peepholes",
        7,
        both(PEEPHOLE, replaced(("now.i = sigmoid(", "now.i = tanh("))),
        ("no_sigmoid",),
    ),
    (
        "peepholes",
        7,
        both(PEEPHOLE, replaced(("p.v_i * prev.C + p.b_i)", "p.b_i) * prev.C + 0 * p.v_i"))),
        ("no_sigmoid",),
    ),
    (
        "peepholes",
        7,
        both(PEEPHOLE, replaced(("p.v_o * now.C", "p.v_o * (now.C + prev.C)"))),
        ("o_sees_both",),
    ),
    (
        "peepholes",
        7,
        both(PEEPHOLE, replaced(("tanh(matvec(p.W_C, hx) + p.b_C)", "tanh(p.b_C)"))),
        ("candidate_blind",),
    ),
    (
        "peepholes",
        7,
        both(PEEPHOLE, replaced(("now.C_tilde = tanh(", "now.C_tilde = sigmoid("))),
        ("candidate_changed",),
    ),
    (
        "peepholes",
        7,
        both(PEEPHOLE, replaced(("now.o * tanh(now.C)", "now.o * now.C"))),
        ("all_see", "rest_changed"),
    ),
    (
        "peepholes",
        7,
        both(PEEPHOLE, replaced(("matvec(p.W_f, hx) + ", ""), ("matvec(p.W_o, hx) + ", ""))),
        ("lost_x", "lost_h"),
    ),
    ("peepholes", 7, both(PEEPHOLE, replaced(("now.i = ", "i = "), ("now.i *", "i *"))), ("lost",)),
    ("peepholes", 7, both(PEEPHOLE, replaced(("h C", "h C o"))), ("states",)),
    ("gru-from-lstm", 7, lambda t, s: t, ("two_states",)),
    (
        "gru-from-lstm",
        7,
        gru(GRU.replace("(1 - now.z) * prev.h + now.z *", "now.z * prev.h + (1 - now.z) *")),
        ("z_turned",),
    ),
    ("gru-from-lstm", 7, gru(GRU.replace("now.r * prev.h", "prev.h")), ("no_reset",)),
    (
        "gru-from-lstm",
        7,
        gru(
            GRU.replace(
                "tanh(matvec(p.W_h, concat(now.r * prev.h, x)))",
                "tanh(now.r * matvec(p.W_h[:, :prev.h.shape[-1]], prev.h) + "
                "matvec(p.W_h[:, prev.h.shape[-1]:], x))",
            )
        ),
        ("reset_late",),
    ),
    (
        "gru-from-lstm",
        7,
        gru(
            GRU.replace(
                "tanh(matvec(p.W_h, concat(now.r * prev.h, x)))",
                "tanh(now.r * matvec(p.W_h[:, :prev.h.shape[-1]], prev.h) + "
                "matvec(p.W_h[:, prev.h.shape[-1]:], x))",
            ).replace("(1 - now.z) * prev.h + now.z *", "now.z * prev.h + (1 - now.z) *")
        ),
        ("z_turned_reset_late",),
    ),
    ("gru-from-lstm", 7, gru(GRU.replace("tanh", "sigmoid")), ("says.differs",)),
    (
        "gru-from-lstm",
        7,
        gru(
            GRU.replace("concat(prev.h, x)", "concat(x, prev.h)").replace(
                "concat(now.r * prev.h, x)", "concat(x, now.r * prev.h)"
            )
        ),
        ("hx_turned",),
    ),
    ("gru-from-lstm", 7, gru(GRU, '{"W_z W_r W_h": "hidden, hidden + features"}'), ("says.sizes",)),
    (
        "gru-from-lstm",
        7,
        gru(GRU, '{"W_z W_r": "hidden, hidden + inputs", "W_h": "hidden, hidden"}'),
        ("says.refused",),
    ),
    (
        "gru-from-lstm",
        7,
        gru(GRU, '{"W_z W_r W_h W_x": "hidden, hidden + inputs"}'),
        ("says.extra_parameters",),
    ),
    (
        "gru-from-lstm",
        7,
        gru("now.h = tanh(matvec(p.W_h, prev.h))", '{"W_h": "hidden, hidden"}'),
        ("says.lacks_parameters",),
    ),
    ("fifty-steps", 7, memory(LSTM, "{}"), ("forgets", "vanishes")),
    (
        "fifty-steps",
        7,
        memory(
            '@cell(state="h", parameters={"W": "hidden, inputs"})\n'
            "def memory(now, prev, x, p):\n    now.h = prev.h + matvec(p.W, x)\n",
            "{}",
        ),
        ("forgets", "arrives"),
    ),
    (
        "fifty-steps",
        7,
        memory(
            '@cell(state="h", parameters={"W": "hidden, inputs"})\n'
            "def memory(now, prev, x, p):\n    now.h = 1e9 * prev.h ** 2 + matvec(p.W, x)\n",
            "{}",
        ),
        ("diverged",),
    ),
    ("fifty-steps", 7, memory(LSTM, "3"), ("no_fills",)),
    ("fifty-steps", 7, memory(LSTM, '{"b_f": "big"}'), ("bad_fill",)),
    ("fifty-steps", 7, memory(LSTM, '{"b_f": float("nan")}'), ("bad_fill",)),
    ("fifty-steps", 7, memory(LSTM, '{"b_x": 3.0}'), ("says.refused",)),
    (
        "fifty-steps",
        7,
        memory(
            '@cell(state="h", sequences={"m": "hidden"})\n'
            "def memory(now, prev, x, p, m):\n    now.h = m * prev.h\n",
            "{}",
        ),
        ("further",),
    ),
    ("what-is-left", 7, both(unrolled, filled(h=[1.0, 2.0])), ("no_list",)),
    (
        "what-is-left",
        7,
        both(unrolled, filled(left=0.5, steps=3)),
        ("unrolled", "not_left", "not_steps"),
    ),
    (
        "what-is-left",
        7,
        both(unrolled, states(lambda w, x, h: np.tanh(x))),
        ("no_state", "left", "steps"),
    ),
    ("what-is-left", 7, both(unrolled, states(lambda w, x, h: w * h + x)), ("no_tanh",)),
    ("what-is-left", 7, both(unrolled, states(lambda w, x, h: 0.123 + 0 * x)), ("not_unrolled",)),
    ("what-is-left", 7, both(unrolled, share(lambda w, s: w * w)), ("left_no_slope",)),
    ("what-is-left", 7, both(unrolled, share(lambda w, s: s[1] * s[2])), ("left_no_weight",)),
    ("what-is-left", 7, both(unrolled, share(lambda w, s: w * w * s[0] * s[1])), ("left_early",)),
    (
        "what-is-left",
        7,
        both(unrolled, share(lambda w, s: w**3 * s[0] * s[1] * s[2])),
        ("left_three",),
    ),
    ("what-is-left", 7, both(unrolled, share(lambda w, s: w * s[2])), ("left_one",)),
    (
        "what-is-left",
        7,
        both(
            unrolled, lambda t, s: filled(steps=over_time._steps(over_time._plain(s)[0]) - 1)(t, s)
        ),
        ("steps_near",),
    ),
    ("convert-weights", 7, converting("return_nothing"), ("says.blank",)),
    ("convert-weights", 7, converting("found['W_f'] = 1"), ("names",)),
    ("convert-weights", 7, converting(CONVERT.replace("ifCo", "fiCo")), ("own_order",)),
    ("convert-weights", 7, converting(CONVERT.replace("ifCo", "iofC")), ("other_order",)),
    ("convert-weights", 7, converting(CONVERT.replace("ifCo", "oCfi")), ("differs",)),
    ("convert-weights", 7, converting(CONVERT.replace(" + bias_hh[rows]", "")), ("one_bias",)),
    (
        "convert-weights",
        7,
        converting(
            CONVERT.replace("weight_hh[rows], weight_ih[rows]", "weight_ih[rows], weight_hh[rows]")
        ),
        ("h_last",),
    ),
    ("convert-weights", 7, converting(CONVERT.replace("axis=1)", "axis=1).T")), ("turned",)),
    ("convert-weights", 7, converting(CONVERT.replace("[weight_hh[rows], ", "[")), ("shape",)),
    (
        "convert-weights",
        7,
        converting(CONVERT.replace("bias_ih[rows] + bias_hh[rows]", "None")),
        ("says.not_numbers",),
    ),
    ("backward-pass", 7, lambda t, s: t, ("says.blank",)),
    ("attention", 7, reading(a="matvec(memory, now.q)"), ("no_softmax",)),
    ("attention", 7, both(reading(a="softmax(0 * matvec(memory, now.q))")), ("even",)),
    (
        "attention",
        7,
        both(
            reading(a="sigmoid(matvec(memory, now.q))"),
            replaced(("matvec, softmax", "matvec, sigmoid, softmax")),
        ),
        ("gates",),
    ),
    ("attention", 7, reading(c="matvec(memory, now.a)"), ("says.refused",)),
    (
        "attention",
        7,
        both(
            reading(a="softmax(now.q)", c="now.a"),
            replaced(('    constants={"memory": "places, width"},', ""), ("p, memory)", "p)")),
        ),
        ("no_memory",),
    ),
]
