"""The stepper's trace: the engine's numbers, and arithmetic that can be checked by hand."""

from __future__ import annotations

import ast
import json
import math
import operator
import re

import numpy as np
import pytest
from problems import further, sizes_of

import tinygrad_lstm as tl
from tinygrad_lstm import (
    Program,
    Tensor,
    cell,
    cells,
    concat,
    matvec,
    ops,
    sigmoid,
    step_through,
    tanh,
    unroll,
)
from tinygrad_lstm.errors import ShapeError, TinygradError, UnknownNameError
from tinygrad_lstm.stepper.breakpoints import BreakpointError
from tinygrad_lstm.stepper.trace import Trace, to_json
from tinygrad_lstm.tensor import TABLE, apply


@cell(state="a b c", parameters={"W": "hidden, 2 * hidden + inputs", "v": "hidden"})
def braid(now, prev, x, p):
    """Three states that pass each other on."""
    pre = matvec(p.W, concat(prev.a, prev.b, x))
    now.gate = sigmoid(pre)
    now.c = now.gate * prev.b + (1 - now.gate) * tanh(pre * p.v)
    now.a = prev.c - now.c * now.c
    now.b = prev.a / (2 + now.gate)


CELLS = {**cells.all(), "braid": braid}


def small_trace(name: str, digits: int = 4, steps: int = 3, lead: tuple[int, ...] = ()) -> Trace:
    chosen, random = CELLS[name], np.random.default_rng(1)
    sizes = sizes_of(chosen)
    p = chosen.init(**sizes, seed=2)
    initial = {s: Tensor(random.normal(size=(*lead, 2))) for s in chosen.state}
    xs = Tensor(random.normal(size=(steps, *lead, sizes[chosen.x])), "xs")
    given = {n: Tensor(v, n) for n, v in further(chosen, sizes, steps, *lead).items()}
    run = unroll(chosen, p, xs, initial, **given)
    loss = sum((run[s] * run[s]).sum() for s in chosen.state)
    return step_through(loss, digits=digits)


# --- arithmetic as a reader would do it ---------------------------------------------------------
SIGNS = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.Pow: operator.pow,
    ast.USub: operator.neg,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
}
FUNCTIONS = {
    "sigmoid": lambda x: 1 / (1 + math.exp(-x)),
    "tanh": math.tanh,
    "exp": math.exp,
    "log": math.log,
    "sqrt": math.sqrt,
    "sin": math.sin,
    "cos": math.cos,
    "abs": abs,
    "max": max,
    "min": min,
    "relu": lambda x: max(x, 0.0),
    "softplus": lambda x: math.log(1 + math.exp(x)),
    "where": lambda c, a, b: a if c else b,
    "clip": lambda x, low=-math.inf, high=math.inf: min(max(x, low), high),
    "expm1": math.expm1,
    "log1p": math.log1p,
    "erf": math.erf,
    "floor": math.floor,
    "sign": lambda x: (x > 0) - (x < 0),
    "mod": lambda a, b: a % b,
    "softsign": lambda x: x / (1 + abs(x)),
    "silu": lambda x: x / (1 + math.exp(-x)),
    "gelu": lambda x: 0.5 * x * (1 + math.erf(x / math.sqrt(2))),
}
TO_PYTHON = str.maketrans(
    {
        **{"−": "-", "×": "*", "²": "**2", "^": "**", "σ": "sigmoid", "√": "sqrt"},
        **{"[": "(", "]": ")", "≥": ">=", "≠": "!=", "∞": "1e999"},
    }
)


def value_of(node: ast.AST) -> float:
    """The value of an expression."""
    match node:
        case ast.Expression(body):
            return value_of(body)
        case ast.Constant(number):
            return float(number)
        case ast.UnaryOp(op, operand):
            return SIGNS[type(op)](value_of(operand))
        case ast.BinOp(left, op, right):
            return SIGNS[type(op)](value_of(left), value_of(right))
        case ast.Compare(left, [op], [right]):
            return SIGNS[type(op)](value_of(left), value_of(right))
        case ast.Call(ast.Name(name), args, words):
            options = {w.arg: value_of(w.value) for w in words}
            return FUNCTIONS[name](*map(value_of, args), **options)
    raise AssertionError(f"not arithmetic: {ast.dump(node)}")


