"""The operations of the table in C: an expression an entry, or loops over one sample."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from tinygrad_lstm.kernels.names import number
from tinygrad_lstm.tensor import TABLE, Array, Tensor

_MOST = 1 << 16  # entries of an index table in the source

_REARRANGED = (
    "getitem",
    "reshape",
    "transpose",
    "swapaxes",
    "broadcast_to",
    "concat",
    "stack",
    "scatter",
)


class Unsupported(Exception):
    """An operation that has no C here; the plan is then carried out by NumPy."""


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
    op = node.op or ""
    if op in _REARRANGED:
        yield from _rearranged(node, out, operands, table)
    elif op in ("sum", "mean", "prod", "max", "logsumexp"):
        yield from _reduced(node, out, operands[0], table)
    elif op in ("softmax", "log_softmax", "cumsum"):
        yield from _along(node, out, operands[0])
    elif op == "einsum":
        yield from _contracted(node, out, operands)
    elif op in ("matmul", "matvec", "outer", "vecdot"):
        yield from _multiplied(node, out, operands, table)
    else:
        raise Unsupported(f"operation {op!r} has no C")
    if node.dtype.kind == "b":
        yield f"for (count j = 0; j < {node.size}; j++) {out}[j] = {out}[j] != 0;"


def _rearranged(
    node: Tensor, out: str, operands: list[str], table: Callable[[Array], str]
) -> Iterator[str]:
    """Each entry of the result is an entry of an operand, or 0."""
    forward = TABLE[node.op or ""].forward
    if node.op == "scatter":
        (g,) = node.inputs
        places = forward_places(node)
        yield f"for (count j = 0; j < {node.size}; j++) {out}[j] = 0;"
        yield f"for (count j = 0; j < {g.size}; j++) {out}[{table(places)}[j]] += {operands[0]}[j];"
        return
    start, numbers = 0, []
    for i in node.inputs:
        numbers.append(np.arange(start, start + i.size).reshape(i.shape))
        start += i.size
    from_where = np.asarray(forward(*numbers, **node.attributes)).reshape(-1)
    start = 0
    for i, operand in zip(node.inputs, operands, strict=True):
        (to,) = np.nonzero((from_where >= start) & (from_where < start + i.size))
        entries = from_where[to] - start
        start += i.size
        if not to.size:
            continue
        if _run(to) and _run(entries):
            yield (
                f"for (count j = 0; j < {to.size}; j++) "
                f"{out}[{to[0]} + j] = {operand}[{entries[0]} + j];"
            )
        else:
            yield (
                f"for (count j = 0; j < {to.size}; j++) "
                f"{out}[{table(to)}[j]] = {operand}[{table(entries)}[j]];"
            )


def forward_places(node: Tensor) -> Array:
    """Where `scatter` adds each entry of its operand."""
    shape, index = node.attributes["shape"], node.attributes["index"]
    whole = np.arange(int(np.prod(shape, dtype=int))).reshape(shape)
    return np.asarray(whole[index]).reshape(-1)


def _run(numbers: Array) -> bool:
    return bool((np.diff(numbers) == 1).all())


def _groups(node: Tensor) -> Array:
    """For each entry of the operand the entry of the result that it is reduced to."""
    shape = node.inputs[0].shape
    axis = node.attributes["axis"]
    axes = tuple(range(len(shape))) if axis is None else tuple(np.atleast_1d(axis) % len(shape))
    kept = tuple(1 if k in axes else n for k, n in enumerate(shape))
    numbers = np.arange(int(np.prod(kept, dtype=int))).reshape(kept)
    return np.broadcast_to(numbers, shape).reshape(-1)


def _reduced(node: Tensor, out: str, x: str, table: Callable[[Array], str]) -> Iterator[str]:
    op, n, m = node.op, node.inputs[0].size, node.size
    to = "0" if m == 1 else f"{table(_groups(node))}[j]"
    each = f"for (count j = 0; j < {n}; j++)"
    if op in ("sum", "mean", "prod"):
        start, sign = (1, "*=") if op == "prod" else (0, "+=")
        yield f"for (count j = 0; j < {m}; j++) {out}[j] = {start};"
        yield f"{each} {out}[{to}] {sign} {x}[j];"
        if op == "mean":
            yield f"for (count j = 0; j < {m}; j++) {out}[j] *= (real){m / n!r};"
        return
    yield "{"
    yield f"real most[{m}];"
    yield f"for (count j = 0; j < {m}; j++) most[j] = -INFINITY;"
    yield f"{each} most[{to}] = {x}[j] > most[{to}] || {x}[j] != {x}[j] ? {x}[j] : most[{to}];"
    if op == "max":
        yield f"for (count j = 0; j < {m}; j++) {out}[j] = most[j];"
    else:
        yield f"for (count j = 0; j < {m}; j++) {out}[j] = 0;"
        yield f"for (count j = 0; j < {m}; j++) most[j] = isfinite(most[j]) ? most[j] : 0;"
        yield f"{each} {out}[{to}] += EXP({x}[j] - most[{to}]);"
        yield f"for (count j = 0; j < {m}; j++) {out}[j] = most[j] + LOG({out}[j]);"
    yield "}"


def _along(node: Tensor, out: str, x: str) -> Iterator[str]:
    shape = node.shape
    axis = node.attributes["axis"] % len(shape)
    length = shape[axis]
    inner = int(np.prod(shape[axis + 1 :], dtype=int))
    outer = node.size // (length * inner)
    yield f"for (count o = 0; o < {outer}; o++) for (count i = 0; i < {inner}; i++) {{"
    yield f"const real *const in = {x} + o * {length * inner} + i;"
    yield f"real *const to = {out} + o * {length * inner} + i;"
    each = f"for (count k = 0; k < {length}; k++)"
    if node.op == "cumsum":
        yield f"real total = 0; {each} {{ total += in[k * {inner}]; to[k * {inner}] = total; }}"
        yield "}"
        return
    yield "real most = in[0], total = 0;"
    yield f"{each} most = in[k * {inner}] > most ? in[k * {inner}] : most;"
    yield f"{each} total += EXP(in[k * {inner}] - most);"
    if node.op == "softmax":
        yield f"{each} to[k * {inner}] = EXP(in[k * {inner}] - most) / total;"
    else:
        yield f"{each} to[k * {inner}] = in[k * {inner}] - (most + LOG(total));"
    yield "}"


def _multiplied(
    node: Tensor, out: str, operands: list[str], table: Callable[[Array], str]
) -> Iterator[str]:
    """Products of matrices and vectors of one sample, over their broadcast leading axes."""
    a, b = node.inputs
    left, right = {"matmul": (2, 2), "matvec": (2, 1), "outer": (1, 1), "vecdot": (1, 1)}[
        node.op or ""
    ]
    lead = np.broadcast_shapes(a.shape[: a.ndim - left], b.shape[: b.ndim - right])
    if node.op == "outer":
        rows, inner, columns = a.shape[-1], 1, b.shape[-1]
    elif node.op == "vecdot":
        rows, inner, columns = 1, a.shape[-1], 1
    else:
        rows, inner = a.shape[-2:]
        columns = b.shape[-1] if right == 2 else 1
    P = int(np.prod(lead, dtype=int))

    def starts(t: Tensor, core: int) -> str:
        each = int(np.prod(t.shape[t.ndim - core :], dtype=int))
        numbers = each * np.arange(t.size // each).reshape(t.shape[: t.ndim - core])
        return table(np.broadcast_to(numbers, lead).reshape(-1)) + "[p]" if P > 1 else "0"

    yield f"for (count p = 0; p < {P}; p++) {{"
    yield f"const real *const a = {operands[0]} + {starts(a, left)};"
    yield f"const real *const b_ = {operands[1]} + {starts(b, right)};"
    yield f"real *const to = {out} + p * {rows * columns};"
    yield f"for (count i = 0; i < {rows}; i++) for (count j = 0; j < {columns}; j++) {{"
    yield "real total = 0;"
    yield (
        f"for (count k = 0; k < {inner}; k++) total += a[i * {inner} + k] * b_[k * {columns} + j];"
    )
    yield f"to[i * {columns} + j] = total;"
    yield "} }"


def _contracted(node: Tensor, out: str, operands: list[str]) -> Iterator[str]:
    """A sum of products as subscripts tell, over all of their letters."""
    before, after = node.attributes["subscripts"].split("->")
    groups = before.split(",")
    sizes: dict[str, int] = {}
    for group, i in zip(groups, node.inputs, strict=True):
        sizes |= zip(group, i.shape, strict=True)

    def entry(group: str) -> str:
        place = "0"
        for c in group:
            place = f"({place}) * {sizes[c]} + i_{c}"
        return place

    left, right, to = map(entry, (*groups, after))
    yield f"for (count j = 0; j < {node.size}; j++) {out}[j] = 0;"
    for c in (*after, *sorted(sizes.keys() - set(after))):
        yield f"for (count i_{c} = 0; i_{c} < {sizes[c]}; i_{c}++)"
    yield f"{out}[{to}] += {operands[0]}[{left}] * {operands[1]}[{right}];"


def indices(table: Array) -> str:
    """An index table as C writes it."""
    if table.size > _MOST:
        raise Unsupported(f"an index table of {table.size:,} entries")
    return "{" + ", ".join(map(str, table.tolist())) + "}"
