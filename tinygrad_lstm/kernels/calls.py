"""Statements as calls on whole rows, few of them: for NumPy, which computes arrays at a time.

What only one equation of a sweep reads is computed in the place of what it is for, and a second
such operand beside it; then the calls of neighbours become one, as long as order allows.

    add       u[0:3], W[0:3] -> f i o[0:3]                   add       u, W   -> f i o
    negative  f i o[0:3] -> f i o[0:3]            becomes    negative  f i o  -> f i o
    add       u[3:6], W[3:6] -> f i o[3:6]
    negative  f i o[3:6] -> f i o[3:6]
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace

from tinygrad_lstm.kernels import loop
from tinygrad_lstm.kernels.loop import Assign, Number, Operand, Statement
from tinygrad_lstm.kernels.plan import Buffer, Kind, Place, Space
from tinygrad_lstm.tensor import Tensor

COPY, TOTAL, MATMUL = "copyto", "total", "matmul"
_BINARY = {"add", "subtract", "multiply", "divide", "power"}
UFUNCS = _BINARY | {"negative", "exp", "log", "sqrt", "sin", "cos", "tanh"}
Entries = Place | Number


@dataclass(frozen=True)
class Call:
    """out = function(operands), for all rows; `node` is the operation where it is not known."""

    function: str
    out: Place
    operands: tuple[Entries, ...]
    line: str = ""
    index: int = 0  # of the call within its equation
    transposed: bool = False
    node: Tensor | None = None


class Calls:
    """Makes the calls; `rows` is the memory they need for each row, beside the plan's."""

    def __init__(self) -> None:
        self.rows: dict[str, Buffer] = {}

    def of(self, statement: Statement) -> list[Call]:
        """The calls of a statement."""
        line = statement.lines[0] if statement.lines else ""
        if isinstance(statement, loop.Sweep):
            return _merged(list(self._sweep(statement)))
        if isinstance(statement, loop.Multiply):
            return list(self._multiply(statement, line))
        if isinstance(statement, loop.Join):
            found = enumerate(statement.copies)
            return [Call(COPY, out, (part,), "" if k else line) for k, (out, part) in found]  # type: ignore[arg-type]
        assert isinstance(statement, loop.Apply)
        return [Call("", statement.out, statement.operands, line, node=statement.node)]

    def _row(self, name: str, width: int) -> Buffer:
        return self.rows.setdefault(name, Buffer(Space.ROW, name, width))

    def _local(self, shape: tuple[int, ...]) -> Place:
        """Memory for a value that is not needed after the step."""
        return Place(self._row(f"local {len(self.rows)}", math.prod(shape)), 0, shape)

    def _multiply(self, statement: loop.Multiply, line: str) -> Iterator[Call]:
        out, factors = statement.result, (statement.operand, statement.weight)
        own = self._local(out.shape) if statement.onto else out
        yield Call(MATMUL, own, factors, line, transposed=not statement.transposed)
        if statement.onto:
            yield Call("add", out, (out, own))

    def _sweep(self, sweep: loop.Sweep) -> Iterator[Call]:
        local = self._locals(sweep)

        def entries(operand: Operand) -> Entries:
            return local[operand] if isinstance(operand, Assign) else operand

        for assign in sweep.assigns:
            node, out = assign.node, local[assign]
            operands = tuple(_aligned(entries(i), node.ndim) for i in assign.operands)
            known = node.op in UFUNCS and any(i.dtype.kind == "f" for i in node.inputs)
            if node.op == "sigmoid":  # 1 / (1 + e^-x)
                yield Call("negative", out, operands, assign.line)
                yield Call("exp", out, (out,), index=1)
                yield Call("add", out, (Number(1.0), out), index=2)
                yield Call("divide", out, (Number(1.0), out), index=3)
            elif known or node.op in ("identity", "detach"):
                yield Call(node.op or "" if known else COPY, out, operands, assign.line)
            else:
                yield Call("", out, operands, assign.line, node=node)
            for place in assign.places[1:]:
                yield Call(COPY, place, (out,))
        for place, operand in sweep.copies:
            yield Call(COPY, place, (entries(operand),))
        for place, operand in sweep.totals:
            yield Call(TOTAL, place, (entries(operand),))

    def _locals(self, sweep: loop.Sweep) -> dict[Assign, Place]:
        """Where each equation is computed: in its place, or in that of what it is for."""
        users = Counter(i for a in sweep.assigns for i in a.operands if isinstance(i, Assign))
        for _, operand in (*sweep.copies, *sweep.totals):
            if isinstance(operand, Assign):
                users[operand] += 2
        local = {a: a.places[0] for a in sweep.assigns if a.places}

        def assign(root: Assign) -> None:
            todo, beside, at = [root], 0, local[root].buffer
            while todo:
                found = todo.pop()
                place, taken = local[found], False
                for i in found.operands:
                    if not isinstance(i, Assign) or users[i] != 1 or i in local:
                        continue
                    if taken:  # the same entries of a buffer beside, so that neighbours stay so
                        row = self._row(f"beside {beside} {at.name}", at.width)
                        beside += 1
                    local[i] = replace(place, buffer=row) if taken else place
                    taken = True
                    todo.append(i)

        for found in reversed(sweep.assigns):
            if not found.places:
                if found in local:
                    continue
                local[found] = self._local(sweep.shape)
            assign(found)
        return local


def _aligned(operand: Entries, rank: int) -> Entries:
    """An operand with fewer axes than the result, so that its own last axis stays the last."""
    if isinstance(operand, Number) or operand.buffer.kind is Kind.WEIGHT:
        return operand
    return replace(operand, shape=(1,) * (rank - len(operand.shape)) + operand.shape)


# --- neighbours -----------------------------------------------------------------------------------
def _merged(calls: list[Call]) -> list[Call]:
    """Calls of one function on neighbouring entries as one call, as long as order allows."""
    k = 0
    while k < len(calls):
        for j in range(k + 1, len(calls)):
            if (joint := _joint(calls[k], calls[j])) is None:
                continue
            between = calls[k + 1 : j]
            if not any(_conflict(other, calls[j]) for other in between):
                calls = [*calls[:k], joint, *between, *calls[j + 1 :]]
            elif not any(_conflict(calls[k], other) for other in between):
                calls = [*calls[:k], *between, joint, *calls[j + 1 :]]
            else:
                continue
            k = -1  # what was merged may have new neighbours
            break
        k += 1
    return calls


def _joint(a: Call, b: Call) -> Call | None:
    if a.function != b.function or a.index != b.index or not a.function:
        return None
    if b.out.start < a.out.start:
        a, b = b, a
    found: list[Entries] = []
    for p, q in zip((a.out, *a.operands), (b.out, *b.operands), strict=True):
        if isinstance(p, Number) or isinstance(q, Number):
            if p != q:
                return None
            found.append(p)
            continue
        if p.buffer is not q.buffer or len(p.shape) != 1 or len(q.shape) != 1:
            return None
        if q.start != p.start + p.size:
            return None
        found.append(replace(p, shape=(p.size + q.size,)))
    out, *operands = found
    line = "; ".join(n for n in (a.line, b.line) if n)
    return replace(a, out=out, operands=tuple(operands), line=line)  # type: ignore[arg-type]


def _conflict(between: Call, late: Call) -> bool:
    """Whether `late` must stay behind `between`."""

    def overlap(out: Place, operands: tuple[Entries, ...]) -> bool:
        return any(isinstance(r, Place) and out.overlaps(r) for r in operands)

    return overlap(between.out, (late.out, *late.operands)) or overlap(late.out, between.operands)
