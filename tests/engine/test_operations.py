"""Every operation, by the table: a new operation needs no test code."""

import dataclasses
import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tinygrad_lstm as tl
from tinygrad_lstm import check_gradients
from tinygrad_lstm.errors import GradientError
from tinygrad_lstm.program import named
from tinygrad_lstm.tensor import FUNCTIONS, TABLE, UFUNCS, Operation, Tensor, apply, pullback
from tinygrad_lstm.testing import strategies

# those of a cell's file, which another test may have read, are its own
OWN = {*vars(tl.ops)["__all__"], "identity", "scatter", "stack"}
OPERATIONS = [n for n, row in TABLE.items() if row.signature != "whole" and n in OWN]
RULED = [n for n in OPERATIONS if callable(TABLE[n].derivatives) or any(TABLE[n].derivatives)]
UNRULED = [n for n in OPERATIONS if n not in RULED]


def moving(row: Operation, values: tuple[Any, ...]) -> list[int]:
    """Which operands have a derivative rule."""
    return [k for k in range(len(values)) if row.rule(k) is not None]


def of_moving(row: Operation, values: tuple[Any, ...], attributes: dict[str, Any]) -> Any:
    """The operation as a function of those operands alone."""

    def function(*operands: Any) -> Any:
        inputs = list(values)
        for k, operand in zip(moving(row, values), operands, strict=True):
            inputs[k] = operand
        return apply(row.name, *inputs, **attributes)

    return function


@pytest.mark.parametrize("name", RULED)
@given(data=st.data())
def test_derivatives_of_both_orders(name: str, data: st.DataObject) -> None:
    row = TABLE[name]
    values, attributes = data.draw(strategies.operands(row))
    given_operands = [values[k] for k in moving(row, values)]
    agreement = check_gradients(
        of_moving(row, values, attributes), *given_operands, second_order=True
    )
    assert agreement.entries == 2 * sum(v.size for v in given_operands)
    assert agreement.method == ("complex step" if row.distance is None else "central difference")


@pytest.mark.parametrize("name", UNRULED)
@given(data=st.data())
def test_without_a_rule_no_gradient_arrives(name: str, data: st.DataObject) -> None:
    values, attributes = data.draw(strategies.operands(name))
    leaves = [Tensor(v) for v in values]
    result = apply(name, *leaves, **attributes)
    (result * 1.0).sum().backward()
    assert [leaf.grad for leaf in leaves] == [None] * len(leaves)


@pytest.mark.parametrize("name", OPERATIONS)
@given(data=st.data())
def test_eager_traced_and_plain_arrays_agree(name: str, data: st.DataObject) -> None:
    row = TABLE[name]
    values, attributes = data.draw(strategies.operands(row))
    leaves = [Tensor(v) if v.dtype.kind == "f" else v for v in values]
    eager = apply(name, *leaves, **attributes)

    inputs = {f"a{k}": Tensor.input(f"a{k}", v.shape, v.dtype) for k, v in enumerate(values)}
    traced = named(apply(name, *inputs.values(), **attributes), "y")
    program = tl.Program(name, inputs, {"y": traced}, {"y": traced})
    given_arrays = {f"a{k}": v for k, v in enumerate(values)}

    assert traced.traced and (traced.shape, traced.dtype) == (eager.shape, eager.dtype)
    np.testing.assert_array_equal(program.run(**given_arrays)["y"], eager.data)
    np.testing.assert_array_equal(apply(name, *values, **attributes), eager.data)
    if name in RULED:
        seed = np.linspace(-1.0, 2.0, eager.size).reshape(eager.shape)
        wanted = [f"a{k}" for k in moving(row, values)]
        adjoints = program.gradient(wanted).run(**given_arrays, seed={"y": seed})
        eager_adjoints = pullback({eager: seed}, numeric=True)
        for k in moving(row, values):
            expected = eager_adjoints[leaves[k]]
            np.testing.assert_allclose(adjoints[f"a{k}"], expected, rtol=1e-14, atol=1e-14)


