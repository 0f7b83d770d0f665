"""Exercises on gradients over time: what is left of one, and a whole backward pass."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from lesson.exercises.tasks import Answer, make_exercise
from lesson.exercises.words import Words, told
from tinygrad_lstm import cells
from tinygrad_lstm.diagnosis import diagnose
from tinygrad_lstm.diagnosis.diagnosis import LANGUAGES
from tinygrad_lstm.diagnosis.diagnosis import say as say_of_diagnosis
from tinygrad_lstm.tensor import Array

STEPS, SHARE = 3, 1e-3
CLOSE = 2e-3  # numbers of a pocket calculator, three decimals


# --- what is left of a gradient -------------------------------------------------------------------
def _plain(seed: int) -> tuple[float, Array]:
    """The weight of a network of one unit, and its three inputs."""
    random = np.random.default_rng(seed)
    w = float(random.choice([0.6, 0.7, 0.8, 0.9]))
    signs = random.choice([-1.0, 1.0], STEPS)
    return w, np.round(signs * random.uniform(0.4, 1.2, STEPS), 1)


def _unrolled(w: float, xs: Array) -> Array:
    found, h = [], 0.0
    for x in xs:
        h = float(np.tanh(w * h + x))
        found.append(h)
    return np.array(found)


def _left(w: float, h: Array) -> float:
    return float(np.prod(w * (1 - h[1:] ** 2)))


def _steps(w: float) -> int:
    return int(np.floor(np.log(SHARE) / np.log(w))) + 1


def _left_facts(seed: int) -> Mapping[str, Words]:
    w, xs = _plain(seed)
    h = _unrolled(w, xs)
    return {
        "w": f"{w:g}",
        "xs": ", ".join(f"{x:g}" for x in xs),
        "h": ", ".join(f"{v:.4f}" for v in h),
        "h_1": f"{h[0]:.4f}",
        "slopes": " * ".join(f"{w:g} * {1 - v**2:.4f}" for v in h[1:]),
        "left": f"{_left(w, h):.4f}",
        "steps": str(_steps(w)),
        "share": f"{SHARE:g}",
    }


@make_exercise(12, "what-is-left", facts=_left_facts)
def what_is_left(answer: Answer) -> None:
    """A plain network of one unit unrolled by hand, and what is left of a change after steps."""
    w, xs = _plain(answer.seed)
    h = _unrolled(w, xs)
    given = answer.value("h")
    if not isinstance(given, list | tuple) or len(given) != STEPS:
        answer.stop(answer.says["no_list"], count=STEPS, value=repr(given))
    if not all(isinstance(v, int | float) and np.isfinite(v) for v in given):
        answer.stop(answer.says["no_list"], count=STEPS, value=repr(given))
    off = [t for t in range(STEPS) if abs(given[t] - h[t]) > CLOSE]
    if not off:
        answer.right(answer.says["unrolled"])
    else:
        t = off[0]
        alone = abs(given[t] - np.tanh(xs[t])) <= CLOSE
        open_ = abs(given[t] - (w * (h[t - 1] if t else 0.0) + xs[t])) <= CLOSE
        key = "no_state" if alone else "no_tanh" if open_ else "not_unrolled"
        answer.wrong(answer.says[key], step=t + 1, found=f"{given[t]:.4g}")
    _left_of_a_change(answer, w, h)
    steps, wanted = answer.whole("steps"), _steps(w)
    near = abs(steps - wanted) <= 1 and steps != wanted
    key = "steps" if steps == wanted else "steps_near" if near else "not_steps"
    (answer.right if steps == wanted else answer.wrong)(
        answer.says[key], steps=steps, w=f"{w:g}", share=f"{SHARE:g}", found=f"{w**steps:.2g}"
    )


def _left_of_a_change(answer: Answer, w: float, h: Array) -> None:
    left, found = _left(w, h), answer.number("left")
    if abs(found - left) <= CLOSE:
        answer.right(answer.says["left"], left=f"{left:.4f}")
        return
    slopes = 1 - h**2
    known = {
        "left_no_slope": w**2,
        "left_no_weight": float(np.prod(slopes[1:])),
        "left_early": float(np.prod(w * slopes[:-1])),
        "left_three": float(np.prod(w * slopes)),
        "left_one": float(w * slopes[2]),
    }
    key = next((k for k, v in known.items() if abs(found - v) <= CLOSE), "not_left")
    answer.wrong(answer.says[key], found=f"{found:.4g}")


# --- a whole backward pass ------------------------------------------------------------------------
@make_exercise(14, "backward-pass")
def backward_pass(answer: Answer) -> None:
    """Backpropagation through time of a plain network, told what is wrong by `diagnose`."""
    backward: Callable[..., Any] = answer.callable("backward")
    found = diagnose(cells.rnn, backward, seed=answer.seed)
    first, *rest = told(found, answer.language)
    if found.right:
        answer.right(answer.says["agrees"])
        return
    answer.wrong(first)
    kept = [line for line in rest if not line.startswith(_revealing(answer.language))]
    for line in kept[:2]:
        answer.wrong(line)


def _revealing(language: str) -> str:
    """How the line begins that gives the right formula away."""
    known = language if language in LANGUAGES else LANGUAGES[0]
    return say_of_diagnosis("line", known, line="").strip()
