"""`tinygrad-lstm step CELL`: walk forward and backward through a small run."""

from __future__ import annotations

import argparse
import math
import operator
import sys
import warnings
from collections.abc import Mapping, Sequence
from functools import reduce
from typing import Any

import numpy as np

from lesson import cell_options
from lesson.network_names import HELP, find_network
from tinygrad_lstm import Tensor, unroll
from tinygrad_lstm.errors import DataError, TinygradError
from tinygrad_lstm.networks import System
from tinygrad_lstm.notation import name_unicode
from tinygrad_lstm.program import named
from tinygrad_lstm.step import Cell
from tinygrad_lstm.stepper.trace import step_through
from tinygrad_lstm.stepper.written import leaf
from tinygrad_lstm.tensor import Array
from tinygrad_lstm.testing.inputs import random_inputs

MOST = 2_000_000  # numbers in a run that is walked through, parameters included
_KEYS = (
    "Keys: n next, b back, e/E by equation, t/T by time step, p the other pass, g run to a "
    "breakpoint, w watch, ? help, q quit. Where output is no terminal the trace is printed."
)


def arguments(parser: argparse.ArgumentParser) -> None:
    """Which cell, how large a run, and where to begin."""
    add = parser.add_argument
    parser.epilog = _KEYS
    add("cell", metavar="CELL", help=HELP)
    add("--steps", type=int, default=2, help="time steps (default 2)")
    add("--inputs", type=int, help="entries of x (default 1)")
    add("--hidden", type=int, help="entries of a state (default 2)")
    cell_options.add_size(parser, "slots=3 (default 2)")
    cell_options.add_start(parser)
    add("--seed", type=int, default=0, help="of the random numbers (default 0)")
    add("--to", metavar="BREAKPOINT", help="where to begin: a name, C@1, t=2, |grad|<1e-3, nan")
    add("--watch", metavar="NAME", nargs="+", default=[], help="values to keep in sight")
    add("--digits", type=int, default=4, help="significant digits (default 4)")
    add("--plain", action="store_true", help="print the trace and do not ask")


def run(options: argparse.Namespace) -> int:
    """Walk through the run, or print it."""
    cell_options.check_least(options, steps=1, seed=0)
    cell = find_network(options.cell)
    loss, about = small_run(
        cell,
        options.steps,
        options.seed,
        cell_options.read_sizes(options, cell),
        cell_options.read_starts(options, cell),
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


def small_run(
    cell: Cell | System,
    steps: int,
    seed: int,
    given: Mapping[str, int],
    start: Mapping[str, Any] | None = None,
) -> tuple[Tensor, str]:
    """The loss of a cell on a short random sequence, and the loss in words.

    It is the loss that the cell declares, summed over the steps; otherwise half the squared
    distance of its last output to a fixed target. Sizes not given are 2, and 1 for the inputs.
    Parameters and data are rounded to two decimals, so that what is shown can be checked by hand;
    what would start at zero is drawn at random as well, so that gradients flow through it.
    """
    small = {name: max(cell.bounds.get(name, 1), 1 + (name != "inputs")) for name in cell.sizes}
    lengths = cell.complete(small | dict(given))
    _check_room(cell, steps, lengths)
    case = random_inputs(cell, lengths, steps, rng=seed, scale=0.3)

    def rounded(name: str, value: Array) -> Tensor:
        return leaf(np.round(value, 2), name)

    with warnings.catch_warnings():  # what starts at zero is drawn
        warnings.simplefilter("ignore")
        fresh = cell.init(seed=seed, **lengths, **(start or {}))
    parameters = {}
    for name, p in fresh.items():
        told = name in (start or {}) or name.rpartition(".")[2] in (start or {})
        stays = told or p.numpy().any()
        parameters[name] = np.round(p.numpy() if stays else case.parameters[name], 2)
    initial = {name: cell.initial(name, v.shape, float) for name, v in case.initial.items()}
    further = {name: rounded(name, value) for name, value in case.further.items()}
    xs = rounded("x", case.xs)
    ran = unroll(cell, cell.bind(parameters, **lengths), xs, initial, **further)
    if isinstance(cell, System) and cell.losses:
        shares = [reduce(operator.add, _of_steps(ran[name])) for name in cell.losses]
        total = named(reduce(operator.add, shares), "loss")
        written = " + ".join(f"Σ_t {name_unicode(name, 't')}" for name in cell.losses)
        return total, f"loss = {written}"
    if declared := cell.loss:
        total = named(reduce(operator.add, _of_steps(ran[declared])), "loss")
        return total, f"loss = Σ_t {name_unicode(declared, 't')}"
    last = _of_steps(ran[cell.output])[-1]
    target = leaf(np.resize([0.5, -0.5], last.shape), "target")
    error = named(last - target, "error")
    text = f"½ Σ ({name_unicode(cell.output, str(steps))} − target)²"
    return named(0.5 * (error * error).sum(), "loss"), f"loss = {text}"


def _of_steps(values: Tensor) -> Sequence[Tensor]:
    """A value's Tensors, one a time step, each under its own name."""
    return values.inputs if values.op == "stack" else list(values)


def _check_room(cell: Cell | System, steps: int, lengths: dict[str, int]) -> None:
    """Raise DataError where a run holds more numbers than anyone would walk through."""
    shapes = cell.input_shapes(**lengths)
    stepwise = {"x", *cell.sequences}
    fixed = sum(math.prod(shape) for name, shape in shapes.items() if name not in stepwise)
    if fixed > MOST:
        raise DataError(
            f"{cell} with {', '.join(f'{name}={n}' for name, n in lengths.items())} has {fixed:,} "
            f"numbers; a run of more than {MOST:,} is too large to walk through.\n"
            f"  Take smaller sizes."
        )
    step = getattr(cell, "reading", cell.program)(**lengths)
    of_step = sum(node.size for node in step.nodes() if node.inputs)
    of_step *= steps ** (getattr(cell, "spatial", 1) - 1)
    if fixed + steps * of_step > MOST:
        raise DataError(
            f"{steps:,} steps of {cell} have {fixed + steps * of_step:,} numbers; a run of more "
            f"than {MOST:,} is too large to walk through.\n"
            f"  Take at most --steps {max((MOST - fixed) // of_step, 1)}, or smaller sizes."
        )
