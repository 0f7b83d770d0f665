"""What SymPy derives, against the engine, against direct differentiation, and line by line."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import equations
import tinygrad_lstm as tg
from equations.derivation import derive
from tinygrad_lstm import (
    Tensor,
    abs,
    cell,
    cells,
    clip,
    concat,
    cos,
    cumsum,
    einsum,
    erf,
    exp,
    expm1,
    floor,
    gelu,
    getitem,
    log,
    log1p,
    log_softmax,
    logsumexp,
    matmul,
    matvec,
    max,
    maximum,
    mean,
    minimum,
    mod,
    outer,
    prod,
    relu,
    sigmoid,
    sign,
    silu,
    sin,
    softmax,
    softplus,
    softsign,
    sqrt,
    stack,
    sum,
    swapaxes,
    tanh,
    unroll,
    var,
    vecdot,
    where,
    with_gradient,
)
from tinygrad_lstm.errors import ShapeError, TinygradError, UnknownNameError
from tinygrad_lstm.step import Cell
from tinygrad_lstm.tensor import Operation, apply

# mypy: disallow-untyped-defs=False, disallow-untyped-calls=False


@cell(
    state="a b m",
    parameters={"W_a W_b": "hidden, hidden + inputs", "U": "hidden, hidden", "alpha": ""},
)
def three_states(now, prev, x, p):
    """Three states, one of which is read by the others before and after it is written."""
    ax = concat(prev.a, x)
    now.g = sigmoid(matvec(p.W_a, ax) + p.alpha * prev.m)
    now.m = now.g * prev.m + (1 - now.g) * tanh(matvec(p.U, prev.b))
    now.a = tanh(matvec(p.W_b, concat(now.m, x))) * exp(-prev.b * prev.b)
    now.b = 0.5 * (now.a + prev.b) / sqrt(1 + now.m**2)


@cell(state="h", parameters={"W": "hidden, hidden + inputs", "b": "hidden"})
def thrice(now, prev, x, p):
    """One value used three times, raw, squared and inside a product; the state used raw, too."""
    now.u = matvec(p.W, concat(prev.h, x)) + p.b
    now.h = now.u * now.u * sigmoid(now.u) + 0.3 * prev.h * tanh(now.u) - prev.h


@cell(
    state="h C", parameters={"W_f W_C": "hidden, hidden + inputs", "p_f p_o": "hidden", "b_f": "1"}
)
def diagonal_peepholes(now, prev, x, p):
    """Peepholes as in 2000: one weight a unit; the output gate sees the new state."""
    hx = concat(prev.h, x)
    now.f = sigmoid(matvec(p.W_f, hx) + p.p_f * prev.C + p.b_f)
    now.C = now.f * prev.C + (1 - now.f) * tanh(matvec(p.W_C, hx))
    now.h = sigmoid(p.p_o * now.C) * tanh(now.C)


@cell(
    state="h",
    parameters={"W_q": "keys, inputs", "W_h": "hidden, hidden + keys"},
    sequences={"noise": "hidden"},
    constants={"memory": "slots, keys"},
)
def reader(now, prev, x, p, noise, memory):
    """Attention to a memory, with noise: further inputs of both kinds."""
    now.w = softmax(matvec(memory, matvec(p.W_q, x)))
    now.r = matvec(swapaxes(memory, -1, -2), now.w)
    now.h = tanh(matvec(p.W_h, concat(prev.h, now.r))) + noise * prev.h


OWN = {c.name: c for c in (three_states, thrice, diagonal_peepholes, reader)}
ALL = {**cells.all(), **OWN}


def pair(
    one: Cell, batch: int | None = None, time: int = 4, reads: tuple[str, ...] = ()
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Gradients of a random loss by the derived equations, and by the engine's backward."""
    random = np.random.default_rng(7)
    program = one.program()
    lead = () if batch is None else (batch,)

    def leaf(name: str, *axes: int) -> Tensor:
        return Tensor(0.7 * random.normal(size=(*axes, *program.inputs[name].shape)))

    p = {name: leaf(name) for name in one.parameters}
    xs = leaf("x", time, *lead)
    initial = {name: leaf(f"prev.{name}", *lead) for name in one.state}
    further = {name: leaf(name, time, *lead) for name in one.sequences}
    further |= {name: leaf(name) for name in one.constants}
    run = unroll(one, p, xs, initial, **further)
    seeds = {name: random.normal(size=run[name].shape) for name in reads or tuple(one.state)}
    loss = Tensor(0.0)
    for name, seed in seeds.items():
        loss = loss + (run[name] * seed).sum()
    loss.backward()
    leaves = {**p, "x": xs, **{f"prev.{n}": t for n, t in initial.items()}, **further}
    engine = {n: np.zeros(t.shape) if t.grad is None else t.grad.data for n, t in leaves.items()}
    arrays = {name: t.data for name, t in further.items()}
    begin = {name: t.data for name, t in initial.items()}
    derived = equations.gradients(
        one, {n: t.data for n, t in p.items()}, xs.data, seeds, begin, **arrays
    )
    return derived, engine


