"""What reaches a cell, comes out of it, or is noted by it is not lost on the way."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from test_nothing_is_lost import tensor

import tinygrad_lstm as tg
from tinygrad_lstm import Tensor, cell, cells, compiled, grad, matvec, tanh, unroll, with_gradient
from tinygrad_lstm.cell_files import load
from tinygrad_lstm.errors import TinygradError

RANDOM = np.random.default_rng(11)


# --- names and closures ---------------------------------------------------------------------------
@pytest.mark.parametrize("code", [None, "numpy"])
def test_a_caller_s_tensors_keep_their_names(code: Any) -> None:
    one: Any = compiled(cells.lstm, code) if code else cells.lstm
    z, u = Tensor(np.zeros(3), "mine"), Tensor(np.zeros(3))
    xs, p = Tensor(np.ones((2, 3)), "data"), cells.lstm.init(inputs=3, hidden=3)
    run = unroll(one, p, xs, {"h": z, "C": z})
    unroll(one, p, xs, {"h": u, "C": run.final["C"]})
    final = run.final["C"].name
    for network in (tg.stack([one, one]), tg.bidirectional(one)):
        own = {name: p[name.rsplit(".", 1)[-1]] for name in network.parameters}
        bound = network.bind(own)
        assert all(bound[name] is own[name] for name in own)
        unroll(network, bound, xs, {f"{k}.h": z for k in network.parts})
    memory = Tensor(np.ones(3), "notes")
    masked = unroll(noted, noted.init(hidden=3), xs, {"h": z}, memory=memory)
    assert (z.name, u.name, xs.name, memory.name, final) == ("mine", None, "data", "notes", "C")
    assert {name: t.name for name, t in p.items()} == {name: name for name in p}
    assert masked.steps[0]["h"].name == "h"


@cell(state="h", parameters={"W": "hidden, hidden"}, x="hidden", constants={"memory": "hidden"})
def noted(now: Any, prev: Any, x: Any, p: Any, memory: Any) -> None:
    """A cell with a memory."""
    now.h = tanh(matvec(p.W, prev.h) + x * memory)


@pytest.mark.parametrize("how", ["interpreted", "numpy", "low"])
@pytest.mark.parametrize("batch", [(), (2,)])
def test_tensors_that_a_step_closes_over_keep_their_gradient(
    how: str, batch: tuple[int, ...]
) -> None:
    """h_t = h_{t-1} + k x_t, so that the sum of h over 3 steps has slope 3 x_1 + 2 x_2 + x_3."""
    k = Tensor(np.array([1.0, 2.0]), "k")

    @cell(state="h", x="hidden")
    def closing(now: Any, prev: Any, x: Any, p: Any) -> None:
        now.h = prev.h + k * x

    network: Any = closing
    if how != "interpreted":
        network = compiled(closing, "numpy", memory="low" if how == "low" else "full")
    xs = RANDOM.normal(size=(3, *batch, 2))
    unroll(network, {}, xs)["h"].sum().backward()
    expected = np.tensordot([3.0, 2.0, 1.0], xs, 1)
    np.testing.assert_allclose(k.grad.data, expected.sum(axis=0) if batch else expected)
    assert k.name == "k"


def test_arguments_of_grad_are_counted_from_the_end_too() -> None:
    last = grad(lambda a, b: (a * b * b).sum(), -1)(np.array([2.0]), np.array([5.0]))
    assert last.item() == 20.0
    with pytest.raises(IndexError):
        grad(lambda a: a.sum(), 1)(np.ones(2))


# --- sequences ------------------------------------------------------------------------------------
@pytest.mark.parametrize("network", [cells.lstm, tg.stack([cells.lstm, cells.lstm])], ids=str)
def test_masks_and_first_states_are_answered_with_the_way(network: Any) -> None:
    p, xs = network.init(inputs=2, hidden=3), np.ones((4, 2, 2))
    mask = np.array([[1, 1], [1, 1], [1, 0], [1, 0]], bool)
    padding = "\n  For padding at the front shift each sequence to step 0 first."
    for call, right in (
        (
            lambda: unroll(network, p, xs, mask=mask),
            " has no further input 'mask'; padding is told by lengths: unroll(…, "
            f"lengths=mask.sum(axis=0)) for mask (time, batch) with padding at the end.{padding}",
        ),
        (
            lambda: unroll(network, p, xs, lengths=mask),
            ": lengths are whole numbers of steps, got bool.\n  Of a mask (time, batch) with "
            f"padding at the end they are mask.sum(axis=0).{padding}",
        ),
        (
            lambda: unroll(network, p, xs, initial=(1, 2)),
            ": initial is a mapping of states to values, got tuple; write initial={"
            + ", ".join(f"{name!r}: …" for name in network.state)
            + "}.",
        ),
    ):
        with pytest.raises(TinygradError) as caught:
            call()
        assert str(caught.value) == f"{network}{right}"
    run = unroll(network, p, xs, lengths=mask.sum(axis=0))  # the way that is told works
    np.testing.assert_array_equal(run["h"].data[2:, 1], 0.0)


@cell(
    state="h",
    parameters={"W": "hidden, inputs"},
    sequences={"kick": "hidden"},
    constants={"gain": "hidden"},
)
def kicked(now: Any, prev: Any, x: Any, p: Any, kick: Any, gain: Any) -> None:
    """A layer with further inputs."""
    now.h = tanh(matvec(p.W, x) + 0.5 * prev.h) * gain + kick


@pytest.mark.parametrize("code", [None, "numpy"])
def test_a_further_input_reaches_the_layer_that_declares_it(code: Any) -> None:
    xs, kick = RANDOM.normal(size=(4, 2, 3)), Tensor(RANDOM.normal(size=(4, 2, 3)))
    gain = RANDOM.normal(size=3)
    net: Any = tg.stack([cells.lstm, kicked])
    p = net.init(inputs=3, hidden=3)
    low = unroll(cells.lstm, {n[2:]: t for n, t in p.items() if n[0] == "1"}, xs)
    top = unroll(kicked, {"W": p["2.W"]}, low["h"], kick=kick, gain=gain)
    fast = compiled(net, code) if code else net
    for names in (("kick", "gain"), ("2.kick", "2.gain")):
        found = unroll(fast, p, xs, **dict(zip(names, (kick, gain), strict=True)))
        np.testing.assert_allclose(found["h"].data, top["h"].data, rtol=1e-12)
        found["h"].sum().backward()
        np.testing.assert_allclose(kick.grad.data[-1], np.ones((2, 3)))
    deep = tg.bidirectional(tg.stack([kicked, kicked]))  # one for all, or one for each
    q = deep.init(inputs=3, hidden=3)
    each = {
        f"{d}.{k}.{n}": v
        for d in ("forward", "backward")
        for k in (1, 2)
        for n, v in (("kick", kick), ("gain", gain))
    }
    np.testing.assert_array_equal(
        unroll(deep, q, xs, kick=kick, gain=gain)["h"].data, unroll(deep, q, xs, **each)["h"].data
    )
    with pytest.raises(TinygradError) as caught:
        unroll(net, p, xs, kick=kick, gain=gain, push=kick)
    assert str(caught.value) == f"{net} has no further input 'push'; it has 2.kick, 2.gain."
    with pytest.raises(TinygradError, match=r"further inputs; pass them by name: kick=…"):
        unroll(net, p, xs, gain=gain)


# --- shapes and kinds -----------------------------------------------------------------------------
@cell(
    state="h",
    parameters={"W": "rows, columns, hidden", "V": "hidden, inputs", "U": "inputs"},
    constants={"H": "slots, hidden"},
)
def of_three_axes(now: Any, prev: Any, x: Any, p: Any, H: Any) -> None:
    """A parameter of three axes, an array of the author's, a parameter that nothing reads."""
    n = x.shape[0]
    now.c = np.arange(n) - n / 2
    now.h = tanh(matvec(p.V, x * now.c)) + 0.5 * prev.h + H.sum(axis=0)
    now.w = matvec(p.W, now.h)


