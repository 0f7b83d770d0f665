"""What a formula may name: the values and adjoints of a random run of a cell, and spellings."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from tinygrad_lstm.diagnosis.formula import Reference
from tinygrad_lstm.diagnosis.rules import Array, shifted
from tinygrad_lstm.diagnosis.signs import cleaned
from tinygrad_lstm.graph import pullback
from tinygrad_lstm.notation import look_alikes, name_latex, name_unicode
from tinygrad_lstm.operation import TABLE
from tinygrad_lstm.program import Program
from tinygrad_lstm.running import unroll
from tinygrad_lstm.step import Cell
from tinygrad_lstm.tensor import Tensor
from tinygrad_lstm.testing.inputs import random_inputs
from tinygrad_lstm.text import UNICODE, expression

STEPS = 5  # of the run: formulas are tried at all but the last, which has no step after it
_TIMES: Mapping[int, tuple[str, Sequence[str]]] = {
    0: ("t", ("", "_t", "_{t}", "[t]")),
    1: ("t+1", ("_{t+1}", "[t+1]", "_next", "[t + 1]")),
    -1: ("t-1", ("_{t-1}", "[t-1]", "_before", "_prev", "[t - 1]")),
}


@dataclass(frozen=True)
class Joined:
    """Vectors that are joined to one: what each part is called, its length, whose columns it is."""

    names: tuple[frozenset[str], ...]
    widths: tuple[int, ...]
    matrices: frozenset[str]


class Point:
    """One random run of a cell: every value, every adjoint, by label.

    `values`: (time, own axes), of what is the same at every step (1, own axes). Labels are those of
    a Program: "f", "bar.f", "delta.f", "pre.f", "seed.h", "x", "W_f".
    """

    def __init__(self, cell: Cell, seed: int = 0) -> None:
        self.cell = cell
        case = random_inputs(cell, cell.small_sizes(), steps=STEPS, rng=seed)
        self.program: Program = cell.program(**case.sizes)
        self.sizes = dict(self.program.sizes)
        self.case = case
        self.parameters = cell.bind(
            {name: Tensor(array) for name, array in case.parameters.items()}, **case.sizes
        )
        self.further = {name: Tensor(array, name) for name, array in case.further.items()}
        self.start = {name: Tensor(array) for name, array in case.initial.items()}
        xs = Tensor(case.xs, "x")
        run = unroll(cell, self.parameters, xs, self.start, **self.further)
        self.steps = run.steps
        loss = getattr(cell, "loss", None) or cell.output
        shape = self.program.equations[loss].shape
        self.seeds = {loss: np.random.default_rng(seed + 1).normal(size=(STEPS, *shape))}
        self.given = {"x": xs, **dict(self.parameters.items()), **self.further}
        self.inner = insides(self.program)
        self._twins = [self._twin(t) for t in range(STEPS)]
        seeds = {step[n]: g[t] for n, g in self.seeds.items() for t, step in enumerate(self.steps)}
        self.adjoints: dict[Tensor, Array] = pullback(seeds, numeric=True)
        self.values: dict[str, Array] = {}
        self._keep()

    # --- numbers ---------------------------------------------------------------------------------
    def _twin(self, t: int) -> dict[Tensor, Tensor]:
        """The run's node for each node of the Program, as far as they correspond."""
        found, step = dict[Tensor, Tensor](), self.steps[t]
        known = {*self.program.inputs.values(), *self.program.equations.values()}
        for name, root in self.program.equations.items():
            stack = [(root, step[name])]
            while stack:
                a, b = stack.pop()
                found[a] = b
                if len(a.inputs) == len(b.inputs) and a.op == b.op:
                    pairs = zip(a.inputs, b.inputs, strict=True)
                    stack += [(i, j) for i, j in pairs if i not in known]
        return found

    def _adjoint(self, node: Tensor) -> Array:
        return np.asarray(self.adjoints.get(node, np.zeros(node.shape)))

    def _keep(self) -> None:
        own = self.values
        for name in self.program.equations:
            nodes = [step[name] for step in self.steps]
            own[name] = np.stack([n.data for n in nodes])
            own[f"bar.{name}"] = np.stack([self._adjoint(n) for n in nodes])
        for name, tensor in self.given.items():
            label = f"input.{name}" if name in self.program.equations else name
            timed = name == "x" or name in self.cell.sequences
            adjoint = self._adjoint(tensor)
            own[label] = tensor.data if timed else tensor.data[None]
            own[f"bar.{label}"] = adjoint if timed else adjoint[None]
        for name, g in self.seeds.items():
            own[f"seed.{name}"] = g
        for label, inside in self.inner.items():
            if all(n in twin for n in inside for twin in self._twins):
                first = [twin[inside[0]] for twin in self._twins]
                own[f"pre.{label}"] = np.stack([n.data for n in first])
                own[f"delta.{label}"] = np.stack(
                    [self._share(self.owner(label), t, inside) for t in range(STEPS)]
                )

    def owner(self, label: str) -> str:
        """The equation that a numbered value inside functions belongs to: k of k.1."""
        return label if label in self.program.equations else label.rpartition(".")[0]

    def _share(self, equation: str, t: int, inside: Sequence[Tensor]) -> Array:
        """What values inside an equation receive of its adjoint; others may read them, too."""
        root, found = self.steps[t][equation], np.zeros(inside[0].shape)
        named = {*self.steps[t].values(), *self.start.values()} - {root}
        if t:
            named |= set(self.steps[t - 1].values())
        for node in {self._twins[t][n] for n in inside}:
            stop = named | {node}
            found = found + pullback({root: self._adjoint(root)}, True, wrt=stop).get(node, 0.0)
        return found

    def at(self, reference: Reference) -> Array:
        """A value at its step, for every t; nothing lies beyond the last, first states before."""
        array, shift = self.values[reference.label], reference.shift
        if not shift or len(array) == 1:
            return array
        moved = shifted(array, shift)
        if shift < 0 and reference.label in self.start:
            moved[0] = self.start[reference.label].data
        return moved

    # --- names -----------------------------------------------------------------------------------
    @cached_property
    def names(self) -> list[str]:
        """Every label that a formula may be made of."""
        return [name for name in self.values if name not in self.gradients]

    @cached_property
    def gradients(self) -> set[str]:
        """Labels of what is summed over all steps: a formula may be of one, but not made of it."""
        return {n for n, v in self.values.items() if n.startswith("bar.") and len(v) == 1}

    def text(self, label: str, shift: int = 0) -> str:
        """A value as one reads it: C̄_{t+1}, W_f."""
        timed = label not in self.values or len(self.values[label]) > 1
        return name_unicode(label, _TIMES[shift][0] if timed else None, self.apart)

    @cached_property
    def apart(self) -> frozenset[str]:
        """Names that look alike, see `notation.look_alikes`."""
        return look_alikes((*self.program.inputs, *self.program.equations))

    @cached_property
    def words(self) -> dict[str, Reference]:
        """What each word of a formula stands for: the cell's own names come first."""
        found: dict[str, Reference] = {}
        found |= {cleaned(n): Reference(n) for n in self.values if not _rank(n)}
        for rank in range(3):
            layer: dict[str, set[Reference]] = {}
            for label in self.values:
                if _rank(label) == rank:
                    for word, reference in self._spelled(label):
                        layer.setdefault(cleaned(word), set()).add(reference)
            for word, several in layer.items():
                if len(several) == 1:
                    found.setdefault(word, *several)
        return found

    def _spelled(self, label: str) -> Iterator[tuple[str, Reference]]:
        timed = len(self.values[label]) > 1
        for shift, (time, endings) in _TIMES.items() if timed else ((0, ("", ("",))),):
            reference = Reference(label, shift)
            for write in (name_unicode, name_latex):
                yield write(label, time or None, self.apart), reference
            for base in {*_bases(label), name_unicode(label, None, self.apart)}:
                for ending in endings:
                    yield base + ending, reference
                if base.startswith("∂L/∂") and base[-1] != "}":
                    yield f"{base}_{{{time}}}", reference

    def spelled(self, label: str) -> set[str]:
        """Every way to write a value of step t."""
        return {word for word, reference in self._spelled(label) if not reference.shift}

    @cached_property
    def longest(self) -> int:
        """The length of the longest word."""
        return max(map(len, (*self.words, *self.sizes)))

    @cached_property
    def suggestions(self) -> list[str]:
        """Words that stand for values, one each, as they are told to who has mistyped one."""
        return [self.text(label) for label in self.names if not label.startswith("pre.")]

    @cached_property
    def joined(self) -> list[Joined]:
        """The joined vectors of a step."""
        names = {n: k for k, n in self.program.inputs.items()}
        names |= {n: k for k, n in self.program.equations.items()}
        shown = {n: UNICODE.name(k, None) for n, k in names.items()}
        found, nodes = [], self.program.nodes()
        for node in nodes:
            if node.op != "concat":
                continue
            called = [
                {block_name(expression(i, UNICODE, shown)), block_name(names.get(i, ""))} - {""}
                for i in node.inputs
            ]
            matrices = {
                names.get(n.inputs[0], "")
                for n in nodes
                if n.op in ("matvec", "matmul") and n.inputs[1] is node
            }
            widths = tuple(i.shape[-1] for i in node.inputs)
            found.append(Joined(tuple(map(frozenset, called)), widths, frozenset(matrices)))
        return found


