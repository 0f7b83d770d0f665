"""The types of what the engine's functions take and give, for annotations of one's own.

def energy(x: TensorLike) -> Tensor: ...
def train(network: Network, xs: Array) -> Run: ...
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol, runtime_checkable

import numpy as np

from tinygrad_lstm.parameters import Parameters
from tinygrad_lstm.program import Program
from tinygrad_lstm.tensor import Array as Array
from tinygrad_lstm.tensor import Axis as Axis
from tinygrad_lstm.tensor import TensorLike as TensorLike


@runtime_checkable
class Network(Protocol):
    """A cell, or a system of cells such as a `stack`: what `unroll` runs.

    Attributes: `name`; `x`, `state`, `parameters` with their shapes in words; `sizes`, their names;
    `extra_inputs`, the names of further inputs; `output`, what a layer above reads.
    """

    name: str
    x: str
    state: Mapping[str, str]
    parameters: Mapping[str, str]
    sizes: list[str]

    @property
    def output(self) -> str:
        """The equation that a layer above reads."""

    @property
    def extra_inputs(self) -> list[str]:
        """The names of the further inputs, of which each may be told by name to `unroll`."""

    def init(self, seed: int = 0, dtype: Any = np.float64, **sizes: Any) -> Parameters:
        """Fresh parameters for named sizes."""

    def bind(self, arrays: Mapping[str, TensorLike]) -> Parameters:
        """Parameters from arrays, by name; names and shapes are checked."""

    def program(self, **sizes: int) -> Program:
        """One step as a Program."""
