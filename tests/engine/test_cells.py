"""Every cell x every reading, by one table: a new cell needs no test code."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from tinygrad_lstm import Cell, Tensor, cells, check_gradients, unroll
from tinygrad_lstm import sizes as dimensions
from tinygrad_lstm.tensor import TABLE

TIME, BATCH = 3, 2


class Example:
    """A cell with sizes that are all different, and arrays for everything it takes."""

    def __init__(self, cell: Cell, dtype: Any = np.float64) -> None:
        random = np.random.default_rng(sum(map(ord, cell.name)))
        self.cell, self.program = cell, cell.program()
        sizes = self.program.sizes

        def array(*lead: int, words: str) -> Any:
            return random.normal(size=(*lead, *dimensions.shape(words, sizes))).astype(dtype)

        self.p = cell.bind({n: array(words=w) for n, w in cell.parameters.items()}, **sizes)
        self.xs = array(TIME, BATCH, words=cell.x)
        self.initial = {n: array(BATCH, words=w) for n, w in cell.state.items()}
        self.further = {n: array(TIME, BATCH, words=w) for n, w in cell.sequences.items()}
        self.further |= {n: array(words=w) for n, w in cell.constants.items()}

    def outputs(self, p: Any, xs: Any, initial: Any, further: Any) -> Any:
        """All states at all times, in one Tensor."""
        run = unroll(self.cell, p, xs, initial, **further)
        return run[next(iter(self.cell.state))] if len(self.cell.state) == 1 else _joined(run)


def _joined(run: Any) -> Any:
    from tinygrad_lstm import concat

    return concat(*(run[name].reshape(-1) for name in run.cell.state))


def numeric_gradients(e: Example) -> None:
    agreement = check_gradients(e.outputs, e.p, e.xs, e.initial, e.further)
    smooth = all(n.op is None or TABLE[n.op].distance is None for n in e.program.nodes())
    assert agreement.method == ("complex step" if smooth else "central difference")
    assert agreement.worst < (1e-10 if smooth else 1e-6)
    assert agreement.entries == e.p.count + e.xs.size + _size(e.initial) + _size(e.further)


def second_derivatives(e: Example) -> None:
    short = {n: v[:2] if n in e.cell.sequences else v for n, v in e.further.items()}
    check_gradients(
        lambda p, xs, initial: e.outputs(p, xs, initial, short),
        e.p,
        e.xs[:2],
        e.initial,
        second_order=True,
    )


def gradient_program_equals_backward(e: Example) -> None:
    gradient = e.program.gradient()
    random = np.random.default_rng(5)
    one = {n: v[0, 0] if n in e.cell.sequences else v for n, v in e.further.items()}
    before = {n: v[0] for n, v in e.initial.items()}
    seeds = {n: random.normal(size=v.shape) for n, v in before.items()}
    values = gradient.run(x=e.xs[0, 0], prev=before, seed=seeds, **one, **e.p)

    leaves = {n: Tensor(v, n) for n, v in {**one, **e.p}.items()}
    leaves |= {f"prev.{n}": Tensor(v) for n, v in before.items()} | {"x": Tensor(e.xs[0, 0])}
    step = e.program.on(leaves, str)
    total = sum(((step[n] * seed).sum() for n, seed in seeds.items()), Tensor(0.0))
    total.backward()
    for name, leaf in leaves.items():
        np.testing.assert_allclose(values[name], leaf.grad.data, rtol=1e-12, atol=1e-14)


def program_equals_unroll(e: Example) -> None:
    run = unroll(e.cell, e.p, e.xs, e.initial, **e.further)
    one = {n: v[0] if n in e.cell.sequences else v for n, v in e.further.items()}
    values = e.program.run(x=e.xs[0], prev=e.initial, **one, **e.p)
    for name in e.program.equations:
        np.testing.assert_allclose(values[name], run[name].data[0], rtol=1e-13, atol=1e-15)


def batch_equals_stacked_singles(e: Example) -> None:
    whole = unroll(e.cell, e.p, e.xs, e.initial, **e.further)
    for k in range(BATCH):
        own = {n: v[:, k] if n in e.cell.sequences else v for n, v in e.further.items()}
        single = unroll(e.cell, e.p, e.xs[:, k], {n: v[k] for n, v in e.initial.items()}, **own)
        for name in e.program.equations:
            np.testing.assert_allclose(
                single[name].data, whole[name].data[:, k], rtol=1e-13, atol=1e-15
            )


def two_halves_equal_the_whole(e: Example) -> None:
    whole = unroll(e.cell, e.p, e.xs, e.initial, **e.further)

    def piece(part: slice, initial: Any) -> Any:
        own = {n: v[part] if n in e.cell.sequences else v for n, v in e.further.items()}
        return unroll(e.cell, e.p, e.xs[part], initial, **own)

    first = piece(slice(0, 2), e.initial)
    second = piece(slice(2, None), first.final)
    for name in e.program.equations:
        halves = np.concatenate([first[name].data, second[name].data])
        np.testing.assert_array_equal(halves, whole[name].data)

    def gradients_of(run: Any) -> dict[str, Any]:
        sum((state.sum() for state in run.final.values()), Tensor(0.0)).backward()
        return {name: t.grad.numpy() for name, t in e.p.items()}

    expected = gradients_of(whole)
    for name, found in gradients_of(second).items():  # the carried states carry the graph, too
        np.testing.assert_allclose(found, expected[name], rtol=1e-12, atol=1e-14)


def float32_stays_float32(e: Example) -> None:
    small = Example(e.cell, np.float32)
    run = unroll(e.cell, small.p, small.xs, small.initial, **small.further)
    for name in e.program.equations:
        assert run[name].dtype == np.float32, name
    sum((run[name].sum() for name in e.cell.state), Tensor(np.float32(0))).backward()
    for name, t in small.p.items():
        assert t.grad.dtype == np.float32, name
    default = unroll(e.cell, small.p, small.xs, **small.further)
    assert {state.dtype for state in default.final.values()} == {np.dtype(np.float32)}


def every_input_matters(e: Example) -> None:
    """A parameter or input without influence on any state is a typing error in the equations."""
    run = unroll(e.cell, e.p, xs := Tensor(e.xs), e.initial, **e.further)
    sum((run[n].sum() for n in e.cell.state), Tensor(0.0)).backward()
    for name, t in {**e.p, "xs": xs}.items():
        assert t.grad is not None and np.any(t.grad.data != 0.0), name


def parameters_are_counted(e: Example) -> None:
    expected = 0
    for words in e.cell.parameters.values():
        count = 1
        for axis in dimensions.parse(words):
            count *= dimensions.value(axis, e.program.sizes)
        expected += count
    assert e.cell.init(**e.program.sizes).count == expected == e.p.count


def init_is_reproducible_and_bound_by_its_formula(e: Example) -> None:
    sizes = e.program.sizes
    a, b, c = (e.cell.init(**sizes, seed=s) for s in (1, 1, 2))
    for name in a:
        np.testing.assert_array_equal(a[name].data, b[name].data)
        if a[name].ndim > 1:
            assert not np.array_equal(a[name].data, c[name].data)
            assert np.max(np.abs(a[name].data)) <= a[name].shape[-1] ** -0.5


READINGS: list[Callable[[Example], None]] = [
    numeric_gradients,
    second_derivatives,
    gradient_program_equals_backward,
    program_equals_unroll,
    batch_equals_stacked_singles,
    two_halves_equal_the_whole,
    float32_stays_float32,
    every_input_matters,
    parameters_are_counted,
    init_is_reproducible_and_bound_by_its_formula,
]


@pytest.mark.sample(3)
@pytest.mark.parametrize("reading", READINGS, ids=lambda f: f.__name__)
@pytest.mark.parametrize("cell", cells.all().values(), ids=lambda c: c.name)
def test_cell(cell: Cell, reading: Callable[[Example], None]) -> None:
    reading(Example(cell))


def _size(arrays: dict[str, Any]) -> int:
    return sum(v.size for v in arrays.values())


# --- known numbers, from the formulas -------------------------------------------------------------
@pytest.mark.parametrize(
    ("name", "count"),
    [
        ("rnn", 4 * 7 + 4),
        ("lstm", 4 * (4 * 7 + 4)),
        ("lstm_peephole", 3 * 4 * 11 + 4 * 7 + 16),
        ("lstm_coupled", 3 * (4 * 7 + 4)),
        ("gru", 3 * 4 * 7),
    ],
)
def test_published_parameter_counts(name: str, count: int) -> None:
    assert cells.all()[name].init(inputs=3, hidden=4).count == count


def test_the_lstm_by_hand() -> None:
    """One unit, one input, all weights w: the gates are σ(w (h + x)), with h = C = 0 at first."""
    w, x = 0.5, 1.0
    p = cells.lstm.bind(
        {n: np.full((1, 2), w) if n.startswith("W") else np.zeros(1) for n in cells.lstm.parameters}
    )
    run = unroll(cells.lstm, p, np.full((2, 1), x))

    def sigma(v: float) -> float:
        return 1 / (1 + np.exp(-v))

    h = C = 0.0
    for t in range(2):
        a = w * (h + x)
        C = sigma(a) * C + sigma(a) * np.tanh(a)
        h = sigma(a) * np.tanh(C)
        assert run["C"].data[t, 0] == pytest.approx(C, rel=1e-15)
        assert run["h"].data[t, 0] == pytest.approx(h, rel=1e-15)
