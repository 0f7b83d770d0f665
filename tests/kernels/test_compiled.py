"""Compiled cells compute what the interpreter computes, for every cell in every situation."""

from __future__ import annotations

import gc
import pickle
from typing import Any

import numpy as np
import pytest
from compiling import CODES, LENGTHS, MISSING, TOLERANCE, Problem, agree, compare, problem

from tinygrad_lstm import (
    Tensor,
    bidirectional,
    cell,
    cells,
    check_gradients,
    compiled,
    concat,
    cumsum,
    errors,
    grad,
    matmul,
    matvec,
    max,
    outer,
    sigmoid,
    softmax,
    stack,
    step_through,
    sum,
    swapaxes,
    tanh,
    unroll,
    vecdot,
)


@pytest.fixture(autouse=True)
def _as_users_have_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """Here the compiler takes all the effort that it takes for users."""
    monkeypatch.delenv("TINYGRAD_LSTM_CFLAGS")


ALONE = {n: c for n, c in cells.all().items() if not (c.sequences or c.constants)}

SITUATIONS: dict[str, dict[str, Any]] = {
    "plain": {"initial": False},
    "initial": {},
    "output": {"equations": False},
    "lengths": {"lengths": LENGTHS},
    "reverse": {"lengths": LENGTHS, "reverse": True},
    "one": {"lead": ()},
    "two axes": {"lead": (2, 2), "reverse": True},
    "low": {"memory": "low", "lengths": LENGTHS},
    "low reverse": {"memory": "low", "every": 4, "reverse": True, "equations": False},
    "one step": {"time": 3, "lead": (1,)},
    "float32": {"dtype": np.float32, "lengths": LENGTHS},
}


def situation(network: Any, code: str, how: dict[str, Any]) -> None:
    ours = {k: v for k, v in how.items() if k in ("memory", "every", "equations")}
    given = problem(network, **{k: v for k, v in how.items() if k not in ours})
    compare(network, given, code, **ours)


# Four unlike cells in all of them, every other one in a third; readings and random cells take more.
WHOLE = ("lstm", "gru", "clockwork", "depth_gated")
PAIRS = [
    (name, how)
    for k, name in enumerate(cells.all())
    for j, how in enumerate(SITUATIONS)
    if name in WHOLE or (k + j) % 3 == 0
]


@pytest.mark.sample(3)
@pytest.mark.parametrize("code", CODES)
@pytest.mark.parametrize(("name", "how"), PAIRS)
def test_every_cell_in_its_situations(name: str, how: str, code: str) -> None:
    situation(cells.all()[name], code, SITUATIONS[how])


NETWORKS = {
    "both directions": lambda c: bidirectional(c),
    "two layers": lambda c: stack([c, c]),
    "layers of both directions": lambda c: stack([bidirectional(c), bidirectional(c, cells.rnn)]),
}


@pytest.mark.sample(3)
@pytest.mark.parametrize("code", CODES)
@pytest.mark.parametrize("form", NETWORKS)
@pytest.mark.parametrize("name", ALONE)
def test_networks(name: str, form: str, code: str) -> None:
    if form == "layers of both directions" and ALONE[name].x == "hidden":
        pytest.skip("its x is as long as its state")
    network = NETWORKS[form](ALONE[name])
    situation(network, code, {"lengths": LENGTHS})


@pytest.mark.parametrize("code", CODES)
@pytest.mark.parametrize("memory", ["full", "low"])
def test_a_layer_that_reads_an_equation_of_the_layer_below(memory: str, code: str) -> None:
    network = stack([cells.lstm, cells.depth_gated])
    situation(network, code, {"lengths": LENGTHS, "memory": memory})
    situation(bidirectional(network), code, {"memory": memory})


# --- operations beyond the elementwise ------------------------------------------------------------
@cell(
    state="h",
    constants={"memory": "places, hidden"},
    parameters={"W": "hidden, hidden + inputs", "U": "hidden, hidden", "b": "hidden"},
)
def attention(now, prev, x, p, memory):
    now.q = matvec(p.U, prev.h)
    now.a = softmax(matvec(memory, now.q))
    now.read = matvec(swapaxes(memory, -1, -2), now.a)
    now.h = tanh(matvec(p.W, concat(prev.h + now.read, x)) + p.b)


