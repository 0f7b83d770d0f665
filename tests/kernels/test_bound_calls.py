"""Calls of one kind share what was found and made for the first of them, and nothing else."""

from __future__ import annotations

import copy
import gc
import pickle
import sys
import threading
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from compiling import CODES, LENGTHS, TOLERANCE, Problem, everything, problem

from tinygrad_lstm import Tensor, cell, cells, compiled, errors, stack, tanh, unroll
from tinygrad_lstm.kernels import compiled_cell, kernel, memory
from tinygrad_lstm.kernels.kernel import Call, Given, Kernel
from tinygrad_lstm.kernels.packing import Packing

KINDS: list[dict[str, Any]] = [
    {},
    {"initial": False},
    {"lengths": LENGTHS},
    {"lengths": [6, 6, 6]},
    {"lead": ()},
    {"time": 3, "lead": (2,)},
    {"reverse": True},
    {"reverse": True, "lengths": LENGTHS},
    {"lead": (3, 1)},
    {"dtype": np.float32},
]


def same(found: dict[str, Any], expected: dict[str, Any], code: str, dtype: Any) -> None:
    assert found.keys() == expected.keys()
    near = TOLERANCE[code, np.dtype(dtype).char]
    for name, value in expected.items():
        assert (found[name].dtype, found[name].shape) == (value.dtype, value.shape), name
        np.testing.assert_allclose(found[name], value, near, near, err_msg=name)


@pytest.mark.parametrize("memory", ["full", "low"])
@pytest.mark.parametrize("name", ["lstm", "depth_gated", "clockwork"])
@pytest.mark.parametrize("code", CODES)
def test_one_compiled_cell_meets_calls_of_all_kinds_in_turn(
    name: str, memory: str, code: str
) -> None:
    plain = cells.all()[name]
    fast = compiled(plain, code, memory)
    for seed in (1, 2, 3):
        for kind in KINDS if memory == "full" else KINDS[:3] + KINDS[7:8]:
            given = problem(plain, seed=seed, **kind)
            same(everything(fast, given), everything(plain, given), code, given.xs.dtype)


@pytest.mark.parametrize("code", CODES)
def test_what_a_run_computed_outlives_the_next_runs(code: str) -> None:
    fast = compiled(stack([cells.lstm, cells.gru]), code)
    problems = [problem(fast, seed=seed) for seed in range(4)]
    found, copies = [], []
    for given in problems:
        run, leaves = given.run(fast)
        seen = [run["1.f"], run["2.h"], run.final["1.C"], run.steps[2]["1.i"]]
        (run[run.names[-1]] * run["1.f"].sum()).sum().backward()
        seen += [leaf.grad for leaf in leaves.values() if leaf.grad is not None]
        assert len(seen) > 10
        found.append([part.data for part in seen])  # the runs themselves go
        copies.append([part.numpy() for part in seen])
    for arrays, kept in zip(found, copies, strict=True):
        for array, value in zip(arrays, kept, strict=True):
            np.testing.assert_array_equal(array, value)
            with pytest.raises(ValueError):
                array.flags.writeable = True


@pytest.mark.parametrize("code", CODES)
def test_two_losses_of_one_run_have_gradients_of_their_own(code: str) -> None:
    given = problem(cells.lstm)
    run, leaves = given.run(compiled(cells.lstm, code))
    plain, expected = given.run(cells.lstm)
    (run["h"] ** 2).sum().backward()
    first = {n: leaf.grad for n, leaf in leaves.items()}
    kept = {n: g.numpy() for n, g in first.items() if g is not None}
    run["C"].sum().backward()  # an adjoint that was not expected: another kernel
    (run["h"] * 3.0).sum().backward()
    for loss, own in (((plain["h"] ** 2).sum(), kept), ((plain["h"] * 3.0).sum(), None)):
        loss.backward()
        for name, leaf in expected.items():
            found = own[name] if own else leaves[name].grad.data  # type: ignore[union-attr]
            np.testing.assert_allclose(found, leaf.grad.data, 1e-10, 1e-12)  # type: ignore[union-attr]
    for name, gradient in first.items():
        np.testing.assert_array_equal(gradient.data, kept[name])  # type: ignore[union-attr]


