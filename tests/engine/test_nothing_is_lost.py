"""Gradients, values and names that a computation could lose without a word; each value by hand."""

from __future__ import annotations

import pickle
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import tinygrad_lstm as tg
from tinygrad_lstm import Tensor, cell, cells, compiled, concat, grad, matvec, unroll, where
from tinygrad_lstm.tensor import ancestors

RANDOM = np.random.default_rng(11)


def tensor(value: Any) -> Tensor:
    return Tensor(np.array(value, dtype=float))


# --- parts of an index, axes ----------------------------------------------------------------------
@pytest.mark.parametrize(
    "index",
    [
        (slice(None), [0, 0]),
        ([0, 0], [1, 1]),
        (Ellipsis, [0, 0, 2]),
        ((0, 0), (1, 2)),
        (range(2), [1, 1]),
        ([[0, 1], [0, 0]],),
        ([0, 0], slice(1, 3)),
        (None, [2, 2, 2]),
        ([True, False, True], [0, 0]),
        [2, 2],
    ],
    ids=str,
)
def test_entries_that_an_index_names_twice_count_twice(index: Any) -> None:
    x = Tensor(RANDOM.normal(size=(3, 3)))
    y = x[index]
    weights = np.arange(1.0, y.size + 1).reshape(y.shape)
    (y * weights).sum().backward()
    expected = np.zeros((3, 3))
    np.add.at(expected, index if isinstance(index, tuple) else (index,), weights)
    np.testing.assert_array_equal(x.grad.data, expected)
    # an entry named c times has c u² in the sum, the gradient 2 c u, and 8 c² u in its square's
    twice = grad(lambda v: (grad(lambda u: (u[index] ** 2).sum())(v) ** 2).sum())(x)
    count = np.zeros((3, 3))
    np.add.at(count, index if isinstance(index, tuple) else (index,), 1.0)
    np.testing.assert_allclose(twice.data, 8 * count**2 * x.data, rtol=1e-14)


@pytest.mark.parametrize("axes", [(-1, 0, 1), (0, -1, 1), (-2, -1, -3), (1, 2, 0), (-1, -2, -3)])
def test_negative_axes_of_a_transpose(axes: tuple[int, ...]) -> None:
    data = RANDOM.normal(size=(2, 3, 4))
    x, weights = Tensor(data), np.arange(24.0).reshape(np.transpose(data, axes).shape)
    y = tg.transpose(x, axes)
    np.testing.assert_array_equal(y.data, np.transpose(data, axes))
    (y * weights).sum().backward()
    expected = np.empty((2, 3, 4))
    np.moveaxis(expected, axes, (0, 1, 2))[...] = weights
    np.testing.assert_array_equal(x.grad.data, expected)


# --- lists of Tensors -----------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("f", "expected"),
    [
        (lambda a: (a * matvec(np.eye(2), [a[0], a[1]])).sum(), [2.0, 4.0]),
        (lambda a: where([True, False], a, [a[0], a[1]]).sum(), [1.0, 1.0]),
        (lambda a: 3.0 * tg.sum([a[0], 2 * a[1]]), [3.0, 6.0]),
        (lambda a: tg.max([a[0], a[1] * a[1]]), [0.0, 4.0]),
        (lambda a: (a * [a[0], a[1]]).sum(), [2.0, 4.0]),
        (lambda a: ([a[0], a[1]] * a).sum(), [2.0, 4.0]),
        (lambda a: concat([a[0], a[1]], a).sum(), [2.0, 2.0]),
        (lambda a: tg.stack([a, [a[1], a[1]]]).sum(), [1.0, 3.0]),
        (lambda a: tg.sum([[a[0], a[1]], [a[0], 1.0]]), [2.0, 1.0]),
        (lambda a: np.stack([a[0], a[1]]).sum(), [1.0, 1.0]),
        (lambda a: np.concatenate([a, 2 * a]).sum(), [3.0, 3.0]),
        (lambda a: a[0] + a @ [a[1], 1.0], [3.0, 2.0]),
    ],
)
def test_lists_of_tensors_are_joined(f: Callable[[Any], Any], expected: list[float]) -> None:
    a = tensor([1.0, 2.0])
    y = f(a)
    assert isinstance(y, Tensor)
    y.backward()
    np.testing.assert_array_equal(a.grad.data, expected)


