"""The JavaScript of a plan: one script without dependencies, for node and for a page.

    packWeights(p)                     the weights of the loops, made of the parameters
    loops.forward(b, steps, rows, …)   b: the memory by name, as `memory` in cell.js makes it
    loops.backward(b, steps, rows, …)
    unpackGradients(p, b)              the gradients of the parameters, of those of the weights

and around them what people call: pack, forward, backward, and stream, which takes a step at a time.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Any

import numpy as np

from tinygrad_lstm.kernels.builder import simplified
from tinygrad_lstm.kernels.c_source import matrix
from tinygrad_lstm.kernels.js_operations import JavaScript, functions, js_comment
from tinygrad_lstm.kernels.loop import (
    Loops,
    Multiply,
    Outer,
    Statement,
    Straight,
    Sweep,
    lower_program,
)
from tinygrad_lstm.kernels.names import distinct, file, indented, number
from tinygrad_lstm.kernels.patterns import WEIGHT
from tinygrad_lstm.kernels.plan import Buffer, Kind, Place, Space
from tinygrad_lstm.kernels.printing import At, Rows

_MEMORY = """const reserve = () => (count) => new Numbers(count);

function prepare(b) {
  for (const [name, weight, inner, columns, down, right] of PANELS)
    fillPanels(inner, columns, b[weight], 0, down, right, b[name]);
}"""
_ONCE = (Kind.WEIGHT, Kind.TOTAL)
_EACH_ROW = "for (let r = 0; r < rows; r++) {"


def buffers_of(loops: Loops) -> dict[str, Buffer]:
    """The memory of a script by name: a plan's, and a sum for each weight that has a gradient."""
    plan = loops.plan
    buffers = [*plan.buffers.values()]
    carries = plan.layout.of(Space.CARRY).values()
    buffers += [Buffer(Space.HOLD, b.label, b.width) for b in carries]
    totals, weights = plan.layout.of(Space.WEIGHT_ADJOINT), plan.layout.of(Space.WEIGHT)
    for weight in dict.fromkeys(s.weight for s in loops.after if isinstance(s, Outer)):
        if (own := weight.removeprefix(WEIGHT)) not in totals:
            buffers.append(Buffer(Space.WEIGHT_ADJOINT, own, weights[own].width))
    return {b.name: b for b in buffers}


