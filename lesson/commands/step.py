"""`tinygrad-lstm step CELL`: walk forward and backward through a small run."""

from __future__ import annotations

import argparse
import operator
import sys
from functools import reduce

import numpy as np

from tinygrad_lstm import Cell, Tensor, sizes, unroll
from tinygrad_lstm.arithmetic import leaf
from tinygrad_lstm.cell_files import find
from tinygrad_lstm.errors import DataError, TinygradError
from tinygrad_lstm.program import named
from tinygrad_lstm.stepping import step_through
from tinygrad_lstm.tensor import ancestors

_KEYS = (
    "Keys: n next, b back, e/E by equation, t/T by time step, p the other pass, g run to a "
    "breakpoint, w watch, ? help, q quit. Where output is no terminal the trace is printed."
)


def arguments(parser: argparse.ArgumentParser) -> None:
    """Which cell, how large a run, and where to begin."""
    parser.epilog = _KEYS
    parser.add_argument("cell", metavar="CELL", help="a name, or path/to/file.py:NAME")
    parser.add_argument("--steps", type=int, default=2, help="time steps (default 2)")
    parser.add_argument("--inputs", type=int, help="entries of x (default 1)")
    parser.add_argument("--hidden", type=int, help="entries of a state (default 2)")
    parser.add_argument("--seed", type=int, default=0, help="of the random numbers (default 0)")
    parser.add_argument(
        "--to", metavar="BREAKPOINT", help="where to begin: a name, C@1, t=2, |grad|<1e-3, nan"
    )
    parser.add_argument(
        "--watch", metavar="NAME", nargs="+", default=[], help="values to keep in sight"
    )
    parser.add_argument("--digits", type=int, default=4, help="significant digits (default 4)")
    parser.add_argument("--plain", action="store_true", help="print the trace and do not ask")


def run(options: argparse.Namespace) -> int:
    """Walk through the run, or print it."""
    if options.digits > 17:
        raise DataError(f"--digits: a number has 17 at most, got {options.digits}.")
    cell = find(options.cell)
    chosen = {"inputs": options.inputs, "hidden": options.hidden}
    loss, about = small_run(
        cell, options.steps, options.seed, {k: n for k, n in chosen.items() if n is not None}
    )
    trace = step_through(loss, digits=options.digits)
    for name in options.watch:
        trace.lookup(name)
    start = trace.find(options.to) if options.to is not None else 0
    if start is None:
        raise TinygradError(f"no event of this run is at {options.to}; leave --to out to see all.")
    if options.plain or not (sys.stdin.isatty() and sys.stdout.isatty()):
        print(f"{cell.name}, {options.steps} time steps, {about}\n")
        for line in trace.text(None if options.to is None else start + 1, options.watch):
            print(line)
        return 0
    from lesson.terminal_stepper import View, walk

    walk(View(trace, cell.name, start, list(options.watch), note=f"{about}   ? shows the keys."))
    return 0


def small_run(cell: Cell, steps: int, seed: int, given: dict[str, int]) -> tuple[Tensor, str]:
    """The loss of a cell on a short random sequence, and the loss in words.

    It is half the squared distance of the last state to a fixed target. Of several states it is
    the one computed last, as h of an LSTM; all that no other one is computed from, if there are
    more. Sizes not given are 2, and 1 for the inputs. Parameters and data are rounded to two
    decimals, so that what is shown can be checked by hand.
    """
    if steps < 1:
        raise DataError(f"--steps must be at least 1, got {steps}.")
    if seed < 0:
        raise DataError(f"--seed must be at least 0, got {seed}.")
    lengths = {name: 1 if name == "inputs" else 2 for name in cell.sizes} | given
    parameters = cell.init(seed=seed, **lengths)
    rounded = {name: np.round(p.numpy(), 2) for name, p in parameters.items()}
    random = np.random.default_rng(seed)

    def draw(name: str, words: str, *lead: int) -> Tensor:
        shape = (*lead, *sizes.shape(words, lengths))
        return leaf(np.round(random.normal(size=shape), 2), name)

    xs = draw("x", cell.x, steps)
    further = {name: draw(name, words, steps) for name, words in cell.sequences.items()}
    further |= {name: draw(name, words) for name, words in cell.constants.items()}
    ran = unroll(cell, cell.bind(rounded), xs, None, **further)
    used = {name: set(ancestors([last])) for name, last in ran.final.items()}
    ends = {
        name: last
        for name, last in ran.final.items()
        if not any(last in used[other] for other in used if other != name)
    }
    halves = []
    for name, last in ends.items():
        suffix = "" if len(ends) == 1 else f"_{name}"
        target = leaf(np.resize([0.5, -0.5], last.shape), f"target{suffix}")
        error = named(last - target, f"error{suffix}")
        halves.append(0.5 * (error * error).sum())
    text = " + ".join(f"½ Σ ({name}_{steps} − target)²" for name in ends)
    return named(reduce(operator.add, halves), "loss"), f"loss = {text}"
