"""The C source of a plan: one pass over the units between two products, to be read by people.

    forward(steps, batch, first, last, piece, …)       samples first to last, a thread's share
        for each piece of a few steps
            hoisted products of these steps             into memory that stays in the caches
            for each step: products and sweeps
    backward: for each piece the steps, then the deferred products of these steps

`at[k]` is where the k-th buffer's first step lies, `by[k]` how far the next one is; `packs[k]` a
weight in panels, as `products.c` reads it.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Iterator
from importlib import resources
from string import Template
from typing import Any

import numpy as np

from tinygrad_lstm.kernels.c_operations import expression, indices, literal, single
from tinygrad_lstm.kernels.loop import (
    Apply,
    Assign,
    Join,
    Loops,
    Multiply,
    Number,
    Operand,
    Outer,
    Statement,
    Sweep,
)
from tinygrad_lstm.kernels.names import comment_text, distinct
from tinygrad_lstm.kernels.plan import Buffer, Kind, Place, Space
from tinygrad_lstm.kernels.toolchain import Machine
from tinygrad_lstm.tensor import Array

_EACH_STEP = "for (count step = begin; step < end; step++) {"
_EACH_ROW = "for (count b = first; b < last; b++) {"


class Source:
    """The C of a plan's loops, and what they need of memory.

    `text` is the cell's own, `products` that of the matrix products it calls; `packs` lists the
    weights in panels, (loop, statement, how many numbers); `scratch` is how many numbers a thread
    needs for each row of a piece. A panel has `panel` columns, a strip `strip` rows.
    """

    def __init__(self, loops: Loops, dtype: Any, machine: Machine) -> None:
        self.loops, self.dtype, plan = loops, np.dtype(dtype), loops.plan
        self.panel, self.strip = 2 * machine.vector // self.dtype.itemsize, machine.rows
        carries = plan.layout.of(Space.CARRY)
        self.rows = [Buffer(Space.HOLD, state, b.width) for state, b in carries.items()]
        self.totals = [b for b in plan.buffers.values() if b.kind is Kind.TOTAL]
        self.buffers = [b for b in (*plan.buffers.values(), *self.rows) if b not in self.totals]
        self.transient = plan.transient
        self.outers = [s for s in loops.after if isinstance(s, Outer)]
        self.packs: list[tuple[str, Multiply, int]] = []
        self.scratch = {loop: self._scratch(loop) for loop in ("forward", "backward")}
        self._tables: dict[str, str] = {}
        self._id = {b: k for k, b in enumerate(self.buffers)}
        taken: set[str] = set()
        named = (*self.buffers, *self.totals)
        self._names = {b: distinct(b.name, taken, ascii_only=True) for b in named}
        self._by_name = {b.name: b for b in named}
        bodies = [self._loop("forward", loops.forward), self._loop("backward", loops.backward)]
        double, tables = int(self.dtype == np.float64), "\n".join(self._tables.values())
        machines = {"DOUBLE": double, "VECTOR": machine.vector, "ROWS": machine.rows}
        lines = [f"#define {name} {value}" for name, value in machines.items()]
        prelude = "\n".join([*lines, "", _file("functions.c")])
        self.products = f"{prelude}\n\n{_file('products.c')}"  # a source of its own
        parts = [self._head(), prelude, tables, *bodies]
        self.text = "\n\n".join(part for part in parts if part) + "\n"

    # --- memory ---------------------------------------------------------------------------------
    def _scratch(self, loop: str) -> int:
        kept = sum(b.width for b in self._kept(loop))
        return kept + (self._gathered + self._space if loop == "backward" else 0)

    @property
    def _gathered(self) -> int:
        return max((-(-s.left.size // self.strip) * self.strip for s in self.outers), default=0)

    @property
    def _space(self) -> int:
        return max((-(-s.right.size // self.panel) * self.panel for s in self.outers), default=0)

    def _kept(self, loop: str) -> list[Buffer]:
        """What is kept for the steps of a piece alone."""
        back = loop == "backward"
        return [b for b in self.transient if (b.space is Space.FACTOR) == back]

    # --- parts of the source --------------------------------------------------------------------
    def _head(self) -> str:
        plan = self.loops.plan
        lines = [f"{plan.name}, compiled from its equations:", ""]
        lines += [f"  {line}" for s in (*self.loops.ahead, *self.loops.forward) for line in s.lines]
        lines += ["", "where, made of the parameters once a call,", ""]
        lines += [f"  {line}" for pack in self.loops.once for line in pack.lines]
        return _comment("\n   ".join(lines))

    def _loop(self, name: str, statements: list[Statement]) -> str:
        backward = name == "backward"
        body = [line for s in statements for line in self._statement(s, name)]
        before, after = self._ended(backward)
        memory, start = [], 0
        for b in self.totals if backward else []:
            memory.append(f"real *const {self._row(b)} = sums + {start};")
            start += b.width
        start = 0
        for b in self._kept(name):
            memory.append(f"real *const all_{self._names[b]} = scratch + {start} * piece * rows;")
            start += b.width
        if backward:
            memory.append(f"real *const gathered = scratch + {start} * piece * rows;")
            memory.append(f"real *const space = gathered + {self._gathered} * piece * rows;")
        parts = {
            "memory": _indented(memory, 1),
            "ahead": _indented([] if backward else self._whole(self.loops.ahead, name), 2),
            "steps": _indented(self._with_setup([*before, *body, *after]), 3),
            "after": _indented(self._whole(self.loops.after, name) if backward else [], 2),
        }
        what = "back through time" if backward else "over time"
        filled = Template(_file("loop.c")).substitute(name=name, what=what, **parts)
        return "\n".join(line for line in filled.split("\n") if line)

    def _with_setup(self, body: list[str], step: str = "step") -> list[str]:
        """Lines, and before them where the row of this step begins of each buffer they name."""
        words = set(re.findall(r"\w+", "\n".join(body)))
        lines = []
        for b in self.buffers:
            if self._now(b) not in words:
                continue
            k = self._id[b]
            if b in self.transient:
                where = f"all_{self._names[b]} + (({step} - begin) * rows - first) * {b.width}"
            elif b.kind is Kind.CARRY:
                spaces = (Space.CARRY, Space.OUT)
                turns = [self._id[self.loops.plan.layout.of(s)[b.label]] for s in spaces]
                even, odd = turns if b.space is Space.CARRY else reversed(turns)
                where = f"at[{step} % 2 ? {odd} : {even}]"
            else:
                where = f"at[{k}] + {step} * by[{k}]"
            lines.append(f"real *const {self._now(b)} = {where};")
        return [*lines, *body]

    def _whole(self, statements: Iterable[Statement], loop: str) -> list[str]:
        """Hoisted statements and deferred products, for all steps of a piece at once."""
        lines, start, last = [], 0, None
        for s in statements:
            if isinstance(s, Multiply):
                call = [_comment(s.lines[0]), self._product(s, loop, f"{self._by(s.operand)}, ")]
            elif isinstance(s, Outer):
                left, right = s.left, s.right
                gather = (
                    f"gather({left.size}, end - begin, rows, {self._rows_at(left)}, "
                    f"{self._by(left)}, {left.buffer.width}, gathered);"
                )
                call = [
                    *([gather] if left != last else []),  # the same rows are gathered once
                    _comment(s.lines[0]),
                    f"outer({left.size}, {right.size}, end - begin, rows, gathered, "
                    f"{self._rows_at(right)}, {self._by(right)}, {right.buffer.width}, "
                    f"products + {start}, space);",
                ]
                last, start = left, start + left.size * right.size
            else:
                body = self._with_setup(list(self._statement(s, loop)))
                lines += [_EACH_STEP, *body, "}"]
                continue
            lines += ["{", *self._with_setup(call, "begin"), "}"]
        return lines

    def _by(self, place: Place) -> str:
        """How far the next step lies."""
        b = place.buffer
        return f"rows * {b.width}" if b in self.transient else f"by[{self._id[b]}]"

    def _ended(self, backward: bool) -> tuple[list[str], list[str]]:
        """Samples that have ended keep their state, and hand its adjoint on."""
        before, after = [], []
        for state in self.loops.plan.states:
            spaces = (f"hold.{state}", f"carry.{state}", f"out.{state}")
            hold, old, new = (self._now(self._by_name[name]) for name in spaces)
            now, prev = (self._now(self._by_name[name]) for name in (state, f"prev.{state}"))
            start = f"copy_ended(ended, first, last, {self._by_name[spaces[0]].width}"
            before += [f"{start}, {hold}, {old});", f"{start}, {old}, NULL);"]
            after.append(f"{start}, {new}, {hold});" if backward else f"{start}, {now}, {prev});")
        return before if backward else [], after

    # --- names ----------------------------------------------------------------------------------
    def _now(self, buffer: Buffer) -> str:
        """Where a buffer's rows of this step begin. No other names begin like these."""
        return f"now_{self._names[buffer]}"

    def _row(self, buffer: Buffer) -> str:
        """Where a sample's row begins."""
        return f"row_{self._names[buffer]}"

    def _rows_at(self, place: Place) -> str:
        start = f" + {place.start}" if place.start else ""
        return f"{self._now(place.buffer)} + first * {place.buffer.width}{start}"

    def _table(self, numbers: Array) -> str:
        text = indices(np.asarray(numbers))
        for known, line in self._tables.items():
            if line.endswith(f"= {text};"):
                return known
        name = f"table_{len(self._tables)}"
        self._tables[name] = f"static const int {name}[] = {text};"
        return name

    # --- statements -----------------------------------------------------------------------------
    def _statement(self, s: Statement, loop: str) -> Iterator[str]:
        if isinstance(s, Multiply):
            yield _comment(s.lines[0])
            yield self._product(s, loop)
            return
        rows = _Rows(self._row, self._table)
        if isinstance(s, Sweep):
            lines = ["#pragma GCC ivdep", *_each(math.prod(s.shape), _sweep(s, rows))]
        elif isinstance(s, Join):
            copies = [(out, f"{rows.at(out)} = {rows.entry(x, out.shape)};") for out, x in s.copies]
            lines = [line for out, text in copies for line in _each(out.size, [text])]
        else:
            assert isinstance(s, Apply)
            operands = [rows.pointer(place) for place in s.operands]
            lines = list(single(s.node, rows.pointer(s.out), operands, self._table))
        if not lines:
            return
        if not isinstance(s, Sweep):
            yield _comment(s.lines[0])
        yield _EACH_ROW
        for b in rows.used:
            weight = b.kind is Kind.WEIGHT
            if b.kind is not Kind.TOTAL:
                start = "" if weight else f" + b * {b.width}"
                yield f"{'const ' * weight}real *const {self._row(b)} = {self._now(b)}{start};"
        yield from lines
        yield "}"

    def _product(self, s: Multiply, loop: str, by: str = "") -> str:
        """A product of one step; with `by`, how far the next step lies, of all of a piece."""
        inner, columns = matrix(s)
        panels = inner * -(-columns // self.panel) * self.panel
        self.packs.append((loop, s, panels))
        function, steps, down = ("product", "", "")
        if by:
            function, steps, down = "products_of", "end - begin, ", f"{self._by(s.result)}, "
        return (
            f"{function}({steps}rows, {columns}, {inner}, {self._rows_at(s.operand)}, {by}"
            f"{s.operand.buffer.width}, packs[{len(self.packs) - 1}], {self._rows_at(s.result)}, "
            f"{down}{s.result.buffer.width}, {int(s.onto)});"
        )


class _Rows:
    """Entries of one sample's rows; `used` are the buffers whose rows are named."""

    def __init__(self, row: Callable[[Buffer], str], table: Callable[[Array], str]) -> None:
        self._row, self._table = row, table
        self.used: dict[Buffer, None] = {}

    def _of(self, place: Place) -> str:
        self.used[place.buffer] = None
        return self._row(place.buffer)

    def at(self, place: Place) -> str:
        """Entry j of a value."""
        return f"{self._of(place)}[{place.start} + j]"

    def pointer(self, place: Place) -> str:
        """Where a value begins."""
        return f"({self._of(place)} + {place.start})"

    def entry(self, operand: Operand, shape: tuple[int, ...]) -> str:
        """The entry of an operand that belongs to entry j of a result."""
        if isinstance(operand, Number):
            return literal(operand.value)
        assert isinstance(operand, Place)
        if operand.shape == shape:
            return self.at(operand)
        if operand.size == 1:
            return f"{self._of(operand)}[{operand.start}]"
        numbers = np.broadcast_to(np.arange(operand.size).reshape(operand.shape), shape)
        return f"{self._of(operand)}[{operand.start} + {self._table(numbers.reshape(-1))}[j]]"


def _sweep(sweep: Sweep, rows: _Rows) -> Iterator[str]:
    """What is done for unit j of a sample."""
    local: dict[Assign, str] = {}
    taken: set[str] = set()

    def value(operand: Operand) -> str:
        return local[operand] if isinstance(operand, Assign) else rows.entry(operand, sweep.shape)

    for assign in sweep.assigns:
        own = assign.node.name or str(len(local) + 1)
        name = f"v_{distinct(own, taken, ascii_only=True)}"
        text = expression(assign.node, [value(i) for i in assign.operands])
        note = f"  {_comment(assign.line)}" if assign.line else ""
        yield f"const real {name} = {text};{note}"
        local[assign] = name
        for place in assign.places:
            yield f"{rows.at(place)} = {name};"
    for place, operand in sweep.copies:
        yield f"{rows.at(place)} = {value(operand)};"
    for place, operand in sweep.totals:
        yield f"{rows.at(place)} += {value(operand)};"


def _each(n: int, lines: Iterable[str]) -> list[str]:
    return [f"for (count j = 0; j < {n}; j++) {{", *lines, "}"]


def matrix(product: Multiply) -> tuple[int, int]:
    """Rows and columns of what an operand's rows are multiplied with."""
    m, n = map(int, product.weight.shape)
    return (m, n) if product.transposed else (n, m)


def _file(name: str) -> str:
    return resources.files("tinygrad_lstm.kernels").joinpath(name).read_text(encoding="utf-8")


def _comment(text: str) -> str:
    text = text if "\n" in text else comment_text(text, 160)
    return f"/* {text.replace('*/', '* /').replace('/*', '/ *')} */"


def _indented(lines: Iterable[str], depth: int) -> str:
    done = []
    for line in lines:
        depth -= line.startswith("}")
        done.append(line if line.startswith("#") else "    " * depth + line)
        depth += line.endswith("{")
    return "\n".join(done)