@pytest.mark.parametrize(
    "cut",
    [
        lambda a: np.array([a[0], a[1]]),
        lambda a: np.array([a * 2.0, a]),
        lambda a: np.asarray(a * 2.0),
        lambda a: Tensor([a[0], a[1]]),
        lambda a: Tensor([[a[0]], [1.0]]),
        lambda a: np.full(3, a[0]),
        lambda a: np.array([tensor(1.0), tensor(2.0)]),
        lambda a: np.ones(2) * [a[0], a[1]],
    ],
)
def test_what_would_cut_the_graph_says_what_does_not(cut: Callable[[Any], Any]) -> None:
    with pytest.raises(TypeError, match=r"stack\(\[a, b\]\).*t\.numpy\(\)"):
        cut(tensor([1.0, 2.0]))


def test_python_s_own_functions_stay_what_they_are() -> None:
    names: dict[str, Any] = {}
    exec("from tinygrad_lstm import *", names)
    assert not {"sum", "max", "min", "abs"} & set(names)
    assert {"tanh", "cell", "unroll", "Tensor", "where"} <= set(names)
    losses = [tensor(1.0), tensor(3.0)]
    total = eval("sum(l * l for l in losses)", {**names, "losses": losses})
    total.backward()
    assert [loss.grad.item() for loss in losses] == [2.0, 6.0]
    assert eval("max(x for x in (1, 4, 2))", names) == 4


# --- another process ------------------------------------------------------------------------------
def in_another_process(code: str) -> Any:
    """What the code leaves in `value`, pickled by a process that has made many nodes before."""
    program = (
        "import pickle, sys\nimport numpy as np\nfrom tinygrad_lstm import *\n"
        "for _ in range(500): Tensor(1.0) * 2.0\n" + code + "\n"
        "sys.stdout.buffer.write(pickle.dumps(value))"
    )
    root = str(Path(tg.__file__).parents[1])
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, cwd=root, timeout=120, check=False
    )
    assert not done.returncode, done.stderr.decode()
    return pickle.loads(done.stdout)


def test_leaves_and_parameters_come_over_and_have_gradients() -> None:
    w, p = in_another_process(
        "value = Tensor(np.array([1.0, 2.0]), 'w'), cells.rnn.init(inputs=2, hidden=3, seed=4)"
    )
    assert w.name == "w"
    y = w * 3.0
    (y * y).sum().backward()
    np.testing.assert_array_equal(w.grad.data, [18.0, 36.0])
    ours = cells.rnn.init(inputs=2, hidden=3, seed=4)
    for parameters in (p, ours):
        unroll(cells.rnn, parameters, np.ones((3, 2)))["h"].sum().backward()
    for name in ours:
        np.testing.assert_array_equal(p[name].data, ours[name].data)
        np.testing.assert_array_equal(p[name].grad.data, ours[name].grad.data)


def test_a_graph_stays_in_its_process() -> None:
    w = tensor([1.0, 2.0])
    for graph in (w * 3.0, (w, w + 1.0), cells.rnn.program()):
        with pytest.raises(TypeError, match=r"does not pickle: .*\n  Send t\.detach\(\)"):
            pickle.dumps(graph)
    cut = pickle.loads(pickle.dumps((w * 3.0).detach()))
    np.testing.assert_array_equal(cut.data, [3.0, 6.0])
    long = w
    for _ in range(5000):
        long = long * 1.0
    with pytest.raises(TypeError, match="does not pickle"):
        pickle.dumps(long)


def test_cells_and_networks_come_over_by_where_they_are_found() -> None:
    one, fast, net, both, fast_net = in_another_process(
        "net = stack([cells.lstm, cells.gru])\n"
        "value = cells.lstm, compiled(cells.lstm, 'numpy'), net, bidirectional(cells.rnn), "
        "compiled(net, 'numpy')"
    )
    assert one is cells.lstm and net.parts == {"1": cells.lstm, "2": cells.gru}
    assert both.parts == {"forward": cells.rnn, "backward": cells.rnn}
    p, xs = cells.lstm.init(inputs=2, hidden=3), RANDOM.normal(size=(4, 2))
    np.testing.assert_allclose(
        unroll(fast, p, xs)["h"].data, unroll(cells.lstm, p, xs)["h"].data, rtol=1e-12
    )
    q = net.init(inputs=2, hidden=3)
    np.testing.assert_allclose(
        unroll(fast_net, q, xs)["h"].data, unroll(net, q, xs)["h"].data, rtol=1e-12
    )


def test_a_cell_of_no_module_says_so() -> None:
    @cell(state="h")
    def local(now: Any, prev: Any, x: Any, p: Any) -> None:
        now.h = prev.h + x.sum()

    with pytest.raises(TypeError, match="it stands in no module under its name"):
        pickle.dumps(local)


