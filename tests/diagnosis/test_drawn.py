"""Mistakes drawn by rule are named, and right gradients from elsewhere are not called wrong.

A sample by number of what benchmarks/diagnosis.py measures.
"""

from __future__ import annotations

import numpy as np
import pytest
from drawn_tasks import draw_task, tasks
from right_gradients import JAX, TORCH, by_program, in_samples, jax_lstm, single, torch_layer
from wrong_programs import carry_out
from wrong_sums import draw, draw_pair

from tinygrad_lstm import cells, diagnose
from tinygrad_lstm.errors import TinygradError


def seen(right: dict[str, np.ndarray], found: dict[str, np.ndarray]) -> float:
    """The largest change of a gradient, of its largest entry; nan where it is not finite."""
    with np.errstate(all="ignore"):
        return max(
            float(np.abs(found[n] - right[n]).max(initial=0.0))
            / (max(float(np.abs(a[n]).max(initial=0.0)) for a in (right, found)) or 1.0)
            for n in right
        )


def test_one_mistake_in_cells_of_every_sort() -> None:
    named, likely, tried, told = 0, 0, 0, []
    for _, own, number, random in tasks(11):
        if tried == 14:
            break
        try:
            task = draw_task(own, number)
            wrong = draw(task, random)
            if wrong is None:
                continue
            with np.errstate(all="ignore"):
                right, found = carry_out(task), carry_out(task, wrong)
        except (TinygradError, ValueError):
            continue
        if not seen(right, found) > 1e-5:
            continue
        verdict = diagnose(own, found={n: single(v) for n, v in found.items()}, **task.given())
        tried += 1
        named += verdict.kind in wrong.kinds
        likely += bool(wrong.kinds & set(verdict.likely))
        if verdict.kind not in wrong.kinds:
            told.append((own.name, wrong.what, verdict.likely))
    assert named >= 0.95 * tried - 1, told
    assert likely >= 0.99 * tried - 1, told


def test_two_mistakes_at_once() -> None:
    named, tried, told = 0, 0, []
    small = [cells.rnn, cells.gru]
    random = np.random.default_rng(5)
    for number in range(200):
        if tried == 5:
            break
        task = draw_task(small[number % len(small)], number, steps=3, batch=2)
        both = draw_pair(task, random)
        if both is None:
            continue
        right = carry_out(task)
        one, two, found = (carry_out(task, wrong) for wrong in both)
        changes = [(right, one), (right, two), (one, found), (two, found), (right, found)]
        if not min(seen(a, b) for a, b in changes) > 1e-4:
            continue
        verdict = diagnose(task.cell, found={n: single(v) for n, v in found.items()},
                           **task.given())  # fmt: skip
        kinds = verdict.kinds
        good = len(kinds) == 2 and any(
            a in both[0].kinds and b in both[1].kinds for a, b in (kinds, kinds[::-1])
        )
        tried, named = tried + 1, named + good
        if not good:
            told.append((task.cell.name, both[2].what, kinds))
    assert tried == 5
    assert named >= 0.8 * tried, told


def test_rounding_is_no_mistake() -> None:
    compared = 0
    for k, own, number, _ in tasks(21):
        if compared == 20:
            break
        try:
            task = draw_task(own, number)
            with np.errstate(all="ignore"):
                found = (in_samples if k % 2 else by_program)(task)
        except (TinygradError, ValueError):
            continue
        if not found or not all(np.isfinite(v).all() for v in found.values()):
            continue
        verdict = diagnose(own, found=found, **task.given())
        assert verdict.right, (own.name, str(verdict))
        compared += 1


@pytest.mark.skipif(not TORCH, reason="needs PyTorch")
def test_pytorch_s_gradients_of_long_and_saturated_sequences() -> None:
    for seed in range(6):
        cell, found, given = torch_layer(seed)
        verdict = diagnose(cell, found=found, **given)
        assert verdict.right, (seed, str(verdict))


@pytest.mark.skipif(not JAX, reason="needs JAX")
def test_jax_s_gradients() -> None:
    for seed in range(3):
        cell, found, given = jax_lstm(seed)
        verdict = diagnose(cell, found=found, **given)
        assert verdict.right, (seed, str(verdict))
