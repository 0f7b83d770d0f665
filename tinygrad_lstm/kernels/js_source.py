"""The JavaScript of a plan: one script without dependencies, for node and for a page.

    packWeights(p)                     the weights of the loops, made of the parameters
    loops.forward(b, steps, rows, …)   b: the memory by name, as `memory` in cell.js makes it
    loops.backward(b, steps, rows, …)
    unpackGradients(p, b)              the gradients of the parameters, of those of the weights

and around them what people call: pack, forward, backward, and stream, which takes a step at a time.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Iterator, Mapping
from importlib import resources
from typing import Any

import numpy as np

from tinygrad_lstm.kernels.builder import simplified
from tinygrad_lstm.kernels.js_operations import Printer, functions, further
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
    Straight,
    Sweep,
    lower_program,
)
from tinygrad_lstm.kernels.names import comment_text, distinct, number
from tinygrad_lstm.kernels.plan import Buffer, Kind, Place, Space

_EACH_ROW = "for (let r = 0; r < rows; r++) {"


class Source:
    """The JavaScript of a plan's loops.

    `text` is the whole script, `buffers` the memory that it has by name.
    """

    def __init__(self, loops: Loops, dtype: Any) -> None:
        self.loops, self.dtype, plan = loops, np.dtype(dtype), loops.plan
        self._print = Printer(self.dtype == np.float32)
        self._panels: dict[str, Multiply] = {}
        buffers = [*plan.buffers.values()]
        carries = plan.layout.of(Space.CARRY)
        buffers += [Buffer(Space.HOLD, state, b.width) for state, b in carries.items()]
        weights = {b.name: b.width for b in plan.layout.of(Space.WEIGHT).values()}
        outers = dict.fromkeys(s.weight for s in loops.after if isinstance(s, Outer))
        totals = plan.layout.of(Space.WEIGHT_ADJOINT)
        buffers += [
            Buffer(Space.WEIGHT_ADJOINT, own, weights[name])
            for name in outers
            if (own := name.removeprefix("W.")) not in totals
        ]
        self.buffers = {b.name: b for b in buffers}
        self._names = _variables({b: name for name, b in self.buffers.items()})
        gradient = plan.once.gradient() if plan.once.outputs else plan.once
        pack = lower_program(plan.once.inputs, plan.once.outputs)
        unpack = lower_program(gradient.inputs, simplified(gradient, (), {}))
        body = "\n\n".join(
            [
                *(self._packing(pack), self._unpacking(unpack)),
                "const loops = {",
                *(self._loop("forward", loops.forward), self._loop("backward", loops.backward)),
                "};",
            ]
        )
        body = f"{body}\n\n{_file('cell.js')}"
        numbers = f"const Numbers = Float{8 * self.dtype.itemsize}Array"
        tables = [f"const {name} = {text};" for text, name in self._print.tables.items()]
        parts = [
            self._head(),
            "(function (root) {",
            '"use strict";',
            f"{numbers}, F = Math.fround, reserve = () => (count) => new Numbers(count);",
            f"const CELL = {_json(self._described())};",
            functions("\n".join([body, *tables])),
            "\n".join(tables),
            body,
            f"root[{_json(plan.name)}] = cell;",
            '})(typeof module === "object" ? module.exports '
            ": (globalThis.tinygrad_lstm ??= { __proto__: null }));",
        ]
        self.text = "\n\n".join(part for part in parts if part) + "\n"

    def _head(self) -> str:
        plan = self.loops.plan
        lines = [f"{plan.name}, compiled from its equations:", ""]
        lines += [f"  {line}" for s in (*self.loops.ahead, *self.loops.forward) for line in s.lines]
        lines += ["", "where, made of the parameters once a call,", ""]
        lines += [f"  {line}" for pack in self.loops.once for line in pack.lines]
        return "\n".join(_comment(line) for line in lines)

    def _described(self) -> dict[str, Any]:
        """What the functions of cell.js read of a cell."""
        plan, step = self.loops.plan, self.loops.plan.step
        places = {n: plan.layout.at(node) for n, node in step.equations.items()}
        panels = [
            [name, s.weight.buffer.name, *_matrix(s), *_strides(s)]
            for name, s in self._panels.items()
        ]
        buffers = {
            name: [b.kind.value, b.width]
            for name, b in self.buffers.items()
            if b.space is not Space.PREVIOUS
        }
        buffers |= {name: ["weight", _panel_size(s)] for name, s in self._panels.items()}
        states = plan.layout.of(Space.PREVIOUS)
        inputs = plan.layout.of(Space.INPUT)
        return {
            "name": plan.name,
            "sizes": dict(step.sizes),
            "parameters": {n: list(node.shape) for n, node in plan.once.inputs.items()},
            "inputs": {n: list(step.inputs[n].shape) for n in inputs},
            "states": {n: list(step.inputs[f"prev.{n}"].shape) for n in states},
            "equations": {n: [p.buffer.name, p.start, list(p.shape)] for n, p in places.items()},
            "seeds": plan.seeds,
            "wants": plan.wants,
            "buffers": buffers,
            "panels": panels,
        }

    # --- functions ------------------------------------------------------------------------------
    def _packing(self, straight: Straight) -> str:
        names = _variables({b: b.label for b in straight.buffers})
        lines = [line for pack in self.loops.once for line in map(_comment, pack.lines)]
        for name, place in straight.inputs.items():
            lines.append(f"const {names[place.buffer]} = p[{_json(name)}];")
        lines += self._straight(straight, names)
        made = {n: names[place.buffer] for n, place in straight.outputs.items()}
        fixed = self.loops.plan.fixed
        made |= {n: f"Numbers.of({_numbers(value)})" for n, value in fixed.items()}
        return _function("function packWeights(p)", [*lines, f"return {_object(made)};"])

    def _unpacking(self, straight: Straight) -> str:
        names, lines = _variables({b: b.label for b in straight.buffers}), []
        for name, place in straight.inputs.items():
            own = name.removeprefix("seed.")
            source = f"p[{_json(name)}]"
            if own != name:
                known = f"bar.{own}" in self.buffers
                source = f"b[{_json(f'bar.{own}')}]" if known else f"new Numbers({place.size})"
            lines.append(f"const {names[place.buffer]} = {source};")
        lines += self._straight(straight, names)
        made = {n: names[place.buffer] for n, place in straight.outputs.items()}
        return _function("function unpackGradients(p, b)", [*lines, f"return {_object(made)};"])

    def _straight(self, straight: Straight, names: Mapping[Buffer, str]) -> Iterator[str]:
        given = {place.buffer for place in straight.inputs.values()}
        for b in straight.buffers:
            if (value := straight.numbers.get(b)) is not None:
                yield f"const {names[b]} = Numbers.of({_numbers(value)});"
            elif b not in given:
                yield f"const {names[b]} = new Numbers({b.width});"
        for s in straight.statements:
            yield from _Rows(names, self._print).lines(s)

    def _loop(self, name: str, statements: Iterable[Statement]) -> str:
        backward = name == "backward"
        first = [] if backward else self._whole(self.loops.ahead)
        last = self._whole(self.loops.after) if backward else []
        before, after = self._ended(backward)
        body = ["const at = t * rows;", *before]
        for s in statements:
            body += self._statement(s)
        steps = "t = steps - 1; t >= 0; t--" if backward else "t = 0; t < steps; t++"
        lines = [*first, f"for (let {steps}) {{", *body, *after, "}", *last]
        if backward:
            totals = [b for b in self.buffers.values() if b.kind is Kind.TOTAL]
            lines = [*(f"{self._names[b]}.fill(0);" for b in totals), *lines]
        words = set(re.findall(r"\bb_\w+", "\n".join(lines)))
        own = {n: f"b[{_json(b.name)}]" for b, n in self._names.items() if n in words}
        known = [f"const {name} = {text};" for name, text in own.items()]
        return _function(f"{name}(b, steps, rows, ended)", [*known, *lines], 1) + ","

    def _whole(self, statements: Iterable[Statement]) -> Iterator[str]:
        """Hoisted statements and deferred products, for all steps at once."""
        for s in statements:
            if isinstance(s, Multiply):
                yield _comment(s.lines[0])
                yield self._product(s, "0", "steps * rows")
            elif isinstance(s, Outer):
                (left, right), out = map(self._rows_at, (s.left, s.right), "00"), f"bar.{s.weight}"
                sizes = f"{s.left.size}, {s.right.size}, steps * rows"
                yield _comment(s.lines[0])
                yield f"outer({sizes}, {left}, {right}, {self._names[self.buffers[out]]});"
            else:
                lines = list(self._statement(s))
                yield from ["for (let at = 0; at < steps * rows; at += rows) {", *lines, "}"]

    def _statement(self, s: Statement) -> Iterator[str]:
        """A statement at one step."""
        if isinstance(s, Multiply):
            yield _comment(s.lines[0])
            yield self._product(s, "at", "rows")
            return
        rows = _Rows(self._names, self._print)
        lines = list(rows.lines(s))
        if lines and not isinstance(s, Sweep):
            yield _comment(s.lines[0])
        if lines:
            starts = [f"const {rows.start(b)} = {_row(b)};" for b in rows.used]
            yield from [_EACH_ROW, *starts, *lines, "}"]

    def _product(self, s: Multiply, at: str, rows: str) -> str:
        inner, columns = _matrix(s)
        name = f"{s.weight.buffer.name} {'transposed ' * s.transposed}in panels"
        self._panels[name] = s
        x, out = self._rows_at(s.operand, at), self._rows_at(s.result, at)
        shape, onto = f"{rows}, {columns}, {inner}", str(s.onto).lower()
        return f"product({shape}, {x}, b[{_json(name)}], {out}, {onto});"

    def _rows_at(self, place: Place, at: str) -> str:
        """Array, offset and width of rows."""
        b = place.buffer
        first = f"{at} * {b.width}" if b.kind is Kind.TIME and at != "0" else "0"
        return f"{further(f'{self._names[b]}, {first}', place.start)}, {b.width}"

    def _ended(self, backward: bool) -> tuple[list[str], list[str]]:
        """Samples that have ended keep their state, and hand its adjoint on; carries move on."""
        before, after = [], []
        for state in self.loops.plan.states:
            names = [f"{space}.{state}" for space in ("hold", "carry", "out")]
            hold, old, new = (self._names[self.buffers[name]] for name in names)
            width = self.buffers[names[0]].width
            now, prev = (self._names[self.buffers[n]] for n in (state, f"prev.{state}"))
            start = f"copyEnded(ended, at, rows, {width}"
            if backward:
                before += [f"{start}, {hold}, 0, {old}, 0);", f"{start}, {old}, 0, null, 0);"]
                after += [f"{start}, {new}, 0, {hold}, 0);", f"{old}.set({new});"]
            else:
                after.append(f"{start}, {now}, at * {width}, {prev}, at * {width});")
        return before, after


class _Rows:
    """Statements for one sample's rows; `used` are the buffers that have a row for each sample."""

    def __init__(self, names: Mapping[Buffer, str], printer: Printer) -> None:
        self._names, self._print = names, printer
        self.used: dict[Buffer, None] = {}

    def start(self, buffer: Buffer) -> str:
        """The variable for where a sample's row begins."""
        return self._names[buffer].replace("b", "o", 1)

    def pointer(self, place: Place, more: str = "0") -> str:
        """The array and the offset of a value, or of its entry `more`."""
        start = "0"
        if place.buffer.kind not in (Kind.WEIGHT, Kind.TOTAL):
            self.used[place.buffer] = None
            start = self.start(place.buffer)
        return further(f"{self._names[place.buffer]}, {start}", place.start, more)

    def at(self, place: Place, entry: str = "j") -> str:
        """An entry of a value."""
        return "{}[{}]".format(*self.pointer(place, entry).split(", "))

    def entry(self, operand: Operand, shape: tuple[int, ...]) -> str:
        """The entry of an operand that belongs to entry j of a result."""
        if isinstance(operand, Number):
            return self._print.literal(operand.value)
        assert isinstance(operand, Place)
        if operand.shape == shape:
            return self.at(operand)
        if operand.size == 1:
            return self.at(operand, "0")
        numbers = np.broadcast_to(np.arange(operand.size).reshape(operand.shape), shape)
        return self.at(operand, f"{self._print.table(numbers)}[j]")

    def lines(self, s: Statement) -> Iterator[str]:
        """What a sweep, a join or an operation alone does for one sample."""
        if isinstance(s, Sweep):
            yield from _each(math.prod(s.shape), self._sweep(s))
        elif isinstance(s, Join):
            for out, x in s.copies:
                yield from _each(out.size, [f"{self.at(out)} = {self.entry(x, out.shape)};"])
        else:
            assert isinstance(s, Apply)
            operands = [self.pointer(place) for place in s.operands]
            yield from self._print.lines(s.node, self.pointer(s.out), operands)

    def _sweep(self, sweep: Sweep) -> Iterator[str]:
        local: dict[Assign, str] = {}
        taken: set[str] = set()

        def value(i: Operand) -> str:
            return local[i] if isinstance(i, Assign) else self.entry(i, sweep.shape)

        for assign in sweep.assigns:
            own = assign.node.name or str(len(local) + 1)
            name = f"v_{distinct(own, taken, ascii_only=True)}"
            text = self._print.expression(assign.node, [value(i) for i in assign.operands])
            note = f"  {_comment(assign.line)}" if assign.line else ""
            yield f"const {name} = {self._print.rounded(text)};{note}"
            local[assign] = name
            for place in assign.places:
                yield f"{self.at(place)} = {name};"
        for place, operand in sweep.copies:
            yield f"{self.at(place)} = {value(operand)};"
        for place, operand in sweep.totals:
            yield f"{self.at(place)} += {value(operand)};"


