"""The sizes of a system's parts: those that are given, and those that wires tell."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tinygrad_lstm import sizes as dimensions
from tinygrad_lstm.errors import ShapeError
from tinygrad_lstm.parameters import under
from tinygrad_lstm.step import Cell
from tinygrad_lstm.wires import Read, Reads, each_of
from tinygrad_lstm.wiring import declared_of, output_of

Shape = tuple[int | None, ...]  # None: not known before a sequence is there


@dataclass(frozen=True)
class PartSizes:
    """every: the sizes of each part, as far as known; told: those of them that wires tell."""

    every: dict[str, dict[str, int]]
    told: dict[str, set[str]]


def sizes_of_parts(system: Any, sizes: Mapping[str, int]) -> PartSizes:
    """The sizes of each part of a system when the system's are `sizes`.

    Without any, only what is told of a size is found, at small sizes.
    """
    looking = not sizes
    every: dict[str, dict[str, int]] = {}
    told: dict[str, set[str]] = {}
    alone: dict[str, set[str]] = {}
    for name, part in system.parts.items():
        own = under(f"{name}.", sizes)
        alone[name] = {*own}
        shared = {size: sizes[size] for size in part.sizes if size in sizes}
        every[name], told[name] = {**shared, **own}, set()
        if looking:
            every[name] = dict(part.small_sizes())
    ordered = [part for group in system.wiring.order for part in group]
    looped = any(len(group) > 1 for group in system.wiring.order)
    for name in ordered * (1 + looped):  # round a loop the second time with all that is known
        part, own = system.parts[name], every[name]
        declared = declared_of(part)
        for target, reads in system.wiring.wired[name].items():
            found = [_shape(system, every, read, (name, target)) for read in reads]
            shape = found[0] if len(found) == 1 else _joined(found)
            words = declared[target][1]
            axes = dimensions.parse(words)
            if shape is None:
                size = next(iter(dimensions.names_in(axes[-1])), "") if axes else ""
                if not looking and size in own and size not in {*alone[name], *told[name]}:
                    _add_joined(reads, found, size, own, told[name])
                continue
            where = f"{system}: {name}.{target} is ({words})", ", ".join(map(str, reads))
            if len(axes) != len(shape):
                raise ShapeError(
                    f"{where[0]}, but {where[1]}, which is wired to it, has shape {_text(shape)}."
                )
            for axis, n in zip(axes, shape, strict=True):
                if n is not None:
                    free = {*part.sizes} if looking else {*dimensions.names_in(axis)}
                    _tell(where, axis, n, own, told[name], alone[name], free, looking)
    return PartSizes(every, told)


def _add_joined(
    reads: Reads, shapes: list[Shape | None], size: str, own: dict[str, int], told: set[str]
) -> None:
    """What is joined with an input that nobody else reads: the size given is that input's."""
    left = [read for read, shape in zip(reads, shapes, strict=True) if shape is None]
    others = [shape for shape in shapes if shape is not None]
    if others and len(left) == 1 and left[0].part is None and None not in others[0]:
        own[size] += sum(int(shape[-1] or 0) for shape in others)
        told.add(size)


def _tell(
    where: tuple[str, str],
    axis: dimensions.Axis,
    n: int,
    own: dict[str, int],
    told: set[str],
    alone: set[str],
    free: set[str],
    looking: bool,
) -> None:
    """Learn a size from an axis that a wire brings, or find that they disagree."""
    names = dimensions.names_in(axis)
    settled = {
        name: own[name] for name in names if name in own and not (looking and name not in told)
    }
    left = [name for name in names if name not in settled]
    if (
        not left
        and len(names) == 1
        and (name := names[0]) == "inputs"
        and name not in {*alone, *told}
    ):
        left, settled = [name], {}  # what is called inputs is the network's, of all parts
    if len(left) == 1 and left[0] in free:
        size = dimensions.solved(axis, n, left[0], {**settled, **own})
        if size is not None:
            own[left[0]] = size
            told.add(left[0])
            return
    if left or looking:
        return
    value = dimensions.value(axis, own)
    if value != n:
        sizes = ", ".join(f"{name}={own[name]}" for name in names)
        part = where[0].partition(": ")[2].partition(".")[0]
        fix = f'  A size of {part} alone is given as **{{"{part}.{names[0]}": …}}.' if names else ""
        raise ShapeError(
            f"{where[0]} = {value} there{f', {sizes}' if len(names) > 1 else ''}, but {where[1]}, "
            f"which is wired to it, has {n}.\n{fix}"
        )


