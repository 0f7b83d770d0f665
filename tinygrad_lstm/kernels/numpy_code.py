"""A plan as NumPy: in-place ufuncs on preallocated buffers, in source that can be read."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

import numpy as np

from tinygrad_lstm.batching import lift
from tinygrad_lstm.kernels.names import distinct, note, number
from tinygrad_lstm.kernels.plan import (
    Buffer,
    Pass,
    Plan,
    Product,
    Single,
    Stage,
    end_to_end,
    is_view,
)
from tinygrad_lstm.tensor import TABLE, Array, Tensor

_UFUNCS = (
    "add",
    "subtract",
    "multiply",
    "divide",
    "power",
    "negative",
    "exp",
    "log",
    "sqrt",
    "sin",
    "cos",
    "tanh",
)


@dataclass(frozen=True)
class Ref:
    """An operand: a constant, or entries of a buffer, of the shape of one sample."""

    buffer: Buffer | None
    start: int
    shape: tuple[int, ...]
    constant: str = ""

    @property
    def size(self) -> int:
        """The number of entries."""
        return int(np.prod(self.shape, dtype=int))

    def overlaps(self, other: Ref) -> bool:
        """Whether two operands share memory."""
        if self.buffer is None or self.buffer != other.buffer:
            return False
        return self.start < other.start + other.size and other.start < self.start + self.size


@dataclass(frozen=True)
class Call:
    """out = function(operands), for all samples."""

    function: str
    out: Ref
    operands: tuple[Ref, ...]
    note: str = ""
    turn: int = 0  # index of the call within its equation


class NumpyCode:
    """The source of a plan's two loops, and the functions it makes.

    `forward(buffers)` and `backward(buffers)` take arrays by the names of the plan's buffers:
    (time, batch, width) with the steps in the order of reading, (batch, width) for what is kept
    for one step, weights in their own shape, totals (width,).
    """

    whole = False  # the products after the loop are left to the kernel
    brief: frozenset[str] = frozenset()

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.rows: dict[str, Buffer] = {}  # further (batch, width) memory
        self._helpers: dict[str, Any] = {}
        sources = [
            self._function("ahead", plan.ahead),
            self._function("forward", plan.forward),
            self._function("backward", plan.backward),
        ]
        self.source = "\n\n".join(sources)
        space: dict[str, Any] = {**self._helpers}
        names = (*_UFUNCS, "matmul", "copyto", "inf", "nan")
        space |= {name: getattr(np, name) for name in names}
        exec(compile(self.source, "<a plan as NumPy>", "exec"), space)
        quiet = np.errstate(over="ignore")  # e^-x of a sigmoid
        self.ahead, self.forward, self.backward = (
            quiet(space[name]) for name in ("ahead", "forward", "backward")
        )

    # --- from stages to calls -------------------------------------------------------------------
    def _function(self, name: str, stages: list[Stage]) -> str:
        calls: list[Call] = []
        for stage in stages:
            if isinstance(stage, Pass):
                calls += _merged(list(self._pass(stage)))
            elif isinstance(stage, Product):
                calls += self._product(stage)
            else:
                calls += self._single(stage)
        return self._render(name, calls)

    def _ref(self, node: Tensor, local: Mapping[Tensor, Ref] | None = None) -> Ref:
        if local and node in local:
            return local[node]
        place = self.plan.place(node)
        if place is not None:
            return Ref(place.buffer, place.start, node.shape)
        base = node
        if local:
            while base not in local and is_view(base):
                base = base.inputs[0]
        if local and base in local:
            return replace(local[base], shape=node.shape)
        assert not node.inputs and not node.traced and node.size == 1, f"{node!r} has no place"
        return Ref(None, 0, (), number(node.data.item(), "inf", "nan"))

    def _helper(self, op: str, function: Any) -> str:
        """The name of a function that NumPy does not have."""
        name = f"{distinct(op, set())}_{len(self._helpers)}"
        self._helpers[name] = function
        return name

    def _row(
        self, shape: tuple[int, ...], name: str | None = None, width: int | None = None
    ) -> Buffer:
        """Memory for a value that is gone after the step."""
        size = int(np.prod(shape, dtype=int)) if width is None else width
        name = name or f"local {len(self.rows)}"
        self.rows.setdefault(name, Buffer(name, size, "row"))
        return self.rows[name]

    def _product(self, stage: Product) -> Iterator[Call]:
        out, v = self._ref(stage.result), self._ref(stage.operand)
        W = self._ref(stage.weight)
        function = "matmul" if stage.transposed else "matmul_T"
        text = _note(stage.result)
        if not stage.onto:
            yield Call(function, out, (v, W), text)
            return
        own = Ref(self._row(out.shape), 0, out.shape)
        yield Call(function, own, (v, W), text)
        yield Call("add", out, (out, own))

    def _single(self, stage: Single) -> Iterator[Call]:
        node = stage.node
        out = self._ref(node)
        if end_to_end(node):
            start = out.start
            for part in node.inputs:
                place = Ref(out.buffer, start, part.shape)
                given = self._ref(part)
                start += part.size
                if given != place:
                    yield Call("copyto", place, (given,), _note(node))
            return
        operands = tuple(self._ref(i) for i in node.inputs)
        batched = [r.buffer is not None and r.buffer.kind != "weight" for r in operands]
        function = _in_kind(node, _lifted(node, batched))
        yield Call(self._helper(node.op or "", function), out, operands, _note(node))

    def _pass(self, stage: Pass) -> Iterator[Call]:
        """Each equation's calls; what stays within the pass lies in the place of what it is for."""
        local = self._locals(stage)
        for node in stage.nodes:
            out = local.get(node) or self._ref(node)
            operands = tuple(_aligned(self._ref(i, local), node.ndim) for i in node.inputs)
            yield from self._calls(node, out, operands)
            for place in self.plan.stores.get(node, [])[1:]:
                yield Call("copyto", Ref(place.buffer, place.start, node.shape), (out,))
        for node, place in stage.copies:
            target = Ref(place.buffer, place.start, node.shape)
            yield Call("copyto", target, (self._ref(node, local),))
        for node, place in stage.totals:
            yield Call(
                "total", Ref(place.buffer, place.start, node.shape), (self._ref(node, local),)
            )

    def _locals(self, stage: Pass) -> dict[Tensor, Ref]:
        inside = set(stage.nodes)
        users: dict[Tensor, int] = {}
        for node in stage.nodes:
            for i in node.inputs:
                users[i] = users.get(i, 0) + 1
        for node, _ in (*stage.copies, *stage.totals):
            users[node] = users.get(node, 0) + 2
        local: dict[Tensor, Ref] = {}

        def assign(root: Tensor, at: Ref) -> None:
            todo, beside = [(root, at)], 0
            while todo:
                node, place = todo.pop()
                taken = False
                for i in node.inputs:
                    mine = i in inside and i not in self.plan.stores and i.shape == node.shape
                    if not mine or users[i] != 1 or i in local:
                        continue
                    if not taken:
                        local[i], taken = place, True
                        todo.append((i, place))
                    else:  # the same entries of a buffer beside, so that neighbours stay neighbours
                        assert at.buffer is not None
                        name, width = f"beside {beside} {at.buffer.name}", at.buffer.width
                        local[i] = replace(place, buffer=self._row((), name, width))
                        todo.append((i, local[i]))
                        beside += 1

        for node in reversed(stage.nodes):
            if node in self.plan.stores:
                assign(node, self._ref(node))
            elif node not in local:
                local[node] = Ref(self._row(node.shape), 0, node.shape)
                assign(node, local[node])
        return local

    def _calls(self, node: Tensor, out: Ref, operands: tuple[Ref, ...]) -> Iterator[Call]:
        op, text = node.op or "", _note(node)
        if op == "sigmoid":  # 1 / (1 + e^-x)
            one = Ref(None, 0, (), "1")
            yield Call("negative", out, operands, text)
            yield Call("exp", out, (out,), "", 1)
            yield Call("add", out, (one, out), "", 2)
            yield Call("divide", out, (one, out), "", 3)
        elif op in ("identity", "detach"):
            yield Call("copyto", out, operands, text)
        elif op in _UFUNCS and any(i.dtype.kind == "f" for i in node.inputs):
            yield Call(op, out, operands, text)
        else:
            forward, attributes = TABLE[op].forward, dict(node.attributes)
            function = _in_kind(node, lambda *arrays: forward(*arrays, **attributes))
            yield Call(self._helper(op, function), out, operands, text)

    # --- from calls to source -------------------------------------------------------------------
    def _render(self, name: str, calls: list[Call]) -> str:
        refs: dict[Ref, str] = {}
        taken: set[str] = set()
        for call in calls:
            for ref in (call.out, *call.operands):
                if ref.buffer is not None and ref not in refs:
                    refs[ref] = _fresh(ref, taken)
        if name == "ahead":
            setup = [f"    {var} = {_view(ref, ref.buffer)}" for ref, var in refs.items()]
            body = [line for call in calls for line in self._lines(call, refs, "    ")]
            return "\n".join([f"def {name}(b):", *setup, *(body or ["    return"])])
        setup, timed, turning = [], [], []
        for ref, var in refs.items():
            assert ref.buffer is not None
            if ref.buffer.kind == "time":
                timed.append((var, ref))
            elif ref.buffer.kind == "carry":
                turning.append((var, ref))
            else:
                setup.append(f"    {var} = {_view(ref, ref.buffer)}")
        names = [var for var, _ in timed]
        names += [f"({', '.join(v for v, _ in turning)},)"] * bool(turning)
        sources = [_view(ref, ref.buffer) for _, ref in timed]
        if turning:
            pairs = []
            for k in (0, 1):
                pairs.append("(" + ", ".join(_turn(ref, k) for _, ref in turning) + ",)")
            sources.append(f"b.turns({pairs[0]}, {pairs[1]})")
        body = [line for call in calls for line in self._lines(call, refs, "        ")]
        lines = [f"def {name}(b):", *setup]
        lines += [f"    for step, ({', '.join(['gone', *names])},) in enumerate(zip("]
        lines += ["        b.gone,"] + [f"        {s}," for s in sources]
        lines += ["    )):"]
        before, after = self._masks(name)
        return "\n".join([*lines, *before, *body, *after])

    def _masks(self, name: str) -> tuple[list[str], list[str]]:
        if name == "forward":
            return [], ["        if gone is not None:", "            b.keep(step, gone)"]
        return (
            ["        if gone is not None:", "            held = b.hold(step, gone)"],
            ["        if gone is not None:", "            b.release(step, gone, held)"],
        )

    def _lines(self, call: Call, refs: Mapping[Ref, str], indent: str) -> Iterator[str]:
        out = refs[call.out]
        operands = [refs[r] if r.buffer is not None else r.constant for r in call.operands]
        text = f"  # {call.note}" if call.note else ""
        if call.function in ("matmul", "matmul_T"):
            v, W = operands
            turned = f"{W}" if call.function == "matmul" else f"{W}.T"
            yield f"{indent}matmul({v}, {turned}, out={out}){text}"
        elif call.function == "total":
            axes = operands[0]
            yield f"{indent}{out} += {axes}.sum(axis=0)"
        elif call.function == "copyto":
            yield f"{indent}copyto({out}, {operands[0]}){text}"
        elif call.function in _UFUNCS:
            yield f"{indent}{call.function}({', '.join(operands)}, {out}){text}"
        else:
            yield f"{indent}copyto({out}, {call.function}({', '.join(operands)})){text}"