def _each(n: int, lines: Iterable[str]) -> list[str]:
    return [f"for (let j = 0; j < {n}; j++) {{", *lines, "}"]


def _row(buffer: Buffer) -> str:
    step = "(at + r)" if buffer.kind is Kind.TIME else "r"
    return f"{step} * {buffer.width}"


def _matrix(product: Multiply) -> tuple[int, int]:
    """Rows and columns of what an operand's rows are multiplied with."""
    m, n = map(int, product.weight.shape)
    return (m, n) if product.transposed else (n, m)


def _strides(product: Multiply) -> tuple[int, int]:
    """How far the next row of that matrix lies in the weight, and the next column."""
    inner, columns = _matrix(product)
    return (columns, 1) if product.transposed else (1, inner)


def _panel_size(product: Multiply) -> int:
    inner, columns = _matrix(product)
    return inner * -(-columns // 8) * 8


def _variables(names: Mapping[Buffer, str]) -> dict[Buffer, str]:
    """A variable for each buffer. No other names begin like these."""
    taken: set[str] = set()
    return {b: f"b_{distinct(name, taken, ascii_only=True)}" for b, name in names.items()}


def _numbers(value: Any) -> str:
    flat = np.asarray(value, float).reshape(-1).tolist()
    return ", ".join(number(entry, "Infinity", "NaN") for entry in flat)


def _json(value: Any) -> str:
    """As JavaScript and an element of a page take it."""
    text = json.dumps(value, ensure_ascii=True).replace("</", "<\\/")
    return text.replace('"__proto__": ', '["__proto__"]: ')


def _object(entries: Mapping[str, str]) -> str:
    """An object with these names and no others."""
    return (
        f"{{ __proto__: null, {', '.join(f'{_key(n)}: {text}' for n, text in entries.items())} }}"
    )


def _key(name: str) -> str:
    return f"[{_json(name)}]" if name == "__proto__" else _json(name)


def _file(name: str) -> str:
    return resources.files("tinygrad_lstm.kernels").joinpath(name).read_text(encoding="utf-8")


def _comment(text: str) -> str:
    return f"// {comment_text(text, 160)}".rstrip()


def _function(head: str, lines: Iterable[str], depth: int = 0) -> str:
    done, depth = [], depth
    for line in [f"{head} {{", *lines, "}"]:
        depth -= line.startswith("}")
        done.append("  " * depth + line)
        depth += line.endswith("{")
    return "\n".join(done)