@pytest.mark.parametrize("code", CODES)
def test_a_second_call_plans_checks_and_makes_nothing(
    code: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    fast, given = compiled(cells.lstm, code), problem(cells.lstm, initial=False)
    p = cells.lstm.bind(given.parameters)

    def once() -> Any:
        (unroll(fast, p, given.xs)["h"] ** 2).sum().backward()
        return p.W_f.grad

    first = once()

    def never(*arguments: Any, **options: Any) -> Any:
        raise AssertionError("found once")

    for owner, name in (
        (compiled_cell, "plan_step"),
        (compiled_cell, "seeds_expected"),
        (compiled_cell, "Bound"),
        (kernel, "carved"),
        (Kernel, "__init__"),
        (Call, "__init__"),
        (type(cells.lstm), "infer_sizes"),
    ):
        monkeypatch.setattr(owner, name, never)
    np.testing.assert_array_equal(once().data, first.data)
    with pytest.raises(AssertionError, match="found once"):
        unroll(fast, p, given.xs[:3])


@pytest.mark.parametrize("code", CODES)
def test_threads_that_call_one_cell_share_no_memory(code: str) -> None:
    plain = cells.gru
    fast = compiled(plain, code)
    problems = [problem(plain, seed=seed, lead=(2,)) for seed in range(6)]
    expected = [everything(plain, given) for given in problems]
    wrong: list[str] = []
    switch = sys.getswitchinterval()

    def work(k: int) -> None:
        for _ in range(5):
            found = everything(fast, problems[k])
            for name, value in expected[k].items():
                if not np.allclose(found[name], value, 1e-9, 1e-11):
                    wrong.append(f"{k}: {name}")

    try:
        sys.setswitchinterval(1e-4)
        threads = [threading.Thread(target=work, args=(k,)) for k in range(len(problems))]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        sys.setswitchinterval(switch)
    assert not wrong


@pytest.mark.parametrize("code", CODES)
def test_changed_numbers_kinds_and_wishes_are_seen(code: str) -> None:
    given = problem(cells.lstm, initial=False)
    fast, p = compiled(cells.lstm, code), cells.lstm.bind(given.parameters)
    before = unroll(fast, p, given.xs)["h"].numpy()
    weights: Any = p.W_f._data
    weights.flags.writeable = True  # as an optimiser does that works in place
    weights[...] *= 2.0
    weights.flags.writeable = False
    after = unroll(fast, p, given.xs)["h"].numpy()
    assert abs(after - before).max() > 1e-3
    np.testing.assert_allclose(after, unroll(cells.lstm, p, given.xs)["h"].data, 1e-10, 1e-12)

    xs = given.xs.copy()
    first = unroll(fast, p, xs)["h"]
    xs[...] = 0.0  # the caller's array is the caller's
    np.testing.assert_array_equal(first.data, after)

    wanted = Tensor(given.xs)
    unroll(fast, p, wanted)["h"].sum().backward()
    assert wanted.grad is not None
    constants = p.on({"W_f": p.W_f.detach()})
    p.W_i.backward(np.zeros(p.W_i.shape))
    unroll(fast, constants, given.xs)["h"].sum().backward()
    assert constants.W_f.grad is None and constants.W_i.grad is not None
    short = cells.lstm.bind({n: t.numpy().astype(np.float32) for n, t in p.items()})
    run = unroll(fast, short, given.xs.astype(np.float32))
    assert run["h"].dtype == np.float32
    assert unroll(fast, short, given.xs)["h"].dtype == np.float64
    np.testing.assert_allclose(run["h"].data, after, 1e-4, 1e-5)


@pytest.mark.parametrize("code", CODES)
def test_errors_are_those_of_a_first_call(code: str) -> None:
    given = problem(cells.lstm, initial=False)
    fast, p = compiled(cells.lstm, code), cells.lstm.bind(given.parameters)
    unroll(fast, p, given.xs)
    spoilt = given.xs.copy()
    spoilt[3, 1, 2] = np.nan
    wrong = [
        {"xs": spoilt},
        {"xs": given.xs[..., :-1]},
        {"xs": given.xs.astype(int)},
        {"xs": given.xs, "initial": {"z": given.xs[0]}},
        {"xs": given.xs, "initial": {"h": given.xs[0, :, :2]}},
        {"xs": given.xs, "lengths": [1, 2, 7]},
        {"xs": given.xs, "seed": True},
        {"xs": given.xs, "target": given.xs},
    ]
    for arguments in wrong:
        said = []
        for network in (cells.lstm, fast):
            with pytest.raises(errors.TinygradError) as caught:
                unroll(network, p, **arguments)
            said.append((type(caught.value), str(caught.value)))
        assert said[0] == said[1]
        unroll(fast, p, given.xs)


@pytest.mark.parametrize("code", CODES)
def test_copies_of_a_compiled_cell_call_for_themselves(code: str) -> None:
    fast, given = compiled(cells.gru, code), problem(cells.gru)
    expected = everything(fast, given)
    for other in (pickle.loads(pickle.dumps(fast)), copy.deepcopy(fast), copy.copy(fast)):
        same(everything(other, given), expected, code, float)
        same(
            everything(other, replace(given, reverse=True)),
            everything(cells.gru, replace(given, reverse=True)),
            code,
            float,
        )


# --- a call of one's own --------------------------------------------------------------------------
@pytest.mark.parametrize("code", CODES)
def test_a_call_of_ones_own_writes_gradients_where_it_is_told(code: str) -> None:
    fast, given = compiled(cells.lstm, code), problem(cells.lstm)
    time, batch = given.xs.shape[:2]
    program = cells.lstm.program(inputs=given.xs.shape[-1], hidden=given.initial["h"].shape[-1])
    made = fast.kernel(program, float, frozenset({"h"}), frozenset({"x"}), frozenset())
    flat = np.full(sum(a.size for a in given.parameters.values()), np.nan)
    views, start = {}, 0
    for name, array in given.parameters.items():
        views[name] = flat[start : start + array.size].reshape(array.shape)
        start += array.size
    own = Call(made, time, batch)
    for seed in (0, 1):
        random = np.random.default_rng(seed)
        weights = {n: random.normal(size=a.shape) for n, a in given.parameters.items()}
        G = random.normal(size=(time, batch, given.initial["h"].shape[-1]))
        read = Given(weights, {"x": given.xs})
        own.forward(read, given.initial)
        loss = float((own.equation("h") * G).sum())
        _, inputs, initial = own.backward(read, {"h": G}, {"C": given.initial["C"]}, into=views)
        run, leaves = replace(given, parameters=weights).run(cells.lstm)
        (total := (run["h"] * G).sum()).backward()
        assert loss == pytest.approx(total.item(), rel=1e-10)
        with_end = (run["h"] * G).sum() + (run.final["C"] * given.initial["C"]).sum()
        with_end.backward()
        expected = {n: leaf.grad.data for n, leaf in leaves.items()}  # type: ignore[union-attr]
        found = {**views, "xs": inputs["x"], **{f"initial {n}": v for n, v in initial.items()}}
        for name, value in expected.items():
            np.testing.assert_allclose(found[name], value, 1e-9, 1e-11, err_msg=name)
    assert np.isfinite(flat).all()


@cell(state="h", parameters={"W": "hidden, 2 * hidden", "U": "hidden, hidden", "b": "hidden"}, x="")
def overlapping(now, prev, x, p):
    """Parts of W that overlap or are left out, whole parameters, and one that is computed."""
    now.a = p.W[:, :3] @ prev.h + p.b + p.W[:, 1:4] @ tanh(prev.h)
    now.h = tanh(p.U @ (now.a + p.b) + x) + p.W[0, :3]


@cell(state="h", parameters={"W": "hidden, hidden", "s": "", "b": "hidden"}, x="hidden")
def scaled(now, prev, x, p):
    """Weights that are made of parameters by more than cutting and joining."""
    now.h = tanh((p.W * p.s) @ prev.h + p.W.T @ x + p.b)


@pytest.mark.parametrize("plain", [overlapping, scaled], ids=str)
@pytest.mark.parametrize("code", CODES)
def test_gradients_are_gathered_from_all_parts(plain: Any, code: str) -> None:
    random = np.random.default_rng(3)
    sizes = {"hidden": 3}
    p = {n: random.normal(size=t.shape) * 0.5 for n, t in plain.init(**sizes).items()}
    xs = random.normal(size=(4, 2, 3) if plain is scaled else (4, 2))
    fast = compiled(plain, code)
    for _ in range(3):
        given = Problem(p, xs, {"h": random.normal(size=(2, 3))})
        same(everything(fast, given), everything(plain, given), code, float)


def test_a_packed_weight_is_parts_of_parameters_or_a_program() -> None:
    once = compiled(cells.lstm).plan(inputs=3, hidden=4).once
    packing = Packing(once, np.dtype(float), once.outputs)
    random = np.random.default_rng(0)
    p = {n: random.normal(size=t.shape) for n, t in once.inputs.items()}
    packed = {n: np.full(t.shape, np.nan) for n, t in once.outputs.items()}
    packing.pack(p, packed)
    for name, value in once.run(**p).items():
        if name in packed:
            np.testing.assert_array_equal(packed[name], value)
    back = packing.unpack(p, packed)  # each entry has one place: there and back
    assert back.keys() == p.keys()
    for name, value in p.items():
        np.testing.assert_array_equal(back[name], value)


# --- lending --------------------------------------------------------------------------------------
class Thing:
    def __init__(self, key: Any, size: int) -> None:
        self.key, self.block, self.nbytes = key, np.zeros(size, np.uint8), size
        self.cleared = 0

    def clear(self) -> None:
        self.cleared += 1


def test_what_is_lent_comes_back_when_its_last_view_goes() -> None:
    lending, made = memory.Lending(), list[Thing]()

    def make() -> Thing:
        made.append(Thing("a", 100))
        return made[-1]

    first, block = lending.lend("a", make)
    view = block[10:20].reshape(2, 5)
    assert lending.lend("a", make)[0] is not first  # and is given back at once
    del block
    gc.collect()
    assert lending.lend("b", lambda: Thing("b", 10))[0].key == "b"
    assert first.cleared == 0
    del view
    assert first.cleared == 1
    known = {id(lending.lend("a", make)[0]) for _ in range(5)}
    assert len(made) == 2 and known <= {id(thing) for thing in made}


def test_what_waits_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    lending = memory.Lending()
    for k in range(40):
        lending.lend(k, lambda k=k: Thing(k, 10))  # type: ignore[misc]
    assert len(lending._waiting) == 8
    monkeypatch.setattr(memory, "_BYTES", 100)
    for k in range(40):
        lending.lend(k, lambda k=k: Thing(-k, 60))  # type: ignore[misc]
        assert len(lending._waiting) == 1