def _aligned(ref: Ref, rank: int) -> Ref:
    """An operand with fewer axes than the result, so that its own last axis stays the last."""
    if ref.buffer is None or ref.buffer.kind == "weight" or len(ref.shape) >= rank:
        return ref
    return replace(ref, shape=(1,) * (rank - len(ref.shape)) + ref.shape)


def _note(node: Tensor) -> str:
    return note(node, 200) if node.name else ""


def _fresh(ref: Ref, taken: set[str]) -> str:
    """A variable; it ends with _, as no other name of the source does."""
    assert ref.buffer is not None
    part = f".{ref.start}" if ref.size != ref.buffer.width else ""
    return f"{distinct(ref.buffer.name + part, taken)}_"


def _lifted(node: Tensor, batched: Sequence[bool]) -> Callable[..., Any]:
    """A function that computes `node` of operands, those `batched` with a row for each sample."""
    if not any(batched):
        forward, attributes = TABLE[node.op or ""].forward, dict(node.attributes)
        return lambda *arrays: forward(*arrays, **attributes)
    first = batched.index(True)
    core = node.inputs[first].ndim

    @cache
    def steps(lead: tuple[int, ...]) -> list[tuple[Any, int | None, dict[str, Any]]]:
        return [(TABLE[op].forward, k, found) for op, k, found in lift(node, batched, lead)]

    def function(*arrays: Array) -> Any:
        values = list(arrays)
        shape = arrays[first].shape
        for forward, k, attributes in steps(shape[: len(shape) - core]):
            if k is None:
                return forward(*values, **attributes)
            values[k] = forward(values[k], **attributes)
        raise AssertionError("lift ends with the operation itself")

    return function


