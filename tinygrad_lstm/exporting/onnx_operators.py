"""How an operation is written in ONNX: nodes of its standard operators, for a sample or a batch."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from string import ascii_letters
from typing import Any, NamedTuple

import numpy as np

from tinygrad_lstm.batching import lift
from tinygrad_lstm.forwards import axes_of
from tinygrad_lstm.graph import opened
from tinygrad_lstm.tensor import TABLE, Array, Tensor

_LAST = np.iinfo(np.int64).max


class Value(NamedTuple):
    """A tensor of the graph: its name, its axes with that of the batch, whether it has one."""

    name: str
    ndim: int
    batched: bool
    truth: bool = False


# operators of one name for one operation; those of relations give truths
_SAME = {
    **{
        op: op.capitalize()
        for op in ["abs", "cos", "erf", "exp", "floor", "log", "relu", "sigmoid", "sign", "sin"]
    },
    **{op: op.capitalize() for op in ["softplus", "sqrt", "tanh", "identity"]},
    "detach": "Identity",
    "negative": "Neg",
    "add": "Add",
    "subtract": "Sub",
    "multiply": "Mul",
    "divide": "Div",
    "power": "Pow",
    "maximum": "Max",
    "minimum": "Min",
    "matmul": "MatMul",
}
_RELATIONS = {"greater": "Greater", "greater_equal": "GreaterOrEqual", "equal": "Equal"}
_LOGIC = {"add": "Or", "multiply": "And"}
_REDUCTIONS = {"sum": "ReduceSum", "mean": "ReduceMean", "max": "ReduceMax", "prod": "ReduceProd"}


class Unwritten(Exception):
    """An operation that has no operator."""


class Operators:
    """Nodes for operations; `add(op, inputs, **attributes)` adds one and names what it makes.

    constant(array) names a constant; number: the type of floating-point numbers; batch: the name
    of a tensor of one number, the batch.
    """

    def __init__(
        self,
        add: Callable[..., str],
        constant: Callable[[Array], str],
        number: np.dtype[Any],
        batch: str,
    ) -> None:
        self.add, self.constant, self.number, self.batch = add, constant, number, batch

    # --- a node of a Program ----------------------------------------------------------------------
    def node(self, node: Tensor, operands: Sequence[Value]) -> Value:
        """What computes a node, of operands of which some have the axis of the batch."""
        if not node.inputs:
            return self.leaf(node)
        values = list(operands)
        steps, whole = lift(node, [o.batched for o in operands], (-1,))
        for op, k, attributes in steps:
            shape, ways = attributes["shape"], {"broadcast_to": "Expand", "reshape": "Reshape"}
            wanted = (self.batch, *shape[1:]) if op == "broadcast_to" else shape
            name = self.add(ways[op], [values[k].name, self._shape(wanted)])
            values[k] = Value(name, len(shape), True, values[k].truth)
        return self._apply(node, values, whole)

    def leaf(self, node: Tensor) -> Value:
        """A constant."""
        data = np.asarray(node.data)
        truth = data.dtype.kind == "b"
        return Value(
            self.constant(data if truth else data.astype(self.number)), data.ndim, False, truth
        )

    def whole(self, value: Value, shape: tuple[int, ...]) -> Value:
        """A value with the axis of the batch, and as a number."""
        name = self.as_number(value).name
        if not value.batched:
            name = self.add("Expand", [name, self._shape((self.batch, *shape))])
        return Value(name, len(shape) + 1, True)

    def as_number(self, value: Value) -> Value:
        """A truth as 0 or 1."""
        if not value.truth:
            return value
        name = self.add("Cast", [value.name], to=self.number)
        return value._replace(name=name, truth=False)

    def _apply(self, node: Tensor, values: list[Value], attributes: dict[str, Any]) -> Value:
        op = node.op or ""
        batched = any(v.batched for v in values)
        ndim = node.ndim + batched
        if TABLE[op].signature == "elementwise":
            name, truth = self.elementwise(op, values)
            return Value(name, ndim, batched, truth)
        write = getattr(self, f"write_{op}", None)
        if write is None and op not in _REDUCTIONS and op not in _SAME:
            raise Unwritten(op)
        if op not in ("getitem", "reshape", "transpose", "swapaxes", "broadcast_to"):
            values = [self.as_number(v) for v in values]
        if write is not None:
            name = write(node, values, attributes)
        elif op in _REDUCTIONS:
            name = self._reduced(_REDUCTIONS[op], node, values[0], attributes)
        else:
            name = self.add(_SAME[op], [v.name for v in values])
        return Value(name, ndim, batched, node.dtype.kind == "b")

    # --- entry by entry ---------------------------------------------------------------------------
    def elementwise(self, op: str, values: Sequence[Value]) -> tuple[str, bool]:
        """An operation of entries, and whether it gives truths."""
        if op in _LOGIC and all(v.truth for v in values):
            return self.add(_LOGIC[op], [v.name for v in values]), True
        if op == "where":
            c, *branches = values
            condition = c.name
            if not c.truth:
                zero = self._number(0.0)
                condition = self.add("Not", [self.add("Equal", [c.name, zero])])
            names = [self.as_number(v).name for v in branches]
            return self.add("Where", [condition, *names]), False
        if op in ("identity", "detach"):
            return self.add("Identity", [values[0].name]), values[0].truth
        names = [self.as_number(v).name for v in values]
        if op in _RELATIONS:
            return self.add(_RELATIONS[op], names), True
        if op == "not_equal":
            return self.add("Not", [self.add("Equal", names)]), True
        if op == "expm1":
            return self.add("Sub", [self.add("Exp", names), self._number(1.0)]), False
        if op == "log1p":
            return self.add("Log", [self.add("Add", [*names, self._number(1.0)])]), False
        if op == "erf" and self.number == np.dtype(np.float64):
            return self._erf(names[0]), False
        if op in _SAME:
            return self.add(_SAME[op], names), False
        if TABLE[op].definition is None:
            raise Unwritten(op)
        numbers = [Value(n, v.ndim, v.batched) for n, v in zip(names, values, strict=True)]

        def make(node: Tensor, operands: list[Value]) -> Value:
            if not node.inputs:
                return self.leaf(node)
            name, truth = self.elementwise(node.op or "", operands)
            return Value(name, max(o.ndim for o in operands), True, truth)

        found: Value = opened(op, numbers, make)
        return self.as_number(found).name, False

    def _erf(self, x: str) -> str:
        """2x/√π ∫₀¹ e^(-x²t²) dt by Gauss and Legendre: no runtime has Erf of 64-bit numbers."""
        nodes, weights = np.polynomial.legendre.leggauss(48)
        x = self.add("Clip", [x, self._number(-6.5), self._number(6.5)])
        along = self.constant(((nodes + 1) / 2).astype(self.number))
        scaled = self.add("Mul", [self._unsqueezed(x, [-1]), along])
        powers = self.add("Exp", [self.add("Neg", [self.add("Mul", [scaled, scaled])])])
        shares = self.constant((weights / np.sqrt(np.pi)).astype(self.number))
        terms = self.add("Mul", [powers, shares])
        total = self.add("ReduceSum", [terms, self._whole_numbers([-1])], keepdims=0)
        return self.add("Mul", [x, total])

    def write_clip(self, node: Tensor, values: list[Value], attributes: Mapping[str, Any]) -> str:
        """x between two limits."""
        low, high = (
            "" if attributes[end] is None else self._number(attributes[end])
            for end in ("low", "high")
        )
        return self.add("Clip", [values[0].name, low, high] if high else [values[0].name, low])

    # --- products ---------------------------------------------------------------------------------
    def write_matvec(self, node: Tensor, values: list[Value], attributes: Any) -> str:
        """W · x: rows times the transposed matrix, or a product for each sample's own W."""
        W, x = values
        if W.ndim == 2 and not W.batched and x.ndim > 1:
            return self.add("MatMul", [x.name, self.add("Transpose", [W.name], perm=[1, 0])])
        if W.ndim == 2 and x.ndim == 1:
            return self.add("MatMul", [W.name, x.name])
        column = self._unsqueezed(x.name, [-1])
        return self._squeezed(self.add("MatMul", [W.name, column]), [-1])

    def write_vecdot(self, node: Tensor, values: list[Value], attributes: Any) -> str:
        """Σ a ⊙ b."""
        product = self.add("Mul", [v.name for v in values])
        return self.add("ReduceSum", [product, self._whole_numbers([-1])], keepdims=0)

    def write_outer(self, node: Tensor, values: list[Value], attributes: Any) -> str:
        """a_i b_j."""
        a, b = values
        return self.add("Mul", [self._unsqueezed(a.name, [-1]), self._unsqueezed(b.name, [-2])])

    def write_einsum(self, node: Tensor, values: list[Value], attributes: Any) -> str:
        """A sum of products with its letters, the batch's one more."""
        before, after = node.attributes["subscripts"].split("->")
        batch = next(c for c in ascii_letters if c not in before)
        groups = zip(before.split(","), values, strict=True)
        before = ",".join(batch * v.batched + group for group, v in groups)
        after = batch * any(v.batched for v in values) + after
        return self.add("Einsum", [v.name for v in values], equation=f"{before}->{after}")

    # --- over axes --------------------------------------------------------------------------------
    def _axes(self, node: Tensor, attributes: Mapping[str, Any]) -> list[int]:
        n = node.inputs[0].ndim
        return [a - n for a in axes_of(attributes["axis"], n)]

    def _reduced(self, name: str, node: Tensor, x: Value, attributes: Mapping[str, Any]) -> str:
        axes, keep = self._axes(node, node.attributes), int(attributes["keepdims"])
        if not axes:
            return x.name
        return self.add(name, [x.name, self._whole_numbers(axes)], keepdims=keep)

    def write_logsumexp(self, node: Tensor, values: list[Value], attributes: Any) -> str:
        """log Σ e^x, the largest taken out first."""
        axes = self._axes(node, node.attributes)
        along = self._whole_numbers(axes)
        most = self.add("ReduceMax", [values[0].name, along], keepdims=1)
        powers = self.add("Exp", [self.add("Sub", [values[0].name, most])])
        total = self.add("Log", [self.add("ReduceSum", [powers, along], keepdims=1)])
        found = self.add("Add", [most, total])
        return found if attributes["keepdims"] else self._squeezed(found, axes)

    def _along(self, name: str, node: Tensor, x: Value) -> str:
        axis = int(node.attributes["axis"]) % node.ndim - node.ndim
        return self.add(name, [x.name], axis=axis)

    def write_softmax(self, node: Tensor, values: list[Value], attributes: Any) -> str:
        """e^x / Σ e^x."""
        return self._along("Softmax", node, values[0])

    def write_log_softmax(self, node: Tensor, values: list[Value], attributes: Any) -> str:
        """x - log Σ e^x."""
        return self._along("LogSoftmax", node, values[0])

    def write_cumsum(self, node: Tensor, values: list[Value], attributes: Any) -> str:
        """Running sums."""
        axis = int(node.attributes["axis"]) % node.ndim - node.ndim
        return self.add("CumSum", [values[0].name, self.constant(np.array(axis, np.int64))])

    # --- entries in other places ------------------------------------------------------------------
    def write_concat(self, node: Tensor, values: list[Value], attributes: Any) -> str:
        """Parts one after another."""
        axis = int(node.attributes["axis"]) % node.ndim - node.ndim
        return self.add("Concat", [v.name for v in values], axis=axis)

    def write_stack(self, node: Tensor, values: list[Value], attributes: Any) -> str:
        """Parts side by side."""
        axis = int(node.attributes["axis"]) % node.ndim - node.ndim
        parts = [self._unsqueezed(v.name, [axis]) for v in values]
        return self.add("Concat", parts, axis=axis)

    def write_reshape(self, node: Tensor, values: list[Value], attributes: Any) -> str:
        """Another shape."""
        shape = (-1, *node.shape) if values[0].batched else node.shape
        return self.add("Reshape", [values[0].name, self._shape(shape)])

    def write_broadcast_to(self, node: Tensor, values: list[Value], attributes: Any) -> str:
        """Repeated along axes."""
        shape = (1, *node.shape) if values[0].batched else node.shape
        return self.add("Expand", [values[0].name, self._shape(shape)])

    def write_transpose(self, node: Tensor, values: list[Value], attributes: Any) -> str:
        """Axes in another order."""
        return self.add("Transpose", [values[0].name], perm=[int(a) for a in attributes["axes"]])

    def write_swapaxes(self, node: Tensor, values: list[Value], attributes: Any) -> str:
        """Two axes exchanged."""
        order = list(range(values[0].ndim))
        a, b = (attributes[key] % len(order) for key in "ab")
        order[a], order[b] = order[b], order[a]
        return self.add("Transpose", [values[0].name], perm=order)

    def write_getitem(self, node: Tensor, values: list[Value], attributes: Any) -> str:
        """Slices, then entries by their numbers, then new axes."""
        name, index = values[0].name, attributes["index"]
        index = index if isinstance(index, tuple) else (index,)
        parts = [part for part in index if part is not None]
        cuts = [(a, p) for a, p in enumerate(parts) if isinstance(p, slice) and p != slice(None)]
        if cuts:
            axes, starts, ends, steps = [], [], [], []
            for axis, part in cuts:
                step = part.step or 1
                axes.append(axis)
                starts.append((0 if step > 0 else _LAST) if part.start is None else int(part.start))
                last = _LAST if step > 0 else -_LAST
                ends.append(last if part.stop is None else int(part.stop))
                steps.append(step)
            numbers = (self._whole_numbers(v) for v in (starts, ends, axes, steps))
            name = self.add("Slice", [name, *numbers])
        chosen = [(a, np.asarray(p)) for a, p in enumerate(parts) if not isinstance(p, slice)]
        if sum(p.ndim > 0 for _, p in chosen) > 1:
            raise Unwritten("getitem with several lists of places")
        for axis, places in reversed(chosen):
            name = self.add("Gather", [name, self.constant(places.astype(np.int64))], axis=axis)
        new, place = [], 0
        for part in index:
            if part is None:
                new.append(place)
            place += 1 if part is None or isinstance(part, slice) else np.ndim(part)
        return self._unsqueezed(name, new) if new else name

    # --- small things -----------------------------------------------------------------------------
    def _number(self, value: float) -> str:
        return self.constant(np.array(value, self.number))

    def _whole_numbers(self, values: Sequence[int]) -> str:
        return self.constant(np.array([int(v) for v in values], np.int64))

    def _unsqueezed(self, name: str, axes: Sequence[int]) -> str:
        return self.add("Unsqueeze", [name, self._whole_numbers(axes)])

    def _squeezed(self, name: str, axes: Sequence[int]) -> str:
        return self.add("Squeeze", [name, self._whole_numbers(axes)])

    def _shape(self, shape: Sequence[int | str]) -> str:
        """A shape as a tensor; a name in it is that of a tensor of one number."""
        if all(not isinstance(n, str) for n in shape):
            return self._whole_numbers([int(n) for n in shape])
        parts = [n if isinstance(n, str) else self._whole_numbers([n]) for n in shape]
        return parts[0] if len(parts) == 1 else self.add("Concat", parts, axis=0)