# --- what a caller changes afterwards -------------------------------------------------------------
def test_arrays_may_be_changed_after_they_were_used() -> None:
    w = tensor([1.0, 2.0, 3.0])
    for change, expected in (
        (lambda a: w * a, [1.0, 1.0, 1.0]),
        (lambda a: a * w, [1.0, 1.0, 1.0]),
        (lambda a: w * a[::-1], [1.0, 1.0, 1.0]),
        (lambda a: w[a.astype(int)], [0.0, 3.0, 0.0]),
        (lambda a: where(a > 0, w, 0.0), [1.0, 1.0, 1.0]),
    ):
        array = np.ones(3)
        y = change(array).sum()
        array[:] = -7.0
        y.backward()
        np.testing.assert_array_equal(w.grad.data, expected)
    for make in (lambda: np.array([0, 0, 1]), lambda: np.array([True, False, True])):
        index = make()
        y = w[index].sum() + where(index, w, 0.0).sum()
        right = np.zeros(3)
        np.add.at(right, index, 1.0)
        right += index.astype(bool)
        index[:] = 0
        y.backward()
        np.testing.assert_array_equal(w.grad.data, right)
    seed = np.ones(3)
    (w * 2.0).backward(seed)
    w.backward(seed)
    seed[:] = 9.0
    np.testing.assert_array_equal(w.grad.data, np.ones(3))


@pytest.mark.parametrize("name", ["lstm", "gru_reset_after"])
@pytest.mark.parametrize("how", ["interpreted", "numpy", "low", "C"])
def test_a_buffer_may_be_filled_again_between_runs(name: str, how: str) -> None:
    own = cells.all()[name]
    network: Any = own
    if how == "C":
        from compiling import MISSING

        if MISSING:
            pytest.skip(MISSING)
        network = compiled(own, "c")
    elif how != "interpreted":
        network = compiled(own, "numpy", memory="low" if how == "low" else "full")
    p = own.init(inputs=3, hidden=4, seed=0)
    batches = RANDOM.normal(size=(3, 5, 2, 3))

    def gradients(give: Callable[[Any], Any]) -> dict[str, Any]:
        total: Any = 0.0
        for batch in batches:
            total = total + (unroll(network, p, give(batch))["h"] ** 2).sum()
        total.backward()
        return {n: t.grad.numpy() for n, t in p.items()}

    buffer = np.empty((5, 2, 3))

    def filled(batch: Any) -> Any:
        buffer[:] = batch
        return buffer

    again, right = gradients(filled), gradients(np.copy)
    for n, value in right.items():
        np.testing.assert_array_equal(again[n], value)


@pytest.mark.parametrize("code", [None, "numpy"])
def test_no_value_of_a_run_can_be_made_writable(code: Any) -> None:
    p = cells.lstm.init(inputs=2, hidden=3)
    run = unroll(compiled(cells.lstm, code) if code else cells.lstm, p, np.ones((3, 2)))
    (run["h"] ** 2).sum().backward()
    for t in (run["h"], run["C"], run.final["h"], run.steps[1]["f"], run["h"] * 2.0, p.W_f.grad):
        with pytest.raises(ValueError, match="WRITEABLE"):
            t.data.setflags(write=True)


# --- numbers at the edge --------------------------------------------------------------------------
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("x", [-40.0, -20.0, -17.0, -12.0, -1.0, 0.0, 3.0, 30.0])
def test_a_sigmoid_is_right_relative_to_itself(x: float, dtype: Any) -> None:
    """-log σ(x) = log(1 + e^-x), whose slope is -1 / (1 + e^x)."""
    t = Tensor(np.array(x, dtype))
    y = -tg.log(tg.sigmoid(t))
    y.backward()
    exact = np.float64(dtype(x))
    scale = 4 * np.finfo(dtype).eps
    np.testing.assert_allclose(y.item(), np.log1p(np.exp(-exact)), rtol=scale, atol=scale)
    np.testing.assert_allclose(t.grad.item(), -1 / (1 + np.exp(exact)), rtol=scale, atol=scale)
    np.testing.assert_allclose(
        tg.sigmoid(t).item(), 1 / (1 + np.exp(-exact)), rtol=2 * (1 + abs(x)) * scale
    )


def test_nan_is_not_swallowed() -> None:
    nan = tensor(np.nan)
    for y in (
        tg.relu(nan),
        tg.maximum(nan, 1.0),
        tg.maximum(1.0, nan),
        np.maximum(nan, 1.0),
        np.maximum(1.0, nan),
        tg.minimum(nan, 1.0),
        tg.minimum(1.0, nan),
        np.minimum(nan, 1.0),
        tg.clip(nan, 0.0, 1.0),
        tg.max(Tensor([1.0, np.nan])),
        tg.softplus(nan),
        tg.logsumexp(Tensor([0.0, np.nan])),
    ):
        assert np.isnan(y.item())
    assert np.isnan(tg.relu(np.array(np.nan))) and np.isnan(tg.maximum(np.nan, 1.0))


