"""The C source of a plan: one pass over the units between two products, to be read by people.

    forward(sizes, steps, batch, first, last, piece, …)    samples first to last, a thread's share
        for each piece of a few steps
            hoisted products of these steps             into memory that stays in the caches
            for each step: products and sweeps
    backward: for each piece the steps, then the deferred products of these steps

`at[k]` is where the k-th buffer's first step lies, `by[k]` how far the next one is; `packs[k]` a
weight in panels, as `products.c` reads it. Whatever depends on a size is a member of `sizes`: one
compiled text serves all sizes. (Literal ones were tried: they are not faster, but for loops of one
entry, which are none.)
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from functools import cache, cached_property
from string import Template
from typing import Any

import numpy as np

from tinygrad_lstm.kernels.c_sizes import Sizes, c_comment
from tinygrad_lstm.kernels.loop import Loops, Multiply, Outer, Statement, Sweep
from tinygrad_lstm.kernels.names import distinct, file, indented
from tinygrad_lstm.kernels.plan import Buffer, Kind, Place, Space
from tinygrad_lstm.kernels.printing import At, Rows
from tinygrad_lstm.kernels.toolchain import Machine

_EACH_STEP = "for (count step = begin; step < end; step++) {"
_EACH_ROW = "for (count b = first; b < last; b++) {"
_SHARED = ("products.h", "samples.c", "products.c")
_HIDDEN = """#if defined(__GNUC__)
#define SHARED __attribute__((visibility("hidden")))
#else
#define SHARED
#endif"""


