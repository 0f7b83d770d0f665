"""The operations of the table in C: an expression an entry, or loops over one sample."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Iterator
from string import ascii_uppercase
from typing import Any

import numpy as np

from tinygrad_lstm.kernels.backend import Unsupported
from tinygrad_lstm.kernels.names import number
from tinygrad_lstm.tensor import TABLE, Array, Tensor

_MOST = 1 << 16  # entries of an index table in the source

_REARRANGED = ["getitem", "reshape", "transpose", "swapaxes", "broadcast_to", "concat", "stack"]
_REDUCTIONS = {  # what a sum begins with, and how an entry enters it: see functions.c
    "sum": ("0", "add_up"),
    "mean": ("0", "add_up"),
    "prod": ("1", "multiply_up"),
    "max": ("-INFINITY", "largest"),
    "logsumexp": ("0", "log_sum_exp"),
}


def literal(value: Any) -> str:
    """A number in C."""
    return f"(real){number(value, 'INFINITY', 'NAN')}"


def expression(node: Tensor, operands: list[str]) -> str:
    """One entry of an elementwise operation; that of a composite is its definition's."""
    op = node.op or ""
    if op == "clip":
        text = operands[0]
        for end, sign in (("high", ">"), ("low", "<")):
            if (edge := node.attributes[end]) is not None:
                text = f"({operands[0]} {sign} {literal(edge)} ? {literal(edge)} : {text})"
        return text
    template, definition = TABLE[op].c, TABLE[op].definition
    if template is not None:
        text = template.format(*operands)
    elif definition is not None:
        own = dict(zip(definition.inputs.values(), operands, strict=True))
        for n in definition.nodes():
            if n not in own:
                parts = [own[i] for i in n.inputs]
                own[n] = f"({expression(n, parts)})" if parts else literal(n.data.item())
        (root,) = definition.outputs.values()
        text = own[root]
    else:
        raise Unsupported(f"operation {op!r} has no C")
    # a sum of truth values is one
    return f"({text}) != 0" if op == "add" and node.dtype.kind == "b" else text


def single(
    node: Tensor, out: str, operands: list[str], table: Callable[[Array], str]
) -> Iterator[str]:
    """Lines that compute one sample of an operation from pointers to its operands."""
    op, x, n = node.op or "", operands[0], node.inputs[0].size
    if op == "scatter":
        yield f"fill({node.size}, {out}, 0);"
        yield f"add_up({n}, {out}, {table(scatter_places(node))}, {x});"
    elif op in _REARRANGED:
        yield from _rearranged(node, out, operands, table)
    elif op in _REDUCTIONS:
        to = "NULL" if node.size == 1 else table(_groups(node))
        start, function = _REDUCTIONS[op]
        yield f"fill({node.size}, {out}, {start});"
        if op == "logsumexp":
            arguments = f"{node.size}, {n}, {out}, {to}, {x}"
            yield f"{{ real most[{node.size}]; {function}({arguments}, most); }}"
        else:
            yield f"{function}({n}, {out}, {to}, {x});"
        if op == "mean":
            yield f"scale({node.size}, {out}, (real){node.size / n!r});"
    elif op in ("softmax", "log_softmax", "cumsum"):
        axis = node.attributes["axis"] % node.ndim
        length, inner = node.shape[axis], math.prod(node.shape[axis + 1 :])
        yield f"{op}_({n // (length * inner)}, {length}, {inner}, {out}, {x});"
    elif op == "einsum" or TABLE[op].signature.startswith("("):
        yield from _contracted(node, out, operands)
    else:
        raise Unsupported(f"operation {op!r} has no C")
    if node.dtype.kind == "b":
        yield f"truth({node.size}, {out});"


def _rearranged(
    node: Tensor, out: str, operands: list[str], table: Callable[[Array], str]
) -> Iterator[str]:
    """Each entry of the result is an entry of an operand."""
    ends = np.cumsum([0, *(i.size for i in node.inputs)])
    spans = list(zip(node.inputs, operands, ends, ends[1:], strict=False))
    numbers = [np.arange(start, stop).reshape(i.shape) for i, _, start, stop in spans]
    source = np.asarray(TABLE[node.op or ""].forward(*numbers, **node.attributes)).reshape(-1)

    def entries(numbers: Array) -> str:
        """An offset and a table of places, none for a run of them."""
        run = (np.diff(numbers) == 1).all()
        return f" + {numbers[0]}, NULL" if run else f", {table(numbers)}"

    for _, operand, start, stop in spans:
        (to,) = np.nonzero((source >= start) & (source < stop))
        if to.size:
            yield f"move({to.size}, {out}{entries(to)}, {operand}{entries(source[to] - start)});"


def scatter_places(node: Tensor) -> Array:
    """Where `scatter` adds each entry of its operand."""
    shape, index = node.attributes["shape"], node.attributes["index"]
    whole = np.arange(math.prod(shape)).reshape(shape)
    return np.asarray(whole[index]).reshape(-1)


def _groups(node: Tensor) -> Array:
    """For each entry of the operand the entry of the result that it is reduced to."""
    shape = node.inputs[0].shape
    axis = node.attributes["axis"]
    axes = tuple(range(len(shape))) if axis is None else tuple(np.atleast_1d(axis) % len(shape))
    kept = tuple(1 if k in axes else n for k, n in enumerate(shape))
    numbers = np.arange(math.prod(kept)).reshape(kept)
    return np.broadcast_to(numbers, shape).reshape(-1)


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

    def entry(pointer: str, group: str, shape: tuple[int, ...]) -> str:
        place = "0"
        for c, n in zip(group, shape, strict=True):
            place = f"({place}) * {n} + i_{c}" if n > 1 else place
        return f"{pointer}[{place}]"

    def each(letters: Iterable[str]) -> str:
        return " ".join(f"for (count i_{c} = 0; i_{c} < {sizes[c]}; i_{c}++)" for c in letters)

    left, right, to = map(entry, (*operands, out), groups, (t.shape for t in tensors))
    yield f"{each(dict.fromkeys(groups[-1]))} {{"
    yield "real total = 0;"
    yield f"{each(sorted(sizes.keys() - set(groups[-1])))} total += {left} * {right};"
    yield f"{to} = total;"
    yield "}"


def indices(table: Array) -> str:
    """An index table as C writes it."""
    if table.size > _MOST:
        raise Unsupported(f"an index table of {table.size:,} entries")
    return "{" + ", ".join(map(str, table.tolist())) + "}"
