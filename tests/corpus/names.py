"""Cells with names that programs use themselves: an author's names are the author's."""

from tinygrad_lstm import cell, sigmoid, tanh

SQUARE, WIDE = "hidden, hidden", "hidden, inputs"


@cell(
    state="add values",
    parameters={"delta step": WIDE, "lambda_ seed": SQUARE, "b count": "hidden"},
    output="add",
)
def odd_names(now, prev, x, p):
    """A gated cell; the names are those of functions, arguments and readings of this project."""
    now.tanh = tanh(p.delta @ x + p.lambda_ @ prev.add + p.b)
    now.bar = sigmoid(p.step @ x + p.seed @ prev.values + p.count)
    now.게이트 = now.bar * now.tanh
    now.σ = sigmoid(now.게이트 + prev.values)
    now.held = now.σ * prev.add
    now.gone = (1 - now.σ) * prev.add
    now.add = now.held + now.게이트
    now.values = now.gone - now.tanh


@cell(state="E x_ L", parameters={"I S": WIDE, "N Q": SQUARE, "pi x_1": "hidden"}, output="E")
def symbols(now, prev, x, p):
    """Names that SymPy and the literature have given away: E, I, N, pi; L is the loss's."""
    now.O = tanh(p.I @ x + p.N @ prev.E + p.pi)
    now.gamma = sigmoid(p.S @ x + p.Q @ prev.x_ + p.x_1)
    now.dL = now.gamma * now.O
    now.L = prev.L + now.dL
    now.E = tanh(now.L)
    now.x_ = now.E - prev.x_


@cell(
    state="double new",
    parameters={"int": WIDE, "register function": SQUARE, "char": "hidden"},
    output="new",
)
def keywords(now, prev, x, p):
    """Words that are reserved in C and in JavaScript, and are not in Python."""
    now.float = tanh(p.int @ x + p.register @ prev.double + p.char)
    now.var = sigmoid(p.function @ prev.new + now.float)
    now.const = 1 - now.var
    now.default = now.const * prev.new
    now.double = now.var * now.float
    now.new = now.default + now.double


@cell(
    state="h",
    parameters={"batch time": WIDE, "state": SQUARE, "name": "hidden", "data": ""},
    sequences={"lengths_": "hidden"},
    start={"data": 1},
)
def running(now, prev, x, p, lengths_):
    """Words that mean something to whatever runs a cell, and one-letter names next to T and t."""
    now.T = p.data * tanh(p.batch @ x + p.state @ prev.h + p.name)
    now.t = sigmoid(p.time @ x + lengths_)
    now.steps = now.t * now.T
    now.loss = (1 - now.t) * prev.h
    now.h = now.steps + now.loss


@cell(state={"x": "units"}, x="inputs", parameters={"W_in": "units, inputs", "W": "units, units"})
def echo_state(now, prev, u, p, leak=0.3):
    """Echo state network (Jaeger 2001; 2007 with leak): its state is called x, its input u."""
    now.x = (1 - leak) * prev.x + leak * tanh(p.W_in @ u + p.W @ prev.x)