def check_by_hand(line: str, digits: int) -> None:
    """Recompute a printed line: the numbers that are shown must give the result that is shown."""
    line = re.sub(r"\|(.*?)\|", r"abs(\1)", line)
    _, *middle, result = line.replace(" += ", " = ").translate(TO_PYTHON).split(" = ")
    if not middle or "≈" in line:
        return  # a number that is only passed on, or numbers that cancel
    tree = ast.parse(middle[0], mode="eval")
    exact = value_of(tree)
    near = [f"{exact * (1 + noise):.{digits}g}" for noise in (0.0, 1e-13, -1e-13)]
    assert float(result) in map(float, near) or exact == float(result) == 0.0, line


def all_lines(trace: Trace) -> list[str]:
    return [line for event in trace for line in (*event.numbers, *event.sum_numbers)]


@pytest.mark.sample(2)
@pytest.mark.parametrize("digits", [4, 10])
@pytest.mark.parametrize("name", CELLS)
def test_every_line_can_be_checked_by_hand(name: str, digits: int) -> None:
    lines = all_lines(small_trace(name, digits))
    assert len(lines) > 100
    assert sum("≈" in line for line in lines) <= len(lines) / 100
    for line in lines:
        check_by_hand(line, digits)


def test_a_batch_can_be_checked_by_hand() -> None:
    lines = all_lines(small_trace("lstm", 8, steps=2, lead=(2,)))
    assert any(" more entries" in line for line in lines) is False
    for line in lines:
        check_by_hand(line, 8)


def test_the_check_by_hand_finds_a_wrong_digit() -> None:
    check_by_hand("v[0] = 0.5×0.25 + (−0.3)×2 = −0.475", 4)
    with pytest.raises(AssertionError):
        check_by_hand("v[0] = 0.5×0.25 + (−0.3)×2 = −0.476", 4)
    with pytest.raises(AssertionError):
        check_by_hand("v[0] += 0.5 × (1 − 0.5) = 0.251", 4)


def test_numbers_that_cancel_are_marked() -> None:
    a, b = Tensor([1.0 + 1e-13, 1.0 + 1e-6], "a"), Tensor([1.0, 1.0], "b")
    numbers = step_through((a - b).sum())[0].numbers
    assert numbers == ["v1[0] = 1 − 1 ≈ 9.992e−14", "v1[1] = 1.000001 − 1 = 1e−06"]


def shapes_for(op: str) -> list[tuple[tuple[tuple[int, ...], ...], dict[str, object]]]:
    operation = TABLE[op]
    if operation.examples:
        return list(operation.examples)
    if operation.signature == "elementwise":
        count = 3 if op == "where" else 1 if callable(operation.derivatives) else None
        count = count or len(operation.derivatives)
        return [(((2, 3),) * count, {}), (((2, 3), (3,), (2, 1))[:count], {})]
    sizes = {"m": 2, "n": 3, "k": 4}
    cores = operation.signature.partition("->")[0].strip("()").split("),(")
    shapes = tuple(tuple(sizes[a] for a in core.split(",")) for core in cores)
    return [(shapes, {}), (tuple((2, *s) for s in shapes), {})]


OWN = {*vars(ops)["__all__"], "identity", "scatter", "stack"}  # not those of a cell's file


@pytest.mark.parametrize(
    "op", [n for n, row in TABLE.items() if row.signature != "whole" and n in OWN]
)
def test_every_operation_can_be_checked_by_hand(op: str) -> None:
    low, high = TABLE[op].domain
    for shapes, attributes in shapes_for(op):
        random = np.random.default_rng(5)
        operands = [Tensor(random.uniform(low, high, s), "abc"[k]) for k, s in enumerate(shapes)]
        if op == "where":
            operands[0] = operands[0] > 0.0
        result = apply(op, *operands, **attributes)
        trace = step_through((result * random.normal(size=result.shape)).sum(), digits=9)
        assert op in {event.operation for event in trace}
        for line in all_lines(trace):
            if " more " not in line:
                check_by_hand(line, 9)


