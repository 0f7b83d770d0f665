"""`tinygrad-lstm draw`: a cell, a network or a computation graph as a picture."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import Any

import numpy as np

import viz
from tinygrad_lstm import compiled
from tinygrad_lstm.cell_files import find, parts
from tinygrad_lstm.cell_files import run as run_file
from tinygrad_lstm.networks import System
from tinygrad_lstm.running import unroll
from tinygrad_lstm.step import Cell
from viz.figure import ENDINGS

SIZE, SEED = 2, 0  # of the small run whose graph is drawn

OF_NETWORKS = ("unrolled", "graph")


def arguments(parser: argparse.ArgumentParser) -> None:
    """The cell or network, the kind of figure and the file."""
    parser.add_argument(
        "cell",
        metavar="CELL",
        help="NAME or path/to/file.py:NAME; a network, too, with --kind unrolled or graph",
    )
    parser.add_argument("--kind", choices=sorted(KINDS), default="cell", help="what to draw")
    parser.add_argument(
        "--focus",
        metavar="NAMES",
        default="",
        help="with --kind cell: dim all but equations (f,i), belts (belt:C) or gates (gate:f)",
    )
    parser.add_argument("--steps", type=int, default=4, help="time steps (unrolled, graph)")
    parser.add_argument(
        "--fold", choices=("equation", "op", "time"), default="equation", help="with --kind graph"
    )
    parser.add_argument("--against", metavar="OTHER", help="with --kind difference: the other cell")
    parser.add_argument(
        "-o", "--output", metavar="FILE", required=True, help=f"ending in {', '.join(ENDINGS)}"
    )


def run(options: argparse.Namespace) -> int:
    """Draw the figure and say where it is."""
    if options.focus and options.kind != "cell":
        raise viz.FigureError("--focus dims parts of a cell's figure; use it with --kind cell.")
    if options.against and options.kind != "difference":
        raise viz.FigureError("--against OTHER goes with --kind difference.")
    figure = KINDS[options.kind](_found(options.cell, options.kind), options)
    print(figure.save(options.output))
    return 0


def _found(spec: str, kind: str) -> Any:
    """The cell or network that a specification names."""
    path, name = parts(spec)
    value = run_file(path).get(name) if path else None
    if not isinstance(value, System):
        return value if isinstance(value, Cell) else find(spec)
    if kind not in OF_NETWORKS:
        raise viz.FigureError(
            f"--kind {kind} draws one cell, and {value} has several parts.\n"
            f"  Draw it with --kind {' or '.join(OF_NETWORKS)}, or name one of its cells."
        )
    return value


def _cell(cell: Cell, options: argparse.Namespace) -> viz.Figure:
    names = [name.strip() for name in options.focus.split(",") if name.strip()]
    return viz.cell(cell, focus=names)


def _plan(cell: Cell, options: argparse.Namespace) -> viz.Figure:
    sizes = {n: max(SIZE, cell.bounds.get(n, 1)) + k for k, n in enumerate(cell.sizes)}
    return viz.plan(compiled(cell).plan(**sizes))


def _graph(cell: Cell | System, options: argparse.Namespace) -> viz.Figure:
    """The graph of a small run with random inputs, after backward from the sum of its output."""
    if options.steps < 1:
        raise viz.FigureError(f"--steps must be at least 1, got {options.steps}.")
    least = getattr(cell, "bounds", {})
    program = cell.program(**{name: max(SIZE, least.get(name, 1)) for name in cell.sizes})
    random = np.random.default_rng(SEED)
    parameters = cell.init(seed=SEED, **program.sizes)
    sequences = {"x", *getattr(cell, "sequences", ())}
    given: dict[str, Any] = {
        name: random.normal(
            size=((options.steps,) if name in sequences else ()) + program.inputs[name].shape
        )
        for name in (*sorted(sequences), *getattr(cell, "constants", ()))
    }
    initial = {}
    if isinstance(cell, Cell):  # a state may be all that tells a size
        states = {name: program.inputs[f"prev.{name}"].shape for name in cell.state}
        initial = {name: cell.initial(name, shape, float) for name, shape in states.items()}
    run = unroll(cell, parameters, given.pop("x"), initial, **given)
    loss = run.steps[-1][cell.output].sum()
    loss.name = "L"
    if parameters:
        loss.backward()
    return viz.graph(loss, fold=options.fold)


def _difference(cell: Cell, options: argparse.Namespace) -> viz.Figure:
    if not options.against:
        raise viz.FigureError(
            "a difference needs a second cell: add --against OTHER, such as --against gru."
        )
    return viz.difference(cell, _found(options.against, "difference"))


KINDS: dict[str, Callable[[Any, argparse.Namespace], viz.Figure]] = {
    "cell": _cell,
    "chain": lambda cell, options: viz.chain(cell),
    "difference": _difference,
    "graph": _graph,
    "plan": _plan,
    "legend": lambda cell, options: viz.legend(),
    "rolled": lambda cell, options: viz.rolled(cell),
    "unrolled": lambda cell, options: viz.unrolled(cell, options.steps),
}
