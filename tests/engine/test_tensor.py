"""The graph and its differentiation."""

import re
import tracemalloc
from typing import Any

import numpy as np
import pytest

import tinygrad_lstm as tl
from tinygrad_lstm import Tensor, grad, value_and_grad
from tinygrad_lstm.errors import ShapeError

X = np.array([0.5, -1.0, 2.0])


# --- graphs ---------------------------------------------------------------------------------------
def test_an_operand_used_twice_has_two_edges() -> None:
    x = Tensor(X)
    y = x * x
    assert y.inputs == (x, x)
    y.sum().backward()
    np.testing.assert_array_equal(x.grad.data, 2 * X)


def test_diamonds() -> None:
    a = Tensor(X)
    b = a + a
    c = b + b
    d = c * b
    d.sum().backward()
    np.testing.assert_array_equal(d.data, 8 * X**2)
    np.testing.assert_array_equal(c.grad.data, 2 * X)
    np.testing.assert_array_equal(b.grad.data, 8 * X)
    np.testing.assert_array_equal(a.grad.data, 16 * X)


def test_an_adjoint_passed_on_unchanged_is_not_added_into() -> None:
    """add hands the same g to both operands; summing into one of them must not change the other."""
    a, b = Tensor(X), Tensor(X)
    (a + b + a).sum().backward()
    np.testing.assert_array_equal(a.grad.data, [2.0, 2.0, 2.0])
    np.testing.assert_array_equal(b.grad.data, [1.0, 1.0, 1.0])


def test_a_hundred_thousand_operations_need_no_recursion() -> None:
    x = Tensor(np.array([1.0, 2.0]))
    y = x
    for _ in range(100_000):
        y = y * 0.99999
    y.sum().backward()
    np.testing.assert_allclose(x.grad.data, np.full(2, 0.99999**100_000), rtol=1e-10)


def test_backward_twice_gives_the_same_gradients() -> None:
    x = Tensor(X)
    y = (tl.tanh(x) * x).sum()
    y.backward()
    first = x.grad.numpy()
    y.backward()
    np.testing.assert_array_equal(x.grad.data, first)


def test_gradients_not_computed_are_absent() -> None:
    x, unused = Tensor(X), Tensor(X)
    y = (x * 2.0).sum()
    assert (x.grad, unused.grad) == (None, None)
    y.backward()
    assert unused.grad is None
    assert x.grad is not None


def test_constants_get_no_gradient() -> None:
    x = Tensor(X)
    y = x * X
    y.sum().backward()
    assert y.inputs[1].grad is None


def test_detach_cuts_the_graph() -> None:
    x = Tensor(X)
    (x * x.detach()).sum().backward()
    np.testing.assert_array_equal(x.grad.data, X)


def test_backward_with_a_seed() -> None:
    x = Tensor(X)
    (x * 3.0).backward(np.array([1.0, 0.0, 2.0]))
    np.testing.assert_array_equal(x.grad.data, [3.0, 0.0, 6.0])


def test_saturated_gates_carry_the_state_unchanged() -> None:
    """f = 1 and i = 0 pass C and its gradient through any number of steps, to the last bit."""
    sizes = {"inputs": 2, "hidden": 3}
    p = tl.cells.lstm.init(**sizes, seed=1)
    p = p.replace({"b_f": np.full(3, 1e3), "b_i": np.full(3, -1e3)})
    C0 = Tensor(np.array([0.3, -1.7, 25.0]))
    xs = np.random.default_rng(0).normal(size=(50, 2))
    run = tl.unroll(tl.cells.lstm, p, xs, initial={"C": C0})
    np.testing.assert_array_equal(run.final["C"].data, C0.data)
    seed = np.array([1.0, -0.1, 1e-3])
    run.final["C"].backward(seed)
    np.testing.assert_array_equal(C0.grad.data, seed)


@pytest.mark.parametrize("x", [800.0, -800.0, 0.0])
@pytest.mark.parametrize("f", [tl.sigmoid, tl.softplus, tl.tanh], ids=lambda f: f.__name__)
def test_extreme_values_neither_overflow_nor_vanish_into_nan(f: Any, x: float) -> None:
    t = Tensor(np.array(x))
    y = f(t)
    y.backward()
    assert np.isfinite(y.data) and np.isfinite(t.grad.data)


