"""How fast cells are trained here and in PyTorch: forward, backward through time, all gradients.

    python benchmarks/speed.py                                  the whole table
    python benchmarks/speed.py --rows M,M2                      some of its rows
    python benchmarks/speed.py --cell path.py:NAME --time 100 --batch 32 --inputs 64 --hidden 128 \\
        --dtype float32 --threads 2                             a row of one's own
    python benchmarks/speed.py --growth                         time and memory as sizes grow
    python benchmarks/speed.py --planning                       planning and compiling
    python benchmarks/speed.py --write                          no measurement: the README

Loss and gradients must agree before anything is timed. Ours is measured as it is used: unroll, a
loss, backward(). The gradient of x is not asked for, as nn.LSTM's input does not require one
(--input-gradient asks all for it). Contenders take turns, each in a process of its own; a ratio is
the median over rounds of (time here / time there). PyTorch eager is the cell's Program in torch
operations, with weights joined and products with x before the loop, as one writes them by hand.
"""

from __future__ import annotations

import argparse
import dataclasses
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

from speeds import growth, report, turns
from speeds.tasks import tasks
from speeds.workloads import M, Row, Workload, row_of, table

from tinygrad_lstm import cells
from tinygrad_lstm.errors import TinygradError

RESULTS = Path(__file__).parent / "results" / "speed.json"


def chosen(options: argparse.Namespace) -> list[Row]:
    """The rows that are asked for."""
    own = {
        name: value
        for name in ("cell", "time", "batch", "inputs", "hidden", "dtype", "threads")
        if (value := getattr(options, name)) is not None
    }
    if own:
        workload = Workload(**own, input_gradient=options.input_gradient)
        try:
            _ = workload.sizes
        except TinygradError as error:
            raise SystemExit(str(error)) from error
        return [row_of(workload)]
    rows = table() + tasks()
    if options.rows:
        wanted = options.rows.split(",")
        unknown = sorted(set(wanted) - {row.label for row in rows})
        if unknown:
            labels = ", ".join(row.label for row in rows)
            raise SystemExit(f"no row {', '.join(unknown)}; there are {labels}.")
        rows = [row for row in rows if row.label in wanted]
    if options.input_gradient:
        return [_with_input_gradient(row) for row in rows]
    return rows


def _with_input_gradient(row: Row) -> Row:
    if not isinstance(row.workload, Workload):
        return row
    workload = dataclasses.replace(row.workload, input_gradient=True)
    return dataclasses.replace(row, workload=workload)


def arguments(given: list[str] | None = None) -> argparse.Namespace:
    """What is asked for on the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--rows", metavar="A,B", help="rows of the table, by label")
    add("--cell", metavar="CELL", help="NAME or path/to/file.py:NAME")
    for name in ("time", "batch", "inputs", "hidden", "threads"):
        add(f"--{name}", type=_count, metavar="N", help=f"default {getattr(M, name)}")
    add("--dtype", choices=("float32", "float64"), help=f"default {M.dtype}")
    add("--input-gradient", action="store_true", help="the gradient of x too")
    add(
        "--torch-compile",
        action="store_true",
        help="also torch.compile, for minutes a row, in the rows that compare with it",
    )
    add("--interpreter", action="store_true", help="also the uncompiled cell")
    add("--rounds", type=_count, default=15, metavar="N", help="turns of each, default 15")
    add("--seconds", type=float, default=0.15, metavar="S", help="of a turn, default 0.15")
    add("--cpu", action="store_true", help="the processor's time, on a machine that is busy")
    add("--growth", action="store_true", help="time and memory against T, hidden and batch")
    add("--planning", action="store_true", help="time to plan and compile, anew and from cache")
    add(
        "--json",
        type=Path,
        metavar="PATH",
        help="where results go; those of the whole table: results/speed.json",
    )
    add("--write", action="store_true", help=f"take {RESULTS.name} into the README")
    return parser.parse_args(given)


def _count(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number of at least 1")
    return int(text)


def main() -> None:
    """Do what is asked for."""
    options = arguments()
    path = options.json or RESULTS
    if options.write:
        if not path.is_file():
            raise SystemExit(f"{path} does not exist: measure first.")
        report.write_readme(path)
        return
    # measurements of one's own are not the project's: they are kept where one says
    keep = options.json is not None or (
        options.cell is None and chosen(options) == table() + tasks()
    )
    measure = growths if options.growth else plannings if options.planning else rows
    part = measure.__name__
    for found in measure(options):
        if keep:
            report.save(path, part, found)
    if keep:
        print(f"\nwritten: {path.name}")


def rows(options: argparse.Namespace) -> Iterator[list[report.Record]]:
    """Measure the rows and print them; all there are so far are given after each."""
    names = report.taking_part(options.torch_compile, options.interpreter)
    found = []
    for row in chosen(options):
        print(f"{row.text} ...", file=sys.stderr, flush=True)
        try:
            found.append(report.measured(row, names, options.rounds, options.seconds, options.cpu))
        except turns.Failure as failure:
            print(f"{row.text}: not measured: {failure}", file=sys.stderr, flush=True)
            continue
        yield found
    print(report.heading(report.machine()), end="\n\n")
    texts = (report.against_goals, report.all_times, report.absences, report.summary)
    print("\n\n".join(filter(None, (text(found) for text in texts))))


def growths(options: argparse.Namespace) -> Iterator[list[report.Record]]:
    """Measure how cost grows, and print it."""
    rows = chosen(options)
    base = M if len(rows) > 1 else rows[0].workload
    points = _kept(growth.growth(base, options.seconds))
    print(report.growth_table(points))
    yield points


def plannings(options: argparse.Namespace) -> Iterator[list[report.Record]]:
    """Measure planning and compiling, and print it."""
    of = [options.cell] if options.cell else list(cells.all())
    found = [p for cell in of for p in _kept(growth.planning(Workload(cell=cell)))]
    print(report.planning_table(found))
    yield found


def _kept(points: Iterable[report.Record | str]) -> list[report.Record]:
    """What was measured; why something was not is said at once."""
    kept = []
    for point in points:
        if isinstance(point, str):
            print(point, file=sys.stderr, flush=True)
        else:
            kept.append(point)
            print(".", end="", file=sys.stderr, flush=True)
    print(file=sys.stderr)
    return kept


if __name__ == "__main__":
    main()