# --- the numbers are the engine's ---------------------------------------------------------------
@pytest.mark.parametrize("name", CELLS)
def test_the_last_sum_is_the_engines_adjoint(name: str) -> None:
    trace = small_trace(name)
    root = trace.operations[-1]
    root.backward()
    assert {n for n in trace.terms if n.name} >= {n for n in trace.given if n.requires_grad}
    for node, events in trace.terms.items():
        assert node.grad is not None
        last = trace[events[-1]]
        assert last.finished and last.subject is node
        np.testing.assert_array_equal(last.value, node.grad.data)
        np.testing.assert_array_equal(trace.gradient_at(node, len(trace))[1], node.grad.data)


def test_going_back_gives_the_same_sums() -> None:
    there = [event.value for event in small_trace("lstm")]
    trace = small_trace("lstm")
    back = [trace[k].value for k in reversed(range(len(trace)))][::-1]
    for one, other in zip(there, back, strict=True):
        np.testing.assert_array_equal(one, other)


def test_rnn_with_one_unit_by_hand() -> None:
    w, u, b, x1, x2 = 0.5, 0.8, 0.1, 1.0, -0.4
    p = cells.rnn.bind({"W": np.array([[w, u]]), "b": np.array([b])})
    run = unroll(cells.rnn, p, np.array([[x1], [x2]]))
    trace = step_through(run.final["h"].sum())
    h1 = math.tanh(u * x1 + b)
    h2 = math.tanh(w * h1 + u * x2 + b)
    a2 = 1 - h2 * h2
    a1 = a2 * w * (1 - h1 * h1)
    end = trace.state_at(-1)
    assert end.value("h_1") == pytest.approx(h1)
    assert end.value("h@2") == pytest.approx(h2)
    assert end.gradient("h_1") == pytest.approx(a2 * w)
    assert end.gradient("b") == pytest.approx(a2 + a1)
    np.testing.assert_allclose(end.gradient("W"), [[a2 * h1, a2 * x2 + a1 * x1]])
    growing = [trace[k] for k in trace.terms[p.W]]
    assert [(e.time, e.term, e.of_terms) for e in growing] == [(2, 1, 2), (1, 2, 2)]
    np.testing.assert_allclose(growing[0].value, [[a2 * h1, a2 * x2]])
    np.testing.assert_allclose(growing[1].contribution, [[0.0, a1 * x1]])


def test_a_fork_is_summed_term_by_term() -> None:
    a = Tensor([1.0, -2.0], "a")
    b = a + a
    c = b + b
    trace = step_through((c * c).sum())
    np.testing.assert_array_equal(trace.state_at(-1).gradient("a"), 32 * a.data)
    first, second = (trace[k] for k in trace.terms[a])
    assert (first.rule, second.rule) == ("ā = v̄1", "ā += v̄1")
    np.testing.assert_array_equal(first.value, [16, -32])
    assert second.sum_numbers == ["ā[0] = 16 + 16 = 32", "ā[1] = −32 + (−32) = −64"]


def test_terms_are_told_by_their_equations_as_they_come() -> None:
    trace = small_trace("lstm", steps=2)
    so_far: dict[str, list[str]] = {}
    for event in trace:
        if event.direction == "backward":
            terms = so_far.setdefault(event.name, [])
            terms.append(event.equation)
            assert event.terms_text == f"from {', '.join(terms[-8:])}"
    assert so_far["W̄_f"] == ["f_2", "f_1"] and so_far["C̄_1"] == ["y", "C_2", "h_1"]


