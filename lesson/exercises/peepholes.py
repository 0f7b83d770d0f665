"""The exercise on peepholes: checked by what each gate depends on, and how."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from lesson.exercises.cells_to_write import LSTM, RULES
from lesson.exercises.comparisons import gradients_hold, slope
from lesson.exercises.tasks import Answer, make_exercise
from tinygrad_lstm.graph import fold
from tinygrad_lstm.operation import TABLE
from tinygrad_lstm.program import Program
from tinygrad_lstm.step import Cell
from tinygrad_lstm.tensor import Array, Tensor
from tinygrad_lstm.testing.inputs import random_arrays

_SEEN: Mapping[str, Sequence[str]] = {  # what each layer adds up within its function
    "f": ("prev.h", "x", "prev.C"),
    "i": ("prev.h", "x", "prev.C"),
    "o": ("prev.h", "x", "C"),
    "C_tilde": ("prev.h", "x"),
}
LARGE = 30.0  # inputs at which what is no sigmoid leaves 0…1


@make_exercise(9, "peepholes", LSTM.replace("NAME", "peephole"))
def peepholes(answer: Answer) -> None:
    """By structure and slopes: peepholes are right as matrices, as vectors, in any order."""
    own = answer.cell("peephole")
    written = own.program().equations
    if lacking := [name for name in RULES if name not in written]:
        answer.stop(answer.says["lost"], names=", ".join(lacking))
    if set(own.state) != {"h", "C"}:
        answer.stop(answer.says["states"], names=", ".join(own.state))
    _who_sees_what(answer, own)
    if answer.findings:
        return
    for gate in ("f", "i", "o"):
        if not _adds_up(own, gate, answer.seed):
            answer.wrong(answer.says["no_sigmoid"], gate=gate)
    if not _adds_up(own, "C_tilde", answer.seed):
        answer.wrong(answer.says["candidate_changed"])
    if answer.findings:
        return
    answer.right(answer.says["all_see"])
    if _rest_is_lstm(answer):
        gradients_hold(answer, own)


def _who_sees_what(answer: Answer, own: Cell) -> None:
    seed = answer.seed
    for gate in ("f", "i"):
        for seen, key in (("prev.C", "blind"), ("x", "lost_x"), ("prev.h", "lost_h")):
            if slope(own, gate, seen, seed) == 0:
                answer.wrong(answer.says[key], gate=gate)
    if slope(own, "o", "C", seed) == 0:
        sees_old = slope(own, "o", "prev.C", seed) != 0
        answer.wrong(answer.says["o_sees_old" if sees_old else "o_blind"])
    elif _moves(own.program(), "o", "prev.C", ("prev.h", "x", "C"), seed):
        answer.wrong(answer.says["o_sees_both"])
    for seen, key in (("x", "lost_x"), ("prev.h", "lost_h")):
        if slope(own, "o", seen, seed) == 0:
            answer.wrong(answer.says[key], gate="o")
    if slope(own, "C_tilde", "prev.C", seed) != 0:
        answer.wrong(answer.says["candidate_sees"])
    for seen, name in (("x", "x"), ("prev.h", "h")):
        if slope(own, "C_tilde", seen, seed) == 0:
            answer.wrong(answer.says["candidate_blind"], name=name)


def _value(program: Program, name: str, given: Mapping[str, Array]) -> Array:
    """An equation, computed from values for inputs and for other equations."""
    nodes = {**program.inputs, **program.equations}
    leaves = {nodes[n]: value for n, value in given.items()}

    def make(node: Tensor, values: list[Array]) -> Array:
        if not node.inputs:
            return np.asarray(node.data)
        return np.asarray(TABLE[node.op or ""].forward(*values, **node.attributes))

    with np.errstate(all="ignore"):
        found: Array = fold([program.equations[name]], leaves, make)[program.equations[name]]
    return found


def _moves(program: Program, name: str, moved: str, held: Sequence[str], seed: int) -> bool:
    """Whether an equation changes with one value while others, equations too, are held."""
    random, given = np.random.default_rng(seed), random_arrays(program, seed)
    given |= {n: random.normal(size=program.equations[n].shape) for n in held if n not in given}
    other = {**given, moved: given[moved] + random.normal(size=given[moved].shape)}
    return not np.allclose(_value(program, name, given), _value(program, name, other), rtol=1e-9)


def _adds_up(own: Cell, layer: str, seed: int) -> bool:
    """Whether a layer is its function of a sum that is affine in each value that it sees."""
    program, random = own.program(), np.random.default_rng(seed)
    given = random_arrays(program, seed)
    nodes = {**program.inputs, **program.equations}
    several = [{n: random.normal(size=nodes[n].shape) for n in _SEEN[layer]} for _ in range(2)]
    between = {n: 0.3 * several[0][n] + 0.7 * several[1][n] for n in _SEEN[layer]}
    inverse = np.arctanh if layer == "C_tilde" else lambda y: np.log(y / (1 - y))
    low = -1.0 if layer == "C_tilde" else 0.0
    far = {n: LARGE * value for n, value in several[0].items()}
    large = _value(program, layer, {**given, **far})
    if not ((low <= large) & (large <= 1)).all():
        return False
    with np.errstate(all="ignore"):
        a, b, c = (inverse(_value(program, layer, {**given, **v})) for v in (*several, between))
    return bool(np.allclose(0.3 * a + 0.7 * b, c, rtol=1e-6, atol=1e-9))


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
