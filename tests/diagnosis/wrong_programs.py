"""Wrong backward passes of any cell, made of the Program of its gradient with one node changed.

Nothing here knows how `diagnose` makes its own.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from tinygrad_lstm.program import Program
from tinygrad_lstm.step import Cell
from tinygrad_lstm.tensor import Tensor, ancestors, fold, remade
from tinygrad_lstm.testing.inputs import Case

Change = Callable[[list[Tensor]], Tensor]


@dataclass(frozen=True)
class Wrong:
    """A wrong Program, with the kinds that its mistake may be called."""

    kinds: frozenset[str]
    where: str
    program: Program
    what: str


def adjoint_nodes(gradient: Program) -> list[tuple[str, Tensor]]:
    """The nodes of the adjoints' expressions, each with the adjoint that it is a part of."""
    known = {*gradient.inputs.values(), *gradient.equations.values()}
    found, seen = [], set[Tensor]()
    for name, root in gradient.equations.items():
        if name.startswith("bar."):
            for node in ancestors([root], stop=known - {root}):
                if node.inputs and node not in known - {root} and node not in seen:
                    seen.add(node)
                    found.append((name[4:], node))
    return found


def changed(gradient: Program, target: Tensor, change: Change) -> Program:
    """The Program with one node made in another way."""
    leaves = {node: node for node in gradient.inputs.values()}
    roots = [*gradient.equations.values(), *gradient.outputs.values()]

    def make(node: Tensor, operands: list[Tensor]) -> Tensor:
        if not node.inputs:
            return node
        made = change(operands) if node is target else remade(node, operands)
        if node.name is not None and made.name is None:
            made.name = node.name
        return made

    new = fold(roots, leaves, make)
    equations = {name: new[node] for name, node in gradient.equations.items()}
    outputs = {name: new[node] for name, node in gradient.outputs.items()}
    return Program(
        "wrong", gradient.inputs, equations, outputs, gradient.dimensions, gradient.sizes
    )


def draw(cell: Cell, sizes: Mapping[str, int], rng: np.random.Generator) -> Wrong | None:
    """A mistake in one node of the backward pass, drawn at random; None where none was found."""
    gradient = cell.program(**sizes).gradient()
    upstream = set[Tensor]()
    for node in ancestors([*gradient.equations.values(), *gradient.outputs.values()]):
        name = node.name or ""
        if name.startswith(("bar.", "seed.")) or any(i in upstream for i in node.inputs):
            upstream.add(node)
    choices: list[tuple[set[str], str, Tensor, Change, str]] = []
    for where, node in adjoint_nodes(gradient):
        a, b = node.inputs[0], node.inputs[-1]
        if node.op == "add" and a in upstream and b in upstream:
            for k in (0, 1):
                other = 1 - k
                if node.inputs[k].op == "add" and node.inputs[k].name is None:
                    continue  # a partial sum is no term
                seed = (node.inputs[k].name or "").startswith("seed.")
                lost = {"missing term", "carried"}
                choices += [
                    (lost, where, node, lambda o, k=other: o[k] + 0.0, f"drop {k} seed={seed}"),
                    ({"double term"}, where, node, lambda o, k=k: o[0] + o[1] + o[k], "double"),
                    ({"sign"}, where, node, lambda o, k=k: o[1 - k] - o[k], "sign"),
                ]
        if node.op == "multiply" and (a in upstream) != (b in upstream):
            up = 0 if a in upstream else 1
            factor = node.inputs[1 - up]
            if factor.shape == node.shape and factor.inputs:
                choices += [
                    ({"slope"}, where, node, lambda o, k=up: o[k] + 0.0, "factor left out"),
                    ({"slope"}, where, node, lambda o, k=up: o[k] * o[1 - k] * o[1 - k], "squared"),
                    ({"sign"}, where, node, lambda o: -(o[0] * o[1]), "negated"),
                ]
    if not choices:
        return None
    kinds, where, node, change, what = choices[rng.integers(len(choices))]
    return Wrong(frozenset(kinds), where, changed(gradient, node, change), what)


def backward(cell: Cell, case: Case, program: Program) -> Callable[..., dict[str, Any]]:
    """Backpropagation through time by the Program of one step."""

    def run(p: Any, xs: Any, h_bar: Any, **further: Any) -> dict[str, Any]:
        forward = cell.program(**case.sizes)
        time, batch = xs.shape[0], xs.shape[1:2]
        state = {n: np.zeros((*batch, *forward.inputs[f"prev.{n}"].shape)) for n in cell.state}
        state |= {
            n: np.broadcast_to(v, state[n].shape) for n, v in further.pop("initial", {}).items()
        }
        befores = []
        at = [
            {n: v[t] if n in cell.sequences else v for n, v in further.items()} for t in range(time)
        ]
        for t in range(time):
            befores.append(state)
            values = forward.run(x=xs[t], prev=state, **p, **at[t])
            state = {n: values[n] for n in cell.state}
        carried = {n: np.zeros_like(state[n]) for n in cell.state}
        found = {n: np.zeros(np.shape(p[n])) for n in p}
        found["x"] = np.zeros(xs.shape)
        for t in reversed(range(time)):
            seed = dict(carried)
            if cell.output in seed:
                seed[cell.output] = seed[cell.output] + h_bar[t]
            values = program.run(x=xs[t], prev=befores[t], seed=seed, **p, **at[t])
            for n in p:
                found[n] = found[n] + values[n].sum(axis=0)
            found["x"][t] = values["x"]
            carried = {n: values[f"prev.{n}"] for n in cell.state}
        return found

    return run