@cell(
    state={"M": "hidden, inputs", "h": "hidden"},
    parameters={"W_k W_q": "inputs, inputs", "W_v": "hidden, inputs"},
)
def fast_weights(now, prev, x, p):
    now.k = tanh(matvec(p.W_k, x))
    now.v = matvec(p.W_v, x) + prev.h
    now.M = 0.9 * prev.M + 0.5 * outer(now.v, now.k)
    now.h = tanh(matvec(now.M, softmax(matvec(p.W_q, x))))


@cell(state={"M": "hidden, hidden"}, parameters={"W": "hidden, hidden", "V": "hidden, inputs"})
def matrices(now, prev, x, p):
    now.turned = tanh(matmul(p.W, swapaxes(prev.M, -1, -2)))
    now.M = tanh(now.turned + matmul(prev.M, now.turned) + matvec(p.V, x).sum(-1, True)[..., None])


@cell(state={"n": "", "h": "hidden"}, parameters={"W": "hidden, hidden + inputs", "w": "hidden"})
def scalar(now, prev, x, p):
    now.h = tanh(matvec(p.W, concat(prev.h, x)) * prev.n[..., None])
    now.n = sigmoid(vecdot(p.w, now.h) + prev.n)


@cell(state="h", parameters={"W": "hidden, hidden + inputs", "P": "6, hidden"})
def rearranged(now, prev, x, p):
    lead = prev.h.shape[:-1]
    now.z = cumsum(matvec(p.W, concat(prev.h, x)), -1)
    now.pairs = now.z[..., np.array([0, 2, 0, 1])].reshape((*lead, 2, 2))
    now.best = max(now.pairs, -1) - sum(swapaxes(now.pairs, -1, -2), -1, True)[..., 0]
    now.mixed = matvec(p.P, prev.h).reshape((*lead, 3, 2))[..., ::-2, 1]
    now.all = now.z[..., ::-1] + now.best[..., :1] + now.mixed.mean(-1, True)
    now.h = tanh(now.all) * now.best[..., 1:]


@cell(state={"h": "inputs"})
def no_parameters(now, prev, x, p):
    now.h = tanh(0.5 * prev.h + vecdot(x, x)[..., None])


@cell(state="h", parameters={"W": "hidden, hidden", "w b": "hidden", "V": "hidden, inputs"})
def shared_parts(now, prev, x, p):
    now.gate = sigmoid(p.b)  # the same for the whole batch
    now.scale = now.gate * 0.5
    now.double = p.w + p.w
    now.a = matvec(p.V, x)  # read by the next equation alone
    now.h = tanh(now.a + matvec(now.scale * p.W, prev.h) + now.double)


@cell(state="h c", parameters={"U": "hidden, hidden", "b": "hidden"}, x="hidden")
def states_swapped(now, prev, x, p):
    now.h = prev.c
    now.c = tanh(matvec(p.U, prev.h) + p.b * x)


@cell(state="h c", parameters={"W": "hidden, inputs"})
def a_state_that_is_never_read(now, prev, x, p):
    now.h = matvec(p.W, x)
    now.c = prev.c * 1.0


@cell(state="h", parameters={"W": "hidden, inputs", "U": "hidden, hidden", "V unused": "hidden"})
def numbers_in_sums(now, prev, x, p):
    now.a = matvec(p.W, x) + 1.0
    now.z = matvec(p.U, prev.h) + now.a.mean(-1, True) + p.V.sum()
    now.h = tanh(1.0 - now.z) * (now.z > 0.1) + 0.5 * now.z


OWN = {
    c.name: c
    for c in (
        numbers_in_sums,
        fast_weights,
        matrices,
        scalar,
        rearranged,
        shared_parts,
        states_swapped,
        a_state_that_is_never_read,
    )
}


@pytest.mark.sample(3)
@pytest.mark.parametrize("code", CODES)
@pytest.mark.parametrize("how", SITUATIONS)
@pytest.mark.parametrize("name", OWN)
def test_cells_with_any_operation(name: str, how: str, code: str) -> None:
    situation(OWN[name], code, SITUATIONS[how])


@pytest.mark.sample(3)
@pytest.mark.parametrize("code", CODES)
@pytest.mark.parametrize("how", SITUATIONS)
def test_attention_over_a_memory(how: str, code: str) -> None:
    options = dict(SITUATIONS[how])
    ours = {k: options.pop(k) for k in ("memory", "every", "equations") if k in options}
    given = problem(attention, **options)
    sizes = attention.infer_sizes(given.parameters)
    shape = (4, sizes["hidden"])
    memory = np.random.default_rng(5).normal(size=shape).astype(given.xs.dtype)
    given.further["memory"] = memory
    compare(attention, given, code, **ours)


