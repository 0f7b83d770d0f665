"""Exercises in which a cell is written: finish a line, couple gates, add peepholes, write a GRU."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from lesson.exercises.comparisons import Rule, gradients_hold, mistakes, same_cell, slope
from lesson.exercises.tasks import Answer, make_exercise, start_of
from lesson.exercises.words import Words
from tinygrad_lstm import cells, concat, matvec, sigmoid, tanh
from tinygrad_lstm.testing.inputs import random_arrays

LSTM = start_of("lstm")
RULES: Mapping[str, Rule] = {
    "f": lambda now, prev, hx, p: sigmoid(matvec(p.W_f, hx) + p.b_f),
    "i": lambda now, prev, hx, p: sigmoid(matvec(p.W_i, hx) + p.b_i),
    "C_tilde": lambda now, prev, hx, p: tanh(matvec(p.W_C, hx) + p.b_C),
    "C": lambda now, prev, hx, p: now.f * prev.C + now.i * now.C_tilde,
    "o": lambda now, prev, hx, p: sigmoid(matvec(p.W_o, hx) + p.b_o),
    "h": lambda now, prev, hx, p: now.o * tanh(now.C),
}
COUPLED = {name: rule for name, rule in RULES.items() if name != "i"}

_OPEN = ("C", "h", "f")  # the lines of which one is left open
_MISTAKES: Mapping[str, Mapping[str, Rule]] = {
    "C": {
        "swapped": lambda now, prev, hx, p: now.i * prev.C + now.f * now.C_tilde,
        "not_gated": lambda now, prev, hx, p: now.f * prev.C + now.C_tilde,
        "not_forgotten": lambda now, prev, hx, p: prev.C + now.i * now.C_tilde,
    },
    "h": {
        "not_squashed": lambda now, prev, hx, p: now.o * now.C,
        "squashed_late": lambda now, prev, hx, p: tanh(now.o * now.C),
        "not_shown": lambda now, prev, hx, p: tanh(now.C),
    },
    "f": {
        "no_gate": lambda now, prev, hx, p: tanh(matvec(p.W_f, hx) + p.b_f),
        "no_bias": lambda now, prev, hx, p: sigmoid(matvec(p.W_f, hx)),
        "not_sigmoid": lambda now, prev, hx, p: matvec(p.W_f, hx) + p.b_f,
    },
}


def _open_line(seed: int) -> str:
    return _OPEN[int(np.random.default_rng(seed).integers(len(_OPEN)))]


def _with_gap(seed: int) -> str:
    name = f"now.{_open_line(seed)} = "
    lines = LSTM.replace("NAME", "lstm").splitlines()
    return "\n".join(
        f"    {name}...  # {{{{here}}}}" if line.strip().startswith(name) else line
        for line in lines
    )


def _finish_facts(seed: int) -> Mapping[str, Words]:
    words, line = finish_the_cell.words, _open_line(seed)
    shown = next(x for x in LSTM.splitlines() if x.strip().startswith(f"now.{line} = "))
    return {
        "name": line,
        "line": words[f"line_{line}"],
        "clue": words[f"clue_{line}"],
        "solution": shown.strip(),
    }


@make_exercise(1, "finish-the-cell", _with_gap, _finish_facts)
def finish_the_cell(answer: Answer) -> None:
    """A line of the LSTM is written."""
    line = _open_line(answer.seed)
    wrong = {key: {line: rule} for key, rule in _MISTAKES[line].items()}
    own, like = answer.cell("lstm"), cells.lstm
    same_cell(answer, own, like, mistakes(answer, like, RULES, wrong))


_COUPLED_MISTAKES: Mapping[str, Mapping[str, Rule]] = {
    "same_share": {"C": lambda now, prev, hx, p: now.f * prev.C + now.f * now.C_tilde},
    "other_way": {"C": lambda now, prev, hx, p: (1 - now.f) * prev.C + now.f * now.C_tilde},
    "not_gated": {"C": lambda now, prev, hx, p: now.f * prev.C + now.C_tilde},
}


@make_exercise(3, "coupled-gates", LSTM.replace("NAME", "coupled"))
def coupled_gates(answer: Answer) -> None:
    """An LSTM whose input gate is 1 - f."""
    own = answer.cell("coupled")
    if left := sorted({"W_i", "b_i"} & set(own.parameters)):
        answer.stop(answer.says["still_two"], names=", ".join(left))
    like = cells.lstm_coupled
    same_cell(answer, own, like, mistakes(answer, like, COUPLED, _COUPLED_MISTAKES))


def _candidate(now: Any, prev: Any, hx: Any, p: Any) -> Any:
    x = hx[..., prev.h.shape[-1] :]
    return tanh(matvec(p.W_h, concat(now.r * prev.h, x)))


def _reset_late(now: Any, prev: Any, hx: Any, p: Any) -> Any:
    n = prev.h.shape[-1]
    return tanh(now.r * matvec(p.W_h[:, :n], prev.h) + matvec(p.W_h[:, n:], hx[..., n:]))


_GRU: Mapping[str, Rule] = {
    "z": lambda now, prev, hx, p: sigmoid(matvec(p.W_z, hx)),
    "r": lambda now, prev, hx, p: sigmoid(matvec(p.W_r, hx)),
    "h_tilde": _candidate,
    "h": lambda now, prev, hx, p: (1 - now.z) * prev.h + now.z * now.h_tilde,
}
_GRU_MISTAKES: Mapping[str, Mapping[str, Rule]] = {
    "z_turned": {"h": lambda now, prev, hx, p: now.z * prev.h + (1 - now.z) * now.h_tilde},
    "no_reset": {"h_tilde": lambda now, prev, hx, p: tanh(matvec(p.W_h, hx))},
    "reset_late": {"h_tilde": _reset_late},
    "z_turned_reset_late": {
        "h_tilde": _reset_late,
        "h": lambda now, prev, hx, p: now.z * prev.h + (1 - now.z) * now.h_tilde,
    },
}


@make_exercise(10, "gru-from-lstm", LSTM.replace("NAME", "gru"))
def gru_from_lstm(answer: Answer) -> None:
    """A GRU is written."""
    own = answer.cell("gru")
    if "C" in own.state:
        answer.stop(answer.says["two_states"])
    same_cell(answer, own, cells.gru, mistakes(answer, cells.gru, _GRU, _GRU_MISTAKES))


@make_exercise(9, "peepholes", LSTM.replace("NAME", "peephole"))
def peepholes(answer: Answer) -> None:
    """By structure and slopes: peepholes are right as matrices, as vectors, in any order."""
    own = answer.cell("peephole")
    written = own.program().equations
    if lacking := [name for name in RULES if name not in written]:
        answer.stop(answer.says["lost"], names=", ".join(lacking))
    if set(own.state) != {"h", "C"}:
        answer.stop(answer.says["states"], names=", ".join(own.state))
    for gate in ("f", "i"):
        for seen, key in (("prev.C", "blind"), ("x", "lost_x"), ("prev.h", "lost_h")):
            if slope(own, gate, seen, answer.seed) == 0:
                answer.wrong(answer.says[key], gate=gate)
    if slope(own, "o", "C", answer.seed) == 0:
        sees_old = slope(own, "o", "prev.C", answer.seed) != 0
        answer.wrong(answer.says["o_sees_old" if sees_old else "o_blind"])
    for seen, key in (("x", "lost_x"), ("prev.h", "lost_h")):
        if slope(own, "o", seen, answer.seed) == 0:
            answer.wrong(answer.says[key], gate="o")
    if slope(own, "C_tilde", "prev.C", answer.seed) != 0:
        answer.wrong(answer.says["candidate_sees"])
    if answer.findings:
        return
    answer.right(answer.says["all_see"])
    if _rest_is_lstm(answer):
        gradients_hold(answer, own)


def _rest_is_lstm(answer: Answer) -> bool:
    """Whether C and h are made of the gates as in the LSTM."""
    own = answer.cell("peephole")
    program = own.program()
    arrays = random_arrays(program, answer.seed)
    v = program.run(**arrays)
    wanted = {"C": v["f"] * arrays["prev.C"] + v["i"] * v["C_tilde"], "h": v["o"] * np.tanh(v["C"])}
    for name, value in wanted.items():
        if not np.allclose(v[name], value, rtol=1e-10, atol=1e-12):
            answer.wrong(
                answer.says["rest_changed"],
                equation=program.text(name),
                found=f"{v[name].flat[0]:.6g}",
                wanted=f"{value.flat[0]:.6g}",
            )
            return False
    answer.right(answer.says["rest_same"])
    return True
