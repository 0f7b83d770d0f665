"""Cells that look at a part of their input, with sizes that follow from one another."""

import numpy as np

from tinygrad_lstm import cell, concat, exp, sigmoid, tanh


def filters(length, n, place, log_step, log_variance):
    """n Gaussian filters on a row of this length, evenly spaced around a place: (n, length)."""
    centre = (length + 1) / 2 * (place + 1)
    step = (length - 1) / (n - 1) * exp(log_step)
    means = centre + (np.arange(1, n + 1) - n / 2 - 0.5) * step
    F = exp(-((np.arange(1, length + 1) - means[:, None]) ** 2) / (2 * exp(log_variance)))
    return F / (F.sum(axis=1, keepdims=True) + 1e-8)


@cell(
    state={"h": "hidden", "canvas": "width"},
    x="width",
    parameters={
        "W": "hidden, glimpse + hidden",
        "b": "hidden",
        "W_read W_write": "3, hidden",
        "W_patch": "patch, hidden",
    },
    sizes={"patch": "at least 2", "glimpse": "2 * patch"},
    output="canvas",
)
def draw_row(now, prev, x, p, size):
    """DRAW (Gregor et al. 2015) on a row, without its noise: reads a patch, writes a patch."""
    n, width = size.patch, size.width
    place, log_step, log_variance = p.W_read @ prev.h
    now.F = filters(width, n, place, log_step, log_variance)
    now.r = concat(now.F @ x, now.F @ (x - sigmoid(prev.canvas)))
    now.h = tanh(p.W @ concat(now.r, prev.h) + p.b)
    now.G = filters(width, n, *(p.W_write @ now.h))
    now.canvas = prev.canvas + now.G.T @ (p.W_patch @ now.h)


@cell(
    state={"h": "hidden"},
    x="2 * side, side",
    parameters={"W": "hidden, pixels", "U": "hidden, hidden", "b": "hidden"},
    sizes={"pixels": "2 * side * side"},
)
def frames(now, prev, x, p):
    """Elman's network (1990) on pictures whose rows are laid end to end, as in a video."""
    flat = x.reshape(-1) - x.mean()
    now.h = tanh(p.W @ flat + p.U @ prev.h + p.b)
