"""What a search has found: a table for the terminal, a page with pictures, the best cell's text."""

from __future__ import annotations

import math
from collections.abc import Sequence
from html import escape
from pathlib import Path
from statistics import median

import equations
import viz
from lesson import plots
from tinygrad_lstm.cell_files import find
from tinygrad_lstm.searching import (
    Done,
    SearchError,
    Space,
    Storage,
    importance,
    labels,
    listing,
    mutant_of,
)
from tinygrad_lstm.step import Cell

_STYLE = (
    "body{font:16px/1.5 sans-serif;max-width:46rem;margin:2rem auto;padding:0 1rem;color:#222;"
    "background:#fff}table{border-collapse:collapse;font-size:.85rem;display:block;overflow-x:auto}"
    "td,th{padding:.2rem .6rem;border-bottom:1px solid #ddd;text-align:right;white-space:nowrap}"
    "th:first-child,td:first-child{text-align:left}svg{max-width:100%;height:auto}"
    "pre{overflow-x:auto;background:#f4f4f4;padding:.8rem;font-size:.85rem}"
)
_MOST = 8  # cells that pictures show apart


def show(storage: Storage, best: int, page: Path | None, cell: Path | None) -> int:
    """Print the best configurations, what mattered, and write what was asked for."""
    results = storage.results()
    found = finite(results)
    space = storage.space
    states = [done.state for done in results]
    counts = {name: states.count(name) for name in ("COMPLETE", "RUNNING", "WAITING", "FAIL")}
    words = {"COMPLETE": "complete", "RUNNING": "at work", "WAITING": "waiting", "FAIL": "failed"}
    told = ", ".join(f"{n} {words[name]}" for name, n in counts.items() if n)
    print(f"{space.name}: {space.trials} configurations, {told}")
    if not found:
        print("There is no result yet.")
        return 0
    rows = table(space, found[:best])
    widths = [max(len(row[k]) for row in rows) for k in range(len(rows[0]))]
    for row in rows:
        print("  ".join(word.rjust(width) for word, width in zip(row, widths, strict=True)))
    if counts["WAITING"] + counts["RUNNING"]:
        print("The search is not done: what follows is of what is there.")
    shares = importance(storage)
    if shares:
        short = labels([*shares])
        said = ", ".join(f"{short[n]} {share:.2f}" for n, share in shares.items())
        print(f"importance (fANOVA, share of the variance explained alone): {said}")
    if cell is not None:
        write_cell(space, found[0], cell)
        print(f"the best cell is {cell}:{cell.stem}")
    if page is not None:
        page.write_text(as_page(space, results, shares), encoding="utf-8")
        print(f"pictures: {page}")
    return 0


def finite(results: Sequence[Done]) -> list[Done]:
    """The results that are numbers, the best first."""
    found = [d for d in results if d.value is not None and math.isfinite(d.value)]
    return sorted(found, key=lambda done: done.value or 0.0)


def name_of(space: Space, done: Done) -> str:
    """What a configuration's cell is called: of a mutant its parent and its own number."""
    if space.mutations is None:
        return str(done.values["cell"])
    changes = done.notes.get("changes")
    parent = str(done.notes.get("parent", "?"))
    return parent if not changes else f"{parent} mutant {done.number}"


def table(space: Space, found: Sequence[Done]) -> list[list[str]]:
    """Rows of words, the first names the columns."""
    names = [n for n in space.drawn]
    short = labels(names)
    several = len(space.tasks) > 1
    measures = list(found[0].notes["measures"][0]) if found and not several else []
    measures = [m for m in measures if m != space.value][:2]
    head = ["cell", "relative loss" if several else space.value, *measures, "parameters"]
    rows = [[*head, *(short[n] for n in names), "number"]]
    for done in found:
        measured = done.notes["measures"]
        row = [name_of(space, done), _number(done.value)]
        row += [_number(measured[0].get(m)) for m in measures]
        row += [str(done.notes.get("parameters", ""))]
        row += [_number(done.values.get(n)) for n in names]
        rows.append([*row, str(done.number)])
    return rows


def _number(value: object) -> str:
    if isinstance(value, float):
        return f"{value:.4g}"
    return "" if value is None else str(value)


