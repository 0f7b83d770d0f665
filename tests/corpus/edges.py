"""Cells at the edge of what a cell is: without parameters, with things that nobody reads."""

from tinygrad_lstm import cell, matvec, maximum, relu, tanh, where


@cell(state="h", x="hidden")
def no_parameters(now, prev, x, p):
    """An exponential moving average (Brown 1956): nothing to learn."""
    now.h = 0.9 * prev.h + 0.1 * x


@cell(
    state={"h": "hidden", "count": "", "best": "inputs"},
    parameters={"W": "hidden, inputs + hidden"},
)
def unread_state(now, prev, x, p):
    """A state that no equation reads but its own (a count), and one that none reads at all."""
    now.h = tanh(p.W[:, : x.shape[0]] @ x + p.W[:, x.shape[0] :] @ prev.h)
    now.count = prev.count + 1
    now.best = maximum(x, 0.5)


@cell(state="h", parameters={"W": "hidden, hidden", "b": "hidden", "spare": "hidden, inputs"})
def unused(now, prev, x, p):
    """A parameter and an input that nothing reads: the network runs on its own."""
    now.h = tanh(matvec(p.W, prev.h) + p.b)


@cell(state="h", x="", parameters={"W": "hidden, hidden", "b": "hidden"})
def autonomous(now, prev, x, p):
    """No input: x is declared a number and left alone. An equation is a constant, one a state."""
    now.one = 1.0
    now.before = prev.h
    now.h = tanh(p.W @ now.before + p.b * now.one)


@cell(state="h", parameters={"W": "hidden, inputs", "U": "hidden, hidden", "a": "hidden"})
def kinks(now, prev, x, p):
    """ReLU, its leaky form and the parametric one (He et al. 2015) in one step."""
    now.z = p.W @ x + p.U @ prev.h
    now.leaky = where(now.z > 0, now.z, 0.01 * now.z)
    now.prelu = maximum(0.0, now.leaky) + p.a * (now.leaky - relu(now.leaky))
    now.h = now.prelu / (1 + relu(now.prelu))


@cell(state="h", parameters={"W": "hidden, inputs", "U": "hidden, hidden"})
def one_line(now, prev, x, p):
    """The shortest cell: Elman's (1990) in one equation, without a bias."""
    now.h = tanh(p.W @ x + p.U @ prev.h)