def agree(derived: dict[str, Any], engine: dict[str, Any]) -> None:
    assert derived.keys() == engine.keys()
    for name, expected in engine.items():
        np.testing.assert_allclose(derived[name], expected, rtol=1e-10, atol=1e-10, err_msg=name)


@pytest.mark.parametrize("name", ALL)
def test_derived_equations_agree_with_the_engine(name: str) -> None:
    agree(*pair(ALL[name]))
    agree(*pair(ALL[name], time=2, reads=tuple(ALL[name].program().equations)))


@pytest.mark.parametrize("name", [name for name in ALL if name != "reader"])
def test_a_batch_is_the_sum_of_its_samples(name: str) -> None:
    agree(*pair(ALL[name], batch=2, time=2))


# --- every operation ----------------------------------------------------------------------------
OPERATIONS: dict[str, Any] = {
    "divide power": lambda a, b, M: a / (2 + b * b) + (1.5 + sigmoid(a)) ** b,
    "exp log sqrt": lambda a, b, M: exp(a) * log(2 + b * b) + sqrt(1 + a * a),
    "sqrt, itself": lambda a, b, M: sqrt(3 + a * b * 0.1),
    "root of a square": lambda a, b, M: sqrt(a * a) * b + sqrt(sin(b) ** 2),
    "sin cos": lambda a, b, M: sin(a) * cos(b),
    "softplus relu abs": lambda a, b, M: softplus(a) + relu(b) * abs(a),
    "maximum minimum": lambda a, b, M: maximum(a, b) * minimum(a, 0.3),
    "clip": lambda a, b, M: clip(a * b, -0.2, 0.4) + clip(a, 0.1) + clip(b, None, 0.2),
    "clip at its edges": lambda a, b, M: (
        clip(a - a.detach() - 0.5, -0.5, 1.0) + clip(b - b.detach() + 1.0, -0.5, 1.0)
    ),
    "where": lambda a, b, M: where(a > b, a * a, sin(b)),
    "relations": lambda a, b, M: (a >= b) * a + (a == b) * b + (a != b) * sin(a),
    "matmul transpose": lambda a, b, M: matvec(matmul(M.T, M), a) + matvec(M.transpose(), b),
    "vecdot outer": lambda a, b, M: vecdot(a, b) * a + matvec(outer(a, b), b),
    "concat stack": lambda a, b, M: (
        concat(a[1:], b[:1]) * stack([a, b, a])[1] + sum(stack([a, sin(b)], 1), -1)
    ),
    "concat of the same": lambda a, b, M: matvec(M, a) * concat(a, a)[2:5] + concat(b, a)[1:4],
    "sum mean": lambda a, b, M: a * sum(b) + mean(a * b) + sum(M, 0, keepdims=True)[0],
    "max": lambda a, b, M: a * max(b) + max(outer(a, b), -1),
    "logsumexp": lambda a, b, M: logsumexp(a) * b + logsumexp(M, axis=1),
    "logsumexp, itself": lambda a, b, M: logsumexp(outer(a, b), axis=0),
    "softmax": lambda a, b, M: softmax(a) * log_softmax(b),
    "softmax, itself": lambda a, b, M: softmax(matvec(M, a) + b),
    "log_softmax, itself": lambda a, b, M: log_softmax(a * b),
    "cumsum": lambda a, b, M: cumsum(a * b) * cumsum(M, 0)[2],
    "reshape swapaxes": lambda a, b, M: (a.reshape(3, 1) * swapaxes(M, 0, 1)).reshape(9)[2:5],
    "broadcast_to": lambda a, b, M: sum(apply("broadcast_to", a, shape=(3, 3)) * M, 0),
    "getitem": lambda a, b, M: getitem(a, np.array([0, 2, 2])) * a[::-1] + M[1] + M[:, 0],
    "detach": lambda a, b, M: a.detach() * b,
    "min var": lambda a, b, M: (
        tg.min(a) * b + var(a * b) * a + var(M, axis=0, keepdims=True).sum() * b
    ),
    "prod": lambda a, b, M: prod(M, axis=-1) + prod(a - a[0].detach()) * b + prod(M, (0, 1)) * a,
    "einsum": lambda a, b, M: einsum("ij,jk->ki", M, outer(a, b)) @ a + einsum("ji,i->j", M, b) * a,
    "mod floor sign": lambda a, b, M: mod(a, 2 + b) + floor(3 * a) * b + sign(a) * b * b,
    "erf log1p expm1": lambda a, b, M: erf(a * b) + log1p(a * a) * expm1(b),
    "composites": lambda a, b, M: softsign(a * b) + gelu(a) * silu(b),
    "a derivative of one's own": lambda a, b, M: spike(a * b - 0.1) * a,
    "constants": lambda a, b, M: np.array([1.0, 0.0, 2.0]) * a - b * 2.5 + 1,
    "inside an inside": lambda a, b, M: tanh(matvec(M, tanh(matvec(M, a))) * b) - a,
}