def test_the_graph_is_freed_with_its_last_reference() -> None:
    x = Tensor(np.zeros(10_000))
    tracemalloc.start()
    for _ in range(50):
        (x * 2.0 + 1.0).sum().backward()
    held, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert held < 10 * x.data.nbytes


# --- grad and its nesting -------------------------------------------------------------------------
def test_grad_of_grad() -> None:
    def cube(x: Any) -> Any:
        return x**3

    assert grad(cube)(2.0).item() == pytest.approx(12.0, rel=1e-15)
    assert grad(grad(cube))(2.0).item() == pytest.approx(12.0, rel=1e-15)
    assert grad(grad(grad(cube)))(2.0).item() == pytest.approx(6.0, rel=1e-15)
    assert grad(grad(grad(grad(cube))))(2.0).item() == pytest.approx(0.0, abs=1e-15)


def test_nested_gradients_of_closures_over_outer_variables() -> None:
    """d/dx [x · d/dy (x y²)] at x = 3, y = 2 is d/dx [2 x² y] = 4 x y = 24."""

    def outer(x: Any) -> Any:
        return x * grad(lambda y: x * y * y)(2.0)

    value, slope = value_and_grad(outer)(3.0)
    assert value.item() == pytest.approx(36.0)
    assert slope.item() == pytest.approx(24.0)


def test_an_inner_variable_equal_to_the_outer_one_is_another_variable() -> None:
    """d/dx [x · d/dy (x + y) at y = x] = 1: perturbations are not confused."""
    assert grad(lambda x: x * grad(lambda y: x + y)(x))(5.0).item() == 1.0


def test_gradients_through_the_argument_of_an_inner_gradient() -> None:
    """d/dx of f'(x²) for f = sin is -2x sin x²."""
    slope = grad(lambda x: grad(tl.sin)(x * x))(0.7)
    assert slope.item() == pytest.approx(-1.4 * np.sin(0.49), rel=1e-14)


def test_mapping_arguments() -> None:
    p = tl.cells.rnn.init(inputs=2, hidden=3)
    xs = np.ones((4, 2))
    value, slopes = value_and_grad(lambda p: tl.unroll(tl.cells.rnn, p, xs)["h"].sum())(p)
    assert list(slopes) == ["W", "b"]
    tl.unroll(tl.cells.rnn, p, xs)["h"].sum().backward()
    for name in p:
        np.testing.assert_array_equal(slopes[name].data, p[name].grad.data)
    plain = value_and_grad(lambda d: (d["a"] * d["b"]).sum())({"a": X, "b": 2 * X})[1]
    np.testing.assert_array_equal(plain["a"].data, 2 * X)


def test_argnum_and_an_argument_that_is_not_used() -> None:
    assert grad(lambda a, b: a * b, argnum=1)(2.0, 3.0).item() == 2.0
    assert grad(lambda a, b: b * 1.0)(2.0, Tensor(3.0)).item() == 0.0


def test_grad_of_no_number() -> None:
    with pytest.raises(ShapeError) as caught:
        grad(lambda x: x * 2.0)(X)
    assert str(caught.value) == (
        "grad needs a function that returns one number, got a Tensor of shape (3,)."
    )


# --- NumPy, dtypes and indices --------------------------------------------------------------------
def test_an_array_on_the_left() -> None:
    x = Tensor(X)
    for result, expected in [
        (X + x, X + X),
        (X - x, X - X),
        (X * x, X * X),
        (X / x, X / X),
        (2.0**x, 2.0**X),
        (np.float64(2.0) * x, 2 * X),
        (np.ones((2, 3)) @ x, np.ones((2, 3)) @ X),
    ]:
        assert isinstance(result, Tensor)
        np.testing.assert_array_equal(result.data, expected)


def test_comparisons_hash_and_length() -> None:
    x = Tensor(X)
    np.testing.assert_array_equal((x > 0.0).data, X > 0)
    np.testing.assert_array_equal((x <= 0.5).data, X <= 0.5)
    np.testing.assert_array_equal((x == x).data, [True] * 3)
    np.testing.assert_array_equal((x != 0.5).data, X != 0.5)
    assert len({x, Tensor(X)}) == 2
    assert len(x) == 3
    assert [t.item() for t in x] == X.tolist()


def test_constants_keep_float32() -> None:
    x = Tensor(X.astype(np.float32))
    y = (2 * x + 1.5) / 3 - x**2
    assert y.dtype == np.float32
    y.sum().backward()
    assert x.grad.dtype == np.float32


