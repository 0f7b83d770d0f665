"""A plan as NumPy: in-place ufuncs on preallocated buffers, in source that can be read."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import replace
from functools import cache
from typing import Any, ClassVar

import numpy as np

from tinygrad_lstm.batching import lift
from tinygrad_lstm.kernels.calls import COPY, MATMUL, TOTAL, Call, Calls
from tinygrad_lstm.kernels.loop import Loops, Multiply, Number, Outer, Statement
from tinygrad_lstm.kernels.memory import Views
from tinygrad_lstm.kernels.names import comment_text, distinct, number
from tinygrad_lstm.kernels.patterns import elementwise
from tinygrad_lstm.kernels.plan import Buffer, Kind, Place, Space
from tinygrad_lstm.tensor import TABLE, Array, Tensor


class NumpyCode:
    """The source of a plan's loops as four functions of `Views`, and what they make of them."""

    title: ClassVar[str] = "NumPy"
    rows: Iterable[Buffer]
    transient: Collection[Buffer] = ()
    work = 0.0

    def __init__(self, loops: Loops, dtype: Any) -> None:
        self._calls = Calls()
        self._helpers: dict[str, Callable[..., Any]] = {}
        self.source = "\n\n".join(
            [
                self._whole("ahead", loops.ahead),
                self._loop("forward", loops.forward),
                self._loop("backward", loops.backward),
                self._whole("after", loops.after),
            ]
        )
        self.rows = self._calls.rows.values()
        space: dict[str, Any] = {**vars(np), **self._helpers}
        exec(compile(self.source, "<a plan as NumPy>", "exec"), space)
        self._ahead, self._forward, self._backward, self._after = (
            space[name] for name in ("ahead", "forward", "backward", "after")
        )

    @staticmethod
    def text(loops: Loops, dtype: Any) -> str:
        """The source alone."""
        return NumpyCode(loops, dtype).source

    def forward(self, views: Views, workers: int) -> Callable[[], None]:
        """The hoisted products, then the loop over time."""

        def run() -> None:
            with np.errstate(over="ignore"):  # e^-x of a sigmoid
                self._ahead(views)
                self._forward(views)

        return run

    def backward(self, views: Views, workers: int) -> Callable[[], dict[str, Array]]:
        """The loop back through time, and the gradients of the packed weights."""

        def run() -> dict[str, Array]:
            with np.errstate(over="ignore"):
                self._backward(views)
                return self._after(views)  # type: ignore[no-any-return]

        return run

    # --- functions ------------------------------------------------------------------------------
    def _whole(self, name: str, statements: Iterable[Statement]) -> str:
        """A function that computes for all steps at once: a row for each step and sample."""
        names, body, done = _Variables(), list[str](), list[str]()
        for statement in statements:
            onto = isinstance(statement, Multiply | Outer) and statement.onto
            note = f"  # {comment_text(statement.lines[0], 200)}" if statement.lines else ""
            if isinstance(statement, Outer):
                left, right = names(_vector(statement.left)), names(_vector(statement.right))
                product = f"matmul({left}.T, {right})"
                sign = "+=" if onto else "="
                body.append(f"gradients[{statement.weight!r}] {sign} {product}{note}")
            elif isinstance(statement, Multiply) and onto:
                operand, weight = names(_vector(statement.operand)), names(statement.weight)
                body.append(f"{names(statement.result)} += matmul({operand}, {weight}){note}")
            else:
                for call in self._calls.of(statement):
                    body.extend(self._lines(call, names))
        if name == "after":
            body, done = ["gradients = {}", *body], ["return gradients"]
        setup = [f"{variable} = {_rows(place)}" for place, variable in names.known.items()]
        lines = [*setup, *body, *done] or ["return"]
        return "\n".join([f"def {name}(b):", *(f"    {line}" for line in lines)])

    def _loop(self, name: str, statements: Iterable[Statement]) -> str:
        """A function that goes from step to step."""
        names = _Variables()
        calls = [call for statement in statements for call in self._calls.of(statement)]
        body = [line for call in calls for line in self._lines(call, names)]
        by_kind: dict[Kind, list[tuple[Place, str]]] = {kind: [] for kind in Kind}
        for place, variable in names.known.items():
            by_kind[place.buffer.kind].append((place, variable))
        timed, turning = by_kind.pop(Kind.TIME), by_kind.pop(Kind.CARRY)
        setup = [f"{variable} = {_view(p)}" for own in by_kind.values() for p, variable in own]
        targets, sources = [v for _, v in timed], [_view(place) for place, _ in timed]
        if turning:
            targets.append(f"({', '.join(v for _, v in turning)},)")
            pairs = [f"({', '.join(_turned(p, k) for p, _ in turning)},)" for k in (0, 1)]
            sources.append(f"b.turns({', '.join(pairs)})")
        before = ["if ended is not None:", "    held = b.hold(step, ended)"]
        after = "b.keep(step, ended)" if name == "forward" else "b.release(step, ended, held)"
        body = [*(before if name == "backward" else []), *body]
        lines = [
            *setup,
            f"for step, ({', '.join(['ended', *targets])},) in enumerate(zip(",
            *(f"    {source}," for source in ("b.ended", *sources)),
            ")):",
            *(f"    {line}" for line in (*body, "if ended is not None:", f"    {after}")),
        ]
        return "\n".join([f"def {name}(b):", *(f"    {line}" for line in lines)])

    def _lines(self, call: Call, names: _Variables) -> Iterator[str]:
        out = names(call.out)
        operands = [_literal(i) if isinstance(i, Number) else names(i) for i in call.operands]
        text = f"  # {comment_text(call.line, 200)}" if call.line else ""
        listed = ", ".join(operands)
        if call.function == MATMUL:
            yield f"matmul({listed}{'.T' * call.transposed}, out={out}){text}"
        elif call.function == TOTAL:
            yield f"{out} += {listed}.sum(axis=0)"
        elif call.function == COPY:
            yield f"copyto({out}, {listed}){text}"
        elif call.function:
            yield f"{call.function}({listed}, {out}){text}"
        else:
            assert call.node is not None
            name = f"{distinct(call.node.op or '', set())}_{len(self._helpers)}"
            self._helpers[name] = _operation(call)
            yield f"copyto({out}, {name}({listed})){text}"