@pytest.mark.parametrize("code", [None, "numpy"])
def test_gradients_have_the_shape_and_the_kind_of_what_they_are_of(code: Any) -> None:
    """w_t = W h_t, so that the sum of w has the slope Σ_t h_t in every row and column of W."""
    p = of_three_axes.init(rows=3, columns=4, hidden=2, inputs=5, dtype=np.float32)
    one: Any = compiled(of_three_axes, code) if code else of_three_axes
    xs, H = (RANDOM.normal(size=s).astype(np.float32) for s in ((6, 2, 5), (7, 2)))
    run = unroll(one, p, xs, H=H)
    assert {run[name].dtype.name for name in run.names} == {"float32"}
    assert run["c"].data[0, 0].tolist() == [-2.5, -1.5, -0.5, 0.5, 1.5]
    run["w"].sum().backward()
    expected = np.broadcast_to(run["h"].data.sum(axis=(0, 1)), (3, 4, 2))
    assert (p.W.grad.shape, p.W.grad.dtype) == ((3, 4, 2), np.float32)
    np.testing.assert_allclose(p.W.grad.data, expected, rtol=1e-5)
    assert p.U.grad is None  # absent, and not 0


def test_sizes_that_no_parameter_has_need_not_be_told() -> None:
    with pytest.raises(TinygradError, match=r"needs rows=…"):
        of_three_axes.init(columns=4, hidden=2, inputs=5)
    p = of_three_axes.init(rows=3, columns=4, hidden=2, inputs=5, slots=9)
    for slots in (1, 9):
        assert unroll(of_three_axes, p, np.ones((2, 5)), H=np.ones((slots, 2)))["h"].shape == (2, 2)


