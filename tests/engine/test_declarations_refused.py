"""Declarations that cannot be, and starts from which nothing is learned."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest
from test_declarations import begun, sampling

from tinygrad_lstm import cell, cells, matvec, mean, sigmoid, sqrt, stack, tanh, unroll
from tinygrad_lstm.errors import CellError, DataError, ShapeError, TinygradError, UnknownNameError

# --- what cannot be declared ----------------------------------------------------------------------
SIZE = "\n  Write a bound, 'at least 2', or what determines it, '2 * hidden + 1'."
FILLS = "write a number or one of zero, one, uniform, glorot, orthogonal, identity."


@pytest.mark.parametrize(
    ("options", "kind", "message"),
    [
        (
            {"start": {"V": 1}},
            UnknownNameError,
            "cell 'plain': start names 'V', which is neither a parameter (W, b) nor a state (h).",
        ),
        (
            {"start": {"W": "xavier"}},
            UnknownNameError,
            f"cell 'plain': W cannot start as 'xavier'; {FILLS}",
        ),
        (
            {"start": {"h": "xavier"}},
            UnknownNameError,
            f"cell 'plain': h cannot start as 'xavier'; {FILLS}",
        ),
        (
            {"start": {"b": "orthogonal"}},
            ShapeError,
            "cell 'plain': b is (hidden); orthogonal is for matrices.",
        ),
        (
            {"start": {"h": "identity"}},
            ShapeError,
            "cell 'plain': h is (hidden); identity is for matrices.",
        ),
        (
            {"start": {"W": np.inf}},
            DataError,
            "cell 'plain': W is filled with one finite number, got inf.\n"
            "  For an array, exchange it afterwards: p.replace({'W': array}).",
        ),
        (
            {"start": {"W": True}},
            DataError,
            "cell 'plain': W is filled with one finite number, got True.\n"
            "  For an array, exchange it afterwards: p.replace({'W': array}).",
        ),
        (
            {"start": {"h": np.nan}},
            DataError,
            "cell 'plain': h is filled with one number, got nan.\n"
            "  For an array, pass it to unroll: initial={'h': array}.",
        ),
        (
            {"start": {"h": np.ones(1)}},
            DataError,
            "cell 'plain': h is filled with one number, got array([1.]).\n"
            "  For an array, pass it to unroll: initial={'h': array}.",
        ),
        ({"start": "W"}, CellError, "start is a mapping, as in start={\"NAME\": …}, got 'W'."),
        ({"noise": "eps"}, CellError, "noise is a mapping, as in noise={\"NAME\": …}, got 'eps'."),
        (
            {"sizes": ["hidden"]},
            CellError,
            "sizes is a mapping, as in sizes={\"NAME\": …}, got ['hidden'].",
        ),
        (
            {"parameters": {"W": 3}},
            CellError,
            "the shape of 'W' is written in words, as 'hidden, hidden + inputs', got 3.",
        ),
        (
            {"output": "y"},
            UnknownNameError,
            "cell 'plain': the output 'y' is never written; the step defines h.",
        ),
        ({"output": 1}, CellError, "output is the name of an equation, got 1."),
        (
            {"loss": "y"},
            UnknownNameError,
            "cell 'plain': the loss 'y' is never written; the step defines h.",
        ),
        (
            {"loss": "h"},
            ShapeError,
            "cell 'plain': the loss h has shape (3,), but it is one number a step.\n"
            "  Sum it: now.h = sum(…).",
        ),
        ({"loss": ["h"]}, CellError, "loss is the name of an equation, got ['h']."),
        ({"noise": {"W": "hidden"}}, CellError, "cell 'plain': 'W' is declared twice."),
        (
            {"noise": {"e": "hidden"}, "sequences": {"e": "hidden"}},
            CellError,
            "cell 'plain': 'e' is declared twice.",
        ),
        (
            {"noise": {"seed": "hidden"}},
            CellError,
            "cell 'plain': a further input cannot be called 'seed', which is an argument of "
            "unroll; "
            "choose another name.",
        ),
        (
            {"noise": {"eps": "hidden"}},
            CellError,
            "cell 'plain': the step does not take eps; write def plain(now, prev, x, p, eps).",
        ),
        (
            {"sizes": {"q": "at least 2"}},
            UnknownNameError,
            "cell 'plain': sizes speaks of 'q', which no shape names; the sizes are hidden, "
            "inputs.",
        ),
        (
            {"sizes": {"hidden": "at most 2"}},
            CellError,
            f"cannot read the size 'hidden': 'at most 2'.{SIZE}",
        ),
        (
            {"sizes": {"hidden": "at least 0"}},
            CellError,
            f"cannot read the size 'hidden': 'at least 0'.{SIZE}",
        ),
        (
            {"sizes": {"hidden": "inputs, 2"}},
            CellError,
            f"cannot read the size 'hidden': 'inputs, 2'.{SIZE}",
        ),
        ({"sizes": {"hidden": "4"}}, CellError, f"cannot read the size 'hidden': '4'.{SIZE}"),
        ({"sizes": {"hidden": 4}}, CellError, f"cannot read the size 'hidden': 4.{SIZE}"),
        (
            {"sizes": {"hidden": "2 * inputs", "inputs": "hidden + 1"}},
            CellError,
            "cell 'plain': the sizes hidden, inputs depend on one another.",
        ),
    ],
    ids=str,
)
def test_bad_declarations(options: Any, kind: type[Exception], message: str) -> None:
    def plain(now: Any, prev: Any, x: Any, p: Any) -> None:
        now.h = tanh(matvec(p.W, x) + p.b) + prev.h

    shapes = {"W": "hidden, inputs", "b": "hidden"}
    with pytest.raises(kind) as caught:
        made = cell(**{"state": "h", "parameters": shapes, **options})(plain)
        made.program()
    assert str(caught.value) == message


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda: unroll(cells.lstm, cells.lstm.init(inputs=1, hidden=1), np.ones((2, 1))).loss,
            "cell 'lstm' declares no loss; write @cell(loss=\"NAME\") for a scalar equation, or "
            'compute one from run["h"].',
        ),
        (
            lambda: unroll(sampling, P, np.ones((2, 2)), seed=-1),
            "cell 'sampling': seed is a whole number of at least 0, from which noise is drawn, got "
            "-1.",
        ),
        (
            lambda: unroll(sampling, P, np.ones((2, 2)), seed=0.5),
            "cell 'sampling': seed is a whole number of at least 0, from which noise is drawn, got "
            "0.5.",
        ),
        (
            lambda: unroll(sampling, P, np.ones((2, 2)), eps=np.ones((2, 4))),
            "cell 'sampling': eps has shape (2, 4), but (latent) = (2,) was declared.\n"
            "  Pass (2, 2).",
        ),
        (
            lambda: unroll(untold, {"W": np.ones((1, 1))}, np.ones((2, 1))),
            "cell 'untold': nothing given tells latent; pass eps=… (latent).",
        ),
        (
            lambda: begun.init(inputs=2, hidden=2, R="xavier"),
            f"cell 'begun': R cannot start as 'xavier'; {FILLS}",
        ),
        (
            lambda: begun.init(inputs=2, hidden=2, b="orthogonal"),
            "cell 'begun': b is (hidden); orthogonal is for matrices.",
        ),
        (
            lambda: begun.init(inputs=2, hidden=2, m=1.0),
            "cell 'begun' has no size or parameter 'm'; its sizes are hidden, inputs, its "
            "parameters W, R, s, b, c.",
        ),
        (
            lambda: stack([matrix, cells.rnn]).init(inputs=2, hidden=2),
            "network 'stack_of_matrix_and_rnn': 2.x is (inputs), but '1.y', which is wired to it, "
            "has shape (3, 3).",
        ),
    ],
)
def test_bad_uses(call: Any, message: str) -> None:
    with pytest.raises(TinygradError) as caught:
        call()
    assert str(caught.value) == message


P = sampling.init(inputs=2, hidden=3, latent=2)


@cell(state="h", parameters={"W": "hidden, inputs"}, noise={"eps": "latent"})
def untold(now: Any, prev: Any, x: Any, p: Any, eps: Any) -> None:
    """Noise of a size that no parameter has."""
    now.h = prev.h + matvec(p.W, x) * eps.sum()


@cell(state="h", parameters={"W": "hidden, inputs"}, output="y")
def matrix(now: Any, prev: Any, x: Any, p: Any) -> None:
    """An output that no layer can read."""
    now.h = prev.h + matvec(p.W, x)
    now.y = now.h[:, None] * now.h


# --- starts from which nothing is learned ---------------------------------------------------------
def normalised(**options: Any) -> Any:
    @cell(
        state="h C",
        parameters={
            "W_f W_i W_o W_C": "hidden, inputs",
            "U_f U_i U_o U_C": "hidden, hidden",
            "s_f s_i s_o s_C s_h": "hidden",
            "b_f b_i b_o b_C b_h": "hidden",
        },
        **options,
    )
    def layer_norm_lstm(now: Any, prev: Any, x: Any, p: Any) -> None:
        def norm(a: Any, gain: Any, bias: Any) -> Any:
            d = a - mean(a)
            return gain * d / sqrt(mean(d * d) + 1e-5) + bias

        for k, f in (("f", sigmoid), ("i", sigmoid), ("o", sigmoid), ("C", tanh)):
            a = matvec(p[f"W_{k}"], x) + matvec(p[f"U_{k}"], prev.h)
            now[f"g_{k}"] = f(norm(a, p[f"s_{k}"], p[f"b_{k}"]))
        now.C = now.g_f * prev.C + now.g_i * now.g_C
        now.h = now.g_o * tanh(norm(now.C, p.s_h, p.b_h))

    return layer_norm_lstm


def said(make: Any) -> list[str]:
    with warnings.catch_warnings(record=True) as found:
        warnings.simplefilter("always")
        make()
    return [str(w.message) for w in found]


def test_gains_that_start_at_zero_are_named() -> None:
    """h = o tanh(s_h norm(C) + b_h), C from s_C and b_C: by b_h the output gate learns, but s_h
    waits for a C that is not 0, s_C and b_C for an s_h that is not 0, and W_f, W_i, W_C ever."""
    made = normalised()
    assert said(lambda: made.init(inputs=2, hidden=3)) == [
        "cell 'layer_norm_lstm': W_f, W_i, W_C, U_f, U_i, U_C cannot learn from s_C = 0: at this "
        "start the gradient stays 0.\n"
        '  Declare another start: @cell(start={"s_C": 1}), or init(s_C=1.0).'
    ]
    assert said(lambda: made.init(inputs=2, hidden=3)) == []  # once
    assert said(lambda: normalised(start={"s_C": 1}).init(inputs=2, hidden=3)) == []
    assert said(lambda: normalised(start={"s_f s_i s_o s_C s_h": 1}).init(inputs=2, hidden=3)) == []
    chosen = {name: 0.0 for name in made.parameters if name[0] in "sb"}
    assert said(lambda: normalised().init(inputs=2, hidden=3, **chosen)) == []


def test_what_the_warning_advises_ends_it() -> None:
    def gated(**options: Any) -> Any:
        @cell(state="h", parameters={"W": "hidden, inputs", "g": "hidden"}, **options)
        def gated(now: Any, prev: Any, x: Any, p: Any) -> None:
            now.h = p.g * tanh(matvec(p.W, x) * p.g) + prev.h

        return gated

    assert said(lambda: gated().init(inputs=2, hidden=3)) == [
        "cell 'gated': W cannot learn from g = 0: at this start the gradient stays 0.\n"
        '  Declare another start: @cell(start={"g": 1}), or init(g=1.0).'
    ]
    assert said(lambda: gated(start={"g": 1}).init(inputs=2, hidden=3)) == []
    assert said(lambda: gated().init(inputs=2, hidden=3, g=1.0)) == []
    assert said(lambda: gated().init(inputs=2, hidden=3, g=0.0)) == []


def test_what_one_step_opens_is_no_dead_start() -> None:
    """h = g tanh(W x) with g = 0: W has no gradient, but g has one, and then W has."""

    @cell(state="h", parameters={"W": "hidden, inputs", "g": "hidden"})
    def opening(now: Any, prev: Any, x: Any, p: Any) -> None:
        now.h = prev.h + p.g * tanh(matvec(p.W, x))

    assert said(lambda: opening.init(inputs=2, hidden=3)) == []


def test_no_built_in_cell_warns() -> None:
    for name, own in cells.all().items():
        own._examined.clear()
        assert said(lambda own=own: own.init(**own.small_sizes())) == [], name
