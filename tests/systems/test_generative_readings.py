"""The generative systems in every reading: as numbers, compiled, as steps, as formulas."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from readings.subjects import Result, close, draw
from readings.test_numbers import READINGS
from sampling import WHOLE

import equations
import viz
from tinygrad_lstm import Cell, check_gradients, compiled, step_through, systems, unroll
from viz.anatomy import anatomy

CELLS: dict[str, Cell] = {
    n: systems.find(n)  # type: ignore[misc]
    for n in ("vrnn", "vrnn_i", "recogniser", "generator", "draw", "draw_attention")
}


READ = {
    (reading, name)
    for reading in READINGS
    for name in CELLS
    if WHOLE or name in ("recogniser", "draw_attention") or reading.__name__.startswith("two")
} - ({(READINGS[0], "draw_attention")} if not WHOLE else set())


@pytest.mark.parametrize(
    ("reading", "name"), sorted(READ, key=lambda one: (one[0].__name__, one[1]))
)
def test_every_number(reading: Callable[[Any], None], name: str) -> None:
    """Complex step over all equations, batches, halves, SymPy."""
    reading(CELLS[name])


@pytest.mark.parametrize("name", CELLS if WHOLE else ["draw_attention", "vrnn_i"])
def test_compiled_is_interpreted(name: str) -> None:
    q = draw(CELLS[name], 3, 2)
    slow, fast = Result(q), Result(q, compiled(CELLS[name]))
    for own in slow.run.names:
        close(fast.value(own), slow.value(own), 1e-12, own)
    for own, gradient in slow.gradients.items():
        if gradient is not None:
            close(fast.gradients[own], gradient, 1e-12, f"the gradient of {own}")


def test_storn_in_every_reading() -> None:
    """Its loss differentiates; a padded batch is its samples; what it says stands in formulas."""
    random = np.random.default_rng(0)
    storn: Any = systems.find("storn")
    p = storn.init(inputs=4, hidden=3, latent=2, seed=1)
    x = random.integers(0, 2, (5, 2, 4)).astype(float)
    eps = random.normal(size=(5, 2, 2))
    assert check_gradients(lambda p: unroll(storn, p, x=x, eps=eps).loss, p).entries
    run = unroll(storn, p, x=x, eps=eps, lengths=[5, 3])
    alone = [unroll(storn, p, x=x[:n, k], eps=eps[:n, k]).loss.item() for k, n in enumerate((5, 3))]
    assert abs(run.loss.item() - np.mean(alone)) < 1e-12
    assert abs(unroll(compiled(storn), p, x=x, eps=eps).loss.item() - unroll(
        storn, p, x=x, eps=eps
    ).loss.item()) < 1e-12  # fmt: skip
    said = equations.forward(storn).unicode()
    assert "W^(p)_in·x_{t-1} + V^(p)_in·z^(q)_t" in said


def test_steps_go_through_the_declared_loss() -> None:
    q = draw(CELLS["vrnn"], 2, None)
    run = unroll(q.cell, {**q.p}, q.xs, **q.further)
    seen = {event.equation for event in step_through(run.loss)}
    assert {"KL_1", "logp_2", "L_2", "h^(prior)_2"} <= seen


@pytest.mark.parametrize(
    ("name", "boxes"),
    [
        ("vrnn", ["phi_x", "prior", "enc", "phi_z", "dec", "rnn"]),
        ("draw", ["enc", "dec"]),
        ("draw_attention", ["reading", "enc", "dec", "writing"]),
    ],
)
def test_a_part_is_one_box_with_all_its_results(name: str, boxes: list[str]) -> None:
    a = anatomy(CELLS[name], folded=True)
    found = [part for part in a.parts.values() if part.node.op == "part"]
    assert [part.node.attributes["of"] for part in found] == boxes
    shapes = {s.id: s for s in viz.cell(CELLS[name], folded=True).scene.shapes}
    for part in found:
        assert shapes[f"part-{part.key}"].kind == "layer"
        for own in part.names:
            assert own in a.states or f"label-{own}" in shapes


def test_every_result_of_a_box_is_told_by_its_own_name() -> None:
    alt = viz.cell(CELLS["vrnn"], folded=True).alt
    assert "σ_{0,t} = prior_σ(h_{t-1})." in alt
    assert "KL_t = Σ(KL(N(μ_t, σ_t²) ‖ N(μ_{0,t}, σ_{0,t}²)))." in alt
