"""Layers: cells without state, as parts of cells."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from tinygrad_lstm.declarations import Step
from tinygrad_lstm.parts import Sized
from tinygrad_lstm.step import Cell


class Layer(Cell):
    """A cell without state, made by the decorator `layer`: a part of other cells."""

    least_states = 0

    @property
    def results(self) -> tuple[str, ...]:
        """The equations declared as output, the last one written unless told."""
        return tuple(self.program().outputs)

    def _written_last(self) -> tuple[str, ...]:
        return self.results

    def call(self, now: Any, prev: Any, x: Any, p: Any, further: Mapping[str, Any]) -> None:
        """Call the author's function, which has no step before."""
        self.step(now, x, p, **further)

    def __str__(self) -> str:
        return f"layer {self.name!r}"

    __repr__ = __str__


def layer(
    *,
    x: str = "inputs",
    parameters: Mapping[str, str] | None = None,
    papers: list[str] | tuple[str, ...] = (),
    constants: Mapping[str, str] | None = None,
    start: Mapping[str, Any] | None = None,
    output: str | None = None,
    sizes: Mapping[str, str] | None = None,
    parts: Mapping[str, Cell | Sized] | None = None,
) -> Callable[[Step], Layer]:
    """Make a Layer, a cell without state, of a function `step(now, x, p)`; it is a part of cells.

    output: the equations that it hands on, as in "mu sigma"; the last one written unless told. The
    other arguments are those of `cell`.
    """
    declared = locals()
    return lambda step: Layer(step, state={}, **declared)