def test_float64_operands_widen_and_gradients_keep_their_own_kind() -> None:
    a, b = Tensor(X.astype(np.float32)), Tensor(X)
    y = a * b
    assert y.dtype == np.float64
    y.sum().backward()
    assert (a.grad.dtype, b.grad.dtype) == (np.float32, np.float64)


@pytest.mark.parametrize(
    "index",
    [
        slice(1, 3),
        slice(None, None, -1),
        2,
        -1,
        (slice(None), 1),
        (1, slice(0, 2)),
        np.array([0, 2, 0, 0]),
        (np.array([0, 1, 1]), np.array([2, 0, 0])),
        (Ellipsis, 0),
        np.array([[0, 1], [1, 1]]),
        (slice(None), None, slice(1, 2)),
        np.array([True, False, True, True]),
        [0, 0, 3],
    ],
    ids=str,
)
def test_indices(index: Any) -> None:
    data = np.arange(12.0).reshape(4, 3)
    x = Tensor(data)
    y = x[index]
    np.testing.assert_array_equal(y.data, data[index])
    seed = np.arange(1.0, y.size + 1).reshape(y.shape)
    y.backward(seed)
    expected = np.zeros((4, 3))
    np.add.at(expected, index, seed)
    np.testing.assert_array_equal(x.grad.data, expected)


def test_an_index_out_of_range() -> None:
    with pytest.raises(ShapeError) as caught:
        Tensor(X, "x")[5]
    assert str(caught.value) == (
        "getitem, got shapes x (3,): index 5 is out of bounds for axis 0 with size 3"
    )


# --- immutability ---------------------------------------------------------------------------------
def test_leaves_are_copies() -> None:
    array = X.copy()
    t = Tensor(array)
    array[0] = 99.0
    np.testing.assert_array_equal(t.data, X)
    mine = t.numpy()
    mine[0] = 99.0
    np.testing.assert_array_equal(t.data, X)


@pytest.mark.parametrize(
    "make",
    [
        lambda x: x,
        lambda x: x * 2.0,
        lambda x: x[1:],
        lambda x: x.reshape(3, 1),
        lambda x: x.transpose(),
        lambda x: x.detach(),
        lambda x: tl.broadcast_to(x, (2, 3)),
    ],
    ids=["leaf", "result", "slice", "reshape", "transpose", "detach", "broadcast_to"],
)
def test_no_way_through_data(make: Any) -> None:
    t = make(Tensor(X))
    with pytest.raises(ValueError, match="read-only"):
        t.data[...] = 0.0
    (t * 1.0).sum().backward()
    if t.grad is not None:
        with pytest.raises(ValueError, match="read-only"):
            t.grad.data[...] = 0.0


def test_a_leaf_cannot_be_made_writable() -> None:
    with pytest.raises(ValueError, match="WRITEABLE"):
        Tensor(X).data.setflags(write=True)


def test_attributes_cannot_be_replaced() -> None:
    t = Tensor(X)
    for name in ("data", "grad"):
        with pytest.raises(AttributeError):
            setattr(t, name, X)


def test_item_assignment() -> None:
    with pytest.raises(TypeError) as caught:
        Tensor(X)[0] = 1.0
    assert str(caught.value) == (
        "a Tensor cannot be changed in place: other nodes of the graph were computed from it.\n"
        "  Instead of t[i] = v write t = where(mask, v, t) with a boolean mask,\n"
        "  or put the parts together: t = concat(t[:i], v, t[i + 1:])."
    )


def test_numpy_functions_that_would_write_or_have_no_rule() -> None:
    x = Tensor(X)
    with pytest.raises(TypeError) as caught:
        np.tanh(x, out=np.zeros(3))
    assert str(caught.value) == (
        "np.tanh with out does not work on Tensors, which are never changed in place; "
        "call np.tanh(a, b) without further options.\n"
        "  An update makes new parameters: p = p.replace({n: p[n] - rate * p[n].grad for n in p})."
    )
    with pytest.raises(TypeError) as caught:
        np.arctan(x)
    assert re.fullmatch(
        r"np\.arctan has no derivative rule here\. Known: absolute, add, .*, tanh, vecdot\.\n"
        r"  Without a gradient, write np\.arctan\(t\.numpy\(\)\)\.",
        str(caught.value),
    )
    with pytest.raises(TypeError, match=r"np\.median has no derivative rule here\. Known: amax, "):
        np.median(x)