def _shape(
    system: Any, every: Mapping[str, dict[str, int]], read: Read, reader: tuple[str, str]
) -> Shape | None:
    """The shape of what a wire carries; None where it is not known yet."""
    own: Shape | None
    if read.part is None:
        own = outer_shape(system, every, read.name, reader)
    elif read.kind == "mask":
        own = ()
    else:
        part = system.parts[read.part]
        own = shape_of(part, every[read.part], read.name)
    if read.kind == "mask":
        return (None,)
    if own is not None and read.kind == "whole":
        return (None, *own)
    return own


def outer_shape(
    system: Any,
    every: Mapping[str, Mapping[str, int]],
    name: str,
    reader: tuple[str, str] | None = None,
) -> Shape | None:
    """The shape of an input of a system at a step, by a part that reads it alone, the first one.

    reader: only by those that stand before this one.
    """
    for part, target in system.wiring.inputs[name].readers:
        if (part, target) == reader:
            return None
        reads = system.wiring.wired[part][target]
        if len(reads) == 1 and reads[0].kind in ("each", "before"):
            words = declared_of(system.parts[part])[target][1]
            if all(size in every[part] for size in dimensions.names({name: words})):
                return dimensions.shape(words, every[part])
    return None


def _joined(shapes: list[Shape | None]) -> Shape | None:
    """The shape of several, joined along the last axis."""
    known = [shape for shape in shapes if shape]
    if len(known) < len(shapes) or any(None in shape for shape in known):
        return None
    return (*known[0][:-1], sum(int(shape[-1] or 0) for shape in known))


def shape_of(part: Any, sizes: Mapping[str, int], name: str) -> tuple[int, ...] | None:
    """The shape of an equation of a part; None where the sizes do not tell it."""
    if not isinstance(part, Cell):
        every = sizes_of_parts(part, sizes).every if sizes else {}
        if not every:
            return None
        if name == part.output and len(part.joined) > 1:
            found = [shape_of(part, sizes, own) for own in part.joined]
            if any(shape is None for shape in found):
                return None
            shape = _joined([*found])
            return None if shape is None else tuple(int(n or 0) for n in shape)
        inside, _, own = name.partition(".")
        return shape_of(part.parts[inside], every.get(inside, {}), own)
    needed = dimensions.names(part.parameters)
    if any(size in part.sizes and size not in sizes for size in needed):
        return None  # `init` will say so
    program = part.program(**{**part.small_sizes(), **sizes})
    return tuple(map(int, program.equations[name].shape))


def width(part: Any, sizes: Mapping[str, int]) -> int:
    """How many numbers the output of a cell or network has at each step."""
    shape = shape_of(part, {**part.small_sizes(), **sizes}, output_of(part))
    if shape is None or len(shape) != 1:
        raise ShapeError(
            f"{part}: a layer above reads a vector, but the output {part.output} has shape {shape}."
        )
    return shape[0]


def _text(shape: Shape) -> str:
    return f"({', '.join('length' if n is None else str(n) for n in shape)})"


def input_shapes(system: Any, sizes: Mapping[str, int]) -> dict[str, tuple[int, ...]]:
    """The shape of each input of a system at a step, of its parameters, of its states before."""
    every = {
        n: {**system.parts[n].small_sizes(), **own} for n, own in system.part_sizes(sizes).items()
    }
    found: dict[str, tuple[int, ...]] = {}
    for name, part in system.parts.items():
        own = {size: every[name][size] for size in part.sizes}
        shapes = part.input_shapes(**own)
        for n, shape in shapes.items():
            within = f"prev.{name}.{n[5:]}" if n.startswith("prev.") else f"{name}.{n}"
            found[within] = shape
        for target, reads in system.wiring.wired[name].items():
            shape = found.get(f"{name}.{target}", ())
            for read in (r for r in reads if r.part is None and r.kind in ("each", "before")):
                others = [_shape(system, every, r, (name, target)) for r in reads if r is not read]
                left = (
                    int(shape[-1]) - sum(int((o or (0,))[-1] or 0) for o in others) if others else 0
                )
                found.setdefault(read.name, (*shape[:-1], left) if others else shape)
        if name == [*system.parts][0]:
            found.setdefault("x", found.get(system.first, found[f"{name}.x"]))
    found["x"] = found[system.first]
    for state, (name, _) in system.wiring.befores().items():
        read = next(r for _, r in each_of(system.wiring.wired[name]) if r.state == state)
        own_shape = found.get(read.name) if read.part is None else None
        if read.part is not None:
            own_shape = shape_of(system.parts[read.part], every[read.part], read.name)
        found.setdefault(f"prev.{state}", own_shape or ())
    wanted = {"x", *system.parameters, *system.extra_inputs, *(f"prev.{s}" for s in system.state)}
    return {n: tuple(map(int, shape)) for n, shape in found.items() if n in wanted}
