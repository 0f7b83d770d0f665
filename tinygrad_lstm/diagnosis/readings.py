"""How arrays from anywhere may be read: as blocks of gates, which way round, joined or apart.

An array of known hidden and inputs has few readings; together they must give as many matrices on x
and on h as a cell has gates. A `Pools` is one way: the blocks of each kind, in the order in which
they come.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from tinygrad_lstm.diagnosis.structure import Structure

Array = npt.NDArray[Any]
MOST = 400  # readings of all arrays together that are tried for one cell


@dataclass(frozen=True)
class Reading:
    """One array as blocks. Each is (hidden, inputs), (hidden, hidden) or (hidden).

    turned: whether the array's columns are the gates', not its rows; None for vectors, and where
    the array says nothing. joined: the order of what stands side by side, as in "[h, x]". by_unit:
    whether the gates of a unit are neighbours, not the units of a gate.
    """

    name: str
    x: Array | None = None
    h: Array | None = None
    v: Array | None = None
    turned: bool | None = None
    joined: str = ""
    by_unit: bool = False

    def count(self, kind: str) -> int:
        """How many blocks of a kind there are."""
        blocks = getattr(self, kind)
        return 0 if blocks is None else len(blocks)


@dataclass(frozen=True)
class Pools:
    """All arrays read: blocks on x, on h, and for each role of a vector its blocks.

    b, r: biases; p: peepholes; each (blocks, hidden), empty where there are none. bias: "none",
    "one" or "two"; second: whether the one bias is a gate's second.
    """

    readings: tuple[Reading, ...]
    x: Array
    h: Array
    b: Array
    r: Array
    p: Array
    bias: str
    second: bool = False
    level: int = 0
    names: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


def readings_of(name: str, array: Array, inputs: int, hidden: int) -> list[Reading]:
    """Every way to read one array, the plainest first."""
    found: list[Reading] = []
    for matrix, turned in _flat(array):
        found += _matrix(name, matrix, turned, inputs, hidden)
    found += _vectors(name, array, hidden)
    unique: list[Reading] = []
    for reading in found:
        if not any(_same(reading, other) for other in unique):
            unique.append(reading)
    return unique


def _same(one: Reading, other: Reading) -> bool:
    return all(
        np.array_equal(a, b) if a is not None and b is not None else a is b
        for a, b in ((getattr(one, k), getattr(other, k)) for k in "xhv")
    )


def _flat(array: Array) -> Iterator[tuple[Array, bool]]:
    """The array as a matrix whose rows are gates by units, both ways round."""
    if array.ndim > 2:
        array = array.reshape([n for n in array.shape if n != 1] or [1])
    if array.ndim == 2:
        yield array, False
        yield array.T, True
    if array.ndim == 3:
        for gates, units, rest in itertools.permutations(range(3)):
            if gates != 2:  # no framework's last axis is the gates'
                turned = np.transpose(array, (gates, units, rest))
                yield turned.reshape(-1, array.shape[rest]), rest < units


def _matrix(name: str, matrix: Array, turned: bool, inputs: int, hidden: int) -> Iterator[Reading]:
    rows, columns = matrix.shape
    if not rows or rows % hidden:
        return
    for by_unit in (False, True) if rows > hidden > 1 else (False,):
        blocks = matrix.reshape(-1, hidden, columns)
        if by_unit:
            blocks = matrix.reshape(hidden, -1, columns).swapaxes(0, 1)
        own: dict[str, Any] = {"turned": turned, "by_unit": by_unit}
        if columns == inputs:
            yield Reading(name, x=blocks, **own)
        if columns == hidden:
            yield Reading(name, h=blocks, **own)
        widths = {"h": hidden, "x": inputs, "1": 1}
        for order in ("hx", "xh", "1xh", "1hx", "xh1", "hx1"):
            if columns == sum(widths[part] for part in order):
                cuts = np.cumsum([widths[part] for part in order])[:-1]
                parts = dict(zip(order, np.split(blocks, cuts, axis=2), strict=True))
                bias = parts["1"][..., 0] if "1" in parts else None
                joined = f"[{', '.join(order)}]"
                yield Reading(name, parts["x"], parts["h"], bias, joined=joined, **own)


def _vectors(name: str, array: Array, hidden: int) -> Iterator[Reading]:
    flat = array.reshape(-1)
    lines = array.reshape([n for n in array.shape if n != 1] or [1])
    if flat.size and flat.size % hidden == 0 and lines.ndim <= 2:
        if lines.ndim < 2 or lines.shape[1] % hidden == 0:
            yield Reading(name, v=flat.reshape(-1, hidden))
        elif lines.shape[0] == hidden:  # a column for each gate
            yield Reading(name, v=lines.T, turned=True)
        if lines.ndim < 2 and hidden > 1 and flat.size > hidden:
            yield Reading(name, v=flat.reshape(hidden, -1).T, by_unit=True)


def pools(
    cell: Structure, readings: Mapping[str, Sequence[Reading]], spare: int = 0
) -> list[Pools]:
    """Every way to read all arrays that gives as many blocks as the cell has; plain ones first.

    spare: how many blocks of each kind there are that have no effect.
    """
    wanted = {kind: len(cell.having(kind)) + spare for kind in "xh"}
    biased, peepholes = len(cell.having("biases")), len(cell.having("peephole"))
    biased, peepholes = biased + spare, peepholes + spare * (peepholes > 0)
    vectors = {
        n * biased + peepholes: form for n, form in enumerate(("none", "one", "two"))
    }  # fmt: skip
    found, seen = list[Pools](), set[tuple[int, ...]]()
    for turned in ((False, False), (True, True), (True, False), (False, True)):
        alike = [_turned_alike(several, *turned) for several in readings.values()]
        for chosen in _choices(alike, wanted, max(vectors)):
            if sum(r.count("v") for r in chosen) in vectors and _uniform(chosen):
                key = tuple(map(id, chosen))
                if key not in seen:
                    seen.add(key)
                    found += list(_pooled(chosen, cell, biased, peepholes))
        if len(found) > MOST:
            break
    return sorted(found, key=lambda p: p.level)[:MOST]


def _uniform(chosen: Sequence[Reading]) -> bool:
    """Whether what stands side by side, and how gates follow one another, is alike in all."""
    joined = {r.joined for r in chosen if r.joined}
    by_unit = {r.by_unit for r in chosen if max(r.count(kind) for kind in "xhv") > 1}
    return len(joined) < 2 and len(by_unit) < 2


def _turned_alike(several: Sequence[Reading], x: bool, h: bool) -> list[Reading]:
    """Of one array's readings those that turn matrices on x, and on h, as all others are turned.

    Where an array can be read in one way alone, it says by itself which way round it is.
    """
    found = []
    for kind, wanted in (("x", x), ("h", h), ("", False)):
        own = [r for r in several if ("x" if r.count("x") else "h" if r.count("h") else "") == kind]
        found += [r for r in own if r.turned in (wanted, None)] or own
    return [r for r in several if any(r is other for other in found)]


def _choices(
    readings: Sequence[Sequence[Reading]], wanted: Mapping[str, int], most: int
) -> Iterator[tuple[Reading, ...]]:
    """One reading for each array, with as many blocks of each kind as are wanted."""
    stack: list[tuple[tuple[Reading, ...], int, int, int]] = [((), 0, 0, 0)]
    while stack:
        chosen, x, h, v = stack.pop()
        if len(chosen) == len(readings):
            if (x, h) == (wanted["x"], wanted["h"]):
                yield chosen
            continue
        for r in reversed(readings[len(chosen)]):
            counts = x + r.count("x"), h + r.count("h"), v + r.count("v")
            if counts[0] <= wanted["x"] and counts[1] <= wanted["h"] and counts[2] <= most:
                stack.append(((*chosen, r), *counts))


def _pooled(
    chosen: tuple[Reading, ...], cell: Structure, biased: int, peepholes: int
) -> Iterator[Pools]:
    hidden = int(cell.program.outputs[cell.cell.output].shape[0])
    none = np.zeros((0, hidden))
    x, h = (
        np.concatenate(parts) if (parts := [getattr(r, k) for r in chosen if r.count(k)]) else none
        for k in "xh"
    )
    vectors = [(r.name, block) for r in chosen if r.v is not None for block in r.v]
    sides = {(r.turned, bool(r.joined)) for r in chosen if r.turned is not None}
    level = 4 * (len(sides) > 1) + 8 * any(r.by_unit for r in chosen)
    level += _disorder(chosen)
    names = {k: tuple(r.name for r in chosen if r.count(k)) for k in "xh"}
    for start in _starts(vectors, peepholes, biased):
        p = vectors[start : start + peepholes]
        rest = vectors[:start] + vectors[start + peepholes :]
        b, r = rest[:biased], rest[biased:]
        roles = {"b": b, "r": r, "p": p}
        own = {k: tuple(dict.fromkeys(n for n, _ in v)) for k, v in roles.items()}
        blocks = {k: np.array([v for _, v in part]) if part else none for k, part in roles.items()}
        form = "two" if len(r) else "one" if len(b) else "none"
        second = form != "none" and any(len(gate.biases) > 1 for gate in cell.gates)
        for other in (False, True) if second else (False,):
            yield Pools(
                chosen, x, h, blocks["b"], blocks["r"], blocks["p"], form, other,
                level + other, {**names, **own},
            )  # fmt: skip


def _starts(vectors: Sequence[tuple[str, Array]], peepholes: int, biased: int) -> list[int]:
    """Where the peepholes may begin: after all biases, before them, between two arrays."""
    if not peepholes:
        return [0]
    last = len(vectors) - peepholes
    ends = {k for k in range(1, len(vectors)) if vectors[k][0] != vectors[k - 1][0]}
    return [last] * (last >= 0) + [k for k in sorted({0, *ends}) if k < last]


def _disorder(chosen: Sequence[Reading]) -> int:
    """How unlikely the order of kinds is: matrices on x first, then on h, or by turns."""
    kinds = "".join("x" if r.count("x") else "h" for r in chosen if r.count("x") or r.count("h"))
    if "x" not in kinds or "h" not in kinds or any(r.joined for r in chosen):
        return 0
    half = len(kinds) // 2
    plain = ("x" * half + "h" * half, "xh" * half)
    reverse = ("h" * half + "x" * half, "hx" * half)
    return 0 if kinds in plain else 1 if kinds in reverse else 2
