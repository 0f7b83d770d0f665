"""The stepper's trace: the engine's numbers, and arithmetic that can be checked by hand."""

from __future__ import annotations

import ast
import math
import operator
import re

import numpy as np
import pytest
from problems import further, sizes_of

import tinygrad_lstm as tl
from tinygrad_lstm import (
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
from tinygrad_lstm.stepper.trace import Trace
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