@pytest.mark.parametrize("name", RULED)
@given(data=st.data())
def test_float32_is_kept(name: str, data: st.DataObject) -> None:
    row = TABLE[name]
    values, attributes = data.draw(strategies.operands(row))
    leaves = [Tensor(v.astype(np.float32)) if v.dtype.kind == "f" else v for v in values]
    result = apply(name, *leaves, **attributes)
    assert result.dtype == np.float32
    result.backward(np.ones(result.shape))
    for k in moving(row, values):
        assert leaves[k].grad.dtype == np.float32
        assert leaves[k].grad.shape == leaves[k].shape


# --- NumPy's own functions ------------------------------------------------------------------------
@pytest.mark.parametrize("name", sorted(UFUNCS))
@given(data=st.data())
def test_numpy_ufuncs_give_the_same_node_and_value(name: str, data: st.DataObject) -> None:
    ours = UFUNCS[name]
    others = {"absolute": "abs", "remainder": "mod"}
    row = TABLE.get(others.get(name, name), TABLE["multiply"])
    if name.startswith("less"):
        row = TABLE["greater"]
    values, _ = data.draw(strategies.operands(row))
    values = values[: getattr(np, name).nin]
    leaves = [Tensor(v) for v in values]
    by_numpy, by_us = getattr(np, name)(*leaves), ours(*leaves)
    assert isinstance(by_numpy, Tensor)
    assert by_numpy.op == by_us.op
    assert [i.op for i in by_numpy.inputs] == [i.op for i in by_us.inputs]
    np.testing.assert_allclose(by_numpy.data, getattr(np, name)(*values), rtol=1e-15, atol=1e-15)


A, B = np.linspace(-1.0, 2.0, 6).reshape(2, 3), np.linspace(0.5, 2.0, 6).reshape(2, 3)
CALLS: dict[str, tuple[str, Callable[..., Any]]] = {
    "sum": ("sum", lambda a, b: np.sum(a, axis=0)),
    "mean": ("mean", lambda a, b: np.mean(a, axis=(0, 1), keepdims=True)),
    "max": ("max", lambda a, b: np.max(a, axis=-1)),
    "amax": ("max", lambda a, b: np.amax(a)),
    "min": ("negative", lambda a, b: np.min(a, axis=0)),
    "amin": ("negative", lambda a, b: np.amin(a, -1, None, True)),
    "prod": ("prod", lambda a, b: np.prod(a, axis=1)),
    "var": ("mean", lambda a, b: np.var(a, axis=1)),
    "std": ("sqrt", lambda a, b: np.std(b, axis=-1, keepdims=True)),
    "dot": ("matmul", lambda a, b: np.dot(a, b.T)),
    "einsum": ("einsum", lambda a, b: np.einsum("ij,kj->ik", a, b)),
    "hstack": ("concat", lambda a, b: np.hstack([a, b])),
    "vstack": ("concat", lambda a, b: np.vstack([a[0], b])),
    "append": ("concat", lambda a, b: np.append(a, b)),
    "split": ("getitem", lambda a, b: np.split(a, 3, axis=1)[1]),
    "cumsum": ("cumsum", lambda a, b: np.cumsum(a)),
    "concatenate": ("concat", lambda a, b: np.concatenate([a, b], axis=1)),
    "stack": ("stack", lambda a, b: np.stack([a, b], axis=2)),
    "clip": ("clip", lambda a, b: np.clip(a, -0.5, 1.0)),
    "outer": ("outer", lambda a, b: np.outer(a, b)),
    "where": ("where", lambda a, b: np.where(A > 0.3, a, b)),
    "reshape": ("reshape", lambda a, b: np.reshape(a, (3, -1))),
    "transpose": ("transpose", lambda a, b: np.transpose(a)),
    "swapaxes": ("swapaxes", lambda a, b: np.swapaxes(a, 0, 1)),
    "broadcast_to": ("broadcast_to", lambda a, b: np.broadcast_to(a, (2, 2, 3))),
}


@pytest.mark.parametrize("name", sorted(n for n in FUNCTIONS if hasattr(np, n) and n not in UFUNCS))
def test_numpy_functions_give_the_same_node_and_value(name: str) -> None:
    if name in ("ndim", "shape", "size"):
        assert getattr(np, name)(Tensor(A)) == getattr(np, name)(A)
        return
    op, call = CALLS[name]
    result = call(Tensor(A), Tensor(B))
    assert result.op == op
    np.testing.assert_allclose(result.data, call(A, B), rtol=1e-15)