def _rank(label: str) -> int:
    space = label.partition(".")[0]
    return {"pre": 2}.get(space, 1) if space in ("bar", "delta", "seed", "pre") else 0


def _bases(label: str) -> Iterator[str]:
    """A label's spellings without a step, as a person types them."""
    space, dot, own = label.partition(".")
    if not dot or space not in ("bar", "delta", "seed", "pre", "input"):
        yield from {label, label.replace(".", "_")}
        return
    yield label
    own = own.replace(".", "_")
    yield f"{space}_{own}"
    if space == "bar":
        yield f"bar({own})"
        yield f"{own}_bar"
    elif space == "delta":
        yield from (f"δ_{own}", f"δ^{own}", f"δ_{{{own}}}", f"δ^{{{own}}}", f"δ{own}")
    elif space == "seed":
        yield from (f"dL/d{own}", f"dL_d{own}", f"∂L/∂{own}")
    elif space == "pre":
        yield from (f"a_{own}", f"a^{own}")


def block_name(text: str) -> str:
    """What a part of a joined vector is called, without steps and spaces."""
    text = re.sub(r"\\mathrm\{(\w+)\}", r"\1", cleaned(text)).replace(" ", "").replace("*", "⊙")
    text = re.sub(r"_t(?![A-Za-z0-9])|_\{t(?:[+-]1)?\}|\[t(?:[+-]1)?\]", "", text)
    text = re.sub(r",t(?:[+-]1)?\}", "}", text)
    return re.sub(r"_\{([^{}]*)\}", r"_\1", text).removeprefix("prev.")


