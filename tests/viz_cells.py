"""Cells that nobody has drawn before: three states, unusual operations, many equations."""

import random

from tinygrad_lstm import cell, concat, exp, matvec, maximum, mean, sigmoid, softmax, sqrt, tanh

# mypy: disallow-untyped-defs=False


@cell(
    state="h C n",
    parameters={"W_f W_i W_z W_o": "hidden, hidden + inputs", "b_f b_i b_z b_o": "hidden"},
)
def exponential(now, prev, x, p):
    """Exponential gates with a normaliser: three states, two of them on belts."""
    hx = concat(prev.h, x)
    now.f = sigmoid(matvec(p.W_f, hx) + p.b_f)
    now.i = exp(matvec(p.W_i, hx) + p.b_i)
    now.z = tanh(matvec(p.W_z, hx) + p.b_z)
    now.C = now.f * prev.C + now.i * now.z
    now.n = now.f * prev.n + now.i
    now.o = sigmoid(matvec(p.W_o, hx) + p.b_o)
    now.h = now.o * (now.C / now.n)


@cell(
    state="h m",
    parameters={"W_a W_v": "hidden, hidden + inputs", "W_u": "hidden, inputs", "g": "hidden"},
    sequences={"noise": "hidden"},
)
def exotic(now, prev, x, p, noise):
    """Softmax, a linear map, a learned gain, noise, powers and roots."""
    hx = concat(prev.h, x)
    now.a = softmax(matvec(p.W_a, hx))
    now.u = matvec(p.W_u, x)
    now.v = tanh(matvec(p.W_v, hx))
    now.m = maximum(prev.m * now.a, now.v**2)
    now.h = p.g * (now.u - now.m) / sqrt(1 + mean(now.m)) + noise


@cell(
    state="h C D",
    parameters={
        "W_1 W_2 W_3 W_4 W_5 W_6": "hidden, hidden + inputs",
        "V_1 V_2 V_3": "hidden, hidden",
        "b_1 b_2 b_3": "hidden",
    },
)
def deep(now, prev, x, p):
    """Two memories, and layers that read other layers: twelve equations."""
    hx = concat(prev.h, x)
    now.f = sigmoid(matvec(p.W_1, hx) + p.b_1)
    now.i = sigmoid(matvec(p.W_2, hx) + p.b_2)
    now.u = tanh(matvec(p.W_3, hx) + p.b_3)
    now.C = now.f * prev.C + now.i * now.u
    now.r = sigmoid(matvec(p.W_4, concat(now.C, x)))
    now.s = tanh(matvec(p.V_1, now.r * prev.D))
    now.k = sigmoid(matvec(p.W_5, hx))
    now.D = now.k * prev.D + (1 - now.k) * now.s
    now.q = tanh(matvec(p.V_2, now.D))
    now.o = sigmoid(matvec(p.W_6, hx))
    now.w = matvec(p.V_3, now.q)
    now.h = now.o * tanh(now.C + now.w)


@cell(state="h C", parameters={"W": "hidden, inputs", "U_f U_C": "hidden, hidden", "b": "hidden"})
def separate(now, prev, x, p):
    """Sums of products instead of concatenations, and a gate that is used twice."""
    now.f = sigmoid(matvec(p.W, x) + matvec(p.U_f, prev.h) + p.b)
    now.c = tanh(matvec(p.W, x) + matvec(p.U_C, prev.h))
    now.C = prev.C + now.f * (now.c - prev.C)
    now.h = now.f * tanh(now.C)


@cell(state="h", parameters={"W": "hidden, inputs", "U": "hidden, hidden"})
def reset_after(now, prev, x, p):
    """A gate that multiplies the product itself, as some libraries compute the GRU."""
    now.r = sigmoid(matvec(p.W, x) + matvec(p.U, prev.h))
    now.n = tanh(matvec(p.W, x) + now.r * matvec(p.U, prev.h))
    now.h = prev.h + now.r * (now.n - prev.h)


@cell(state="h", x="hidden", parameters={"g": "hidden"})
def leak(now, prev, x, p):
    """No learned layer: belts and pointwise operations alone."""
    now.h = 0.9 * prev.h + 0.1 * p.g * x


OWN = (exponential, exotic, deep, separate, reset_after, leak)


def random_cell(seed):
    """A cell that nobody would write: up to nine random equations over one to three states."""
    draw = random.Random(seed)
    states = ["h", "C", "D"][: draw.randint(1, 3)]
    order = states + [f"a{k}" for k in range(draw.randint(0, 6))]
    draw.shuffle(order)
    known = [f"prev.{s}" for s in states]
    lines, shapes = [], {}
    for name in order:
        kind = draw.choice(["layer", "layer", "gated", "product", "sum", "difference", "tanh"])
        operands = [draw.choice(known) for _ in range(3)]
        lines.append((name, kind, operands, draw.choice([sigmoid, tanh, exp, softmax])))
        if kind == "layer":
            shapes[f"W_{name}"] = f"hidden, {len(set(operands[:2]))} * hidden + inputs"
        known.append(name)

    @cell(state=" ".join(states), parameters=shapes)
    def drawn_by_lot(now, prev, x, p):
        def value(name):
            return getattr(prev if name.startswith("prev.") else now, name.removeprefix("prev."))

        for name, kind, operands, activation in lines:
            a, b, c = map(value, operands)
            if kind == "layer":
                merged = concat(*map(value, dict.fromkeys(operands[:2])), x)
                result = activation(matvec(p[f"W_{name}"], merged))
            else:
                result = {
                    "gated": lambda a, b, c: a * b + (1 - a) * c,
                    "product": lambda a, b, c: a * b,
                    "sum": lambda a, b, c: a + b * c,
                    "difference": lambda a, b, c: a - b,
                    "tanh": lambda a, b, c: tanh(a),
                }[kind](a, b, c)
            setattr(now, name, result)

    drawn_by_lot.name = f"lot{seed}"
    return drawn_by_lot
