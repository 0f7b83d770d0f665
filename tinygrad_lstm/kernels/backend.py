"""What a backend is: it prints the loops of a plan, and runs them on the arrays of a call.

A new one is a class with these members in a file of its own, and its name in `kernel.BACKENDS`.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Any, ClassVar, Protocol

from tinygrad_lstm.kernels.loop import Loops
from tinygrad_lstm.kernels.memory import Views
from tinygrad_lstm.kernels.plan import Buffer
from tinygrad_lstm.tensor import Array


class Unsupported(Exception):
    """A plan that a backend cannot print, or not on this machine: another is asked then."""


class Code(Protocol):
    """The code of a plan for numbers of one dtype, ready to run.

    `Code(loops, dtype)` makes it; it raises `Unsupported`, or `NoCompiler` where what is missing is
    a program on this machine. title: how the backend is called in a sentence; source: what runs,
    the same as `text(loops, dtype)`; rows: memory (batch, width) that it needs beside the plan's;
    work: about how many multiplications a row takes that threads may share, 0 where none may;
    transient: the plan's buffers (time, batch, width) that it keeps itself, so that none are made.
    """

    title: ClassVar[str]
    rows: Iterable[Buffer]
    transient: Collection[Buffer]
    work: float

    def __init__(self, loops: Loops, dtype: Any) -> None: ...

    @property
    def source(self) -> str:
        """What runs."""
        ...

    @staticmethod
    def text(loops: Loops, dtype: Any) -> str:
        """The source alone, which needs no compiler."""
        ...

    def forward(self, views: Views, workers: int) -> Callable[[], None]:
        """The hoisted statements for all steps, then the loop over time, ready to run again.

        A run reads the inputs (time, batch, width), weights, and the first states; it writes all
        that `Plan.kept_buffers` names. `views` has the steps in the order of reading; between two
        runs arrays of `views.given`, and which samples end when, may have been replaced. workers:
        how many threads may share the batch.
        """
        ...

    def backward(self, views: Views, workers: int) -> Callable[[], Mapping[str, Array]]:
        """The loop back through time, then the products after it, ready to run again.

        A run reads what `forward` wrote, the adjoints `given.NAME` (time, batch, width) and those
        of the final states, carry (batch, width); it writes the adjoints of the inputs and of the
        first states, and adds to the totals (width,). It returns the weights' gradients by
        products, each (rows, columns), in memory that the next run may use. `views` has the steps
        in the order of going back.
        """
        ...