def test_a_long_sum_is_what_came_before_and_this() -> None:
    a = Tensor(0.5, "a")
    total = a * 1.0
    for k in range(2, 13):
        total = total + a * float(k)
    events = [e for e in step_through(total) if e.subject is a]
    assert len(events) == 12
    assert events[7].sum_numbers[0].count(" + ") == 7
    assert events[8].sum_numbers == ["ā = 68 + 4 = 72"]
    assert events[-1].value == 78


# --- what is written ----------------------------------------------------------------------------
def test_the_lstm_in_symbols() -> None:
    trace = small_trace("lstm")
    rules = {event.rule for event in trace}
    for rule in (
        "v1 = [h_0, x_1]",
        "v2 = W_f·v1",
        "v3 = v2 + b_f",
        "f_1 = σ(v3)",
        "v̄3 = f̄_1 ⊙ f_1 ⊙ (1 - f_1)",
        "W̄_f += v̄2 ⊗ v1",
        "v̄1 += W_fᵀ·v̄2",
        "h̄_0 = v̄1[:2]",
        "x̄_1 = v̄1[2:3]",
    ):
        assert rule in rules, rule
    assert trace.equations()["f_1"] == "σ(W_f·[h_0, x_1] + b_f)"
    assert trace.equations()["C_2"] == "f_2 ⊙ C_1 + i_2 ⊙ C̃_2"
    shared = next(e for e in trace if e.rule == "v1 = [h_0, x_1]")
    assert (shared.equation, shared.time) == ("f_1", 1)  # the first equation that needs it


def test_an_event_as_text() -> None:
    x, w = Tensor([0.5, -1.0], "x"), Tensor([2.0, 0.25], "w")
    trace = step_through(tl.vecdot(tanh(x * w), w))
    assert str(trace[1]) == (
        "[2/9] forward, y: tanh gives v2, on the way to y.\n"
        "    v2 = tanh(v1)\n"
        "      with v1 = [1 −0.25]   (x ⊙ w)\n"
        "      v2[0] = tanh(1) = 0.7616\n"
        "      v2[1] = tanh(−0.25) = −0.2449\n"
        "    v2 = [0.7616 −0.2449]"
    )
    assert str(trace[-1]) == (
        "[9/9] backward, y: The gradient of v1 goes back through multiply to w: term 2 of 2.\n"
        "    w̄ += v̄1 ⊙ x\n"
        "      upstream v̄1 = [0.8399 0.235]\n"
        "      local ∂v1/∂w = x = [0.5 −1]\n"
        "      with x = [0.5 −1]\n"
        "      w̄[0] += 0.83995 × 0.5 = 0.42\n"
        "      w̄[1] += 0.235 × (−1) = −0.235\n"
        "      sum of 2 terms, from y, y\n"
        "      w̄[0] = 0.7616 + 0.42 = 1.182\n"
        "      w̄[1] = −0.2449 + (−0.235) = −0.4799\n"
        "    w̄ = [1.182 −0.4799]"
    )


def test_a_large_value_is_shown_in_part() -> None:
    trace = step_through((Tensor(np.ones((10, 10)), "A") * 2.0).sum())
    assert trace[0].numbers[-1] == "… and 76 more entries"
    assert trace[1].numbers == ["y = 2 + 2 + 2 + … 95 more … + 2 + 2 = 200"]


# --- moving about -------------------------------------------------------------------------------
def test_moving_by_equation_time_and_pass() -> None:
    trace = small_trace("lstm", steps=2)
    names, k = [trace[0].name], 0
    for _ in range(6):
        k = trace.next(k, "equation")
        names.append(trace[k].name)
    assert names == ["x_1", "f_1", "i_1", "C̃_1", "C_1", "o_1", "h_1"]
    k = trace.find("h_1")
    assert k is not None
    assert trace[trace.back(k, "equation")].name == "o_1"
    assert trace[trace.next(k, "time")].name == "h_2"
    assert trace.next(k, "pass") == len(trace.operations) - 1
    assert trace.next(len(trace) - 1, "time") == len(trace) - 1
    assert trace.back(0, "time") == trace.back(0) == 0
    across = trace[trace.across(k)]
    assert across.direction == "backward" and across.node is trace[k].node
    assert trace.across(across.index) == k
    with pytest.raises(UnknownNameError, match="goes by operation, equation, time, pass, not by"):
        trace.next(0, "step")


