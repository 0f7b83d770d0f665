"""Where a walk through a trace may stop: a name, a time step, a size, or a bad number.

The conditions are a language of their own, read here; nothing a person types is evaluated.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from tinygrad_lstm.errors import TinygradError
from tinygrad_lstm.stepper.events import Event
from tinygrad_lstm.stepper.passes import Passes
from tinygrad_lstm.tensor import Tensor

FORMS = """\
  f               a value or its gradient, by name, at any time step
  C@1             the same at one time step; C_1 is the same, h_0 a first state
  t=2             the first operation of a time step
  |C|>2           a value whose largest entry passes a limit: <, <=, >, >=
  |grad|<1e-3     a finished gradient whose entries are all below a limit
  |grad C@1|>10   the same for one name
  nan, inf        a result with such an entry
  forward, backward"""

_SIZE = re.compile(r"\|\s*(?:(grad)\b\s*)?([^|\s]*)\s*\|\s*(<=|>=|<|>)\s*(\S+)")
_TIME = re.compile(r"t\s*=\s*(\d+)")
_COMPARE: dict[str, Callable[[float, float], bool]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}


class BreakpointError(TinygradError, ValueError):
    """A condition to stop at that cannot be read."""


@dataclass(frozen=True)
class Breakpoint:
    """A condition on an event; `Breakpoint.read("|grad|<1e-3", trace)` makes one of text.

    `|v|` is the largest absolute entry of v. Sizes of gradients are asked of finished ones: a sum
    that is still growing says nothing yet.
    """

    text: str
    nodes: frozenset[Tensor] | None = None  # the values meant; None: any
    time: int | None = None
    direction: str | None = None
    bad: str | None = None
    compare: str | None = None
    limit: float = 0.0
    gradient: bool = False

    @classmethod
    def read(cls, text: str, trace: Passes) -> Breakpoint:
        """The condition a text stands for; the names in it must occur in the trace."""
        words = text.strip()
        if not words:
            raise BreakpointError(f"no breakpoint given; the forms are\n{FORMS}")
        if words in ("forward", "backward"):
            return cls(words, direction=words)
        if words in ("nan", "inf"):
            return cls(words, bad=words)
        if found := _TIME.fullmatch(words):
            return cls(words, time=int(found[1]))
        if found := _SIZE.fullmatch(words):
            grad, name, sign, bound = found.groups()
            try:
                limit = float(bound)
            except ValueError:
                raise BreakpointError(
                    f"cannot read the limit {bound!r} in the breakpoint {words!r}: "
                    f"write a number such as 2 or 1e-3."
                ) from None
            if not grad and not name:
                raise BreakpointError(f"{words!r} names no value; the forms are\n{FORMS}")
            nodes = frozenset(trace.lookup(name)) if name else None
            return cls(words, nodes=nodes, compare=sign, limit=limit, gradient=bool(grad))
        if re.search(r"[|<>=\s]|^@|@.*@", words):
            raise BreakpointError(f"cannot read the breakpoint {words!r}; the forms are\n{FORMS}")
        return cls(words, nodes=frozenset(trace.lookup(words)))

    def reached(self, event: Event) -> bool:
        """Whether the walk stops at this event."""
        if self.direction is not None:
            return event.direction == self.direction
        if self.time is not None:
            return event.time == self.time
        if self.nodes is not None and event.subject not in self.nodes:
            return False
        if self.bad is not None:
            test = np.isnan if self.bad == "nan" else np.isinf
            return bool(np.any(test(event.value)))
        if self.compare is None:
            return True
        if self.gradient != (event.direction == "backward"):
            return False
        if self.gradient and not event.finished:
            return False
        size = float(np.max(np.abs(event.value), initial=0.0))
        return _COMPARE[self.compare](size, self.limit)
