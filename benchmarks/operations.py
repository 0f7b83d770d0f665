"""What an operation costs beyond NumPy's own work, forward and backward, on a vector of four.

    python benchmarks/operations.py

Each library runs a chain of one operation forward and then backward; so does plain NumPy with the
derivative written by hand. What a library takes more than that, a node, is its overhead. Rounds of
all libraries alternate, so that a busy machine slows them alike; medians are reported. PyTorch is
measured where it is installed, on one thread.
"""

from __future__ import annotations

import argparse
import importlib.util
import platform
import statistics
import time
from collections.abc import Callable
from typing import Any

import numpy as np

import tinygrad_lstm as tl

LENGTH, ROUNDS = 200, 60
OPERATIONS = ("add", "multiply", "tanh", "sin", "matvec")
RANDOM = np.random.default_rng(0)
X, C = RANDOM.normal(size=4), RANDOM.uniform(0.9, 1.1, size=4)
W = np.linalg.qr(RANDOM.normal(size=(4, 4)))[0]
Chain = Callable[[], Any]


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


def chained(start: Any, step: Callable[[Any], Any]) -> Any:
    """The operation LENGTH times."""
    for _ in range(LENGTH):
        start = step(start)
    return start


def by_us(op: str) -> Chain:
    """This project."""

    def run() -> Any:
        x, c, w = tl.Tensor(X), tl.Tensor(C), tl.Tensor(W)
        step: dict[str, Callable[[Any], Any]] = {
            "add": lambda y: y + c,
            "multiply": lambda y: y * c,
            "tanh": tl.tanh,
            "sin": tl.sin,
            "matvec": lambda y: tl.matvec(w, y),
        }
        chained(x, step[op]).backward(np.ones(4))
        return x.grad

    return run


def by_autograd(op: str) -> Chain:
    """Autograd, the package of the HIPS group."""
    import autograd.numpy as anp
    from autograd import make_vjp

    def f(args: Any) -> Any:
        x, c, w = args
        step: dict[str, Callable[[Any], Any]] = {
            "add": lambda y: y + c,
            "multiply": lambda y: y * c,
            "tanh": anp.tanh,
            "sin": anp.sin,
            "matvec": lambda y: anp.dot(w, y),
        }
        return chained(x, step[op])

    def run() -> Any:
        vjp, _ = make_vjp(f)((X, C, W))
        return vjp(np.ones(4))[0]

    return run


def by_torch(op: str) -> Chain:
    """PyTorch, eager, on one thread."""
    import torch

    torch.set_num_threads(1)
    seed = torch.ones(4, dtype=torch.float64)

    def run() -> Any:
        x, c, w = (torch.tensor(a, requires_grad=True) for a in (X, C, W))
        step: dict[str, Callable[[Any], Any]] = {
            "add": lambda y: y + c,
            "multiply": lambda y: y * c,
            "tanh": torch.tanh,
            "sin": torch.sin,
            "matvec": lambda y: torch.mv(w, y),
        }
        chained(x, step[op]).backward(seed)
        return x.grad

    return run


LIBRARIES = {"NumPy by hand": by_numpy, "tinygrad-lstm": by_us, "autograd": by_autograd}
if importlib.util.find_spec("torch"):
    LIBRARIES["PyTorch"] = by_torch


def measure(op: str, rounds: int) -> dict[str, float]:
    """Median seconds an operation, forward and backward, by library."""
    chains = {name: make(op) for name, make in LIBRARIES.items()}
    results = {name: np.asarray(_array(run())) for name, run in chains.items()}
    for name, result in results.items():
        np.testing.assert_allclose(result, results["NumPy by hand"], rtol=1e-9, err_msg=name)
    times: dict[str, list[float]] = {name: [] for name in chains}
    for _ in range(rounds):
        for name, run in chains.items():
            begun = time.perf_counter()
            run()
            times[name].append((time.perf_counter() - begun) / LENGTH)
    return {name: statistics.median(t) for name, t in times.items()}


def _array(result: Any) -> Any:
    return result.data if isinstance(result, tl.Tensor) else result


def main() -> None:
    """Measure, and print the tables."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rounds", type=int, default=ROUNDS, metavar="N")
    rounds = parser.parse_args().rounds
    found = {op: measure(op, rounds) for op in OPERATIONS}
    names = list(LIBRARIES)
    print(f"Python {platform.python_version()}, NumPy {np.__version__}, {platform.machine()}")
    print(f"\nmicroseconds an operation, forward and backward, median of {rounds} rounds\n")
    print("| operation | " + " | ".join(names) + " |\n|---|" + "---:|" * len(names))
    for op, times in found.items():
        print(f"| {op} | " + " | ".join(f"{times[n] * 1e6:.2f}" for n in names) + " |")
    print("\noverhead beyond NumPy by hand, and how many times ours the others' is\n")
    print("| operation | ours, µs | " + " | ".join(f"{n} / ours" for n in names[2:]) + " |")
    print("|---|---:|" + "---:|" * len(names[2:]))
    ratios: dict[str, list[float]] = {n: [] for n in names[2:]}
    for op, times in found.items():
        own = times["tinygrad-lstm"] - times["NumPy by hand"]
        cells = []
        for n in names[2:]:
            ratios[n].append((times[n] - times["NumPy by hand"]) / own)
            cells.append(f"{ratios[n][-1]:.2f}")
        print(f"| {op} | {own * 1e6:.2f} | " + " | ".join(cells) + " |")
    means = [f"{statistics.geometric_mean(np.maximum(r, 0.01)):.2f}" for r in ratios.values()]
    print("| geometric mean | | " + " | ".join(means) + " |")


if __name__ == "__main__":
    main()
