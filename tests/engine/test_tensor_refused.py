"""Tensors: bad input is one message."""

from typing import Any

import numpy as np
import pytest
from test_tensor import X

import tinygrad_lstm as tl
from tinygrad_lstm import Tensor, ops
from tinygrad_lstm.errors import DTypeError, ShapeError, TinygradError


# --- bad input ------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("data", "dtype"), [([1, 2], "int64"), ([True], "bool"), (["a"], "<U1"), ([None], "object")]
)
def test_numbers_that_are_not_floating_point(data: Any, dtype: str) -> None:
    with pytest.raises(DTypeError) as caught:
        Tensor(data, "xs")
    assert str(caught.value) == (
        f"Tensor 'xs' holds floating-point numbers, got {dtype}: only they have derivatives.\n"
        f"  Write Tensor(np.asarray(data, dtype=float)), or 2.0 instead of 2."
    )


def test_shapes_that_do_not_fit() -> None:
    with pytest.raises(ShapeError) as caught:
        tl.matvec(Tensor(np.ones((4, 3)), "W"), Tensor(np.ones(5), "x"))
    assert str(caught.value) == (
        "matvec, which takes (m,n),(n)->(m), got shapes W (4, 3), x (5,): n is 3 by W, 5 by x"
    )
    with pytest.raises(ShapeError) as caught:
        tl.matvec(np.ones(4), Tensor(np.ones(5), "x"))
    assert str(caught.value).endswith("operand 1 needs 2 axes, (m,n)")
    with pytest.raises(ShapeError) as caught:
        Tensor(np.ones(2), "a") + Tensor(np.ones(3), "b")
    assert str(caught.value) == (
        "add, got shapes a (2,), b (3,): operands could not be broadcast together with shapes "
        "(2,) (3,)"
    )


def test_backward_needs_a_number_or_a_seed() -> None:
    t = Tensor(X, "t")
    with pytest.raises(ShapeError) as caught:
        t.backward()
    assert str(caught.value) == (
        "backward() starts from one number, but 't' has shape (3,).\n"
        "  Reduce it first, as in t.sum().backward(), or pass the adjoint to start from: "
        "t.backward(seed) with a seed of shape (3,)."
    )
    with pytest.raises(ShapeError) as caught:
        t.backward(np.ones(2))
    assert str(caught.value) == "the seed has shape (2,), but 't' has shape (3,)."


def test_a_traced_tensor_has_no_value() -> None:
    t = Tensor.input("x", (2,)) * 2.0
    for use in (lambda: t.data, lambda: t.backward(), lambda: float(t.sum()), lambda: bool(t > 0)):
        with pytest.raises(TinygradError, match="has no value yet: it was traced. Run its Program"):
            use()


def test_text() -> None:
    assert repr(Tensor(X)) == "Tensor([ 0.5 -1.   2. ])"
    assert repr(Tensor(X, "x")) == "Tensor([ 0.5 -1.   2. ], name='x')"
    assert repr(Tensor.input("x", (2, 3))) == "Tensor(shape=(2, 3), name='x', traced)"


def test_a_table_refuses_what_is_not_whole() -> None:
    from tinygrad_lstm.ops import register

    with pytest.raises(ValueError, match="operation 'tanh' is registered already"):
        register("tanh", np.tanh, (lambda g, y, x: g,))
    with pytest.raises(ValueError, match="needs a forward function and a tuple with one rule"):
        register("no_rule", np.tanh, None)
    with pytest.raises(ValueError, match=r"works on axes: give examples="):
        register("no_examples", np.flip, (lambda g, y, x: g,), "structural")


@pytest.mark.parametrize("function", [ops.vecdot, ops.matvec, ops.matmul])
def test_an_axis_of_length_one_is_no_vector_of_another_length(function: Any) -> None:
    a, b = np.ones((2, 1)), np.ones((2, 3)) if function is not ops.matvec else np.ones((3,))
    with pytest.raises(ShapeError, match="n is 1|k is 1"):
        function(Tensor(a), Tensor(b))
