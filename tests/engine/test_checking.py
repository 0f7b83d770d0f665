"""check_gradients: what it finds, what it names, and when it gives no verdict."""

import dataclasses
import re
from typing import Any

import numpy as np
import pytest
from problems import further, sizes_of

import tinygrad_lstm as tl
from tinygrad_lstm import Tensor, cells, check_gradients, unroll
from tinygrad_lstm.errors import DataError, DTypeError, GradientError
from tinygrad_lstm.ops import register
from tinygrad_lstm.tensor import Operation, apply

X = np.array([0.5, -1.0, 2.0])
XS = np.random.default_rng(0).normal(size=(3, 2, 3))


def wrong(row: Operation, factor: float) -> Operation:
    """The same operation with every rule scaled."""
    rules = tuple(
        (lambda rule: lambda *a, **o: factor * rule(*a, **o))(row.rule(k))
        for k in range(len(row.derivatives))  # type: ignore[arg-type]
    )
    return dataclasses.replace(row, derivatives=rules)


def test_what_agrees() -> None:
    found = check_gradients(lambda x: tl.tanh(x) * x, X, second_order=True)
    assert (found.entries, found.method) == (6, "complex step")
    assert found.worst < 1e-14


def test_kinks_are_checked_by_central_differences() -> None:
    found = check_gradients(lambda x: tl.relu(x) * x, X, second_order=True)
    assert (found.entries, found.method) == (6, "central difference")
    assert found.worst < 1e-8


def test_arrays_tensors_and_mappings() -> None:
    p = cells.rnn.init(inputs=3, hidden=2)
    states = check_gradients(
        lambda p, xs, start: unroll(cells.rnn, p, xs, {"h": start["h"]})["h"],
        p,
        Tensor(XS),
        {"h": np.ones(2)},
    )
    assert states.entries == p.count + XS.size + 2


def test_float32_is_checked_in_float64() -> None:
    seen = set()

    def f(x: Any) -> Any:
        seen.add(x.dtype)
        return tl.exp(x)

    assert check_gradients(f, X.astype(np.float32)).worst < 1e-14
    assert seen == {np.dtype(np.float64), np.dtype(np.complex128)}


def test_numbers_without_axes_and_results_of_any_shape() -> None:
    assert check_gradients(lambda a, b: a * b, 2.0, 3.0).entries == 2
    assert check_gradients(lambda x: tl.outer(x, x), X).entries == 3
    assert check_gradients(lambda x: x, X).worst == 0.0
    assert check_gradients(lambda x: x[:0], X).worst == 0.0


def test_derivatives_that_cancel_to_nothing() -> None:
    """The sum of a softmax is 1 whatever x is: rounding errors alone must not fail."""
    check_gradients(lambda x: tl.softmax(1e3 * x).sum(), X, second_order=True)


def test_vanishing_gradients_are_checked_at_their_own_scale(table: dict[str, Operation]) -> None:
    """A one-percent error counts in a gradient of 1e-7 beside others of 1."""

    def f(x: Any, small: Any) -> Any:
        return x + 1e-7 * tl.sin(small)

    check_gradients(f, X, X)
    table["sin"] = wrong(table["sin"], 1.01)
    with pytest.raises(GradientError, match="operation sin"):
        check_gradients(f, X, X)


def test_the_message_names_equation_operation_entry_numbers_and_tolerance(
    table: dict[str, Operation],
) -> None:
    table["sigmoid"] = wrong(table["sigmoid"], 1.01)
    ones = {
        name: np.full((1, 2) if name.startswith("W") else 1, 0.5) for name in cells.lstm.parameters
    }
    with pytest.raises(GradientError) as caught:
        check_gradients(
            lambda p: unroll(cells.lstm, p, np.ones((2, 1)))["h"], cells.lstm.bind(ones)
        )
    assert re.fullmatch(
        r"the derivative with respect to \w+\[0(, \d)?\] is wrong: backward gives "
        r"-?0\.\d+, the complex step -?0\.\d+\.\n"
        r"  They differ by [\d.e-]+; rounding explains [\d.e-]+ where the largest is 0\.\d+\.\n"
        r"  equation f, time step 1, operation sigmoid: its rule for operand 1\[0\] gives "
        r"-?0\.\d+, the complex step -?0\.\d+\.",
        str(caught.value),
    )


@pytest.mark.sample(3)
@pytest.mark.parametrize(
    ("cell", "op"),
    [
        (cell, op)
        for cell in cells.all().values()
        for op in sorted({n.op for n in cell.program().nodes() if n.op} - {"identity"})
    ],
    ids=lambda v: v if isinstance(v, str) else v.name,
)
def test_a_wrong_rule_is_found_in_every_cell_and_named(
    cell: Any, op: str, table: dict[str, Operation]
) -> None:
    sizes = sizes_of(cell, inputs=3)
    row, p = table[op], cell.init(**sizes, seed=1)
    begin = {name: np.full(2, 0.3) for name in cell.state}
    xs, given = XS[..., : sizes[cell.x]], further(cell, sizes, len(XS))

    def states(p: Any, given: Any) -> Any:
        run = unroll(cell, p, xs, begin, **given)
        return sum((run[n] for n in cell.state), Tensor(0.0))

    check_gradients(states, p, given)
    if callable(row.derivatives):
        rule_of = row.derivatives
        table[op] = dataclasses.replace(
            row, derivatives=lambda k: lambda *a, **o: 1.01 * rule_of(k)(*a, **o)
        )
    else:
        table[op] = wrong(row, 1.01)
    with pytest.raises(GradientError, match=rf"equation \w+, time step \d, operation {op}: its"):
        check_gradients(states, p, given)


