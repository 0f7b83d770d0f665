"""The C source of a plan: one pass over the units between two products, to be read by people."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from importlib import resources
from typing import Any

import numpy as np

from tinygrad_lstm import text as writing
from tinygrad_lstm.kernels.c_operations import Unsupported, expression, indices, literal, single
from tinygrad_lstm.kernels.names import distinct, note
from tinygrad_lstm.kernels.plan import Buffer, Pass, Place, Plan, Product, Single, Stage, end_to_end
from tinygrad_lstm.kernels.toolchain import Machine, machine
from tinygrad_lstm.tensor import Array, Tensor

_FUNCTIONS = ("exp", "expm1", "log", "log1p", "sqrt", "sin", "cos", "pow", "erf", "floor", "fabs")
Pack = tuple[str, bool]  # a weight, and whether its transpose is meant


class Packed:
    """How much memory the weights of one loop take in panels, and which they are."""

    def __init__(self, places: list[tuple[int, int]]) -> None:
        self.places = places
        self.size = sum(size + 16 for _, size in places)


class Writer:
    """The C source of a plan."""

    def __init__(self, plan: Plan, dtype: Any, target: Machine) -> None:
        self.plan, self.dtype, self.machine = plan, np.dtype(dtype), target
        self.rows = {
            f"hold.{state}": Buffer(f"hold.{state}", plan.buffers[state].width, "row")
            for state in plan.states
        }
        self.packs: list[Pack] = []
        self._pack_loop: list[int] = []
        self._tables: dict[str, str] = {}
        every = [b for b in plan.buffers.values() if b.kind != "total"]
        self.buffers = [*every, *self.rows.values()]
        self.brief = _brief(plan)
        self.totals = [b for b in plan.buffers.values() if b.kind == "total"]
        self.work = {
            "forward": sum(map(_work, [*plan.ahead, *plan.forward])),
            "backward": sum(map(_work, plan.backward))
            + sum(d.left.size * d.right.size for d in plan.weight_products),
        }
        self._ids = {b.name: k for k, b in enumerate(self.buffers)}
        taken: set[str] = set()
        self._names = {
            b.name: distinct(b.name, taken, ascii_only=True) for b in (*self.buffers, *self.totals)
        }
        bodies = [self._loop("forward"), self._loop("backward")]
        self.packed = (self._packed(0), self._packed(1))
        prelude, tables = self._prelude(), "\n".join(self._tables.values())
        self.products = f"{prelude}\n\n{_text('products.c')}"  # a source of its own
        parts = [self._head(), prelude, tables, self._prepare(), *bodies]
        self.source = "\n\n".join(part for part in parts if part) + "\n"

    # --- parts of the source --------------------------------------------------------------------
    def _head(self) -> str:
        lines = [f"{self.plan.name}, compiled from its equations:", ""]
        lines += [f"  {self.plan.step.text(name)}" for name in self.plan.step.equations]
        lines += ["", "where, made of the parameters once a call,", ""]
        lines += [
            f"  {name} = {writing.expression(node) if node.inputs else node.name}"
            for name, node in self.plan.once.outputs.items()
        ]
        return _comment("\n   ".join(lines))

    def _prelude(self) -> str:
        double = self.dtype == np.float64
        suffix = "" if double else "f"
        high = 0.693145751953125  # log 2 in two parts, the first with few digits
        terms = 12 if double else 6
        powers = "".join(f"(real){1 / math.factorial(k)!r} + (r) * (" for k in range(1, terms))
        polynomial = f"{powers}(real){1 / math.factorial(terms)!r}{')' * (terms - 1)}"
        defines = {
            "VECTOR": self.machine.vector,
            "ROWS": self.machine.rows,
            "CASES": " ".join(f"CASE({m})" for m in range(1, self.machine.rows + 1)),
            "LARGEST": "(real)700" if double else "(real)85",
            "ROUNDER": "0x1.8p52" if double else "0x1.8p23f",
            "BIAS": 1023 if double else 127,
            "MANTISSA": 52 if double else 23,
            "LOG2_HIGH": f"(real){high!r}",
            "LOG2_LOW": f"(real){0.6931471805599453094 - high!r}",
            "POLYNOMIAL(r)": f"({polynomial})",
            **{n.upper(): f"{n}{suffix}" for n in _FUNCTIONS},
        }
        lines = [
            f"typedef {'double' if double else 'float'} real;",
            f"typedef {'long long' if double else 'int'} bits;",
            *(f"#define {name} {value}" for name, value in defines.items()),
        ]
        return "\n".join(lines) + "\n\n" + _text("functions.c")

    def _prepare(self) -> str:
        lines = ["/* The weights of one loop in panels. */"]
        lines += ["void prepare(count loop, real **weights, real **packs)", "{"]
        for k, (name, turned) in enumerate(self.packs):
            m, n = self.plan.step.inputs[name].shape
            inner, columns, down, right = (m, n, n, 1) if turned else (n, m, 1, n)
            lines.append(
                f"    if (loop == {self._pack_loop[k]})"
                f" pack({inner}, {columns}, weights[{k}], {down}, {right}, packs[{k}]);"
            )
        return "\n".join([*lines, "}"])

    def _packed(self, loop: int) -> Packed:
        """The memory of one loop's packed weights."""
        panel = 2 * self.machine.vector // self.dtype.itemsize
        places = []
        for k, (name, turned) in enumerate(self.packs):
            if self._pack_loop[k] == loop:
                m, n = map(int, self.plan.step.inputs[name].shape)
                inner, columns = (m, n) if turned else (n, m)
                places.append((k, inner * -(-columns // panel) * panel))
        return Packed(places)

    def scratch(self, name: str, rows: int) -> int:
        """How many numbers a thread needs for a piece of the loop of so many rows."""
        back = name == "backward"
        kept = sum(width for n, width in self.brief.items() if (n in self._back) == back)
        if name == "forward":
            return rows * kept
        panel = 2 * self.machine.vector // self.dtype.itemsize
        strip = self.machine.rows
        shapes = [d.shape for d in self.plan.weight_products]
        left = max((-(-m // strip) * strip for m, _ in shapes), default=0)
        space = max((-(-n // panel) * panel for _, n in shapes), default=0)
        return rows * (kept + space + left)

    @property
    def _back(self) -> set[str]:
        return set(self.plan.backward_buffers)

    def _loop(self, name: str) -> str:
        backward = name == "backward"
        stages = self.plan.backward if backward else self.plan.forward
        body = [line for s in stages for line in self._stage(s, int(backward))]
        before, after = self._ended(backward)
        body = [*before, *body, *after]
        what = "back through time" if backward else "over time"
        lines = [
            f"/* The loop {what}, for samples first to last, in pieces of a few steps. */",
            f"void {name}(count steps, count batch, count first, count last,",
            "    count piece, real **at, const count *by, real **packs, const unsigned char *gone,",
            "    real *sums, real *products, real *scratch)",
            "{",
            "const count rows = last - first;",
        ]
        start = 0
        for b in self.totals if backward else []:
            lines.append(f"real *const {self._row(b)} = sums + {start};")
            start += b.width
        lines += self._brief_memory(backward)
        lines += [
            "for (count begin = 0; begin < steps; begin += piece) {",
            "const count end = begin + piece < steps ? begin + piece : steps;",
        ]
        if not backward:
            lines += self._ahead()
        lines += ["for (count step = begin; step < end; step++) {", *self._setup(body), *body, "}"]
        if backward:
            lines += self._after()
        return "\n".join(_indented([*lines, "}", "}"], 0))

    def _brief_memory(self, backward: bool) -> list[str]:
        lines, start = [], 0
        for name, width in self.brief.items():
            if (name in self._back) == backward:
                lines.append(
                    f"real *const all_{self._names[name]} = scratch + {start} * piece * rows;"
                )
                start += width
        if backward:
            lines.append(f"real *const gathered = scratch + {start} * piece * rows;")
            strip = self.machine.rows
            heights = [d.shape[0] for d in self.plan.weight_products]
            left = max((-(-m // strip) * strip for m in heights), default=0)
            lines.append(f"real *const space = gathered + {left} * piece * rows;")
        return lines

    def _setup(self, body: list[str], step: str = "step") -> list[str]:
        """Where each buffer's row of this step begins."""
        lines = []
        for b in self._used(body):
            k = self._ids[b.name]
            if b.name in self.brief:
                where = f"all_{self._names[b.name]} + (({step} - begin) * rows - first) * {b.width}"
            elif b.kind == "carry":
                side, state = b.name.split(".", 1)
                even, odd = self._ids[f"carry.{state}"], self._ids[f"out.{state}"]
                if side == "out":
                    even, odd = odd, even
                where = f"at[{step} % 2 ? {odd} : {even}]"
            elif b.kind == "time":
                where = f"at[{k}] + {step} * by[{k}]"
            else:
                where = f"at[{k}]"
            lines.append(f"real *const {self._now(b.name)} = {where};")
        return lines

    def _ahead(self) -> list[str]:
        """Hoisted products: for all steps of a piece at once where each has one row."""
        stages = self.plan.ahead
        if not stages:
            return []
        body = [line for s in stages for line in self._stage(s, 0)]
        lines = ["for (count step = begin; step < end; step++) {", *self._setup(body), *body, "}"]
        (first, *others) = stages
        if others or not isinstance(first, Product):
            return lines
        out, v = self._place(first.result), self._place(first.operand)
        if v.buffer.kind != "time" or v.buffer.name in self.brief:
            return lines
        down = f"by[{self._ids[out.buffer.name]}]"
        if out.buffer.name in self.brief:
            down = f"{out.buffer.width}"
        m, n = first.weight.shape
        whole = [
            f"product(end - begin, {m}, {n}, {self._rows_at(v)}, by[{self._ids[v.buffer.name]}], "
            f"packs[{len(self.packs) - 1}], {self._rows_at(out)}, {down}, 0);"
        ]
        return ["if (rows == 1) {", *self._setup(whole, "begin"), *whole, "} else", *lines]

    def _after(self) -> list[str]:
        """Deferred products, for all steps of a piece at once."""
        lines, start, last = [], 0, None
        for d in self.plan.weight_products:
            left, right = self._place(d.left), self._place(d.right)
            call = []
            if (left, d.left.size) != last:  # the same rows are gathered once
                call.append(
                    f"gather({d.left.size}, end - begin, rows, {self._rows_at(left)}, "
                    f"{self._by(left.buffer)}, {left.buffer.width}, gathered);"
                )
            last = (left, d.left.size)
            call += [
                _comment(f"the gradient of {d.target}, added up over these steps"),
                f"outer({d.left.size}, {d.right.size}, end - begin, rows, gathered, "
                f"{self._rows_at(right)}, {self._by(right.buffer)}, {right.buffer.width}, "
                f"products + {start}, space);",
            ]
            lines += ["{", *self._setup(call, "begin"), *call, "}"]
            start += d.left.size * d.right.size
        done: set[str] = set(self.plan.wants) - self.plan.unwritten
        for d in self.plan.input_products:
            self.packs.append((d.right.name or "", True))
            self._pack_loop.append(1)
            g = self._place(d.left)
            out = Place(self.plan.buffers[f"bar.in.{d.target}"])
            m, n = d.right.shape
            onto = int(d.target in done)
            done.add(d.target)
            call = [
                f"product(rows, {n}, {m}, {self._rows_at(g)}, {g.buffer.width}, "
                f"packs[{len(self.packs) - 1}], {self._rows_at(out)}, {out.buffer.width}, {onto});"
            ]
            each = "for (count step = begin; step < end; step++) {"
            lines += [each, *self._setup(call), *call, "}"]
        return lines

    def _by(self, buffer: Buffer) -> str:
        """How far the next step lies."""
        if buffer.name in self.brief:
            return f"rows * {buffer.width}"
        return f"by[{self._ids[buffer.name]}]"

    def _ended(self, backward: bool) -> tuple[list[str], list[str]]:
        """Samples that have ended keep their state, and hand its adjoint on."""
        each = "if (gone) for (count b = first; b < last; b++) if (gone[step * batch + b]) {"
        before, after = [each], [each]
        for state in self.plan.states:
            width = self.plan.buffers[state].width
            size = f"{width} * sizeof(real)"
            now, prev, hold, old, new = (
                f"{self._now(space + state)} + b * {width}"
                for space in ("", "prev.", "hold.", "carry.", "out.")
            )
            if backward:
                before.append(f"memcpy({hold}, {old}, {size});")
                before.append(f"memset({old}, 0, {size});")
                after.append(f"memcpy({new}, {hold}, {size});")
            else:
                after.append(f"memcpy({now}, {prev}, {size});")
        return ([*before, "}"] if backward else []), [*after, "}"]

    def _used(self, body: list[str]) -> list[Buffer]:
        words = set(re.findall(r"\w+", "\n".join(body)))
        return [b for b in self.buffers if self._now(b.name) in words]

    def _now(self, name: str) -> str:
        """Where a buffer's rows of this step begin. No other names begin like these."""
        return f"now_{self._names[name]}"

    def _row(self, buffer: Buffer) -> str:
        """Where a sample's row begins."""
        return f"row_{self._names[buffer.name]}"

    def _rows_of(self, buffers: Mapping[str, Buffer]) -> Iterator[str]:
        for b in buffers.values():
            row = "" if b.kind == "weight" else f" + b * {b.width}"
            constant = "const " * (b.kind == "weight")
            yield f"{constant}real *const {self._row(b)} = {self._now(b.name)}{row};"

    # --- stages ---------------------------------------------------------------------------------
    def _stage(self, stage: Stage, loop: int) -> Iterator[str]:
        if isinstance(stage, Product):
            yield from self._product(stage, loop)
        elif isinstance(stage, Pass):
            yield from self._pass(stage)
        else:
            yield from self._single(stage)

    def _product(self, stage: Product, loop: int) -> Iterator[str]:
        pack = (stage.weight.name or "", stage.transposed)
        self.packs.append(pack)
        self._pack_loop.append(loop)
        k = len(self.packs) - 1
        out, v = self._place(stage.result), self._place(stage.operand)
        m, n = stage.weight.shape
        columns, inner = (n, m) if stage.transposed else (m, n)
        yield _comment(note(stage.result, 160))
        yield (
            f"product(last - first, {columns}, {inner}, {self._rows_at(v)}, {v.buffer.width}, "
            f"packs[{k}], {self._rows_at(out)}, {out.buffer.width}, {int(stage.onto)});"
        )

    def _rows_at(self, place: Place) -> str:
        start = f" + {place.start}" if place.start else ""
        return f"{self._now(place.buffer.name)} + first * {place.buffer.width}{start}"

    def _place(self, node: Tensor) -> Place:
        place = self.plan.place(node)
        if place is None:
            raise Unsupported(f"{node.op} has no place")
        return place

    def _pass(self, stage: Pass) -> Iterator[str]:
        size = int(np.prod(stage.shape, dtype=int))
        local: dict[Tensor, str] = {}
        taken: set[str] = set()
        buffers: dict[str, Buffer] = {}
        lines = []
        for node in stage.nodes:
            operands = [self._entry(i, stage.shape, local, buffers) for i in node.inputs]
            name = f"v_{distinct(node.name or str(len(local) + 1), taken, ascii_only=True)}"
            text = expression(node, operands)
            told = f"  {_comment(note(node, 160))}" if node.name else ""
            lines.append(f"const real {name} = {text};{told}")
            local[node] = name
            for place in self.plan.stores.get(node, []):
                lines.append(f"{self._at(place, buffers)} = {name};")
        for node, place in stage.copies:
            value = self._entry(node, stage.shape, local, buffers)
            lines.append(f"{self._at(place, buffers)} = {value};")
        for node, place in stage.totals:
            value = self._entry(node, stage.shape, local, buffers)
            lines.append(f"{self._row(place.buffer)}[{place.start} + j] += {value};")
        yield "for (count b = first; b < last; b++) {"
        yield from self._rows_of(buffers)
        yield "#pragma GCC ivdep"
        yield f"for (count j = 0; j < {size}; j++) {{"
        yield from lines
        yield "}"
        yield "}"

    def _at(self, place: Place, buffers: dict[str, Buffer]) -> str:
        buffers[place.buffer.name] = place.buffer
        return f"{self._row(place.buffer)}[{place.start} + j]"

    def _entry(
        self,
        node: Tensor,
        shape: tuple[int, ...],
        local: dict[Tensor, str],
        buffers: dict[str, Buffer],
    ) -> str:
        """The entry of an operand that belongs to entry j of the pass."""
        if node in local:
            return local[node]
        place = self.plan.place(node)
        if place is None:
            if node.inputs or node.traced:
                raise Unsupported(f"{node.op} has no place")
            return literal(node.data.item())
        buffers[place.buffer.name] = place.buffer
        name = self._row(place.buffer)
        if node.shape == shape:
            return f"{name}[{place.start} + j]"
        if node.size == 1:
            return f"{name}[{place.start}]"
        numbers = np.arange(node.size).reshape(node.shape)
        table = self._table(np.broadcast_to(numbers, shape).reshape(-1))
        return f"{name}[{place.start} + {table}[j]]"

    def _single(self, stage: Single) -> Iterator[str]:
        node = stage.node
        buffers: dict[str, Buffer] = {}
        out = self._place(node)
        operands = []
        if end_to_end(node):
            lines = list(self._concat(node, out, buffers))
        else:
            for i in node.inputs:
                place = self._place(i)
                buffers[place.buffer.name] = place.buffer
                operands.append(f"({self._row(place.buffer)} + {place.start})")
            buffers[out.buffer.name] = out.buffer
            target = f"({self._row(out.buffer)} + {out.start})"
            lines = list(single(node, target, operands, self._table))
        if not lines:
            return
        yield _comment(note(node, 160))
        yield "for (count b = first; b < last; b++) {"
        yield from self._rows_of(buffers)
        yield from lines
        yield "}"

    def _concat(self, node: Tensor, out: Place, buffers: dict[str, Buffer]) -> Iterator[str]:
        start = out.start
        for part in node.inputs:
            given = self.plan.place(part)
            target = Place(out.buffer, start)
            start += part.size
            if given == target:
                continue
            entry = self._entry(part, part.shape, {}, buffers)
            yield f"for (count j = 0; j < {part.size}; j++) {self._at(target, buffers)} = {entry};"

    def _table(self, numbers: Array) -> str:
        text = indices(np.asarray(numbers))
        name = f"table_{len(self._tables)}"
        for known, line in self._tables.items():
            if line.endswith(f"= {text};"):
                return known
        self._tables[name] = f"static const int {name}[] = {text};"
        return name


def _text(name: str) -> str:
    return resources.files("tinygrad_lstm.kernels").joinpath(name).read_text(encoding="utf-8")


def _brief(plan: Plan) -> dict[str, int]:
    """Buffers with a row for each step that are read only soon after they were written."""
    back = set(plan.backward_buffers)
    later = {
        place.buffer.name
        for stage in plan.backward
        for node in _read_by(stage)
        if (place := plan.place(node)) is not None
    }
    for d in plan.weight_products:
        later |= {place.buffer.name for n in (d.left, d.right) if (place := plan.place(n))}
    named = {plan.stores[node][0].buffer.name for node in plan.step.equations.values()}
    ahead = {
        place.buffer.name
        for stage in plan.ahead
        for node in _made_by(stage)
        if (place := plan.place(node)) is not None
    }
    return {
        name: b.width
        for name, b in plan.buffers.items()
        if b.kind == "time"
        and name not in named
        and (
            (name in ahead and name not in later) or (name in back and not name.startswith("bar."))
        )
    }


def _read_by(stage: Stage) -> list[Tensor]:
    if isinstance(stage, Product):
        return [stage.operand]
    if isinstance(stage, Pass):
        inputs = [i for n in stage.nodes for i in n.inputs]
        return [*inputs, *(n for n, _ in (*stage.copies, *stage.totals))]
    return list(stage.node.inputs)


def _made_by(stage: Stage) -> list[Tensor]:
    if isinstance(stage, Product):
        return [stage.result]
    return stage.nodes if isinstance(stage, Pass) else [stage.node]


def _comment(text: str) -> str:
    return f"/* {text.replace('*/', '* /').replace('/*', '/ *')} */"


def _indented(lines: list[str], depth: int) -> list[str]:
    done = []
    for line in lines:
        if line.startswith("}"):
            depth -= 1
        done.append(line if line.startswith("#") else "    " * depth + line)
        if line.endswith("{"):
            depth += 1
    return done


def _work(stage: Stage) -> float:
    """About how many multiplications a stage takes for one row."""
    if isinstance(stage, Product):
        return float(stage.weight.size)
    if isinstance(stage, Pass):
        return 4.0 * len(stage.nodes) * int(np.prod(stage.shape, dtype=int))
    return 4.0 * stage.node.size


def c_source(plan: Plan, dtype: Any) -> str:
    """The C source of a plan on this machine."""
    return Writer(plan, dtype, machine()).source
