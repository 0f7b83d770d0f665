"""Compiled cells with further inputs: whose they are, what reaches them, and whose memory."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from compiling import CODES, by_samples, compare, problem
from test_compiled_kinds import SITUATIONS, for_the_loss_alone

from tinygrad_lstm import Tensor, cell, cells, compiled, unroll
from tinygrad_lstm.ops import matvec, softmax, tanh


# --- further inputs: the batch's own, or each sample's --------------------------------------------
@cell(
    state={"s": "hidden"},
    sequences={"noise": "hidden"},
    constants={"memory": "places, features", "kinds": "places"},
    parameters={
        "W": "align, hidden",
        "U": "align, features",
        "v": "align",
        "C": "hidden, features",
    },
)
def attention(now, prev, x, p, noise, memory, kinds):
    now.keys = matvec(p.U, memory)  # places, align
    now.e = matvec(tanh(matvec(p.W, prev.s) + now.keys), p.v) + kinds
    now.a = softmax(now.e)
    now.read = matvec(memory.T, now.a)
    now.s = tanh(matvec(p.C, now.read) + noise * x.mean())


@pytest.mark.sample(3)
@pytest.mark.parametrize("code", CODES)
@pytest.mark.parametrize("each", ["nothing", "memory", "noise", "everything"])
@pytest.mark.parametrize("how", ["plain", "lengths", "one", "two axes", "low", "float32"])
def test_inputs_of_the_batch_and_of_each_sample(how: str, each: str, code: str) -> None:
    options = dict(SITUATIONS[how])
    ours = {k: options.pop(k) for k in ("memory",) if k in options}
    given = problem(attention, **options)
    random = np.random.default_rng(5)
    sizes = {n: 3 + k for k, n in enumerate(attention.sizes)}
    lead = given.xs.shape[1:-1]

    def drawn(*shape: int) -> Any:
        return random.normal(size=shape).astype(given.xs.dtype)

    own = {n: lead if each in (n, "everything") else () for n in ("memory", "noise", "kinds")}
    places, time = 3, len(given.xs)  # as many as samples: only the rank tells them apart
    given.further = {
        "noise": drawn(time, *own["noise"], sizes["hidden"]),
        "memory": drawn(*own["memory"], places, sizes["features"]),
        "kinds": drawn(*own["kinds"], places),
    }
    compare(attention, given, code, right=by_samples, **ours)


# --- gradients that are there, and that are not ---------------------------------------------------
LOSSES: dict[str, Any] = {
    "an equation of parameters": lambda run: run["gate"].sum(),
    "a number": lambda run: run["five"].sum(),
    "the first step": lambda run: run.steps[0]["c"].sum(),
    "the second step": lambda run: run.steps[1]["h"].sum(),
    "the last step": lambda run: run.steps[-1]["kl"].sum(),
    "a final state": lambda run: run.final["c"].sum(),
    "another final state": lambda run: run.final["h"].sum(),
    "nothing times all": lambda run: 0.0 * run["logits"].sum(),
}


@pytest.mark.parametrize("code", CODES)
@pytest.mark.parametrize("options", [{}, {"reverse": True}, {"lengths": [6, 1, 4]}], ids=str)
@pytest.mark.parametrize("loss", LOSSES)
def test_a_gradient_is_there_where_the_interpreter_has_one(
    loss: str, options: dict[str, Any], code: str
) -> None:
    given = problem(for_the_loss_alone, **options)
    reached = []
    for network in (for_the_loss_alone, compiled(for_the_loss_alone, code)):
        run, leaves = given.run(network)
        total = LOSSES[loss](run)
        if isinstance(total, Tensor):
            total.backward()
        reached.append({n: leaf.grad for n, leaf in leaves.items() if leaf.grad is not None})
    plain, fast = reached
    assert set(plain) == set(fast)
    for name in plain:
        np.testing.assert_allclose(fast[name].data, plain[name].data, 1e-9, 1e-12, err_msg=name)
    assert "unread" not in fast


@pytest.mark.parametrize("code", CODES)
def test_what_is_computed_does_not_depend_on_what_was_asked_before(code: str) -> None:
    given = problem(cells.lstm)

    def made(fast: Any) -> set[Any]:
        run, _ = given.run(fast)
        run["h"].sum().backward()
        return {key[2] for key in fast._kernels}

    fast = compiled(cells.lstm, code)
    before = made(fast)
    run, _ = given.run(fast)
    run["f"].sum().backward()
    known = set(fast._kernels)
    made(fast)
    assert set(fast._kernels) == known
    assert before == {frozenset({"h"})}


@pytest.mark.parametrize("code", CODES)
def test_a_tensor_from_outside_the_cell_has_a_gradient(code: str) -> None:
    W = Tensor(np.arange(9.0).reshape(3, 3) / 5 - 1, "W")  # called like the parameter
    scale = Tensor(0.7)

    @cell(state="h", parameters={"W": "hidden, inputs"})
    def own(now, prev, x, p):
        now.h = tanh(matvec(W * scale, prev.h) + matvec(p.W, x))

    p = own.init(hidden=3, inputs=2, seed=1)
    xs = np.random.default_rng(0).normal(size=(4, 3, 2))
    found = []
    for network in (own, compiled(own, code)):
        given = {"W": Tensor(p.W.data)}
        outcome = (unroll(network, given, xs)["h"] ** 2).sum() + 0.0 * (W.sum() + scale)
        outcome.backward()
        found.append([t.grad.numpy() for t in (W, scale, given["W"])])
    for plain, fast in zip(*found, strict=True):
        assert np.abs(plain).max() > 0.01
        np.testing.assert_allclose(fast, plain, 1e-9, 1e-12)


# --- memory of the caller -------------------------------------------------------------------------
@pytest.mark.parametrize("code", CODES)
@pytest.mark.parametrize("memory", ["full", "low"])
def test_a_buffer_of_the_caller_may_be_used_again(memory: str, code: str) -> None:
    p, random = cells.lstm.init(hidden=3, inputs=4, seed=1), np.random.default_rng(0)
    batches = random.normal(size=(3, 6, 2, 4))
    start = random.normal(size=(3, 2, 3))
    found = []
    for again in (False, True):
        buffer, state = np.empty((6, 2, 4)), np.empty((2, 3))
        total: Any = 0.0
        for batch, own in zip(batches, start, strict=True):
            buffer[:], state[:] = batch, own
            given = (buffer, {"h": state}) if again else (batch.copy(), {"h": own.copy()})
            run = unroll(compiled(cells.lstm, code, memory), p, *given)
            total = total + (run["h"] ** 2).sum()
        total.backward()
        found.append({n: t.grad.numpy() for n, t in p.items()})
    for name, value in found[0].items():
        np.testing.assert_allclose(found[1][name], value, 1e-10, 1e-12, err_msg=name)
