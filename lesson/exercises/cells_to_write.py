"""Exercises in which a cell is written: finish a line, couple gates, write a GRU."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from lesson.exercises.comparisons import Rule, mistakes, same_cell
from lesson.exercises.tasks import Answer, make_exercise, start_of
from lesson.exercises.words import Words
from tinygrad_lstm import cells, concat, matvec, sigmoid, tanh

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


def _of_other_gate(matrix: str, bias: str) -> Rule:
    return lambda now, prev, hx, p: sigmoid(matvec(p[f"W_{matrix}"], hx) + p[f"b_{bias}"])


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
        **{f"other_bias.{n}": _of_other_gate("f", n) for n in ("i", "C", "o")},
        **{f"other_matrix.{n}": _of_other_gate(n, "f") for n in ("i", "C", "o")},
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
    if {"W_i", "b_i"} <= set(own.parameters) and not {"W_f", "b_f"} & set(own.parameters):
        answer.stop(answer.says["kept_i"])
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


def _turned(rule: Rule) -> Rule:
    """The rule of [x, h] in place of [h, x]."""

    def other(now: Any, prev: Any, hx: Any, p: Any) -> Any:
        n = prev.h.shape[-1]
        return rule(now, prev, concat(hx[..., n:], hx[..., :n]), p)

    return other


def _candidate_turned(now: Any, prev: Any, hx: Any, p: Any) -> Any:
    return tanh(matvec(p.W_h, concat(hx[..., prev.h.shape[-1] :], now.r * prev.h)))


_GRU_MISTAKES: Mapping[str, Mapping[str, Rule]] = {
    "z_turned": {"h": lambda now, prev, hx, p: now.z * prev.h + (1 - now.z) * now.h_tilde},
    "no_reset": {"h_tilde": lambda now, prev, hx, p: tanh(matvec(p.W_h, hx))},
    "reset_late": {"h_tilde": _reset_late},
    "z_turned_reset_late": {
        "h_tilde": _reset_late,
        "h": lambda now, prev, hx, p: now.z * prev.h + (1 - now.z) * now.h_tilde,
    },
    "hx_turned": {"z": _turned(_GRU["z"]), "r": _turned(_GRU["r"]), "h_tilde": _candidate_turned},
}


@make_exercise(10, "gru-from-lstm", LSTM.replace("NAME", "gru"))
def gru_from_lstm(answer: Answer) -> None:
    """A GRU is written."""
    own = answer.cell("gru")
    if "C" in own.state:
        answer.stop(answer.says["two_states"])
    same_cell(answer, own, cells.gru, mistakes(answer, cells.gru, _GRU, _GRU_MISTAKES))