# --- what stands inside functions -----------------------------------------------------------------
def insides(program: Program) -> dict[str, list[Tensor]]:
    """What is a matrix product, or a sum with one, and stands inside something else, by label.

    The label is the equation's, numbered if it has several: what `delta.f` is the adjoint of.
    """
    known = {*program.inputs.values(), *program.equations.values()}
    found: dict[str, list[Tensor]] = {}
    for name, root in program.equations.items():
        several: dict[str, list[Tensor]] = {}
        for node in _inside(root, known):
            nodes = several.setdefault(expression(node, UNICODE), [])
            nodes += [node] * (node not in set(nodes))
        for number, nodes in enumerate(several.values(), 1):
            found[f"{name}.{number}" if len(several) > 1 else name] = nodes
    return found


def _inside(node: Tensor, known: Collection[Tensor]) -> Iterator[Tensor]:
    mixing = _mixes(node)
    below = [i for i in node.inputs if i not in known]
    for leaf in below if mixing else _leaves(node, known, _linear(node)):
        if _linear(leaf) and (mixing or not _linear(node)):
            yield leaf
        yield from _inside(leaf, known)


def _leaves(node: Tensor, known: Collection[Tensor], outside: bool) -> Iterator[Tensor]:
    """Where a stretch of arithmetic that begins with what computes `node` ends."""
    for part in node.inputs:
        if part in known:
            continue
        if _mixes(part) or (_linear(part) and not outside):
            yield part
        else:
            yield from _leaves(part, known, outside and _linear(part))


def _mixes(node: Tensor) -> bool:
    return bool(node.inputs) and TABLE[node.op or ""].signature != "elementwise"


def _linear(node: Tensor) -> bool:
    if node.op in ("matvec", "matmul"):
        return True
    if _combines(node):
        return any(_linear(i) for i in node.inputs if i.inputs)
    return False


def _combines(node: Tensor) -> bool:
    """A sum, or a multiple by a number that the author wrote."""
    if node.op in ("add", "subtract", "negative"):
        return True
    return node.op == "multiply" and any(not i.inputs and i.name is None for i in node.inputs)