class Script:
    """What the JavaScript of a plan has around its loops, whoever computes them."""

    def __init__(self, loops: Loops, dtype: Any) -> None:
        self.loops, self.dtype = loops, np.dtype(dtype)
        self.write = JavaScript(self.dtype == np.float32)
        self.buffers = buffers_of(loops)

    def around(self, machine: str, panels: Mapping[str, int], own: Collection[Buffer] = ()) -> str:
        """The script around `machine`, the text that defines reserve, prepare and loops.

        panels: memory for weights as products read them, by name; own: buffers that the machine
        itself keeps.
        """
        plan = self.loops.plan
        gradient = plan.once.gradient() if plan.once.outputs else plan.once
        pack = self._packing(lower_program(plan.once.inputs, plan.once.outputs))
        unpack = lower_program(gradient.inputs, simplified(gradient, (), {}))
        body = "\n\n".join([pack, self._unpacking(unpack), machine, file("cell.js")])
        tables = [f"const {name} = {text};" for text, name in self.write.tables.items()]
        parts = [
            "\n".join(map(js_comment, self.loops.told())),
            "(function (root) {",
            '"use strict";',
            f"const Numbers = Float{8 * self.dtype.itemsize}Array, F = Math.fround;",
            f"const CELL = {as_json(self._described(panels, own))};",
            functions("\n".join([body, *tables])),
            "\n".join(tables),
            body,
            f"root[{as_json(plan.name)}] = cell;",
            '})(typeof module === "object" && module.exports '  # an element may have this id
            "|| (globalThis.tinygrad_lstm ??= { __proto__: null }));",
        ]
        return "\n\n".join(part for part in parts if part) + "\n"

    def _described(self, panels: Mapping[str, int], own: Collection[Buffer]) -> dict[str, Any]:
        """What the functions of cell.js read of a cell."""
        plan, step = self.loops.plan, self.loops.plan.step
        places = {n: plan.layout.at(node) for n, node in step.equations.items()}
        buffers = {
            name: [b.kind.value, b.width]
            for name, b in self.buffers.items()
            if b.space is not Space.PREVIOUS and b not in own
        }
        buffers |= {name: ["weight", count] for name, count in panels.items()}
        return {
            "name": plan.name,
            "sizes": dict(step.sizes),
            "parameters": {n: list(node.shape) for n, node in plan.once.inputs.items()},
            "inputs": {n: list(step.inputs[n].shape) for n in plan.layout.of(Space.INPUT)},
            "states": {n: list(step.inputs[f"prev.{n}"].shape) for n in plan.states},
            "start": {n: value.reshape(-1).tolist() for n, value in self.loops.start.items()},
            "equations": {n: [p.buffer.name, p.start, list(p.shape)] for n, p in places.items()},
            "seeds": plan.seeds,
            "wants": plan.wants,
            "buffers": buffers,
        }

    def _packing(self, straight: Straight) -> str:
        names = _variables({b: b.label for b in straight.buffers})
        lines = [line for pack in self.loops.once for line in map(js_comment, pack.lines)]
        for name, place in straight.inputs.items():
            lines.append(f"const {names[place.buffer]} = p[{as_json(name)}];")
        lines += self._straight(straight, names)
        made = {n: names[place.buffer] for n, place in straight.outputs.items()}
        fixed = self.loops.plan.fixed
        made |= {n: f"Numbers.of({_numbers(value)})" for n, value in fixed.items()}
        return _function("function packWeights(p)", [*lines, f"return {_object(made)};"])

    def _unpacking(self, straight: Straight) -> str:
        names, lines = _variables({b: b.label for b in straight.buffers}), []
        for name, place in straight.inputs.items():
            own = name.removeprefix("seed.")
            source = f"p[{as_json(name)}]"
            if own != name:
                known = f"bar.{own}" in self.buffers
                source = f"b[{as_json(f'bar.{own}')}]" if known else f"new Numbers({place.size})"
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
            at = Rows(self.write, lambda place: At(names[place.buffer]))
            yield from at.lines(s)