def test_a_value_that_leaves_the_graph() -> None:
    with pytest.raises(GradientError) as caught:
        check_gradients(lambda x: x * x.detach(), np.array(1.0))
    assert str(caught.value).endswith(
        "\n  The rule of every operation is right by itself: is a value taken out of the graph, by "
        "detach(),\n  .data, .numpy() or float(), or has f another input?"
    )


def test_a_forward_that_is_not_analytic(table: dict[str, Operation]) -> None:
    register("square", lambda x: x * np.conj(x), (lambda g, y, x: 2.0 * g * x,))
    with pytest.raises(GradientError) as caught:
        check_gradients(lambda x: apply("square", x) * x, X)
    assert str(caught.value).endswith(
        "\n  operation square: its rule agrees with central differences, but its forward is not "
        "analytic on complex\n  numbers; write it without abs, maximum and conj, or register it "
        "with a distance from its kinks."
    )


def test_a_forward_that_makes_real_numbers_of_complex_ones(table: dict[str, Operation]) -> None:
    register("square", lambda x: np.abs(x) ** 2, (lambda g, y, x: 2.0 * g * x,))
    assert check_gradients(lambda x: apply("square", x) * x, X).method == "central difference"


def test_a_function_that_takes_no_complex_numbers() -> None:
    def f(x: Any) -> Any:
        return x * float(np.asarray(x.data, dtype=float).size)

    assert check_gradients(f, X).method == "central difference"


# --- no verdict -----------------------------------------------------------------------------------
def refusal(kind: type[Exception], f: Any, *arrays: Any) -> str:
    with pytest.raises(kind) as caught:
        check_gradients(f, *arrays)
    return str(caught.value)


def test_an_operand_on_a_kink() -> None:
    assert refusal(DataError, tl.relu, np.array([1.0, 0.0])) == (
        "check_gradients: no verdict on x[1]: operation relu has a kink 0 from its operands at "
        "[1], within the step 6.1e-06.\n  Check it at a point farther from the kink."
    )


@pytest.mark.parametrize(
    "f",
    [
        lambda x: tl.abs(x - 1e-6),
        lambda x: tl.maximum(x, 1e-6),
        lambda x: tl.clip(x, 1e-6, 1.0),
        lambda x: tl.where(x > 1e-6, x * x, x),
        lambda x: tl.max(tl.stack([x, 2e-6 - x])),
    ],
)
def test_a_kink_within_the_step(f: Any) -> None:
    assert "has a kink " in refusal(DataError, f, np.array(0.0))
    assert check_gradients(f, np.array(0.3)).entries == 1


def test_a_kink_that_nothing_moves_towards_is_no_obstacle() -> None:
    check_gradients(lambda x: tl.relu(x * np.array([1.0, 0.0, 1.0])) + tl.relu(x), X)


def test_a_course_that_changes_within_the_step() -> None:
    def f(x: Any) -> Any:
        return tl.relu(x) if float(np.real(x.data)) > 1.0 else tl.abs(tl.relu(x))

    assert refusal(DataError, f, np.array(1.0)) == (
        "check_gradients: f computes something else when x moves by 6.1e-06.\n"
        "  Check it at a point that is farther from where f changes its course."
    )


def test_what_is_too_sharp_for_differences() -> None:
    message = refusal(DataError, lambda x: tl.abs(tl.sin(1e5 * x)), np.array(0.7))
    assert message.startswith("check_gradients: ")


def test_bad_input() -> None:
    assert refusal(DTypeError, lambda x: x, np.arange(3)) == (
        "check_gradients: x holds int64, but derivatives need real floating-point numbers.\n"
        "  Write x.astype(float), or close f over it."
    )
    assert refusal(DTypeError, lambda x: x, 1j) == (
        "check_gradients: x holds complex128, but derivatives need real floating-point numbers.\n"
        "  Write x.astype(float), or close f over it."
    )
    assert refusal(DataError, lambda p: p["W"], {"W": np.array([[1.0, np.nan]])}) == (
        "check_gradients: W[0, 1] is nan."
    )
    assert refusal(DTypeError, lambda x: x.numpy(), X) == (
        "check_gradients: f must return a Tensor, got ndarray.\n"
        "  Compute it from f's arguments with operations on Tensors."
    )
    stacked = tl.stack([tl.cells.rnn])
    assert refusal(DataError, stacked, X) == (
        "check_gradients takes a function of arrays that returns a Tensor, got network "
        "'stack_of_rnn'; for a network, lambda p: unroll(network, p, xs)[\"h\"]."
    )
    random = np.random.default_rng(0)
    assert refusal(DataError, lambda x: x * random.normal(), X) == (
        "check_gradients: f is random, two calls with the same arguments differ.\n"
        "  Draw the noise outside and pass it to f as an argument."
    )
    with np.errstate(divide="ignore"):
        assert refusal(DataError, lambda x: 1.0 / x, np.array([1.0, 0.0])) == (
            "check_gradients: f[1] is inf."
        )


def test_an_error_inside_f_is_the_users_own() -> None:
    with pytest.raises(ZeroDivisionError):
        check_gradients(lambda x: x * (1 / 0), X)


def test_a_parameter_may_be_one_number() -> None:
    @tl.cell(state="h", x="hidden", parameters={"k": ""})
    def scaled(now, prev, x, p):  # type: ignore[no-untyped-def]
        now.h = tl.tanh(p.k * x + prev.h)

    p = scaled.init(hidden=3, k=0.3)
    check_gradients(lambda q: unroll(scaled, q, XS)["h"].sum(), p)
