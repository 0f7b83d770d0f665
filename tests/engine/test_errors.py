"""Bad input gets one clear error: every message is asserted whole."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from tinygrad_lstm import cell, cells, concat, matvec, tanh, unroll
from tinygrad_lstm.errors import (
    CellError,
    DataError,
    DTypeError,
    ShapeError,
    TinygradError,
    UnknownNameError,
)

LSTM = cells.lstm
P = LSTM.init(inputs=3, hidden=4)
ARRAYS = {name: t.numpy() for name, t in P.items()}
XS = np.ones((2, 6, 3))


def with_nan() -> Any:
    xs = np.ones((4, 2, 3))
    xs[1, 0, 2], xs[3] = np.nan, np.inf
    return xs


def raises(kind: type[TinygradError], message: str, action: Callable[[], Any]) -> None:
    with pytest.raises(kind) as caught:
        action()
    assert type(caught.value) is kind
    assert str(caught.value) == message


# --- sequences ------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("xs", "kind", "message"),
    [
        (
            np.ones((2, 5)),
            ShapeError,
            "in cell 'lstm', equation f = sigmoid(W_f · [h_{t-1}, x_t] + b_f)\n"
            "  W_f is (hidden=4, hidden + inputs=7) but [h_{t-1}, x_t] has 9 entries: x has 5, "
            "the cell was built for inputs=3.\n"
            "  Build the parameters with inputs=5, or pass x with 3 features.",
        ),
        (
            np.ones((2, 3), int),
            DTypeError,
            "cell 'lstm': xs holds int64, but floating-point numbers are needed.\n"
            "  Write xs.astype(float); for token numbers, one-hot rows or an embedding.",
        ),
        (
            "hello",
            DTypeError,
            "cell 'lstm': xs holds <U5, but floating-point numbers are needed.\n"
            "  Write xs.astype(float); for token numbers, one-hot rows or an embedding.",
        ),
        (
            with_nan(),
            DataError,
            "cell 'lstm': xs holds nan at index [1, 0, 2]; 7 of 24 entries are not finite.",
        ),
        (
            np.ones((0, 3)),
            DataError,
            "cell 'lstm': xs is empty, its shape is (0, 3); a sequence needs at least one step.",
        ),
        (
            [],
            DataError,
            "cell 'lstm': xs is empty, its shape is (0,); a sequence needs at least one step.",
        ),
        (
            np.ones(3),
            ShapeError,
            "cell 'lstm': xs must be (time, inputs) or (time, batch, inputs), got shape (3,).",
        ),
        (
            [[1.0, 2.0, 3.0], [1.0]],
            ShapeError,
            "cell 'lstm': xs is ragged: its rows differ in length.",
        ),
    ],
    ids=["features", "integers", "text", "nan", "empty", "empty list", "one axis", "ragged"],
)
def test_sequences(xs: Any, kind: type[TinygradError], message: str) -> None:
    raises(kind, message, lambda: unroll(LSTM, P, xs))


@pytest.mark.parametrize(
    ("initial", "kind", "message"),
    [
        (
            {"c": np.ones(4)},
            UnknownNameError,
            "cell 'lstm': initial has 'c', but the states are h, C.",
        ),
        (
            {"C": np.ones(5)},
            ShapeError,
            "cell 'lstm': initial C has shape (5,), but the state is (hidden) = (4,), or (6, 4) "
            "for this batch.",
        ),
        (
            {"C": np.ones(4, int)},
            DTypeError,
            "cell 'lstm': initial C holds int64, but floating-point numbers are needed.\n"
            "  Write C.astype(float); for token numbers, one-hot rows or an embedding.",
        ),
        (
            {"h": np.array([0, 0, np.inf, 0])},
            DataError,
            "cell 'lstm': initial h holds inf at index [2]; 1 of 4 entries are not finite.",
        ),
    ],
    ids=["unknown", "shape", "integers", "infinite"],
)
def test_initial_states(initial: Any, kind: type[TinygradError], message: str) -> None:
    raises(kind, message, lambda: unroll(LSTM, P, XS, initial))


@cell(
    state="h",
    parameters={"W": "hidden, hidden + inputs"},
    sequences={"noise": "hidden"},
    constants={"mask": "hidden"},
)
def noisy(now: Any, prev: Any, x: Any, p: Any, noise: Any, mask: Any) -> None:
    """A cell with further inputs."""
    now.h = tanh(matvec(p.W, concat(prev.h, x))) * mask + noise


@pytest.mark.parametrize(
    ("further", "kind", "message"),
    [
        (
            {},
            UnknownNameError,
            "cell 'noisy' has further inputs; pass them by name: noise=… (hidden), mask=… "
            "(hidden).",
        ),
        (
            {"noise": np.ones((2, 6, 4)), "mask": np.ones(5)},
            ShapeError,
            "cell 'noisy': mask has shape (5,), but (hidden) = (4,) was declared.\n"
            "  Pass (4,), shared by the batch, or (6, 4), one for each sample.",
        ),
        (
            {"noise": np.ones((3, 6, 4)), "mask": np.ones(4)},
            ShapeError,
            "cell 'noisy': noise is a sequence and needs 2 steps on its first axis, as xs has; "
            "its shape is (3, 6, 4).",
        ),
        (
            {"noise": np.ones((2, 6, 4)), "mask": np.full(4, np.nan)},
            DataError,
            "cell 'noisy': mask holds nan at index [0]; 4 of 4 entries are not finite.",
        ),
        (
            {"noise": np.ones((2, 6, 4)), "mask": np.ones(4), "mode": np.ones(1)},
            UnknownNameError,
            "cell 'noisy' has no further input 'mode'; it has noise, mask.",
        ),
    ],
    ids=["missing", "shape", "time", "nan", "unknown"],
)
def test_further_inputs(further: Any, kind: type[TinygradError], message: str) -> None:
    p = noisy.init(inputs=3, hidden=4)
    raises(kind, message, lambda: unroll(noisy, p, XS, **further))


def test_what_is_no_cell() -> None:
    raises(
        CellError,
        "unroll needs a cell, got 'lstm'; write cells.lstm, or cells.all()[name].",
        lambda: unroll("lstm", P, XS),  # type: ignore[arg-type]
    )


def test_names_that_a_run_or_parameters_do_not_have() -> None:
    raises(
        UnknownNameError,
        "cell 'lstm' has no equation 'g'; it has f, i, C_tilde, C, o, h.",
        lambda: unroll(LSTM, P, XS)["g"],
    )
    raises(
        UnknownNameError,
        "cell 'lstm' has no parameter 'W_x'; it declares W_f, W_i, W_C, W_o, b_f, b_i, b_C, b_o.",
        lambda: P.W_x,
    )
    assert "W_x" not in P
    assert P.get("W_x") is None


# --- sizes and parameters -------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("sizes", "kind", "message"),
    [
        (
            {"inputs": 3, "hidden": 0},
            ShapeError,
            "cell 'lstm': hidden must be a whole number of at least 1, got 0.",
        ),
        (
            {"inputs": 3, "hidden": 2.5},
            ShapeError,
            "cell 'lstm': hidden must be a whole number of at least 1, got 2.5.",
        ),
        (
            {"inputs": True, "hidden": 2},
            ShapeError,
            "cell 'lstm': inputs must be a whole number of at least 1, got True.",
        ),
        ({"hidden": 4}, ShapeError, "cell 'lstm' needs inputs=…: its sizes are hidden, inputs."),
        (
            {"inputs": 3, "hiden": 4},
            UnknownNameError,
            "cell 'lstm' has no size or parameter 'hiden'; its sizes are hidden, inputs, its "
            "parameters W_f, W_i, W_C, W_o, b_f, b_i, b_C, b_o.",
        ),
        (
            {"inputs": 3, "hidden": 4, "b_f": np.ones(4)},
            DataError,
            "cell 'lstm': b_f is filled with one finite number, got array([1., 1., 1., 1.]).\n"
            "  For an array, exchange it afterwards: p.replace({'b_f': array}).",
        ),
        (
            {"inputs": 3, "hidden": 4, "b_f": math.inf},
            DataError,
            "cell 'lstm': b_f is filled with one finite number, got inf.\n"
            "  For an array, exchange it afterwards: p.replace({'b_f': array}).",
        ),
        (
            {"inputs": 3, "hidden": 4, "dtype": int},
            DTypeError,
            "cell 'lstm': parameters are floating-point, got dtype int64.",
        ),
    ],
    ids=["zero", "fraction", "boolean", "missing", "unknown", "array", "infinite", "dtype"],
)
def test_sizes(sizes: Any, kind: type[TinygradError], message: str) -> None:
    raises(kind, message, lambda: LSTM.init(**sizes))


NAMES = "W_f, W_i, W_C, W_o, b_f, b_i, b_C, b_o"


@pytest.mark.parametrize(
    ("change", "kind", "message"),
    [
        (
            {"W_f": None},
            UnknownNameError,
            f"cell 'lstm': W_f is missing; the parameters are {NAMES}.",
        ),
        (
            {"W_f": None, "W_x": np.ones((4, 7))},
            UnknownNameError,
            f"cell 'lstm': no parameter is called W_x and W_f is missing; the parameters are "
            f"{NAMES}.",
        ),
        (
            {"W_i": np.ones((4, 6))},
            ShapeError,
            "cell 'lstm': W_i is (hidden, hidden + inputs) = (4, 7), hidden=4 by W_f, inputs=3 by "
            "W_f, but the array given has shape (4, 6).",
        ),
        (
            {"b_i": np.ones((4, 1))},
            ShapeError,
            "cell 'lstm': b_i is (hidden), which has 1 axis, but the array given has shape (4, 1).",
        ),
        (
            {"W_f": np.ones((4, 4))},
            ShapeError,
            "cell 'lstm': W_f is (hidden, hidden + inputs) = (4, 7), hidden=4 by W_i, inputs=3 by "
            "W_i, but the array given has shape (4, 4).",
        ),
        (
            {"W_f": np.ones((4, 8))},
            ShapeError,
            "cell 'lstm': W_f is (hidden, hidden + inputs) = (4, 7), hidden=4 by W_i, inputs=3 by "
            "W_i, but the array given has shape (4, 8).",
        ),
        (
            {"b_i": np.ones(4, int)},
            DTypeError,
            "cell 'lstm': parameter b_i holds int64, but floating-point numbers are needed.\n"
            "  Write b_i.astype(float).",
        ),
        (
            {"b_i": np.array([0, np.nan, 0, 0])},
            DataError,
            "cell 'lstm': parameter b_i holds nan at index [1]; 1 of 4 entries are not finite.",
        ),
    ],
    ids=["missing", "unknown", "shape", "axes", "no inputs left", "first", "integers", "nan"],
)
def test_bind(change: Any, kind: type[TinygradError], message: str) -> None:
    arrays = {name: a for name, a in {**ARRAYS, **change}.items() if a is not None}
    raises(kind, message, lambda: LSTM.bind(arrays))


def test_bind_other_things() -> None:
    raises(
        DTypeError,
        "cell 'lstm': parameters are a mapping of names to arrays, got NoneType; make fresh ones "
        "with init.",
        lambda: unroll(LSTM, None, XS),  # type: ignore[arg-type]
    )
    raises(
        ShapeError,
        "cell 'lstm': the arrays give hidden=4, not 5.",
        lambda: LSTM.bind(ARRAYS, hidden=5),
    )
    raises(
        UnknownNameError,
        "cell 'lstm' has no size 'units'; its sizes are hidden, inputs.",
        lambda: LSTM.bind(ARRAYS, units=4),
    )
    raises(
        UnknownNameError,
        f"cell 'lstm': no parameter is called W, b and {NAMES} are missing; the parameters are "
        f"{NAMES}.",
        lambda: unroll(LSTM, cells.rnn.init(inputs=3, hidden=4), XS),
    )