class Source(Script):
    """The JavaScript of a plan's loops; `text` is the whole script."""

    def __init__(self, loops: Loops, dtype: Any) -> None:
        super().__init__(loops, dtype)
        self._names = _variables({b: name for name, b in self.buffers.items()})
        self._panels: dict[str, Multiply] = {}
        both = self._loop("forward", loops.forward), self._loop("backward", loops.backward)
        packs = [packed(name, s) for name, s in self._panels.items()]
        known = f"const PANELS = {as_json(packs)};"
        machine = "\n\n".join([known, _MEMORY, "const loops = {", *both, "};"])
        sizes = {name: inner * -(-columns // 8) * 8 for name, _, inner, columns, *_ in packs}
        self.text = self.around(machine, sizes)

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
        own = {n: f"b[{as_json(b.name)}]" for b, n in self._names.items() if n in words}
        known = [f"const {name} = {text};" for name, text in own.items()]
        return _function(f"{name}(b, steps, rows, ended)", [*known, *lines], 1) + ","

    def _whole(self, statements: Iterable[Statement]) -> Iterator[str]:
        """Hoisted statements and deferred products, for all steps at once."""
        for s in statements:
            if isinstance(s, Multiply):
                yield js_comment(s.lines[0])
                yield self._product(s, "0", "steps * rows")
            elif isinstance(s, Outer):
                (left, right), out = map(self._rows_at, (s.left, s.right), "00"), f"bar.{s.weight}"
                sizes = f"{s.left.size}, {s.right.size}, steps * rows"
                yield js_comment(s.lines[0])
                yield f"outer({sizes}, {left}, {right}, {self._names[self.buffers[out]]});"
            else:
                lines = list(self._statement(s))
                yield from ["for (let at = 0; at < steps * rows; at += rows) {", *lines, "}"]

    def _statement(self, s: Statement) -> Iterator[str]:
        """A statement at one step."""
        if isinstance(s, Multiply):
            yield js_comment(s.lines[0])
            yield self._product(s, "at", "rows")
            return
        rows = Rows(self.write, self._at)
        lines = list(rows.lines(s))
        if lines and not isinstance(s, Sweep):
            yield js_comment(s.lines[0])
        if lines:
            own = [b for b in rows.used if b.kind not in _ONCE]
            starts = [f"const {self._start(b)} = {_row(b)};" for b in own]
            yield from [_EACH_ROW, *starts, *lines, "}"]

    def _start(self, buffer: Buffer) -> str:
        """The variable for where a sample's row begins."""
        return self._names[buffer].replace("b", "o", 1)

    def _at(self, place: Place) -> At:
        """Where a value begins in a sample's row."""
        start = "" if place.buffer.kind in _ONCE else self._start(place.buffer)
        return At(self._names[place.buffer], start).plus(str(place.start))

    def _product(self, s: Multiply, at: str, rows: str) -> str:
        inner, columns = matrix(s)
        name = f"{s.weight.buffer.name} {'transposed ' * s.transposed}in panels"
        self._panels[name] = s
        x, out = self._rows_at(s.operand, at), self._rows_at(s.result, at)
        shape, onto = f"{rows}, {columns}, {inner}", str(s.onto).lower()
        return f"product({shape}, {x}, b[{as_json(name)}], {out}, {onto});"

    def _rows_at(self, place: Place, at: str) -> str:
        """Array, offset and width of rows."""
        b = place.buffer
        first = f"{at} * {b.width}" if b.kind is Kind.TIME and at != "0" else ""
        start = At(self._names[b], first).plus(str(place.start))
        return f"{self.write.pointer(start)}, {b.width}"

    def _ended(self, backward: bool) -> tuple[list[str], list[str]]:
        """Samples that have ended keep their state, and hand its adjoint on; carries move on."""
        before, after = [], []
        for state in self.loops.plan.states:
            names = [f"{space}.{state}" for space in ("hold", "carry", "out")]
            hold, old, new = (self._names[self.buffers[name]] for name in names)
            width = self.buffers[names[0]].width
            now, prev = (self._names[self.buffers[n]] for n in (state, f"prev.{state}"))
            start = f"copy_ended(ended, at, rows, {width}"
            if backward:
                before += [f"{start}, {hold}, 0, {old}, 0);", f"{start}, {old}, 0, null, 0);"]
                after += [f"{start}, {new}, 0, {hold}, 0);", f"{old}.set({new});"]
            else:
                after.append(f"{start}, {now}, at * {width}, {prev}, at * {width});")
        return before, after


def _row(buffer: Buffer) -> str:
    step = "(at + r)" if buffer.kind is Kind.TIME else "r"
    return f"{step} * {buffer.width}"


def packed(name: str, s: Multiply) -> tuple[str, str, int, int, int, int]:
    """A weight in panels: its name there, the weight; rows, columns and strides of the matrix."""
    inner, columns = matrix(s)
    strides = (columns, 1) if s.transposed else (1, inner)
    return name, s.weight.buffer.name, inner, columns, *strides


def _variables(names: Mapping[Buffer, str]) -> dict[Buffer, str]:
    """A variable for each buffer. No other names begin like these."""
    taken: set[str] = set()
    return {b: f"b_{distinct(name, taken, ascii_only=True)}" for b, name in names.items()}


def _numbers(value: Any) -> str:
    flat = np.asarray(value, float).reshape(-1).tolist()
    return ", ".join(number(entry, "Infinity", "NaN") for entry in flat)


def as_json(value: Any) -> str:
    """As JavaScript and an element of a page take it."""
    text = json.dumps(value, ensure_ascii=True).replace("</", "<\\/")
    return text.replace('"__proto__": ', '["__proto__"]: ')


def _object(entries: Mapping[str, str]) -> str:
    """An object with these names and no others."""
    return (
        f"{{ __proto__: null, {', '.join(f'{_key(n)}: {text}' for n, text in entries.items())} }}"
    )


def _key(name: str) -> str:
    return f"[{as_json(name)}]" if name == "__proto__" else as_json(name)


def _function(head: str, lines: Iterable[str], depth: int = 0) -> str:
    return indented([f"{head} {{", *lines, "}"], depth, "  ")