def _in_kind(node: Tensor, function: Callable[..., Any]) -> Callable[..., Any]:
    """The function, where all operands are truth values or whole numbers, of such arrays."""
    kinds = [i.dtype for i in node.inputs]
    if any(kind.kind == "f" for kind in kinds):
        return function
    return lambda *arrays: function(*map(np.asarray, arrays, kinds))


def _view(ref: Ref, buffer: Buffer | None) -> str:
    assert buffer is not None
    text = f"b[{buffer.name!r}]"
    if buffer.kind == "weight":
        if ref.start or ref.size != buffer.width:
            text += f"[{ref.start}:{ref.start + ref.size}]"
        return text
    return _cut(text, ref, buffer)


def _cut(text: str, ref: Ref, buffer: Buffer) -> str:
    if ref.start or ref.size != buffer.width:
        text += f"[..., {ref.start}:{ref.start + ref.size}]"
    if len(ref.shape) != 1:
        text = f"b.shaped({text}, {ref.shape})"
    return text


def _turn(ref: Ref, k: int) -> str:
    assert ref.buffer is not None
    side = "carry" if ref.buffer.name.startswith("carry.") else "out"
    state = ref.buffer.name.split(".", 1)[1]
    return _cut(f"b.carry[{state!r}][{k if side == 'carry' else 1 - k}]", ref, ref.buffer)


