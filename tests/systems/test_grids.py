"""Grids: against loops over every axis and PyTorch, and what a grid cannot be."""

from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tinygrad_lstm import (
    Tensor,
    cell,
    cells,
    check_gradients,
    compiled,
    concat,
    errors,
    grid,
    systems,
    tanh,
    unroll,
    value_and_grad,
    weights,
)
from tinygrad_lstm.systems.grids import n_lstm

torch = pytest.importorskip("torch")

# mypy: disallow-untyped-defs=False
RANDOM = np.random.default_rng(3)


def by_loops(block: Any, of: Any, xs: Any, shape: Any, first: dict[str, Any]) -> dict[Any, Any]:
    """The block at every place, one after the other; `of` gives a place's parameters."""
    axes = [tuple(words.split()) for words in block.axes.values()][::-1]  # the outermost first
    found: dict[Any, Any] = {}
    for place in product(*map(range, shape)):
        initial = {}
        for k, states in enumerate(axes):
            before = tuple(n - (j == k) for j, n in enumerate(place))
            edge = place[:k] + place[k + 1 :]
            for state in states:
                at = first[state][edge] if min(before) < 0 else found[before][state]
                initial[state] = at
        found[place] = unroll(block, of(place), xs(place), initial).steps[0]
    return found


@pytest.mark.parametrize("block", [systems.grid_lstm, systems.grid_lstm_3_priority])
@pytest.mark.parametrize("n", [2, 3])  # places = batch = inputs = hidden
def test_diagonals_are_loops(block: Any, n: int) -> None:
    rank = len(block.axes)
    shape = (n, n + 1, n)[:rank] if n == 3 else (n,) * rank
    sizes, batch = {"inputs": n, "hidden": n}, n
    net = grid(block)
    p = net.init(**sizes)
    q = block.bind({name: t.data for name, t in p.items()}, **sizes)
    image = RANDOM.normal(size=(*shape, batch, n))
    one, other = Tensor(image), Tensor(image)
    states = [tuple(words.split()) for words in block.axes.values()][::-1]
    edges = {
        s: RANDOM.normal(size=(*shape[:k], *shape[k + 1 :], batch, n))
        for k, own in enumerate(states)
        for s in own
    }
    given = {s: Tensor(v) for s, v in edges.items()}
    run = unroll(net, p, one, given)
    first = {s: Tensor(v) for s, v in edges.items()}
    loops = by_loops(block, lambda at: q, lambda at: other[at].reshape(1, batch, n), shape, first)
    total: Any = 0.0
    weight = RANDOM.normal(size=(*shape, batch, n))
    for place, step in loops.items():
        for name in run.names:
            np.testing.assert_array_equal(run[name].data[place], step[name].data)
        total = total + (step[block.output] * weight[place]).sum()
    (run[block.output] * weight).sum().backward()
    total.backward()
    np.testing.assert_allclose(one.grad.data, other.grad.data, rtol=0, atol=1e-15)
    for s in edges:
        if first[s].grad is not None:
            np.testing.assert_allclose(given[s].grad.data, first[s].grad.data, rtol=0, atol=1e-15)
    for name in p:  # places are added in another order
        np.testing.assert_allclose(p[name].grad.data, q[name].grad.data, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("tied", [True, False])
def test_layers_over_time_are_loops(tied: bool) -> None:
    block = systems.grid_lstm
    net = grid(block, down="depth", depth=3, tied=tied)
    p, xs = net.init(inputs=2, hidden=2), RANDOM.normal(size=(4, 2, 2))
    assert len(p) == (8 if tied else 24)

    def of(place: Any) -> Any:
        own = {n: p[n if tied else f"{place[0] + 1}.{n}"].data for n in block.parameters}
        return block.bind(own, inputs=2, hidden=2)

    nothing = {s: np.zeros((4, 2, 2)) for s in block.state}
    loops = by_loops(block, of, lambda at: xs[at[1] : at[1] + 1], (3, 4), nothing)
    run = unroll(net, p, xs)
    for place, step in loops.items():
        np.testing.assert_allclose(run["h_2"].data[place], step["h_2"].data, rtol=0, atol=1e-15)
    np.testing.assert_array_equal(run.final["h_2"].data, run["h_2"].data[-1])
    np.testing.assert_array_equal(run.final["h_1"].data, run["h_1"].data[:, -1])
    assert check_gradients(lambda q: unroll(net, q, xs)["h_2"], p).worst < 1e-10


@pytest.mark.parametrize("name", [n for n in systems.all() if n.startswith("grid_lstm")])
def test_grid_lstm_in_pytorch_written_afresh(name: str) -> None:
    """The paper's block; the priority axes last, the output gate inside or outside the tanh."""
    block = systems.find(name)
    assert not isinstance(block, systems.System) and block.parameters
    n = len(block.axes)  # type: ignore[union-attr]
    p = block.init(inputs=2, hidden=3)
    hs = {i: RANDOM.normal(size=(2, 3)) for i in range(1, n + 1)}
    ms = {i: RANDOM.normal(size=(2, 3)) for i in range(1, n + 1)}
    x = RANDOM.normal(size=(1, 2, 2))
    initial = {f"h_{i}": v for i, v in hs.items()} | {f"m_{i}": v for i, v in ms.items()}
    step = unroll(block, p, x, initial).steps[0]
    sum_ = sum(((step[f"h_{i}"] ** 2).sum() for i in hs), Tensor(0.0))
    sum_.backward()
    t = {k: torch.tensor(v.data, requires_grad=True) for k, v in p.items()}
    h, total = {i: torch.tensor(v) for i, v in hs.items()}, torch.zeros(())
    last = n if "priority" in name else 0
    new = {}
    for i in range(1, n + 1):
        H = torch.cat(
            [*[new[j] if i == last and j != i else h[j] for j in h], torch.tensor(x[0])], 1
        )
        u, f, o = (torch.sigmoid(H @ t[f"W_{g}_{i}"].T) for g in "ufo")
        m = f * torch.tensor(ms[i]) + u * torch.tanh(H @ t[f"W_c_{i}"].T)
        new[i] = o * torch.tanh(m) if "outside" in name else torch.tanh(o * m)
        np.testing.assert_allclose(step[f"h_{i}"].data, new[i].detach().numpy(), rtol=1e-12)
        total = total + (new[i] ** 2).sum()
    total.backward()
    for k in p:
        np.testing.assert_allclose(p[k].grad.data, t[k].grad.numpy(), rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("code", ["auto", "numpy"])
def test_compiled_grids_compute_the_same(code: str) -> None:
    for net, shape in (
        (grid(systems.grid_lstm), (2, 3, 2, 2)),
        (grid(systems.grid_lstm, down="depth", depth=2, tied=False), (3, 2, 2)),
        (grid(systems.grid_lstm_1, right="depth", depth=3), (2, 2)),
    ):
        p, q = net.init(inputs=2, hidden=2), net.init(inputs=2, hidden=2)
        xs = RANDOM.normal(size=shape)
        plain, fast = unroll(net, p, xs), unroll(compiled(net, code), q, xs)
        for run in (plain, fast):
            (run[net.output] ** 2).sum().backward()
        for name in plain.names:
            np.testing.assert_allclose(fast[name].data, plain[name].data, rtol=1e-12, atol=1e-14)
        for n in p:
            np.testing.assert_allclose(q[n].grad.data, p[n].grad.data, rtol=1e-10, atol=1e-13)


def test_a_user_s_block_with_further_inputs(tmp_path: Any) -> None:
    @cell(
        state="a b",
        parameters={"W": "hidden, hidden + hidden + inputs"},
        sequences={"inside": ""},
        constants={"k": "hidden"},
        loss="L",
    )
    def block(now, prev, x, p, inside, k):
        now.n = tanh(p.W @ concat(prev.a, prev.b, x)) * inside
        now.a = now.n + k
        now.b = now.n * k
        now.L = (now.n**2).sum()

    net = grid(block, right="a", down="b")
    p, xs = net.init(inputs=2, hidden=2), RANDOM.normal(size=(3, 2, 2, 2))
    inside, k = RANDOM.normal(size=(3, 2)), RANDOM.normal(size=(2, 2))
    run = unroll(net, p, xs, inside=inside, k=k)
    for b in range(2):
        one = unroll(net, p, xs[:, :, b], inside=inside, k=k[b])
        np.testing.assert_allclose(run["a"].data[:, :, b], one["a"].data, rtol=1e-13)
    np.testing.assert_allclose(run.loss.item(), run["L"].data.sum() / 2, rtol=1e-13)
    weights.save(tmp_path / "w.safetensors", net, p)
    again, q = weights.load(tmp_path / "w.safetensors", {"block": block})
    found = unroll(again, q, xs, inside=inside, k=k)["b"].data
    np.testing.assert_array_equal(found, run["b"].data)


BLOCK = systems.grid_lstm
REFUSED: list[tuple[Any, str]] = [
    (lambda: grid(cells.lstm), "the state h moves along no axis.\n  Write grid\\(lstm, right="),
    (lambda: grid(cells.lstm, right="h", down="h C"), "along"),
    (lambda: grid(BLOCK, down="depth"), "write depth=… for its length"),
    (lambda: grid(BLOCK, down="depth", depth=0), "depth is at least 1, got 0"),
    (lambda: grid(BLOCK, depth=3), "there is no axis depth; the axes are right, down"),
    (lambda: grid(BLOCK, tied=False), "tied=False is for one axis with a length"),
    (lambda: grid("lstm"), "a grid is made of a cell with states, got 'lstm'"),
    (
        lambda: unroll(grid(BLOCK), BLOCK.init(inputs=2, hidden=3), np.zeros((4, 2))),
        "xs needs 2 axes before those of the batch and of x",
    ),
    (
        lambda: unroll(grid(BLOCK), BLOCK.init(inputs=2, hidden=3), np.zeros((4, 5, 2, 3))),
        "x has shape \\(3,\\) at a place, but it is \\(inputs=2\\)",
    ),
    (
        lambda: unroll(
            grid(BLOCK), BLOCK.init(inputs=2, hidden=3), np.zeros((4, 5, 2)), {"h_1": np.zeros(5)}
        ),
        "initial h_1 has shape \\(5,\\), but along the edge of right it is \\(3,\\), or \\(4, 3\\)",
    ),
    (
        lambda: unroll(
            grid(BLOCK), BLOCK.init(inputs=2, hidden=3), np.zeros((4, 3, 2)), reverse=True
        ),
        "takes no reverse",
    ),
]


@pytest.mark.parametrize(("case", "message"), REFUSED)
def test_what_a_grid_cannot_be_is_named(case: Any, message: str) -> None:
    with pytest.raises(errors.TinygradError, match=message):
        case()


def test_a_listing_of_another_kind_is_made_in_one_line() -> None:
    block = n_lstm("mine", 2, priority=[1])
    assert "W_u_1 · [h_1_{t-1}, h_2, x_t]" in str(block.program())


@pytest.mark.parametrize("kind", ["grid", "stack"])
def test_parity_is_learnt_from_what_it_says(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The benchmark's model has a gradient for every weight."""
    monkeypatch.syspath_prepend(Path(__file__).parents[2])
    from benchmarks.systems.parity import Model, held_out, odd

    strings = held_out(3)
    assert [*odd(strings)[:, 0]] == [0, 1, 1, 0, 1, 0, 0, 1]
    model = Model(kind, 3, 4, 2, 0)
    _, found = value_and_grad(lambda q: (model.says(q, strings) * odd(strings)).sum())(
        model.weights
    )
    untouched = {n for n, g in found.items() if not g.numpy().any()}
    assert untouched <= {"net.1.W_f", "net.1.b_f", "net.2.W_f", "net.2.b_f"}  # of the first step
