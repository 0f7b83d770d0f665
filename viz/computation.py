"""What a computation graph consists of: a part for each named value, operation or time step."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from tinygrad_lstm.kernels.sequence_node import expanded
from tinygrad_lstm.notation import number
from tinygrad_lstm.tensor import TABLE, Array, Tensor, ancestors
from viz.computation_groups import Groups, Value, groups_of
from viz.symbols import HOLE, Written, named, plain, symbol_of

Fold = Literal["equation", "op", "time"]
FEW = 3  # entries of a vector that are written out
NUMBER = Written(r"\text{number}", "number")


@dataclass
class Part:
    """A part of the graph: the tensor it stands for, and what is written on it below its name."""

    key: str
    tensor: Tensor
    name: Written
    kind: Literal["card", "leaf", "op", "step"] = "card"
    time: int | None = None
    inputs: dict[str, bool] = field(default_factory=dict)  # and whether a gradient came back
    lines: list[Written] = field(default_factory=list)

    def read(self, key: str, flows: bool) -> None:
        """Note an input."""
        self.inputs[key] = self.inputs.get(key, False) or flows


def parts_of(roots: Sequence[Tensor], fold: Fold) -> list[Part]:
    """The parts of everything that some values were computed from, inputs first."""
    nodes = ancestors(roots)
    if fold == "op":
        return _operations(nodes)
    parts = _equations(nodes, roots)
    return _steps(parts) if fold == "time" else parts


def open_sequences(roots: list[Tensor]) -> list[Tensor]:
    """Compiled sequences as their operations, with the gradients there were."""
    found = expanded(roots)
    for old, new in zip(roots, found, strict=True):
        if new is not old and old.grad is not None:
            new.backward(old.grad.data)
    return found


# --- parts ----------------------------------------------------------------------------------------
def _name(node: Tensor) -> Written:
    """Steps are counted from 0 by the engine and from 1 on paper."""
    name = node.name or ""
    if name.startswith("prev.") and node.time is None:
        return named(name[5:], "0")
    return named(name, None if node.time is None else str(node.time + 1))


def _equations(nodes: Sequence[Tensor], roots: Sequence[Tensor]) -> list[Part]:
    """A part for every named value and every root."""
    shared = _used_at_several_times(nodes)
    asked = set(roots)  # a list would compare entry by entry
    parts: list[Part] = []
    reads: dict[Tensor, dict[str, bool]] = {}  # the parts that a node stands for, or reads
    for k, node in enumerate(nodes):
        own = Part(f"n{k}", node, HOLE)
        for i, flows in _operands(node):
            for key, more in reads[i].items():
                own.read(key, flows and more)
        reads[node] = own.inputs
        if node in shared or (not node.inputs and not node.name):
            reads[node] = {}
        elif node.name or node in asked:
            own.name = _name(node) if node.name else symbol_of(node)
            own.kind, own.time = "card" if node.inputs else "leaf", node.time
            parts.append(own)
            reads[node] = {own.key: True}
    return parts


def _operands(node: Tensor) -> list[tuple[Tensor, bool]]:
    """What a node reads, and whether a gradient went back to it; of stacked steps the one taken."""
    step = _step_taken(node)
    if step is not None:
        return [(step, node.grad is not None and step.grad is not None)]
    rules = TABLE[node.op].derivatives if node.op else ()
    return [
        (
            i,
            node.grad is not None
            and i.grad is not None
            and (rules(k) if callable(rules) else rules[k]) is not None,
        )
        for k, i in enumerate(node.inputs)
    ]


def _step_taken(node: Tensor) -> Tensor | None:
    """The one of several stacked values that a node takes out; None for any other node."""
    index = node.attributes.get("index") if node.op == "getitem" else None
    if isinstance(index, tuple) and all(
        isinstance(part, slice) and part == slice(None) for part in index[1:]
    ):
        index = index[0]
    if isinstance(index, int) and node.inputs[0].op == "stack":
        stacked = node.inputs[0]
        if stacked.attributes["axis"] == 0 and stacked.name is None:
            return stacked.inputs[index]
    return None


def _used_at_several_times(nodes: Sequence[Tensor]) -> set[Tensor]:
    """Leaves without a time that more than one step reads: the parameters of an unrolled cell."""
    times: dict[Tensor, set[int | None]] = {}
    later: dict[Tensor, int | None] = {}
    for node in reversed(nodes):
        own = node.time if node.time is not None else later.get(node)
        for i in node.inputs:
            if own is not None:
                later[i] = own
            if not i.inputs and i.time is None:
                times.setdefault(i, set()).add(own)
    stepwise = any(node.time is not None for node in nodes)
    return {
        leaf
        for leaf, several in times.items()
        if stepwise and leaf.name and not leaf.name.startswith("prev.") and several != {None}
    }


def _operations(nodes: Sequence[Tensor]) -> list[Part]:
    """A part for every node."""
    key = {node: f"n{k}" for k, node in enumerate(nodes)}
    parts = []
    for node in nodes:
        own = _name(node) if node.name else None
        what = symbol_of(node) if node.inputs else own or value_text(node.data)
        if node.inputs and own:
            what = Written(rf"{own.latex} = {what.latex}", f"{own.text} = {what.text}")
            if node.op == "identity":
                what = what._replace(latex=own.latex)
        part = Part(key[node], node, what, "op" if node.inputs else "leaf", node.time)
        for i, flows in _operands(node):
            part.read(key[i], flows)
        parts.append(part)
    return parts


def grouped(parts: Sequence[Part]) -> Groups:
    """Which of the parts belong together."""
    return groups_of(
        [
            Value(
                part.key,
                part.tensor.name or "",
                part.time,
                tuple(part.inputs),
                _step_taken(part.tensor) is not None,
            )
            for part in parts
        ]
    )


def _steps(parts: Sequence[Part]) -> list[Part]:
    """A part for each time step of each run, and those of what belongs to none."""
    groups = grouped(parts)
    several = len({*groups.network.values()}) > 1
    group = {
        part.key: f"t{part.time}" + f".{groups.run[part.key]}" * bool(groups.run[part.key])
        for part in parts
        if part.time is not None
    }
    given = {part.key for part in parts if part.time is not None and part.kind == "leaf"}
    merged: dict[str, Part] = {}
    for part in parts:
        own = group.get(part.key, part.key)
        if part.time is None:
            merged[own] = Part(own, part.tensor, part.name, part.kind)
        elif own not in merged:
            step = f"t = {part.time + 1}"
            what = Written(step, step)
            if several and groups.network[part.key]:
                what = _row([plain(groups.network[part.key]), what], r",\; ", ", ")
            merged[own] = Part(own, part.tensor, what, "step")
        if part.time is not None and part.kind != "leaf":
            merged[own].lines.append(part.name)
        for i, flows in part.inputs.items():
            source = group.get(i, i)
            if source != own and not (several and i in given):  # which other networks read, too
                merged[own].read(source, flows)
    for part in merged.values():
        if part.lines:
            part.lines = [_row(part.lines, r",\,", ", ")]
    return list(merged.values())


# --- what is written on a part --------------------------------------------------------------------
def describe(parts: Iterable[Part], wanted: set[Tensor], fold: Fold) -> None:
    """Add lines with the shape, or with the value and, of wanted tensors, the gradient."""
    for part in parts:
        node = part.tensor
        if part.kind == "step" or (fold == "op" and not node.inputs and not node.name):
            continue
        part.lines.append(_shape(node.shape) if node.traced else value_text(node.data))
        if not node.traced and node in wanted and node.data.dtype.kind in "fc":
            own = Written(r"{\cdot}", "·") if node.grad is None else value_text(node.grad.data)
            part.lines.append(Written(rf"\nabla\,{own.latex}", f"∇ {own.text}"))


def _row(texts: Sequence[Written], latex: str, text: str) -> Written:
    """Several texts beside one another."""
    return Written(latex.join(t.latex for t in texts), text.join(t.text for t in texts))


def _shape(shape: tuple[int, ...]) -> Written:
    sizes = [Written(str(size), str(size)) for size in shape]
    return _row(sizes, r" \times ", "×") if shape else NUMBER


def value_text(data: Array) -> Written:
    """A value in a few characters: its entries, or its shape and its norm."""
    if data.size > FEW:
        norm = _number(float(np.linalg.norm(data.ravel())))
        of = Written(rf"\|\cdot\| = {norm.latex}", f"norm {norm.text}")
        return _row([_shape(data.shape), of], r",\; ", ", ")
    row = _row([_number(float(v)) for v in data.ravel()], r",\;", ", ")
    return row if data.size == 1 else Written(f"({row.latex})", f"({row.text})")


def _number(value: float) -> Written:
    """Three significant digits. The minus belongs to the number: it is no operation in a row."""
    latex = number(value, 3, "latex")
    return Written(f"{{{latex}}}" if latex[0] == "-" else latex, number(value, 3))