def test_a_trace_is_a_sequence() -> None:
    trace = small_trace("gru")
    assert [event.index for event in trace] == list(range(len(trace)))
    assert trace[-1].index == len(trace) - 1
    assert [e.index for e in trace[2:5]] == [2, 3, 4]
    with pytest.raises(IndexError):
        trace[len(trace)]


def test_breakpoints() -> None:
    trace = small_trace("lstm")

    def at(condition: str, start: int = -1) -> tuple[str, str, int | None]:
        found = trace.find(condition, start)
        assert found is not None
        return trace[found].direction, trace[found].name, trace[found].time

    assert at("f") == ("forward", "f_1", 1)
    assert at("f@2") == at("f_2") == ("forward", "f_2", 2)
    assert at("f", trace.find("f@3")) == ("backward", "f̄_3", 3)
    assert at("W_f") == ("backward", "W̄_f", 3)
    assert trace[trace.find("t = 2")].time == 2
    assert at("backward")[:2] == ("backward", "ȳ")
    assert trace.find("nan") is None and trace.find("inf") is None
    found = trace[trace.find("|C|>0.1")]
    assert found.name.startswith("C_") and np.abs(found.value).max() > 0.1
    found = trace[trace.find("|grad| < 0.05")]
    assert found.finished and np.abs(found.value).max() < 0.05
    found = trace[trace.find("|grad C@1|>0")]
    assert (found.name, found.finished) == ("C̄_1", True)
    assert trace.find("t=9") is None


def test_nan_and_inf_are_found() -> None:
    a = Tensor([0.0, 1.0], "a")
    with np.errstate(all="ignore"):
        trace = step_through((tl.log(a) * a).sum())
        assert trace[trace.find("inf")].name == "v1"
        assert trace[trace.find("nan")].name == "v2"
        saved = json.loads(to_json(trace))
    assert saved["events"][0]["result"]["value"] == ["-inf", 0.0]


@pytest.mark.parametrize(
    ("condition", "message"),
    [
        ("f=", "cannot read the breakpoint 'f='"),
        ("", "no breakpoint given"),
        ("|f|>x", "cannot read the limit 'x' in the breakpoint '|f|>x'"),
        ("||>2", "'||>2' names no value"),
        ("__import__('os')", "there is no value \"__import__('os')\" here; there are W_f"),
        ("f@9", "there is no f@9: f is here at time steps 1 to 3."),
        ("W_f@1", "there is no W_f@1: W_f is here without a time."),
    ],
)
def test_a_bad_breakpoint(condition: str, message: str) -> None:
    with pytest.raises(TinygradError) as caught:
        small_trace("lstm").find(condition)
    assert str(caught.value).startswith(message)
    if isinstance(caught.value, BreakpointError) and "limit" not in message:
        assert "|grad|<1e-3" in str(caught.value)


def test_what_is_known_at_a_point() -> None:
    trace = small_trace("lstm")
    k = trace.find("C_2")
    assert k is not None
    state = trace.state_at(k)
    assert state.value("C_1") is not None and state.value("C_3") is None
    assert state.gradient("C_1") is None
    assert "C_3 = ·   C̄_3 = ·" in str(state)
    assert trace.state_at(k - 1).value("C_2") is None
    half = trace.state_at(trace.terms[trace.lookup("W_f")[0]][0])
    assert half.watch("W_f").endswith(" (1 of 3 terms)")
    with pytest.raises(UnknownNameError, match="f has a value at each time step; say which: f_1,"):
        state.value("f")


