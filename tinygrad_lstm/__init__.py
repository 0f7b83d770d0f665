"""A mini autodiff engine for recurrent networks: cells written once, as named equations.

    from tinygrad_lstm import cells, unroll
    p = cells.lstm.init(inputs=3, hidden=4, seed=0)
    run = unroll(cells.lstm, p, xs)                     # xs: (time, batch, inputs)
    run["h"].sum().backward()
    p.W_f.grad
"""

from tinygrad_lstm import ops  # the table must be full before anything is computed
from tinygrad_lstm.functions import (
    abs,
    add,
    broadcast_to,
    clip,
    concat,
    cos,
    cumsum,
    divide,
    equal,
    exp,
    getitem,
    greater,
    greater_equal,
    less,
    less_equal,
    log,
    log_softmax,
    logsumexp,
    matmul,
    matvec,
    max,
    maximum,
    mean,
    minimum,
    multiply,
    negative,
    not_equal,
    outer,
    power,
    relu,
    reshape,
    sigmoid,
    sin,
    softmax,
    softplus,
    sqrt,
    subtract,
    sum,
    swapaxes,
    tanh,
    transpose,
    vecdot,
    where,
)

from tinygrad_lstm.tensor import Tensor  # isort: skip
from tinygrad_lstm.gradients import grad, value_and_grad
from tinygrad_lstm.networks import bidirectional, stack
from tinygrad_lstm.program import Program
from tinygrad_lstm.recurrent import Cell, Parameters, cell
from tinygrad_lstm.sequence import Run, unroll
from tinygrad_lstm.stepping import step_through

from tinygrad_lstm.kernels import compiled  # isort: skip
from tinygrad_lstm.checking import Agreement, check_gradients  # isort: skip

from tinygrad_lstm import cells, errors, weights  # isort: skip

__version__ = "0.1.0"

__all__ = [
    "abs", "add", "Agreement", "bidirectional", "broadcast_to", "Cell", "cell", "cells",
    "check_gradients", "clip", "compiled", "concat", "cos", "cumsum", "divide",
    "equal", "errors", "exp",
    "getitem", "grad", "greater", "greater_equal", "less", "less_equal", "log", "log_softmax",
    "logsumexp", "matmul", "matvec", "max", "maximum", "mean", "minimum", "multiply",
    "negative", "not_equal", "ops", "outer", "Parameters", "power", "Program", "relu",
    "reshape", "Run", "sigmoid", "sin", "softmax", "softplus", "sqrt", "stack", "step_through",
    "subtract", "sum", "swapaxes", "tanh", "Tensor", "transpose", "unroll", "value_and_grad",
    "vecdot", "weights", "where",
]  # fmt: skip
