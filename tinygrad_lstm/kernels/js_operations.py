"""The operations of the table in JavaScript: an expression an entry, or calls for one sample."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator
from importlib import resources
from string import ascii_uppercase
from typing import Any

import numpy as np

from tinygrad_lstm.kernels.backend import Unsupported
from tinygrad_lstm.kernels.names import number
from tinygrad_lstm.tensor import TABLE, Array, Tensor

_MOST = 1 << 16  # entries of an index table in the source

_REARRANGED = ["getitem", "reshape", "transpose", "swapaxes", "broadcast_to", "concat", "stack"]
_REDUCTIONS = {  # what a sum begins with, and how an entry enters it: see functions.js
    "sum": ("0", "addUp"),
    "mean": ("0", "addUp"),
    "prod": ("1", "multiplyUp"),
    "max": ("-Infinity", "largest"),
}


def further(place: str, *more: Any) -> str:
    """What lies so much behind "array, offset"; zeros are not written."""
    array, at = place.split(", ")
    return f"{array}, {' + '.join(n for n in map(str, (at, *more)) if n != '0') or 0}"


def functions(code: str) -> str:
    """The helpers that some JavaScript calls, and those that they call."""
    text = resources.files("tinygrad_lstm.kernels").joinpath("functions.js").read_text("utf-8")
    parts = text.strip().split("\n\n")
    known = {re.findall(r"^(?:const|function) (\w+)", part, re.M)[0]: part for part in parts}
    found, todo = dict[str, None](), [code]
    while todo:
        text = todo.pop()
        calls = [n for n in known if n not in found and re.search(rf"\b{n}\(", text)]
        found |= dict.fromkeys(calls)
        todo += [known[name] for name in calls]
    return "\n\n".join(part for name, part in known.items() if name in found)


def table(numbers: Array) -> str:
    """An index table, as the runs that it is made of where it is regular."""
    runs, rest = list[int](), np.asarray(numbers).reshape(-1)
    start = int(rest[0]) if rest.size else 0
    while rest.size > 1:
        steps = np.diff(rest)
        other = np.flatnonzero(steps != steps[0])
        n = int(other[0]) + 1 if other.size else rest.size
        if rest.size % n or (rest.reshape(-1, n) != rest[::n, None] + rest[:n] - rest[0]).any():
            if numbers.size > _MOST:
                raise Unsupported(f"an index table of {numbers.size:,} entries")
            return f"Int32Array.of({', '.join(map(str, numbers.reshape(-1).tolist()))})"
        runs += [n, int(steps[0])]
        rest = rest[::n]
    return f"places({', '.join(map(str, [start, *runs]))})"


class Printer:
    """Operations in JavaScript. `tables` are the index tables that they use, by text.

    single: in single precision, to which `F` rounds a number; JavaScript has the other one alone.
    """

    def __init__(self, single: bool) -> None:
        self.single = single
        self.tables: dict[str, str] = {}

    def rounded(self, text: str) -> str:
        """A number as it is stored."""
        return f"F({text})" if self.single else text

    def literal(self, value: Any) -> str:
        """A number of the cell."""
        text = number(value, "Infinity", "NaN")
        exact = not math.isfinite(value) or (value == int(value) and abs(value) < 1 << 24)
        text = text if exact else self.rounded(text)
        return f"({text})" if text.startswith("-") else text

    def expression(self, node: Tensor, operands: list[str]) -> str:
        """One entry of an elementwise operation; that of a composite is its definition's."""
        op = node.op or ""
        if op == "clip":
            text = operands[0]
            for end, sign in (("high", ">"), ("low", "<")):
                if (edge := node.attributes[end]) is not None:
                    limit = self.literal(edge)
                    text = f"({operands[0]} {sign} {limit} ? {limit} : {text})"
            return text
        template, definition = TABLE[op].js, TABLE[op].definition
        if template is not None:
            text = template.format(*operands)
        elif definition is not None:
            own = dict(zip(definition.inputs.values(), operands, strict=True))
            for n in definition.nodes():
                if n not in own:
                    parts = [own[i] for i in n.inputs]
                    value = self.expression(n, parts) if parts else self.literal(n.data.item())
                    own[n] = f"({value})" if parts else value
            (root,) = definition.outputs.values()
            text = own[root]
        else:
            raise Unsupported(f"operation {op!r} has no JavaScript")
        # a sum of truth values is one
        return f"Number({text} !== 0)" if op == "add" and node.dtype.kind == "b" else text

    def table(self, numbers: Array) -> str:
        """The name of an index table."""
        return self.tables.setdefault(table(numbers), f"table_{len(self.tables)}")

    def lines(self, node: Tensor, out: str, operands: list[str]) -> Iterator[str]:
        """Lines for an operation; an operand is "array, offset"."""
        op, x, n = node.op or "", operands[0], node.inputs[0].size
        fill = "{0}.fill({2}, {1}, {1} + {3});".format
        if op == "scatter":
            shape, index = node.attributes["shape"], node.attributes["index"]
            places = np.arange(math.prod(shape)).reshape(shape)[index]
            yield fill(*out.split(", "), 0, node.size)
            yield f"addUp({n}, {out}, {self.table(np.asarray(places))}, {x});"
        elif op in _REARRANGED:
            yield from self._rearranged(node, out, operands)
        elif op in _REDUCTIONS:
            start, function = _REDUCTIONS[op]
            yield fill(*out.split(", "), start, node.size)
            yield f"{function}({n}, {out}, {self._groups(node)}, {x});"
            if op == "mean":
                array, at = out.split(", ")
                entry = f"{array}[{at} + j] *= {node.size / n!r};"
                yield f"for (let j = 0; j < {node.size}; j++) {entry}"
        elif op == "logsumexp":
            yield f"logSumExp({node.size}, {n}, {out}, {self._groups(node)}, {x});"
        elif op in ("softmax", "log_softmax", "cumsum"):
            axis = node.attributes["axis"] % node.ndim
            length, inner = node.shape[axis], math.prod(node.shape[axis + 1 :])
            what = f"{n // max(1, length * inner)}, {length}, {inner}, {out}, {x}"
            yield (
                f"cumsum({what});"
                if op == "cumsum"
                else f"softmax({what}, {int(op != 'softmax')});"
            )
        elif op == "einsum" or TABLE[op].signature.startswith("("):
            yield from _contracted(node, out, operands)
        else:
            raise Unsupported(f"operation {op!r} has no JavaScript")
        if node.dtype.kind == "b":
            array, at = out.split(", ")
            entry = f"{array}[{at} + j]"
            yield f"for (let j = 0; j < {node.size}; j++) {entry} = Number({entry} !== 0);"

    def _rearranged(self, node: Tensor, out: str, operands: list[str]) -> Iterator[str]:
        """Each entry of the result is an entry of an operand."""
        ends = np.cumsum([0, *(i.size for i in node.inputs)])
        spans = list(zip(node.inputs, operands, ends, ends[1:], strict=False))
        numbers = [np.arange(start, stop).reshape(i.shape) for i, _, start, stop in spans]
        source = np.asarray(TABLE[node.op or ""].forward(*numbers, **node.attributes)).reshape(-1)

        def entries(place: str, numbers: Array) -> str:
            """An offset and a table of places, none for a run of them."""
            run = (np.diff(numbers) == 1).all()
            return (
                f"{further(place, numbers[0])}, null" if run else f"{place}, {self.table(numbers)}"
            )

        for _, operand, start, stop in spans:
            (to,) = np.nonzero((source >= start) & (source < stop))
            if to.size:
                source_entries = entries(operand, source[to] - start)
                yield f"move({to.size}, {entries(out, to)}, {source_entries});"

    def _groups(self, node: Tensor) -> str:
        """For each entry of the operand the entry of the result that it is reduced to."""
        if node.size == 1:
            return "null"
        shape, axis = node.inputs[0].shape, node.attributes["axis"]
        axes = tuple(range(len(shape))) if axis is None else tuple(np.atleast_1d(axis) % len(shape))
        kept = tuple(1 if k in axes else n for k, n in enumerate(shape))
        numbers = np.arange(math.prod(kept)).reshape(kept)
        return self.table(np.broadcast_to(numbers, shape))