# --- the checker is checked -----------------------------------------------------------------------
def sampled(row: Operation, random: np.random.Generator) -> list[tuple[list[Any], dict[str, Any]]]:
    """Operands for a row of the table, generic enough that every derivative is felt."""
    if row.examples:
        found = list(row.examples)
    elif row.signature == "elementwise":
        count = len(row.derivatives) if isinstance(row.derivatives, tuple) else 2
        found = [(((2, 3), (3,), (2, 3))[:count], {})]
    else:
        length = {"k": 3, "m": 2, "n": 4}
        sides = re.findall(r"\(([^)]*)\)", row.signature.split("->")[0])
        found = [(tuple(tuple(length[c] for c in s.split(",")) for s in sides), {})]
    several = []
    for shapes, attributes in found:
        size = sum(int(np.prod(s)) for s in shapes)
        spread = np.linspace(*row.domain, size + 2)[1:-1] + 0.003  # distinct, hence off the kinks
        flat = random.permutation(spread)
        values: list[Any] = []
        for k, shape in enumerate(shapes):
            part, flat = flat[: int(np.prod(shape))], flat[int(np.prod(shape)) :]
            condition = row.rule(k) is None
            values.append(part.reshape(shape) > 0 if condition else part.reshape(shape))
        several.append((values, attributes))
    return several


def without_largest(share: Any) -> Any:
    """A share of which one entry is forgotten."""
    share = np.array(share)
    share.flat[np.argmax(np.abs(share))] = 0.0
    return share


FAULTS: dict[str, Callable[[Any], Any]] = {
    "one percent": lambda share: share * 1.01,
    "sign": lambda share: -share,
    "nothing": lambda share: share * 0.0,
    "one entry": without_largest,
    "nan": lambda share: share * np.nan,
}


def faulty(row: Operation, k: int, fault: Callable[[Any], Any]) -> Operation:
    def rule_of(j: int) -> Any:
        rule = row.rule(j)
        return rule if j != k or rule is None else lambda *a, **o: fault(rule(*a, **o))

    if callable(row.derivatives):
        return dataclasses.replace(row, derivatives=rule_of)
    return dataclasses.replace(
        row, derivatives=tuple(rule_of(j) for j in range(len(row.derivatives)))
    )


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("name", RULED)
def test_every_wrong_rule_is_found(name: str, fault: str, table: dict[str, Operation]) -> None:
    row, random = table[name], np.random.default_rng(7)
    samples = sampled(row, random)
    assert samples
    for values, attributes in samples:
        f = of_moving(row, tuple(values), attributes)
        given_operands = [values[k] for k in moving(row, tuple(values))]
        table[name] = row
        check_gradients(f, *given_operands)
        for k in moving(row, tuple(values)):
            table[name] = faulty(row, k, FAULTS[fault])
            with pytest.raises(GradientError) as caught:
                check_gradients(f, *given_operands)
            assert f"operation {name}: its rule for operand {k + 1}" in str(caught.value)


@pytest.mark.parametrize("name", ["multiply", "tanh", "sigmoid", "exp", "divide", "softmax"])
def test_a_rule_right_in_value_and_wrong_in_dependence_is_found(
    name: str, table: dict[str, Operation]
) -> None:
    """A rule computed from bare numbers gives right gradients, and wrong gradients of those."""
    row = table[name]

    def frozen(k: int) -> Callable[..., Any]:
        def rule(g: Any, y: Any, *inputs: Any, **attributes: Any) -> Any:
            bare = [i.data if isinstance(i, Tensor) else i for i in (y, *inputs)]
            return row.rule(k)(g, *bare, **attributes)

        return rule

    (values, attributes), *_ = sampled(row, np.random.default_rng(3))
    rules = tuple(frozen(k) for k in range(len(values)))
    table[name] = dataclasses.replace(row, derivatives=rules)
    f = of_moving(row, tuple(values), attributes)
    check_gradients(f, *values)
    with pytest.raises(GradientError, match=f"operation {name}: its rule for operand"):
        check_gradients(f, *values, second_order=True)
