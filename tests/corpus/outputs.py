"""Networks whose output is no state, or whose state is their output."""

from tinygrad_lstm import cell, matvec, sigmoid, softmax, tanh

READ_OUT = {
    "W_h": "hidden, inputs",
    "U_h": "hidden, hidden",
    "b_h": "hidden",
    "W_y": "outputs, hidden",
    "b_y": "outputs",
}


@cell(state="h", parameters=READ_OUT, output="y")
def elman(now, prev, x, p):
    """Elman's simple recurrent network (1990) with its output layer."""
    now.h = sigmoid(matvec(p.W_h, x) + matvec(p.U_h, prev.h) + p.b_h)
    now.y = sigmoid(matvec(p.W_y, now.h) + p.b_y)


@cell(state={"y": "outputs"}, parameters={**READ_OUT, "U_h": "hidden, outputs"})
def jordan(now, prev, x, p):
    """Jordan's network (1986): what comes back is the output, and h is kept by nobody."""
    now.h = sigmoid(matvec(p.W_h, x) + matvec(p.U_h, prev.y) + p.b_h)
    now.y = sigmoid(matvec(p.W_y, now.h) + p.b_y)


@cell(
    state={"s": "plans"},
    x="moves",
    parameters={"T": "moves, plans, plans", "E": "plans, moves"},
    start={"s": 1},
    output="y",
)
def markov(now, prev, x, p):
    """The forward pass of an input-output hidden Markov model (Bengio & Frasconi 1995)."""
    moves = softmax(x)
    now.T = (softmax(p.T, axis=1) * moves[:, None, None]).sum(axis=0)
    now.belief = now.T @ prev.s
    now.seen = now.belief * (softmax(p.E) @ moves)
    now.s = now.seen / (now.seen.sum() + 1e-30)
    now.y = tanh(now.s @ p.E)


def probabilities(random, shape):
    """Positive numbers that add up to one."""
    return random.dirichlet([1.0] * shape[-1], shape[:-1])


inputs = {"s": probabilities}