@pytest.mark.parametrize("code", CODES)
def test_a_memory_for_each_sample(code: str) -> None:
    given = problem(attention)
    hidden = attention.infer_sizes(given.parameters)["hidden"]
    given.further["memory"] = np.random.default_rng(5).normal(size=(3, 4, hidden))
    compare(attention, given, code)


@pytest.mark.parametrize("code", CODES)
def test_a_cell_without_parameters(code: str) -> None:
    random = np.random.default_rng(0)
    compare(
        no_parameters,
        Problem({}, random.normal(size=(4, 3, 2)), {"h": random.normal(size=(3, 2))}),
        code,
    )


@pytest.mark.skipif(bool(MISSING), reason=MISSING)
@pytest.mark.parametrize("name", [*ALONE, *OWN])
def test_what_is_asked_for_in_c_is_computed_in_c(name: str) -> None:
    fast = compiled({**ALONE, **OWN}[name], "c")
    problem(fast).run(fast)
    assert {type(kernel.code).__name__ for kernel in fast._kernels.values()} == {"CCode"}


# --- errors ---------------------------------------------------------------------------------------
WRONG: dict[str, Any] = {
    "x": lambda p, xs: ((p, xs[..., :2]), {}),
    "axes": lambda p, xs: ((p, xs[0, 0]), {}),
    "empty": lambda p, xs: ((p, xs[:0]), {}),
    "nan": lambda p, xs: ((p, np.where(np.arange(4) > 2, np.nan, xs)), {}),
    "whole numbers": lambda p, xs: ((p, xs.astype(int)), {}),
    "lengths": lambda p, xs: ((p, xs), {"lengths": [6, 7, 1]}),
    "lengths of another batch": lambda p, xs: ((p, xs), {"lengths": [6, 1]}),
    "unknown state": lambda p, xs: ((p, xs, {"k": xs[0]}), {}),
    "shape of a state": lambda p, xs: ((p, xs, {"C": xs[0]}), {}),
    "nan in a state": lambda p, xs: ((p, xs, {"C": np.full((3, 3), np.nan)}), {}),
    "further": lambda p, xs: ((p, xs), {"clock": xs}),
    "a parameter is missing": lambda p, xs: (({n: p[n] for n in p if n != "W_f"}, xs), {}),
    "shape of a parameter": lambda p, xs: (({**p, "b_f": p["b_f"].data[:2]}, xs), {}),
}


@pytest.mark.parametrize("wrong", WRONG)
def test_errors_are_those_of_the_interpreter(wrong: str) -> None:
    p = cells.lstm.init(hidden=3, inputs=4)
    arguments, options = WRONG[wrong](p, np.random.default_rng(0).normal(size=(6, 3, 4)))
    said = []
    for network in (cells.lstm, compiled(cells.lstm, "numpy")):
        with pytest.raises(errors.TinygradError) as caught:
            unroll(network, *arguments, **options)
        said.append((type(caught.value), str(caught.value)))
    assert said[0] == said[1]