spike = with_gradient(lambda v: v > 0.0, lambda g, y, v: g * (1 + y) / (1 + abs(v)) ** 2, "spike")


@pytest.mark.parametrize("name", OPERATIONS)
def test_every_operation(name: str) -> None:
    def step(now: Any, prev: Any, x: Any, p: Any) -> None:
        now.h = OPERATIONS[name](prev.h + x, p.b, p.M) * 0.5

    shapes = {"M": "3, 3", "b": "3"}
    own = cell(state={"h": "3"}, parameters=shapes, x="3")(step)
    agree(*pair(own, time=3))
    printed = equations.backward(own)
    assert printed.latex() and printed.unicode() and printed.mathml()


def test_the_authors_order_is_kept() -> None:
    @cell(state="h", parameters={"w": "hidden"}, x="hidden")
    def centred(now, prev, x, p):
        z = x - prev.h * p.w
        now.a = tanh(z)
        now.b = 2 * tanh(prev.h - mean(x)) * x
        now.h = sin(x - now.a) + cos(now.b - x) * x

    lines = equations.backward(centred)
    assert lines["bar.w"].unicode() == "w̄ = Σ_t (-ā_t ⊙ h_{t-1} ⊙ (1 - a_t²))"
    assert "(1 - tanh²(h_t - mean(x_{t+1})))" in lines["bar.h"].unicode()
    assert "cos(x_t - a_t)" in lines["bar.a"].unicode()
    assert "sin(b_t - x_t)" in lines["bar.b"].unicode()
    agree(*pair(centred, reads=("h", "a", "b")))


def test_an_unknown_operation_prints_but_is_not_derived(table: dict[str, Operation]) -> None:
    table["my_op"] = Operation(
        "my_op", np.cbrt, (lambda g, y, x: g / (3 * y * y),), "elementwise", (0.5, 2.0), None, ()
    )

    @cell(state="h", x="hidden")
    def own(now, prev, x, p):
        now.h = apply("my_op", x) + prev.h

    assert equations.forward(own).latex() == (
        "\\begin{aligned}\nh_t &= \\mathrm{my\\_op}\\left(x_t\\right) + h_{t-1}\n\\end{aligned}"
    )
    with pytest.raises(TinygradError) as error:
        equations.backward(own)
    assert str(error.value).startswith(
        "cell 'own', equation h: the operation 'my_op' has no derivative here.\n"
        "  It is printed forward, but cannot be derived; known are broadcast_to, concat, "
    )


def test_an_endless_expression_gets_names_for_its_parts() -> None:
    @cell(state="h", x="hidden")
    def doubling(now, prev, x, p):
        value = prev.h + x
        for _ in range(40):  # 2^40 factors
            value = value * value - value
        now.h = 0.5 * value

    lines = equations.forward(doubling)
    assert lines.names[0] == "h_part1" and lines.names[-1] == "h"
    assert all(len(line.unicode()) < 5000 for line in lines)
    before = zip(lines, lines[1:], strict=False)
    assert all(one.left in after.right.free_symbols for one, after in before)


def test_a_deep_expression_gets_names_for_its_parts() -> None:
    @cell(state="h", x="hidden")
    def deep(now, prev, x, p):
        now.h_part1 = 0.9 * x  # a name that is taken
        value = prev.h + now.h_part1
        for _ in range(100):
            value = tanh(value) + 0.1
        now.h = value

    names = equations.forward(deep).names
    assert names[:2] == ["h_part1", "h_part2"] and names[-1] == "h"
    agree(*pair(deep, reads=("h", "h_part1")))
    assert all(step.error < 1e-10 for step in derive(deep, "x"))


