"""What an operation costs beyond NumPy's own work, forward and backward, on a vector of four.

    python benchmarks/operations.py -o operations.json      measures, by pyperf
    python benchmarks/operations.py --table operations.json

Each library runs a chain of one operation forward and then backward; so does plain NumPy with the
derivative written by hand. What a library takes more than that, a node, is its overhead. pyperf
measures each in several processes; medians are reported. PyTorch is measured where it is
installed, on one thread.
"""

from __future__ import annotations

import importlib.util
import statistics
import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import pyperf

import tinygrad_lstm as tl

LENGTH = 200
OPERATIONS = ("add", "multiply", "tanh", "sin", "matvec")
RANDOM = np.random.default_rng(0)
X, C = RANDOM.normal(size=4), RANDOM.uniform(0.9, 1.1, size=4)
W = np.linalg.qr(RANDOM.normal(size=(4, 4)))[0]
Chain = Callable[[], Any]


def chained(op: str, library: Any, product: Callable[..., Any], x: Any, c: Any, w: Any) -> Any:
    """The operation LENGTH times."""
    steps: dict[str, Callable[[Any], Any]] = {
        "add": lambda y: y + c,
        "multiply": lambda y: y * c,
        "tanh": library.tanh,
        "sin": library.sin,
        "matvec": lambda y: product(w, y),
    }
    step = steps[op]
    for _ in range(LENGTH):
        x = step(x)
    return x


def by_numpy(op: str) -> Chain:
    """Forward, keeping the values, and backward with the derivative of both operands."""

    def run() -> Any:
        ys, g = [X], np.ones(4)
        other = np.zeros((4, 4)) if op == "matvec" else np.zeros(4)
        forward: dict[str, Callable[[Any], Any]] = {
            "add": lambda y: y + C,
            "multiply": lambda y: y * C,
            "tanh": np.tanh,
            "sin": np.sin,
            "matvec": lambda y: np.matmul(y, W.T),
        }
        step = forward[op]
        for _ in range(LENGTH):
            ys.append(step(ys[-1]))
        for k in range(LENGTH, 0, -1):
            y, x = ys[k], ys[k - 1]
            if op == "add":
                other += g
            elif op == "multiply":
                other += g * x
                g = g * C
            elif op == "tanh":
                g = g * (1 - y * y)
            elif op == "sin":
                g = g * np.cos(x)
            else:
                other += g[:, None] * x
                g = np.matmul(g, W)
        return g

    return run


def by_us(op: str) -> Chain:
    """This project."""

    def run() -> Any:
        x = tl.Tensor(X)
        chained(op, tl, tl.matvec, x, tl.Tensor(C), tl.Tensor(W)).backward(np.ones(4))
        return x.grad

    return run


def by_autograd(op: str) -> Chain:
    """Autograd, the package of the HIPS group."""
    import autograd.numpy as anp
    from autograd import make_vjp

    def run() -> Any:
        vjp, _ = make_vjp(lambda args: chained(op, anp, anp.dot, *args))((X, C, W))
        return vjp(np.ones(4))[0]

    return run


def by_torch(op: str) -> Chain:
    """PyTorch, eager, on one thread."""
    import torch

    torch.set_num_threads(1)
    seed = torch.ones(4, dtype=torch.float64)

    def run() -> Any:
        x, c, w = (torch.tensor(a, requires_grad=True) for a in (X, C, W))
        chained(op, torch, torch.mv, x, c, w).backward(seed)
        return x.grad

    return run


LIBRARIES = {"NumPy by hand": by_numpy, "tinygrad-lstm": by_us, "autograd": by_autograd}
if importlib.util.find_spec("torch"):
    LIBRARIES["PyTorch"] = by_torch


def check(op: str) -> None:
    """Stop if the libraries disagree."""
    results = {name: make(op)() for name, make in LIBRARIES.items()}
    for name, result in results.items():
        own = np.asarray(result.data if isinstance(result, tl.Tensor) else result)
        np.testing.assert_allclose(own, results["NumPy by hand"], rtol=1e-9, err_msg=name)


def tables(path: str) -> str:
    """Microseconds an operation, and how many times our overhead the others' is."""
    suite = pyperf.BenchmarkSuite.load(path)
    found = {bench.get_name(): bench.median() for bench in suite}
    names = [name for name in LIBRARIES if f"add, {name}" in found]
    times = {op: [found[f"{op}, {name}"] * 1e6 for name in names] for op in OPERATIONS}
    lines = [f"| operation | {' | '.join(names)} |", "|---|" + "---:|" * len(names)]
    lines += [f"| {op} | {' | '.join(f'{t:.2f}' for t in own)} |" for op, own in times.items()]
    others = [f"{name} / ours" for name in names[2:]]
    lines += ["", f"| operation | ours, µs | {' | '.join(others)} |"]
    lines += ["|---|---:|" + "---:|" * len(others)]
    ratios = {op: [(t - own[0]) / (own[1] - own[0]) for t in own[2:]] for op, own in times.items()}
    for op, own in times.items():
        cells = " | ".join(f"{ratio:.2f}" for ratio in ratios[op])
        lines.append(f"| {op} | {own[1] - own[0]:.2f} | {cells} |")
    means = [
        statistics.geometric_mean(np.maximum(r, 0.01)) for r in zip(*ratios.values(), strict=True)
    ]
    return "\n".join([*lines, f"| geometric mean | | {' | '.join(f'{m:.2f}' for m in means)} |"])


def main() -> None:
    """Measure, or print the tables of what was measured."""
    if "--table" in sys.argv:
        print(tables(sys.argv[-1]))
        return
    runner = pyperf.Runner()
    for op in OPERATIONS:
        check(op)
        for name, make in LIBRARIES.items():
            runner.bench_func(f"{op}, {name}", make(op), inner_loops=LENGTH)


if __name__ == "__main__":
    main()