class _Variables:
    """A variable for each operand; it ends with _, as no other name of the source does."""

    def __init__(self) -> None:
        self.known: dict[Place, str] = {}
        self._taken: set[str] = set()

    def __call__(self, place: Place) -> str:
        if place not in self.known:
            part = "" if place.whole else f".{place.start}"
            self.known[place] = f"{distinct(place.buffer.name + part, self._taken)}_"
        return self.known[place]


def _vector(place: Place) -> Place:
    """The same entries as one axis: a row of a matrix."""
    return replace(place, shape=(place.size,))


def _literal(operand: Number) -> str:
    return number(operand.value, "inf", "nan")


def _view(place: Place) -> str:
    text = f"b[{place.buffer.name!r}]"
    if place.buffer.kind is Kind.WEIGHT:
        return text if place.whole else f"{text}[{place.start}:{place.start + place.size}]"
    return _cut(text, place)


def _rows(place: Place) -> str:
    """A value at all steps, with a row for each step and sample."""
    timed = place.buffer.kind is Kind.TIME
    return _cut(f"b.flat({place.buffer.name!r})", place) if timed else _view(place)


def _cut(text: str, place: Place) -> str:
    if not place.whole:
        text += f"[..., {place.start}:{place.start + place.size}]"
    return text if len(place.shape) == 1 else f"b.shaped({text}, {place.shape})"


def _turned(place: Place, k: int) -> str:
    side = k if place.buffer.space is Space.CARRY else 1 - k
    return _cut(f"b.carry[{place.buffer.label!r}][{side}]", place)


# --- operations that NumPy does not have ----------------------------------------------------------
def _operation(call: Call) -> Callable[..., Any]:
    """A function that computes a call's operation for all rows."""
    node = call.node
    assert node is not None
    forward, attributes = TABLE[node.op or ""].forward, dict(node.attributes)
    batched = [isinstance(i, Place) and i.buffer.kind is not Kind.WEIGHT for i in call.operands]
    if any(batched) and not elementwise(node):
        function = _lifted(node, batched)
    else:

        def function(*arrays: Array) -> Any:
            return forward(*arrays, **attributes)

    kinds = [i.dtype for i in node.inputs]
    if any(kind.kind == "f" for kind in kinds):
        return function
    # operands that are truth values or whole numbers stay such
    return lambda *arrays: function(*map(np.asarray, arrays, kinds))


def _lifted(node: Tensor, batched: Sequence[bool]) -> Callable[..., Any]:
    """A function that computes `node` of operands, those `batched` with a row for each sample."""
    first = batched.index(True)
    core, forward = node.inputs[first].ndim, TABLE[node.op or ""].forward
    lifted = cache(lambda lead: lift(node, batched, lead))

    def function(*arrays: Array) -> Any:
        values, shape = list(arrays), arrays[first].shape
        steps, whole = lifted(shape[: len(shape) - core])
        for op, k, attributes in steps:
            values[k] = TABLE[op].forward(values[k], **attributes)
        return forward(*values, **whole)

    return function