class Source:
    """The C of a plan's loops, and what they need of memory.

    `text` is all of it, which compiles and runs alone, with these sizes at its end; `code` the part
    that serves all sizes and calls the matrix products, `products`, a source of its own; `sizes`
    what `struct sizes` holds. `packs` lists the weights in panels, (loop, statement, how many
    numbers); `scratch` is how many numbers a thread needs for each row of a piece. A panel has
    `panel` columns, a strip `strip` rows.
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
        self.sizes = Sizes()
        taken: set[str] = set()
        named = (*self.buffers, *self.totals)
        self._names = {b: distinct(b.name, taken, ascii_only=True) for b in named}
        self._by_name = {b.name: b for b in named}
        loops_ = [self._loop("forward", loops.forward), self._loop("backward", loops.backward)]
        self._loops = [self._places(), self.sizes.declaration(), *loops_]
        double = int(self.dtype == np.float64)
        self._machine = f"#define DOUBLE {double}\n" + "\n".join(
            f"#ifndef {name}\n#define {name} {value}\n#endif"
            for name, value in (("VECTOR", machine.vector), ("ROWS", machine.rows))
        )

    @cached_property
    def text(self) -> str:
        """All of the source, for people and other compilers."""
        told = ", ".join(f"{name} = {n}" for name, n in self.loops.plan.step.sizes.items())
        shared = ["#define SHARED static UNUSED", *map(file, _SHARED)]
        parts = [
            c_comment("\n   ".join(self.loops.told())),
            self._machine,
            file("functions.c"),
            *shared,
            *self._loops,
        ]
        numbers = "\n".join(self.sizes.definition(told or "These sizes."))
        return "\n\n".join(part for part in [*parts, numbers] if part) + "\n"

    @cached_property
    def code(self) -> str:
        """The loops without comments: the same for all sizes, and for cells of other names."""
        return without_comments("\n\n".join([self._machine, _common(), *self._loops]))

    @cached_property
    def products(self) -> str:
        """The matrix products and operations on whole samples that all cells share."""
        return "\n\n".join([self._machine, _common(), *map(file, _SHARED[1:])])

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
    def _loop(self, name: str, statements: list[Statement]) -> str:
        backward = name == "backward"
        body = [line for s in statements for line in self._statement(s, name)]
        before, after = self._ended(backward)
        memory, last = [], "sums"
        for b in self.totals if backward else []:
            memory.append(f"real *const {self._row(b)} = {last};")
            last = f"{self._row(b)} + {self._width(b)}"
        last = "scratch"
        for b in self._kept(name):
            memory.append(f"real *const all_{self._names[b]} = {last};")
            last = f"all_{self._names[b]} + {self._width(b)} * piece * rows"
        if backward and self.outers:
            most = self.sizes.count("rows_of_all", max(s.left.size for s in self.outers))
            memory.append(f"real *const gathered = {last};")
            strips = f"({most} + ROWS - 1) / ROWS * ROWS"
            memory.append(f"real *const space = gathered + {strips} * piece * rows;")
        parts = {
            "memory": indented(memory, 1),
            "ahead": indented([] if backward else self._whole(self.loops.ahead, name), 2),
            "steps": indented(self._with_setup([*before, *body, *after]), 3),
            "after": indented(self._whole(self.loops.after, name) if backward else [], 2),
        }
        what = "back through time" if backward else "over time"
        filled = Template(file("loop.c")).substitute(name=name, what=what, **parts)
        return "\n".join(line for line in filled.split("\n") if line)

    def _places(self) -> str:
        """What lies where in `at`, and which weight is which of `packs`."""
        own = ", ".join(f"at_{self._names[b]}" for b in self.buffers)
        packs = [f"packs[{k}]: {s.weight.buffer.name}" for k, (_, s, _) in enumerate(self.packs)]
        return f"enum {{ {own} }};\n{c_comment(', '.join(packs) or 'no packs')}"

    def _with_setup(self, body: list[str], step: str = "step") -> list[str]:
        """Lines, and before them where the row of this step begins of each buffer they name."""
        words = set(re.findall(r"\w+", "\n".join(body)))
        lines = []
        for b in self.buffers:
            if self._now(b) not in words:
                continue
            k = f"at_{self._names[b]}"
            if b in self.transient:
                start = f"(({step} - begin) * rows - first)" if step != "begin" else "first"
                sign = "-" if step == "begin" else "+"
                where = f"all_{self._names[b]} {sign} {start} * {self._width(b)}"
            elif b.kind is Kind.CARRY:
                spaces = (Space.CARRY, Space.OUT)
                turns = [self.loops.plan.layout.of(s)[b.label] for s in spaces]
                even, odd = turns if b.space is Space.CARRY else reversed(turns)
                where = f"at[{step} % 2 ? at_{self._names[odd]} : at_{self._names[even]}]"
            else:
                where = f"at[{k}] + {step} * by[{k}]"
            lines.append(f"real *const {self._now(b)} = {where};")
        return [*lines, *body]

    def _whole(self, statements: Iterable[Statement], loop: str) -> list[str]:
        """Hoisted statements and deferred products, for all steps of a piece at once."""
        lines, start, last = list[str](), "products", None
        for s in statements:
            if isinstance(s, Multiply):
                call = [c_comment(s.lines[0]), self._product(s, loop, f"{self._by(s.operand)}, ")]
            elif isinstance(s, Outer):
                left, right = s.left, s.right
                height, width = (self.sizes.count("rows", p.size) for p in (left, right))
                gather = (
                    f"gather({height}, end - begin, rows, {self._rows_at(left)}, "
                    f"{self._by(left)}, {self._width(left.buffer)}, gathered);"
                )
                call = [
                    *([gather] if left != last else []),  # the same rows are gathered once
                    c_comment(s.lines[0]),
                    f"outer({height}, {width}, end - begin, rows, gathered, "
                    f"{self._rows_at(right)}, {self._by(right)}, {self._width(right.buffer)}, "
                    f"{start}, space);",
                ]
                last, start = left, f"{start} + {height} * {width}"
            else:
                body = self._with_setup(list(self._statement(s, loop)))
                lines += [_EACH_STEP, *body, "}"]
                continue
            lines += ["{", *self._with_setup(call, "begin"), "}"]
        return lines

    def _by(self, place: Place) -> str:
        """How far the next step lies."""
        b = place.buffer
        width, k = self._width(b), f"by[at_{self._names[b]}]"
        return f"rows * {width}" if b in self.transient else k

    def _ended(self, backward: bool) -> tuple[list[str], list[str]]:
        """Samples that have ended keep their state, and hand its adjoint on."""
        before, after = [], []
        for state in self.loops.plan.states:
            spaces = (f"hold.{state}", f"carry.{state}", f"out.{state}")
            hold, old, new = (self._now(self._by_name[name]) for name in spaces)
            now, prev = (self._now(self._by_name[name]) for name in (state, f"prev.{state}"))
            start = f"copy_ended(ended, first, last, {self._width(self._by_name[spaces[0]])}"
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

    def _width(self, buffer: Buffer) -> str:
        return self.sizes.count(f"width_{self._names[buffer]}", buffer.width, buffer)

    def _start(self, place: Place) -> str:
        """Where a value begins in a row."""
        name, b = f"start_in_{self._names[place.buffer]}", place.buffer
        return self.sizes.count(name, place.start, (b, place.start)) if place.start else ""

    def _rows_at(self, place: Place) -> str:
        width = self._width(place.buffer)
        start = At(self._now(place.buffer), self._start(place)).plus(f"first * {width}")
        return f"{start.array} + {start.offset}"

    # --- statements -----------------------------------------------------------------------------
    def _statement(self, s: Statement, loop: str) -> Iterator[str]:
        if isinstance(s, Multiply):
            yield c_comment(s.lines[0])
            yield self._product(s, loop)
            return
        rows = Rows(self.sizes, lambda place: At(self._row(place.buffer), self._start(place)))
        if not (lines := list(rows.lines(s))):
            return
        if not isinstance(s, Sweep):
            yield c_comment(s.lines[0])
        yield _EACH_ROW
        for b in rows.used:
            weight = b.kind is Kind.WEIGHT
            if b.kind is not Kind.TOTAL:
                start = "" if weight else f" + b * {self._width(b)}"
                yield f"{'const ' * weight}real *const {self._row(b)} = {self._now(b)}{start};"
        yield from lines
        yield "}"

    def _product(self, s: Multiply, loop: str, by: str = "") -> str:
        """A product of one step; with `by`, how far the next step lies, of all of a piece."""
        inner, columns = matrix(s)
        panels = inner * -(-columns // self.panel) * self.panel
        self.packs.append((loop, s, panels))
        function, steps, far = ("product", "", "")
        if by:
            function, steps, far = "products_of", "end - begin, ", f"{self._by(s.result)}, "
        sizes = f"{self.sizes.count('columns', columns)}, {self.sizes.count('inner', inner)}"
        down, stride = self._width(s.operand.buffer), self._width(s.result.buffer)
        return (
            f"{function}({steps}rows, {sizes}, {self._rows_at(s.operand)}, {by}{down}, "
            f"packs[{len(self.packs) - 1}], {self._rows_at(s.result)}, {far}{stride}, "
            f"{int(s.onto)});"
        )


def matrix(product: Multiply) -> tuple[int, int]:
    """Rows and columns of what an operand's rows are multiplied with."""
    m, n = map(int, product.weight.shape)
    return (m, n) if product.transposed else (n, m)


@cache
def _common() -> str:
    return "\n\n".join([file("functions.c"), _HIDDEN, file(_SHARED[0])])


def without_comments(text: str) -> str:
    """The same C for a compiler."""
    lines = (line.rstrip() for line in re.sub(r"/\*.*?\*/", "", text, flags=re.S).split("\n"))
    return "\n".join(line for line in lines if line) + "\n"
