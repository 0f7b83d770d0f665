"""The same listing, read otherwise: a cell with some of its equations replaced."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from tinygrad_lstm import sizes as dimensions
from tinygrad_lstm.errors import CellError, unknown
from tinygrad_lstm.functions import broadcast_to
from tinygrad_lstm.letters import letters_within
from tinygrad_lstm.parts import Tracing
from tinygrad_lstm.program import Program, named
from tinygrad_lstm.step import Cell
from tinygrad_lstm.tensor import Tensor, TensorLike, ancestors, constant, fold, remade
from tinygrad_lstm.tracing import Names

Replacement = Callable[[Any], TensorLike] | TensorLike | None
_NO_VALUE = "{owner}: there is no {name!r} to write with; there are {known}."


def otherwise(
    cell: Cell,
    /,
    *,
    inputs: Mapping[str, str] | None = None,
    name: str | None = None,
    **replaced: Replacement,
) -> Cell:
    """The cell with some equations, or inputs, replaced; what nothing reads any more is dropped.

        dream = otherwise(vrnn, z=lambda v: normal(v.mu_0, v.sigma_0, v.eps),
                          x=lambda v: v.u < sigmoid(v.logits), inputs={"u": "inputs"})
        nig = otherwise(odyssey_vanilla, i=1)

    replaced: for each equation, or input such as x, its new right-hand side: a number, or a
    function of the values of the cell by their names: equations, inputs, and v.prev.h; None leaves
    an equation out, with what it alone reads, as in `otherwise(draw, z=lambda v: v.eps, L=None)`.
    inputs: new inputs at every step, with their shapes in words. Equations stand in the author's
    order as far as what they read allows. Where an input is replaced the loss is dropped: nothing
    is given any more that could be compared with. CellError where replacements read one another in
    a circle, and where what is left out is read.
    """
    if not isinstance(cell, Cell):
        raise CellError(f"otherwise needs a cell, got {cell!r}; write cells.lstm, or your own.")
    new, program = dict(inputs or {}), cell.program()
    for own in replaced:
        if own not in program.equations and own not in program.inputs:
            known = [*program.equations, *program.inputs]
            raise unknown(f"{cell} has no {own!r} to replace", "it has", known)
    for own in new:
        if own in program.inputs or own in program.equations:
            raise CellError(f"{cell} has {own} already; give the new input another name.")
    loss = None if {"x", *cell.sequences} & {*replaced} - {*cell.state} else cell.loss
    loss = None if loss in replaced and replaced[loss] is None else loss

    def rewritten(sizes: Mapping[str, int]) -> _Listing:
        full = {**cell.small_sizes(), **{n: int(k) for n, k in sizes.items()}}
        traced = cell.program(**{n: full[n] for n in cell.sizes})
        return _Listing(cell, traced, replaced, new, loss)

    listing = rewritten({})
    words = {n: w for n, w in {**cell.shapes(), **new}.items() if n in listing.inputs}
    named = dimensions.names({"x": cell.x, **cell.state, **words})
    sizes = {n: f"at least {least}" for n, least in cell.bounds.items()} | dict(cell.derived)

    def step(now: Any, prev: Any, x: Any, p: Any, **further: Any) -> None:
        """Stand for the listing, which no function writes."""

    step.__module__ = cell.step.__module__  # where it belongs, as its equations do
    step.__code__ = step.__code__.replace(co_filename=cell.step.__code__.co_filename)
    step.__name__ = name or f"{cell.name}_otherwise"
    step.__doc__ = f"{cell.name} with {', '.join(replaced) or 'nothing'} replaced."
    timed = [n for n in (*cell.sequences, *new) if n not in cell.noise]
    result = _Rewritten(
        step,
        state={n: words for n, words in cell.state.items() if n in listing.roots},
        x="" if "x" in replaced else cell.x,
        parameters={n: words[n] for n in cell.parameters if n in words},
        sequences={n: words[n] for n in timed if n in words},
        constants={n: words[n] for n in cell.constants if n in words},
        noise={n: words[n] for n in cell.noise if n in words},
        start={n: v for n, v in cell.start.items() if n in words or n in cell.state},
        sizes={n: w for n, w in sizes.items() if n in named},
        output=cell.declared_output,
        loss=loss,
        papers=cell.papers,
    )
    result.rewritten = rewritten
    return result


class _Rewritten(Cell):
    """A cell whose equations are those of another, rewritten for the sizes at hand."""

    rewritten: Callable[[Mapping[str, int]], _Listing]

    def written(self, tracing: Tracing) -> dict[str, Tensor]:
        """The equations, on the inputs of the step."""
        self.rewritten({n: k for n, k in tracing.sizes.items() if n in self.sizes}).write(tracing)
        return tracing.written


class _Listing:
    """Equations of a Program, some of them replaced: in an order in which they can be computed.

    `roots` says what each is, in nodes of the Program; what another equation is stands in `values`.
    """

    def __init__(
        self,
        cell: Cell,
        program: Program,
        replaced: Mapping[str, Replacement],
        new: Mapping[str, str],
        loss: str | None,
    ) -> None:
        self._calls = program.calls
        self.values = {**program.inputs, **program.written}
        for own, words in new.items():
            self.values[own] = Tensor.input(own, dimensions.shape(words, program.sizes))
        v = Names(str(cell), self.values, _NO_VALUE)
        roots = dict(program.written)
        left_out = {own for own, how in replaced.items() if how is None}
        for own, how in replaced.items():
            if how is None:
                continue
            with letters_within(program.sizes):
                made = how(v) if callable(how) else how
            made = made if isinstance(made, Tensor) else constant(made, np.dtype(float))
            shape = self.values[own].shape
            fits = made.shape == shape or made.size > 1
            roots[own] = made if fits else broadcast_to(made, shape)
        self._owner = {self.values[n]: n for n in roots}
        written = {*replaced} - left_out
        below = {own: self._below(root, own in written) for own, root in roots.items()}
        was = {own: self._below(root, False) for own, root in program.written.items()}
        read = {own: [self._owner[n] for n in b if n in self._owner] for own, b in below.items()}
        before = {self._owner[n] for b in was.values() for n in b if n in self._owner}
        ends = [n for n in program.equations if n not in before and n != cell.loss]
        wanted = [cell.output, *ends, *replaced, *([loss] if loss else [])]
        kept = self._needed(below, [n for n in wanted if n not in left_out], cell)
        needed = self._needed(was, [cell.output, *ends, *([cell.loss] if cell.loss else [])], cell)
        others = [n for n in cell.state if n not in needed]  # nothing but themselves reads them
        kept |= self._needed(below, others, cell)
        for own in kept & left_out:
            reader = next(n for n in kept if own in read[n])
            raise CellError(f"{cell}: {own} is left out, but {reader} reads it; replace that, too.")
        self.roots: dict[str, Tensor] = {}
        while len(self.roots) < len(kept):
            left = [n for n in roots if n in kept and n not in self.roots]
            ready = (n for n in left if all(i in self.roots for i in read[n]))
            if (following := next(ready, None)) is None:
                raise CellError(f"{cell}: {', '.join(left)} would read one another in a circle.")
            self.roots[following] = roots[following]
        leaves = [n for own in kept for n in below[own] if n not in self._owner]
        self.inputs = {n.name for n in leaves if not n.inputs and n.traced}

    def _needed(self, below: Mapping[str, list[Tensor]], wanted: list[str], cell: Cell) -> set[str]:
        """The equations that some of them need, at this step and at those before it."""
        carried = {self.values[f"prev.{n}"]: n for n in cell.state}
        found = set[str]()
        stack = [*wanted]
        while stack:
            if (own := stack.pop()) not in found and own in below:
                found.add(own)
                nodes = below[own]
                stack += [self._owner[n] for n in nodes if n in self._owner]
                stack += [carried[n] for n in nodes if n in carried]
        return found

    def _below(self, root: Tensor, whole: bool) -> list[Tensor]:
        """What an equation is computed from, down to other equations."""
        return ancestors([root] if whole else root.inputs, stop=self._owner)

    def write(self, tracing: Tracing) -> None:
        """Write the equations, and which of them are a part's, into a step that is traced."""
        known = {self.values[n]: node for n, node in tracing.values.items() if n not in self.roots}

        def make(node: Tensor, operands: list[Tensor]) -> Tensor:
            made = remade(node, operands)
            made.name = None if node.inputs else made.name
            return made

        for own, root in self.roots.items():
            value = known[root] if root in known else fold([root], known, make)[root]
            name = tracing.prefix + own
            known[self.values[own]] = tracing.written[name] = named(value, name)
        for call in self._calls:
            if all(f"{call.prefix}{result}" in self.roots for result in call.results):
                found = fold(call.operands.values(), known, make)
                operands = {n: found[node] for n, node in call.operands.items()}
                again = replace(call, prefix=tracing.prefix + call.prefix, operands=operands)
                tracing.calls.append(replace(again, name=tracing.prefix + call.name))