@pytest.mark.parametrize("own", [cells.clockwork, cells.depth_gated, cells.lstm_1997, attention])
def test_a_further_input_that_is_missing(own: Any) -> None:
    sizes = {size: 3 + k for k, size in enumerate(own.sizes)}
    said = []
    for network in (own, compiled(own, "numpy")):
        with pytest.raises(errors.UnknownNameError, match="further inputs; pass them") as caught:
            unroll(network, own.init(**sizes), np.ones((2, sizes["inputs"])))
        said.append(str(caught.value))
    assert said[0] == said[1]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"code": "fortran"}, "code is 'auto', 'c', 'numpy', 'js' or 'wasm', got 'fortran'."),
        ({"memory": "none"}, "memory is 'full' or 'low', got 'none'."),
        ({"every": 3}, "every is a whole number of steps, with memory='low', got 3."),
        ({"memory": "low", "every": 0}, "every is a whole number of steps, with memory='low', got"),
    ],
)
def test_wrong_arguments(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(errors.CellError) as caught:
        compiled(cells.lstm, **arguments)
    assert str(caught.value).startswith(message)
    with pytest.raises(errors.CellError, match="needs a cell or a network, got 'lstm'"):
        compiled("lstm")
    with pytest.raises(errors.CellError, match="code is 'c', 'numpy', 'js' or 'wasm', got 'rust'"):
        compiled(cells.lstm).source("rust", inputs=2, hidden=2)


# --- gradients in every way they can be asked for -------------------------------------------------
@pytest.mark.parametrize("code", CODES)
@pytest.mark.parametrize("name", ["lstm", "gru", "mut1"])
def test_second_derivatives(name: str, code: str) -> None:
    own = cells.all()[name]
    p = own.init(seed=3, **{size: 3 for size in own.sizes})
    xs = np.random.default_rng(1).normal(size=(4, 2, 3))
    v = {k: np.random.default_rng(4).normal(size=t.shape) for k, t in p.items()}

    def curvature(network: Any) -> dict[str, np.ndarray]:
        def loss(q: Any) -> Tensor:
            run = unroll(network, q, xs)
            return (run[own.output] ** 2).sum() + run.final[own.output].sum()

        def slope(q: Any) -> Tensor:
            first = grad(loss)(q)
            return sum_of([(first[k] * v[k]).sum() for k in v])

        return {k: t.numpy() for k, t in grad(slope)(p).items()}

    agree(curvature(own), curvature(compiled(own, code)), 10 * TOLERANCE[code, "d"])


def sum_of(terms: list[Any]) -> Any:
    total = terms[0]
    for term in terms[1:]:
        total = total + term
    return total


@pytest.mark.parametrize("code", CODES)
@pytest.mark.parametrize("second_order", [False, True])
def test_check_gradients_checks_compiled_cells(code: str, second_order: bool) -> None:
    fast = compiled(cells.lstm, code)
    p = cells.lstm.init(hidden=2, inputs=2)
    xs = np.random.default_rng(0).normal(size=(3, 2, 2))
    found = check_gradients(
        lambda q, xs: unroll(fast, q, xs)["h"], p, xs, second_order=second_order
    )
    assert found.entries == (2 if second_order else 1) * (4 * (2 * 4 + 2) + xs.size)


@pytest.mark.parametrize("code", CODES)
def test_backward_twice_gives_the_same(code: str) -> None:
    run, leaves = problem(cells.lstm).run(compiled(cells.lstm, code))
    loss = (run["h"] ** 2).sum()
    loss.backward()
    first = {name: leaf.grad.numpy() for name, leaf in leaves.items()}
    loss.backward()
    assert all(np.array_equal(leaf.grad.numpy(), first[n]) for n, leaf in leaves.items())
    (3 * run["h"]).sum().backward()  # another loss of the same run
    assert not np.allclose(leaves["xs"].grad.numpy(), first["xs"])
    loss.backward()
    assert all(np.allclose(leaf.grad.numpy(), first[n], 1e-12) for n, leaf in leaves.items())


@pytest.mark.parametrize("code", CODES)
def test_a_gradient_of_an_equation_that_no_one_asked_for_before(code: str) -> None:
    plain, fast = cells.lstm, compiled(cells.lstm, code)
    given = problem(plain)
    for name in ("h", "f", "C_tilde", "h"):
        gradients = []
        for network in (plain, fast):
            run, leaves = given.run(network)
            run[name].sum().backward()
            reached = {n: leaf for n, leaf in leaves.items() if leaf.grad is not None}
            gradients.append({n: leaf.grad.numpy() for n, leaf in reached.items()})
        for n in gradients[0]:
            assert np.allclose(gradients[0][n], gradients[1][n], 1e-10, 1e-10), (name, n)


# --- memory ---------------------------------------------------------------------------------------
@pytest.mark.parametrize("memory", ["full", "low"])
@pytest.mark.parametrize("code", CODES)
def test_runs_share_no_memory(memory: str, code: str) -> None:
    for own in (cells.lstm, cells.gru, shared_parts, fast_weights):
        fast = compiled(own, code, memory)
        one, two = problem(own, seed=1), problem(own, seed=2)
        run, _ = one.run(fast)
        values = {name: run[name].data for name in run.names}  # views, not copies
        before = {name: np.array(value) for name, value in values.items()}
        other, _ = two.run(fast)
        (other[own.output] ** 2).sum().backward()
        (run[own.output] ** 2).sum().backward()
        (run[own.output] ** 2).sum().backward()
        for name in run.names:
            assert np.array_equal(values[name], before[name]), (own.name, name)
            assert np.array_equal(run[name].data, before[name]), (own.name, name)


@pytest.mark.parametrize("code", CODES)
def test_values_outlive_their_run(code: str) -> None:
    fast = compiled(cells.lstm, code)
    run, leaves = problem(cells.lstm).run(fast)
    h, final = run["h"], run.final["C"].data
    step = run.steps[3]["f"].data
    copies = [np.array(h.data), np.array(final), np.array(step)]
    del run
    gc.collect()
    for seed in range(8):  # more calls than blocks are kept
        other, _ = problem(cells.lstm, seed=seed).run(fast)
        other["h"].sum().backward()
    for value, copy in zip((h.data, final, step), copies, strict=True):
        assert np.array_equal(value, copy)
    h.sum().backward()
    plain, expected = problem(cells.lstm).run(cells.lstm)
    plain["h"].sum().backward()
    for name, leaf in leaves.items():
        assert np.allclose(leaf.grad.numpy(), expected[name].grad.numpy(), 1e-9, 1e-10), name


@pytest.mark.parametrize("code", CODES)
def test_an_array_of_the_caller_may_change_afterwards(code: str) -> None:
    fast = compiled(cells.lstm, code)
    p = cells.lstm.init(hidden=3, inputs=4)
    xs = np.random.default_rng(0).normal(size=(6, 3, 4))
    gradients = []
    for change in (False, True):
        own = xs.copy()
        run = unroll(fast, p, Tensor(own))
        if change:
            own[:] = 7.0
        run["h"].sum().backward()
        gradients.append(p.W_f.grad.numpy())
    assert np.array_equal(*gradients)


# --- other readings -------------------------------------------------------------------------------
LOSSES: dict[str, Any] = {
    "all steps": lambda run: (run["h"] ** 2).sum(),
    "the last step": lambda run: run.steps[-1]["h"].sum(),
    "final states and an equation": lambda run: run.final["C"].sum() + run["f"].mean(),
    "an equation of one step": lambda run: (run.steps[1]["o"] * run.steps[0]["h"]).sum(),
}


@pytest.mark.parametrize("options", [{}, {"lengths": [3, 1], "reverse": True}])
@pytest.mark.parametrize("loss", LOSSES)
def test_the_stepper_shows_every_operation_of_a_compiled_run(
    loss: str, options: dict[str, Any]
) -> None:
    def trace(network: Any) -> Any:
        p = cells.lstm.init(hidden=2, inputs=2, seed=1)
        xs = np.random.default_rng(0).normal(size=(3, 2, 2))
        return step_through(LOSSES[loss](unroll(network, p, xs, **options)))

    plain, fast = trace(cells.lstm), trace(compiled(cells.lstm, "numpy"))
    assert [str(event) for event in fast] == [str(event) for event in plain]
    assert any(name.startswith("f_") for name in fast.equations())


def test_a_compiled_network_is_the_network_it_was_made_of() -> None:
    fast = compiled(cells.lstm)
    assert (fast.name, fast.state, fast.parameters) == (
        cells.lstm.name,
        cells.lstm.state,
        cells.lstm.parameters,
    )
    assert str(fast.program(hidden=3, inputs=2)) == str(cells.lstm.program(hidden=3, inputs=2))
    assert compiled(fast).plain is cells.lstm
    deep = compiled(stack([cells.lstm, bidirectional(cells.gru)]))
    assert deep.parts["1"].plain is cells.lstm
    assert deep.parts["2"].parts["backward"].plain is cells.gru


def test_a_compiled_cell_pickles_as_the_cell_it_was_made_of() -> None:
    fast = pickle.loads(pickle.dumps(compiled(cells.lstm, "numpy", "low", 3)))
    assert fast.plain is cells.lstm
    assert (fast.code, fast.memory, fast.every) == ("numpy", "low", 3)


def test_traced_and_complex_values_are_left_to_the_interpreter() -> None:
    fast, p = compiled(cells.lstm), cells.lstm.init(hidden=2, inputs=2)
    xs = np.random.default_rng(0).normal(size=(3, 2)) + 1e-3j
    assert np.array_equal(unroll(fast, p, xs)["h"].data, unroll(cells.lstm, p, xs)["h"].data)