def test_the_logarithm_of_a_sum_of_nothing_and_of_everything() -> None:
    inf = np.inf
    for row, right in (([-inf, -inf], -inf), ([inf, inf], inf), ([inf, 0.0], inf)):
        assert tg.logsumexp(Tensor(row)).item() == right
    assert tg.logsumexp(Tensor([-inf, 2.0])).item() == 2.0


def test_a_power_of_zero_has_gradients() -> None:
    """d a^b / db = a^b log a, which goes to 0 as a does; PyTorch says so, too."""
    a, b = tensor([0.0, 0.0, 2.0]), tensor([2.0, 0.0, 3.0])
    (a**b).sum().backward()
    np.testing.assert_allclose(b.grad.data, [0.0, 0.0, 8 * np.log(2.0)])
    np.testing.assert_allclose(a.grad.data, [0.0, 0.0, 12.0])


def test_expressions_agree_with_pytorch() -> None:
    torch = pytest.importorskip("torch")
    x = RANDOM.normal(size=(3, 4, 2))
    pairs: list[tuple[Callable[[Any], Any], Callable[[Any], Any]]] = [
        (lambda t: tg.transpose(t, (-1, 0, 1))[:, [0, 0]], lambda t: t.permute(2, 0, 1)[:, [0, 0]]),
        (lambda t: tg.maximum(t, 0.1) ** t, lambda t: torch.clamp(t, min=0.1) ** t),
        (
            lambda t: tg.logsumexp(-tg.log(tg.sigmoid(9 * t)), axis=1),
            lambda t: torch.logsumexp(-torch.nn.functional.logsigmoid(9 * t), dim=1),
        ),
        (
            lambda t: tg.stack([t[0], t[2] * t[0]])[..., [1, 0, 1]],
            lambda t: torch.stack([t[0], t[2] * t[0]])[..., [1, 0, 1]],
        ),
    ]
    for ours, theirs in pairs[:3] + [
        (
            lambda t: pairs[3][0](tg.transpose(t, (0, 2, 1))),
            lambda t: pairs[3][1](t.permute(0, 2, 1)),
        )
    ]:
        mine, other = Tensor(x), torch.tensor(x, requires_grad=True)
        a, b = ours(mine), theirs(other)
        weights = RANDOM.normal(size=a.shape)
        (a * weights).sum().backward()
        (b * torch.tensor(weights)).sum().backward()
        np.testing.assert_allclose(a.data, b.detach().numpy(), rtol=1e-10)
        np.testing.assert_allclose(mine.grad.data, other.grad.numpy(), rtol=1e-9, atol=1e-12)


# --- updates --------------------------------------------------------------------------------------
def test_parameters_are_not_assigned_to() -> None:
    p = cells.rnn.init(inputs=2, hidden=3)

    def item() -> None:
        p["W"] = p.W  # type: ignore[index]

    for assign in (lambda: setattr(p, "W", p.W * 2.0), lambda: setattr(p, "V", 1.0), item):
        with pytest.raises(
            AttributeError,
            match=r"parameters are not changed in place.*\n  Write p"
            r" = p\.replace\(\{'.': value\}\)",
        ):
            assign()
    with pytest.raises(ValueError, match="read-only"):
        p.W.data -= 0.1
    for name in ("data", "grad"):
        with pytest.raises(AttributeError, match=r"p = p\.replace\("):
            setattr(p.W, name, None)


def test_three_hundred_updates_do_not_lengthen_the_graph() -> None:
    """Descent on (w - 3)² with rate 0.1: w_k = 3 (1 - 0.8^k)."""

    @cell(state={"h": ""}, parameters={"w": ""}, x="")
    def number(now: Any, prev: Any, x: Any, p: Any) -> None:
        now.h = p.w * x + 0 * prev.h

    p = number.init().replace({"w": np.array(0.0)})
    sizes = []
    for k in range(300):
        assert p.w.item() == pytest.approx(3 * (1 - 0.8**k), abs=1e-12)
        loss = (unroll(number, p, np.ones(1))["h"][0] - 3.0) ** 2
        loss.backward()
        sizes.append(len(ancestors([loss])))
        p = p.replace({n: p[n] - 0.1 * p[n].grad for n in p})
        assert (p.w.op, p.w.inputs, p.w.grad, p.w.name) == (None, (), None, "w")
    assert len(set(sizes)) == 1