def _merged(calls: list[Call]) -> list[Call]:
    """Calls of one function on neighbouring entries as one call, as long as order allows."""
    k = 0
    while k < len(calls):
        for j in range(k + 1, len(calls)):
            joint = _joint(calls[k], calls[j])
            if joint is None:
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
    if a.function != b.function or a.turn != b.turn:
        return None
    if a.function not in (*_UFUNCS, "copyto", "total"):
        return None
    if b.out.start < a.out.start:
        a, b = b, a
    refs = []
    for p, q in zip((a.out, *a.operands), (b.out, *b.operands), strict=True):
        if p.buffer is None or q.buffer is None:
            if p.buffer is not q.buffer or p.constant != q.constant:
                return None
            refs.append(p)
            continue
        if p.buffer != q.buffer or len(p.shape) != 1 or len(q.shape) != 1:
            return None
        if q.start != p.start + p.size:
            return None
        refs.append(replace(p, shape=(p.size + q.size,)))
    note = "; ".join(n for n in (a.note, b.note) if n)
    return Call(a.function, refs[0], tuple(refs[1:]), note, a.turn)


def _conflict(between: Call, late: Call) -> bool:
    """Whether `late` must stay behind `between`."""
    writes = any(between.out.overlaps(r) for r in (late.out, *late.operands))
    return writes or any(late.out.overlaps(r) for r in between.operands)
