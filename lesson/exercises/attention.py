"""The exercise on attention: a cell that reads from a memory by weights that add up to 1."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lesson.exercises.comparisons import same_cell
from lesson.exercises.tasks import Answer, make_exercise
from tinygrad_lstm import cell, concat, matvec, sigmoid, softmax, tanh
from tinygrad_lstm.step import Cell

_PARAMETERS = {"W": "hidden, hidden + inputs + width", "b": "hidden", "W_q": "width, hidden"}


def _reader(name: str, **changed: Any) -> Cell:
    """The reading cell; `weigh` makes weights of scores, `query` of h, `read` of weights."""
    weigh = changed.get("weigh", softmax)
    query = changed.get("query", lambda prev, p: matvec(p.W_q, prev.h))
    score = changed.get("score", lambda memory, q: matvec(memory, q))
    read = changed.get("read", lambda memory, weights: matvec(memory.T, weights))

    def step(now: Any, prev: Any, x: Any, p: Any, memory: Any) -> None:
        now.q = query(prev, p)
        now.a = weigh(score(memory, now.q))
        now.c = read(memory, now.a)
        now.h = tanh(matvec(p.W, concat(prev.h, x, now.c)) + p.b)

    step.__name__ = name
    return cell(state="h", parameters=_PARAMETERS, constants={"memory": "places, width"})(step)


_MISTAKES: Mapping[str, Mapping[str, Any]] = {
    "no_softmax": {"weigh": lambda scores: scores},
    "gates": {"weigh": sigmoid},
    "even": {"weigh": lambda scores: softmax(0 * scores)},
}


@make_exercise(15, "attention")
def attention(answer: Answer) -> None:
    """Scores, weights and what is read, compared with the reference by number."""
    own = answer.cell("reader")
    if "memory" not in own.constants:
        answer.stop(answer.says["no_memory"])
    wrong = [(_reader(key, **changed), answer.says[key]) for key, changed in _MISTAKES.items()]
    same_cell(answer, own, _reader("reader"), wrong)