# --- other ways in and out ----------------------------------------------------------------------
def test_json_keeps_every_digit() -> None:
    trace = small_trace("lstm")
    saved = json.loads(to_json(trace))
    assert len(saved["events"]) == len(trace)
    for event, found in zip(trace, saved["events"], strict=True):
        assert (found["pass"], found["time"]) == (event.direction, event.time)
        np.testing.assert_array_equal(found["result"]["value"], event.value)
        if event.direction == "backward":
            before = found["sum"]["before"] or 0.0
            np.testing.assert_array_equal(np.add(before, found["contribution"]), event.value)
        else:
            assert found["sum"] is found["upstream"] is found["local"] is None


def test_a_program_on_arrays_agrees_with_its_gradient() -> None:
    program = cells.lstm.program(inputs=1, hidden=2)
    random = np.random.default_rng(3)
    arrays = {name: random.normal(size=t.shape) for name, t in program.inputs.items()}
    seed = {"h": np.array([1.0, -2.0]), "C": np.array([0.5, 0.0])}
    trace = step_through(program, arrays, seed=seed)
    expected = program.gradient().run(**arrays, seed=seed)
    end = trace.state_at(-1)
    for name in program.inputs:
        label = {"prev.h": "h_{t-1}", "prev.C": "C_{t-1}"}.get(name, name)
        np.testing.assert_allclose(end.gradient(label), expected[name], rtol=1e-14)
    assert trace.equations()["f"] == "σ(W_f·[h_{t-1}, x_t] + b_f)"
    np.testing.assert_array_equal(end.value("C"), program.run(**arrays)["C"])


def test_a_gradient_program_is_a_program_too() -> None:
    program = cells.rnn.program(inputs=1, hidden=1).gradient("W", "h")
    arrays = {"x": [0.4], "prev": {"h": [0.2]}, "W": [[0.5, 1.0]], "b": [0.1], "seed": {"h": [1.0]}}
    trace = step_through(program, arrays)
    known = trace.state_at(-1).value("W̄")
    h = math.tanh(0.5 * 0.2 + 0.4 + 0.1)
    np.testing.assert_allclose(known, [[(1 - h * h) * 0.2, (1 - h * h) * 0.4]])


def test_errors_name_the_fix() -> None:
    with pytest.raises(ShapeError, match=r"starts backward from one number.*shape \(2,\)"):
        step_through(Tensor([1.0, 2.0]) * 2.0)
    with pytest.raises(ShapeError, match=r"the seed has shape \(3,\)"):
        step_through(Tensor([1.0, 2.0]) * 2.0, seed=np.ones(3))
    with pytest.raises(TinygradError, match="has no value yet"):
        step_through(Tensor.input("x", (1,)))
    with pytest.raises(UnknownNameError, match="lstm has no output 'f'; it has h, C"):
        program = cells.lstm.program(inputs=1, hidden=1)
        step_through(
            program, {k: np.ones(t.shape) for k, t in program.inputs.items()}, seed={"f": 1}
        )
    with pytest.raises(UnknownNameError, match="needs values for x"):
        step_through(Program.trace(lambda x: x * x, x=(1,)))


def test_a_notebook_shows_a_table() -> None:
    bundle = small_trace("rnn")._repr_mimebundle_()
    assert bundle["text/html"].startswith("<table>") and "h_1 = tanh(v" in bundle["text/html"]
    assert bundle["text/plain"].startswith("Trace of ")


def test_a_chain_of_20_000_operations() -> None:
    start = x = Tensor(1.0, "x")
    for _ in range(20_000):
        x = x * 1.00001
    trace = step_through(x)
    assert len(trace) == 40_001
    assert trace[20_000 - 1].name == "y"
    assert trace.find("x", 20_000) == len(trace) - 1
    assert trace[-1].value == pytest.approx(1.00001**20_000)
    assert str(trace[10_000]).splitlines()[1] == "    v10001 = v10000·1"
    assert trace.state_at(-1).gradient("x") == trace[-1].value
    assert trace.next(0, "equation") == 19_999
    assert trace.lookup("x") == [start]
