"""Wrong backward passes of any cell, made of the Program of its gradient with a mistake in it.

Nothing here knows how `diagnose` makes its own: nodes of the gradient's Program are made in another
way, or the loop over the steps does something else, or what it returns is changed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from tinygrad_lstm import Cell, swapaxes
from tinygrad_lstm import sizes as dimensions
from tinygrad_lstm.program import Program
from tinygrad_lstm.tensor import Tensor, ancestors, apply, remade

Arrays = dict[str, Any]
# how a node is made: of its operands, and of what nodes of the right Program have become
Change = Callable[[list[Tensor], Mapping[Tensor, Tensor]], Any]


@dataclass(frozen=True)
class Task:
    """Numbers for a cell: everything that a backward pass is given."""

    cell: Cell
    sizes: Mapping[str, int]
    p: Arrays
    xs: Any
    h_bar: Any
    initial: Arrays
    further: Arrays

    def given(self) -> Arrays:
        """As `diagnose` is given it, but for the gradients."""
        return {"p": self.p, "xs": self.xs, "h_bar": self.h_bar, "initial": self.initial} | (
            self.further
        )


@dataclass(frozen=True)
class Wrong:
    """A mistake: the kinds that it may be called, what it is, and what it changes.

    program: the step's gradients; alt: values that the Program takes from so many steps later;
    loop: what the loop over the steps does otherwise; result: what becomes of what it returns.
    """

    kinds: frozenset[str]
    what: str
    program: Program | None = None
    alt: Mapping[str, int] = field(default_factory=dict)
    loop: str = ""
    result: Callable[[Arrays, Task], Arrays] | None = None

    def __add__(self, other: Wrong) -> Wrong:
        def both(found: Arrays, task: Task) -> Arrays:
            for each in (self.result, other.result):
                found = each(found, task) if each else found
            return found

        return Wrong(
            self.kinds | other.kinds, f"{self.what} + {other.what}", self.program or other.program,
            {**self.alt, **other.alt}, f"{self.loop} {other.loop}".strip(), both,
        )  # fmt: skip


def gradient_of(cell: Cell, sizes: Mapping[str, int]) -> Program:
    """The Program of the gradients of a step, from the states and the output."""
    return cell.program(**sizes).gradient(of=list(dict.fromkeys([*cell.state, cell.output])))


# --- carried out ---------------------------------------------------------------------------------
def carry_out(task: Task, wrong: Wrong | None = None) -> Arrays:
    """Backpropagation through time by the Program of one step."""
    cell, wrong = task.cell, wrong or Wrong(frozenset(), "")
    forward = cell.program(**task.sizes)
    program = wrong.program or gradient_of(cell, task.sizes)
    time, batch = task.xs.shape[0], task.xs.shape[1]
    state = dict(task.initial)
    values: list[Arrays] = []
    for t in range(time):
        given = {f"prev.{n}": v for n, v in state.items()} | {"x": task.xs[t]} | dict(task.p)
        given |= {n: v[t] if n in cell.sequences else v for n, v in task.further.items()}
        seen = forward.run(**{n: v for n, v in given.items() if "." not in n}, prev=state)
        values.append(given | {f"now.{n}": seen[n] for n in forward.equations})
        state = {n: _full(seen[n], batch, forward.equations[n]) for n in cell.state}
    carried = {n: np.zeros_like(v) for n, v in state.items()}
    found = {n: np.zeros(np.shape(v)) for n, v in task.p.items()}
    found["x"] = np.zeros(task.xs.shape)
    for t in reversed(range(time)):
        if "first step left out" in wrong.loop and t == 0:
            continue
        if "last step left out" in wrong.loop and t == time - 1:
            continue
        seed = {n: v.copy() for n, v in carried.items()}
        own = task.h_bar[t]
        if "loss at the end" in wrong.loop and t < time - 1:
            own = 0 * own
        if "loss before" in wrong.loop:
            own = task.h_bar[t - 1] if t else 0 * own
        seed[cell.output] = seed.get(cell.output, 0) + own
        here = values[t]
        arrays = {n: here[n] for n in program.inputs if n in here and "." not in n}
        arrays["prev"] = {n: here[f"prev.{n}"] for n in cell.state}
        arrays["seed"] = seed
        if wrong.alt:
            arrays["alt"] = {
                name: values[t + by][name] if 0 <= t + by < time else np.zeros_like(here[name])
                for name, by in wrong.alt.items()
            }
        step = program.run(**arrays)
        for n in task.p:
            part = step[n]
            found[n] = found[n] + (part.sum(axis=0) if part.ndim > np.ndim(task.p[n]) else part)
        found["x"][t] = step["x"]
        new = {n: _full(step[f"prev.{n}"], batch, forward.inputs[f"prev.{n}"]) for n in cell.state}
        if "carried added" in wrong.loop:
            new = {n: v + carried[n] for n, v in new.items()}
        for n in cell.state:
            if f"lost {n};" in wrong.loop:
                new[n] = 0 * new[n]
        carried = new
    return wrong.result(found, task) if wrong.result else found


def _full(array: Any, batch: int, node: Tensor) -> Any:
    return array if array.ndim > node.ndim else np.broadcast_to(array, (batch, *array.shape))


# --- mistakes in a node --------------------------------------------------------------------------
def changed(gradient: Program, changes: Mapping[Tensor, Change]) -> Program:
    """The Program with some nodes made in another way."""
    roots = [*gradient.equations.values(), *gradient.outputs.values()]
    new: dict[Tensor, Tensor] = {}
    leaves: dict[str, Tensor] = {}
    for node in ancestors(roots):
        if not node.inputs:
            new[node] = node
            continue
        operands = [new[i] for i in node.inputs]
        made = changes[node](operands, new) if node in changes else remade(node, operands)
        if not isinstance(made, Tensor) or made.shape != node.shape:
            raise ValueError("another shape")
        if node in changes:
            for leaf in ancestors([made]):
                if (leaf.name or "").startswith("alt."):
                    leaves[leaf.name or ""] = leaf
        if node.name is not None and made.name is None:
            made.name = node.name
        new[node] = made
    equations = {name: new[node] for name, node in gradient.equations.items()}
    outputs = {name: new[node] for name, node in gradient.outputs.items()}
    inputs = {**gradient.inputs, **leaves}
    return Program("wrong", inputs, equations, outputs, gradient.dimensions, gradient.sizes)


Choice = tuple[set[str], Tensor, Change, str, Mapping[str, int]]


def node_choices(cell: Cell, gradient: Program) -> Iterator[Choice]:
    """What can be done wrong in the nodes of the adjoints."""
    forward = {n: t for n, t in gradient.equations.items() if not n.startswith("bar.")}
    named = {t: n for n, t in forward.items()} | {
        t: n for n, t in gradient.inputs.items() if n.startswith("prev.") or n == "x"
    }
    parameters = {t: n for n, t in gradient.inputs.items() if n in cell.parameters}
    upstream = set[Tensor]()
    roots = [*gradient.equations.values(), *gradient.outputs.values()]
    for node in ancestors(roots):
        name = node.name or ""
        if name.startswith(("bar.", "seed.")) or any(i in upstream for i in node.inputs):
            upstream.add(node)
    for node in ancestors(roots):
        if node not in upstream or not node.inputs:
            continue
        a, b = node.inputs[0], node.inputs[-1]
        if node.op == "add" and a in upstream and b in upstream:
            yield from _terms(cell, node)
        if node.op == "multiply" and (a in upstream) != (b in upstream):
            yield from _factors(node, upstream, named, forward)
        if node.op == "matvec" and a not in upstream and a.op == "swapaxes":
            yield from _matrices(node, parameters)
        if node.op == "outer" and b not in upstream:
            yield from _shifted(node, 1, named, forward)


def _terms(cell: Cell, node: Tensor) -> Iterator[Choice]:
    for k in (0, 1):
        if node.inputs[k].op == "add" and node.inputs[k].name is None:
            continue  # a partial sum is no term
        seed = (node.inputs[k].name or "").startswith("seed.")
        lost = {"missing term", "carried"}
        yield lost, node, lambda o, _, k=k: o[1 - k] + 0.0, f"term dropped seed={seed}", {}  # type: ignore[misc]
        yield {"double term"}, node, lambda o, _, k=k: o[0] + o[1] + o[k], "term twice", {}  # type: ignore[misc]
        yield {"sign"}, node, lambda o, _, k=k: o[1 - k] - o[k], "sign of a term", {}  # type: ignore[misc]


def _factors(
    node: Tensor, upstream: set[Tensor], named: Mapping[Tensor, str], forward: Mapping[str, Tensor]
) -> Iterator[Choice]:
    k = 0 if node.inputs[0] in upstream else 1
    factor = node.inputs[1 - k]
    if factor.shape != node.shape or not factor.inputs and factor not in named:
        return
    yield {"slope"}, node, lambda o, _: o[k] + 0.0, "factor left out", {}
    yield {"slope"}, node, lambda o, _: o[k] * o[1 - k] * o[1 - k], "factor squared", {}
    yield {"sign"}, node, lambda o, _: -(o[0] * o[1]), "factor negated", {}
    yield from _shifted(node, 1 - k, named, forward)
    # tanh'(x) for tanh'(y) and σ(f) for σ'(f)
    square = factor.inputs[1] if factor.op == "subtract" else None
    if square is not None and square.op == "multiply" and square.inputs[0] is square.inputs[1]:
        y = square.inputs[0]
        if y.op == "tanh":
            x = y.inputs[0]
            of_input: Change = lambda o, new: o[k] * (1 - new[x] * new[x])  # noqa: E731
            yield {"slope"}, node, of_input, "slope of input", {}
            yield (
                {"slope"}, node,
                lambda o, new: o[k] * (1 - apply("tanh", new[y]) ** 2.0), "slope twice", {},
            )  # fmt: skip
            yield {"slope"}, node, lambda o, new: o[k] * new[y], "value for slope", {}


def _shifted(
    node: Tensor, k: int, named: Mapping[Tensor, str], forward: Mapping[str, Tensor]
) -> Iterator[Choice]:
    """Another value, or that of another step, in the place of a named operand."""
    operand = node.inputs[k]
    reads = [operand] if operand in named else []
    if operand.op == "concat" and operand.name is None:
        reads = [i for i in operand.inputs if i in named]
    for read in reads:
        name = named[read]

        def put(o: list[Tensor], other: Tensor, read: Tensor = read) -> Any:
            if operand is read:
                mine = other
            else:
                mine = apply("concat", *[other if i is read else i for i in operand.inputs],
                             **operand.attributes)  # fmt: skip
            return apply(node.op or "", *[mine if j == k else v for j, v in enumerate(o)])

        for by in (-1, 1):
            key = f"now.{name}" if name in forward else name
            leaf = Tensor.input(f"alt.{key}", read.shape)
            yield (
                {"step"},
                node,
                lambda o, _, leaf=leaf, put=put: put(o, leaf),
                f"{name} at {by}",
                {key: by},
            )  # type: ignore[misc]
        if operand is not read:
            continue
        for other, label in named.items():
            if other is not read and other.shape == read.shape:
                kinds = {"exchange", "value"}
                if label == f"prev.{name}" or name == f"prev.{label}":
                    kinds = {"step"}
                instead: Change = lambda o, new, other=other, put=put: put(o, new[other])  # noqa: E731
                yield kinds, node, instead, f"{label} for {name}", {}


def _matrices(node: Tensor, parameters: Mapping[Tensor, str]) -> Iterator[Choice]:
    W = node.inputs[0].inputs[0]
    if W not in parameters:
        return
    if W.shape[0] == W.shape[1] > 1:
        yield {"transpose"}, node, lambda o, new: apply("matvec", new[W], o[1]), "W for Wᵀ", {}
    for other in parameters:
        if other is not W and other.shape == W.shape:
            yield (
                {"exchange"}, node,
                lambda o, new, V=other: apply("matvec", swapaxes(V, 0, 1), o[1]),
                f"{parameters[other]} for {parameters[W]}", {},
            )  # fmt: skip


def draw_nodes(
    cell: Cell, sizes: Mapping[str, int], random: np.random.Generator, count: int = 1
) -> list[Wrong]:
    """Mistakes in so many nodes; what they are about is drawn before where. The last is of all."""
    gradient = gradient_of(cell, sizes)
    groups: dict[str, list[Choice]] = {}
    for choice in node_choices(cell, gradient):
        groups.setdefault(" ".join(sorted(choice[0])), []).append(choice)
    chosen: list[Choice] = []
    while groups and len(chosen) < count:
        group = groups[sorted(groups)[random.integers(len(groups))]]
        chosen.append(group[random.integers(len(group))])
    if len({choice[1] for choice in chosen}) < count:
        return []
    made = []
    for several in [[c] for c in chosen] + ([chosen] if count > 1 else []):
        kinds = frozenset().union(*(c[0] for c in several))
        alt = {name: by for c in several for name, by in c[4].items()}
        try:
            program = changed(gradient, {c[1]: c[2] for c in several})
        except ValueError:
            return []
        made.append(Wrong(kinds, " + ".join(c[3] for c in several), program, alt))
    return made


def draw_node(cell: Cell, sizes: Mapping[str, int], random: np.random.Generator) -> Wrong | None:
    """A mistake in one node of the backward pass."""
    return next(iter(draw_nodes(cell, sizes, random)), None)


def shapes_of(cell: Cell, sizes: Mapping[str, int]) -> dict[str, tuple[int, ...]]:
    """The shapes of a cell's parameters."""
    return {n: dimensions.shape(w, sizes) for n, w in cell.parameters.items()}
