"""The compiled cell: its code line by line, beside the equations that the lines came from."""

from __future__ import annotations

import re
from functools import partial
from timeit import timeit

import numpy as np
from markupsafe import Markup

from equations.lines import Equations
from lesson.chapters import Content
from lesson.formulas import backward, forward
from lesson.subject import Subject
from tinygrad_lstm import compiled as compile_cell
from tinygrad_lstm import unroll
from tinygrad_lstm.errors import TinygradError
from tinygrad_lstm.step import Cell

ORDER = 240
APPENDIX = True

WIDTH = 30  # visible characters of an equation in one row
BATCH, STEPS, RUNS = 32, 32, 15
_HOUSEKEEPING = re.compile(r"if gone |\s")  # for sequences that have ended
_NAMED = re.compile(r"(?:^|; )([\w.]+) = ")


def content(subject: Subject) -> Content:
    """The code of both loops over time, how many products are left in them, and its speed."""
    cell, sizes = subject.cell, subject.model.sizes
    try:
        fast = compile_cell(cell)
        source, products = fast.source("numpy", **sizes), fast.plan(**sizes).products
        in_c = fast.source("c", **sizes).partition("/* The loop over time")
        slow_time, fast_time = _seconds(subject, cell, fast)
    except TinygradError as error:
        return Content(more={"parts": [], "in_c": "", "refused": str(error)})
    facts = {
        "equations": str(len(forward(cell))),
        "in_forward": str(products["forward"]),
        "in_backward": str(products["backward"]),
        "ahead": str(products["hoisted"]),
        "deferred": str(products["deferred"]),
        "interpreted": f"{1000 * slow_time:.1f}",
        "compiled": f"{1000 * fast_time:.1f}",
        "faster": f"{slow_time / fast_time:.1f}",
        "batch": str(BATCH),
        "steps": str(STEPS),
    }
    known = {"forward": forward(cell), "backward": backward(cell)}
    parts = [(name, _lines(source, name, lines)) for name, lines in known.items()]
    return Content(facts, more={"parts": parts, "in_c": "".join(in_c[1:]), "refused": ""})


def _lines(source: str, function: str, known: Equations) -> list[tuple[str, list[Markup]]]:
    """The lines of a function's loop over time, each with the equations that it computes."""
    body = source.partition(f"def {function}(")[2].partition("\ndef ")[0]
    body = body.partition(")):\n")[2]
    found = []
    for line in body.splitlines():
        code, _, remark = line.removeprefix(" " * 8).partition("  # ")
        names = [name for name in _NAMED.findall(remark) if name in known.names]
        shown = [Markup(known[name].mathml(width=WIDTH)) for name in names]
        if code.strip() and not _HOUSEKEEPING.match(code):
            found.append((code, shown))
    return _completed(found)


def _completed(lines: list[tuple[str, list[Markup]]]) -> list[tuple[str, list[Markup]]]:
    """Each equation beside the last of the lines at once after it that write the same value.

    An operation that was rewritten as several has its remark at the first of them.
    """
    shown, moved = [code for code, _ in lines], [found for _, found in lines]
    for k in range(len(lines) - 1):
        if moved[k] and not moved[k + 1] and _written(shown[k]) == _written(shown[k + 1]) != "":
            moved[k], moved[k + 1] = [], moved[k]
    return list(zip(shown, moved, strict=True))


def _written(code: str) -> str:
    """The array that a line of generated code writes, its last argument."""
    return code.rpartition(", ")[2].removesuffix(")") if code.endswith(")") else ""


def _seconds(subject: Subject, *contenders: Cell) -> list[float]:
    """The shortest times of a run over a batch of sequences, forward and backward, in turns."""
    model = subject.model
    ids = model.vocabulary.encode(subject.held_out[: BATCH * STEPS])
    xs = model.parameters["input.E"][np.resize(ids, (STEPS, BATCH))]
    own = {name: model.parameters[name] for name in subject.cell.parameters}

    def once(cell: Cell) -> None:
        p = subject.cell.bind(own, **model.sizes)
        run = unroll(cell, p, xs)
        run[subject.cell.output].sum().backward()

    for cell in contenders:
        once(cell)
    turns = [[timeit(partial(once, cell), number=1) for cell in contenders] for _ in range(RUNS)]
    return [min(times) for times in zip(*turns, strict=True)]