def test_an_equation_may_have_the_name_of_an_input() -> None:
    @cell(state="h", parameters={"W": "hidden, hidden", "s": "hidden"}, x="hidden")
    def twins(now, prev, x, p):
        now.x = x + prev.h
        now.s = p.s * now.x
        now.h = matvec(p.W, now.s)

    assert equations.forward(twins).unicode() == (
        "x_t = x^(in)_t + h_{t-1}\ns_t = s^(in) ⊙ x_t\nh_t = W·s_t"
    )
    lines = equations.backward(twins)
    assert lines["bar.s"].unicode() == "s̄_t = Wᵀ·h̄_t"
    assert lines["bar.input.s"].unicode() == "s̄^(in) = Σ_t s̄_t ⊙ x_t"
    agree(*pair(twins, reads=("h", "x", "s")))


# --- as printed ---------------------------------------------------------------------------------
def test_the_textbook_lines() -> None:
    lines = equations.backward(cells.lstm)
    expected = {
        "bar.o": r"\bar{o}_t = \bar{h}_t \odot \tanh\left(C_t\right)",
        "delta.o": r"\delta^{o}_t = \bar{o}_t \odot o_t \odot \left(1 - o_t\right)",
        "bar.C": r"\bar{C}_t = \bar{h}_t \odot o_t \odot \left(1 - \tanh^2\left(C_t\right)\right)"
        r" + \bar{C}_{t+1} \odot f_{t+1}",
        "delta.C_tilde": r"\delta^{\tilde{C}}_t = \bar{\tilde{C}}_t \odot "
        r"\left(1 - \tilde{C}_t^2\right)",
        "bar.W_f": r"\bar{W}_f = \sum_{t} \delta^{f}_t \otimes [h_{t-1}, x_t]",
        "bar.b_f": r"\bar{b}_f = \sum_{t} \delta^{f}_t",
    }
    assert {name: lines[name].latex() for name in expected} == expected
    both = equations.backward(cells.lstm, loss="h C")["bar.C"].unicode()
    assert both == "C̄_t = ∂L/∂C_t + h̄_t ⊙ o_t ⊙ (1 - tanh²(C_t)) + C̄_{t+1} ⊙ f_{t+1}"


def test_the_legend_explains_what_is_shown() -> None:
    notes = {note.unicode: note.words for note in equations.backward(cells.lstm).legend}
    assert list(notes) == ["h̄_t", "∂L/∂h_t", "t+1", "δ^f_t", "[W_fᵀ·δ^f_{t+1}]_h", "Σ_t"]
    assert notes["[W_fᵀ·δ^f_{t+1}]_h"] == (
        "the entries of the vector that belong to h in the concatenation"
    )


def test_a_value_the_loss_does_not_reach() -> None:
    @cell(state="h", parameters={"W": "hidden, inputs", "b": "hidden"})
    def idle(now, prev, x, p):
        now.aside = tanh(p.b)
        now.h = prev.h + matvec(p.W, x)

    lines = equations.backward(idle)
    assert lines["bar.aside"].unicode() == "bar(aside)_t = none (no loss reaches it)"
    assert lines["bar.b"].unicode() == "b̄ = none (no loss reaches it)"
    assert lines["bar.b"].latex() == r"\bar{b} = \text{none (no loss reaches it)}"
    assert equations.backward(idle, "h aside")["bar.b"].unicode() == (
        "b̄ = Σ_t bar(aside)_t ⊙ (1 - aside_t²)"
    )
    assert derive(idle, "b")[-1].right == 0
    assert lines["bar.h"].unicode() == "h̄_t = ∂L/∂h_t + h̄_{t+1}"
    assert derive(idle, "b")[-1].rule == "the loss does not depend on it"


def test_bad_input_is_answered() -> None:
    with pytest.raises(UnknownNameError) as unknown:
        equations.backward(cells.gru, loss="C")
    assert str(unknown.value) == (
        "cell 'gru': the loss cannot read 'C'; the step computes z, r, h_tilde, h."
    )
    p = cells.rnn.init(inputs=2, hidden=3)
    with pytest.raises(ShapeError) as shape:
        equations.gradients(cells.rnn, p, np.ones((4, 2)), {"h": np.ones((4, 2))})
    assert str(shape.value) == (
        "cell 'rnn': the seed of h has shape (4, 2), but h over the sequence is (4, 3)."
    )