def _letters(node: Tensor) -> list[str]:
    """A letter for each axis of the operands and the result of a sum of products."""
    if node.op == "einsum":
        return re.split(",|->", node.attributes["subscripts"])
    core = re.findall(r"\(([^)]*)\)", TABLE[node.op or ""].signature)
    cores = [group.replace(",", "") for group in core]
    free = ascii_uppercase[: node.ndim - len(cores[-1])]
    axes = [t.ndim - len(own) for t, own in zip((*node.inputs, node), cores, strict=True)]
    return [free[len(free) - n :] + own for n, own in zip(axes, cores, strict=True)]


def _contracted(node: Tensor, out: str, operands: list[str]) -> Iterator[str]:
    """A sum of products, over all letters that the result does not have."""
    groups, tensors = _letters(node), (*node.inputs, node)
    sizes: dict[str, int] = {}
    for group, t in zip(groups, tensors, strict=True):
        for c, n in zip(group, t.shape, strict=True):
            sizes[c] = max(n, sizes.get(c, 1))

    def entry(place: str, group: str, shape: tuple[int, ...]) -> str:
        for k, (c, n) in enumerate(zip(group, shape, strict=True)):
            if n > 1:
                place = further(place, f"i_{c} * {math.prod(shape[k + 1 :])}")
        return "{}[{}]".format(*place.split(", "))

    def each(letters: Iterable[str]) -> str:
        return " ".join(f"for (let i_{c} = 0; i_{c} < {sizes[c]}; i_{c}++)" for c in letters)

    left, right, to = map(entry, (*operands, out), groups, (t.shape for t in tensors))
    yield f"{each(dict.fromkeys(groups[-1]))} {{"
    yield "let total = 0;"
    yield f"{each(sorted(sizes.keys() - set(groups[-1])))} total += {left} * {right};"
    yield f"{to} = total;"
    yield "}"