def write_cell(space: Space, done: Done, path: Path) -> Cell:
    """Write the cell of a configuration as a listing, `path:NAME` with the name of the file."""
    if path.suffix != ".py" or not path.stem.isidentifier():
        raise SearchError(f"{path} is no Python file whose name could be a cell's: write best.py.")
    cell = _cell(space, done)
    about = f"The best cell of the search {space.name!r}: configuration {done.number}."
    path.write_text(listing(cell, path.stem, about), encoding="utf-8")
    return cell


def _cell(space: Space, done: Done) -> Cell:
    if space.mutations is None:
        return find(str(done.values["cell"]))
    return mutant_of(done.notes)


def pictures(
    space: Space, results: Sequence[Done], shares: dict[str, float] | None = None
) -> dict[str, str]:
    """Pictures of a search by name: values by cell, over each number that was drawn, importance."""
    found = finite(results)
    several = len(space.tasks) > 1
    label = "loss relative to guessing" if several else f"{space.value} on held-out data"
    # of mutants the parents are told apart: there are too many of them
    group = {
        d.number: str(d.notes.get("parent", "?")) if space.mutations else name_of(space, d)
        for d in results
    }
    names = list(dict.fromkeys(group[d.number] for d in results if d.number in group))
    log = all((d.value or 0) > 0 for d in found)
    made = {}
    groups = {n: [d.value or 0.0 for d in found if group[d.number] == n] for n in names}
    made["cells"] = plots.strips(groups, f"{space.name}: values by cell", label, log)
    short = labels([*space.drawn])
    some = names[:_MOST]
    for name, variable in space.drawn.items():
        if all(isinstance(d.values.get(name), int | float) for d in found):
            dots = {
                n: [(float(d.values[name]), d.value or 0.0) for d in found if group[d.number] == n]
                for n in some
            }
            made[short[name]] = plots.scatter(
                dots, f"{space.name}: {label} over {short[name]}", short[name], label,
                x_log=getattr(variable, "log", False), y_log=log,
            )  # fmt: skip
    if shares:
        named = {labels([*shares])[n]: share for n, share in shares.items()}
        made["importance"] = plots.bars(
            named, f"{space.name}: importance of hyper-parameters", "share of variance (fANOVA)"
        )
    return made


def as_page(space: Space, results: Sequence[Done], shares: dict[str, float]) -> str:
    """A search as one HTML file that needs nothing else."""
    found = finite(results)
    rows = table(space, found[:30])
    head, *body = (
        "".join(f"<{tag}>{escape(word)}</{tag}>" for word in row)
        for tag, row in zip(["th", *["td"] * (len(rows) - 1)], rows, strict=True)
    )
    drawn = pictures(space, results, shares)
    diverged = sum(1 for d in results if "diverged" in d.notes)
    values = [d.value or 0.0 for d in found]
    first = found[0].notes if found else {}
    text = [
        f"<h1>{escape(space.name)}</h1>",
        f"<p>{len(found)} of {space.trials} configurations have a value, {diverged} diverged; "
        f"best {min(values):.4g}, median {median(values):.4g}. Task: "
        + escape("; ".join(f"{name} {dict(options)}" for name, options in space.tasks))
        + f". Commit {escape(str(first.get('commit', ''))[:12])}, versions "
        f"{escape(str(first.get('versions', {})))}.</p>",
        *(f"<figure>{picture}</figure>" for picture in drawn.values()),
        f"<table><tr>{head}</tr>{''.join(f'<tr>{row}</tr>' for row in body)}</table>",
    ]
    if space.mutations and found:
        cell = _cell(space, found[0])
        parent = find(str(found[0].notes["parent"]))
        text += [
            "<h2>The best cell</h2>",
            f"<figure>{viz.cell(cell).svg()}</figure>",
            f"<pre>{escape(equations.forward(cell).unicode())}</pre>",
            f"<h3>Its gradient</h3><pre>{escape(equations.backward(cell).unicode())}</pre>",
            f"<h3>What differs from {escape(parent.name)}</h3>"
            f"<pre>{escape(equations.difference(parent, cell).unicode())}</pre>",
        ]
    text.append(f"<h2>The search's file</h2><pre>{escape(space.text)}</pre>")
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
        f"<title>Search {escape(space.name)}</title><style>{_STYLE}</style></head><body>"
        + "\n".join(text)
        + "</body></html>\n"
    )