def test_a_memory_whose_first_axis_is_the_slots_is_told_apart() -> None:
    p = of_three_axes.init(rows=3, columns=4, hidden=2, inputs=5)
    with pytest.raises(TinygradError) as caught:
        unroll(of_three_axes, p, np.ones((3, 6, 5)), H=np.ones((7, 6, 2)))
    assert str(caught.value) == (
        "cell 'of_three_axes': H has shape (7, 6, 2), but (slots, hidden) = (6, 2) was declared.\n"
        "  Pass (6, 2), shared by the batch, or (6, 6, 2), one for each sample."
    )


# --- operations of one's own ----------------------------------------------------------------------
OWN = """
from tinygrad_lstm import cell, composite, softplus, tanh, with_gradient

@composite
def own_mish(x):
    return x * tanh(softplus(x))

spike = with_gradient(lambda v: v > 1.0, lambda g, y, v: g / (1 + abs(v - 1)) ** 2, "own_spike")

@cell(state="h", parameters={"W": "hidden, hidden"})
def own(now, prev, x, p):
    now.h = own_mish(p.W @ prev.h) + spike(prev.h)
"""


def test_a_file_with_operations_of_its_own_is_read_again(tmp_path: Path, table: Any) -> None:
    path = tmp_path / "own.py"
    path.write_text(OWN, encoding="utf-8")
    texts = {str(load(path)["own"].program()) for _ in range(3)}
    assert len(texts) == 1 and "own_spike(h_{t-1})" in texts.pop()


def test_two_operations_of_one_line_are_two(table: Any) -> None:
    slopes = []
    for k in (1.0, 2.0):
        steep = with_gradient(lambda v: v > 1.0, lambda g, y, v, k=k: g * k)
        slopes.append(steep)
    found = []
    for steep in slopes:
        v = Tensor([2.0])
        steep(v).sum().backward()
        assert v.grad is not None
        found.append(v.grad.item())
    assert found == [1.0, 2.0]


# --- a Tensor without axes is a number ------------------------------------------------------------
def test_a_number_is_written_rounded_and_converted_as_one() -> None:
    t = tensor(2.375)
    assert (f"{t:.2f}", f"{t:>8.1e}", format(t, ".1f"), f"{t}") == (
        "2.38",
        " 2.4e+00",
        "2.4",
        "Tensor(2.375)",
    )
    assert (float(t), int(t), complex(t), bool(t)) == (2.375, 2, 2.375 + 0j, True)
    assert (round(t), round(t, 1)) == (2, round(2.375, 1))
    assert f"{tensor([1.5]):.3f}" == "1.500" and f"{(t * 2).sum():g}" == "4.75"
    assert sorted([tensor(2.0), tensor(1.0)], key=float)[0].item() == 1.0
