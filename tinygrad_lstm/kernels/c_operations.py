"""The operations of the table in C: an expression an entry, or loops over one sample."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator
from string import ascii_uppercase
from typing import Any

import numpy as np

from tinygrad_lstm.kernels.backend import Unsupported
from tinygrad_lstm.kernels.c_sizes import Sizes
from tinygrad_lstm.kernels.names import number
from tinygrad_lstm.tensor import TABLE, Array, Tensor

_REARRANGED = ["getitem", "reshape", "transpose", "swapaxes", "broadcast_to", "concat", "stack"]
_REDUCTIONS = {  # what a sum begins with, and how an entry enters it: see functions.c
    "sum": ("0", "add_up"),
    "mean": ("0", "add_up"),
    "prod": ("1", "multiply_up"),
    "max": ("-INFINITY", "largest"),
    "logsumexp": ("0", "log_sum_exp"),
}


def literal(value: Any, sizes: Sizes, sized: bool = False) -> str:
    """A number in C; `sized`: one that is made of sizes."""
    return sizes.real(value) if sized else f"(real){number(value, 'INFINITY', 'NAN')}"


def expression(node: Tensor, operands: list[str], sizes: Sizes) -> str:
    """One entry of an elementwise operation; that of a composite is its definition's."""
    op = node.op or ""
    if op == "clip":
        text = operands[0]
        for end, sign in (("high", ">"), ("low", "<")):
            if (edge := node.attributes[end]) is not None:
                limit = literal(edge, sizes, hasattr(edge, "words"))
                text = f"({operands[0]} {sign} {limit} ? {limit} : {text})"
        return text
    template, definition = TABLE[op].c, TABLE[op].definition
    if template is not None:
        text = template.format(*operands)
    elif definition is not None:
        own = dict(zip(definition.inputs.values(), operands, strict=True))
        for n in definition.nodes():
            if n not in own:
                parts = [own[i] for i in n.inputs]
                text = expression(n, parts, sizes) if parts else literal(n.data.item(), sizes)
                own[n] = f"({text})"
        (root,) = definition.outputs.values()
        text = own[root]
    else:
        raise Unsupported(f"operation {op!r} has no C")
    # a sum of truth values is one
    return f"({text}) != 0" if op == "add" and node.dtype.kind == "b" else text


def single(node: Tensor, out: str, operands: list[str], sizes: Sizes) -> Iterator[str]:
    """Lines that compute one sample of an operation from pointers to its operands."""
    op, x = node.op or "", operands[0]
    n, m = sizes.count("entries", node.inputs[0].size), sizes.count("entries", node.size)
    if op == "scatter":
        yield f"fill({m}, {out}, 0);"
        yield f"add_up({n}, {out}, {sizes.table(scatter_places(node))}, {x});"
    elif op in _REARRANGED:
        yield from _rearranged(node, out, operands, sizes)
    elif op in _REDUCTIONS:
        groups = _groups(node)
        to = "NULL" if groups is None else sizes.table(groups)
        start, function = _REDUCTIONS[op]
        yield f"fill({m}, {out}, {start});"
        if op == "logsumexp":
            yield f"{{ real most[{m}]; {function}({m}, {n}, {out}, {to}, {x}, most); }}"
        else:
            yield f"{function}({n}, {out}, {to}, {x});"
        if op == "mean":
            yield f"scale({m}, {out}, (real)((double){m} / (double){n}));"
    elif op in ("softmax", "log_softmax", "cumsum"):
        axis, shape = node.attributes["axis"] % node.ndim, node.shape
        outer = sizes.count("outer", math.prod(map(int, shape[:axis]))) if axis else "1"
        inner = math.prod(map(int, shape[axis + 1 :]))
        within = sizes.count("inner", inner) if axis + 1 < node.ndim else "1"
        yield f"{op}_({outer}, {sizes.count('length', shape[axis])}, {within}, {out}, {x});"
    elif op == "einsum" or TABLE[op].signature.startswith("("):
        yield from _contracted(node, out, operands, sizes)
    else:
        raise Unsupported(f"operation {op!r} has no C")
    if node.dtype.kind == "b":
        yield f"truth({m}, {out});"


def _rearranged(node: Tensor, out: str, operands: list[str], sizes: Sizes) -> Iterator[str]:
    """Each entry of the result is an entry of an operand."""
    ends = np.cumsum([0, *(i.size for i in node.inputs)])
    spans = list(zip(node.inputs, operands, ends, ends[1:], strict=False))
    numbers = [np.arange(start, stop).reshape(i.shape) for i, _, start, stop in spans]
    source = np.asarray(TABLE[node.op or ""].forward(*numbers, **node.attributes)).reshape(-1)

    def entries(numbers: Array) -> str:
        """An offset and a table of places, none for a run of them."""
        run = bool((np.diff(numbers) == 1).all())
        start = sizes.count("from", numbers[0] if run and numbers.size else 0)
        return f" + {start}, {sizes.table(None if run else numbers)}"

    for _, operand, start, stop in spans:
        (to,) = np.nonzero((source >= start) & (source < stop))
        n = sizes.count("entries", to.size)
        yield f"move({n}, {out}{entries(to)}, {operand}{entries(source[to] - start)});"


def scatter_places(node: Tensor) -> Array:
    """Where `scatter` adds each entry of its operand."""
    shape, index = node.attributes["shape"], node.attributes["index"]
    whole = np.arange(math.prod(shape)).reshape(shape)
    return np.asarray(whole[index]).reshape(-1)


def _groups(node: Tensor) -> Array | None:
    """For each entry of the operand that of the result it is reduced to; None if there is one."""
    shape = node.inputs[0].shape
    axis = node.attributes["axis"]
    axes = tuple(range(len(shape))) if axis is None else tuple(np.atleast_1d(axis) % len(shape))
    if len(axes) == len(shape):
        return None
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


def _contracted(node: Tensor, out: str, operands: list[str], sizes: Sizes) -> Iterator[str]:
    """A sum of products, over all letters that the result does not have."""
    groups, tensors = _letters(node), (*node.inputs, node)
    most: dict[str, int] = {}
    for group, t in zip(groups, tensors, strict=True):
        for c, n in zip(group, t.shape, strict=True):
            most[c] = max(n, most.get(c, 1))
    count = {c: sizes.count(f"axis_{c}", n) for c, n in most.items()}

    def entry(pointer: str, group: str, shape: tuple[int, ...]) -> str:
        place = ""
        for c, n in zip(group, shape, strict=True):
            if n == most[c]:  # else it is repeated along this axis
                place = f"({place}) * {count[c]} + i_{c}" if place else f"i_{c}"
        return f"{pointer}[{place or 0}]"

    def each(letters: Iterable[str]) -> str:
        return " ".join(f"EACH(i_{c}, {count[c]})" for c in letters)

    left, right, to = map(entry, (*operands, out), groups, (t.shape for t in tensors))
    yield f"{each(dict.fromkeys(groups[-1]))} {{"
    yield "real total = 0;"
    yield f"{each(sorted(most.keys() - set(groups[-1])))} total += {left} * {right};"
    yield f"{to} = total;"
    yield "}"
