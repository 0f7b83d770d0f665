"""NumPy's own functions of Tensors: values as of arrays, gradients of products by differences."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tinygrad_lstm import Tensor
from tinygrad_lstm.tensor import Array

SHAPES = [
    ((3,), (3,)),
    ((3,), (3, 4)),
    ((2, 3), (3,)),
    ((2, 3), (3, 4)),
    ((3,), (2, 3, 4)),
    ((2, 4, 3), (3,)),
    ((5, 2, 3), (5, 3, 4)),
    ((2, 3), (5, 3, 4)),
    ((5, 2, 3), (3, 4)),
    ((3,), (3, 3)),
    ((3, 3), (3,)),
    ((1, 2, 3), (5, 3, 2)),
]


def central(f: Any, at: Array) -> Array:
    """The gradient of a number by central differences, exact for what is linear in `at`."""
    found = np.zeros_like(at)
    for k in np.ndindex(at.shape):
        bump = np.zeros_like(at)
        bump[k] = 0.5
        found[k] = f(at + bump) - f(at - bump)
    return found


@pytest.mark.parametrize(("left", "right"), SHAPES)
def test_matmul_is_numpys(left: tuple[int, ...], right: tuple[int, ...]) -> None:
    random = np.random.default_rng(len(left) + len(right))
    a, b = random.normal(size=left), random.normal(size=right)
    weight = random.normal(size=(a @ b).shape)
    for one, other in ((Tensor(a), Tensor(b)), (a, Tensor(b)), (Tensor(a), b)):
        product = one @ other
        assert product.shape == (a @ b).shape
        np.testing.assert_allclose(product.numpy(), a @ b, rtol=1e-13)
        (product * weight).sum().backward()
        if isinstance(one, Tensor):
            expected = central(lambda v: float(((v @ b) * weight).sum()), a)
            np.testing.assert_allclose(one.grad.numpy(), expected, rtol=1e-12, atol=1e-13)
        if isinstance(other, Tensor):
            expected = central(lambda v: float(((a @ v) * weight).sum()), b)
            np.testing.assert_allclose(other.grad.numpy(), expected, rtol=1e-12, atol=1e-13)
    np.testing.assert_allclose(np.matmul(Tensor(a), Tensor(b)).numpy(), a @ b, rtol=1e-13)


V, W = np.array([0.5, -2.0, 0.0]), np.array([0.5, -2.0 + 1e-12, 0.1])
QUERIES = {
    "all": (V,),
    "allclose": (V, W),
    "any": (V,),
    "argmax": (V,),
    "argmin": (V,),
    "array2string": (V,),
    "array_equal": (V, V.copy()),
    "array_equiv": (V, W),
    "array_repr": (V,),
    "array_str": (V,),
    "iscomplexobj": (V,),
    "isclose": (V, W),
    "isrealobj": (V,),
    "ones_like": (V,),
    "zeros_like": (V,),
    "ndim": (V,),
    "shape": (V,),
    "size": (V,),
}


@pytest.mark.parametrize("name", QUERIES)
def test_what_numpy_is_asked_of_tensors(name: str) -> None:
    arrays, ask = QUERIES[name], getattr(np, name)
    expected = ask(*arrays)
    for given in ([Tensor(v) for v in arrays], [*map(Tensor, arrays[:1]), *arrays[1:]]):
        found = ask(*given)
        assert np.array_equal(found, expected), name


def test_tensors_by_keyword() -> None:
    assert np.allclose(a=V, b=Tensor(W)) is False and np.allclose(a=V, b=Tensor(W), atol=1.0)
    assert np.isclose(a=V, b=Tensor(W)).tolist() == [True, True, False]


U, P = np.array([0.5, 2.0, -0.25]), np.array([0.5, 2.0, 0.25])
UFUNCS = {
    "add": (U, P),
    "subtract": (U, P),
    "multiply": (U, P),
    "divide": (U, P),
    "power": (P, U),
    "negative": (U,),
    "exp": (U,),
    "log": (P,),
    "sqrt": (P,),
    "sin": (U,),
    "cos": (U,),
    "tanh": (U,),
    "maximum": (U, P),
    "minimum": (U, P),
    "absolute": (U,),
    "square": (U,),
    "greater": (U, P),
    "greater_equal": (U, P),
    "less": (U, P),
    "less_equal": (U, P),
    "equal": (U, P),
    "not_equal": (U, P),
    "matmul": (np.outer(U, P), P),
    "vecdot": (U, P),
    "matvec": (np.outer(U, P), P),
}
FUNCTIONS = {
    "sum": (U,),
    "mean": (U,),
    "max": (U,),
    "amax": (U,),
    "cumsum": (U,),
    "concatenate": ([U, P],),
    "stack": ([U, P],),
    "clip": (U, 0.0, 1.0),
    "outer": (U, P),
    "where": (U > 0, U, P),
    "reshape": (U, (3, 1)),
    "transpose": (np.outer(U, P),),
    "swapaxes": (np.outer(U, P), 0, 1),
    "broadcast_to": (U, (2, 3)),
}


def tensors(value: Any) -> Any:
    if isinstance(value, list):
        return [*map(tensors, value)]
    return Tensor(value) if isinstance(value, np.ndarray) and value.dtype.kind == "f" else value


@pytest.mark.parametrize("name", [*UFUNCS, *FUNCTIONS])
def test_numpys_functions_take_tensors_and_give_tensors(name: str) -> None:
    """The names are written out here: one that is missing in the table fails."""
    if not hasattr(np, name):
        pytest.skip(f"this NumPy has no {name}")
    arrays = (UFUNCS | FUNCTIONS)[name]
    found = getattr(np, name)(*tensors(list(arrays)))
    assert isinstance(found, Tensor)
    np.testing.assert_allclose(found.numpy(), getattr(np, name)(*arrays), rtol=1e-14)
